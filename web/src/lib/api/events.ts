/** The events socket: hands on news, reconnects with back-off, and asks for what was missed. */
import { retryDelayMs } from "./backoff";
import type { News } from "./types";

/** What this file needs of a WebSocket. */
export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: (() => void) | null;
  close(): void;
}

export interface EventsOutside {
  connect(after: number): Socket;
  /** The id of the last timeline entry seen; whatever is newer is sent again. */
  lastId(): number;
  later(run: () => void, delayMs: number): () => void;
  random(): number;
  now(): number;
  onNews(news: News): void;
  onConnected(isFirst: boolean): void;
  /** `retryAt` is when the next attempt starts. */
  onLost(retryAt: number): void;
}

export class Events {
  #socket: Socket | null = null;
  #attempt = 0;
  #everConnected = false;
  #cancelRetry: (() => void) | null = null;

  constructor(private readonly outside: EventsOutside) {}

  start(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    if (this.#socket !== null) return;
    const socket = this.outside.connect(this.outside.lastId());
    this.#socket = socket;
    socket.onopen = () => {
      this.#attempt = 0;
      this.outside.onConnected(!this.#everConnected);
      this.#everConnected = true;
    };
    socket.onmessage = (event) => {
      const news = readNews(event.data);
      if (news !== null) this.outside.onNews(news);
    };
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      const delay = retryDelayMs(this.#attempt, this.outside.random());
      this.#attempt += 1;
      this.outside.onLost(this.outside.now() + delay);
      this.#cancelRetry = this.outside.later(() => this.start(), delay);
    };
  }

  stop(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }
}

const KINDS: ReadonlySet<string> = new Set(["timeline", "group", "groups", "node"] satisfies News["type"][]);

/** Reads one message of the socket; null for a kind that this page does not know (a newer node). */
export function readNews(data: unknown): News | null {
  if (typeof data !== "string") return null;
  try {
    const value: unknown = JSON.parse(data);
    const isNews =
      typeof value === "object" &&
      value !== null &&
      "type" in value &&
      typeof value.type === "string" &&
      KINDS.has(value.type);
    return isNews ? (value as News) : null;
  } catch {
    return null;
  }
}
