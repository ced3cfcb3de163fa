import assert from "node:assert/strict";
import { test } from "node:test";
import { applyChanges, changesOf, lineAt, placeOf, ruleLines, wordAt } from "./places.ts";

test("a place is counted in characters from 1, and never outside the text", () => {
  const text = "a😀b\ncd\n";
  assert.equal(placeOf(text, 1, 1), 0);
  assert.equal(placeOf(text, 1, 3), 3); // behind the pair of units
  assert.equal(placeOf(text, 2, 2), 6);
  assert.equal(placeOf(text, 2, 99), 7);
  assert.equal(placeOf(text, 99, 1), 8);
  assert.equal(placeOf(text, 0, 0), 0);
  assert.deepEqual(lineAt(text, 2), { from: 5, to: 7 });
});

test("what is underlined is a word, or the line where there is none", () => {
  const text = '- level: metadata # x\n  verbs: ["get", list]\n\n';
  const word = (place: number) => {
    const { from, to } = wordAt(text, place);
    return text.slice(from, to);
  };
  assert.equal(word(9), "metadata");
  assert.equal(word(text.indexOf('"get"')), '"get"');
  assert.equal(word(text.indexOf("list")), "list");
  assert.equal(word(text.indexOf("\n")), "- level: metadata # x");
  assert.equal(word(text.length), "");
});

test("edits apply together, in any order; overlapping ones do not apply at all", () => {
  const text = "- level: metadata\n  verb: [get]\n";
  const changes = changesOf(text, [
    { line: 2, column: 3, endLine: 2, endColumn: 7, text: "verbs" },
    { line: 1, column: 10, endLine: 1, endColumn: 18, text: "Metadata" },
    { line: 3, column: 1, endLine: 3, endColumn: 1, text: "- level: None\n" },
  ])!;
  assert.equal(applyChanges(text, changes), "- level: Metadata\n  verbs: [get]\n- level: None\n");
  assert.equal(
    changesOf(text, [
      { line: 1, column: 1, endLine: 1, endColumn: 9, text: "" },
      { line: 1, column: 5, endLine: 1, endColumn: 12, text: "" },
    ]),
    null,
  );
});

test("a rule ends before the comment of the next", () => {
  const text = "rules:\n- level: None\n  users: [a]\n\n# next\n- level: Metadata\n";
  const rules = [{ line: 2 }, { line: 6 }];
  assert.deepEqual(ruleLines(text, rules, 0), { first: 2, last: 3 });
  assert.deepEqual(ruleLines(text, rules, 1), { first: 6, last: 6 });
  assert.equal(ruleLines(text, rules, 2), null);
});
