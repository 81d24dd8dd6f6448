/** The whole page's state: what is known of the node, what is under way, and what one can do. */
import { getContext, setContext } from "svelte";
import { type Client, Refused } from "../api/client";
import type { Events } from "../api/events";
import type {
  Done,
  Group,
  GroupSummary,
  JoinRequest,
  Member,
  News,
  Proposal,
  Sync,
  TimelineEntry,
} from "../api/types";
import { nameOf } from "../words/people";
import { Clock } from "./clock.svelte";
import { Dialogs } from "./dialogs.svelte";
import type { Kept } from "./kept";
import { applyGroups, applyNews, applyPage, applySnapshot, type Known, NOTHING_KNOWN } from "./known";
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

const PAGE_ENTRIES = 100;
const SEARCH_ENTRIES = 500;
const UNDO_MS = 5000;
const BLINK_MS = 700;
const LOST: Sync = { state: "offline", sentence: "Not connected to your node; this is how things were." };
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
  sync = $derived.by((): Sync | null => (this.isLost ? LOST : (this.group?.sync ?? null)));
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
  #nextKey = 1;

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
      if ((group.last_entry?.id ?? 0) > (this.readUpTo[group.id] ?? 0)) void this.loadTimeline(group.id);
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
      if (news.entry.group === this.route.group && !news.entry.is_mine) {
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
    const key = this.#nextKey;
    this.#nextKey += 1;
    this.outbox = [...this.outbox, { key, group, text, state: "sending", sentence: "" }];
    this.setDraft(group, "");
    await this.resend(key);
  }

  async resend(key: number): Promise<void> {
    const one = this.outbox.find((sending) => sending.key === key);
    if (one === undefined) return;
    this.outbox = change(this.outbox, key, { state: "sending", sentence: "" });
    try {
      await this.client.send(one.group, one.text);
      this.outbox = change(this.outbox, key, { state: "sent" });
    } catch (error) {
      this.outbox = change(this.outbox, key, { state: "failed", sentence: sentenceOf(error) });
      this.#noteSession(error);
    }
  }

  /** Back into the composer, in front of what is there by now. */
  takeBack(key: number): void {
    const one = this.outbox.find((sending) => sending.key === key);
    if (one === undefined) return;
    this.outbox = drop(this.outbox, key);
    this.setDraft(one.group, [one.text, this.draft(one.group)].filter(Boolean).join("\n"));
  }

  // Deciding

  vote(group: string, proposal: Proposal, yes: boolean): Promise<void> {
    return this.#once(proposal.id, () => this.client.vote(group, proposal.id, yes));
  }

  sponsor(group: string, request: JoinRequest): Promise<void> {
    return this.#once(request.id, () => this.client.sponsor(group, request.id));
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

  async #once(id: string, act: () => Promise<Done>): Promise<void> {
    if (this.busy.has(id)) return;
    this.busy = new Set([...this.busy, id]);
    const done = await this.#try(act);
    if (done !== null) this.toasts.done(done.sentence);
    this.busy = new Set([...this.busy].filter((one) => one !== id));
  }

  // Groups: each returns whether it was done, so that a dialog knows whether to close.

  async found(): Promise<boolean> {
    const group = await this.#try(() => this.client.found($state.snapshot(this.dialogs.found)));
    if (group !== null) await this.#enter(group);
    return group !== null;
  }

  async join(): Promise<boolean> {
    const group = await this.#try(() => this.client.join(this.dialogs.join.invite.trim()));
    if (group !== null) await this.#enter(group);
    return group !== null;
  }

  async #enter(group: Group): Promise<void> {
    this.known = applyNews(this.known, { type: "group", group });
    if (!this.known.groups.some((one) => one.id === group.id)) await this.#refreshGroups();
    this.route.open(group.id);
  }

  inviteContact(group: string, contact: string): Promise<boolean> {
    return this.#do(() => this.client.inviteContact(group, contact.trim()));
  }

  remove(group: string, address: string): Promise<boolean> {
    return this.#do(() => this.client.remove(group, address));
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
  invite = (group: string, lifetimeMs: number) => this.#try(() => this.client.invite(group, lifetimeMs));

  async #refreshGroups(): Promise<void> {
    const groups = await this.#try(() => this.client.groups());
    if (groups !== null) this.known = applyGroups(this.known, groups);
  }

  async #do(act: () => Promise<Done>): Promise<boolean> {
    const done = await this.#try(act);
    if (done !== null) this.toasts.done(done.sentence);
    return done !== null;
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

function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : "Something went wrong in this page; reload it.";
}

/** What a list of members depends on. */
function rosterOf(group: Group): string {
  const leaving = group.proposals.filter((one) => one.kind !== "invite" && one.status !== "rejected");
  const stewards = [group.epoch_steward, group.backup_steward, ...group.stewards];
  return [
    group.state,
    group.epoch,
    group.members,
    ...leaving.map((one) => `${one.id} ${one.status}`),
    ...stewards.map((one) => one?.address ?? ""),
  ].join("|");
}

/** A group that is seen for the first time has nothing unread. */
function newestOf(groups: readonly GroupSummary[]): Record<string, number> {
  return Object.fromEntries(groups.map((group) => [group.id, group.last_entry?.id ?? 0]));
}

const PAGE = Symbol("page");

export const setPage = (page: Page): Page => setContext(PAGE, page);
export const getPage = (): Page => getContext<Page>(PAGE);
