// Lines and columns of the server's answers (both from 1, in characters) as places of the text (in UTF-16 units), and the
// edits of a fix.

import type { PolicyEdit } from "../../api/policy.ts";
import { toUnits } from "../terms.ts";

/** The place of a line and column; what lies outside is the nearest place inside. */
export function placeOf(text: string, line: number, column: number): number {
  const { from, to } = lineAt(text, line);
  return from + toUnits(text.slice(from, to), Math.max(0, column - 1));
}

/** Where a line begins and ends. */
export function lineAt(text: string, line: number): { from: number; to: number } {
  let from = 0;
  for (let at = 1; at < line; at++) {
    const end = text.indexOf("\n", from);
    if (end < 0) break;
    from = end + 1;
  }
  const end = text.indexOf("\n", from);
  return { from, to: end < 0 ? text.length : end };
}

/** The word at a place, to underline; the rest of the line where there is none. */
export function wordAt(text: string, place: number): { from: number; to: number } {
  const rest = text.slice(place).split("\n", 1)[0]!;
  const word = /^(?:"[^"]*"?|'[^']*'?|[^\s,[\]{}:#]+)/.exec(rest)?.[0] ?? rest;
  if (word.trim() !== "") return { from: place, to: place + word.length };
  // At an end of line or in spaces: the line's own text, so that there is something to see.
  const from = text.lastIndexOf("\n", place - 1) + 1;
  const end = text.indexOf("\n", from);
  return { from, to: end < 0 ? text.length : end };
}

export interface Change {
  from: number;
  to: number;
  insert: string;
}

/** The edits of a fix in their order; null where two of them overlap, which nothing could make sense of. */
export function changesOf(text: string, edits: readonly PolicyEdit[]): Change[] | null {
  const changes = edits
    .map((edit) => {
      const [from, to] = [placeOf(text, edit.line, edit.column), placeOf(text, edit.endLine, edit.endColumn)];
      return { from: Math.min(from, to), to: Math.max(from, to), insert: edit.text };
    })
    .sort((a, b) => a.from - b.from || a.to - b.to);
  return changes.some((change, at) => at > 0 && change.from < changes[at - 1]!.to) ? null : changes;
}

export function applyChanges(text: string, changes: readonly Change[]): string {
  return changes.reduceRight((result, { from, to, insert }) => result.slice(0, from) + insert + result.slice(to), text);
}

/** The lines of each rule, from where it begins to before the next; comments above the next belong to that. */
export function ruleLines(text: string, rules: readonly { line: number }[], rule: number): { first: number; last: number } | null {
  const first = rules[rule]?.line;
  if (first === undefined) return null;
  const lines = text.split("\n");
  let last = Math.min((rules[rule + 1]?.line ?? lines.length + 1) - 1, lines.length);
  while (last > first && /^\s*(#.*)?$/.test(lines[last - 1]!)) last -= 1;
  return { first, last };
}
