/** How a group stands, in one sentence: in sync, waiting for somebody, committed by somebody else, halted. */
import type { Group, Proposal, Sync } from "../api/types";
import { until } from "./durations";

export interface Standing {
  /** For one word and its colour. */
  readonly state: Sync["state"] | "halted";
  readonly sentence: string;
}

export const LOST: Standing = {
  state: "offline",
  sentence: "Not connected to your node; this is how things were.",
};

type Told = Pick<Group, "sync" | "halted" | "frozen" | "recovery" | "round" | "state">;

/** What keeps the node from knowing comes first, then what keeps the group from going on. */
export function standingOf(group: Told): Standing {
  const { sync, halted, round } = group;
  if (group.state !== "member" || sync.state === "offline" || sync.state === "catching up") return sync;
  if (halted !== "") return { state: "halted", sentence: halted };
  if (isStuck(group)) return { state: "waiting", sentence: group.recovery === "" ? round.sentence : group.recovery };
  if (group.frozen !== "") return { state: "waiting", sentence: group.frozen };
  return sync;
}

/** The commit round waits for somebody, or somebody has to step in for the stewards. */
export const isStuck = ({ round }: Pick<Group, "round">): boolean =>
  round.open &&
  round.sentence !== "" &&
  (round.waiting !== "" || (round.leader !== null && !round.leader_is_steward));

/** Would a group of those who are there help? */
export const needsSuccessor = (group: Told): boolean =>
  group.state === "member" && (group.halted !== "" || (group.round.open && group.round.waiting !== ""));

/** The emergency that other proposals wait for; null once none is open. */
export const openEmergency = (group: Pick<Group, "proposals">): Proposal | null =>
  group.proposals.find((one) => one.kind === "emergency" && one.status === "open") ?? null;

/** What waits for it, and for how long at most. */
export function frozenWords(group: Pick<Group, "frozen_until" | "held">, now: number): string {
  const most = group.frozen_until === null ? "" : `, ${until(group.frozen_until, now)} at the latest`;
  const held = group.held === 0 ? "" : ` (${group.held.toLocaleString("en-GB")} so far)`;
  return `Other proposals wait until it is decided${held}${most}. Chat goes on.`;
}
