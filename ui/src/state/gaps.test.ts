import assert from "node:assert/strict";
import { test } from "node:test";
import { beforeFirst, holesIn, isSeen, partOf, placeOf } from "./gaps.ts";
import { DAY, parseRfc3339 } from "./time.ts";

test("a file's gap is its day, a damaged record's is between its neighbours, other words are nowhere", () => {
  const since = parseRfc3339("2026-11-22T00:00:00Z")!;
  assert.deepEqual(placeOf("up to 9 events of the table's file `day=2026-11-22/a.parquet` are missing: not found"), {
    kind: "day",
    since,
    until: since + DAY,
  });
  assert.deepEqual(placeOf("records 10 to 20 are damaged (0.seg, bytes 1 to 2)"), { kind: "records", from: 10, to: 20 });
  assert.deepEqual(placeOf("records 5 to 5 are missing: x is missing"), { kind: "records", from: 5, to: 5 });
  for (const words of ["", "records 20 to 10 are damaged", "records -1 to x are", "7 events could not be decoded", "`day=2026-99-99/x`"])
    assert.deepEqual(placeOf(words), { kind: "unknown" }, words);
});

test("a hole is drawn where it reaches into the range, an open end to the range's", () => {
  const range = { since: 100, until: 200 };
  const hole = (since: number | null, until: number | null) => ({ since, until, words: "" });
  assert.deepEqual(partOf(hole(125, 150), range), { from: 0.25, to: 0.5 });
  assert.deepEqual(partOf(hole(null, 150), range), { from: 0, to: 0.5 });
  assert.deepEqual(partOf(hole(150, null), range), { from: 0.5, to: 1 });
  assert.deepEqual(partOf(hole(150, 150), range), { from: 0.5, to: 0.5 });
  for (const away of [hole(0, 100), hole(200, 300), hole(null, 50), hole(160, 150)]) assert.equal(partOf(away, range), null);
  assert.equal(partOf(hole(1, 2), { since: 5, until: 5 }), null);
  assert.equal(holesIn([hole(0, 100), hole(120, 130)], range).length, 1);
  assert.equal(isSeen(hole(0, 100), range), false);
  assert.equal(isSeen(hole(0, 101), { since: 100, until: null }), true);
  assert.deepEqual(beforeFirst(null), []);
  assert.equal(beforeFirst(7)[0]?.until, 7);
});
