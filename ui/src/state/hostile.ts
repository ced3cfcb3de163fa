// Texts of events come from whoever spoke to kube-apiserver. They are only ever text nodes; here they are made
// visible: control characters and marks that turn, hide or join text are shown by their code.

/** Controls, soft hyphen, bidi marks and overrides, zero-width, line separators, fillers, tags, lone surrogates, BOM. */
const HIDDEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]|\udb40[\udc00-\udfff]/g;

/** The text with everything hidden written out: `\u202E`. Line breaks stay where `lines` says so. */
export function visible(text: string, lines: "escape" | "keep" = "escape"): string {
  return text.replace(HIDDEN, (found) => {
    if (lines === "keep" && (found === "\n" || found === "\t")) return found;
    // By UTF-16 units, so that inside JSON the text shown means what was stored.
    return Array.from(found.split(""), (unit) => `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`).join("");
  });
}

const SHORT: Record<string, string> = { "\n": "\\n", "\t": "\\t", "\r": "\\r" };

/** The text in pieces; those that were hidden are written out, line breaks as in JSON. */
export function pieces(text: string): { text: string; wasHidden: boolean }[] {
  const found: { text: string; wasHidden: boolean }[] = [];
  let from = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match.index > from) found.push({ text: text.slice(from, match.index), wasHidden: false });
    const shown = SHORT[match[0]] ?? visible(match[0]);
    const last = found.at(-1);
    if (last?.wasHidden) last.text += shown;
    else found.push({ text: shown, wasHidden: true });
    from = match.index + match[0].length;
  }
  if (from < text.length) found.push({ text: text.slice(from), wasHidden: false });
  return found;
}

/** At most `limit` characters, and how many there are if that is not all. */
export function clip(text: string, limit: number): { text: string; total: number | null } {
  if (text.length <= limit) return { text, total: null };
  // Not through the middle of a character.
  const end = /[\ud800-\udbff]/.test(text[limit - 1]!) ? limit - 1 : limit;
  return { text: text.slice(0, end), total: [...text].length };
}
