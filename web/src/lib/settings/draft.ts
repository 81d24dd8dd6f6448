/** The rules of a group as a form holds them: half-typed numbers included. Pure. */
import type { Policy, PolicyChange, Rule, RuleChange, Scoring } from "../api/types";

export const RULE_KINDS = ["invite", "remove", "settings", "election", "emergency"] as const;
export type RuleKind = (typeof RULE_KINDS)[number];

/** What there is a number for, in the order in which people are told of it. */
export const SCORE_NAMES = [
  "start",
  "threshold",
  "heal",
  "broken_commit",
  "broken_proposal",
  "misbehaving",
  "equivocation",
  "lost_turn",
  "rejected",
  "committed",
  "upheld",
] as const satisfies readonly (keyof Scoring)[];
export type ScoreName = (typeof SCORE_NAMES)[number];

/** In the order of size. */
export const UNITS = { seconds: 1000, minutes: 60_000, hours: 3_600_000, days: 86_400_000 } as const;
export type Unit = keyof typeof UNITS;

/** What a number field holds; nothing while it is empty. */
export type Typed = number | null | undefined;

export interface Span {
  amount: Typed;
  unit: Unit;
}

export interface RuleDraft {
  decided_by: Rule["decided_by"];
  share: Rule["share"];
  time: Span;
  silence_is_yes: boolean;
}

export interface PolicyDraft extends Record<RuleKind, RuleDraft> {
  stewards_min: Typed;
  stewards_max: Typed;
  reelections_max: Typed;
  can_be_dormant: boolean;
  dormant_after: Span;
  batch_window: Span;
  delivery_time: Span;
  scoring: Record<ScoreName, Typed>;
}

/** What the form holds; a policy says more, which stays as it is. */
export type Values = Omit<Policy, "preset" | "sentences" | "odds" | "ack_limit" | "committee">;

/** What is offered when members shall become dormant who did not before. */
const DORMANT_OFFER: Span = { amount: 14, unit: "days" };

/** In the largest unit that divides it; below a second, as a part of one. */
export function spanOf(ms: number): Span {
  const fitting = (Object.keys(UNITS) as Unit[]).findLast((unit) => ms >= UNITS[unit] && ms % UNITS[unit] === 0);
  const unit = fitting ?? "seconds";
  return { amount: ms / UNITS[unit], unit };
}

const msOf = (span: Span): number => Math.round((span.amount ?? Number.NaN) * UNITS[span.unit]);

export function draftOf(policy: Values): PolicyDraft {
  const rule = (one: Rule): RuleDraft => ({
    decided_by: one.decided_by,
    share: one.share,
    time: spanOf(one.duration_ms),
    silence_is_yes: one.silence_is_yes,
  });
  return {
    invite: rule(policy.invite),
    remove: rule(policy.remove),
    settings: rule(policy.settings),
    election: rule(policy.election),
    emergency: rule(policy.emergency),
    scoring: { ...policy.scoring },
    stewards_min: policy.stewards_min,
    stewards_max: policy.stewards_max,
    reelections_max: policy.reelections_max,
    can_be_dormant: policy.dormant_after_ms > 0,
    dormant_after: policy.dormant_after_ms > 0 ? spanOf(policy.dormant_after_ms) : { ...DORMANT_OFFER },
    batch_window: spanOf(policy.batch_window_ms),
    delivery_time: spanOf(policy.delivery_time_ms),
  };
}

function scores(typed: Record<ScoreName, Typed>): Scoring {
  const numbers = SCORE_NAMES.map((name) => [name, typed[name] ?? Number.NaN]);
  return Object.fromEntries(numbers) as Record<ScoreName, number>;
}

/** Not a number stands where nothing is typed yet. */
export function valuesOf(draft: PolicyDraft): Values {
  const rule = (one: RuleDraft): Rule => ({
    decided_by: one.decided_by,
    share: one.share,
    duration_ms: msOf(one.time),
    silence_is_yes: one.silence_is_yes,
  });
  return {
    invite: rule(draft.invite),
    remove: rule(draft.remove),
    settings: rule(draft.settings),
    election: rule(draft.election),
    emergency: rule(draft.emergency),
    scoring: scores(draft.scoring),
    stewards_min: draft.stewards_min ?? Number.NaN,
    stewards_max: draft.stewards_max ?? Number.NaN,
    reelections_max: draft.reelections_max ?? Number.NaN,
    dormant_after_ms: draft.can_be_dormant ? msOf(draft.dormant_after) : 0,
    batch_window_ms: msOf(draft.batch_window),
    delivery_time_ms: msOf(draft.delivery_time),
  };
}

