// The holes of the answer that is shown: looks up when the gaps were that the server names. A hole that cannot be found
// in time stays in the banner.

import { computed, effect, signal, untracked } from "@preact/signals";
import { getJson, rowsOfSql } from "../api/client.ts";
import { token } from "../api/session.ts";
import type { Source } from "../api/types.ts";
import { beforeFirst, type Hole, isSeen, placeOf } from "./gaps.ts";
import { answer, extent, histogram, resolved } from "./search.ts";
import { parseRfc3339 } from "./time.ts";

/** Each costs a question; more of them are told in words. */
const MAX_LOOKED_UP = 6;
/** Neighbours of damaged records are looked for among so many. */
const NEIGHBOURS = 1000;

/** The time of a gap by its words; null: looked for, and not found. */
const found = signal<ReadonlyMap<string, Hole | null>>(new Map());
const away = signal<Hole[]>([]);

/** What the answer says is missing; the key keeps rows that come from drawing the bars anew. */
const gapsKey = computed(() => JSON.stringify([...new Set([...(answer.value?.gaps ?? []), ...(histogram.value.value?.gaps ?? [])])]));
const gaps = computed(() => JSON.parse(gapsKey.value) as string[]);
const firstStored = computed(() => extent.value?.first ?? "");

/** What is hatched: gaps, sources that are away, and what lies before the first stored event. */
export const holes = computed<Hole[]>(() => {
  const range = resolved.value;
  if (range === null) return [];
  const placed = gaps.value.map((words) => found.value.get(words) ?? null).filter((hole) => hole !== null);
  return [...placed, ...away.value, ...beforeFirst(parseRfc3339(firstStored.value))].filter((hole) => isSeen(hole, range));
});

/** Gaps that have no place in time. */
export const unplaced = computed<string[]>(() => gaps.value.filter((words) => (found.value.get(words) ?? null) === null));

async function lookUp(words: string, stopped: AbortSignal): Promise<Hole | null> {
  const place = placeOf(words);
  if (place.kind === "unknown") return null;
  if (place.kind === "day") return { since: place.since, until: place.until, words };
  const { from, to } = place;
  // The numbers were read as digits alone: nothing of the words gets into the question.
  const query =
    `SELECT max(time) FILTER (WHERE seq < ${from}) AS since, min(time) FILTER (WHERE seq > ${to}) AS until FROM events ` +
    `WHERE seq >= ${Math.max(0, from - NEIGHBOURS)} AND seq <= ${to + NEIGHBOURS}`;
  const [row] = await rowsOfSql<{ since?: string | null; until?: string | null }>(query, stopped);
  const [before, after] = [parseRfc3339(row?.since ?? ""), parseRfc3339(row?.until ?? "")];
  if (before === null && after === null) return null;
  const isTurned = before !== null && after !== null && before > after;
  return { since: isTurned ? after : before, until: isTurned ? before : after, words };
}

async function lookUpAll(all: string[], stopped: AbortSignal): Promise<void> {
  const wanted = all.filter((words) => !found.value.has(words)).slice(0, MAX_LOOKED_UP);
  for (const words of wanted) {
    const hole = await lookUp(words, stopped).catch(() => null);
    if (stopped.aborted) return;
    found.value = new Map(found.value).set(words, hole);
  }
}

async function askForSources(stopped: AbortSignal): Promise<void> {
  const { items } = await getJson<{ items: Source[] }>("/api/v1/sources", {}, stopped);
  away.value = items.flatMap(({ name, state, reason, lastEvent }) => {
    const since = parseRfc3339(lastEvent ?? "");
    // A source that never sent has no time from which it is missed.
    if (state !== "failed" || since === null) return [];
    return [{ since, until: null, words: `source ${name} is away since then${reason ? `: ${reason}` : ""}` }];
  });
}

/** Joins the holes to the answer; called once. */
export function startLookingForHoles(): void {
  effect(() => {
    const all = gaps.value;
    token.value;
    if (all.length === 0) return;
    const stop = new AbortController();
    untracked(() => void lookUpAll(all, stop.signal));
    return () => stop.abort();
  });
  const question = computed(() => answer.value?.question);
  effect(() => {
    if (question.value === undefined) return;
    const stop = new AbortController();
    untracked(() => void askForSources(stop.signal).catch(() => undefined)); // without it nothing is claimed of them
    return () => stop.abort();
  });
}
