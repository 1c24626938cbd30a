import { defineConfig } from "vitest/config";

// Where `npm run dev` sends what is not the page itself: a mesh that runs beside it. The host stays the page's own: the edge
// refuses what comes from a page of another origin.
const mesh = { target: process.env.LABELMESH_URL ?? "http://localhost:8080", changeOrigin: false };

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    sourcemap: false,
    // Nothing is inlined: the gateway's Content-Security-Policy allows files of its own origin only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      "^/labelmesh\\.": mesh,
      "/v1": mesh,
      "/objects": mesh,
      "/openapi.json": mesh,
    },
  },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
});
