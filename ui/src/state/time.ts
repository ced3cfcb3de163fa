// Times and ranges: what people type, what the address holds, what is printed.
//
// A moment is a whole number of microseconds since 1970, which numbers hold exactly until the year 2255.
// Everything here is a function of its arguments: "now" and the zone are given.

export type Micros = number;
export type Zone = "local" | "utc";

/** One end of a range: a moment, or so long before now. */
export type Bound = { at: Micros } | { before: Micros };
/** From `since` (belongs to it) to `until` (does not). Null is no bound. */
export interface Range {
  since: Bound | null;
  until: Bound | null;
}
export interface Resolved {
  since: Micros | null;
  until: Micros | null;
}

export const SECOND = 1_000_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
const UNITS: [string, Micros][] = [
  ["w", 7 * DAY],
  ["d", DAY],
  ["h", HOUR],
  ["m", MINUTE],
  ["s", SECOND],
  ["ms", 1000],
  ["us", 1],
];
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

export const LAST_HOUR: Range = { since: { before: HOUR }, until: { before: 0 } };

/** `1h30m`, `90s`, `250ms`. */
export function parseDuration(text: string): Micros | null {
  let total = 0;
  let rest = text.trim();
  if (rest === "") return null;
  while (rest !== "") {
    const match = /^(\d+(?:\.\d+)?)(ms|us|w|d|h|m|s)/.exec(rest);
    if (!match) return null;
    total += Number(match[1]) * UNITS.find(([unit]) => unit === match[2])![1];
    rest = rest.slice(match[0].length);
  }
  return Math.round(total);
}

/** `1h30m`: whole units, the largest two that say it exactly, else all. */
export function printDuration(length: Micros): string {
  let rest = Math.round(length);
  let text = "";
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text || "0s";
}

/** For people: `75 s`, `8 s`, `4.7 ms`, `2 h 5 min`. */
export function sayDuration(length: Micros): string {
  if (length < 1000) return `${length} µs`;
  if (length < SECOND) return `${trim(length / 1000)} ms`;
  if (length < 10 * SECOND) return `${trim(length / SECOND)} s`;
  if (length < 2 * MINUTE) return `${Math.round(length / (SECOND / 10)) / 10} s`;
  if (length < HOUR) return pair(length, MINUTE, "min", SECOND, "s");
  if (length < 2 * DAY) return pair(length, HOUR, "h", MINUTE, "min");
  return pair(length, DAY, "d", HOUR, "h");
}

function pair(length: Micros, large: Micros, largeName: string, small: Micros, smallName: string): string {
  const rest = Math.floor((length % large) / small);
  return `${Math.floor(length / large)} ${largeName}${rest === 0 ? "" : ` ${rest} ${smallName}`}`;
}

function trim(value: number): string {
  return String(Math.round(value * 1000) / 1000);
}

