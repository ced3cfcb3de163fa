// Exports: the whole answer, streamed from the server, as a file. What a person may read they may export; the server
// leaves a mark of it, as of every search.

import { signal } from "@preact/signals";
import { address, ask, Failure } from "../api/client.ts";
import type { AuditEvent } from "../api/types.ts";
import { CSV_HEADER, csvRow, shellWord } from "./export.ts";
import { answer, questionQuery, type Rows } from "./search.ts";
import { printRfc3339 } from "./time.ts";

/** More is the command line's business: a page holds what it saves. */
const MAX_BYTES = 512 * 1024 * 1024;

export type Format = "jsonl" | "csv" | "parquet";

export interface Exporting {
  format: Format;
  /** Null: a Parquet file does not tell while it comes; its bytes do. */
  events: number | null;
  bytes: number;
  state: "running" | "done" | "failed";
  words: string;
}
export const exporting = signal<Exporting | null>(null);
let running = new AbortController();

export function stopExport(): void {
  running.abort();
  exporting.value = null;
}

export async function exportAs(format: Format): Promise<void> {
  const shown = answer.value;
  if (shown === null) return;
  running.abort();
  running = new AbortController();
  const { signal: stopped } = running;
  const set = (events: number | null, bytes: number, state: Exporting["state"], words = "") => {
    exporting.value = { format, events, bytes, state, words };
  };
  set(format === "parquet" ? null : 0, 0, "running");
  try {
    if (format === "parquet") {
      const bytes = await exportParquet(shown, stopped, (bytes) => set(null, bytes, "running"));
      set(null, bytes, "done");
      return;
    }
    const query = { ...questionQuery(shown.question, shown.resolved), asof: shown.question.asof ?? shown.asof };
    const response = await ask(address("/api/v1/events", query), "application/x-ndjson", stopped);
    const parts: string[] = format === "csv" ? [CSV_HEADER] : [];
    let [events, bytes, rest] = [0, 0, ""];
    const take = (line: string) => {
      if (line === "") return;
      const text = format === "csv" ? csvRow(JSON.parse(line) as AuditEvent) : `${line}\n`;
      parts.push(text);
      events += 1;
      bytes += text.length;
      if (bytes > MAX_BYTES) throw tooLarge();
    };
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      const lines = (rest + (value ?? "")).split("\n");
      rest = done ? "" : lines.pop()!;
      lines.forEach(take);
      set(events, bytes, "running");
      if (done) break;
    }
    save(new Blob(parts, { type: format === "csv" ? "text/csv" : "application/x-ndjson" }), `decklog-${nameOf(shown)}.${format}`);
    set(events, bytes, "done");
  } catch (error) {
    running.abort(); // the rest of the stream
    if (exporting.value !== null)
      set(
        exporting.value.events,
        exporting.value.bytes,
        "failed",
        error instanceof Failure ? error.message : "The export broke off. Nothing was saved.",
      );
  }
}

const tooLarge = () => new Failure("too-large", "More than 512 MiB: use the command line, or narrow the range.");

/** The rows as a Parquet file, made by the server; what is asked for are values, never a part of the question. */
async function exportParquet(shown: Rows, stopped: AbortSignal, told: (bytes: number) => void): Promise<number> {
  const response = await ask("/api/v1/sql", "application/vnd.apache.parquet", stopped, sqlOf(shown));
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  const reader = response.body!.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    parts.push(value);
    bytes += value.length;
    if (bytes > MAX_BYTES) throw tooLarge();
    told(bytes);
  }
  save(new Blob(parts, { type: "application/vnd.apache.parquet" }), `decklog-${nameOf(shown)}.parquet`);
  return bytes;
}

/** The question of the rows in SQL (docs/sql.md). */
function sqlOf({ question, resolved, asof }: Rows): { query: string; params: string[] } {
  const params: string[] = [];
  const value = (text: string) => `$${params.push(text)}`;
  const terms: string[] = [];
  if (question.filter !== "") terms.push(`event_matches(event, ${value(question.filter)})`);
  if (question.unit === "request") terms.push("final");
  if (resolved.since !== null) terms.push(`time >= ${value(printRfc3339(resolved.since))}::timestamptz`);
  if (resolved.until !== null) terms.push(`time < ${value(printRfc3339(resolved.until))}::timestamptz`);
  const end = question.asof ?? asof;
  if (end !== null) terms.push(`seq < ${value(String(end))}::bigint`);
  const where = terms.length === 0 ? "" : ` WHERE ${terms.join(" AND ")}`;
  return { query: `SELECT * FROM events${where} ORDER BY time, seq`, params };
}

export function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The click has taken hold of it by the next turn.
  setTimeout(() => URL.revokeObjectURL(link.href), 0);
}

function nameOf({ resolved, question }: Rows): string {
  const at = (moment: number | null) => (moment === null ? "" : printRfc3339(moment).replace(/[:.]/g, "").slice(0, 17));
  return [question.unit === "event" ? "events" : "requests", at(resolved.since), at(resolved.until)].filter(Boolean).join("-");
}

/** The same question for the command line. */
export function commandOf({ question, resolved }: Rows, origin: string): string {
  const words = ["decklog", "search"];
  if (question.filter !== "") words.push(shellWord(question.filter));
  if (resolved.since !== null) words.push("--since", printRfc3339(resolved.since));
  if (resolved.until !== null) words.push("--until", printRfc3339(resolved.until));
  words.push("--stages", question.unit === "event" ? "all" : "final", "--limit", "0", "-o", "json", "--server", origin);
  return words.join(" ");
}