/** What is still to be filled in, in a sentence; empty if nothing is. What cannot work the node says. */
export function gapOf(values: Values): string {
  const counts: readonly (readonly [number, string])[] = [
    ...RULE_KINDS.map((kind) => [values[kind].duration_ms, `how long a vote lasts on ${NOUNS[kind]}`] as const),
    [values.stewards_min, "how many stewards there are at least"],
    [values.stewards_max, "how many stewards there are at most"],
    [values.reelections_max, "how often an election is tried again"],
    [values.dormant_after_ms, "after how long a member counts no longer"],
    [values.batch_window_ms, "how long a commit waits for more"],
    [values.delivery_time_ms, "how long a message takes at most"],
    ...SCORE_NAMES.map((name) => [values.scoring[name], `the points of the scores: ${SCORE_LABELS[name]}`] as const),
  ];
  const missing = counts.find(([count]) => !Number.isSafeInteger(count) || count < 0);
  return missing === undefined ? "" : `Fill in ${missing[1]}.`;
}

const NOUNS: Readonly<Record<RuleKind, string>> = {
  invite: "admissions",
  remove: "removals",
  settings: "the settings",
  election: "elections",
  emergency: "emergencies",
};

/** As a label beside a field. */
export const SCORE_LABELS: Readonly<Record<ScoreName, string>> = {
  start: "a newcomer has",
  threshold: "nodes ask for a removal at",
  heal: "an epoch without a fault brings back",
  broken_commit: "a broken commit costs",
  broken_proposal: "a commit of something else than was decided costs",
  misbehaving: "any other faulty commit costs",
  equivocation: "signing two different things costs",
  lost_turn: "a lost turn costs",
  rejected: "an accusation without proof, or voted down, costs",
  committed: "a commit brings",
  upheld: "an upheld accusation brings",
};

/** Only what differs, as the node wants it. */
export function changeOf(before: Values, after: Values): PolicyChange {
  const rules = RULE_KINDS.map((kind): [RuleKind, RuleChange] => [kind, differing(before[kind], after[kind])]);
  const numbers: PolicyChange = differing(before, after, (value) => typeof value === "number");
  const scoring = differing(before.scoring, after.scoring);
  // Not a number differs from itself: half-typed numbers count as changed.
  return {
    ...numbers,
    ...Object.fromEntries(rules.filter(([, change]) => Object.keys(change).length > 0)),
    ...(Object.keys(scoring).length > 0 ? { scoring } : {}),
  };
}

function differing<T extends object>(
  before: T,
  after: T,
  isMeant: (value: unknown) => boolean = () => true,
): Partial<T> {
  const names = Object.keys(after) as (keyof T)[];
  return Object.fromEntries(
    names.filter((name) => isMeant(after[name]) && after[name] !== before[name]).map((name) => [name, after[name]]),
  ) as Partial<T>;
}

/**
 * The same form with other values underneath: what was typed stays, everything else becomes `to`.
 * `from` are the values that were underneath before.
 */
export function rebased(draft: PolicyDraft, from: Values, to: Values): PolicyDraft {
  return merged(draft, draftOf(from), draftOf(to));
}

function merged<T extends object>(draft: T, from: T, to: T): T {
  const fields = (Object.keys(to) as (keyof T)[]).map((name) => [name, mergedField(draft[name], from[name], to[name])]);
  return Object.fromEntries(fields) as T;
}

function mergedField<T>(typed: T, from: T, to: T): T {
  if (typeof typed !== "object" || typed === null) return Object.is(typed, from) ? to : typed;
  if ("unit" in typed) return JSON.stringify(typed) === JSON.stringify(from) ? to : typed;
  return merged(typed, from as T & object, to as T & object);
}
