import assert from "node:assert/strict";
import { test } from "node:test";
import { addTerm, fixOf, hasTerm, negate, paint, quoteValue, termOf, toCharacters, toggleTerm, toUnits, withoutEach } from "./terms.ts";

test("a facet's click edits the text", () => {
  assert.equal(toggleTerm("", "user:mallory"), "user:mallory");
  assert.equal(toggleTerm("user:mallory", "code:403"), "user:mallory code:403");
  assert.equal(toggleTerm("user:mallory code:403", "user:mallory"), "code:403");
  assert.equal(toggleTerm("user:mallory code:403", "not user:mallory"), "code:403 not user:mallory");
  assert.equal(toggleTerm("code:403 not user:mallory", "not user:mallory"), "code:403");
  assert.equal(toggleTerm("code:403 and not ns:*", "not ns:*"), "code:403");
  assert.equal(toggleTerm("a or b", "code:403"), "(a or b) code:403");
  assert.equal(toggleTerm('user:"x', "code:403"), '(user:"x) code:403'); // the server says what is wrong
  assert.equal(toggleTerm("(a or b)", "code:403"), "(a or b) code:403");
  assert.equal(toggleTerm("code > 400 user:a", "user:a"), "code > 400");
  assert.equal(addTerm("user:a", "user:a"), "user:a");
});

test("a term is seen where it stands alone, and nowhere else", () => {
  assert.ok(hasTerm("user:a code:403", "code:403"));
  assert.ok(!hasTerm("not code:403", "code:403"));
  assert.ok(hasTerm("not code:403", "not code:403"));
  assert.ok(!hasTerm("(code:403)", "code:403"));
  assert.ok(!hasTerm('"code:403 x"', "code:403"));
  assert.ok(!hasTerm("code:403 or user:a", "code:403"));
});

test("values are quoted unless they are plain", () => {
  assert.equal(quoteValue("system:serviceaccount:a:b"), "system:serviceaccount:a:b");
  assert.equal(quoteValue("a b"), '"a b"');
  assert.equal(quoteValue("a*"), '"a*"');
  assert.equal(quoteValue("or"), '"or"');
  assert.equal(quoteValue("1..2"), '"1..2"');
  assert.equal(quoteValue('a"b\\c\nd'), '"a\\"b\\\\c\\nd"');
  assert.equal(quoteValue("a\u202eb"), '"a\\u202eb"');
  assert.equal(quoteValue(""), '""');
  assert.equal(termOf("ns", null), "not ns:*");
  assert.equal(negate(termOf("ns", null)), "ns:*");
});

test("each top term can be taken out", () => {
  assert.deepEqual(withoutEach("resource:secrets and ns:shpo"), [
    { term: "resource:secrets", rest: "ns:shpo" },
    { term: "ns:shpo", rest: "resource:secrets" },
  ]);
  assert.deepEqual(withoutEach("a or b"), []);
  assert.deepEqual(withoutEach("user:a"), []);
});

test("the layer marks the place of the error, in characters", () => {
  const text = "😀 usr:bob";
  const spans = paint(
    text,
    [
      { start: 0, length: 1, kind: "text" },
      { start: 2, length: 3, kind: "field" },
    ],
    { column: 3, length: 3 },
  );
  assert.equal(spans.map((span) => span.text).join(""), text);
  assert.deepEqual(
    spans.filter((span) => span.wrong).map((span) => span.text),
    ["usr"],
  );
  assert.ok(paint("a", [], { column: 2, length: 1 }).at(-1)?.wrong); // behind the end
  assert.equal(toUnits(text, 3), 4);
  assert.equal(toCharacters(text, 4), 3);
});

test("a fix is what the help proposes", () => {
  assert.equal(fixOf("did you mean `user`?"), "user");
  assert.equal(fixOf("examples: 10.0.0.0/8"), null);
  assert.equal(fixOf(undefined), null);
});
