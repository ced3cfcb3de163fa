import assert from "node:assert/strict";
import { test } from "node:test";
import { csvCell, csvLine } from "./csv.ts";
import { CSV_HEADER, csvRow, shellWord } from "./export.ts";
import { clip, pieces, visible } from "./hostile.ts";

test("no cell is a formula", () => {
  for (const text of ["=1+1", "+1", "-1", "@x", "\tx", "\rx"]) assert.ok(csvCell(text).replace(/^"/, "").startsWith("'"), text);
  assert.equal(csvCell(-1), "-1");
  assert.equal(csvCell('a,"b"\nc'), '"a,""b""\nc"');
  assert.equal(csvCell(null), "");
  assert.equal(csvLine(["a", 1, null]), "a,1,\r\n");
});

test("a row has a cell for each column, whatever the event lacks", () => {
  const columns = CSV_HEADER.trim().split(",").length;
  assert.equal(csvRow({}).split(",").length, columns);
  assert.ok(csvRow({ user: { username: "=cmd()" } }).includes(",'=cmd(),"));
});

test("hidden characters are written out", () => {
  assert.equal(visible("a\u202eb"), "a\\u202Eb");
  assert.equal(visible("a\0\u200b\ufeff"), "a\\u0000\\u200B\\uFEFF");
  assert.equal(visible("a\nb"), "a\\u000Ab");
  assert.equal(visible("a\nb", "keep"), "a\nb");
  assert.equal(visible("\ud800x"), "\\uD800x");
  assert.equal(visible("\u{e0041}"), "\\uDB40\\uDC41");
  assert.equal(visible("ü 😀 名前"), "ü 😀 名前");
  const json = JSON.stringify({ a: "x\u202ey\u{e0041}" });
  assert.deepEqual(JSON.parse(visible(json)), JSON.parse(json));
});

test("only what was hidden is marked", () => {
  assert.deepEqual(pieces("a\u202e\nb"), [
    { text: "a", wasHidden: false },
    { text: "\\u202E\\n", wasHidden: true },
    { text: "b", wasHidden: false },
  ]);
  assert.deepEqual(pieces(""), []);
});

test("long texts are clipped with their whole length", () => {
  assert.deepEqual(clip("abc", 3), { text: "abc", total: null });
  assert.deepEqual(clip("abcd", 3), { text: "abc", total: 4 });
  assert.deepEqual(clip("ab😀d", 3), { text: "ab", total: 4 });
});

test("words of a shell", () => {
  assert.equal(shellWord("user:mallory"), "user:mallory");
  assert.equal(shellWord("it's $x"), `'it'\\''s $x'`);
});
