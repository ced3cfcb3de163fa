// The search that is under way or was answered: rows first, then histogram and facets of the very same state of the
// log (`asof`), so that their totals agree. A new question ends the old one.

import { computed, effect, signal, untracked } from "@preact/signals";
import { Failure, getJson, type Query } from "../api/client.ts";
import { follow } from "../api/tail.ts";
import type { About, AuditEvent, EventsPage, Extent, FacetsAnswer, Histogram } from "../api/types.ts";
import { around, LAST_HOUR, type Micros, parseRfc3339, printRange, printRfc3339, type Resolved, resolve, SECOND } from "./time.ts";
import type { SearchView, Unit } from "./url.ts";
import { change, isSearch, searchView } from "./view.ts";

const PAGE_ROWS = 200;
const MOUNTED_ROWS = 1000;
const SLOW_MS = 2000;
/** While live there are so many rows at most: each that comes moves all others. */
const LIVE_ROWS = 100;
/** While live, so many rows are drawn in a frame at most, and frames lie so far apart: no task of the page gets long. */
const FRAME_ROWS = 8;
const FRAME_MS = 16;
/** While live, the figures follow the rows this often at most. */
const REFRESH_MS = 5000;

export interface Row {
  seq: number;
  /** The event's name in addresses; of an event that came live only the sequence is known. */
  name: string;
  event: AuditEvent;
  about: About | null;
  isNew: boolean;
}

export interface Rows {
  question: Question;
  resolved: Resolved;
  rows: Row[];
  /** Newer rows that were taken out to keep the page light. */
  nDropped: number;
  next: string | null;
  matched: number | null;
  asof: number | null;
  complete: boolean;
  reason: string | null;
  gaps: string[];
}

/** What is asked: the part of the view that changes the answer. */
export interface Question {
  filter: string;
  range: NonNullable<SearchView["range"]>;
  unit: Unit;
  asof: number | null;
}

export type Phase = "loading" | "slow" | "more" | "done" | "stopped";
export type Part<T> = { value: T | null; failure: Failure | null; isOld: boolean };
const nothing = <T>(): Part<T> => ({ value: null, failure: null, isOld: false });

export const phase = signal<Phase>("loading");
export const failure = signal<Failure | null>(null);
export const answer = signal<Rows | null>(null);
/** The range of the answer: stays the same while rows are added. */
export const resolved = computed<Resolved | null>(() => answer.value?.resolved ?? null);
export const askedUnit = computed<Unit>(() => answer.value?.question.unit ?? "request");
export const histogram = signal<Part<Histogram>>(nothing());
export const facets = signal<Part<FacetsAnswer>>(nothing());
export const extent = signal<Extent | null>(null);
/** The range, as the address has it, that was shown in place of an empty last hour. */
export const instead = signal<string | null>(null);
/** Fields whose facets are open, beside the first ones. */
export const moreFields = signal<string[]>([]);

export interface Live {
  state: "connecting" | "on" | "paused" | "failed";
  words: string;
  arrived: number;
  skipped: number;
}
export const live = signal<Live | null>(null);

export const FIRST_FIELDS = [
  "outcome",
  "user.username",
  "verb",
  "objectRef.resource",
  "objectRef.namespace",
  "responseStatus.code",
  "tool",
  "peer",
];
export const OTHER_FIELDS = [
  "verbclass",
  "usertype",
  "impersonatedUser.username",
  "user.groups",
  "objectRef.subresource",
  "objectRef.name",
  "objectRef.apiGroup",
  "responseStatus.reason",
  "decision",
  "sa",
  "level",
  "stage",
  "cluster",
  "source",
];

/** Changes exactly when the question does. */
const questionKey = computed(() => {
  const { filter, range, unit, asof } = searchView.value;
  return JSON.stringify({ filter, range, unit, asof });
});

export function questionQuery({ filter, unit, asof }: Question, { since, until }: Resolved): Query {
  const at = (moment: Micros | null) => (moment === null ? null : printRfc3339(moment));
  return { filter, unit, asof, since: at(since), until: at(until) };
}

const now = (): Micros => Date.now() * 1000;

let running = new AbortController();

/** Ends what is under way; what was shown before stays. */
export function stopSearch(): void {
  running.abort();
  phase.value = "stopped";
}

