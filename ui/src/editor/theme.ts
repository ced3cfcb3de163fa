// The editor's looks. It stands in a shadow root, which takes its styles as a constructed sheet: so the page's policy needs no
// exception for styles. Colours are the tokens of the page, which reach into the root.

import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const wavy = (color: string) => ({
  backgroundImage: "none",
  paddingBottom: "0",
  textDecoration: `underline wavy ${color}`,
  textDecorationSkipInk: "none",
  textUnderlineOffset: "3px",
});

const theme = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--raised)", fontSize: "13px" },
  "&.cm-focused": { outline: "2px solid var(--focus)", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.5", overflow: "auto" },
  ".cm-content": { caretColor: "var(--text)", padding: "8px 0 40px" },
  ".cm-line": { padding: "0 8px 0 6px" },
  ".cm-placeholder": { color: "var(--faint)" },
  ".cm-gutters": { color: "var(--faint)", backgroundColor: "var(--surface)", borderRight: "1px solid var(--border)" },
  ".cm-lineNumbers .cm-gutterElement": { padding: "0 6px 0 8px", minWidth: "30px" },
  ".cm-gutter-lint": { width: "18px" },
  ".cm-activeLine": { backgroundColor: "transparent" },
  "&.cm-focused .cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--selected) 45%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "var(--sunken)", color: "var(--text)" },
  "& ::selection": { backgroundColor: "var(--match)", color: "var(--text)" },
  ".cm-specialChar": { color: "var(--text)", backgroundColor: "var(--match)" },
  // The rule that decides: a ground for all its lines, and an edge that is seen without colours.
  ".cm-decides": { backgroundColor: "var(--selected)", boxShadow: "inset 3px 0 0 var(--accent)" },
  "&.cm-focused .cm-decides.cm-activeLine": { backgroundColor: "var(--selected)" },
  ".cm-decided": { color: "var(--accent)", fontWeight: "600" },
  ".cm-rules": { minWidth: "34px" },
  ".cm-rules .cm-gutterElement": { padding: "0 4px 0 2px", display: "flex", alignItems: "center", justifyContent: "flex-end", gap: "3px" },
  ".cm-rules svg": { flex: "none" },
  ".rule-bar": { fill: "var(--level-2)" },
  ".rule-ground": { fill: "var(--sunken)", stroke: "var(--border)" },
  ".cm-lintRange-error": wavy("var(--danger)"),
  ".cm-lintRange-warning": wavy("var(--denied)"),
  ".cm-lintRange-info": wavy("var(--change)"),
  ".cm-lintRange-active": { backgroundColor: "var(--match)" },
  ".cm-tooltip": {
    border: "1px solid var(--border)",
    borderRadius: "8px",
    backgroundColor: "var(--raised)",
    color: "var(--text)",
    boxShadow: "var(--shadow)",
    maxWidth: "min(460px, 80vw)",
  },
  ".cm-tooltip.cm-tooltip-lint": { padding: "2px 0" },
  ".cm-diagnostic": { padding: "4px 10px", borderLeft: "0", fontFamily: "var(--sans)", overflowWrap: "anywhere" },
  ".cm-diagnosticAction": {
    font: "12px var(--sans)",
    padding: "3px 8px",
    border: "1px solid var(--control)",
    borderRadius: "4px",
    backgroundColor: "var(--raised)",
    color: "var(--text)",
    cursor: "pointer",
  },
  ".cm-panels": { backgroundColor: "var(--surface)", color: "var(--text)" },
  ".cm-panels.cm-panels-bottom": { borderTop: "1px solid var(--border)" },
  // Differences: a sign and a colour.
  ".cm-changedLine, &.cm-merge-b .cm-changedLine": { backgroundColor: "var(--added-ground)" },
  ".cm-changedText, &.cm-merge-b .cm-changedText": {
    background: "none",
    color: "var(--added)",
    textDecoration: "underline",
    textDecorationThickness: "2px",
  },
  ".cm-deletedChunk": { backgroundColor: "var(--removed-ground)", color: "var(--removed)", paddingLeft: "6px" },
  ".cm-deletedChunk .cm-deletedText, .cm-deletedText": { background: "none", textDecoration: "line-through", color: "var(--removed)" },
  ".cm-deletedLine del": { textDecoration: "none" },
  ".cm-changeGutter": { width: "3px", paddingLeft: "1px" },
  ".cm-changedLineGutter": { backgroundColor: "var(--added)" },
  ".cm-deletedLineGutter": { backgroundColor: "var(--removed)" },
  ".cm-collapsedLines": {
    color: "var(--muted)",
    background: "var(--surface)",
    borderTop: "1px solid var(--border)",
    borderBottom: "1px solid var(--border)",
    padding: "3px 8px",
  },
});

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)" },
  { tag: [tags.comment, tags.lineComment], color: "var(--muted)", fontStyle: "italic" },
  { tag: tags.string, color: "var(--ok)" },
  { tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace, tags.meta], color: "var(--muted)" },
  { tag: [tags.keyword, tags.typeName, tags.labelName], color: "var(--warn)" },
]);

export const looks = [theme, syntaxHighlighting(colours)];

/** On a phone fields have 16 px: smaller ones make the browser zoom in. */
export const touchLooks = EditorView.theme({ "&": { fontSize: "16px" } });
