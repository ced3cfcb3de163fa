import assert from "node:assert/strict";
import { test } from "node:test";
import {
  around,
  isRelative,
  type Micros,
  parseDuration,
  parseRange,
  parseRfc3339,
  printClock,
  printDuration,
  printRange,
  printResolved,
  printRfc3339,
  resolve,
  SECOND,
  step,
  zoomOut,
} from "./time.ts";

const at = (text: string): Micros => parseRfc3339(text) ?? assert.fail(text);
const NOW = at("2026-11-25T12:00:00Z");
const DAY = at("2026-11-22T09:52:31Z");

function check(text: string, since: string | null, until: string | null) {
  const range = parseRange(text, NOW, "utc", DAY);
  assert.ok(range, text);
  const got = resolve(range, NOW);
  const print = (moment: Micros | null) => (moment === null ? null : printRfc3339(moment));
  assert.deepEqual([print(got.since), print(got.until)], [since, until], text);
}

test("what people type is a range", () => {
  check("2h", "2026-11-25T10:00:00Z", "2026-11-25T12:00:00Z");
  check("last 90 m", "2026-11-25T10:30:00Z", "2026-11-25T12:00:00Z");
  check("now-6h..now-1h", "2026-11-25T06:00:00Z", "2026-11-25T11:00:00Z");
  check("-6h..", "2026-11-25T06:00:00Z", null);
  check("today", "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z");
  check("yesterday", "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z");
  check("2026-11-22", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z");
  check("22 Nov", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z");
  check("24 Dec", "2025-12-24T00:00:00Z", "2025-12-25T00:00:00Z"); // the last one
  check("22 Nov 09:53:00..+10s", "2026-11-22T09:53:00Z", "2026-11-22T09:53:10Z");
  check("09:52:50..09:52:58", "2026-11-22T09:52:50Z", "2026-11-22T09:52:58Z"); // the day that is shown
  check("09:52:50 – 09:52:58", "2026-11-22T09:52:50Z", "2026-11-22T09:52:58Z");
  check("around 09:53:33.93 ±5s", "2026-11-22T09:53:28.930Z", "2026-11-22T09:53:38.930Z");
  check("around 2026-11-22T09:53:33Z +-1m30s", "2026-11-22T09:52:03Z", "2026-11-22T09:55:03Z");
  check("2026-11-22T10:52:50+01:00..2026-11-22T09:52:58.000001Z", "2026-11-22T09:52:50Z", "2026-11-22T09:52:58.000001Z");
  check("09:53", "2026-11-22T09:53:00Z", "2026-11-22T09:54:00Z");
  check("all time", null, null);
});

test("what is no range is none", () => {
  for (const text of ["soon", "25:00", "09:61", "32 Nov", "5 Foo", "09:58..09:52", "1x", "..+5s", "around x ±5s", "2026-13-01", "1h..2h"]) {
    assert.equal(parseRange(text, NOW, "utc", DAY), null, text);
  }
});

test("a printed range reads back as itself", () => {
  for (const text of [
    "now-1h..now",
    "now-1d12h..now-30m",
    "2026-11-22T09:52:50Z..2026-11-22T09:52:58.123456Z",
    "..",
    "2026-11-22T09:52:50Z..",
    "..now",
  ]) {
    const range = parseRange(text, NOW, "utc");
    assert.ok(range, text);
    assert.equal(printRange(range), text);
  }
});

test("moments keep their microseconds, before 1970 too", () => {
  for (const text of ["2026-11-22T09:53:33.935967Z", "1969-12-31T23:59:59.999999Z", "2026-02-28T23:59:59Z", "0001-01-01T00:00:00Z"]) {
    assert.equal(printRfc3339(at(text)), text);
  }
  assert.equal(parseRfc3339("2026-11-22T09:53:33.935967999Z"), at("2026-11-22T09:53:33.935967Z"));
  assert.equal(parseRfc3339("2026-11-22 09:53"), null);
});

test("durations", () => {
  for (const [text, micros] of [
    ["1h30m", 5400 * SECOND],
    ["90s", 90 * SECOND],
    ["250ms", 250_000],
    ["1.5s", 1_500_000],
  ] as const) {
    assert.equal(parseDuration(text), micros);
  }
  assert.equal(printDuration(5400 * SECOND), "1h30m");
  for (const text of ["", "h", "5", "5 x", "-5s"]) assert.equal(parseDuration(text), null, text);
});

test("clocks cut and never round", () => {
  assert.equal(printClock(at("2026-11-22T09:53:33.999999Z"), "utc", 3), "09:53:33.999");
  assert.equal(printClock(at("2026-11-22T09:53:33.999999Z"), "utc", 0), "09:53:33");
  const range = { since: at("2026-11-22T09:52:31.654Z"), until: at("2026-11-22T09:53:46.086Z") };
  assert.equal(printResolved(range, "utc"), "22 Nov 2026 09:52:31.654 – 09:53:46.086");
});

test("steps, zoom and extent", () => {
  const range = { since: { at: 100 * SECOND }, until: { at: 110 * SECOND } };
  assert.deepEqual(resolve(step(range, 1, 0), 0), { since: 110 * SECOND, until: 120 * SECOND });
  assert.deepEqual(resolve(step(range, -1, 0), 0), { since: 90 * SECOND, until: 100 * SECOND });
  assert.deepEqual(resolve(zoomOut(range, 0), 0), { since: 95 * SECOND, until: 115 * SECOND });
  assert.deepEqual(step({ since: null, until: null }, 1, 0), { since: null, until: null });
  const first = at("2026-11-22T09:52:31.654839Z");
  const all = resolve(around(first, first), 0);
  assert.ok(all.since! <= first && first < all.until!);
  assert.ok(isRelative({ since: { at: 0 }, until: { before: 0 } }) && !isRelative(range));
});
