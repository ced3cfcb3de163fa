// After vite: beside each file of dist its forms for the wire, and the budget of the first view. Over it, the build fails.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";

const root = new URL("../dist/", import.meta.url).pathname;
const BUDGET = { js: 120 * 1024, css: 18 * 1024, font: 0 };

const files = ["index.html", ...readdirSync(join(root, "assets")).map((name) => `assets/${name}`)];
const index = readFileSync(join(root, "index.html"), "utf8");
const used = { js: 0, css: 0, font: 0 };
for (const file of files) {
  const plain = readFileSync(join(root, file));
  const packed = gzipSync(plain, { level: 9 });
  const kind = /\.(woff2?|ttf|otf)$/.test(file) ? "font" : file.split(".").at(-1);
  // The first view loads what index.html names; other chunks come when they are needed.
  if (kind in used && (kind === "font" || index.includes(file))) used[kind] += packed.length;
  if (packed.length < plain.length) {
    writeFileSync(join(root, `${file}.gz`), packed);
    writeFileSync(join(root, `${file}.br`), brotliCompressSync(plain));
  }
}
let over = false;
for (const [kind, limit] of Object.entries(BUDGET)) {
  over ||= used[kind] > limit;
  console.log(
    `first view, ${kind}: ${(used[kind] / 1024).toFixed(1)} KiB of ${limit / 1024} KiB gzipped${used[kind] > limit ? ": OVER ITS BUDGET" : ""}`,
  );
}
if (over) process.exit(1);
