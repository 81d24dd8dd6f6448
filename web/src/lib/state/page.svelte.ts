/** The whole page's state: what is known of the node, what is under way, and what one can do. */
import { getContext, setContext } from "svelte";
import { type Client, Refused, Unreachable } from "../api/client";
import type { Events } from "../api/events";
import type {
  Done,
  Group,
  GroupSummary,
  JoinRequest,
  Member,
  NewEmergency,
  NewGroup,
  News,
  NewSettings,
  Policy,
  Proposal,
  Sharable,
  Successor,
  TimelineEntry,
} from "../api/types";
import { changeOf, gapOf, valuesOf } from "../settings/draft";
import { nameOf } from "../words/people";
import { LOST, type Standing, standingOf } from "../words/standing";
import { Clock } from "./clock.svelte";
import { Dialogs } from "./dialogs.svelte";
import type { Kept } from "./kept";
import {
  applyGroups,
  applyNews,
  applyPage,
  applyProposal,
  applySnapshot,
  type Known,
  NOTHING_KNOWN,
} from "./known";
import { change, drop, isCommand, type Sending, settle } from "./outbox";
import { Route } from "./route.svelte";
import { Toasts } from "./toasts.svelte";
import { unreadCount } from "./unread";

export type Session =
  | { readonly state: "opening" }
  | { readonly state: "open" }
  /** `sentence`: why, in the node's words; may be empty. */
  | { readonly state: "closed"; readonly sentence: string }
  | { readonly state: "unreachable" };

/** Null if it was done, else why not. */
export type Outcome = { readonly code: string; readonly sentence: string } | null;

const PAGE_ENTRIES = 100;
const SEARCH_ENTRIES = 500;
const UNDO_MS = 5000;
const BLINK_MS = 700;
const MEMBERS_FEW = 200;
const NO_ENTRIES: readonly TimelineEntry[] = [];

export class Page {
  readonly clock = new Clock();
  readonly toasts = new Toasts();
  readonly dialogs = new Dialogs();
  readonly route = new Route();

  session = $state.raw<Session>({ state: "opening" });
  known = $state.raw<Known>(NOTHING_KNOWN);
  members = $state.raw<Readonly<Record<string, readonly Member[]>>>({});
  outbox = $state.raw<readonly Sending[]>([]);
  /** When the next attempt to reconnect starts; null while connected. */
  retryAt = $state<number | null>(null);
  /** The connection is gone for longer than a blink. */
  isLost = $state(false);
  /** Requests put away, which Undo may still bring back. */
  hiddenRequests = $state.raw<ReadonlySet<string>>(new Set());
  /** Successor groups that one does not want to be asked about now, by group and founder. */
  hiddenSuccessors = $state.raw<ReadonlySet<string>>(new Set());
  /** What a new group may begin with; empty until it was asked for. */
  presets = $state.raw<readonly Policy[]>([]);
  /** Votes and sponsorings under way, by id. */
  busy = $state.raw<ReadonlySet<string>>(new Set());
  readUpTo = $state.raw<Readonly<Record<string, number>>>({});
  drafts = $state<Record<string, string>>({});
  /** The latest message of the open group, for those who listen instead of looking. */
  spoken = $state("");

  group = $derived.by((): Group | null => this.known.details[this.route.group ?? ""] ?? null);
  summary = $derived.by(
    (): GroupSummary | null => this.known.groups.find((group) => group.id === this.route.group) ?? null,
  );
  standing = $derived.by((): Standing | null => {
    if (this.group === null) return null;
    return this.isLost ? LOST : standingOf(this.group);
  });
  entries = $derived(this.known.timelines[this.route.group ?? ""]?.entries ?? NO_ENTRIES);
  unread = $derived.by((): Readonly<Record<string, number>> => {
    const counts = this.known.groups.map((group) => {
      const entries = this.known.timelines[group.id]?.entries ?? NO_ENTRIES;
      return [group.id, unreadCount(entries, this.readUpTo[group.id] ?? 0)] as const;
    });
    return Object.fromEntries(counts);
  });

  #kept: Kept | null = null;
  #events: Events | null = null;
  #loading = new Set<string>();
  #staleMembers = new Set<string>();

