// The view that is shown, and its address: one is always the other.

import { computed, effect, signal } from "@preact/signals";
import { visible } from "./hostile.ts";
import { FIRST_VIEW, printAddress, readAddress, type SearchView, type View } from "./url.ts";

export const view = signal<View>(readAddress(location.pathname, location.search));

/** The search page's view, also while another page is shown. */
export const searchView = signal<SearchView>(view.value.page === "search" ? view.value : FIRST_VIEW);

export const isSearch = computed(() => view.value.page === "search");

function show(next: View): void {
  view.value = next;
  if (next.page === "search") searchView.value = next;
}

addEventListener("popstate", () => show(readAddress(location.pathname, location.search)));

effect(() => {
  const shown = view.value;
  const name = shown.page === "event" ? `event ${shown.id}` : shown.filter || "Search";
  document.title = `${visible(name.slice(0, 80))} · decklog`;
});

/** Shows another view; `replace` leaves no step to go back to. */
export function go(next: View, how: "push" | "replace" = "push"): void {
  const address = printAddress(next);
  if (address !== location.pathname + location.search) {
    if (how === "push") history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  }
  show(next);
}

/** Changes the search; a change of the question closes the panel and ends `asof`. */
export function change(part: Partial<SearchView>, how: "push" | "replace" = "push"): void {
  const asks = "filter" in part || "range" in part || "unit" in part;
  go({ ...searchView.value, ...(asks ? { selected: null, asof: null } : {}), ...part }, how);
}

/** An inner link: a plain click changes the view, any other is the browser's. */
export function follow(next: View): (event: MouseEvent) => void {
  return (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(next);
  };
}
