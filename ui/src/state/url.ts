// What the page shows, as its address: all of it, so that a link is the same view (docs/ui.md has the form).

import { readColumns } from "./columns.ts";
import { printRange, type Range, readPrinted } from "./time.ts";

export type Unit = "request" | "event";
export type Tab = "request" | "response" | "raw";

/** The search page. */
export interface SearchView {
  page: "search";
  filter: string;
  /** Null: nothing chosen yet; the page finds one that shows something. */
  range: Range | null;
  unit: Unit;
  /** The id of the event in the side panel. */
  selected: string | null;
  /** Null: the body there is. */
  tab: Tab | null;
  live: boolean;
  /** Null: those of the first view. */
  columns: string[] | null;
  /** Only what was stored before this sequence number. */
  asof: number | null;
}
/** One event on a page of its own. */
export interface EventView {
  page: "event";
  id: string;
  tab: Tab | null;
}
export type View = SearchView | EventView;

export const FIRST_VIEW: SearchView = {
  page: "search",
  filter: "",
  range: null,
  unit: "request",
  selected: null,
  tab: null,
  live: false,
  columns: null,
  asof: null,
};

const ID = /^[0-9A-Za-z-]{1,120}$/;

function tabOf(text: string | null): Tab | null {
  return text === "request" || text === "response" || text === "raw" ? text : null;
}

/** The view of an address; whatever cannot be read is as if it were not there. */
export function readAddress(path: string, search: string): View {
  const parameters = new URLSearchParams(search);
  const event = /^\/event\/([^/]+)$/.exec(path);
  if (event && ID.test(event[1]!)) return { page: "event", id: event[1]!, tab: tabOf(parameters.get("tab")) };
  const range = parameters.get("t");
  const selected = parameters.get("sel");
  const asof = parameters.get("asof");
  return {
    page: "search",
    filter: parameters.get("f") ?? "",
    range: range === null ? null : readPrinted(range),
    unit: parameters.get("unit") === "event" ? "event" : "request",
    selected: selected !== null && ID.test(selected) ? selected : null,
    tab: tabOf(parameters.get("tab")),
    columns: readColumns(parameters.get("cols")),
    live: parameters.get("live") === "1",
    asof: asof !== null && /^\d{1,15}$/.test(asof) ? Number(asof) : null,
  };
}

/** The address of a view; what is as in the first view is left out. */
export function printAddress(view: View): string {
  const pairs: [string, string][] = [];
  if (view.page === "event") {
    if (view.tab !== null) pairs.push(["tab", view.tab]);
    return `/event/${view.id}${query(pairs)}`;
  }
  if (view.filter !== "") pairs.push(["f", view.filter]);
  if (view.range !== null) pairs.push(["t", printRange(view.range)]);
  if (view.unit !== "request") pairs.push(["unit", view.unit]);
  if (view.columns !== null) pairs.push(["cols", view.columns.join(",")]);
  if (view.selected !== null) pairs.push(["sel", view.selected]);
  if (view.selected !== null && view.tab !== null) pairs.push(["tab", view.tab]);
  if (view.live) pairs.push(["live", "1"]);
  if (view.asof !== null) pairs.push(["asof", String(view.asof)]);
  return `/search${query(pairs)}`;
}

function query(pairs: [string, string][]): string {
  // `:` `,` `/` and `*` need no escape behind the `?`, and filters are full of them.
  const escaped = (text: string) => encodeURIComponent(text).replace(/%(3A|2C|2F|2A)/g, (code) => decodeURIComponent(code));
  return pairs.length === 0 ? "" : `?${pairs.map(([key, value]) => `${key}=${escaped(value)}`).join("&")}`;
}
