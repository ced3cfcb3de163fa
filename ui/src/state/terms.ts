// Editing the filter's text: what a facet, a cell and a brush do. There is no filter beside the text.
//
// The text is only cut where that is certain; everything else about it is the server's to say.

import type { Token } from "../api/types.ts";

/** A value as the filter takes it for exactly that: in quotes unless it is plain. */
export function quoteValue(value: string): string {
  const plain = /^[A-Za-z0-9_.:/@+-]+$/.test(value) && !/^(and|or|not)$/i.test(value) && !value.includes("..");
  if (plain) return value;
  const escaped = value
    .replace(/["\\]/g, "\\$&")
    .replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, escapeCode);
  return `"${escaped}"`;
}

function escapeCode(character: string): string {
  return character === "\n" ? "\\n" : character === "\t" ? "\\t" : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** `field:value`; null is "the field is missing". */
export function termOf(field: string, value: string | null): string {
  return value === null ? `not ${field}:*` : `${field}:${quoteValue(value)}`;
}

/** The opposite of a term. */
export function negate(term: string): string {
  return term.startsWith("not ") ? term.slice(4) : `not ${term}`;
}

/** Pieces that stand side by side at the top, or null where that cannot be said without reading the filter. */
function pieces(filter: string): string[] | null {
  const found: string[] = [];
  let piece = "";
  let quoted = false;
  let depth = 0;
  for (let at = 0; at < filter.length; at++) {
    const character = filter[at]!;
    if (character === "\\") {
      piece += character + (filter[++at] ?? "");
    } else if (character === '"') {
      quoted = !quoted;
      piece += character;
    } else if (!quoted && /\s/.test(character) && depth === 0) {
      if (piece !== "") found.push(piece);
      piece = "";
    } else {
      if (!quoted && character === "(") depth += 1;
      if (!quoted && character === ")") depth -= 1;
      piece += character;
    }
  }
  if (piece !== "") found.push(piece);
  if (quoted || depth !== 0 || found.some((word) => /^or$/i.test(word))) return null;
  const joined: string[] = [];
  for (const word of found) {
    const last = joined.at(-1);
    if (/^and$/i.test(word)) continue;
    // `not` belongs to what follows, and spaces around an operator to the condition: `code > 1`.
    if (last !== undefined && (/(^|\s)not$/i.test(last) || /[<>=:]$/.test(last) || /^[<>=!:]/.test(word))) {
      joined[joined.length - 1] = `${/^not$/i.test(last) ? "not" : last} ${word}`;
    } else {
      joined.push(word);
    }
  }
  return joined;
}

export function hasTerm(filter: string, term: string): boolean {
  return pieces(filter)?.includes(term) ?? false;
}

/** Adds the term; takes it out if it is there; replaces its opposite. */
export function toggleTerm(filter: string, term: string): string {
  const parts = pieces(filter);
  if (parts === null) return filter.trim() === "" ? term : `(${filter.trim()}) ${term}`;
  if (parts.includes(term)) return parts.filter((part) => part !== term).join(" ");
  const opposite = negate(term);
  return [...parts.filter((part) => part !== opposite), term].join(" ");
}

/** Adds the term if it is not there. */
export function addTerm(filter: string, term: string): string {
  return hasTerm(filter, term) ? filter : toggleTerm(filter, term);
}

/** The filter without each of its top terms in turn; empty where it has only one. */
export function withoutEach(filter: string): { term: string; rest: string }[] {
  const parts = pieces(filter);
  if (parts === null || parts.length < 2) return [];
  return parts.map((term, index) => ({ term, rest: parts.filter((_, other) => other !== index).join(" ") }));
}

/** Characters as the server counts them: code points, not UTF-16 units. */
export function toUnits(text: string, characters: number): number {
  return [...text].slice(0, characters).join("").length;
}

export function toCharacters(text: string, units: number): number {
  return [...text.slice(0, units)].length;
}

export interface Span {
  text: string;
  kind: Token["kind"] | "space";
  wrong: boolean;
}

/** The whole text in spans for the layer under the input; `wrong` marks the place of the error. */
export function paint(text: string, tokens: readonly Token[], error: { column: number; length: number } | null): Span[] {
  const characters = [...text];
  const kinds: Span["kind"][] = characters.map(() => "space");
  for (const token of tokens) kinds.fill(token.kind, token.start, token.start + token.length);
  const from = error ? error.column - 1 : -1;
  const wrong = (at: number) => error !== null && at >= from && at < from + error.length;
  const spans: Span[] = [];
  characters.forEach((character, at) => {
    const last = spans.at(-1);
    if (last && last.kind === kinds[at] && last.wrong === wrong(at)) last.text += character;
    else spans.push({ text: character, kind: kinds[at]!, wrong: wrong(at) });
  });
  // An error behind the end has no character of its own.
  if (error && from >= characters.length) spans.push({ text: "\u00a0", kind: "space", wrong: true });
  return spans;
}

/** What to write in the place of the error, if the help says it: "did you mean `user`?". */
export function fixOf(help: string | undefined): string | null {
  return /did you mean `([^`]+)`\?/.exec(help ?? "")?.[1] ?? null;
}
