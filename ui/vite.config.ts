// One entry, one stylesheet; every file but index.html carries its hash in its name.
import { defineConfig } from "vite";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "dist",
    emptyOutDir: false, // dist/.gitignore stays: the folder's time tells cargo of a new build
    assetsInlineLimit: 0, // a data: script or style would need a wider policy
    modulePreload: { polyfill: false },
    target: "es2022",
  },
});
