import { describe, expect, test } from "vitest";
import { emergency, group, IN_SYNC, member as example, plain, proposal, round, ANN, BEN, CEM, DANA } from "../examples";
import { hintsFor } from "./commands";
import { duration, until } from "./durations";
import { identicon } from "./identicon";
import { pieces } from "./links";
import { counted, nameOf, shortAddress } from "./people";
import { heading, ifNothing, isOfOne, myVote, needsMyVote, statusWord, tally } from "./proposals";
import { courseOf, healthOf, movedBy, newestFirst, restOf, standingOfScore } from "./scores";
import { frozenWords, isStuck, needsSuccessor, openEmergency, standingOf } from "./standing";
import { turnsOf } from "./stewards";
import { peopleOf, supposedlyGone } from "./successor";
import { brief, dayName } from "./times";

const person = { address: "0x52908400098527886e0f7030069857d2e4169ee7", name: "" };

describe("durations", () => {
  test.each([
    [-5, "0 s"],
    [1, "1 s"],
    [59_000, "59 s"],
    [59_001, "1 min"],
    [130_000, "2 min 10 s"],
    [3_600_000, "1 h"],
    [3_900_000, "1 h 5 min"],
    [86_400_000, "1 day"],
    [3 * 86_400_000 + 4 * 3_600_000, "3 days 4 h"],
  ])("%d ms is %s", (ms, words) => {
    expect(plain(duration(ms))).toBe(words);
  });

  test("a deadline that is over is now", () => {
    expect(until(5, 5)).toBe("now");
    expect(plain(until(6005, 5))).toBe("in 6 s");
  });
});

describe("a proposal card", () => {
  test("says what happens if one does nothing", () => {
    expect(plain(ifNothing(proposal(), 0))).toMatch(/^Your silence counts as yes in 10 s, at /u);
    expect(plain(ifNothing(proposal({ silence_is_yes: false }), 0))).toMatch(
      /^Your silence does not count as yes/u,
    );
    expect(plain(ifNothing(proposal({ my_vote: false, may_vote: false }), 0))).toMatch(/^Decided in 10 s/u);
    expect(ifNothing(proposal(), 10_000)).toBe("The time is up; the votes are being counted.");
    expect(ifNothing(proposal({ status: "approved" }), 0)).toBe("Approved: it happens with the next commit.");
    expect(ifNothing(proposal({ status: "rejected" }), 0)).toBe("");
  });

  test("says whether the own vote is final", () => {
    expect(myVote(proposal())).toBe("A vote is final.");
    expect(myVote(proposal({ my_vote: true, may_vote: false }))).toBe("You voted yes. A vote is final.");
    expect(myVote(proposal({ may_vote: false }))).toBe("You have no vote on this.");
    expect(myVote(proposal({ may_vote: false, status: "rejected" }))).toBe("You did not vote.");
  });

  test("asks for a vote only while one can be cast", () => {
    expect(needsMyVote(proposal())).toBe(true);
    expect(needsMyVote(proposal({ my_vote: false }))).toBe(false);
    expect(needsMyVote(proposal({ status: "approved" }))).toBe(false);
  });

  test("says who decides it, if not the reader", () => {
    expect(myVote(proposal({ may_vote: false, decided_by: "stewards" }))).toBe(
      "The stewards decide this; you have no vote on it.",
    );
  });

  test("of the nodes asks for nothing", () => {
    const election = proposal({ kind: "election", by_nodes: true });
    expect(needsMyVote(election)).toBe(false);
    expect(plain(ifNothing(election, 0))).toBe("Nothing to do: the nodes decide it in 10 s at the latest.");
    expect(myVote(election)).toBe("Your node has not voted yet.");
    expect(myVote({ ...election, my_vote: true })).toBe("Your node voted yes.");
    expect(myVote({ ...election, status: "rejected" })).toBe("Your node did not vote.");
  });

  test("of an emergency says what the node does for whoever does not vote", () => {
    const about = proposal({ kind: "emergency", removes: true, silence_is_yes: false, emergency: emergency() });
    expect(needsMyVote(about)).toBe(true);
    expect(plain(ifNothing(about, 0))).toMatch(/^If you do not vote, your node says yes in 5 s, at /u);
    expect(ifNothing(about, 5000)).toBe("Your node says yes now, since you have not voted.");
    const unseen = { ...about, emergency: emergency({ confirmed: false, node_votes: false }) };
    expect(plain(ifNothing(unseen, 0))).toMatch(/^Your silence does not count as yes; it closes in 10 s/u);
  });

  test("of settings has its changes below the heading, if they are known", () => {
    const settings = proposal({ kind: "settings", title: "Change the settings: at most 5 stewards" });
    const differences = [{ field: "stewards_max", label: "Most stewards", before: "3", after: "5" }];
    expect(heading(settings)).toBe("Change the settings: at most 5 stewards");
    expect(heading({ ...settings, differences })).toBe("Change the settings");
  });

  test("names one person only where there is one", () => {
    expect(isOfOne(proposal())).toBe(true);
    expect(isOfOne(proposal({ kind: "dormant" }))).toBe(true);
    expect(isOfOne(proposal({ kind: "settings" }))).toBe(false);
  });

  test("counts down, then says that it is counting", () => {
    expect(plain(statusWord(proposal(), 1))).toBe("10 s left");
    expect(statusWord(proposal(), 10_000)).toBe("Counting");
    expect(statusWord(proposal({ status: "committed" }), 0)).toBe("Committed");
    expect(statusWord(proposal({ status: "noted" }), 0)).toBe("Noted");
  });

  test("draws shares of all voters, and nothing without voters", () => {
    expect(tally(proposal())).toEqual({ yes: 25, silent: 50, no: 25, needed: 75 });
    expect(tally(proposal({ voters: 0 }))).toEqual({ yes: 0, silent: 0, no: 0, needed: 0 });
  });
});

