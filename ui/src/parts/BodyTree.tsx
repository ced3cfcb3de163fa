// A body as a tree that folds. Every key is a handle: it adds its path and value to the filter.

import { useSignal } from "@preact/signals";
import { Exact, type Json } from "../api/types.ts";
import { visible } from "../state/hostile.ts";
import { addTerm, quoteValue } from "../state/terms.ts";
import { change, searchView } from "../state/view.ts";
import { Text } from "./Text.tsx";

/** Members of one level that are shown at once. */
const MANY = 200;
/** Levels that are open at first, while they are small. */
const OPEN_LEVELS = 3;
const SMALL = 12;
/** What kube-apiserver keeps for itself and fills screens with. */
const FOLDED = new Set(["managedFields"]);

export function BodyTree({ root, value }: { root: "request" | "response"; value: Json }) {
  return (
    <div class="tree">
      <Node path={[]} root={root} name={null} value={value} />
    </div>
  );
}

interface NodeProps {
  root: string;
  /** Member names from the body down; arrays leave none, as in the filter language. */
  path: string[];
  name: string | null;
  value: Json;
}

function isBranch(value: Json): value is Json[] | { [key: string]: Json } {
  return typeof value === "object" && value !== null && !(value instanceof Exact);
}

function Node({ root, path, name, value }: NodeProps) {
  const limit = useSignal(MANY);
  const entries = isBranch(value)
    ? Array.isArray(value)
      ? value.map((item, at) => [String(at), item] as const)
      : Object.entries(value)
    : [];
  const isSmall = path.length === 0 || (path.length < OPEN_LEVELS && entries.length <= SMALL);
  const isOpen = useSignal(isSmall && !FOLDED.has(name ?? ""));
  if (!isBranch(value)) {
    return (
      <div class="leaf">
        {name !== null && <Key root={root} path={path} name={name} value={value} />}
        <Leaf value={value} />
      </div>
    );
  }
  const isList = Array.isArray(value);
  const size = isList ? `[${entries.length}]` : `{${entries.length}}`;
  if (entries.length === 0) {
    return (
      <div class="leaf">
        {name !== null && (
          <span class="key">
            <Text value={name} limit={120} />:{" "}
          </span>
        )}
        <span class="muted">{isList ? "[]" : "{}"}</span>
      </div>
    );
  }
  const children = (
    <div class="children">
      {entries.slice(0, limit.value).map(([key, item]) => (
        <Node key={key} root={root} path={isList ? path : [...path, key]} name={key} value={item} />
      ))}
      {entries.length > limit.value && (
        <button type="button" class="small" onClick={() => (limit.value += MANY)}>
          {(entries.length - limit.value).toLocaleString("en")} more
        </button>
      )}
    </div>
  );
  if (name === null) return children;
  return (
    <details open={isOpen.value} onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
      <summary>
        <span class="key">
          <Text value={name} limit={120} />
        </span>{" "}
        <span class="muted">{size}</span>
      </summary>
      {isOpen.value && children}
    </details>
  );
}

/** `request.metadata.labels."app.kubernetes.io/name"`. */
export function pathOf(root: string, path: readonly string[]): string {
  return [root, ...path.map((name) => (/^[A-Za-z_][A-Za-z0-9_-]*$/.test(name) ? name : JSON.stringify(name)))].join(".");
}

function Key({ root, path, name, value }: { root: string; path: string[]; name: string; value: Json }) {
  const short = value === "" || String(value).length > 500;
  const written =
    typeof value === "string" ? `"${value.replace(/["\\]/g, "\\$&")}"` : value instanceof Exact ? value.written : String(value);
  const term = short
    ? `${pathOf(root, path)}:*`
    : `${pathOf(root, path)}:${typeof value === "string" && quoteValue(value) !== value ? quoteValue(value) : written}`;
  return (
    <button
      type="button"
      class="key"
      title={`Only events with ${visible(term)}`}
      onClick={() => change({ filter: addTerm(searchView.value.filter, term), selected: searchView.value.selected })}
    >
      <Text value={name} limit={120} />:
    </button>
  );
}

function Leaf({ value }: { value: Json }) {
  if (value instanceof Exact) return <span class="value-number">{value.written}</span>;
  if (typeof value === "string") {
    return (
      <span class="value-string">
        "<Text value={value} limit={4000} />"
      </span>
    );
  }
  return <span class={value === null ? "value-null" : "value-number"}>{String(value)}</span>;
}

/** JSON with its numbers as they were written. */
export function parseExact(text: string): Json {
  const revive = (_key: string, value: unknown, context?: { source?: string }): unknown =>
    typeof value === "number" && context?.source !== undefined && String(value) !== context.source ? new Exact(context.source) : value;
  return JSON.parse(text, revive as (key: string, value: unknown) => unknown) as Json;
}
