// Searches that a person named, kept in this browser: what the address says, under a name. No answer is kept.

import { signal } from "@preact/signals";

export interface Saved {
  name: string;
  /** What follows `/search`. */
  query: string;
}

const KEY = "decklog-saved";
const MAX_SAVED = 50;
const MAX_NAME = 60;
const MAX_QUERY = 8000;

/** What was kept; whatever it is not is left out. */
export function readSaved(text: string | null): Saved[] {
  let kept: unknown;
  try {
    kept = JSON.parse(text ?? "[]");
  } catch {
    return [];
  }
  if (!Array.isArray(kept)) return [];
  return kept
    .filter((one): one is Saved => typeof one?.name === "string" && typeof one?.query === "string")
    .filter(({ name, query }) => name !== "" && name.length <= MAX_NAME && query.length <= MAX_QUERY && /^(\?|$)/.test(query))
    .map(({ name, query }) => ({ name, query }))
    .slice(0, MAX_SAVED);
}

/** The list with one more; the same name is replaced, the newest is first. */
export function withSaved(all: readonly Saved[], one: Saved): Saved[] {
  const name = one.name.trim().slice(0, MAX_NAME);
  if (name === "" || one.query.length > MAX_QUERY) return [...all];
  return [{ name, query: one.query }, ...all.filter((other) => other.name !== name)].slice(0, MAX_SAVED);
}

function load(): Saved[] {
  try {
    return readSaved(localStorage.getItem(KEY));
  } catch {
    return []; // storage may be off
  }
}

export const saved = signal<Saved[]>(typeof localStorage === "undefined" ? [] : load());

export function setSaved(all: Saved[]): void {
  saved.value = all;
  try {
    if (all.length === 0) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, JSON.stringify(all));
  } catch {
    // Then it holds until the page is left.
  }
}
