// The saved searches of this browser. No answer is kept.

import { signal } from "@preact/signals";
import { readSaved, type Saved } from "./saved.ts";

const KEY = "decklog-saved";

function load(): Saved[] {
  try {
    return readSaved(localStorage.getItem(KEY));
  } catch {
    return []; // storage may be off
  }
}

export const saved = signal<Saved[]>(load());

export function setSaved(all: Saved[]): void {
  saved.value = all;
  try {
    if (all.length === 0) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, JSON.stringify(all));
  } catch {
    // Then it holds until the page is left.
  }
}
