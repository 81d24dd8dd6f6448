/** The pretend groups of the pretend node: Alice (whose node it is), Bob, Carol, and what they say and decide. */
import { createHash } from "node:crypto";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const hex = (text, digits) => createHash("sha256").update(text).digest("hex").slice(0, digits);
const person = (name) => ({ name, address: `0x${hex(name, 40)}` });

const ALICE = person("Alice");
const BOB = person("Bob");
const CAROL = person("Carol");
const DAVE = person("Dave");
const ERIN = person("Erin");
const MALLORY = person("Mallory");

const rule = (duration_ms, silence_is_yes, decided_by = "members") => ({
  decided_by,
  share: "two thirds",
  duration_ms,
  silence_is_yes,
});

const SENTENCES = [
  "Who is admitted: two thirds of the members vote yes within 1 day; then, with more than two of them, silence counts as yes.",
  "Who is removed: two thirds of the members vote yes within 1 day; silence is no yes.",
  "Leaving needs no vote.",
  "2 to 3 stewards take turns in making the commits; all members check.",
  "Members not heard for 14 days may be counted no longer, until they are heard again.",
];

const QUICK = {
  preset: "quick",
  invite: rule(30 * SECOND, true),
  remove: rule(30 * SECOND, true),
  election: rule(30 * SECOND, false),
  settings: rule(30 * SECOND, false),
  stewards_min: 1,
  stewards_max: 7,
  batch_window_ms: 300,
  delivery_time_ms: 2 * SECOND,
  reelections_max: 2,
  dormant_after_ms: 14 * DAY,
  emergency: rule(30 * SECOND, false),
  scoring: {
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
  },
  sentences: SENTENCES,
};
const DAILY = {
  ...QUICK,
  preset: "day",
  invite: rule(DAY, true),
  remove: rule(DAY, false),
  election: rule(10 * MINUTE, false),
  emergency: rule(10 * MINUTE, false),
  settings: rule(2 * DAY, false),
  batch_window_ms: 5 * SECOND,
};
const COUNCIL = {
  ...DAILY,
  preset: "council",
  invite: rule(DAY, true, "stewards"),
  stewards_min: 64,
  stewards_max: 64,
};
const PRESETS = [QUICK, DAILY, COUNCIL];

const NO_ROUND = {
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
};
const SCORE = {
  score: 100,
  score_history: [],
  proofs: [],
  accusation: "",
};
const move = (epoch, points, after, cause) => ({ epoch, points, after, cause });
const SCORES = {
  Bob: {
    score: 116,
    score_history: [
      move(2, 10, 110, "committed the group's work"),
      move(4, -5, 105, "led without a commit"),
      move(5, 10, 115, "committed the group's work"),
    ],
  },
  Mallory: {
    score: 42,
    score_history: [
      move(2, 10, 110, "committed the group's work"),
      move(3, -50, 60, "offered a broken commit"),
      move(4, -30, 30, "offered a commit that does something else than was decided"),
      move(6, 10, 40, "committed the group's work"),
    ],
    proofs: [
      "Mallory signed a commit that is no commit at all for the epoch that it was offered in, in epoch 3, attempt 1 (check V01).",
      "Mallory signed a commit that does something else than was decided, in epoch 4, attempt 1 (check V10).",
    ],
    accusation: "note",
    accusation_sentence:
      "Your node can prove that Mallory has offered a broken commit. That is not enough for a removal at once: the members would only note it, and every node would score it.",
  },
};

const HALTED =
  "Governance rests: two different commits of one epoch were certified, so nobody can be admitted or removed any more. " +
  "You can still talk; whoever founds a successor group lets people go on there.";

