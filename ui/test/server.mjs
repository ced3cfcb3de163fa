// The real binary on a free port, over a data directory of its own with recorded events in it.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { before } from "./proxy.mjs";

const root = new URL("../../", import.meta.url).pathname;
export const binary = process.env.DECKLOG_BINARY ?? join(root, "bin/decklog");
export const attack = join(root, "tests/data/attack/audit.log.zst");

/** What `decklog serve` prints for browsers; with a tokens file there is no link. */
const LINK = /browser +(http:\/\/127\.0\.0\.1:\d+\/\?token=[0-9a-f]+)/;
const ADDRESS = /listens on (http:\/\/127\.0\.0\.1:\d+)/;

/** Lines of JSON as a file to import. */
export function fileOf(events) {
  const folder = mkdtempSync(join(tmpdir(), "decklog-ui-"));
  const path = join(folder, "audit.log");
  writeFileSync(path, events.map((event) => `${typeof event === "string" ? event : JSON.stringify(event)}\n`).join(""));
  return { path, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Imports `files` (or takes the data directory `there`), serves them, and resolves when the server has printed its link. `damage` may spoil the data first. */
export async function serve(files = [attack], damage = () => {}, flags = [], there = null) {
  const folder = mkdtempSync(join(tmpdir(), "decklog-ui-"));
  const data = there ?? join(folder, "data");
  for (const file of files) execFileSync(binary, ["import", file, "--data-dir", data, "--cluster", "demo"], { stdio: "pipe" });
  damage(data);
  const server = spawn(binary, ["serve", "--data-dir", data, "--listen", "127.0.0.1:0", ...flags], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = new Promise((done) => server.once("exit", done));
  const said = [];
  const link = await new Promise((found, failed) => {
    for (const stream of [server.stdout, server.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        said.push(line);
        const match = (flags.includes("--tokens-file") ? ADDRESS : LINK).exec(line);
        if (match) found(match[1]);
      });
    }
    exited.then(() => failed(new Error(`the server ended: ${said.join("\n")}`)));
  });
  const own = new URL(link).origin;
  // A folder of built pages in place of those in the binary.
  const proxy = process.env.DECKLOG_UI_DIST ? await before(own, process.env.DECKLOG_UI_DIST) : null;
  const url = proxy?.url ?? own;
  return {
    url,
    link: link.replace(own, url),
    data,
    /** What a program gets: node's fetch names itself as browsers do, so it brings the link's token. */
    async ask(path, headers = {}) {
      return fetch(url + path, { headers: { authorization: `Bearer ${new URL(link).searchParams.get("token")}`, ...headers } });
    },
    async api(path, query = {}) {
      return (await this.ask(`/api/v1/${path}?${new URLSearchParams(query)}`)).json();
    },
    /** What `decklog search` prints. */
    search: (...words) => execFileSync(binary, ["search", ...words, "--server", own], { encoding: "utf8", maxBuffer: 1 << 28 }),
    async import(file) {
      execFileSync(binary, ["import", file, "--server", own], { stdio: "pipe" });
    },
    /** As a webhook of kube-apiserver sends it. */
    async send(items) {
      const body = JSON.stringify({ kind: "EventList", apiVersion: "audit.k8s.io/v1", metadata: {}, items });
      const response = await fetch(`${own}/ingest/webhook/live?cluster=demo`, {
        method: "POST",
        body,
        headers: { "content-type": "application/json", authorization: `Bearer ${new URL(link).searchParams.get("token")}` },
      });
      if (!response.ok) throw new Error(await response.text());
    },
    async stop() {
      await proxy?.stop();
      server.kill("SIGTERM");
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
