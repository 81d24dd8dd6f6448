import type { Component } from "svelte";
import { render } from "svelte/server";
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Group, GroupSummary, Held, Member } from "../lib/api/types";
import { ANN, BEN, CEM, DANA, emergency, group, member, proposal, round } from "../lib/examples";
import { contextOf, Page } from "../lib/state/page.svelte";
import type { Client } from "../lib/api/client";
import Consequences from "./Consequences.svelte";
import EpochState from "./EpochState.svelte";
import Frozen from "./Frozen.svelte";
import GroupNotices from "./GroupNotices.svelte";
import MemberRow from "./MemberRow.svelte";
import Members from "./Members.svelte";
import PastGroup from "./PastGroup.svelte";
import ProposalCard from "./ProposalCard.svelte";
import QuietProposal from "./QuietProposal.svelte";
import Request from "./Request.svelte";
import Stewards from "./Stewards.svelte";
import Successors from "./Successors.svelte";
import Waiting from "./Waiting.svelte";

beforeEach(() => {
  vi.stubGlobal("location", { hash: "#/group/g" });
});

function pageWith(shown: Group, members: readonly Member[] = []): Page {
  const page = new Page({} as Client, {
    keptFor: () => {
      throw new Error("nothing is kept here");
    },
    eventsFor: () => {
      throw new Error("nothing is heard here");
    },
  });
  page.known = { ...page.known, details: { g: shown } };
  page.members = { g: members };
  page.clock.now = 1000;
  return page;
}

/** The component's text, without markup, in one line. */
function text<Props extends Record<string, unknown>>(
  part: Component<Props>,
  props: Props,
  page = pageWith(group()),
): string {
  return html(part, props, page)
    .replaceAll(/<svg.*?<\/svg>/gsu, " ")
    .replaceAll(/<!--.*?-->|<[^>]*>/gsu, " ")
    .replaceAll(/[\s\u00a0]+/gu, " ")
    .trim();
}

function html<Props extends Record<string, unknown>>(part: Component<Props>, props: Props, page = pageWith(group())) {
  // The shape of what `render` takes depends on the props; here they are all required.
  const drawn = render(part as Component<Record<string, unknown>>, { props, context: contextOf(page) });
  return drawn.body;
}

describe("a request to join", () => {
  const asking = (share: number | null) =>
    pageWith(group({ state: "asking", sync: { state: "waiting", sentence: "It is arriving.", share } }));
  const summary = { id: "g", state: "asking" } as GroupSummary;

  test("shows how much of a large welcome has arrived", () => {
    expect(html(PastGroup, { summary }, asking(0.25))).toContain('<progress value="0.25"');
    expect(text(PastGroup, { summary }, asking(0.25))).toBe("It is arriving.");
  });

  test("shows no bar before anything arrives", () => {
    expect(html(PastGroup, { summary }, asking(null))).not.toContain("progress");
  });
});

describe("a card", () => {
  const settings = proposal({
    kind: "settings",
    title: "Change the settings: at most 5 stewards",
    differences: [{ field: "description", label: "Description", before: "", after: "Ours" }],
    rule: "Passes with 3 of 4 votes.",
  });

  test("of settings says old and new, who asks, the rule, and asks for a vote", () => {
    const words = text(ProposalCard, { group: "g", proposal: settings, place: "glance" });
    expect(words).toContain("Change the settings 9 s left asked by Ben");
    expect(words).toContain("Description from nothing → to Ours");
    expect(words).toContain("Passes with 3 of 4 votes.");
    expect(words).toContain("Vote yes Vote no A vote is final.");
    expect(words).not.toContain(ANN.address);
  });

  test("that only stewards decide asks nobody else", () => {
    const theirs = { ...settings, may_vote: false, decided_by: "stewards" as const };
    const words = text(ProposalCard, { group: "g", proposal: theirs, place: "glance" });
    expect(words).toContain("The stewards decide this");
    expect(words).not.toContain("Vote yes");
  });

  test("of an emergency says who accuses whom, with which proofs, and what a vote means", () => {
    const about = proposal({ kind: "emergency", title: "Remove Cem at once", subject: CEM, emergency: emergency() });
    const words = text(ProposalCard, { group: "g", proposal: about, place: "glance" });
    expect(words).toContain("Ben accuses Cem: Cem has signed two different things.");
    expect(words).toContain("The proof confirmed by your node Cem signed both yes and no on proposal 3f2a1b0c");
    expect(words).toContain("Yes Cem goes at once. No Cem stays. Ben loses 50 points.");
    expect(words).toContain("Vote yes Vote no");
    const noted = { ...about, status: "noted" as const, may_vote: false, result: "It is noted." };
    const ended = text(ProposalCard, { group: "g", proposal: noted, place: "glance" });
    expect(ended).toContain("Remove Cem at once Noted");
    expect(ended).not.toContain("Ben loses 50 points");
  });

  test("of the nodes is a line that opens, without buttons", () => {
    const election = proposal({
      kind: "election",
      by_nodes: true,
      title: "Elect the stewards Cem and Ann, in this order",
      stewards: [CEM, ANN],
      status: "committed",
      my_vote: true,
      epoch: 7,
      result: "Carried out by the commit of epoch 7.",
    });
    const words = text(QuietProposal, { proposal: election, place: "conversation" });
    expect(words).toMatch(/^Elect the stewards Cem and Ann, in this order Committed in epoch 7 1 Cem 2 Ann/u);
    expect(words).toContain("Carried out by the commit of epoch 7.");
    expect(words).toContain("Your node voted yes.");
    expect(html(QuietProposal, { proposal: election, place: "conversation" })).not.toContain("<button");
  });
});

