/** What the page knows of the node, and how each piece of news changes it. Pure: state in, state out. */
import type { Group, GroupSummary, News, NodeInfo, Proposal, TimelineEntry } from "../api/types";

export interface Timeline {
  /** Ascending by id, without duplicates, without a hole. */
  readonly entries: readonly TimelineEntry[];
  /** False while only news that came in by itself is here. */
  readonly isLoaded: boolean;
  /** Nothing earlier is left to ask for. */
  readonly isComplete: boolean;
}

export interface Known {
  readonly node: NodeInfo | null;
  readonly groups: readonly GroupSummary[];
  readonly details: Readonly<Record<string, Group>>;
  readonly timelines: Readonly<Record<string, Timeline>>;
  /** The last timeline id for which everything up to it has arrived. */
  readonly lastId: number;
}

export const NOTHING_KNOWN: Known = { node: null, groups: [], details: {}, timelines: {}, lastId: 0 };

const EMPTY_TIMELINE: Timeline = { entries: [], isLoaded: false, isComplete: false };

export function applyNews(known: Known, news: News): Known {
  switch (news.type) {
    case "timeline":
      return applyEntry(known, news.entry, news.id);
    case "group":
      return { ...known, details: { ...known.details, [news.group.id]: news.group } };
    case "groups":
      return applyGroups(known, news.groups);
    case "node":
      return { ...known, node: news.node };
  }
}

/** The list of groups as the node tells it; what is no longer in it is forgotten here as well. */
export function applyGroups(known: Known, groups: readonly GroupSummary[]): Known {
  const ids = new Set(groups.map((group) => group.id));
  return {
    ...known,
    groups,
    details: keep(known.details, ids),
    timelines: keep(known.timelines, ids),
  };
}

/** The answer to the first question: news is asked for from the newest entry in it on. */
export function applySnapshot(known: Known, node: NodeInfo, groups: readonly GroupSummary[]): Known {
  const newest = Math.max(0, ...groups.map((group) => group.last_id));
  return { ...applyGroups({ ...known, node }, groups), lastId: Math.max(known.lastId, newest) };
}

/** One proposal that was asked for. */
export function applyProposal(known: Known, id: string, proposal: Proposal): Known {
  const group = known.details[id];
  if (group === undefined) return known;
  const proposals = group.proposals.map((one) => (one.id === proposal.id ? proposal : one));
  return { ...known, details: { ...known.details, [id]: { ...group, proposals } } };
}

/** A page of the timeline that was asked for; an empty one says that nothing is earlier. */
export function applyPage(known: Known, group: string, page: readonly TimelineEntry[]): Known {
  const timeline = known.timelines[group] ?? EMPTY_TIMELINE;
  return {
    ...known,
    timelines: {
      ...known.timelines,
      [group]: {
        entries: mergeEntries(timeline.entries, page),
        isLoaded: true,
        isComplete: timeline.isComplete || page.length === 0,
      },
    },
  };
}

function applyEntry(known: Known, entry: TimelineEntry, id: number): Known {
  const timeline = known.timelines[entry.group] ?? EMPTY_TIMELINE;
  return {
    ...known,
    lastId: Math.max(known.lastId, id),
    groups: known.groups.map((group) =>
      group.id === entry.group && group.last_id < entry.id
        ? { ...group, last_id: entry.id, last_entry: entry.kind === "quiet" ? group.last_entry : entry }
        : group,
    ),
    timelines: {
      ...known.timelines,
      [entry.group]: { ...timeline, entries: mergeEntries(timeline.entries, [entry]) },
    },
  };
}

/** Both in one ascending order; of two with the same id the added one counts. */
export function mergeEntries(
  present: readonly TimelineEntry[],
  added: readonly TimelineEntry[],
): readonly TimelineEntry[] {
  const [first] = added;
  if (first === undefined) return present;
  const last = present.at(-1);
  if (last === undefined || last.id < first.id) return [...present, ...added];
  const byId = new Map(present.map((entry) => [entry.id, entry]));
  for (const entry of added) byId.set(entry.id, entry);
  return [...byId.values()].sort((a, b) => a.id - b.id);
}

function keep<T>(record: Readonly<Record<string, T>>, ids: ReadonlySet<string>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([id]) => ids.has(id)));
}
