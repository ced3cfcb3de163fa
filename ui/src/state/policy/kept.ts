// The texts of the page in this tab: a reload keeps them, closing the tab forgets them.

import { effect, type Signal, signal } from "@preact/signals";

function kept(key: string): Signal<string> {
  let first = "";
  try {
    first = sessionStorage.getItem(key) ?? "";
  } catch {
    // Storage may be off.
  }
  const text = signal(first);
  effect(() => {
    try {
      if (text.value === "") sessionStorage.removeItem(key);
      else sessionStorage.setItem(key, text.value);
    } catch {
      // Off, or full: then it holds until the page is left.
    }
  });
  return text;
}

/** The policy in the editor. */
export const text = kept("decklog-policy");
/** The one that it is compared with. */
export const before = kept("decklog-policy-before");
