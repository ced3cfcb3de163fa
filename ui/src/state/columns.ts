// Which columns the rows have: names with commas in the address, `cols=time,actor,requestObject.spec.replicas`. Pure.

import type { Json } from "../api/types.ts";

export const FIRST_COLUMNS: readonly string[] = ["time", "actor", "verb", "object", "outcome", "took", "tool"];
/** More are not readable side by side. */
export const MAX_COLUMNS = 12;
/** Names, and paths like `annotations["a.b/c"]` or `objectRef.namespace`. */
const COLUMN = /^[A-Za-z_][\w-]*(?:\.[\w/-]+|\[\d{1,4}\]|\["[^"\\,\]]{1,120}"\])*$/;

export function isColumn(name: string): boolean {
  return name.length <= 200 && COLUMN.test(name);
}

/** The columns of an address; null when there are none, or those of the first view. */
export function readColumns(text: string | null): string[] | null {
  if (text === null) return null;
  const columns = [...new Set(text.split(",").filter(isColumn))].slice(0, MAX_COLUMNS);
  return columns.length === 0 || columns.join(",") === FIRST_COLUMNS.join(",") ? null : columns;
}

/** The choice with one column put in or taken out; the last one stays. */
export function toggleColumn(choice: readonly string[] | null, name: string): string[] | null {
  const columns = [...(choice ?? FIRST_COLUMNS)];
  const at = columns.indexOf(name);
  if (at >= 0 && columns.length === 1) return choice === null ? null : columns;
  if (at >= 0) columns.splice(at, 1);
  else {
    // A column of the first view comes back to where it was there.
    const home = FIRST_COLUMNS.indexOf(name);
    const before = home < 0 ? -1 : columns.findIndex((other) => !FIRST_COLUMNS.includes(other) || FIRST_COLUMNS.indexOf(other) > home);
    columns.splice(before < 0 ? columns.length : before, 0, name);
  }
  return readColumns(columns.join(","));
}

/** What is at a path of an event; undefined where nothing is. */
export function valueAt(event: Json, path: string): Json | undefined {
  let value: unknown = event;
  for (const [, word, place, quoted] of path.matchAll(/(?:^|\.)([\w/-]+)|\[(\d+)\]|\["([^"]+)"\]/g)) {
    const key = word ?? place ?? quoted!;
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value as Json;
}
