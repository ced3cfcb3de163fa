import assert from "node:assert/strict";
import { test } from "node:test";
import { readSaved, withSaved } from "./saved.ts";

test("what was kept is read back, anything else is nothing", () => {
  const all = withSaved(withSaved([], { name: "denied", query: "?f=code:403" }), { name: " mallory ", query: "?f=user:mallory" });
  assert.deepEqual(
    all.map(({ name }) => name),
    ["mallory", "denied"],
  );
  assert.deepEqual(readSaved(JSON.stringify(all)), all);
  for (const text of [null, "", "{", "5", "{}", '[null,1,{"name":1},{"name":"x","query":"javascript:"},{"name":"","query":"?"}]'])
    assert.deepEqual(readSaved(text), [], String(text));
});

test("a name stands once, and there are 50 at most", () => {
  let all = withSaved([], { name: "a", query: "?f=x" });
  all = withSaved(all, { name: "a", query: "?f=y" });
  assert.deepEqual(all, [{ name: "a", query: "?f=y" }]);
  for (let at = 0; at < 80; at++) all = withSaved(all, { name: `n${at}`, query: "" });
  assert.equal(all.length, 50);
  assert.deepEqual(withSaved([], { name: "  ", query: "" }), []);
});
