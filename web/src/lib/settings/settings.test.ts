import { describe, expect, test } from "vitest";
import { policy, rule } from "../examples";
import { changeOf, draftOf, gapOf, rebased, spanOf, valuesOf } from "./draft";
import { formOf, proposalOf, realigned, settingsOf, startedFrom, wanted } from "./form";
import { differencesOf, dormancyWords, lengthWords, ruleWords, scoringWords, stewardsWords, triesWords } from "./words";

const DAY_MS = 86_400_000;
const day = policy();
const quick = policy({ preset: "quick", invite: rule({ duration_ms: 30_000, silence_is_yes: true }), batch_window_ms: 300 });
const now = { name: "Reading circle", description: "", values: day };

describe("lengths of time", () => {
  test.each([
    [DAY_MS, { amount: 1, unit: "days" }, "1 day"],
    [36 * 3_600_000, { amount: 36, unit: "hours" }, "36 hours"],
    [90_000, { amount: 90, unit: "seconds" }, "90 seconds"],
    [300, { amount: 0.3, unit: "seconds" }, "300 milliseconds"],
    [0, { amount: 0, unit: "seconds" }, "0 milliseconds"],
  ])("%d ms", (ms, span, words) => {
    expect(spanOf(ms)).toEqual(span);
    expect(lengthWords(ms)).toBe(words);
    expect(valuesOf({ ...draftOf(day), batch_window: spanOf(ms) }).batch_window_ms).toBe(ms);
  });
});

describe("a form of rules", () => {
  test("holds exactly what the policy says", () => {
    for (const one of [day, quick, policy({ dormant_after_ms: 0 })]) {
      const { preset, sentences, odds, ack_limit, committee, ...values } = one;
      expect([preset, sentences, odds, ack_limit, committee]).toBeDefined();
      expect(valuesOf(draftOf(one))).toEqual(values);
      expect(changeOf(one, valuesOf(draftOf(one)))).toEqual({});
    }
  });

  test("asks for nothing but what differs", () => {
    const draft = draftOf(day);
    draft.stewards_max = 3;
    draft.remove.share = "three quarters";
    draft.can_be_dormant = false;
    draft.emergency.time = { amount: 2, unit: "minutes" };
    draft.scoring.broken_commit = 100;
    draft.scoring.heal = 0;
    expect(changeOf(day, valuesOf(draft))).toEqual({
      stewards_max: 3,
      dormant_after_ms: 0,
      remove: { share: "three quarters" },
      emergency: { duration_ms: 120_000 },
      scoring: { broken_commit: 100, heal: 0 },
    });
  });

  test.each([
    ["a number", { stewards_max: null }, "Fill in how many stewards there are at most."],
    ["a negative one", { stewards_min: -1 }, "Fill in how many stewards there are at least."],
    ["a part of one", { reelections_max: 1.5 }, "Fill in how often an election is tried again."],
    ["a time", { batch_window: { amount: undefined, unit: "hours" as const } }, "Fill in how long a commit waits for more."],
  ])("says what is missing: %s", (_, change, sentence) => {
    expect(gapOf(valuesOf({ ...draftOf(day), ...change }))).toBe(sentence);
  });

  test.each([
    [null, "Fill in the points of the scores: a broken commit costs."],
    [2.5, "Fill in the points of the scores: a broken commit costs."],
    [-1, "Fill in the points of the scores: a broken commit costs."],
    [0, ""],
  ])("says which number of the scores is missing: %s", (broken_commit, sentence) => {
    const draft = draftOf(day);
    expect(gapOf(valuesOf({ ...draft, scoring: { ...draft.scoring, broken_commit } }))).toBe(sentence);
  });

  test("lacks no time that does not count", () => {
    const draft = { ...draftOf(day), can_be_dormant: false, dormant_after: { amount: null, unit: "days" as const } };
    expect(gapOf(valuesOf(draft))).toBe("");
  });

  test("keeps what was typed when it begins with something else, and takes over the rest", () => {
    const draft = draftOf(day);
    draft.stewards_max = 3;
    draft.remove.time = { amount: 5, unit: "days" };
    draft.batch_window = { amount: null, unit: "seconds" };
    const other = rebased(draft, day, quick);
    expect(other).toEqual({
      ...draftOf(quick),
      stewards_max: 3,
      remove: { ...draftOf(quick).remove, time: { amount: 5, unit: "days" } },
      batch_window: { amount: null, unit: "seconds" },
    });
  });
});