const TALK = [
  [BOB, "Morning! Did everybody get the draft for Thursday?"],
  [ALICE, "Yes, read it on the train. The part about the relay reads well now."],
  [
    CAROL,
    "I still stumble over the second page. Can we say in one sentence what happens when a steward is silent?",
  ],
  [BOB, "The backup steward takes over, and the silent one loses their turn."],
  [BOB, "That is all there is to it."],
  [CAROL, "Then let us write exactly that 🙂"],
  [ALICE, "Done. See https://example.org/drafts/thursday, the paragraph is new."],
  [CAROL, "Much better, thank you."],
  [MALLORY, "limited offer!!! coins for everybody, only today"],
  [BOB, "Who let that one in?"],
  [ALICE, "All of us; it was by silence.\nI have asked the group to remove them."],
  [CAROL, "Voted."],
];

export function createStory({ messages, members, isEmpty, tell }) {
  let nextId = 1;
  const groups = new Map();
  const timelines = new Map();

  function addEntry(group, entry) {
    const full = {
      id: nextId,
      group,
      at: Date.now(),
      kind: "message",
      sender: null,
      is_mine: entry.sender?.address === ALICE.address,
      text: "",
      epoch: groups.get(group)?.epoch ?? null,
      proposal: null,
      client_id: null,
      late: false,
      ...entry,
    };
    nextId += 1;
    timelines.get(group).push(full);
    return full;
  }

  function tellEntry(group, entry) {
    const full = addEntry(group, entry);
    tell({ type: "timeline", id: full.id, entry: full });
    tellGroups();
  }

  function tellGroups() {
    tell({ type: "groups", groups: summaries() });
  }

  function tellGroup(id) {
    tell({ type: "group", group: groups.get(id) });
    tellGroups();
  }

  function proposal(group, kind, subject, asked_by, more) {
    const id = hex(`${group} ${kind} ${subject.name} ${more.opened_at}`, 64);
    const verbs = {
      invite: `Admit ${subject.name}`,
      remove: `Remove ${subject.name}`,
      leave: `${subject.name} leaves`,
      settings: "Change the settings",
    };
    const { voters, needed, silence_is_yes } = more;
    return {
      id,
      short_id: id.slice(0, 8),
      kind,
      title: verbs[kind] ?? "",
      subject,
      asked_by,
      sponsor: null,
      decided_by: "members",
      share: "two thirds",
      by_nodes: false,
      stewards: [],
      retry_round: 0,
      differences: [],
      violation: "",
      removes: false,
      emergency: null,
      rule: `Passes with ${needed} of ${voters}; ${silence_is_yes ? "silence counts as yes when the time is up." : "without them it is rejected when the time is up."}`,
      my_vote: null,
      may_vote: true,
      status: "open",
      result: "",
      epoch: null,
      ...more,
    };
  }

  function found(name, description, preset, people, state = "member") {
    const id = hex(name, 32);
    const group = {
      id,
      name,
      description,
      state,
      preset,
      policy: { ...DAILY, stewards_min: 2, stewards_max: 3 },
      epoch: 7,
      authenticator: hex(`${name} 7`, 64),
      members: people.length,
      counted: people.length,
      dormant: 0,
      stewards: [people[1], people[0], people[2]].filter(Boolean),
      epoch_steward: people[1] ?? people[0] ?? null,
      backup_steward: people.length > 1 ? people[0] : null,
      stewards_until: 9,
      stewards_sentence:
        people.length > 2 ? "Bob, Alice and Carol take turns, in this order; the list serves until epoch 9." : "",
      halted: "",
      frozen: "",
      frozen_until: null,
      held: 0,
      waiting: [],
      recovery: "",
      deadlocked: false,
      introduction: "",
      fetching: "",
      successors: [],
      proposals: [],
      requests: [],
      round: NO_ROUND,
      sync: { state: "in sync", sentence: "You are in sync, in epoch 7." },
    };
    groups.set(id, group);
    timelines.set(id, []);
    rosters.set(id, people);
    return group;
  }

  const rosters = new Map();
  /** What there is to say about members, by group and address. */
  const marks = new Map();

  if (!isEmpty) {
    const now = Date.now();
    const past = found("Reading circle", "", "day", [BOB, CAROL], "removed");
    past.sync = {
      state: "waiting",
      sentence: "You were removed from this group; you can read what was written before.",
    };
    addEntry(past.id, { sender: BOB, at: now - 9 * DAY, text: "See you next month!" });
    addEntry(past.id, {
      kind: "notice",
      at: now - 8 * DAY,
      text: "You were removed by the commit of epoch 12.",
    });

    const asking = found("Garden collective", "", "day", [], "asking");
    Object.assign(asking, { epoch: 0, authenticator: "", stewards: [], epoch_steward: null, policy: null });
    asking.sync = {
      state: "waiting",
      sentence: "You have asked to join. The members decide; nothing to do for now.",
    };
    addEntry(asking.id, { kind: "notice", at: now - 2 * HOUR, text: "You asked to join Garden collective." });

    const others = Array.from({ length: Math.max(0, members - 3) }, (_, index) =>
      person(`Member ${index + 4}`),
    );
    const main = found("Protocol circle", "What we build, and what we decide about it", "day", [
      ALICE,
      BOB,
      CAROL,
      ...others,
    ]);
    const admitted = proposal(main.id, "invite", CAROL, BOB, {
      opened_at: now - 26 * HOUR,
      deadline: now - 25 * HOUR,
      voters: 2,
      needed: 2,
      yes: 2,
      no: 0,
      silent: 0,
      silence_is_yes: true,
      my_vote: true,
      may_vote: false,
      status: "committed",
      epoch: 6,
      result: "Carried out; the group is in epoch 6 since.",
    });
    const refused = proposal(main.id, "invite", ERIN, CAROL, {
      opened_at: now - 5 * HOUR,
      deadline: now - 4 * HOUR,
      voters: 4,
      needed: 3,
      yes: 1,
      no: 2,
      silent: 1,
      silence_is_yes: true,
      my_vote: false,
      may_vote: false,
      status: "rejected",
      result: "Rejected: 2 of 4 voted no, so 3 can no longer be reached.",
    });
    const removal = proposal(main.id, "remove", MALLORY, ALICE, {
      opened_at: now - 50 * MINUTE,
      deadline: now - 20 * MINUTE,
      voters: 3,
      needed: 2,
      yes: 3,
      no: 0,
      silent: 0,
      silence_is_yes: false,
      my_vote: true,
      may_vote: false,
      status: "committed",
      epoch: 7,
      result: "Carried out; the group is in epoch 7 since.",
    });
    const open = proposal(main.id, "invite", DAVE, BOB, {
      opened_at: now - 8 * MINUTE,
      deadline: now + 12 * MINUTE + 9 * SECOND,
      voters: 3,
      needed: 2,
      yes: 1,
      no: 0,
      silent: 2,
      silence_is_yes: true,
      sponsor: CAROL,
    });
    const elected = proposal(main.id, "election", BOB, BOB, {
      title: "Elect the stewards Bob, Alice and Carol, in this order",
      rule: "Passes with 2 of 3 votes, two thirds of the members; without them it is rejected. Nodes vote on this by themselves. It was tried once before.",
      by_nodes: true,
      stewards: [BOB, ALICE, CAROL],
      retry_round: 1,
      opened_at: now - 19 * MINUTE,
      deadline: now - 9 * MINUTE,
      voters: 3,
      needed: 2,
      yes: 3,
      no: 0,
      silent: 0,
      silence_is_yes: false,
      my_vote: true,
      may_vote: false,
      status: "committed",
      epoch: 7,
      result: "3 of 3 voted yes. Carried out by the commit of epoch 7.",
    });
    const asleep = proposal(main.id, "dormant", CAROL, BOB, {
      title: "Count Carol no longer: not heard for 14 days",
      rule: "Passes with 2 of 3 votes, two thirds of the members; without them it is rejected. Nodes vote on this by themselves.",
      by_nodes: true,
      opened_at: now - 3 * MINUTE,
      deadline: now + 7 * MINUTE,
      voters: 3,
      needed: 2,
      yes: 1,
      no: 0,
      silent: 2,
      silence_is_yes: false,
      my_vote: true,
      may_vote: false,
    });
    const rules = proposal(main.id, "settings", CAROL, CAROL, {
      title: "Change the settings: votes on removals last 3 days, at most 5 stewards",
      differences: [
        { field: "remove.duration_ms", label: "Removals, time to vote", before: "1 day", after: "3 days" },
        { field: "stewards_max", label: "Most stewards", before: "3", after: "5" },
      ],
      opened_at: now - 5 * MINUTE,
      deadline: now + 2 * DAY,
      voters: 3,
      needed: 2,
      yes: 1,
      no: 0,
      silent: 2,
      silence_is_yes: false,
      my_vote: false,
      may_vote: false,
    });
    rules.no = 1;
    rules.silent = 1;
    main.proposals = [open, rules, asleep, elected, removal, refused, admitted];
    main.requests = [
      {
        id: hex("request", 32),
        person: ERIN,
        sponsor: BOB,
        received_at: now - 3 * MINUTE,
        needs_sponsor: true,
        sentence:
          "Erin asks to join, with an invite link of Bob that is open to anybody. There is no vote until a member answers for the person.",
      },
    ];
    const opened = (one, text) =>
      addEntry(main.id, { kind: "notice", at: one.opened_at, text, proposal: one.id });
    opened(admitted, "Bob asks the group to admit Carol.");
    addEntry(main.id, {
      kind: "notice",
      at: now - 25 * HOUR,
      text: "Carol is a member now (epoch 6).",
      proposal: admitted.id,
    });
    for (let index = 0; index < messages; index += 1) {
      const [sender, text] = TALK[index % TALK.length];
      const round = Math.floor(index / TALK.length);
      const at = now - 24 * HOUR + Math.floor((index / messages) * 23 * HOUR);
      addEntry(main.id, { sender, at, text: round === 0 ? text : `${text} (${round + 1})` });
    }
    opened(refused, "Carol asks the group to admit Erin.");
    opened(removal, "You ask the group to remove Mallory.");
    addEntry(main.id, { sender: CAROL, at: now - 45 * MINUTE, text: "Yes please." });
    addEntry(main.id, {
      kind: "notice",
      at: now - 20 * MINUTE,
      text: "Mallory was removed (epoch 7).",
      proposal: removal.id,
    });
    addEntry(main.id, {
      kind: "quiet",
      at: now - 19 * MINUTE,
      text: "The nodes vote whether to elect the stewards Bob, Alice and Carol, in this order.",
      proposal: elected.id,
    });
    addEntry(main.id, {
      kind: "quiet",
      at: now - 18 * MINUTE,
      text: "Bob, you and Carol are the stewards now, elected (epoch 7).",
    });
    addEntry(main.id, {
      kind: "warning",
      at: now - 15 * MINUTE,
      text: "2 messages of epoch 5 could not be decrypted: this node was away for longer than keys are kept.",
    });
    opened(open, "Bob asks the group to admit Dave.");
    addEntry(main.id, {
      sender: BOB,
      at: now - 7 * MINUTE,
      text: "Dave wrote the simulator that we all use. I would like to have him here.",
    });
    addEntry(main.id, { sender: CAROL, at: now - 6 * MINUTE, text: "+1" });
    opened(rules, "Carol proposes to change the settings.");
    addEntry(main.id, {
      kind: "quiet",
      at: asleep.opened_at,
      text: "The nodes vote whether to count Carol no longer.",
      proposal: asleep.id,
    });
    addEntry(main.id, {
      sender: ALICE,
      at: now - 2 * MINUTE,
      text: "Give me a minute, I am reading his request.",
    });

    const old = found("Weavers", "", "day", [ALICE, BOB, CAROL, DAVE]);
    addEntry(old.id, { sender: DAVE, at: now - 3 * HOUR, text: "Has anybody heard of Carol lately?" });
    const missing = [BOB, CAROL, DAVE];
    const sentence =
      "The stewards are silent; Alice commits in their place. The commit round is waiting for 2 of: Bob, Carol, Dave.";
    Object.assign(old, {
      recovery:
        "Too few members are heard to make a commit, waiting for 2 of: Bob, Carol, Dave; the nodes are electing new stewards (round 2).",
      deadlocked: true,
      counted: 3,
      dormant: 1,
      round: {
        ...NO_ROUND,
        open: true,
        leader: ALICE,
        view: 2,
        needed: 3,
        heard: 1,
        missing,
        short: 2,
        waiting: "waiting for 2 of: Bob, Carol, Dave",
        sentence,
      },
      sync: { state: "waiting", sentence },
      successors: [
        {
          founder: DAVE,
          name: "Weavers, again",
          invited: true,
          group: hex("Weavers, again", 32),
          sentence: "Dave founded “Weavers, again”, a group that goes on from this one; you are invited.",
        },
      ],
    });
    marks.set(old.id, {
      [BOB.address]: { lost_turn: true, remarks: ["lost its turn, leads last for a while"] },
      [CAROL.address]: { dormant: true, remarks: ["counted no longer until heard again"] },
    });

    accuse(now);

    const quick = found("Test bench", "", "quick", [ALICE, BOB]);
    addEntry(quick.id, { sender: BOB, at: now - 30 * MINUTE, text: "The nightly run is green." });
  }

  /** A group in which somebody is accused, so that other proposals wait. */
  function accuse(now) {
    const frozen = found("Allotment", "Who waters what", "day", [ALICE, BOB, CAROL, MALLORY]);
    addEntry(frozen.id, { sender: CAROL, at: now - 3 * MINUTE, text: "Did somebody else see that commit?" });
    const about = proposal(frozen.id, "emergency", MALLORY, BOB, {
      title: "Remove Mallory at once: has signed two different things",
      rule: "Passes with 3 of 4 votes, two thirds of the members; without them it is rejected.",
      violation: "has signed two different things",
      removes: true,
      emergency: {
        accuser: BOB,
        accused: MALLORY,
        violation: "has signed two different things",
        proofs: [
          "Mallory signed that it acknowledged one commit, and that it acknowledged another, in epoch 7, attempt 1.",
        ],
        removes: true,
        confirmed: true,
        nodes_vote_at: now + 3 * MINUTE,
        node_votes: true,
        sentence: "Bob accuses Mallory: Mallory has signed two different things.",
        yes: "Mallory goes at once, with a commit that waits for nothing else.",
        no: "Mallory stays, and nodes do not ask about the same acts again. Bob loses 50 points.",
        nodes:
          "You may vote before: from 12:05:00 on, nodes that have confirmed all proofs say yes for people who have not voted. Yours has confirmed them.",
      },
      opened_at: now - 2 * MINUTE,
      deadline: now + 8 * MINUTE,
      voters: 4,
      needed: 3,
      yes: 1,
      no: 0,
      silent: 3,
      silence_is_yes: false,
    });
    frozen.proposals = [about];
    frozen.frozen =
      "An emergency is being decided: elections and other proposals wait until it is, at the latest until 12:10:00. Chat, open votes and leaving go on. 2 proposals wait so far, 1 of them yours.";
    frozen.frozen_until = now + 8 * MINUTE;
    frozen.held = 2;
    frozen.waiting = [
      {
        id: hex("held 1", 64),
        kind: "invite",
        title: "Admit Erin",
        asked_by: CAROL,
        is_mine: false,
        sentence: "Carol proposes it; it waits for the emergency to be decided, and is opened then by itself.",
      },
      {
        id: hex("held 2", 64),
        kind: "settings",
        title: "Rename the group to “Kitchen garden”",
        asked_by: ALICE,
        is_mine: true,
        sentence: "You propose it; it waits for the emergency to be decided, and is opened then by itself.",
      },
    ];
    addEntry(frozen.id, {
      kind: "notice",
      at: about.opened_at,
      text: "The vote is open whether to remove Mallory at once: has signed two different things.",
      proposal: about.id,
    });
    addEntry(frozen.id, {
      kind: "notice",
      at: about.opened_at,
      text: "An emergency is being decided: other proposals wait until it is, at the latest until 12:10:00. Chat goes on.",
    });
    addEntry(frozen.id, { sender: ALICE, at: now - MINUTE, text: "I am looking at the proof now." });
  }

  function summaries() {
    return [...groups.values()].map((group) => ({
      id: group.id,
      name: group.name,
      state: group.state,
      members: group.members,
      open_proposals: group.proposals.filter((one) => one.status === "open").length,
      my_votes_needed: group.proposals.filter(
        (one) => one.status === "open" && one.may_vote && one.my_vote === null,
      ).length,
      last_entry: timelines.get(group.id).findLast((entry) => entry.kind !== "quiet") ?? null,
      last_id: timelines.get(group.id).at(-1)?.id ?? 0,
      requests: group.requests.filter((request) => request.needs_sponsor).length,
      halted: group.halted !== "",
      frozen: group.frozen !== "",
    }));
  }

  function node() {
    return {
      version: "0.0.0",
      me: ALICE,
      relay: {
        where: "ws://127.0.0.1:9000",
        connected: true,
        since: Date.now(),
        sentence: "Connected to the relay.",
      },
      wallet_imported: false,
    };
  }

  function change(id, to) {
    groups.set(id, { ...groups.get(id), ...to });
  }

  function vote(id, proposalId, yes) {
    const group = groups.get(id);
    const proposals = group.proposals.map((one) => {
      if (one.id !== proposalId) return one;
      const voted = {
        ...one,
        my_vote: yes,
        may_vote: false,
        silent: one.silent - 1,
        yes: one.yes + (yes ? 1 : 0),
        no: one.no + (yes ? 0 : 1),
      };
      if (voted.yes < voted.needed) return voted;
      return {
        ...voted,
        status: "approved",
        result: `Approved: ${voted.yes} of ${voted.voters} voted yes. The next commit carries it out.`,
      };
    });
    change(id, { proposals });
    tellGroup(id);
    const decided = proposals.find((one) => one.id === proposalId);
    if (decided.status === "approved") setTimeout(() => commit(id, decided), 2500);
    return { sentence: `You voted ${yes ? "yes" : "no"} on “${decided.title}”.` };
  }

  function commit(id, decided) {
    const group = groups.get(id);
    const epoch = group.epoch + 1;
    const people = rosters.get(id);
    const isAdmitted = decided.kind === "invite";
    const roster = isAdmitted
      ? [...people, decided.subject]
      : people.filter((one) => one.address !== decided.subject.address);
    rosters.set(id, roster);
    change(id, {
      epoch,
      authenticator: hex(`${group.name} ${epoch}`, 64),
      members: roster.length,
      sync: { state: "in sync", sentence: `You are in sync, in epoch ${epoch}.` },
      proposals: group.proposals.map((one) =>
        one.id === decided.id
          ? {
              ...one,
              status: "committed",
              epoch,
              result: `Carried out; the group is in epoch ${epoch} since.`,
            }
          : one,
      ),
    });
    tellGroup(id);
    const text = isAdmitted
      ? `${decided.subject.name} is a member now (epoch ${epoch}).`
      : `${decided.subject.name} was removed (epoch ${epoch}).`;
    tellEntry(id, { kind: "notice", text, proposal: decided.id });
  }

  function open(id, kind, subject, sponsor) {
    const group = groups.get(id);
    const one = proposal(id, kind, subject, ALICE, {
      opened_at: Date.now(),
      deadline: Date.now() + DAY,
      voters: group.members,
      needed: Math.ceil((2 * group.members) / 3),
      yes: 1,
      no: 0,
      silent: group.members - 1,
      silence_is_yes: kind === "invite",
      my_vote: true,
      may_vote: false,
      sponsor,
    });
    change(id, { proposals: [one, ...group.proposals] });
    tellGroup(id);
    tellEntry(id, { kind: "notice", text: `You ask the group: ${one.title}.`, proposal: one.id });
    return { sentence: `Proposal ${one.short_id} is open; the members vote on it.`, proposal: one.id };
  }

  const sharable = (text, days) => ({
    text: `${text}${hex(`${text} ${Date.now()}`, 60)}${hex(text, 60)}`,
    qr_svg: picture(text),
    expires_at: days === null ? null : Date.now() + days,
  });

  function answer(method, route, body, query) {
    const parts = route.split("/").filter(Boolean);
    if (route === "/node") return node();
    if (route === "/contact") return sharable("demls-contact:", null);
    if (route === "/presets") return PRESETS;
    if (route === "/groups" && method === "GET") return summaries();
    if (route === "/groups") {
      const group = found(body.name, body.description, body.preset, [ALICE]);
      change(group.id, {
        epoch: 0,
        sync: { state: "in sync", sentence: "You are in sync, in epoch 0." },
        backup_steward: null,
      });
      tellEntry(group.id, { kind: "notice", text: `You founded ${body.name}.` });
      tellGroup(group.id);
      return groups.get(group.id);
    }
    if (route === "/groups/join")
      throw refused(400, "This is not an invite link; it begins with “demls-invite:”. Copy it whole.");
    const id = parts[1];
    const group = groups.get(id);
    if (group === undefined) throw refused(404, "This node has no such group.");
    const what = parts[2] ?? "";
    if (method === "DELETE") {
      groups.delete(id);
      tellGroups();
      return undefined;
    }
    switch (what) {
      case "":
        return group;
      case "members":
        return rosters.get(id).map((one) => ({
          ...one,
          device: "laptop",
          role:
            one.address === group.epoch_steward?.address
              ? "epoch steward"
              : one.address === group.backup_steward?.address
                ? "backup steward"
                : group.stewards.includes(one)
                  ? "steward"
                  : "member",
          is_me: one.address === ALICE.address,
          dormant: false,
          lost_turn: false,
          remarks: [],
          score_sentence: `${one.name} has 100 points, as every newcomer has.`,
          accusation_sentence: "",
          ...SCORE,
          ...SCORES[one.name],
          ...marks.get(id)?.[one.address],
          removal_pending: group.proposals.some(
            (proposed) =>
              proposed.kind === "remove" &&
              proposed.status === "approved" &&
              proposed.subject.address === one.address,
          ),
        }));
      case "timeline": {
        const before = Number(query.get("before") ?? Number.MAX_SAFE_INTEGER);
        return timelines
          .get(id)
          .filter((entry) => entry.id < before)
          .slice(-Number(query.get("limit") ?? 100));
      }
      case "messages":
        return send(id, body.text, body.client_id ?? null);
      case "invites":
        return sharable(body.open ? "demls-invite:open:" : "demls-invite:", body.lifetime_ms);
      case "settings":
        return openSettings(id, body);
      case "successors":
        return succeed(id, parts, body);
      case "emergencies":
        if (body.about === "deadlock")
          throw refused(409, "There is no deadlock to be shown: it takes a commit round that is past its last steward.");
        if (SCORES.Mallory.accusation === "" || body.address !== MALLORY.address)
          throw refused(409, "Your node has no proof that this member broke a rule.");
        throw refused(409, "The members have decided on all that your node can prove against Mallory.");
      case "invitations":
        throw refused(400, "This is not a contact; it begins with “demls-contact:”. Copy it whole.");
      case "removals":
        return open(
          id,
          "remove",
          rosters.get(id).find((one) => one.address === body.address),
          null,
        );
      case "proposals":
        if (method === "GET") return group.proposals.find((one) => one.id === parts[3]);
        return vote(id, parts[3], body.yes);
      case "requests": {
        const request = group.requests.find((one) => one.id === parts[3]);
        change(id, { requests: group.requests.filter((one) => one !== request) });
        if (parts[4] === "sponsor") return open(id, "invite", request.person, ALICE);
        tellGroup(id);
        return { sentence: "The request is dismissed." };
      }
      case "leave":
        change(id, {
          state: "left",
          sync: { state: "waiting", sentence: "You left this group; you can read what was written before." },
        });
        tellGroup(id);
        return { sentence: `You leave ${group.name} with its next commit.` };
      default:
        throw refused(404, "There is nothing here.");
    }
  }

  function openSettings(id, body) {
    const { policy } = groups.get(id);
    const most = body.policy.stewards_max;
    if (most !== undefined && most < policy.stewards_min)
      throw refused(409, "The number of stewards is between 1 and 500, the least not above the most.");
    const one = open(id, "settings", ALICE, null);
    const differences = [
      ...(body.name === undefined
        ? []
        : [{ field: "name", label: "Name", before: groups.get(id).name, after: body.name }]),
      ...(most === undefined
        ? []
        : [
            {
              field: "stewards_max",
              label: "Most stewards",
              before: String(policy.stewards_max),
              after: String(most),
            },
          ]),
    ];
    const proposals = groups
      .get(id)
      .proposals.map((shown) => (shown.id === one.proposal ? { ...shown, differences } : shown));
    change(id, { proposals });
    tellGroup(id);
    return one;
  }

  function succeed(id, parts, body) {
    const old = groups.get(id);
    const offer = parts[3] === undefined ? null : old.successors[0];
    const name = offer?.name ?? body.name;
    const founder = offer?.founder ?? ALICE;
    if (offer === null && !body.again && old.successors.some((one) => one.founder === ALICE))
      throw refused(409, "You have founded a successor of this group already. Found one more?", "already-founded");
    const made = found(name, old.description, "day", [ALICE]);
    tellEntry(made.id, { kind: "notice", text: "You joined (epoch 1)." });
    if (offer === null) {
      const sentence = `You founded “${name}”, a group that goes on from this one.`;
      change(id, {
        successors: [...old.successors, { founder, name, invited: true, group: made.id, sentence }],
      });
      tellEntry(id, { kind: "notice", text: sentence });
    }
    tellGroup(id);
    return groups.get(made.id);
  }

  function send(id, text, client_id) {
    if (text === "/help")
      return {
        sentence: "Commands: /ban <wallet address> proposes to remove a member; /leave leaves this group.",
      };
    if (text.startsWith("/ban ")) {
      const subject = rosters.get(id).find((one) => one.address === text.slice(5).trim());
      if (subject === undefined) throw refused(400, "Nobody with this address is a member.");
      return open(id, "remove", subject, null);
    }
    if (text.startsWith("/") && !text.startsWith("//"))
      throw refused(400, `There is no command “${text}”. Try /help.`);
    setTimeout(
      () => tellEntry(id, { sender: ALICE, text: text.startsWith("//") ? text.slice(1) : text, client_id }),
      30,
    );
    return { sentence: "Sent." };
  }

  return {
    answer,
    /** What a socket is told first. */
    snapshot(after) {
      const missed = after === null ? [] : [...timelines.values()].flat().filter((entry) => entry.id > after);
      return [
        { type: "node", node: node() },
        { type: "groups", groups: summaries() },
        ...missed.sort((a, b) => a.id - b.id).map((entry) => ({ type: "timeline", id: entry.id, entry })),
        ...[...groups.values()].map((group) => ({ type: "group", group })),
      ];
    },
    /** Governance of the named group rests. */
    halt({ group }) {
      const { id } = [...groups.values()].find((one) => one.name === group);
      change(id, { halted: HALTED, sync: { state: "waiting", sentence: HALTED } });
      tellGroup(id);
    },
    /** Bob says something, in the named group or the first one he is in. */
    say({ text = "Hello again.", group }) {
      const id = [...groups.values()].find((one) =>
        group === undefined ? one.state === "member" : one.name === group,
      ).id;
      tellEntry(id, { sender: BOB, text });
    },
  };
}

function refused(status, sentence, code = "fake") {
  return Object.assign(new Error(sentence), { status, code });
}

/** Looks like a QR code from afar. */
function picture(text) {
  const bits = createHash("sha512").update(text).digest();
  const squares = [];
  for (let index = 0; index < 29 * 29; index += 1) {
    const [x, y] = [index % 29, Math.floor(index / 29)];
    if ((bits[(index * 7 + y) % 64] >> (index % 8)) & 1) squares.push(`M${x + 4} ${y + 4}h1v1h-1z`);
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="148" height="148" viewBox="0 0 37 37"><path fill="#fff" d="M0 0h37v37H0z"/><path d="${squares.join("")}"/></svg>`;
}
