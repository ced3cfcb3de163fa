// Policy: what do we record, and what would another policy record? The editor, and what is asked about it.

import { useEffect } from "preact/hooks";
import { ComparePanel } from "../parts/policy/Compare.tsx";
import { Explain } from "../parts/policy/Explain.tsx";
import { GeneratePanel } from "../parts/policy/Generate.tsx";
import { PolicyBar } from "../parts/policy/PolicyBar.tsx";
import { PolicyEditor, Problems, Verdict } from "../parts/policy/PolicyEditor.tsx";
import { SimulatePanel } from "../parts/policy/Simulate.tsx";
import { TimeRange } from "../parts/TimeRange.tsx";
import { startAsking } from "../state/policy/policy.ts";
import { POLICY_TABS, type PolicyTab } from "../state/url.ts";
import { changePolicy, policyView } from "../state/view.ts";

const PANELS: Record<PolicyTab, { label: string; Panel(): preact.JSX.Element }> = {
  explain: { label: "Explain", Panel: Explain },
  simulate: { label: "Simulate", Panel: SimulatePanel },
  compare: { label: "Compare", Panel: ComparePanel },
  generate: { label: "Generate", Panel: GeneratePanel },
};

export function PolicyPage() {
  const { tab, pane } = policyView.value;
  const { Panel } = PANELS[tab];
  useEffect(startAsking, []);
  return (
    <>
      <header class="top">
        <PolicyBar />
        <TimeRange />
      </header>
      <main id="main" tabIndex={-1} class={`policy shows-${pane}`}>
        <h1 class="hidden">Policy</h1>
        <Panes />
        <section class="policy-editor" aria-label="Policy">
          <Verdict />
          <PolicyEditor />
          <p class="editor-foot muted">
            <kbd>Esc</kbd> then <kbd>Tab</kbd> leaves the editor · <kbd>F8</kbd> next problem
          </p>
          <Problems />
        </section>
        <section class="policy-results" aria-label="What it does">
          <Tabs />
          <div role="tabpanel" id="policy-panel" aria-labelledby={`policy-tab-${tab}`} class="policy-panel">
            <Panel />
          </div>
        </section>
      </main>
    </>
  );
}

/** Where there is no room for both halves. */
function Panes() {
  const { pane } = policyView.value;
  return (
    <fieldset class="switch panes">
      <legend class="hidden">Show</legend>
      {(["editor", "results"] as const).map((choice) => (
        <label key={choice} class={pane === choice ? "is-on" : ""}>
          <input type="radio" name="pane" checked={pane === choice} onChange={() => changePolicy({ pane: choice }, "replace")} />
          {choice === "editor" ? "Editor" : "Results"}
        </label>
      ))}
    </fieldset>
  );
}

function Tabs() {
  const { tab } = policyView.value;
  const pressed = (press: KeyboardEvent) => {
    const step = press.key === "ArrowRight" ? 1 : press.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    press.preventDefault();
    const next = POLICY_TABS[(POLICY_TABS.indexOf(tab) + step + POLICY_TABS.length) % POLICY_TABS.length]!;
    changePolicy({ tab: next });
    document.getElementById(`policy-tab-${next}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label="Questions" onKeyDown={pressed}>
      {POLICY_TABS.map((key) => (
        <button
          key={key}
          type="button"
          role="tab"
          id={`policy-tab-${key}`}
          aria-controls="policy-panel"
          aria-selected={tab === key}
          tabIndex={tab === key ? 0 : -1}
          onClick={() => changePolicy({ tab: key })}
        >
          {PANELS[key].label}
        </button>
      ))}
    </div>
  );
}
