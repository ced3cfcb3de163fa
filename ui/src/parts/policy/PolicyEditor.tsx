// The policy's own editor, with what the answers say about its lines; and the list of its problems, which needs no pointer.

import { effect } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { PolicyEdit, Severity } from "../../api/policy.ts";
import type { Editor } from "../../editor/editor.ts";
import { visible } from "../../state/hostile.ts";
import { sayBytes, sayCount, sayShare } from "../../state/policy/figures.ts";
import { text } from "../../state/policy/kept.ts";
import { placeOf, ruleLines, wordAt } from "../../state/policy/places.ts";
import { checked, editor, explained, fix, goToLine, isBlank, keyOfSimulation, request, simulated } from "../../state/policy/policy.ts";
import { policyView } from "../../state/view.ts";
import { Icon, SeverityMark } from "../Mark.tsx";
import { Text } from "../Text.tsx";
import { EditorBox } from "./EditorBox.tsx";

interface Found {
  severity: Severity;
  line: number;
  column: number;
  message: string;
  help: string;
  edits: readonly PolicyEdit[];
}

/** The refusal first, then the lints, both by their lines. */
function problems(): Found[] {
  const said = checked.value;
  if (said === null) return [];
  const lints = said.lints.map(
    ({ severity, line, column, message, fix, edits }): Found => ({ severity, line, column, message, help: fix ?? "", edits: edits ?? [] }),
  );
  const refusal: Found[] = said.ok
    ? []
    : [
        {
          severity: "error",
          line: said.line ?? 1,
          column: said.column ?? 1,
          message: said.error ?? "kube-apiserver refuses this policy.",
          help: said.fix ?? "",
          edits: [],
        },
      ];
  // A lint says the same with a way out.
  const told = refusal.filter(() => !lints.some(({ severity }) => severity === "error"));
  return [...told, ...lints.sort((a, b) => a.line - b.line || a.column - b.column)];
}

function showProblems(shown: Editor): void {
  const document = text.peek();
  shown.setProblems(
    problems().map(({ severity, line, column, message, help, edits }) => ({
      ...wordAt(document, placeOf(document, line, column)),
      severity,
      message: visible([message, help].filter(Boolean).join(" — ")).slice(0, 1000),
      fix: edits.length > 0 ? () => fix(edits) : null,
    })),
  );
}

/** The request whose rule was last brought into sight: typing in the policy moves nothing. */
let revealed = "";

function showDeciding(shown: Editor): void {
  const found = explained.answer.value.value;
  const rules = checked.value?.rules;
  const isOn = policyView.value.tab === "explain" && request.value !== null && found !== null && found.rule >= 0;
  if (!isOn) {
    shown.setDeciding(null);
    revealed = "";
    return;
  }
  if (!rules) return; // the text is being read anew; the lines move along until then
  const lines = ruleLines(text.peek(), rules, found.rule) ?? (found.line ? { first: found.line, last: found.line } : null);
  shown.setDeciding(lines);
  const asked = policyView.peek().request;
  if (lines === null || asked === revealed || explained.answer.peek().isRunning) return;
  revealed = asked;
  shown.reveal(lines.first, false);
}

function showBars(shown: Editor): void {
  const { value, key } = simulated.answer.value;
  const policy = value?.policies[0];
  const rules = checked.value?.rules;
  const isOn = policyView.value.tab === "simulate" && policy !== undefined;
  if (!isOn) shown.setBars([]);
  // Of another text the lines would be wrong; CodeMirror carries the bars along until there is a new answer.
  else if (key === keyOfSimulation.value && rules)
    shown.setBars(
      policy.byRule.flatMap(({ rule, line, level, events, bytes }) => {
        const at = line ?? rules[rule]?.line;
        const words = `rule ${rule + 1}, ${level}: ${sayCount(events)} events, ${sayBytes(bytes)} (${sayShare(bytes, policy.bytes)} of the bytes)`;
        return at === undefined ? [] : [{ line: at, share: policy.bytes > 0 ? bytes / policy.bytes : 0, words }];
      }),
    );
}

export function PolicyEditor() {
  const shown = editor.value;
  useEffect(() => {
    if (shown === null) return;
    const ends = [showProblems, showDeciding, showBars].map((show) => effect(() => show(shown)));
    return () => {
      for (const end of ends) end();
    };
  }, [shown]);
  return (
    <EditorBox
      options={{
        text: text.peek(),
        label: "Audit policy in YAML. Escape, then Tab leaves the editor.",
        hint: "Paste a policy here, open a file, or take a template.",
        onChange: (changed) => {
          text.value = changed;
        },
      }}
      onEditor={(made) => {
        editor.value = made;
      }}
    />
  );
}

/** How many rules and problems; said aloud when it changes. */
export function Verdict() {
  const said = checked.value;
  if (isBlank.value) return <p class="sentence">No policy yet.</p>;
  if (said === null)
    return (
      <p class="sentence muted" aria-busy="true">
        Reading the policy…
      </p>
    );
  const count = (severity: Severity) => said.lints.filter((lint) => lint.severity === severity).length;
  const nErrors = count("error");
  const nWarnings = count("warning");
  const nHints = count("info");
  const plural = (n: number, word: string) => (n === 0 ? null : `${n} ${word}${n === 1 ? "" : "s"}`);
  const found = [plural(nErrors, "error"), plural(nWarnings, "warning"), plural(nHints, "hint")].filter(Boolean).join(", ");
  return (
    <p class="sentence" aria-live="polite">
      {said.ok ? (
        <>
          <b>{plural(said.rules.length, "rule")}</b>, {found || "nothing to say against it"}.
        </>
      ) : (
        <>
          <b class="danger">kube-apiserver would refuse this</b>
          {found && `, ${found}`}.
        </>
      )}
    </p>
  );
}

const WORDS: Record<Severity, string> = { error: "error", warning: "warning", info: "hint" };

/** What stands in backquotes is from the policy, or to be written into it. */
function Quoted({ words }: { words: string }) {
  const parts = visible(words).slice(0, 1000).split("`");
  return <>{parts.map((part, at) => (at % 2 === 0 || at === parts.length - 1 ? part : <code key={at}>{part}</code>))}</>;
}

export function Problems() {
  const found = problems();
  const warning = checked.value?.warning;
  if (found.length === 0 && !warning) return null;
  return (
    <section class="problems" aria-label="Problems">
      <ul>
        {warning && (
          <li class="problem">
            <SeverityMark severity="warning" />
            <span class="problem-words">
              <Text value={warning} limit={600} />
            </span>
          </li>
        )}
        {found.map(({ severity, line, message, help, edits }, at) => (
          <li key={at} class="problem">
            <SeverityMark severity={severity} />
            <button type="button" class="small quiet problem-line" onClick={() => goToLine(line)}>
              <span class="hidden">{WORDS[severity]}, </span>line {line}
            </button>
            <span class="problem-words">
              <Quoted words={message} />
              {help && (
                <span class="muted">
                  {" "}
                  <Quoted words={help} />
                </span>
              )}
            </span>
            {edits.length > 0 && (
              <button type="button" class="small" onClick={() => fix(edits)}>
                <Icon name="pencil" /> Fix<span class="hidden"> line {line}</span>
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
