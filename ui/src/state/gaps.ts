// Where in time something is missing: the server says what is missing in words (docs/api.md), this says from when to
// when. Pure; `holes.ts` asks for what it needs. A gap whose time is not known stays words.

import { DAY, type Micros, parseRfc3339, type Resolved } from "./time.ts";

/** A stretch of time of which not everything is known. An open end is null. */
export interface Hole {
  since: Micros | null;
  until: Micros | null;
  words: string;
}

/** Where to look for a gap's time. */
export type Place =
  /** The days of a file of the table. */
  | { kind: "day"; since: Micros; until: Micros }
  /** Records of the journal: between the times of their neighbours. */
  | { kind: "records"; from: number; to: number }
  | { kind: "unknown" };

/** Reads `… of the table's file \`day=2026-11-22/x.parquet\` are missing` and `records 10 to 20 are damaged`. */
export function placeOf(words: string): Place {
  const day = /`(?:[^`]*\/)?day=(\d{4}-\d\d-\d\d)\/[^`]*`/.exec(words);
  const since = day && parseRfc3339(`${day[1]}T00:00:00Z`);
  if (typeof since === "number") return { kind: "day", since, until: since + DAY };
  const records = /^records (\d{1,15}) to (\d{1,15}) are /.exec(words);
  if (records && Number(records[1]) <= Number(records[2])) return { kind: "records", from: Number(records[1]), to: Number(records[2]) };
  return { kind: "unknown" };
}

/** What lies before the first event that is stored: not empty, but unknown. */
export function beforeFirst(first: Micros | null): Hole[] {
  return first === null ? [] : [{ since: null, until: first, words: "before the first stored event: unknown" }];
}

/** The part of `hole` in a range, as parts of its length from 0 to 1; null when there is none. */
export function partOf(hole: Hole, { since, until }: { since: Micros; until: Micros }): { from: number; to: number } | null {
  const length = until - since;
  const [from, to] = [Math.max(since, hole.since ?? since), Math.min(until, hole.until ?? until)];
  if (length <= 0 || from > to || from >= until || to <= since) return null;
  return { from: (from - since) / length, to: (to - since) / length };
}

/** The holes that reach into a stretch, for a bar's words. */
export function holesIn(holes: Hole[], stretch: { since: Micros; until: Micros }): Hole[] {
  return holes.filter((hole) => partOf(hole, stretch) !== null);
}

/** Whether any of the hole is to be seen in the range that is asked for. */
export function isSeen(hole: Hole, { since, until }: Resolved): boolean {
  return (hole.until === null || since === null || hole.until > since) && (hole.since === null || until === null || hole.since < until);
}
