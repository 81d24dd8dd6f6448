import { describe, expect, test } from "vitest";
import type { TimelineEntry } from "../api/types";
import { entry as example } from "../examples";
import { rowsOf } from "./rows";
import { findEntries } from "./search";

const MINUTE_MS = 60_000;
const noon = new Date(2026, 10, 22, 12).getTime();
const bob = { address: "0xb2", name: "Bob" };
const carol = { address: "0xc3", name: "Carol" };

const entry = (id: number, change: Partial<TimelineEntry> = {}): TimelineEntry =>
  example(id, { at: noon + id * 1000, sender: bob, ...change });

const notice = (id: number, proposal: string | null): TimelineEntry =>
  entry(id, { kind: "notice", sender: null, proposal });

describe("rows", () => {
  test("begin each day with its name", () => {
    const rows = rowsOf([entry(1, { at: noon - 86_400_000 }), entry(2), entry(3)], () => true, null);
    expect(rows.map((row) => row.kind)).toEqual(["day", "message", "day", "message", "message"]);
  });

  test("put a message that came late where it belongs by its time, and mark nothing else", () => {
    const rows = rowsOf(
      [entry(1), entry(5, { sender: carol }), notice(6, null), entry(7, { at: noon + 3000, late: true }), entry(8)],
      () => false,
      null,
    );
    const ids = rows.flatMap((row) => ("entry" in row ? [row.entry.id] : []));
    expect(ids).toEqual([1, 7, 5, 6, 8]);
  });

  test("join messages of one sender, until five minutes or somebody else come between", () => {
    const rows = rowsOf(
      [
        entry(1),
        entry(2),
        entry(3, { sender: carol }),
        entry(4, { sender: carol, at: noon + 6 * MINUTE_MS }),
        notice(5, null),
        entry(6, { sender: carol, at: noon + 6 * MINUTE_MS }),
      ],
      () => false,
      null,
    );
    const runs = rows.flatMap((row) =>
      row.kind === "message" ? [[row.entry.id, row.isFirst, row.isLast]] : [],
    );
    expect(runs).toEqual([
      [1, true, false],
      [2, false, true],
      [3, true, true],
      [4, true, true],
      [6, true, true],
    ]);
  });

  test("show a proposal's card once, where it first comes up, and what follows as notices", () => {
    const rows = rowsOf(
      [notice(1, "p"), entry(2), notice(3, "p"), notice(4, "unknown")],
      (id) => id === "p",
      null,
    );
    expect(rows.map((row) => row.kind)).toEqual(["day", "card", "message", "notice", "notice"]);
  });

  test("mark where the unread begin, once, and not at one's own", () => {
    const rows = rowsOf([entry(1), entry(2, { is_mine: true }), entry(3), entry(4)], () => true, { after: 1, upTo: 4 });
    expect(rows.map((row) => row.kind)).toEqual(["day", "message", "message", "new", "message", "message"]);
  });

  test("mark nothing that comes while one looks", () => {
    const rows = rowsOf([entry(1), entry(2)], () => true, { after: 1, upTo: 1 });
    expect(rows.map((row) => row.kind)).toEqual(["day", "message", "message"]);
  });

  test("have keys of their own", () => {
    const rows = rowsOf([notice(1, "p"), entry(2), entry(3)], () => true, { after: 1, upTo: 3 });
    expect(new Set(rows.map((row) => row.key)).size).toBe(rows.length);
  });
});

describe("the search", () => {
  const entries = [
    entry(1, { text: "The relay is up" }),
    entry(2, { sender: carol, text: "Which relay?" }),
    notice(3, null),
  ];

  test.each([
    ["relay", [1, 2]],
    ["RELAY carol", [2]],
    ["text 3", [3]],
    ["  ", []],
    ["nothing", []],
  ])("for %j", (query, ids) => {
    expect(findEntries(entries, query)).toEqual(ids);
  });
});
