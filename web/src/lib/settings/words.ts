/** Rules and what would change of them, in the node's words. Pure. */
import type { Difference, Rule } from "../api/types";
import { RULE_KINDS, type RuleKind, SCORE_NAMES, UNITS, type Values } from "./draft";

/** The names of the parts of the form, and of what they rule. */
export const RULE_NAMES: Readonly<Record<RuleKind, string>> = {
  invite: "Admissions",
  remove: "Removals",
  settings: "Changes of the settings",
  election: "Elections",
  emergency: "Emergencies",
};

/** A length of time in the largest unit that divides it: "10 minutes". */
export function lengthWords(ms: number): string {
  if (!Number.isFinite(ms)) return "…";
  for (const unit of ["days", "hours", "minutes", "seconds"] as const) {
    if (ms >= UNITS[unit] && ms % UNITS[unit] === 0) return countWords(ms / UNITS[unit], unit.slice(0, -1));
  }
  return countWords(ms, "millisecond");
}

const countWords = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`;
const numberWords = (count: number): string => (Number.isFinite(count) ? String(count) : "…");
const silenceWords = (rule: Rule): string => (rule.silence_is_yes ? "counts as yes" : "is no yes");

/** "two thirds of the members within 1 day; then silence counts as yes". */
export function ruleWords(rule: Rule): string {
  const silence = rule.silence_is_yes ? "then silence counts as yes" : "silence is no yes";
  return `${rule.share} of the ${rule.decided_by} within ${lengthWords(rule.duration_ms)}; ${silence}`;
}

export function stewardsWords(values: Values): string {
  const { stewards_min: least, stewards_max: most } = values;
  if (least === most) return least === 1 ? "always 1" : `always ${numberWords(least)}`;
  return `${numberWords(least)} to ${numberWords(most)} take turns`;
}

export const dormancyWords = (values: Values): string =>
  values.dormant_after_ms === 0
    ? "every member always counts"
    : `not heard for ${lengthWords(values.dormant_after_ms)}: may count no longer, until heard again`;

export const timingWords = (values: Values): string =>
  `commits wait ${lengthWords(values.batch_window_ms)} for more; delivery within ${lengthWords(values.delivery_time_ms)}`;

/** "a newcomer has 100 points; at 0 nodes ask for a removal". */
export const scoringWords = ({ scoring }: Pick<Values, "scoring">): string =>
  `a newcomer has ${numberWords(scoring.start)} points; at ${numberWords(scoring.threshold)} nodes ask for a removal`;

/** How often an election is tried again. */
export function triesWords(count: number): string {
  if (count === 0) return "never";
  return `at most ${count === 1 ? "once" : count === 2 ? "twice" : `${numberWords(count)} times`}`;
}

export interface Settings {
  readonly name: string;
  readonly description: string;
  readonly values: Values;
}

/** What would change, as the node will tell the members. */
export function differencesOf(before: Settings, after: Settings): readonly Difference[] {
  const found: Difference[] = [];
  const add = (field: string, label: string, was: string, will: string): void => {
    if (was !== will) found.push({ field, label, before: was, after: will });
  };
  add("name", "Name", before.name, after.name);
  add("description", "Description", before.description, after.description);
  for (const kind of RULE_KINDS) {
    const [was, will, name] = [before.values[kind], after.values[kind], RULE_NAMES[kind]];
    add(`${kind}.decided_by`, `${name}, decided by`, `the ${was.decided_by}`, `the ${will.decided_by}`);
    add(`${kind}.share`, `${name}, share`, was.share, will.share);
    add(
      `${kind}.duration_ms`,
      `${name}, time to vote`,
      lengthWords(was.duration_ms),
      lengthWords(will.duration_ms),
    );
    add(`${kind}.silence_is_yes`, `${name}, silence`, silenceWords(was), silenceWords(will));
  }
  const [was, will] = [before.values, after.values];
  const dormancy = (ms: number): string => (ms === 0 ? "never" : lengthWords(ms));
  add("stewards_min", "Fewest stewards", numberWords(was.stewards_min), numberWords(will.stewards_min));
  add("stewards_max", "Most stewards", numberWords(was.stewards_max), numberWords(will.stewards_max));
  add(
    "batch_window_ms",
    "Commits wait for more",
    lengthWords(was.batch_window_ms),
    lengthWords(will.batch_window_ms),
  );
  add(
    "delivery_time_ms",
    "Expected delivery",
    lengthWords(was.delivery_time_ms),
    lengthWords(will.delivery_time_ms),
  );
  add(
    "reelections_max",
    "Elections are tried again",
    triesWords(was.reelections_max),
    triesWords(will.reelections_max),
  );
  add(
    "dormant_after_ms",
    "Members count no longer after",
    dormancy(was.dormant_after_ms),
    dormancy(will.dormant_after_ms),
  );
  for (const name of SCORE_NAMES)
    add(
      `scoring.${name}`,
      `Scores, ${name.replaceAll("_", " ")}`,
      numberWords(was.scoring[name]),
      numberWords(will.scoring[name]),
    );
  return found;
}

/** "the old" or, of an empty text, that it is empty. */
export const shownValue = (value: string): string => (value === "" ? "nothing" : value);