describe("days", () => {
  const noon = new Date(2026, 10, 22, 12).getTime();
  test.each([
    [noon, "Today"],
    [new Date(2026, 10, 21, 23, 59).getTime(), "Yesterday"],
    [new Date(2026, 10, 18).getTime(), "Wednesday 18 November"],
    [new Date(2025, 11, 31).getTime(), "31 December 2025"],
  ])("%d is %s", (at, words) => {
    expect(dayName(at, noon).replace(",", "")).toBe(words);
  });

  test("lists show the time today and the day before that", () => {
    expect(brief(noon, noon)).toBe("12:00");
    expect(brief(noon - 5 * 86_400_000, noon)).toBe("17 Nov");
  });
});

describe("people", () => {
  test("who gives no name is called by address", () => {
    expect(nameOf(person)).toBe("0x5290…9ee7");
    expect(nameOf({ ...person, name: "Bob" })).toBe("Bob");
    expect(shortAddress("0x12")).toBe("0x12");
  });

  test("are counted", () => {
    expect(counted(1, "member")).toBe("1 member");
    expect(counted(1200, "member")).toBe("1,200 members");
  });

  test("have the same picture for the same address, whatever its case", () => {
    expect(identicon(person.address)).toEqual(identicon(person.address.toUpperCase()));
    expect(identicon(person.address)).not.toEqual(identicon("0x00"));
  });

  test("have pictures that are alike left and right", () => {
    const { cells } = identicon(person.address);
    const filled = new Set(cells.map(([column, row]) => `${column} ${row}`));
    for (const [column, row] of cells) expect(filled.has(`${4 - column} ${row}`)).toBe(true);
  });
});

describe("links in messages", () => {
  test("end before the sentence's punctuation", () => {
    expect(pieces("See https://example.org/a?b=1, then (http://localhost:80).")).toEqual([
      { text: "See ", href: null },
      { text: "https://example.org/a?b=1", href: "https://example.org/a?b=1" },
      { text: ", then (", href: null },
      { text: "http://localhost:80", href: "http://localhost:80" },
      { text: ").", href: null },
    ]);
  });

  test.each(["plain", "javascript:alert(1)", "https://", "<b>no</b>"])("%s is text", (text) => {
    expect(pieces(text)).toEqual([{ text, href: null }]);
  });
});

