import { describe, expect, test } from "vitest";
import type { Group, GroupSummary, NodeInfo, TimelineEntry } from "../api/types";
import { entry, group as exampleGroup, proposal } from "../examples";
import { keptIn } from "./kept";
import {
  applyGroups,
  applyNews,
  applyPage,
  applyProposal,
  applySnapshot,
  type Known,
  mergeEntries,
  NOTHING_KNOWN,
} from "./known";
import { change, drop, isCommand, type Sending, settle } from "./outbox";
import { unreadCount } from "./unread";

const me = { address: "0xa1", name: "Alice" };
const node: NodeInfo = {
  version: "1",
  me,
  relay: { where: "", connected: true, since: 0, sentence: "" },
  wallet_imported: false,
};

const summary = (id: string, last: TimelineEntry | null): GroupSummary => ({
  id,
  name: id,
  state: "member",
  members: 1,
  open_proposals: 0,
  my_votes_needed: 0,
  last_entry: last,
  last_id: last?.id ?? 0,
  requests: 0,
  halted: false,
  frozen: false,
});

const news = (told: TimelineEntry) => ({ type: "timeline" as const, id: told.id, entry: told });
const ids = (known: Known, group = "g") => known.timelines[group]?.entries.map((one) => one.id);

describe("what is known", () => {
  const start = applySnapshot(NOTHING_KNOWN, node, [
    summary("g", entry(5)),
    summary("h", entry(7, { group: "h" })),
  ]);

  test("asks for news from the newest entry of the first answer on", () => {
    expect(start.lastId).toBe(7);
  });

  test("grows by a line, in its group and in the list", () => {
    const known = applyNews(start, news(entry(8)));
    expect(known.lastId).toBe(8);
    expect(ids(known)).toEqual([8]);
    expect(known.groups[0]?.last_entry?.id).toBe(8);
    expect(known.groups[1]?.last_entry?.id).toBe(7);
  });

  test("counts a quiet line as heard, and shows the one before in the list", () => {
    const known = applyNews(start, news(entry(8, { kind: "quiet" })));
    expect([known.lastId, known.groups[0]?.last_id, known.groups[0]?.last_entry?.id]).toEqual([8, 8, 5]);
  });

  test("hears the same line twice and keeps it once", () => {
    const known = applyNews(applyNews(start, news(entry(8))), news(entry(8)));
    expect(ids(known)).toEqual([8]);
  });

  test("puts a page before the lines that came by themselves", () => {
    const known = applyPage(applyNews(start, news(entry(8))), "g", [entry(4), entry(5), entry(8)]);
    expect(ids(known)).toEqual([4, 5, 8]);
    expect(known.timelines.g).toMatchObject({ isLoaded: true, isComplete: false });
  });

  test("is complete once an earlier page is empty", () => {
    const known = applyPage(applyPage(start, "g", [entry(5)]), "g", []);
    expect(known.timelines.g?.isComplete).toBe(true);
    expect(ids(known)).toEqual([5]);
  });

  test("a page does not move the point from which missed news is asked for", () => {
    expect(applyPage(start, "g", [entry(20)]).lastId).toBe(7);
  });

  test("takes a group whole, and the node", () => {
    const group = { id: "g", epoch: 2 } as Group;
    const known = applyNews(applyNews(start, { type: "group", group }), {
      type: "node",
      node: { ...node, version: "2" },
    });
    expect(known.details.g?.epoch).toBe(2);
    expect(known.node?.version).toBe("2");
  });

  test("takes one proposal anew, and none that it does not show", () => {
    const group = exampleGroup({ proposals: [proposal(), proposal({ id: "bb" })] });
    const known = applyNews(start, { type: "group", group });
    const anew = applyProposal(known, "g", proposal({ status: "rejected" }));
    expect(anew.details.g?.proposals.map((one) => [one.id, one.status])).toEqual([
      ["aa", "rejected"],
      ["bb", "open"],
    ]);
    expect(applyProposal(known, "elsewhere", proposal())).toBe(known);
  });

  test("forgets a group that is no longer listed", () => {
    const known = applyGroups(applyNews(start, news(entry(8))), [summary("h", null)]);
    expect(known.timelines.g).toBeUndefined();
    expect(known.groups.map((group) => group.id)).toEqual(["h"]);
  });

  test("of two versions of a line keeps the newer", () => {
    expect(mergeEntries([entry(1), entry(2)], [entry(2, { text: "new" })]).map((one) => one.text)).toEqual([
      "text 1",
      "new",
    ]);
  });
});

describe("unread", () => {
  test("counts others' messages after the mark, no notices", () => {
    const entries = [entry(1), entry(2), entry(3, { kind: "notice" }), entry(4, { is_mine: true }), entry(5)];
    expect(unreadCount(entries, 1)).toBe(2);
    expect(unreadCount(entries, 5)).toBe(0);
    expect(unreadCount([], 0)).toBe(0);
  });
});

describe("the outbox", () => {
  const sending = (id: string, text: string): Sending => ({
    id,
    group: "g",
    text,
    state: "sending",
    sentence: "",
    isUnanswered: false,
  });
  const mine = (client_id: string, more: Partial<TimelineEntry> = {}) =>
    entry(9, { is_mine: true, client_id, text: "b", ...more });
  const ids = (outbox: readonly Sending[]) => outbox.map((one) => one.id);

  test("lets go of the message that arrived, whatever else has its text", () => {
    const outbox = [sending("1", "a"), sending("2", "b"), sending("3", "b")];
    expect(ids(settle(outbox, mine("3")))).toEqual(["1", "2"]);
  });

  test("tells commands from messages that begin with a slash", () => {
    expect(isCommand("/ban")).toBe(true);
    expect(isCommand("//ban")).toBe(false);
  });

  test.each([
    ["somebody else's", entry(9, { text: "a" })],
    ["another group's", mine("1", { group: "h" })],
    ["an own message of another program", mine("other", { text: "a" })],
  ])("is not moved by %s line", (_, other) => {
    expect(ids(settle([sending("1", "a")], other))).toEqual(["1"]);
  });

  test("changes and drops one", () => {
    const outbox = [sending("1", "a"), sending("2", "b")];
    expect(change(outbox, "2", { state: "failed" }).map((one) => one.state)).toEqual(["sending", "failed"]);
    expect(ids(drop(outbox, "1"))).toEqual(["2"]);
  });
});

describe("what the browser keeps", () => {
  const storage = (): Storage => {
    const map = new Map<string, string>();
    return {
      getItem: (key: string) => map.get(key) ?? null,
      setItem: (key: string, value: string) => void map.set(key, value),
      removeItem: (key: string) => void map.delete(key),
    } as Storage;
  };

  test("is apart for each node's person", () => {
    const [tab, browser] = [storage(), storage()];
    const alice = keptIn(tab, browser, "0xa1");
    alice.keepDraft("g", "half");
    alice.keepReadUpTo({ g: 3 });
    expect(alice.draft("g")).toBe("half");
    expect(alice.readUpTo()).toEqual({ g: 3 });
    expect(keptIn(tab, browser, "0xb2").draft("g")).toBe("");
    expect(keptIn(tab, browser, "0xb2").readUpTo()).toEqual({});
  });

  test("may be forbidden or broken", () => {
    const broken = {
      getItem: () => {
        throw new Error("no");
      },
      setItem: () => {
        throw new Error("no");
      },
    } as unknown as Storage;
    const kept = keptIn(broken, broken, "0xa1");
    kept.keepDraft("g", "half");
    expect(kept.draft("g")).toBe("");
    expect(kept.readUpTo()).toEqual({});
  });
});
