/** Starts the page: takes the one-time code out of the address, then shows what the node tells. */
import { mount } from "svelte";
import App from "./App.svelte";
import "./app.css";
import { createClient } from "./lib/api/client";
import { Events, type Socket } from "./lib/api/events";
import { keptIn } from "./lib/state/kept";
import { Page } from "./lib/state/page.svelte";
import { codeIn } from "./lib/state/route.svelte";

const code = codeIn(location.hash);
if (code !== null) history.replaceState(null, "", location.pathname + location.search);

function connect(after: number): Socket {
  const address = new URL(`/api/v1/events?after=${after}`, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(address) as Socket;
}

const page = new Page(
  createClient((input, init) => fetch(input, init)),
  {
    keptFor: (owner) => keptIn(sessionStorage, localStorage, owner),
    eventsFor: (page) =>
      new Events({
        connect,
        lastId: () => page.known.lastId,
        later: (run, delayMs) => {
          const timer = setTimeout(run, delayMs);
          return () => clearTimeout(timer);
        },
        random: Math.random,
        now: Date.now,
        onNews: (news) => page.hear(news),
        onConnected: () => page.connected(),
        onLost: (retryAt) => page.lost(retryAt),
      }),
  },
);

const target = document.getElementById("page");
if (target !== null) mount(App, { target, props: { page, code } });