describe("hints for commands", () => {
  const member = (name: string, address: string, is_me = false) => example({ name, address, is_me });
  const members = [
    member("Alice", "0xa1", true),
    member("Bob", "0xb2"),
    member("Bob", "0xb2"),
    member("Carol", "0xc3"),
  ];
  const texts = (draft: string) => hintsFor(draft, members).map((hint) => hint.text);

  test.each([
    ["", []],
    ["hello /", []],
    ["/", ["/ban ", "/leave", "/help"]],
    ["/l", ["/leave"]],
    ["/leave", []],
    ["//", []],
    ["/ban ", ["/ban 0xb2", "/ban 0xc3"]],
    ["/ban car", ["/ban 0xc3"]],
    ["/ban 0xb2", []],
  ])("%j", (draft, expected) => {
    expect(texts(draft)).toEqual(expected);
  });
});

describe("how a group stands", () => {
  const waiting = round({
    open: true,
    leader: ANN,
    leader_is_steward: true,
    missing: [ANN, BEN, CEM],
    short: 2,
    waiting: "waiting for 2 of: Ann, Ben, Cem",
    sentence: "Ann is committing what was approved. The commit round is waiting for 2 of: Ann, Ben, Cem.",
  });
  const replaced = round({
    open: true,
    leader: DANA,
    sentence: "The stewards are silent; Dana commits in their place. 3 of the 4 needed members have answered.",
  });

  test.each([
    ["is in sync", group(), "in sync", /^You are in sync/u],
    ["is in sync while a commit goes well", group({ round: { ...waiting, waiting: "", missing: [] } }), "in sync", /^You/u],
    ["says for whom it waits", group({ round: waiting }), "waiting", /waiting for 2 of: Ann, Ben, Cem/u],
    ["says who stands in for the stewards", group({ round: replaced }), "waiting", /^The stewards are silent; Dana/u],
    [
      "says how it helps itself",
      group({ round: replaced, recovery: "The stewards are silent; Dana, a member, commits in their place." }),
      "waiting",
      /^The stewards are silent; Dana, a member, commits/u,
    ],
    ["says that governance rests", group({ halted: "Governance rests.", round: waiting }), "halted", /^Governance/u],
    ["says that other proposals wait", group({ frozen: "An emergency is being decided." }), "waiting", /^An emergency/u],
    [
      "says first that nothing is heard",
      group({ halted: "Governance rests.", sync: { state: "offline", sentence: "No relay.", share: null } }),
      "offline",
      /^No relay/u,
    ],
    [
      "says that one is out of it",
      group({ state: "left", sync: { state: "waiting", sentence: "You left.", share: null }, round: waiting }),
      "waiting",
      /^You left/u,
    ],
  ])("%s", (_, one, state, sentence) => {
    expect(standingOf(one)).toMatchObject({ state, sentence: expect.stringMatching(sentence) as string });
  });

  test("a successor is offered where it would help", () => {
    expect(needsSuccessor(group())).toBe(false);
    expect(needsSuccessor(group({ round: replaced }))).toBe(false);
    expect(needsSuccessor(group({ round: waiting }))).toBe(true);
    expect(needsSuccessor(group({ halted: "Governance rests." }))).toBe(true);
    expect(needsSuccessor(group({ state: "left", round: waiting }))).toBe(false);
  });

  test("a freeze says what waits, and for how long at most", () => {
    const about = proposal({ kind: "emergency", status: "open" });
    const frozen = group({ frozen: "…", frozen_until: 90_000, held: 2, proposals: [proposal(), about] });
    expect(plain(frozenWords(frozen, 0))).toBe(
      "Other proposals wait until it is decided (2 so far), in 1 min 30 s at the latest. Chat goes on.",
    );
    expect(openEmergency(frozen)).toBe(about);
    expect(openEmergency(group({ proposals: [{ ...about, status: "noted" }] }))).toBeNull();
    expect(frozenWords(group(), 0)).toBe("Other proposals wait until it is decided. Chat goes on.");
  });

  test("a round without a leader yet is nothing to worry about", () => {
    const begun = group({ round: { ...replaced, leader: null } });
    expect(isStuck(begun)).toBe(false);
    expect(standingOf(begun)).toBe(IN_SYNC);
  });
});

