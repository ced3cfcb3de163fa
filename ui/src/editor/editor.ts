// The editor: CodeMirror for YAML. This file and what it imports are a chunk of their own, loaded when a page first needs it.

import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, indentOnInput, indentUnit } from "@codemirror/language";
import { type Diagnostic, lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { unifiedMergeView } from "@codemirror/merge";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import {
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  placeholder,
} from "@codemirror/view";
import type { Severity } from "../api/policy.ts";
import type { Change } from "../state/policy/places.ts";
import { barGutters, type Lines, marks, type RuleBar, setBars, setDeciding } from "./marks.ts";
import { looks, touchLooks } from "./theme.ts";

/** A problem at a place of the text. */
export interface Problem {
  from: number;
  to: number;
  severity: Severity;
  message: string;
  /** What the button in the hint does. */
  fix: (() => void) | null;
}

export interface Options {
  text: string;
  /** For screen readers. */
  label: string;
  /** Shown while there is no text. */
  hint?: string;
  /** The text changed, by whomever. */
  onChange?(text: string): void;
  /** The text it is shown against: what differs is marked, and nothing can be written. */
  against?: string;
}

/** Marks that turn, hide or join text are shown, beside what CodeMirror shows by itself. */
const HIDDEN = /[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180e\u2060-\u206f\u3164\ufe00-\ufe0f\uffa0\ufff9-\ufffb]/g;

export class Editor {
  private readonly view: EditorView;
  private readonly gutters = new Compartment();

  constructor(host: HTMLElement, options: Options) {
    const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
    const isShown = options.against !== undefined;
    const common: Extension[] = [
      lineNumbers(),
      highlightSpecialChars({ addSpecialChars: HIDDEN }),
      yaml(),
      indentUnit.of("  "),
      EditorState.tabSize.of(2),
      EditorView.contentAttributes.of({
        "aria-label": options.label,
        tabindex: "0",
        spellcheck: "false",
        autocapitalize: "off",
        autocorrect: "off",
      }),
      looks,
      matchMedia("(pointer: coarse)").matches ? touchLooks : [],
    ];
    const written: Extension[] = [
      this.gutters.of([]),
      lintGutter(),
      marks,
      history(),
      indentOnInput(),
      bracketMatching(),
      highlightActiveLine(),
      highlightActiveLineGutter(),
      placeholder(options.hint ?? ""),
      // Escape, then Tab leaves: CodeMirror lets the Tab after an Escape through.
      keymap.of([...defaultKeymap, ...historyKeymap, ...lintKeymap, indentWithTab]),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) options.onChange?.(update.state.doc.toString());
      }),
    ];
    const compared: Extension[] = [
      EditorState.readOnly.of(true),
      EditorView.editable.of(false),
      unifiedMergeView({
        original: options.against ?? "",
        mergeControls: false,
        highlightChanges: true,
        gutter: true,
        collapseUnchanged: { margin: 3, minSize: 6 },
      }),
    ];
    this.view = new EditorView({
      doc: options.text,
      extensions: [common, isShown ? compared : written],
      parent: root,
      root,
    });
  }

  get text(): string {
    return this.view.state.doc.toString();
  }

  /** Another text in its place, as one step that can be taken back. */
  setText(text: string): void {
    if (text === this.text) return;
    this.view.dispatch({
      changes: { from: 0, to: this.view.state.doc.length, insert: text },
      userEvent: "input.paste",
      selection: { anchor: 0 },
    });
    this.view.scrollDOM.scrollTop = 0;
  }

  apply(changes: readonly Change[]): void {
    this.view.dispatch({ changes: changes.map((change) => ({ ...change })), userEvent: "input.fix" });
  }

  setProblems(problems: readonly Problem[]): void {
    const length = this.view.state.doc.length;
    const diagnostics = problems
      .filter(({ to }) => to <= length)
      .map(
        ({ from, to, severity, message, fix }): Diagnostic => ({
          from,
          to,
          severity,
          message,
          ...(fix ? { actions: [{ name: "Fix", apply: fix }] } : {}),
        }),
      );
    this.view.dispatch(setDiagnostics(this.view.state, diagnostics));
  }

  setDeciding(lines: Lines | null): void {
    setDeciding(this.view, lines);
  }

  setBars(bars: readonly RuleBar[]): void {
    this.view.dispatch({ effects: this.gutters.reconfigure(bars.length > 0 ? barGutters : []) });
    setBars(this.view, bars);
  }

  /** Brings a line into sight; with the cursor on it where the person asked for that. */
  reveal(line: number, takesFocus: boolean): void {
    const { doc } = this.view.state;
    const { from } = doc.line(Math.min(Math.max(1, line), doc.lines));
    this.view.dispatch({
      ...(takesFocus ? { selection: { anchor: from } } : {}),
      effects: EditorView.scrollIntoView(from, { y: "center" }),
    });
    if (takesFocus) this.view.focus();
  }

  focus(): void {
    this.view.focus();
  }

  destroy(): void {
    this.view.destroy();
  }
}
