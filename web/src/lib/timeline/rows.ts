/** The conversation as rows: days, messages in runs, notices, and each proposal's card where it was opened. */
import type { TimelineEntry } from "../api/types";
import { dayKey } from "../words/times";

export type Row =
  | { readonly kind: "day"; readonly key: string; readonly at: number }
  | { readonly kind: "new"; readonly key: string }
  | {
      readonly kind: "message";
      readonly key: string;
      readonly entry: TimelineEntry;
      /** The first of a run by one sender: carries name and time. */
      readonly isFirst: boolean;
      readonly isLast: boolean;
    }
  | { readonly kind: "notice"; readonly key: string; readonly entry: TimelineEntry }
  | {
      readonly kind: "card";
      readonly key: string;
      readonly entry: TimelineEntry;
      readonly proposal: string;
    };

/** Those that came after what had been read, up to the newest at the time of looking. */
export interface Unseen {
  readonly after: number;
  readonly upTo: number;
}

const RUN_MS = 5 * 60_000;

/**
 * `hasCard` tells for which proposals a card can be drawn; `unseen` are the entries above whose first message
 * the line "new" is drawn.
 */
export function rowsOf(
  entries: readonly TimelineEntry[],
  hasCard: (proposal: string) => boolean,
  unseen: Unseen | null,
): readonly Row[] {
  const rows: Row[] = [];
  const shown = new Set<string>();
  let day = "";
  let isNewMarked = false;
  const placed = inPlace(entries);
  for (const [index, entry] of placed.entries()) {
    const entryDay = dayKey(entry.at);
    if (entryDay !== day) {
      day = entryDay;
      rows.push({ kind: "day", key: `day ${entryDay} ${entry.id}`, at: entry.at });
    }
    const isUnseen = unseen !== null && entry.id > unseen.after && entry.id <= unseen.upTo;
    if (!isNewMarked && isUnseen && entry.kind === "message" && !entry.is_mine) {
      isNewMarked = true;
      rows.push({ kind: "new", key: "new" });
    }
    if (entry.kind !== "message") {
      const proposal = entry.proposal;
      if (proposal !== null && !shown.has(proposal) && hasCard(proposal)) {
        shown.add(proposal);
        rows.push({ kind: "card", key: `entry ${entry.id}`, entry, proposal });
      } else {
        rows.push({ kind: "notice", key: `entry ${entry.id}`, entry });
      }
      continue;
    }
    const before = rows.at(-1);
    const after = placed[index + 1];
    rows.push({
      kind: "message",
      key: `entry ${entry.id}`,
      entry,
      isFirst: !(before?.kind === "message" && isOneRun(before.entry, entry)),
      isLast: !(after !== undefined && after.kind === "message" && isOneRun(entry, after)),
    });
  }
  return rows;
}

/** Messages that came late stand where they belong by their time; all else as it came. */
function inPlace(entries: readonly TimelineEntry[]): readonly TimelineEntry[] {
  const placed: TimelineEntry[] = [];
  for (const entry of entries) {
    let place = placed.length;
    while (entry.late && place > 0 && (placed[place - 1]?.at ?? 0) > entry.at) place -= 1;
    placed.splice(place, 0, entry);
  }
  return placed;
}

function isOneRun(earlier: TimelineEntry, later: TimelineEntry): boolean {
  return (
    earlier.sender?.address === later.sender?.address &&
    later.at - earlier.at < RUN_MS &&
    dayKey(earlier.at) === dayKey(later.at)
  );
}