describe("the stewards", () => {
  const list = { stewards: [ANN, BEN, CEM], epoch_steward: ANN, backup_steward: BEN };

  test("stand in the order of turns, with their roles", () => {
    expect(turnsOf(list, []).map((turn) => [turn.person.name, turn.role])).toEqual([
      ["Ann", "epoch steward"],
      ["Ben", "backup steward"],
      ["Cem", "steward"],
    ]);
  });

  test("carry what is to be said about them, whichever device it is about", () => {
    const remarks = ["lost its turn, leads last for a while"];
    const members = [
      example({ ...BEN, lost_turn: true, remarks }),
      example(BEN),
      example({ ...CEM, dormant: true, remarks: ["counted no longer until heard again"] }),
    ];
    expect(turnsOf(list, members)).toMatchObject([
      { remarks: [], isDormant: false, hasLostTurn: false },
      { remarks, hasLostTurn: true },
      { isDormant: true },
    ]);
  });
});

describe("a successor", () => {
  const members = [
    example({ ...ANN, is_me: true }),
    example(BEN),
    example({ ...BEN, device: "phone" }),
    example({ ...CEM, dormant: true }),
    example({ ...DANA, removal_pending: true }),
  ];

  test("is founded with others, each once, none who is going", () => {
    expect(peopleOf(members).map((person) => person.name)).toEqual(["Ben", "Cem"]);
  });

  test("leaves out whoever is not heard, unless chosen", () => {
    const people = peopleOf(members);
    expect(supposedlyGone(group(), people)).toEqual([CEM.address]);
    expect(supposedlyGone(group({ round: round({ missing: [BEN] }) }), people)).toEqual([BEN.address, CEM.address]);
  });
});

describe("a score", () => {
  const bounds = { start: 100, threshold: 0 };
  const moves = [
    { cause: "committed the group's work", points: 10, epoch: 2, after: 110 },
    { cause: "offered a broken commit", points: -50, epoch: 3, after: 60 },
  ];
  const low = example({ score: 62, score_history: moves });

  test("goes from a newcomer's, over its moves, to what it is", () => {
    const { points, start, threshold } = courseOf(low, bounds);
    expect(points.map((point) => point.kind)).toEqual(["end", "gain", "loss", "end"]);
    expect(points.map((point) => point.x)).toEqual([0, 1 / 3, 2 / 3, 1]);
    expect(points.map((point) => Math.round(point.y * 110))).toEqual([100, 110, 60, 62]);
    expect([start, threshold].map((height) => Math.round(height * 110))).toEqual([100, 0]);
  });

  test("without moves is a line, and one below the threshold is drawn too", () => {
    expect(courseOf(example(), bounds).points.map((point) => point.y)).toEqual([1, 1]);
    expect(courseOf(example({ score: -50 }), bounds).points.at(-1)?.y).toBe(0);
    expect(courseOf(example({ score: 0 }), { start: 0, threshold: 0 }).points[0]?.y).toBe(0.5);
  });

  test.each([
    [100, "good", 1],
    [120, "good", 1],
    [60, "low", 0.6],
    [0, "bad", 0],
    [-30, "bad", 0],
  ])("of %d is %s", (score, standing, health) => {
    expect(standingOfScore(score, bounds)).toBe(standing);
    expect(healthOf(score, bounds)).toBeCloseTo(health);
  });

  test("says by how much it moved, and what no move tells of", () => {
    expect([-50, 10].map(movedBy)).toEqual(["−50", "+10"]);
    expect(newestFirst(moves).map((move) => move.epoch)).toEqual([3, 2]);
    expect(restOf(low, 100)).toBe(2);
    expect(restOf(example(), 100)).toBe(0);
  });
});