/** Asks the question of the view anew. */
export async function search(): Promise<void> {
  running.abort();
  running = new AbortController();
  const { signal: stopped } = running;
  phase.value = "loading";
  failure.value = null;
  histogram.value = { ...histogram.value, isOld: true };
  facets.value = { ...facets.value, isOld: true };
  const slow = setTimeout(() => {
    if (!stopped.aborted && phase.value === "loading") phase.value = "slow";
  }, SLOW_MS);
  try {
    const { filter, range, unit, asof } = searchView.value;
    if (range === null) {
      await chooseRange(stopped);
      return; // the new range is a new question
    }
    const question: Question = { filter, range, unit, asof };
    const resolved = resolve(range, now());
    const query = questionQuery(question, resolved);
    const page = await getJson<EventsPage>("/api/v1/events", { ...query, limit: PAGE_ROWS }, stopped);
    answer.value = {
      question,
      resolved,
      rows: rowsOf(page),
      nDropped: 0,
      next: page.next ?? null,
      matched: page.matched ?? null,
      asof: page.asof ?? null,
      complete: page.complete,
      reason: page.reason ?? null,
      gaps: page.gaps ?? [],
    };
    phase.value = "done";
    const same = { ...query, asof: asof ?? page.asof };
    await Promise.all([loadHistogram(same, stopped), loadFacets(same, stopped), loadExtent(stopped)]);
  } catch (error) {
    if (stopped.aborted) return;
    failure.value = asFailure(error);
    phase.value = "done";
  } finally {
    clearTimeout(slow);
  }
}

/** The last hour; or, when that is empty and there is something, all there is. */
async function chooseRange(stopped: AbortSignal): Promise<void> {
  await loadExtent(stopped);
  const there = extent.value;
  if (there === null) throw new Failure("network", "The server does not say what it holds.");
  const [first, last] = [parseRfc3339(there.first ?? ""), parseRfc3339(there.last ?? "")];
  const isOld = first !== null && last !== null && last < now() - 3600 * SECOND;
  const range = isOld ? around(first, last) : LAST_HOUR;
  instead.value = isOld ? printRange(range) : null;
  change({ range }, "replace");
}

export async function loadExtent(stopped: AbortSignal): Promise<void> {
  extent.value = await getJson<Extent>("/api/v1/extent", {}, stopped);
}

async function loadHistogram(query: Query, stopped: AbortSignal): Promise<void> {
  await load(histogram, () => getJson<Histogram>("/api/v1/histogram", { ...query, buckets: 60, split: "outcome" }, stopped), stopped);
}

async function loadFacets(query: Query, stopped: AbortSignal): Promise<void> {
  const field = [...FIRST_FIELDS, ...moreFields.value].slice(0, 20);
  await load(facets, () => getJson<FacetsAnswer>("/api/v1/facets", { ...query, field, size: 8 }, stopped), stopped);
}

/** One part of the page; that it fails is its own affair. */
async function load<T>(part: { value: Part<T> }, ask: () => Promise<T>, stopped: AbortSignal): Promise<void> {
  try {
    const value = await ask();
    if (!stopped.aborted) part.value = { value, failure: null, isOld: false };
  } catch (error) {
    if (!stopped.aborted) part.value = { value: null, failure: asFailure(error), isOld: false };
  }
}

/** Opens or closes the facet of one more field. */
export function toggleField(field: string): void {
  const open = moreFields.value;
  moreFields.value = open.includes(field) ? open.filter((other) => other !== field) : [...open, field];
  void refreshFigures();
}

async function refreshFigures(): Promise<void> {
  const shown = answer.value;
  if (shown === null) return;
  const { signal: stopped } = running;
  const resolved = live.value ? resolve(shown.question.range, now()) : shown.resolved;
  const query = { ...questionQuery(shown.question, resolved), asof: live.value ? null : (shown.question.asof ?? shown.asof) };
  await Promise.all([
    loadHistogram(query, stopped),
    loadFacets(query, stopped),
    live.value ? loadExtent(stopped).catch(() => undefined) : null,
  ]);
}

