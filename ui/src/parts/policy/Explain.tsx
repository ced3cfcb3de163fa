// Explain: which rule decides about one request, why none before it, and what the log will hold.

import { useSignal } from "@preact/signals";
import type { Explanation, RequestAttributes } from "../../api/policy.ts";
import { visible } from "../../state/hostile.ts";
import { explained, goToLine, isUsable, request } from "../../state/policy/policy.ts";
import { EXAMPLES, FIELDS, fieldsOf, fromWire, printRequest } from "../../state/policy/request.ts";
import { resourceOf } from "../../state/policy/resources.ts";
import { changePolicy, policyView } from "../../state/view.ts";
import { Icon, LevelMark } from "../Mark.tsx";
import { FailureBox } from "../States.tsx";
import { Text } from "../Text.tsx";
import { NeedsPolicy } from "./NeedsPolicy.tsx";

export function Explain() {
  const { request: written } = policyView.value;
  const read = request.value;
  const { value, failure, isRunning } = explained.answer.value;
  const wrong = read !== null && "wrong" in read ? read.wrong : null;
  return (
    <div class="explain">
      <label for="request">What would it record of this request?</label>
      <textarea
        id="request"
        class="mono"
        rows={written.length > 120 || written.includes("\n") ? 6 : 2}
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        placeholder={EXAMPLES[0]}
        aria-describedby="request-words"
        aria-invalid={wrong !== null}
        value={written}
        onInput={(event) => changePolicy({ request: event.currentTarget.value }, "replace")}
      />
      <p id="request-words" class={wrong ? "danger" : "muted"} aria-live="polite">
        {wrong ? visible(wrong) : "A line of HTTP or kubectl, fields, or an event's JSON."}
      </p>
      {written.trim() === "" && (
        <ul class="examples" aria-label="Examples">
          {EXAMPLES.map((example) => (
            <li key={example}>
              <button type="button" class="small mono" onClick={() => changePolicy({ request: example }, "replace")}>
                {example}
              </button>
            </li>
          ))}
        </ul>
      )}
      <Fields />
      <NeedsPolicy />
      {failure && isUsable.value && wrong === null && <FailureBox failure={failure} onRetry={() => explained.again()} />}
      {value && read !== null && wrong === null && (
        <div class={isRunning || !isUsable.value ? "is-old" : ""} aria-live="polite">
          <Answer found={value} />
        </div>
      )}
    </div>
  );
}

/** The same request as fields: whoever fills them in writes the line above. */
function Fields() {
  const isOpen = useSignal(false);
  const { request: written } = policyView.value;
  const fields = fieldsOf(written) ?? {};
  const shown = (key: (typeof FIELDS)[number][0]): string => {
    if (key === "groups") return (fields.groups ?? []).join(", ");
    if (key !== "resource") return fields[key] ?? "";
    // As it is written in the line, with its group where it is not the one everybody means.
    return /^resource:(.*)$/s.exec(printRequest({ resource: fields.resource ?? "", ...pick(fields) }))?.[1] ?? "";
  };
  const write = (key: (typeof FIELDS)[number][0], value: string) => {
    const next: Partial<RequestAttributes> = { ...fields };
    if (key === "groups")
      next.groups = value
        .split(",")
        .map((group) => group.trim())
        .filter(Boolean);
    else if (key === "resource") {
      const { resource, group, version, subresource } = resourceOf(value.trim());
      Object.assign(next, { resource, apiGroup: group, apiVersion: version, subresource });
    } else next[key] = value.trim();
    changePolicy({ request: printRequest({ verb: "get", ...next }) }, "replace");
  };
  return (
    <details
      class="fields"
      onToggle={(event) => {
        isOpen.value = event.currentTarget.open;
      }}
    >
      <summary>Fields</summary>
      {isOpen.value && (
        <div class="field-grid">
          {FIELDS.map(([key, label]) => (
            <label key={key}>
              <span>{label}</span>
              <input
                class="mono"
                autocomplete="off"
                autocapitalize="off"
                spellcheck={false}
                value={shown(key)}
                onChange={(event) => write(key, event.currentTarget.value)}
              />
            </label>
          ))}
        </div>
      )}
    </details>
  );
}

function pick({ apiGroup, apiVersion, subresource }: Partial<RequestAttributes>): Partial<RequestAttributes> {
  return {
    ...(apiGroup === undefined ? {} : { apiGroup }),
    ...(apiVersion === undefined ? {} : { apiVersion }),
    ...(subresource === undefined ? {} : { subresource }),
  };
}

const HOLDS: Record<string, string> = {
  metadata: "who, what, when, outcome",
  requestObject: "request body",
  responseObject: "response body",
};

function Answer({ found }: { found: Explanation }) {
  const decided = found.rule >= 0;
  const isNothing = found.level === "None" || found.stages.every(({ recorded }) => !recorded);
  return (
    <>
      <p class="decision">
        <LevelMark level={found.level} /> <b>{found.level}</b>
        {decided ? (
          <>
            {" "}
            by{" "}
            <button
              type="button"
              class="small"
              disabled={found.line === undefined}
              onClick={() => found.line !== undefined && goToLine(found.line)}
            >
              rule {found.rule + 1}
              {found.line !== undefined && `, line ${found.line}`}
            </button>
            <span class="muted"> of {found.nRules}</span>
          </>
        ) : (
          <span class="muted"> — none of the {found.nRules} rules matches, so nothing is recorded</span>
        )}
        {found.omitManagedFields && <span class="muted"> · without managedFields</span>}
      </p>
      <p class="asked mono">
        <Text value={printRequest(fromWire(found.attributes))} limit={400} />
      </p>
      {!isNothing || decided ? <Stages found={found} /> : null}
      {found.passedOver.length > 0 && (
        <>
          <h2>
            {decided
              ? found.passedOver.length === 1
                ? "The rule before it does not match"
                : `The ${found.passedOver.length} rules before it do not match`
              : "Why not"}
          </h2>
          <ol class="earlier">
            {found.passedOver.map(({ rule, line, why }) => (
              <li key={rule}>
                <button
                  type="button"
                  class="small quiet"
                  disabled={line === undefined}
                  onClick={() => line !== undefined && goToLine(line)}
                >
                  {rule + 1}
                  {line !== undefined && <span class="muted">line {line}</span>}
                </button>
                <span>
                  <Why words={why} />
                </span>
              </li>
            ))}
          </ol>
        </>
      )}
    </>
  );
}

/** Words of the server, with what stands between backquotes as code; text nodes all of it. */
export function Why({ words }: { words: string }) {
  return (
    <>
      {words.split("`").map((part, at) =>
        at % 2 === 1 ? (
          <code key={at}>
            <Text value={part} limit={160} />
          </code>
        ) : (
          <Text key={at} value={part} limit={300} />
        ),
      )}
    </>
  );
}

function Stages({ found }: { found: Explanation }) {
  return (
    <table class="stage-table">
      <caption class="hidden">What the log holds of each stage</caption>
      <thead>
        <tr>
          <th scope="col">stage</th>
          <th scope="col">in the log</th>
        </tr>
      </thead>
      <tbody>
        {found.stages.map(({ stage, recorded, holds }) => (
          <tr key={stage} class={recorded ? "" : "muted"}>
            <th scope="row">{stage}</th>
            <td>
              {recorded ? (
                holds.map((part) => HOLDS[part] ?? part).join(", ") || "an event"
              ) : (
                <>
                  <Icon name="minus" /> {found.omitStages.includes(stage) ? "omitted" : "nothing"}
                </>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
