import assert from "node:assert/strict";
import { test } from "node:test";
import { budgetAt, placeOfBudget, printBudget, readBudget, rowsBy, SLIDER, sayBytes, sayChange, sayShare, sorted } from "./figures.ts";

test("sizes have three digits at most", () => {
  const said = [0, 999, 1000, 1234, 99_940, 999_499, 999_600, 4_985_607, 1.5e13].map(sayBytes);
  assert.deepEqual(said, ["0 B", "999 B", "1 kB", "1.23 kB", "99.9 kB", "999 kB", "1 MB", "4.99 MB", "15 TB"]);
});

test("shares and changes", () => {
  assert.equal(sayShare(0, 10), "0 %");
  assert.equal(sayShare(1, 100_000), "< 0.1 %");
  assert.equal(sayShare(1, 30), "3.3 %");
  assert.equal(sayShare(45, 100), "45 %");
  assert.equal(sayChange(100, 38), "62 % less");
  assert.equal(sayChange(100, 150), "50 % more");
  assert.equal(sayChange(100, 310), "3.1 times as much");
  assert.equal(sayChange(7, 7), "as much");
});

test("a budget is the same in the slider, the field and the question", () => {
  for (let place = SLIDER.min; place <= SLIDER.max; place++) {
    const bytes = budgetAt(place);
    assert.equal(placeOfBudget(bytes), place);
    assert.equal(readBudget(printBudget(bytes)), bytes);
  }
  assert.equal(readBudget("1.5 GB"), 1.5e9);
  assert.equal(readBudget("2MiB/d"), 2 * 1024 * 1024);
  for (const text of ["", "much", "-1MB", "0", "1e9", "5 MB/week"]) assert.equal(readBudget(text), null, text);
});

test("rules keep their order until they are sorted", () => {
  const simulated = {
    events: 3,
    bytes: 30,
    unknownBodies: 0,
    byRule: [
      { rule: 0, line: 5, level: "None", events: 1, bytes: 20 },
      { rule: -1, level: "None", events: 2, bytes: 10 },
    ],
    byLevel: [],
    byResource: [],
    byUser: [],
    byNamespace: [],
  };
  const rows = rowsBy(simulated, "rule");
  assert.deepEqual(
    rows.map(({ label, line }) => [label, line]),
    [
      ["rule 1", 5],
      ["no rule", null],
    ],
  );
  assert.equal(sorted(rows, "events")[0]!.label, "no rule");
  assert.equal(sorted(rows, "bytes")[0]!.label, "rule 1");
});