/** RFC 3339 with any number of decimals; null if it is none. Decimals behind microseconds are cut. */
export function parseRfc3339(text: string): Micros | null {
  const match = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)$/.exec(text.trim());
  if (!match) return null;
  const [, year, month, day, hour, minute, second, decimals, zone] = match;
  const seconds = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`) / 1000;
  if (Number.isNaN(seconds)) return null;
  const offset = /^[zZ]$/.test(zone!) ? 0 : (zone!.startsWith("-") ? -1 : 1) * (Number(zone!.slice(1, 3)) * 60 + Number(zone!.slice(4, 6)));
  return (seconds - offset * 60) * SECOND + Number((decimals ?? "").padEnd(6, "0").slice(0, 6));
}

/** RFC 3339 in UTC, with as many decimals as the moment needs (none, 3 or 6). */
export function printRfc3339(at: Micros): string {
  const micros = mod(at, SECOND);
  const base = new Date((at - micros) / 1000).toISOString().slice(0, 19);
  if (micros === 0) return `${base}Z`;
  const decimals = String(micros).padStart(6, "0");
  return `${base}.${micros % 1000 === 0 ? decimals.slice(0, 3) : decimals}Z`;
}

export type Precision = 0 | 3 | 6;

interface Parts {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}

function partsOf(at: Micros, zone: Zone): Parts {
  const date = new Date(Math.floor(at / 1000));
  return zone === "utc"
    ? {
        year: date.getUTCFullYear(),
        month: date.getUTCMonth(),
        day: date.getUTCDate(),
        hour: date.getUTCHours(),
        minute: date.getUTCMinutes(),
        second: date.getUTCSeconds(),
      }
    : {
        year: date.getFullYear(),
        month: date.getMonth(),
        day: date.getDate(),
        hour: date.getHours(),
        minute: date.getMinutes(),
        second: date.getSeconds(),
      };
}

function fromParts(parts: Parts, micros: Micros, zone: Zone): Micros | null {
  const { year, month, day, hour, minute, second } = parts;
  if (month > 11 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59) return null;
  const millis =
    zone === "utc" ? Date.UTC(year, month, day, hour, minute, second) : new Date(year, month, day, hour, minute, second).getTime();
  return Number.isNaN(millis) ? null : millis * 1000 + micros;
}

const two = (value: number) => String(value).padStart(2, "0");

/** `09:53:33.932`; decimals are cut, never rounded. */
export function printClock(at: Micros, zone: Zone, precision: Precision = 3): string {
  const { hour, minute, second } = partsOf(at, zone);
  const decimals = String(mod(at, SECOND)).padStart(6, "0").slice(0, precision);
  return `${two(hour)}:${two(minute)}:${two(second)}${precision ? `.${decimals}` : ""}`;
}

/** `22 Nov 2026`. */
export function printDay(at: Micros, zone: Zone): string {
  const { year, month, day } = partsOf(at, zone);
  const name = MONTHS[month]!;
  return `${day} ${name[0]!.toUpperCase()}${name.slice(1)} ${year}`;
}

/** `22 Nov 2026 09:52:31.654 – 09:53:46.086`; the day is said once if it is one. */
export function printResolved({ since, until }: Resolved, zone: Zone): string {
  if (since === null && until === null) return "all time";
  if (since === null) return `until ${printDay(until!, zone)} ${short(until!, zone)}`;
  if (until === null) return `from ${printDay(since, zone)} ${short(since, zone)}`;
  const day = printDay(since, zone);
  const end = printDay(until, zone);
  return `${day} ${short(since, zone)} – ${day === end ? "" : `${end} `}${short(until, zone)}`;
}

/** As short as a button: no year, no part of a second. The whole is beside the results. */
export function printShort({ since, until }: Resolved, zone: Zone): string {
  if (since === null) return printResolved({ since, until }, zone);
  if (until === null) return `from ${printDay(since, zone).replace(/ \d{4}$/, "")} ${printClock(since, zone, 0)}`;
  const day = (at: Micros) => printDay(at, zone).replace(/ \d{4}$/, "");
  const clock = (at: Micros) => printClock(at, zone, 0);
  const end = day(since) === day(until) ? "" : `${day(until)} `;
  return `${day(since)} ${clock(since)} – ${end}${clock(until)}`;
}

function short(at: Micros, zone: Zone): string {
  return printClock(at, zone, mod(at, SECOND) === 0 ? 0 : 3);
}

/** The form of the address: `now-1h..now`, `2026-11-22T09:52:50Z..2026-11-22T09:52:58Z`, `..`. */
export function printRange(range: Range): string {
  return `${printBound(range.since)}..${printBound(range.until)}`;
}

function printBound(bound: Bound | null): string {
  if (bound === null) return "";
  if ("at" in bound) return printRfc3339(bound.at);
  return bound.before === 0 ? "now" : `now-${printDuration(bound.before)}`;
}

export function resolve(range: Range, now: Micros): Resolved {
  const at = (bound: Bound | null) => (bound === null ? null : "at" in bound ? bound.at : now - bound.before);
  return { since: at(range.since), until: at(range.until) };
}

export function isRelative(range: Range): boolean {
  return [range.since, range.until].some((bound) => bound !== null && "before" in bound);
}

/**
 * What a person types or pastes: `2h`, `now-6h..now-1h`, `today`, `22 Nov 09:53:00..+10s`, `09:53..09:54`,
 * `around 09:53:33.93 ±5s`, `2026-11-22`, ISO 8601. `day` is the day that a time without one belongs to.
 * Null when it is none of these, or ends before it begins.
 */
export function parseRange(text: string, now: Micros, zone: Zone, day: Micros = now): Range | null {
  const range = readRange(text.trim(), now, zone, day);
  if (range === null) return null;
  const { since, until } = resolve(range, now);
  return since !== null && until !== null && since >= until ? null : range;
}

/** The form of the address read back. Whether it ends before it begins is for the answer to say: that depends on now. */
export function readPrinted(text: string): Range | null {
  return readRange(text, 0, "utc", 0);
}

function readRange(text: string, now: Micros, zone: Zone, day: Micros): Range | null {
  if (text === "" || /^(all|all time|\.\.)$/i.test(text)) return { since: null, until: null };
  const around = /^around\s+(.+?)\s*(?:±|\+-|\+\/-)\s*([\d.]+[a-z]+(?:\d[\da-z.]*)?)$/i.exec(text);
  if (around) {
    const moment = parseMoment(around[1]!, now, zone, day);
    const width = parseDuration(around[2]!);
    return moment && width ? { since: { at: moment.start - width }, until: { at: moment.start + width } } : null;
  }
  const length = parseDuration(text.replace(/^last\s+/i, "").replaceAll(" ", ""));
  if (length !== null) return { since: { before: length }, until: { before: 0 } };
  const split = /\s*(?:\.\.| [–-] | to )\s*/.exec(text);
  if (!split) {
    const moment = parseMoment(text, now, zone, day);
    return moment && { since: { at: moment.start }, until: { at: moment.end } };
  }
  const [left, right] = [text.slice(0, split.index), text.slice(split.index + split[0].length)];
  const since = left === "" ? null : readBound(left, now, zone, day);
  if (since === undefined) return null;
  const plus = /^\+(.+)$/.exec(right);
  if (plus) {
    const width = parseDuration(plus[1]!);
    if (width === null || since === null) return null;
    return "at" in since
      ? { since, until: { at: since.at + width } }
      : since.before >= width
        ? { since, until: { before: since.before - width } }
        : null;
  }
  const sinceDay = since && "at" in since ? since.at : day;
  const until = right === "" ? null : readBound(right, now, zone, sinceDay);
  return until === undefined ? null : { since, until };
}

/** Undefined when it cannot be read. */
function readBound(text: string, now: Micros, zone: Zone, day: Micros): Bound | undefined {
  if (/^now$/i.test(text)) return { before: 0 };
  const before = /^(?:now)?-(.+)$/i.exec(text);
  if (before) {
    const length = parseDuration(before[1]!);
    return length === null ? undefined : { before: length };
  }
  const length = parseDuration(text);
  if (length !== null) return { before: length };
  const moment = parseMoment(text, now, zone, day);
  return moment ? { at: moment.start } : undefined;
}

/** A moment, and the end of the day, minute or second that it names. */
function parseMoment(text: string, now: Micros, zone: Zone, day: Micros): { start: Micros; end: Micros } | null {
  const exact = parseRfc3339(text);
  if (exact !== null) return { start: exact, end: exact + (/\.\d/.test(text) ? 1000 : SECOND) };
  const word = text.toLowerCase();
  if (word === "today" || word === "yesterday") {
    const midnight = fromParts({ ...partsOf(now, zone), hour: 0, minute: 0, second: 0 }, 0, zone)!;
    const start =
      word === "today" ? midnight : fromParts({ ...partsOf(midnight - 12 * HOUR, zone), hour: 0, minute: 0, second: 0 }, 0, zone)!;
    return { start, end: start + DAY };
  }
  const match =
    /^(?:(?:(?<iso>\d{4}-\d\d-\d\d)|(?<dom>\d{1,2}) (?<month>[a-z]{3})[a-z]*\.?(?: (?<year>\d{4}))?)(?:[T, ]+|$))?(?:(?<clock>\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?)(?<utc> ?(?:Z|UTC))?)?$/i.exec(
      text,
    );
  const groups = match?.groups;
  if (!groups || text === "") return null;
  const at = groups.utc ? "utc" : zone;
  const parts = { ...partsOf(day, at), hour: 0, minute: 0, second: 0 };
  if (groups.iso) {
    [parts.year, parts.month, parts.day] = groups.iso.split("-").map(Number) as [number, number, number];
    parts.month -= 1;
  } else if (groups.dom) {
    parts.day = Number(groups.dom);
    parts.month = MONTHS.indexOf(groups.month!.slice(0, 3).toLowerCase());
    if (parts.month < 0) return null;
    // Without a year, the last such day that is not in the future.
    parts.year = groups.year ? Number(groups.year) : partsOf(now, at).year;
    const start = fromParts(parts, 0, at);
    if (!groups.year && start !== null && start > now) parts.year -= 1;
  }
  if (!groups.clock) {
    const start = fromParts(parts, 0, at);
    return start === null ? null : { start, end: start + DAY };
  }
  const [hour, minute, seconds] = groups.clock.replace(",", ".").split(":");
  const [second, decimals] = (seconds ?? "0").split(".");
  const micros = Number((decimals ?? "").padEnd(6, "0").slice(0, 6));
  const start = fromParts({ ...parts, hour: Number(hour), minute: Number(minute), second: Number(second) }, micros, at);
  if (start === null) return null;
  return { start, end: start + (seconds === undefined ? MINUTE : decimals === undefined ? SECOND : 1000) };
}

/** The range moved by its own length; an open range stays. */
export function step(range: Range, direction: -1 | 1, now: Micros): Range {
  const { since, until } = resolve(range, now);
  if (since === null || until === null) return range;
  const length = until - since;
  return { since: { at: since + direction * length }, until: { at: until + direction * length } };
}

/** Twice as long, about the same middle. */
export function zoomOut(range: Range, now: Micros): Range {
  const { since, until } = resolve(range, now);
  if (since === null || until === null) return { since: null, until: null };
  const half = Math.ceil((until - since) / 2 / 1000) * 1000;
  return { since: { at: since - half }, until: { at: until + half } };
}

/** The range of all there is, at whole milliseconds around it. */
export function around(first: Micros, last: Micros): Range {
  return { since: { at: Math.floor(first / 1000) * 1000 }, until: { at: (Math.floor(last / 1000) + 1) * 1000 } };
}

function mod(value: number, by: number): number {
  return ((value % by) + by) % by;
}