describe("a request", () => {
  const request = {
    id: "r",
    person: DANA,
    sponsor: ANN,
    received_at: 0,
    needs_sponsor: true,
    sentence: "Dana asks to join, with an invite link of Ann that is open to anybody.",
  };

  test("that nobody answers for can be answered for", () => {
    const words = text(Request, { group: "g", request });
    expect(words).toContain("open to anybody.");
    expect(words).toContain("Answer for Dana Dismiss");
  });

  test("with a token of its own needs nothing", () => {
    const own = { ...request, needs_sponsor: false, sentence: "Dana asks to join. The vote opens by itself." };
    expect(html(Request, { group: "g", request: own })).not.toContain("<button");
  });
});

describe("a freeze", () => {
  const about = proposal({ id: "em", kind: "emergency", emergency: emergency() });
  const frozen = group({ frozen: "An emergency is being decided.", frozen_until: 61_000, held: 1, proposals: [about] });

  test("says why, what waits, and for how long at most", () => {
    expect(text(Frozen, { group: frozen })).toBe(
      "Ben accuses Cem: Cem has signed two different things. " +
        "Other proposals wait until it is decided (1 so far), in 1 min at the latest. Chat goes on. Show it",
    );
    expect(text(Frozen, { group: group() })).toBe("");
  });

  test("shows what waits, one's own first", () => {
    const held = (id: string, is_mine: boolean): Held => ({
      ...{ id, kind: "remove", title: `Remove ${id}`, asked_by: ANN, is_mine },
      sentence: "It waits.",
    });
    expect(text(Waiting, { held: [held("Ann", false), held("Ben", true)] })).toBe(
      "Waiting for the emergency 2 Remove Ben It waits. Remove Ann It waits.",
    );
  });
});

describe("a group that one was led to by a link", () => {
  test("says whose link it was until that member is heard", () => {
    expect(text(EpochState, { group: group({ fetching: "3 messages are being fetched." }) })).toContain(
      "3 messages are being fetched.",
    );
    const introduction = "Bob, whose link you used, was not heard here yet.";
    expect(text(GroupNotices, { group: group({ introduction }) })).toBe(introduction);
    expect(html(GroupNotices, { group: group({ introduction }) })).toContain('role="status"');
    expect(text(GroupNotices, { group: group() })).toBe("");
  });
});

describe("a group that this node cannot follow", () => {
  const rejoin = "This node has missed so much of this group that no member can help it any more.";

  test("says why, and has a button where asking for a new seat is up to the person", () => {
    expect(text(GroupNotices, { group: group({ rejoin, can_rejoin: true }) })).toBe(`${rejoin} Ask for a new seat`);
    expect(html(GroupNotices, { group: group({ rejoin, can_rejoin: true }) })).toContain('role="status"');
    const asked = "You asked for a new seat in this group. 2 of your messages go out then.";
    expect(text(GroupNotices, { group: group({ rejoin: asked }) })).toBe(asked);
    expect(html(GroupNotices, { group: group({ rejoin: asked }) })).not.toContain("<button");
    expect(text(GroupNotices, { group: group({ can_rejoin: true }) })).toBe("");
  });

  test("does not take a second click while it asks", () => {
    const shown = group({ rejoin, can_rejoin: true });
    const page = pageWith(shown);
    expect(html(GroupNotices, { group: shown }, page)).not.toContain("disabled");
    page.busy = new Set([`rejoin/${shown.id}`]);
    expect(html(GroupNotices, { group: shown }, page)).toContain("disabled");
  });
});