describe("a proposal of settings", () => {
  test("is nothing at first", () => {
    expect(proposalOf(now, formOf(now))).toEqual({ policy: {} });
    expect(differencesOf(now, wanted(formOf(now)))).toEqual([]);
  });

  test("says in words what would change", () => {
    const form = formOf(now);
    form.name = " Writing circle ";
    form.description = "Ours";
    form.policy.invite.decided_by = "stewards";
    form.policy.remove.silence_is_yes = true;
    form.policy.settings.time = { amount: 12, unit: "hours" };
    form.policy.stewards_max = 2;
    form.policy.reelections_max = 0;
    form.policy.can_be_dormant = false;
    form.policy.scoring.threshold = 20;
    form.policy.scoring.broken_commit = 80;
    const words = differencesOf(now, wanted(form)).map(({ label, before, after }) => `${label}: ${before} > ${after}`);
    expect(words).toEqual([
      "Name: Reading circle > Writing circle",
      "Description:  > Ours",
      "Admissions, decided by: the members > the stewards",
      "Removals, silence: is no yes > counts as yes",
      "Changes of the settings, time to vote: 2 days > 12 hours",
      "Most stewards: 7 > 2",
      "Elections are tried again: at most twice > never",
      "Members count no longer after: 14 days > never",
      "Scores, threshold: 0 > 20",
      "Scores, broken commit: 50 > 80",
    ]);
    expect(proposalOf(now, form)).toEqual({
      name: "Writing circle",
      description: "Ours",
      policy: {
        invite: { decided_by: "stewards" },
        remove: { silence_is_yes: true },
        settings: { duration_ms: 12 * 3_600_000 },
        stewards_max: 2,
        reelections_max: 0,
        dormant_after_ms: 0,
        scoring: { threshold: 20, broken_commit: 80 },
      },
    });
  });

  test("keeps what was typed when the group agrees on something else meanwhile", () => {
    const form = formOf(now);
    form.name = "Writing circle";
    form.policy.stewards_max = 3;
    const later = { name: "Circle", description: "New", values: policy({ stewards_min: 2 }) };
    const kept = realigned(form, later);
    expect(kept).toMatchObject({ name: "Writing circle", description: "New" });
    expect(proposalOf(later, kept)).toEqual({ name: "Writing circle", policy: { stewards_max: 3 } });
  });

  test("may begin with a preset, and go back", () => {
    const form = formOf(now);
    form.policy.stewards_max = 3;
    const other = startedFrom(form, "quick", quick);
    expect(proposalOf(now, other).policy).toEqual({
      invite: { duration_ms: 30_000 },
      batch_window_ms: 300,
      stewards_max: 3,
    });
    expect(realigned(other, { ...now, values: policy({ stewards_min: 2 }) }).policy.stewards_min).toBe(1);
    expect(proposalOf(now, startedFrom(other, "now", day)).policy).toEqual({ stewards_max: 3 });
  });

  test("needs a policy that is known", () => {
    expect(settingsOf({ name: "", description: "", policy: null })).toBeNull();
  });
});

describe("rules in words", () => {
  test("say who, how many, how long, and what silence is", () => {
    expect(ruleWords(rule({ silence_is_yes: true }))).toBe(
      "two thirds of the members within 1 day; then silence counts as yes",
    );
    expect(ruleWords(rule({ duration_ms: Number.NaN }))).toBe("two thirds of the members within …; silence is no yes");
  });

  test("count stewards, tries and days", () => {
    expect(stewardsWords(day)).toBe("1 to 7 take turns");
    expect(stewardsWords(policy({ stewards_max: 1 }))).toBe("always 1");
    expect(stewardsWords(policy({ stewards_max: Number.NaN }))).toBe("1 to … take turns");
    expect([0, 1, 3].map(triesWords)).toEqual(["never", "at most once", "at most 3 times"]);
    expect(scoringWords(day)).toBe("a newcomer has 100 points; at 0 nodes ask for a removal");
    expect(dormancyWords(policy({ dormant_after_ms: 0 }))).toBe("every member always counts");
  });
});