  constructor(
    private readonly client: Client,
    private readonly outside: {
      keptFor(owner: string): Kept;
      eventsFor(page: Page): Events;
    },
  ) {}

  // Session

  async start(code: string | null): Promise<void> {
    this.session = { state: "opening" };
    let refusal = "";
    try {
      if (code !== null) await this.client.openSession(code);
    } catch (error) {
      if (!(error instanceof Refused)) {
        this.session = { state: "unreachable" };
        return;
      }
      refusal = error.message;
    }
    try {
      const [node, groups] = await Promise.all([this.client.node(), this.client.groups()]);
      this.#kept = this.outside.keptFor(node.me.address);
      this.known = applySnapshot(this.known, node, groups);
      this.readUpTo = { ...newestOf(groups), ...this.#kept.readUpTo() };
      this.#kept.keepReadUpTo(this.readUpTo);
      this.session = { state: "open" };
    } catch (error) {
      if (error instanceof Refused) this.session = { state: "closed", sentence: refusal };
      else this.session = { state: "unreachable" };
      return;
    }
    for (const group of this.known.groups) {
      if (group.last_id > (this.readUpTo[group.id] ?? 0)) void this.loadTimeline(group.id);
    }
    this.#events = this.outside.eventsFor(this);
    this.#events.start();
  }

  retryNow(): void {
    this.#events?.start();
  }

  connected(): void {
    this.retryAt = null;
    this.isLost = false;
    for (const one of this.outbox) if (one.isUnanswered) void this.resend(one.id);
  }

  /** The socket does not say why it was closed; a plain question finds out whether the session is over. */
  lost(retryAt: number): void {
    this.retryAt = retryAt;
    setTimeout(() => {
      this.isLost = this.retryAt !== null;
    }, BLINK_MS);
    void this.client.node().catch((error: unknown) => this.#noteSession(error));
  }

  #noteSession(error: unknown): boolean {
    if (!(error instanceof Refused && error.isSessionMissing)) return false;
    this.#events?.stop();
    this.session = { state: "closed", sentence: "" };
    return true;
  }

  // News

  hear(news: News): void {
    const before = news.type === "group" ? this.known.details[news.group.id] : undefined;
    this.known = applyNews(this.known, news);
    if (news.type === "timeline") {
      this.outbox = settle(this.outbox, news.entry);
      const isHeard = !news.entry.is_mine && news.entry.kind !== "quiet";
      if (news.entry.kind === "warning" && this.#showsScores(news.entry.group)) void this.loadMembers(news.entry.group);
      if (news.entry.group === this.route.group && isHeard) {
        const who = news.entry.sender === null ? "" : `${nameOf(news.entry.sender)}: `;
        this.spoken = who + news.entry.text;
      }
    }
    if (news.type === "group") {
      const { group } = news;
      const isShown = this.members[group.id] !== undefined || group.id === this.route.group;
      const isSame = before !== undefined && rosterOf(before) === rosterOf(group);
      if (isShown && !isSame) void this.loadMembers(group.id);
    }
  }

  /** A warning may have moved a score. Long lists are asked for again only while somebody looks at one. */
  #showsScores(group: string): boolean {
    const members = this.members[group];
    const { open } = this.dialogs;
    const isLookedAt = open?.kind === "about" && open.group === group;
    return members !== undefined && (isLookedAt || members.length <= MEMBERS_FEW);
  }

  // Reading

  async loadGroup(id: string): Promise<void> {
    await Promise.all([this.loadTimeline(id), this.loadMembers(id)]);
  }

  async loadTimeline(id: string): Promise<void> {
    if (this.known.timelines[id]?.isLoaded === true) return;
    await this.#load(`timeline ${id}`, async () => {
      const latest = await this.client.timeline(id, PAGE_ENTRIES);
      this.known = applyPage(this.known, id, latest);
    });
  }

  async loadEarlier(id: string, limit = PAGE_ENTRIES): Promise<void> {
    const timeline = this.known.timelines[id];
    const first = timeline?.entries[0];
    if (timeline === undefined || !timeline.isLoaded || timeline.isComplete || first === undefined) return;
    await this.#load(`timeline ${id}`, async () => {
      const earlier = await this.client.timeline(id, limit, first.id);
      this.known = applyPage(this.known, id, earlier);
    });
  }

  /** Everything, so that a search is of the whole conversation; stops when `isWanted` turns false. */
  async loadAll(id: string, isWanted: () => boolean): Promise<void> {
    while (isWanted() && this.retryAt === null && this.known.timelines[id]?.isComplete === false) {
      const before = this.known.timelines[id];
      await this.loadEarlier(id, SEARCH_ENTRIES);
      if (this.known.timelines[id] === before) return;
    }
  }

  /** Asked for again while it is being asked for, it is asked once more: the answer may be the old one. */
  async loadMembers(id: string): Promise<void> {
    if (this.known.details[id]?.state !== "member") return;
    this.#staleMembers.add(id);
    await this.#load(`members ${id}`, async () => {
      while (this.#staleMembers.delete(id)) {
        const members = await this.client.members(id);
        this.members = { ...this.members, [id]: members };
      }
    });
  }

  markRead(id: string): void {
    const newest = this.known.timelines[id]?.entries.at(-1)?.id ?? 0;
    if (newest <= (this.readUpTo[id] ?? 0)) return;
    this.readUpTo = { ...this.readUpTo, [id]: newest };
    this.#kept?.keepReadUpTo(this.readUpTo);
  }

  async #load(what: string, run: () => Promise<void>): Promise<void> {
    if (this.#loading.has(what)) return;
    this.#loading.add(what);
    try {
      await run();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#loading.delete(what);
    }
  }

  // Writing

  draft(group: string): string {
    return this.drafts[group] ?? this.#kept?.draft(group) ?? "";
  }

  setDraft(group: string, text: string): void {
    this.drafts[group] = text;
    this.#kept?.keepDraft(group, text);
  }

  async send(group: string, text: string): Promise<void> {
    if (isCommand(text)) {
      this.setDraft(group, "");
      const done = await this.#try(() => this.client.send(group, text));
      if (done !== null) this.toasts.done(done.sentence);
      else if (this.draft(group) === "") this.setDraft(group, text);
      return;
    }
    const id = crypto.randomUUID();
    const sending: Sending = { id, group, text, state: "sending", sentence: "", isUnanswered: false };
    this.outbox = [...this.outbox, sending];
    this.setDraft(group, "");
    await this.resend(id);
  }

  /** Under the same name as before: if the node had it already, it is said once. */
  async resend(id: string): Promise<void> {
    const one = this.outbox.find((sending) => sending.id === id);
    if (one === undefined) return;
    this.outbox = change(this.outbox, id, { state: "sending", sentence: "", isUnanswered: false });
    try {
      await this.client.send(one.group, one.text, one.id);
      this.outbox = change(this.outbox, id, { state: "sent" });
    } catch (error) {
      const isUnanswered = error instanceof Unreachable;
      this.outbox = change(this.outbox, id, { state: "failed", sentence: sentenceOf(error), isUnanswered });
      this.#noteSession(error);
    }
  }

  /** Back into the composer, in front of what is there by now. */
  takeBack(id: string): void {
    const one = this.outbox.find((sending) => sending.id === id);
    if (one === undefined) return;
    this.outbox = drop(this.outbox, id);
    this.setDraft(one.group, [one.text, this.draft(one.group)].filter(Boolean).join("\n"));
  }

  // Deciding

  async vote(group: string, proposal: Proposal, yes: boolean): Promise<void> {
    const isDone = await this.#once(proposal.id, () => this.client.vote(group, proposal.id, yes));
    if (isDone === false) await this.#refreshProposal(group, proposal.id);
  }

  /** A vote that was refused was cast on a card that is no longer true. */
  async #refreshProposal(group: string, id: string): Promise<void> {
    try {
      this.known = applyProposal(this.known, group, await this.client.proposal(group, id));
    } catch {
      // The refusal has been told; there is nothing newer to show.
    }
  }

  async sponsor(group: string, request: JoinRequest): Promise<void> {
    await this.#once(request.id, () => this.client.sponsor(group, request.id));
  }

  dismiss(group: string, request: JoinRequest): void {
    this.#hide(request.id, true);
    this.toasts.undoable(
      `The request of ${nameOf(request.person)} is dismissed.`,
      UNDO_MS,
      () => void this.#dismissNow(group, request.id),
      () => this.#hide(request.id, false),
    );
  }

  async #dismissNow(group: string, request: string): Promise<void> {
    const done = await this.#try(() => this.client.dismiss(group, request));
    if (done === null) this.#hide(request, false);
  }

  #hide(request: string, isHidden: boolean): void {
    const hidden = new Set(this.hiddenRequests);
    if (isHidden) hidden.add(request);
    else hidden.delete(request);
    this.hiddenRequests = hidden;
  }

  /** Whether it was done; undefined while it is under way already. */
  async #once(id: string, act: () => Promise<Done>): Promise<boolean | undefined> {
    if (this.busy.has(id)) return undefined;
    this.busy = new Set([...this.busy, id]);
    const isDone = await this.#do(act);
    this.busy = new Set([...this.busy].filter((one) => one !== id));
    return isDone;
  }

  // Groups: each returns whether it was done, so that a dialog knows whether to close; those with much to fill in
  // return why not, to be said in the dialog itself.

  async loadPresets(): Promise<void> {
    if (this.presets.length > 0) return;
    await this.#load("presets", async () => {
      this.presets = await this.client.presets();
    });
  }

  async found(): Promise<Outcome> {
    const { name, description, preset, rules } = $state.snapshot(this.dialogs.found);
    const values = rules === null ? null : valuesOf(rules.policy);
    const gap = values === null ? "" : gapOf(values);
    if (gap !== "") return { code: "gap", sentence: gap };
    const policy = rules === null || values === null ? {} : changeOf(rules.base, values);
    const asked: NewGroup = { name, description, preset, policy };
    return this.#attempt(async () => this.#enter(await this.client.found(asked)));
  }

  async proposeSettings(group: string, asked: NewSettings): Promise<Outcome> {
    return this.#attempt(async () => {
      const done = await this.client.proposeSettings(group, asked);
      this.toasts.done(done.sentence);
      if (done.proposal !== null) this.route.showProposal(done.proposal);
    });
  }

  /** With those named; the successor is entered at once. */
  async foundSuccessor(group: string, members: readonly string[]): Promise<Outcome> {
    const draft = $state.snapshot(this.dialogs.successors[group]);
    if (draft === undefined) return { code: "gap", sentence: "There is nothing to found yet." };
    const { name, description, again } = draft;
    const words = { name: name.trim(), description: description.trim() };
    const asked = { members: [...members], ...words, policy: {}, again };
    return this.#attempt(async () => this.#enter(await this.client.foundSuccessor(group, asked)));
  }

  async joinSuccessor(group: string, successor: Successor): Promise<void> {
    const key = successorKey(group, successor);
    if (this.busy.has(key)) return;
    this.busy = new Set([...this.busy, key]);
    const joined = await this.#try(() => this.client.joinSuccessor(group, successor.founder.address));
    if (joined !== null) await this.#enter(joined);
    this.busy = new Set([...this.busy].filter((one) => one !== key));
  }

  /** Ask a group for a new seat, because this node cannot follow it any more. */
  async rejoin(group: string): Promise<void> {
    const key = `rejoin/${group}`;
    if (this.busy.has(key)) return;
    this.busy = new Set([...this.busy, key]);
    await this.#try(() => this.client.rejoin(group));
    this.busy = new Set([...this.busy].filter((one) => one !== key));
  }

  hideSuccessor(group: string, successor: Successor): void {
    this.hiddenSuccessors = new Set([...this.hiddenSuccessors, successorKey(group, successor)]);
  }

  async join(): Promise<boolean> {
    const group = await this.#try(() => this.client.join(this.dialogs.join.invite.trim()));
    if (group !== null) await this.#enter(group);
    return group !== null;
  }

  async #enter(group: Group): Promise<void> {
    // The answer may be older than the news that came meanwhile; what the node has told of it counts.
    if (this.known.details[group.id] === undefined) this.known = applyNews(this.known, { type: "group", group });
    if (!this.known.groups.some((one) => one.id === group.id)) await this.#refreshGroups();
    this.route.open(group.id);
  }

  inviteContact(group: string, contact: string): Promise<boolean> {
    return this.#do(() => this.client.inviteContact(group, contact.trim()));
  }

  remove(group: string, address: string): Promise<boolean> {
    return this.#do(() => this.client.remove(group, address));
  }

  /** Accuses a member of what the node can prove. */
  accuse(group: string, address: string): Promise<Outcome> {
    return this.#openEmergency(group, { about: "member", address });
  }

  /** Has it noted that the stewards have not committed. */
  reportDeadlock(group: string): Promise<Outcome> {
    return this.#openEmergency(group, { about: "deadlock" });
  }

  #openEmergency(group: string, asked: NewEmergency): Promise<Outcome> {
    return this.#attempt(async () => {
      const done = await this.client.openEmergency(group, asked);
      this.toasts.done(done.sentence);
      if (done.proposal !== null) this.route.showProposal(done.proposal);
      void this.loadMembers(group);
    });
  }

  refreshKeys(group: string): Promise<boolean> {
    return this.#do(() => this.client.refreshKeys(group));
  }

  leave(group: string): Promise<boolean> {
    return this.#do(() => this.client.leave(group));
  }

  async forget(group: string): Promise<boolean> {
    const isDone = await this.#try(() => this.client.forget(group).then(() => true));
    if (isDone === null) return false;
    this.setDraft(group, "");
    if (this.route.group === group) this.route.close();
    await this.#refreshGroups();
    return true;
  }

  contact = () => this.#try(() => this.client.contact());
  invite = (group: string, lifetimeMs: number, isOpen: boolean): Promise<Sharable | null> =>
    this.#try(() => this.client.invite(group, lifetimeMs, isOpen));

  async #refreshGroups(): Promise<void> {
    const groups = await this.#try(() => this.client.groups());
    if (groups !== null) this.known = applyGroups(this.known, groups);
  }

  async #do(act: () => Promise<Done>): Promise<boolean> {
    const done = await this.#try(act);
    if (done !== null) this.toasts.done(done.sentence);
    return done !== null;
  }

  async #attempt(act: () => Promise<void>): Promise<Outcome> {
    try {
      await act();
      return null;
    } catch (error) {
      this.#noteSession(error);
      return { code: error instanceof Refused ? error.code : "unanswered", sentence: sentenceOf(error) };
    }
  }

  async #try<T>(act: () => Promise<T>): Promise<T | null> {
    try {
      return await act();
    } catch (error) {
      this.#fail(error);
      return null;
    }
  }

  #fail(error: unknown): void {
    if (!this.#noteSession(error)) this.toasts.error(sentenceOf(error));
  }
}

