/** How many messages of a group one has not seen, and where the unseen ones begin. */
import type { TimelineEntry } from "../api/types";

/** Own messages and notices do not ask for attention. */
export function unreadCount(entries: readonly TimelineEntry[], readUpTo: number): number {
  let count = 0;
  for (let index = entries.length - 1; index >= 0; index -= 1) {
    const entry = entries[index];
    if (entry === undefined || entry.id <= readUpTo) break;
    if (entry.kind === "message" && !entry.is_mine) count += 1;
  }
  return count;
}
