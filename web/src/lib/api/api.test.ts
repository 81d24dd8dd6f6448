import { describe, expect, test } from "vitest";
import { retryDelayMs } from "./backoff";
import { createClient, Refused, Unreachable } from "./client";
import { Events, type EventsOutside, readNews, type Socket } from "./events";
import type { News } from "./types";

describe("the back-off", () => {
  test("doubles up to fifteen seconds", () => {
    expect([0, 1, 2, 3, 4, 5, 6, 1000].map((attempt) => retryDelayMs(attempt, 0.5))).toEqual([
      500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000,
    ]);
  });

  test("is spread by a quarter either way", () => {
    expect(retryDelayMs(1, 0)).toBe(750);
    expect(retryDelayMs(1, 1)).toBe(1250);
  });
});

describe("the client", () => {
  const answering = (status: number, body?: unknown) =>
    createClient(async () => new Response(body === undefined ? null : JSON.stringify(body), { status }));

  test("reads an answer, and none", async () => {
    expect(await answering(200, [{ id: "g" }]).groups()).toEqual([{ id: "g" }]);
    await expect(answering(204).forget("g")).resolves.toBeUndefined();
  });

  test("hands on the node's sentence", async () => {
    const failure = answering(409, { code: "frozen", sentence: "Wait for the commit." }).leave("g");
    await expect(failure).rejects.toMatchObject({
      code: "frozen",
      message: "Wait for the commit.",
      isSessionMissing: false,
    });
  });

  test("says what it can about an answer that is not the node's", async () => {
    await expect(answering(502, "proxy").node()).rejects.toThrow(/HTTP 502/u);
    await expect(answering(401, {}).node()).rejects.toBeInstanceOf(Refused);
  });

  test("tells no answer from a refusal", async () => {
    const client = createClient(async () => {
      throw new TypeError("network");
    });
    await expect(client.node()).rejects.toBeInstanceOf(Unreachable);
  });

  test("puts ids into addresses safely", async () => {
    const asked: string[] = [];
    const client = createClient(async (input) => {
      asked.push(input);
      return new Response("[]");
    });
    await client.timeline("a/b", 50, 7);
    expect(asked).toEqual(["/api/v1/groups/a%2Fb/timeline?limit=50&before=7"]);
  });
});

describe("events", () => {
  class World implements EventsOutside {
    sockets: (Socket & { after: number; isClosed: boolean })[] = [];
    waiting: { run: () => void; delayMs: number }[] = [];
    heard: News[] = [];
    said: string[] = [];
    last = 3;

    connect(after: number): Socket {
      const socket = {
        after,
        isClosed: false,
        onopen: null,
        onmessage: null,
        onclose: null,
        close(): void {
          this.isClosed = true;
        },
      };
      this.sockets.push(socket);
      return socket;
    }
    lastId = () => this.last;
    later(run: () => void, delayMs: number): () => void {
      const one = { run, delayMs };
      this.waiting.push(one);
      return () => {
        this.waiting = this.waiting.filter((other) => other !== one);
      };
    }
    random = () => 0.5;
    now = () => 10_000;
    onNews = (news: News) => void this.heard.push(news);
    onConnected = (isFirst: boolean) => void this.said.push(isFirst ? "first" : "again");
    onLost = (retryAt: number) => void this.said.push(`lost until ${retryAt}`);

    get socket() {
      const socket = this.sockets.at(-1);
      if (socket === undefined) throw new Error("no socket was opened");
      return socket;
    }
    wait(): void {
      this.waiting.shift()?.run();
    }
  }

  const line = JSON.stringify({ type: "timeline", id: 4, entry: { id: 4 } });

  test("are asked for from the last one seen, again after a loss", () => {
    const world = new World();
    new Events(world).start();
    world.socket.onopen?.();
    world.socket.onmessage?.({ data: line });
    world.last = 4;
    world.socket.onclose?.();
    world.wait();
    world.socket.onopen?.();
    expect(world.sockets.map((socket) => socket.after)).toEqual([3, 4]);
    expect(world.said).toEqual(["first", "lost until 10500", "again"]);
    expect(world.heard).toHaveLength(1);
  });

  test("wait longer each time, and start over once connected", () => {
    const world = new World();
    const delays: (number | undefined)[] = [];
    new Events(world).start();
    for (const connects of [false, false, true, false]) {
      if (connects) world.socket.onopen?.();
      world.socket.onclose?.();
      delays.push(world.waiting[0]?.delayMs);
      world.wait();
    }
    expect(delays).toEqual([500, 1000, 500, 1000]);
  });

  test("can be asked for at once, without a second socket", () => {
    const world = new World();
    const events = new Events(world);
    events.start();
    events.start();
    expect(world.sockets).toHaveLength(1);
    world.socket.onclose?.();
    events.start();
    expect(world.sockets).toHaveLength(2);
    expect(world.waiting).toHaveLength(0);
  });

  test("stop for good", () => {
    const world = new World();
    const events = new Events(world);
    events.start();
    events.stop();
    world.socket.onclose?.();
    expect(world.socket.isClosed).toBe(true);
    expect(world.waiting).toHaveLength(0);
  });

  test.each(["", "{", "7", "null", '{"type":"unheard-of"}'])("leave %j alone", (data) => {
    expect(readNews(data)).toBeNull();
  });
});
