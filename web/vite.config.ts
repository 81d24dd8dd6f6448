import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

/** The address of a running node or of `dev/fake-node.mjs`, for `npm run dev`. */
const node = "http://127.0.0.1:8787";

export default defineConfig({
  plugins: [svelte()],
  base: "./",
  build: {
    outDir: "../packages/demls/src/demls/node/page",
    emptyOutDir: true,
    target: "es2023",
    // The page's policy forbids inline scripts and the polyfill is one; data: is for pictures only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/api": { target: node, ws: true } },
  },
});