export const successorKey = (group: string, successor: Successor): string =>
  `${group} ${successor.founder.address}`;

function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : "Something went wrong in this page; reload it.";
}

/** What a list of members depends on. */
function rosterOf(group: Group): string {
  const leaving = group.proposals.filter(
    (one) => (one.kind === "remove" || one.kind === "leave") && one.status !== "rejected",
  );
  // However an emergency ends, it moves scores.
  const emergencies = group.proposals.filter((one) => one.kind === "emergency");
  const stewards = [group.epoch_steward, group.backup_steward, ...group.stewards];
  return [
    group.state,
    group.epoch,
    group.members,
    group.dormant,
    ...[...leaving, ...emergencies].map((one) => `${one.id} ${one.status}`),
    ...stewards.map((one) => one?.address ?? ""),
  ].join("|");
}

/** A group that is seen for the first time has nothing unread. */
function newestOf(groups: readonly GroupSummary[]): Record<string, number> {
  return Object.fromEntries(groups.map((group) => [group.id, group.last_id]));
}

const PAGE = Symbol("page");

/** What a component needs that is drawn by itself. */
export const contextOf = (page: Page): Map<unknown, unknown> => new Map([[PAGE, page]]);
export const setPage = (page: Page): Page => setContext(PAGE, page);
export const getPage = (): Page => getContext<Page>(PAGE);
