import assert from "node:assert/strict";
import { test } from "node:test";
import { FIRST_COLUMNS, isColumn, MAX_COLUMNS, readColumns, toggleColumn, valueAt } from "./columns.ts";

test("columns of an address: what is none is left out, those of the first view are none", () => {
  assert.deepEqual(readColumns("time,actor,requestObject.spec.replicas"), ["time", "actor", "requestObject.spec.replicas"]);
  assert.deepEqual(readColumns("time,<b>,time,,a b"), ["time"]);
  for (const none of [null, "", ",,", FIRST_COLUMNS.join(",")]) assert.equal(readColumns(none), null);
  assert.equal(readColumns(Array.from({ length: 50 }, (_, at) => `c${at}`).join(","))?.length, MAX_COLUMNS);
  assert.ok(isColumn('annotations["authorization.k8s.io/reason"]') && !isColumn("javascript:alert(1)"));
});

test("a column goes out and comes back to its place; the last one stays", () => {
  const without = toggleColumn(null, "verb");
  assert.deepEqual(without, ["time", "actor", "object", "outcome", "took", "tool"]);
  assert.equal(toggleColumn(without, "verb"), null);
  assert.deepEqual(toggleColumn(["time"], "level"), ["time", "level"]);
  assert.deepEqual(toggleColumn(["level"], "time"), ["time", "level"]);
  assert.deepEqual(toggleColumn(["time"], "time"), ["time"]);
});

test("paths lead to what is there, and never to what JavaScript adds", () => {
  const event = { a: { "b.c/d": [{ e: 5 }] }, f: null };
  assert.equal(valueAt(event, 'a["b.c/d"][0].e'), 5);
  assert.equal(valueAt(event, "f"), null);
  for (const nowhere of ["a.x", "a.b", "f.g", "constructor", "a.__proto__.x", "toString.name"])
    assert.equal(valueAt(event, nowhere), undefined);
});
