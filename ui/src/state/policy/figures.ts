// The figures of the page: sizes for people, shares, and the budget between its slider, its field and the question.

import type { Amount, Simulated } from "../../api/policy.ts";
import type { Share } from "../url.ts";

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** `3.4 MB`: three digits at most, in the thousands that disks and bills count in. */
export function sayBytes(bytes: number): string {
  let [value, unit] = [Math.max(0, bytes), 0];
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${Number(value.toFixed(digits)).toLocaleString("en")} ${UNITS[unit]}`;
}

export function sayCount(count: number): string {
  return Math.round(count).toLocaleString("en");
}

/** `45 %`, `0.3 %`, `< 0.1 %`. */
export function sayShare(part: number, whole: number): string {
  if (whole <= 0 || part <= 0) return "0 %";
  const percent = (part / whole) * 100;
  return percent < 0.1 ? "< 0.1 %" : `${percent < 10 ? Number(percent.toFixed(1)) : Math.round(percent)} %`;
}

/** `62 % less`, `as much`, `3.1 times as much`. */
export function sayChange(before: number, after: number): string {
  if (before === after) return "as much";
  if (before <= 0) return "from nothing";
  const ratio = after / before;
  if (ratio < 1) return `${sayShare(before - after, before)} less`;
  return ratio < 2 ? `${sayShare(after - before, before)} more` : `${Number(ratio.toFixed(1)).toLocaleString("en")} times as much`;
}

export interface ShareRow extends Amount {
  /** Of a rule its number from 0, -1 for what none matched. */
  rule: number | null;
  line: number | null;
  label: string;
  level: string | null;
}

/** The rows of one table; rules in their order, the others as the server has them. */
export function rowsBy(simulated: Simulated, by: Share): ShareRow[] {
  if (by === "rule")
    return simulated.byRule.map(({ rule, line, level, events, bytes }) => ({
      rule,
      line: line ?? null,
      label: rule < 0 ? "no rule" : `rule ${rule + 1}`,
      level,
      events,
      bytes,
    }));
  const groups = { level: simulated.byLevel, resource: simulated.byResource, user: simulated.byUser, namespace: simulated.byNamespace };
  return groups[by].map(({ value, events, bytes }) => ({
    rule: null,
    line: null,
    label: value,
    level: by === "level" ? value : null,
    events,
    bytes,
  }));
}

export type Order = "order" | "events" | "bytes";

export function sorted(rows: readonly ShareRow[], order: Order): ShareRow[] {
  if (order === "order") return [...rows];
  return [...rows].sort((a, b) => b[order] - a[order]);
}

/** The slider goes over six powers of ten, in steps of a twentieth of one. */
export const SLIDER = { min: 0, max: 120 };
const LEAST = 1e6;

/** Bytes a day at a place of the slider, to two digits. */
export function budgetAt(place: number): number {
  return Number((LEAST * 10 ** (place / 20)).toPrecision(2));
}

export function placeOfBudget(bytes: number): number {
  return Math.min(SLIDER.max, Math.max(SLIDER.min, Math.round(Math.log10(Math.max(bytes, LEAST) / LEAST) * 20)));
}

/** `500MB/day` as the server takes it. */
export function printBudget(bytes: number): string {
  const [scale, unit] = [[1e12, "TB"] as const, [1e9, "GB"] as const, [1e6, "MB"] as const].find(([size]) => bytes >= size) ?? [1e3, "kB"];
  return `${Number((bytes / scale).toPrecision(6))}${unit}/day`;
}

/** `500MB/day`, `1.5 GB`, `2000000`; null where it is no size. */
export function readBudget(text: string): number | null {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(|[kmgt]?i?b)\s*(?:\/\s*d(?:ay)?)?\s*$/i.exec(text);
  if (!match) return null;
  const unit = match[2]!.toLowerCase();
  const base = unit.includes("i") ? 1024 : 1000;
  const power = { "": 0, b: 0, k: 1, m: 2, g: 3, t: 4 }[unit.replace(/i?b$/, "")] ?? 0;
  const bytes = Number(match[1]) * base ** power;
  return bytes > 0 && bytes < 1e18 ? bytes : null;
}
