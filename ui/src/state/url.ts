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
export type PolicyTab = "explain" | "simulate" | "compare" | "generate";
export const POLICY_TABS: readonly PolicyTab[] = ["explain", "simulate", "compare", "generate"];
export type Share = "rule" | "level" | "resource" | "user" | "namespace";
export const SHARES: readonly Share[] = ["rule", "level", "resource", "user", "namespace"];

/** The policy page. The policies themselves are too long for an address: they are kept in this tab (`state/policy/kept.ts`). */
export interface PolicyView {
  page: "policy";
  tab: PolicyTab;
  /** Which half is shown where there is no room for both. */
  pane: "editor" | "results";
  /** The request that is explained, as it was typed. */
  request: string;
  /** The range and filter of the traffic; no range is all there is. */
  range: Range | null;
  filter: string;
  by: Share;
  /** What is generated: a profile, within a budget if one is given. */
  profile: string | null;
  budget: string | null;
  keep: string;
}
export type View = SearchView | EventView | PolicyView;

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

export const FIRST_POLICY: PolicyView = {
  page: "policy",
  tab: "explain",
  pane: "editor",
  request: "",
  range: null,
  filter: "",
  by: "rule",
  profile: null,
  budget: null,
  keep: "",
};

/** Longer requests (an event's JSON) stay out of the address. */
const MAX_REQUEST = 2000;

const ID = /^[0-9A-Za-z-]{1,120}$/;

function tabOf(text: string | null): Tab | null {
  return text === "request" || text === "response" || text === "raw" ? text : null;
}

/** The view of an address; whatever cannot be read is as if it were not there. */
export function readAddress(path: string, search: string): View {
  const parameters = new URLSearchParams(search);
  const event = /^\/event\/([^/]+)$/.exec(path);
  if (event && ID.test(event[1]!)) return { page: "event", id: event[1]!, tab: tabOf(parameters.get("tab")) };
  if (path === "/policy") return readPolicy(parameters);
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

function readPolicy(parameters: URLSearchParams): PolicyView {
  const range = parameters.get("t");
  const word = (key: string) => {
    const text = parameters.get(key);
    return text !== null && /^[\w./ -]{1,40}$/.test(text) ? text : null;
  };
  return {
    page: "policy",
    tab: POLICY_TABS.find((tab) => tab === parameters.get("tab")) ?? FIRST_POLICY.tab,
    pane: parameters.get("pane") === "results" ? "results" : "editor",
    request: parameters.get("q") ?? "",
    range: range === null ? null : readPrinted(range),
    filter: parameters.get("f") ?? "",
    by: SHARES.find((by) => by === parameters.get("by")) ?? FIRST_POLICY.by,
    profile: word("profile"),
    budget: word("budget"),
    keep: parameters.get("keep") ?? "",
  };
}

function printPolicy(view: PolicyView): string {
  const pairs: [string, string][] = [];
  if (view.tab !== FIRST_POLICY.tab) pairs.push(["tab", view.tab]);
  if (view.pane !== FIRST_POLICY.pane) pairs.push(["pane", view.pane]);
  if (view.request !== "" && view.request.length <= MAX_REQUEST) pairs.push(["q", view.request]);
  if (view.filter !== "") pairs.push(["f", view.filter]);
  if (view.range !== null) pairs.push(["t", printRange(view.range)]);
  if (view.by !== FIRST_POLICY.by) pairs.push(["by", view.by]);
  if (view.profile !== null) pairs.push(["profile", view.profile]);
  if (view.budget !== null) pairs.push(["budget", view.budget]);
  if (view.keep !== "") pairs.push(["keep", view.keep]);
  return `/policy${query(pairs)}`;
}

/** The address of a view; what is as in the first view is left out. */
export function printAddress(view: View): string {
  if (view.page === "policy") return printPolicy(view);
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
