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
    };
    const { voters, needed, silence_is_yes } = more;
    return {
      id,
      short_id: id.slice(0, 8),
      kind,
      title: verbs[kind],
      subject,
      asked_by,
      sponsor: null,
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
      policy: [
        "Who is admitted: two thirds of the members vote yes within 1 day; then silence counts as yes.",
        "Who is removed: two thirds of the members vote yes within 1 day; then silence does not count.",
        "Leaving needs no vote.",
        "2 to 5 stewards take turns in making the commits; all members check.",
      ],
      epoch: 7,
      authenticator: hex(`${name} 7`, 64),
      members: people.length,
      stewards: people.slice(0, 3),
      epoch_steward: people[1] ?? people[0],
      backup_steward: people.length > 1 ? people[0] : null,
      proposals: [],
      requests: [],
      round: { open: false, view: 0, leader: null, needed: 0, heard: 0, missing: [], sentence: "" },
      sync: { state: "in sync", sentence: "You are in sync, in epoch 7." },
    };
    groups.set(id, group);
    timelines.set(id, []);
    rosters.set(id, people);
    return group;
  }

  const rosters = new Map();

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
    Object.assign(asking, { epoch: 0, authenticator: "", stewards: [], epoch_steward: null, policy: [] });
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
    main.proposals = [open, removal, refused, admitted];
    main.requests = [{ id: hex("request", 32), person: ERIN, sponsor: BOB, received_at: now - 3 * MINUTE }];
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
    addEntry(main.id, {
      sender: ALICE,
      at: now - 2 * MINUTE,
      text: "Give me a minute, I am reading his request.",
    });

    const quick = found("Test bench", "", "quick", [ALICE, BOB]);
    addEntry(quick.id, { sender: BOB, at: now - 30 * MINUTE, text: "The nightly run is green." });
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
      last_entry: timelines.get(group.id).at(-1) ?? null,
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
        return send(id, body.text);
      case "invites":
        return sharable("demls-invite:", body.lifetime_ms);
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

  function send(id, text) {
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
      () => tellEntry(id, { sender: ALICE, text: text.startsWith("//") ? text.slice(1) : text }),
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
    /** Bob says something, in the named group or the first one he is in. */
    say({ text = "Hello again.", group }) {
      const id = [...groups.values()].find((one) =>
        group === undefined ? one.state === "member" : one.name === group,
      ).id;
      tellEntry(id, { sender: BOB, text });
    },
  };
}

function refused(status, sentence) {
  return Object.assign(new Error(sentence), { status });
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