describe("the age of keys", () => {
  const old = member({ is_me: false, keys_sentence: "Keys renewed 40 days ago.", remarks: ["keys not renewed for 40 days"] });

  test("stands with each other member", () => {
    const words = text(MemberRow, { group: "g", member: old, showsDevice: false });
    expect(words).toContain("Keys renewed 40 days ago. keys not renewed for 40 days");
    expect(html(MemberRow, { group: "g", member: { ...old, keys_sentence: "" }, showsDevice: false })).not.toContain(
      'data-testid="keys"',
    );
    expect(html(MemberRow, { group: "g", member: { ...old, is_me: true }, showsDevice: false })).not.toContain(
      'data-testid="keys"',
    );
  });

  test("is one's own with a button", () => {
    const mine = member({ is_me: true, keys_sentence: "Your keys in this group were renewed 6 days ago." });
    const words = text(Members, { group: group() }, pageWith(group(), [mine, old]));
    expect(words).toContain("Your keys in this group were renewed 6 days ago. Renew now");
    expect(text(Members, { group: group() }, pageWith(group(), [old]))).not.toContain("Renew now");
  });
});

describe("a member's score", () => {
  test("is a button that says how much it is", () => {
    const props = { group: "g", member: member({ score: 62 }), showsDevice: false };
    expect(html(MemberRow, props)).toContain('aria-label="Ann: 62 points. Why?"');
    expect(html(MemberRow, props)).toContain("score low");
  });
});

describe("recovery", () => {
  test("is said below how the group stands, once", () => {
    const recovery = "The nodes are electing new stewards.";
    expect(text(EpochState, { group: group({ recovery }) })).toContain(`You are in sync, in epoch 7. ${recovery}`);
    const silent = "The stewards are silent; Dana, a member, commits in their place.";
    const stuck = group({ recovery: silent, round: round({ open: true, leader: DANA, sentence: "…" }), deadlocked: true });
    const words = text(EpochState, { group: stuck }, pageWith(stuck));
    expect(words).toContain("Have the deadlock noted");
  });
});

describe("the stewards", () => {
  const shown = group({ stewards: [BEN, ANN, CEM], epoch_steward: BEN, backup_steward: ANN });

  test("are drawn in the order of turns, with what is to be said about them in words", () => {
    const remarks = ["lost its turn, leads last for a while"];
    const page = pageWith(shown, [member({ ...CEM, lost_turn: true, remarks })]);
    const words = text(Stewards, { group: { ...shown, stewards_sentence: "The list serves until epoch 9." } }, page);
    expect(words).toBe(
      "Stewards now 3 Ben epoch steward Ann backup steward Cem steward " +
        "Cem: lost its turn, leads last for a while The list serves until epoch 9.",
    );
  });

  test("are counted where there are many", () => {
    const many = Array.from({ length: 64 }, (_, index) => ({ address: `0x${index}`, name: `S${index}` }));
    expect(text(Stewards, { group: { ...shown, stewards: many } })).toContain("and 56 more");
  });
});

describe("a group that cannot go on", () => {
  const waiting = group({
    round: round({
      open: true,
      leader: DANA,
      missing: [ANN, BEN, CEM],
      short: 2,
      waiting: "waiting for 2 of: Ann, Ben, Cem",
      sentence: "The stewards are silent; Dana commits in their place.",
    }),
  });

  test("says why, once, and offers the way out", () => {
    const page = pageWith(waiting);
    const state = text(EpochState, { group: waiting }, page);
    expect(state).toContain("The stewards are silent; Dana commits in their place.");
    expect(state).toContain("Go on without them…");
    expect(text(Consequences, { group: waiting, undecided: [], requests: 0 }, page)).toBe(
      "If you do nothing The commit round goes on by itself.",
    );
  });

  test("that is halted says that nothing changes", () => {
    const halted = group({ halted: "Governance rests." });
    const page = pageWith(halted);
    expect(text(GroupNotices, { group: halted }, page)).toBe("Governance rests. Found a successor…");
    expect(text(EpochState, { group: halted }, page)).toMatch(/^Governance rests\. Found a successor…/u);
    expect(text(Consequences, { group: halted, undecided: [], requests: 0 }, page)).toContain("governance rests");
  });

  test("offers a successor to whoever is invited and not there yet", () => {
    const successor = { founder: ANN, name: "x", invited: true, group: "h", sentence: "Ann founded “x”." };
    const left = group({ successors: [successor, { ...successor, founder: BEN, invited: false, group: null }] });
    const page = pageWith(left);
    expect(text(GroupNotices, { group: left }, page)).toContain("Ann founded “x”. What is said here stays here. Join");
    expect(text(Successors, { group: left }, page)).toBe("Where it goes on 2 Ann founded “x”. Join Ann founded “x”.");
    page.hideSuccessor("g", successor);
    expect(text(GroupNotices, { group: left }, page)).toBe("");
    const there = pageWith(left);
    const summary = { name: "x", state: "asking" as const, members: 0, open_proposals: 0, my_votes_needed: 0 };
    there.known = {
      ...there.known,
      groups: [{ id: "h", ...summary, last_entry: null, last_id: 0, requests: 0, halted: false, frozen: false }],
    };
    expect(text(GroupNotices, { group: left }, there)).toBe("");
    expect(text(Successors, { group: left }, there)).toContain("Open");
  });
});
