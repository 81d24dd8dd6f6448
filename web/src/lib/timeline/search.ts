/** The conversation's own search: find-in-page of the browser sees only the rows that are drawn. */
import type { TimelineEntry } from "../api/types";
import { nameOf } from "../words/people";

/** Ids of the entries in which every word occurs, in the text or in the sender's name. */
export function findEntries(entries: readonly TimelineEntry[], query: string): readonly number[] {
  const words = query.toLowerCase().split(/\s+/u).filter(Boolean);
  if (words.length === 0) return [];
  return entries
    .filter((entry) => {
      const text = `${entry.text} ${entry.sender === null ? "" : nameOf(entry.sender)}`.toLowerCase();
      return words.every((word) => text.includes(word));
    })
    .map((entry) => entry.id);
}
