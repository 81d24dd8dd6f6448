import { describe, expect, test } from "vitest";
import type { Member, Proposal } from "../api/types";
import { hintsFor } from "./commands";
import { duration, until } from "./durations";
import { identicon } from "./identicon";
import { pieces } from "./links";
import { counted, nameOf, shortAddress } from "./people";
import { ifNothing, myVote, needsMyVote, statusWord, tally } from "./proposals";
import { brief, dayName } from "./times";

const plain = (text: string): string => text.replaceAll("\u00a0", " ");
const person = { address: "0x52908400098527886e0f7030069857d2e4169ee7", name: "" };

function proposal(change: Partial<Proposal> = {}): Proposal {
  return {
    id: "aa",
    short_id: "aa",
    kind: "remove",
    title: "Remove Carol",
    subject: person,
    asked_by: person,
    sponsor: null,
    opened_at: 0,
    deadline: 10_000,
    silence_is_yes: true,
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
    ...change,
  };
}

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

  test("counts down, then says that it is counting", () => {
    expect(plain(statusWord(proposal(), 1))).toBe("10 s left");
    expect(statusWord(proposal(), 10_000)).toBe("Counting");
    expect(statusWord(proposal({ status: "committed" }), 0)).toBe("Committed");
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
  const member = (name: string, address: string, is_me = false): Member => ({
    name,
    address,
    device: "",
    role: "member",
    is_me,
    removal_pending: false,
  });
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
