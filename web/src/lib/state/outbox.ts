/** Messages on their way to the node: shown at once, gone when the node's own line arrives. Pure. */
import type { TimelineEntry } from "../api/types";

export interface Sending {
  /** What the message is called here and at the node: sent again under the same name, it is said once. */
  readonly id: string;
  readonly group: string;
  readonly text: string;
  readonly state: "sending" | "sent" | "failed";
  /** Why it failed. */
  readonly sentence: string;
  /** It failed because no answer came: to be sent again as soon as the node is back. */
  readonly isUnanswered: boolean;
}

/** A text beginning with one slash is a command; two make it a message that begins with one. */
export const isCommand = (text: string): boolean => text.startsWith("/") && !text.startsWith("//");

/** The entry is what became of the message of its name, whether or not the answer came back. */
export function settle(outbox: readonly Sending[], entry: TimelineEntry): readonly Sending[] {
  const at = outbox.findIndex((one) => one.group === entry.group && one.id === entry.client_id);
  return at === -1 ? outbox : outbox.toSpliced(at, 1);
}

export function change(outbox: readonly Sending[], id: string, to: Partial<Sending>): readonly Sending[] {
  return outbox.map((one) => (one.id === id ? { ...one, ...to } : one));
}

export function drop(outbox: readonly Sending[], id: string): readonly Sending[] {
  return outbox.filter((one) => one.id !== id);
}
