// Generate: a profile, or what fits a budget of bytes a day; with what was cut for it, and what each cut saves.

import { useSignal } from "@preact/signals";
import type { Generated } from "../../api/policy.ts";
import { visible } from "../../state/hostile.ts";
import { budgetAt, placeOfBudget, printBudget, readBudget, SLIDER, sayBytes, sayCount } from "../../state/policy/figures.ts";
import { generate, generated, PROFILES, take } from "../../state/policy/policy.ts";
import { changePolicy, policyView } from "../../state/view.ts";
import { LevelMark } from "../Mark.tsx";
import { FailureBox } from "../States.tsx";
import { Text } from "../Text.tsx";

export function GeneratePanel() {
  const { profile, budget, keep } = policyView.value;
  const { value, failure, isRunning } = generated.answer.value;
  const words = useSignal<string | null>(null);
  const hasBudget = budget !== null;
  const bytes = readBudget(budget ?? "") ?? 1e9;
  const chosen = profile ?? (hasBudget ? "forensics" : PROFILES[0]!.name);
  const write = (typed: string) => {
    const read = readBudget(typed);
    words.value = read === null ? "Not a size. Try 500 MB/day or 2GB" : null;
    if (read !== null) changePolicy({ budget: printBudget(read) }, "replace");
  };
  return (
    <form
      class="generate"
      onSubmit={(event) => {
        event.preventDefault();
        generate();
      }}
    >
      <fieldset class="profiles">
        <legend>{hasBudget ? "Begin with" : "A policy for"}</legend>
        {PROFILES.map(({ name, words }) => (
          <label key={name} class={chosen === name ? "is-on" : ""}>
            <input type="radio" name="profile" checked={chosen === name} onChange={() => changePolicy({ profile: name }, "replace")} />
            <span>
              <b>{name}</b> <span class="muted">{words}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <label class="budget-switch">
        <input
          type="checkbox"
          checked={hasBudget}
          onChange={(event) => changePolicy({ budget: event.currentTarget.checked ? printBudget(bytes) : null }, "replace")}
        />{" "}
        Cut it to a budget, by the traffic of the range
      </label>
      {hasBudget && (
        <div class="budget">
          <label for="budget">Bytes a day</label>
          <div class="range-row">
            <input
              type="range"
              aria-label="Bytes a day"
              aria-valuetext={`${sayBytes(bytes)} a day`}
              min={SLIDER.min}
              max={SLIDER.max}
              value={placeOfBudget(bytes)}
              onInput={(event) => {
                words.value = null;
                changePolicy({ budget: printBudget(budgetAt(Number(event.currentTarget.value))) }, "replace");
              }}
            />
            <input
              id="budget"
              class="mono budget-field"
              autocomplete="off"
              value={budget}
              aria-invalid={words.value !== null}
              aria-describedby="budget-words"
              onChange={(event) => write(event.currentTarget.value)}
            />
          </div>
          <p id="budget-words" class="danger" aria-live="polite">
            {words.value}
          </p>
          <label for="keep">Never cut requests that match</label>
          <input
            id="keep"
            class="mono"
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            placeholder="a filter: resource:secrets or verb:delete"
            value={keep}
            onChange={(event) => changePolicy({ keep: event.currentTarget.value }, "replace")}
          />
        </div>
      )}
      <div>
        <button type="submit" class="primary" disabled={isRunning || words.value !== null}>
          {isRunning ? "Making it…" : "Generate"}
        </button>
      </div>
      {failure && <FailureBox failure={failure} onRetry={generate} />}
      {value && (
        <div class={isRunning ? "is-old" : ""} aria-live="polite">
          <Made found={value} />
        </div>
      )}
    </form>
  );
}

function Made({ found }: { found: Generated }) {
  const { policy, before, after, reached, leftOut, cuts } = found;
  return (
    <>
      <div class="made">
        <p>
          <b>{sayCount(policy.split("\n").length)} lines</b>
          {after !== undefined && (
            <>
              {before !== undefined && `, ${sayBytes(before)} →`} <b>{sayBytes(after)}</b> a day
            </>
          )}
        </p>
        <button type="button" class="primary" onClick={() => take(policy)}>
          Take into the editor
        </button>
      </div>
      {found.complete === false && (
        <p class="banner is-warning" role="status">
          Partial: {visible((found.gaps ?? []).join("; "))}. It is made from what was read.
        </p>
      )}
      {reached === false && (
        <p class="banner is-warning" role="status">
          The budget is not reached: what is left must not be cut. A higher budget, or fewer requests to keep.
        </p>
      )}
      {leftOut.length + cuts.length > 0 && (
        <div class="table-scroll" tabIndex={0} role="region" aria-label="Cuts">
          <table class="cuts">
            <thead>
              <tr>
                <th scope="col">cut to</th>
                <th scope="col">what</th>
                <th scope="col">saves a day</th>
              </tr>
            </thead>
            <tbody>
              {leftOut.map(({ what, events, savedBytesPerDay }) => (
                <tr key={what}>
                  <td class="cut-level muted">profile</td>
                  <td>
                    <b>{visible(what)}</b>
                  </td>
                  <td class="number">
                    {sayBytes(savedBytesPerDay)}
                    <span class="muted"> {sayCount(events)} events</span>
                  </td>
                </tr>
              ))}
              {cuts.map(({ noise, level, who, verbs, things, savedBytesPerDay, events }, at) => (
                <tr key={at}>
                  <td class="cut-level">
                    <LevelMark level={level} /> {level}
                  </td>
                  <td>
                    <b>
                      <Text value={noise} limit={120} />
                    </b>
                    <span class="cut-what">
                      <Text value={who} limit={120} /> <Text value={[...verbs, "of", ...things].join(" ")} limit={200} />
                    </span>
                  </td>
                  <td class="number">
                    {sayBytes(savedBytesPerDay)}
                    <span class="muted"> {sayCount(events)} events</span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <pre class="raw made-text" tabIndex={0} role="region" aria-label="The policy that was made">
        {visible(policy, "keep")}
      </pre>
    </>
  );
}
