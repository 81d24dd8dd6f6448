/** Messages on their way to the node: shown at once, gone when the node's own line arrives. Pure. */
import type { TimelineEntry } from "../api/types";

export interface Sending {
  readonly key: number;
  readonly group: string;
  readonly text: string;
  readonly state: "sending" | "sent" | "failed";
  /** Why it failed. */
  readonly sentence: string;
}

/** A text beginning with one slash is a command; two make it a message that begins with one. */
export const isCommand = (text: string): boolean => text.startsWith("/") && !text.startsWith("//");

const asShown = (text: string): string => (text.startsWith("//") ? text.slice(1) : text);

/** The entry is what became of the oldest of these with its text, whether or not the answer came back. */
export function settle(outbox: readonly Sending[], entry: TimelineEntry): readonly Sending[] {
  if (!entry.is_mine || entry.kind !== "message") return outbox;
  const at = outbox.findIndex((one) => one.group === entry.group && asShown(one.text) === entry.text);
  return at === -1 ? outbox : outbox.toSpliced(at, 1);
}

export function change(outbox: readonly Sending[], key: number, to: Partial<Sending>): readonly Sending[] {
  return outbox.map((one) => (one.key === key ? { ...one, ...to } : one));
}

export function drop(outbox: readonly Sending[], key: number): readonly Sending[] {
  return outbox.filter((one) => one.key !== key);
}
