// The view that is shown, and its address: one is always the other.

import { batch, computed, effect, signal } from "@preact/signals";
import { visible } from "./hostile.ts";
import type { Range } from "./time.ts";
import { FIRST_POLICY, FIRST_VIEW, type PolicyView, printAddress, readAddress, type SearchView, type View } from "./url.ts";

export const view = signal<View>(readAddress(location.pathname, location.search));

/** The search page's view, also while another page is shown. */
export const searchView = signal<SearchView>(view.value.page === "search" ? view.value : FIRST_VIEW);

/** The policy page's view, likewise. */
export const policyView = signal<PolicyView>(view.value.page === "policy" ? view.value : FIRST_POLICY);

export const isSearch = computed(() => view.value.page === "search");
export const isPolicy = computed(() => view.value.page === "policy");

const ALL_TIME: Range = { since: null, until: null };

/** The range of the page that is shown; null while the search has chosen none. */
export const shownRange = computed<Range | null>(() => (isPolicy.value ? (policyView.value.range ?? ALL_TIME) : searchView.value.range));

/** There is one range: who goes from one page to the other takes it along. */
function show(next: View): void {
  batch(() => {
    view.value = next;
    if (next.page === "search") {
      searchView.value = next;
      if (next.range !== null) policyView.value = { ...policyView.value, range: next.range };
    } else if (next.page === "policy") {
      policyView.value = next;
      if (next.range !== null) searchView.value = { ...searchView.value, range: next.range };
    }
  });
}

addEventListener("popstate", () => show(readAddress(location.pathname, location.search)));

effect(() => {
  const shown = view.value;
  const name = shown.page === "event" ? `event ${shown.id}` : shown.page === "policy" ? "Policy" : shown.filter || "Search";
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

/** Changes the policy page's view. */
export function changePolicy(part: Partial<PolicyView>, how: "push" | "replace" = "push"): void {
  go({ ...policyView.value, ...part }, how);
}

/** Changes the range of the page that is shown. */
export function changeRange(range: Range, isLive: boolean): void {
  if (isPolicy.value) changePolicy({ range });
  else change({ range, live: isLive });
}

/** An inner link: a plain click changes the view, any other is the browser's. */
export function follow(next: View): (event: MouseEvent) => void {
  return (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(next);
  };
}
