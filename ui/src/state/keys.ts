// Keys that work anywhere on the page. Single letters are off in inputs, and can be switched off (docs/ui.md).

import { signal } from "@preact/signals";
import { token } from "../api/session.ts";
import { prefs } from "./prefs.ts";
import { answer } from "./search.ts";
import { step, zoomOut } from "./time.ts";
import { change, changeRange, isSearch, searchView, shownRange, view } from "./view.ts";

/** The dialog or sheet that lies over the page. */
export const overlay = signal<"help" | "settings" | "facets" | null>(null);

/** Also inside a shadow root, as the editor has one. */
function isTyping(event: Event): boolean {
  const target = event.composedPath()[0];
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
}

function pressed(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && isSearch.value && searchView.value.selected !== null && document.querySelector("dialog[open]") === null) {
    if (isTyping(event)) return;
    event.preventDefault();
    closePanel();
    return;
  }
  if (isTyping(event) || prefs.value.shortcuts === "off" || document.querySelector("dialog[open]") !== null) return;
  const act = ACTS[event.key];
  if (act?.()) event.preventDefault();
}

/** Closes the panel and gives the focus back to its row. */
export function closePanel(): void {
  const row = document.querySelector(".row.is-selected");
  const cell = row?.querySelector<HTMLElement>("[tabindex='0']") ?? row?.querySelector<HTMLElement>("[role='gridcell']");
  change({ selected: null, tab: null });
  (cell ?? document.querySelector<HTMLElement>("[role='grid'] [tabindex='0']"))?.focus();
}

function moveRange(by: typeof step | typeof zoomOut, direction: -1 | 1 = 1): boolean {
  const range = shownRange.value;
  if (range === null || view.value.page === "event") return false;
  const now = Date.now() * 1000;
  changeRange(by === step ? step(range, direction, now) : zoomOut(range, now), false);
  return true;
}

export const stepBack = () => moveRange(step, -1);
export const stepOn = () => moveRange(step, 1);
export const widen = () => moveRange(zoomOut);

function focusOn(selector: string): boolean {
  const element = document.querySelector<HTMLElement>(selector);
  element?.focus();
  return element !== null;
}

function toggleLive(): boolean {
  const { live, range } = searchView.value;
  if (!isSearch.value || range === null || token.value !== null) return false;
  // Live goes on from where the range begins.
  change(live ? { live: false } : { live: true, range: { since: range.since, until: { before: 0 } } });
  return true;
}

function open(what: "help" | "settings"): boolean {
  overlay.value = what;
  return true;
}

/** Into the rows, where `j` and `k` are the rows' own. */
function enterRows(): boolean {
  return answer.value !== null && focusOn("[role='grid'] [tabindex='0']");
}

const ACTS: Record<string, () => boolean> = {
  "/": () => focusOn("#filter"),
  "?": () => open("help"),
  "[": stepBack,
  "]": stepOn,
  "-": widen,
  L: toggleLive,
  j: enterRows,
  k: enterRows,
};

export { toggleLive };

export function listenForKeys(): void {
  addEventListener("keydown", pressed);
}
