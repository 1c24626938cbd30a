import { defineConfig } from "vitest/config";

// Where `npm run dev` sends what is not the page itself: a mesh that runs beside it. The host stays the page's own: the edge
// refuses what comes from a page of another origin.
const mesh = { target: process.env.LABELMESH_URL ?? "http://localhost:8080", changeOrigin: false };

// What is loaded later here brings no styles and no further files, so that Vite's own helper for them (1.9 KB) is not needed.
const bareImports = {
  name: "bare-imports",
  enforce: "pre" as const,
  load: (id: string) => (id === "\0vite/preload-helper.js" ? "export const __vitePreload = (load) => load();" : null),
};

export default defineConfig({
  plugins: [bareImports],
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
