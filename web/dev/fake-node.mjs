/**
 * A pretend node for looking at the page: the built page under the real policy, and three people's groups.
 * Nothing is encrypted, decided or kept. `node dev/fake-node.mjs [--port 8787] [--messages 40] [--members 3] [--empty]`
 *
 * For checks: POST /fake/say, /fake/halt, /fake/drop, /fake/refuse-next, /fake/end-session (no body, or JSON).
 */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";
import { createStory } from "./fake-story.mjs";

const options = Object.fromEntries(
  process.argv
    .slice(2)
    .map((word, index, words) => (word.startsWith("--") ? [word.slice(2), words[index + 1] ?? "yes"] : null))
    .filter(Boolean),
);
const port = Number(options.port ?? 8787);
const folder = fileURLToPath(new URL("../../packages/demls/src/demls/node/page/", import.meta.url));
const CODE = "fake-code";
const COOKIE = "fake-session=1";
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
  "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
  "require-trusted-types-for 'script'; trusted-types svelte-trusted-html";
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};

const story = createStory({
  messages: Number(options.messages ?? 40),
  members: Number(options.members ?? 3),
  isEmpty: "empty" in options,
  tell,
});
let isSignedOut = false;
let refusesNext = "";

const sockets = new WebSocketServer({ noServer: true });
const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://node");
  const say = (status, body, headers = {}) => {
    response.writeHead(status, {
      "Content-Security-Policy": POLICY,
      "X-Content-Type-Options": "nosniff",
      "Referrer-Policy": "no-referrer",
      "Cache-Control": "no-store",
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...headers,
    });
    response.end(
      body === undefined
        ? undefined
        : typeof body === "string" || Buffer.isBuffer(body)
          ? body
          : JSON.stringify(body),
    );
  };
  const problem = (status, code, sentence) => say(status, { code, sentence });
  const body = await readBody(request);
  if (url.pathname.startsWith("/fake/")) return say(200, fake(url.pathname.slice(6), body));
  if (!url.pathname.startsWith("/api/v1/")) return page(url.pathname, say);
  const route = url.pathname.slice("/api/v1".length);
  if (route === "/session") {
    if (body.code !== CODE) {
      return problem(
        403,
        "code-used",
        "This page address has been used or is too old. Run “demls page” to get a fresh one.",
      );
    }
    return say(204, undefined, { "Set-Cookie": `${COOKIE}; HttpOnly; SameSite=Strict; Path=/` });
  }
  if (!isAllowed(request))
    return problem(
      401,
      "no-session",
      "You are not signed in. Run “demls page” and open the address it prints.",
    );
  if (refusesNext !== "" && request.method !== "GET") {
    const sentence = refusesNext;
    refusesNext = "";
    return problem(409, "fake", sentence);
  }
  try {
    const answer = story.answer(request.method, route, body, url.searchParams);
    return answer === undefined ? say(204) : say(request.method === "POST" ? 201 : 200, answer);
  } catch (error) {
    return problem(error.status ?? 500, error.code ?? "fake", error.message);
  }
});

server.on("upgrade", (request, socket, head) => {
  if (!isAllowed(request)) return socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
  sockets.handleUpgrade(request, socket, head, (opened) => {
    const after = new URL(request.url, "http://node").searchParams.get("after");
    for (const news of story.snapshot(after === null ? null : Number(after)))
      opened.send(JSON.stringify(news));
  });
});

server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/#${CODE}`));

function tell(news) {
  for (const socket of sockets.clients) socket.send(JSON.stringify(news));
}

function isAllowed(request) {
  return !isSignedOut && (request.headers.cookie ?? "").includes(COOKIE);
}

function fake(what, body) {
  if (what === "say") story.say(body);
  if (what === "halt") story.halt(body);
  if (what === "drop") for (const socket of sockets.clients) socket.terminate();
  if (what === "refuse-next") refusesNext = body.sentence ?? "The fake node refuses this.";
  if (what === "end-session") {
    isSignedOut = true;
    for (const socket of sockets.clients) socket.terminate();
  }
  return {};
}

async function page(path, say) {
  const file = join(folder, normalize(path === "/" ? "/index.html" : path));
  try {
    say(200, await readFile(file), { "Content-Type": TYPES[extname(file)] ?? "application/octet-stream" });
  } catch {
    say(404, { code: "not-found", sentence: "There is no such file. Is the page built (npm run build)?" });
  }
}

async function readBody(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  try {
    return JSON.parse(Buffer.concat(parts).toString() || "{}");
  } catch {
    return {};
  }
}
