// What the page writes beside and under the text: the problems, the rule that decides, and each rule's share of a simulation.

import { RangeSet, RangeSetBuilder, StateEffect, StateField, type Text } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, GutterMarker, gutter } from "@codemirror/view";

/** Lines from 1. */
export interface Lines {
  first: number;
  last: number;
}
export interface RuleBar {
  line: number;
  /** 0 to 1. */
  share: number;
  /** For the pointer that rests on it; the tables say the same. */
  words: string;
}

const setDecidingEffect = StateEffect.define<Lines | null>();
const setBarsEffect = StateEffect.define<readonly RuleBar[]>();

const decides = Decoration.line({ class: "cm-decides" });

function decorate(document: Text, { first, last }: Lines): DecorationSet {
  const builder = new RangeSetBuilder<Decoration>();
  for (let line = Math.max(1, first); line <= Math.min(last, document.lines); line++) {
    const { from } = document.line(line);
    builder.add(from, from, decides);
  }
  return builder.finish();
}

const deciding = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(value, transaction) {
    let next = value.map(transaction.changes);
    for (const effect of transaction.effects)
      if (effect.is(setDecidingEffect)) next = effect.value ? decorate(transaction.state.doc, effect.value) : Decoration.none;
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 28;

class BarMarker extends GutterMarker {
  constructor(
    readonly share: number,
    readonly words: string,
  ) {
    super();
  }
  override eq(other: GutterMarker): boolean {
    return other instanceof BarMarker && other.share === this.share && other.words === this.words;
  }
  override toDOM(): Node {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("width", String(WIDTH));
    svg.setAttribute("height", "9");
    const rect = (kind: string, width: number) => {
      const found = document.createElementNS(SVG, "rect");
      found.setAttribute("class", kind);
      found.setAttribute("x", "0.5");
      found.setAttribute("y", "0.5");
      found.setAttribute("width", String(width));
      found.setAttribute("height", "8");
      svg.append(found);
    };
    rect("rule-ground", WIDTH - 1);
    // What there is at all is seen.
    if (this.share > 0) rect("rule-bar", Math.max(1.5, this.share * (WIDTH - 1)));
    const title = document.createElementNS(SVG, "title");
    title.textContent = this.words;
    svg.append(title);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", this.words);
    return svg;
  }
}

const bars = StateField.define<RangeSet<GutterMarker>>({
  create: () => RangeSet.empty,
  update(value, transaction) {
    let next = value.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (!effect.is(setBarsEffect)) continue;
      const { doc } = transaction.state;
      const markers = effect.value
        .filter(({ line }) => line >= 1 && line <= doc.lines)
        .map(({ line, share, words }) => new BarMarker(share, words).range(doc.line(line).from));
      next = RangeSet.of(markers, true);
    }
    return next;
  },
});

/** The gutter is there only while there are bars. */
const barGutter = gutter({ class: "cm-rules", markers: (view) => view.state.field(bars), renderEmptyElements: false });

export const marks = [deciding, bars];
export const barGutters = [barGutter];

export function setDeciding(view: EditorView, lines: Lines | null): void {
  view.dispatch({ effects: setDecidingEffect.of(lines) });
}

export function setBars(view: EditorView, all: readonly RuleBar[]): void {
  view.dispatch({ effects: setBarsEffect.of(all) });
}
