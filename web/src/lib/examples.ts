/** People, groups and proposals for tests. */
import type { Emergency, Group, Member, Policy, Proposal, Round, Rule, Sync, TimelineEntry } from "./api/types";

export const ANN = { address: "0xa1", name: "Ann" };
export const BEN = { address: "0xb2", name: "Ben" };
export const CEM = { address: "0xc3", name: "Cem" };
export const DANA = { address: "0xd4", name: "Dana" };

export const plain = (text: string): string => text.replaceAll("\u00a0", " ");

export function rule(change: Partial<Rule> = {}): Rule {
  return { decided_by: "members", share: "two thirds", duration_ms: 86_400_000, silence_is_yes: false, ...change };
}

const SCORING: Policy["scoring"] = {
  start: 100,
  threshold: 0,
  heal: 2,
  broken_commit: 50,
  broken_proposal: 30,
  misbehaving: 10,
  equivocation: 100,
  lost_turn: 5,
  committed: 10,
  upheld: 20,
  rejected: 50,
};

export function policy(change: Partial<Policy> = {}): Policy {
  return {
    preset: "day",
    invite: rule({ silence_is_yes: true }),
    remove: rule(),
    election: rule({ duration_ms: 600_000 }),
    settings: rule({ duration_ms: 2 * 86_400_000 }),
    stewards_min: 1,
    stewards_max: 7,
    batch_window_ms: 5000,
    delivery_time_ms: 2000,
    reelections_max: 2,
    dormant_after_ms: 14 * 86_400_000,
    emergency: rule({ duration_ms: 600_000 }),
    scoring: SCORING,
    ack_limit: 1000,
    committee: 256,
    odds: [],
    sentences: [],
    ...change,
  };
}

export function proposal(change: Partial<Proposal> = {}): Proposal {
  return {
    id: "aa",
    short_id: "aa",
    kind: "remove",
    title: "Remove Carol",
    subject: ANN,
    asked_by: BEN,
    sponsor: null,
    opened_at: 0,
    deadline: 10_000,
    decided_by: "members",
    share: "two thirds",
    silence_is_yes: true,
    by_nodes: false,
    rule: "",
    voters: 4,
    needed: 3,
    yes: 1,
    no: 1,
    silent: 2,
    my_vote: null,
    may_vote: true,
    status: "open",
    result: "",
    epoch: null,
    stewards: [],
    retry_round: 0,
    differences: [],
    violation: "",
    removes: false,
    emergency: null,
    ...change,
  };
}

export function emergency(change: Partial<Emergency> = {}): Emergency {
  return {
    accuser: BEN,
    accused: CEM,
    violation: "has signed two different things",
    proofs: ["Cem signed both yes and no on proposal 3f2a1b0c, in epoch 7."],
    removes: true,
    confirmed: true,
    nodes_vote_at: 5000,
    node_votes: true,
    sentence: "Ben accuses Cem: Cem has signed two different things.",
    yes: "Cem goes at once.",
    no: "Cem stays. Ben loses 50 points.",
    nodes: "Yours has confirmed them.",
    ...change,
  };
}

export function member(change: Partial<Member> = {}): Member {
  return {
    ...ANN,
    device: "",
    role: "member",
    is_me: false,
    removal_pending: false,
    dormant: false,
    lost_turn: false,
    remarks: [],
    score: 100,
    score_history: [],
    score_sentence: "",
    proofs: [],
    accusation: "",
    accusation_sentence: "",
    keys_epoch: 7,
    keys_at: 0,
    keys_sentence: "Keys renewed 3 days ago.",
    ...change,
  };
}

export const IN_SYNC: Sync = { state: "in sync", sentence: "You are in sync, in epoch 7.", share: null };

export function round(change: Partial<Round> = {}): Round {
  return {
    open: false,
    view: 0,
    leader: null,
    leader_is_steward: false,
    needed: 0,
    heard: 0,
    missing: [],
    short: 0,
    waiting: "",
    sentence: "",
    ...change,
  };
}

export function group(change: Partial<Group> = {}): Group {
  return {
    id: "g",
    name: "Reading circle",
    description: "",
    state: "member",
    preset: "day",
    policy: policy(),
    epoch: 7,
    authenticator: "00112233",
    members: 4,
    counted: 4,
    dormant: 0,
    stewards: [ANN, BEN],
    epoch_steward: ANN,
    backup_steward: BEN,
    stewards_until: 9,
    stewards_sentence: "",
    proposals: [],
    requests: [],
    round: round(),
    sync: IN_SYNC,
    halted: "",
    frozen: "",
    frozen_until: null,
    held: 0,
    waiting: [],
    recovery: "",
    deadlocked: false,
    introduction: "",
    rejoin: "",
    can_rejoin: false,
    stranded: false,
    fetching: "",
    successors: [],
    ...change,
  };
}

export function entry(id: number, change: Partial<TimelineEntry> = {}): TimelineEntry {
  return {
    id,
    group: "g",
    at: id,
    kind: "message",
    sender: BEN,
    is_mine: false,
    text: `text ${id}`,
    epoch: 1,
    proposal: null,
    client_id: null,
    late: false,
    ...change,
  };
}