/** The next page of rows; the newest are taken out when there are too many. */
export async function loadMore(): Promise<void> {
  const shown = answer.value;
  if (shown === null || shown.next === null || phase.value !== "done") return;
  const { signal: stopped } = running;
  phase.value = "more";
  try {
    const query = { ...questionQuery(shown.question, shown.resolved), limit: PAGE_ROWS, cursor: shown.next };
    const page = await getJson<EventsPage>("/api/v1/events", query, stopped);
    const rows = [...(answer.value ?? shown).rows, ...rowsOf(page)];
    const nOver = Math.max(0, rows.length - MOUNTED_ROWS);
    answer.value = {
      ...shown,
      rows: rows.slice(nOver),
      nDropped: shown.nDropped + nOver,
      next: page.next ?? null,
      complete: shown.complete && page.complete,
      reason: page.reason ?? shown.reason,
      gaps: [...new Set([...shown.gaps, ...(page.gaps ?? [])])],
    };
    phase.value = "done";
  } catch (error) {
    if (stopped.aborted) return;
    phase.value = "done";
    failure.value = asFailure(error);
  }
}

function rowsOf(page: EventsPage): Row[] {
  return page.items.map((event, index) => {
    const about = page.about[index] ?? null;
    const name = about?.id ?? "";
    return { seq: Number.parseInt(name, 10), name, event, about, isNew: false };
  });
}

export function asFailure(error: unknown): Failure {
  return error instanceof Failure
    ? error
    : new Failure("page", `This page failed: ${error instanceof Error ? error.message : String(error)}`);
}

/** Begins to follow what arrives; the returned function ends it. */
function startLive(view: SearchView): () => void {
  live.value = { state: "connecting", words: "", arrived: 0, skipped: 0 };
  let waiting: Row[] = [];
  let showing = 0;
  let hasEnded = false;
  let refresh = 0;
  const set = (part: Partial<Live>) => {
    if (live.value) live.value = { ...live.value, ...part };
  };
  /** Events that came too fast to be shown one by one. */
  const passOver = (count: number) => {
    const shown = answer.value;
    if (shown && shown.matched !== null) answer.value = { ...shown, matched: shown.matched + count, next: null };
    set({ skipped: (live.value?.skipped ?? 0) + count });
  };
  const later = () => {
    showing ||= window.setTimeout(() => requestAnimationFrame(show), FRAME_MS);
  };
  const show = () => {
    showing = 0;
    if (hasEnded) return;
    const shown = answer.value;
    if (shown === null || waiting.length === 0) return;
    const known = new Set(shown.rows.map((row) => row.seq));
    const fresh = waiting
      .splice(0, FRAME_ROWS)
      .filter((row) => !known.has(row.seq))
      .reverse();
    if (waiting.length > 0) later();
    if (fresh.length === 0) return;
    const rows = [...fresh, ...shown.rows];
    const kept = rows.slice(0, LIVE_ROWS);
    // What falls out at the old end is found again from the place of the last row by a new search.
    answer.value = {
      ...shown,
      rows: kept,
      matched: shown.matched === null ? null : shown.matched + fresh.length,
      next: kept.length < rows.length ? null : shown.next,
    };
    set({ arrived: (live.value?.arrived ?? 0) + fresh.length });
    refresh ||= window.setTimeout(() => {
      refresh = 0;
      void refreshFigures();
    }, REFRESH_MS);
  };
  const end = follow(
    { filter: view.filter, stages: view.unit === "request" ? "final" : "all" },
    {
      opened() {
        set({ state: "on", words: "" });
        void search(); // what came before the stream was open
      },
      arrived(seq, event) {
        waiting.push({ seq, name: String(seq), event, about: null, isNew: true });
        // More than there is room for would fall out as it comes in.
        if (waiting.length > LIVE_ROWS) {
          const nOver = waiting.length - LIVE_ROWS;
          waiting = waiting.slice(nOver);
          passOver(nOver);
        }
        later();
      },
      skipped: (count) => set({ skipped: (live.value?.skipped ?? 0) + count }),
      paused: () => set({ state: "paused", words: "paused while this tab is hidden" }),
      failed: (words) => set({ state: "failed", words }),
    },
  );
  return () => {
    end();
    hasEnded = true;
    clearTimeout(showing);
    clearTimeout(refresh);
    live.value = null;
  };
}

/** Joins the search to the view; called once. */
export function startSearching(): void {
  effect(() => {
    questionKey.value;
    if (isSearch.value) untracked(() => void search());
  });
  const liveKey = computed(() =>
    isSearch.value && searchView.value.live ? JSON.stringify([searchView.value.filter, searchView.value.unit]) : null,
  );
  effect(() => {
    if (liveKey.value === null) return;
    return untracked(() => startLive(searchView.value));
  });
}
