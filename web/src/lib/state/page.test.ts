import { beforeEach, describe, expect, test, vi } from "vitest";
import { type Client, Refused, Unreachable } from "../api/client";
import type { GroupSummary, Proposal } from "../api/types";
import { BEN, entry, group, policy, proposal } from "../examples";
import { draftOf } from "../settings/draft";
import { Page } from "./page.svelte";

beforeEach(() => {
  vi.stubGlobal("location", { hash: "" });
  vi.stubGlobal("history", { pushState: () => undefined });
});

function pageAsking(client: Partial<Client>): Page {
  const page = new Page(client as Client, {
    keptFor: () => {
      throw new Error("nothing is kept here");
    },
    eventsFor: () => {
      throw new Error("nothing is heard here");
    },
  });
  page.known = { ...page.known, details: { g: group() } };
  return page;
}

const SUMMARY: GroupSummary = {
  ...{ id: "g", name: "", state: "member", members: 1, open_proposals: 0, my_votes_needed: 0 },
  ...{ last_entry: null, last_id: 0, requests: 0, halted: false, frozen: false },
};
const done = { sentence: "Done.", proposal: null };

describe("a message", () => {
  test("that got no answer is sent again under the same name when the node is back", async () => {
    const asked: (readonly [string, string | undefined])[] = [];
    let isThere = false;
    const page = pageAsking({
      send: async (_, text, id) => {
        asked.push([text, id]);
        if (!isThere) throw new Unreachable();
        return done;
      },
    });
    await page.send("g", "Hello");
    expect(page.outbox).toMatchObject([{ state: "failed", isUnanswered: true }]);
    isThere = true;
    page.connected();
    await vi.waitFor(() => expect(page.outbox).toMatchObject([{ state: "sent" }]));
    expect(asked).toHaveLength(2);
    expect(asked[0]).toEqual(asked[1]);
    expect(asked[0]?.[1]).toMatch(/^[\x21-\x7e]{1,64}$/u);
    page.hear({ type: "timeline", id: 9, entry: entry(9, { is_mine: true, client_id: asked[0]?.[1] ?? null }) });
    expect(page.outbox).toEqual([]);
  });

  test("that was refused waits for its writer", async () => {
    const send = vi.fn(async () => {
      throw new Refused(409, "frozen", "The group is frozen.");
    });
    const page = pageAsking({ send });
    await page.send("g", "Hello");
    page.connected();
    expect(page.outbox).toMatchObject([{ state: "failed", sentence: "The group is frozen.", isUnanswered: false }]);
    expect(send).toHaveBeenCalledTimes(1);
  });
});

describe("news", () => {
  test("is read out if somebody said it, not what nodes do by themselves", () => {
    const page = pageAsking({});
    page.route.group = "g";
    page.hear({ type: "timeline", id: 1, entry: entry(1, { text: "Hello" }) });
    page.hear({ type: "timeline", id: 2, entry: entry(2, { kind: "quiet", sender: null, text: "Elected." }) });
    expect(page.spoken).toBe("Ben: Hello");
  });
});

describe("a vote that is refused", () => {
  test("shows the card as it is by now", async () => {
    const newer: Proposal = proposal({ status: "rejected", result: "Too late." });
    const page = pageAsking({
      vote: async () => {
        throw new Refused(409, "ended", "This vote is over.");
      },
      proposal: async () => newer,
    });
    page.known = { ...page.known, details: { g: group({ proposals: [proposal()] }) } };
    await page.vote("g", proposal(), true);
    expect(page.known.details.g?.proposals[0]?.result).toBe("Too late.");
    expect(page.toasts.list.map((toast) => toast.sentence)).toEqual(["This vote is over."]);
  });
});

describe("a dialog with much to fill in", () => {
  test("is told why it was refused, and keeps what was typed", async () => {
    const page = pageAsking({
      proposeSettings: async () => {
        throw new Refused(409, "bad-policy", "The least is above the most.");
      },
    });
    const refused = await page.proposeSettings("g", { policy: { stewards_max: 0 } });
    expect(refused).toEqual({ code: "bad-policy", sentence: "The least is above the most." });
    expect(page.toasts.list).toEqual([]);
  });

  test("founds a group with what differs from the preset, and only once all is filled in", async () => {
    const found = vi.fn(async () => group({ id: "new" }));
    const page = pageAsking({ found, groups: async () => [] });
    const draft = page.dialogs.found;
    Object.assign(draft, { name: "Circle", preset: "day", rules: { base: policy(), policy: draftOf(policy()) } });
    if (draft.rules !== null) draft.rules.policy.stewards_max = null;
    expect((await page.found())?.sentence).toMatch(/^Fill in how many stewards/u);
    expect(found).not.toHaveBeenCalled();
    if (draft.rules !== null) draft.rules.policy.stewards_max = 2;
    expect(await page.found()).toBeNull();
    expect(found).toHaveBeenCalledWith({ name: "Circle", description: "", preset: "day", policy: { stewards_max: 2 } });
    expect(page.route.group).toBe("new");
  });

  test("founds a successor with those chosen, and enters it", async () => {
    const foundSuccessor = vi.fn(async () => group({ id: "new" }));
    const page = pageAsking({ foundSuccessor, groups: async () => [] });
    page.dialogs.successors.g = { name: " Again ", description: "", without: [], again: true };
    expect(await page.foundSuccessor("g", [BEN.address])).toBeNull();
    expect(foundSuccessor).toHaveBeenCalledWith("g", {
      members: [BEN.address],
      name: "Again",
      description: "",
      policy: {},
      again: true,
    });
    expect(page.route.group).toBe("new");
  });
});

describe("a group that one joins", () => {
  test("is shown as the node has told it meanwhile, not as the answer says that was on its way", async () => {
    const page: Page = pageAsking({
      join: async () => {
        page.hear({ type: "group", group: group({ id: "new", state: "member" }) });
        return group({ id: "new", state: "asking" });
      },
      groups: async () => [{ ...SUMMARY, id: "new" }],
    });
    page.dialogs.join.invite = "demls:invite:x";
    await page.join();
    expect(page.known.details["new"]?.state).toBe("member");
    expect(page.route.group).toBe("new");
  });
});

describe("an emergency", () => {
  test("that is refused says why, and one that is opened is shown", async () => {
    const openEmergency = vi.fn(async (_: string, asked: { about: string }) => {
      if (asked.about === "deadlock") throw new Refused(409, "refused", "There is no deadlock to be shown.");
      return { sentence: "You asked the members.", proposal: "em" };
    });
    const page = pageAsking({ openEmergency, members: async () => [] });
    expect(await page.reportDeadlock("g")).toMatchObject({ sentence: "There is no deadlock to be shown." });
    expect(await page.accuse("g", "0xc3")).toBeNull();
    expect(openEmergency).toHaveBeenLastCalledWith("g", { about: "member", address: "0xc3" });
    expect(page.route.shownProposal).toBe("em");
  });
});
