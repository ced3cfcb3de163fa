// Compare: a policy before, the one in the editor after; what the change gains and loses of the traffic.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { postJson } from "../../api/client.ts";
import type { Amount, DiffExample, Generated, Simulation } from "../../api/policy.ts";
import type { Editor } from "../../editor/editor.ts";
import { visible } from "../../state/hostile.ts";
import { sayBytes, sayChange, sayCount } from "../../state/policy/figures.ts";
import { before, text } from "../../state/policy/kept.ts";
import { compare, compared, isUsable, keyOfComparison, PROFILES, take } from "../../state/policy/policy.ts";
import { addTerm, termOf } from "../../state/terms.ts";
import { FIRST_VIEW, printAddress } from "../../state/url.ts";
import { follow, shownRange } from "../../state/view.ts";
import { Icon, LevelMark } from "../Mark.tsx";
import { Menu } from "../Menu.tsx";
import { FailureBox } from "../States.tsx";
import { Text } from "../Text.tsx";
import { EditorBox } from "./EditorBox.tsx";
import { NeedsPolicy } from "./NeedsPolicy.tsx";
import { OpenFile } from "./PolicyBar.tsx";
import { Extent, TrafficForm, UnknownBodies } from "./Simulate.tsx";

/** So long a text has to stand before the differences are drawn anew. */
const REST_MS = 400;

export function ComparePanel() {
  const { value, key, failure, isRunning } = compared.answer.value;
  const isOld = key !== keyOfComparison.value;
  const hasBefore = before.value.trim() !== "";
  return (
    <div class="compare">
      <BeforeBox />
      {hasBefore ? (
        <TrafficForm onAsk={compare} label={value === null ? "Compare" : "Compare again"} isWanted={isOld} isRunning={isRunning} />
      ) : null}
      <NeedsPolicy />
      {failure && <FailureBox failure={failure} onRetry={compare} />}
      {value?.diff && hasBefore && (
        <div class={isOld || isRunning ? "is-old" : ""}>
          <Difference found={value} />
        </div>
      )}
      {value === null && isRunning && (
        <p class="muted" role="status">
          Reading the log…
        </p>
      )}
    </div>
  );
}

/** The policy before, to write in or as differences. */
function BeforeBox() {
  const hasBefore = before.value.trim() !== "";
  const shows = useSignal<"text" | "differences">(hasBefore ? "differences" : "text");
  const box = useRef<Editor | null>(null);
  const put = (policy: string) => {
    before.value = policy;
    box.current?.setText(policy);
    if (policy.trim() !== "") shows.value = "differences";
  };
  const swap = () => {
    const [old, now] = [before.value, text.value];
    put(now);
    take(old);
  };
  return (
    <section class="before" aria-label="The policy before">
      <div class="before-bar">
        <h2>Before</h2>
        <Menu label="Take">
          {(close) => (
            <>
              <button
                type="button"
                onClick={() => {
                  close();
                  put(text.value);
                }}
              >
                The editor's text as it is now
              </button>
              {PROFILES.map(({ name }) => (
                <button
                  key={name}
                  type="button"
                  onClick={() => {
                    close();
                    const stop = new AbortController();
                    void postJson<Generated>("/api/v1/policy/generate", { profile: name }, stop.signal).then(
                      ({ policy }) => put(policy),
                      () => undefined, // the template menu of the bar tells what is wrong
                    );
                  }}
                >
                  Template {name}
                </button>
              ))}
            </>
          )}
        </Menu>
        <OpenFile label="Open" onText={put} />
        {hasBefore && (
          <>
            <button type="button" onClick={swap} title="What was before into the editor, and the editor's text here">
              <Icon name="swap" /> Swap
            </button>
            <fieldset class="switch">
              <legend class="hidden">Show</legend>
              {(["text", "differences"] as const).map((choice) => (
                <label key={choice} class={shows.value === choice ? "is-on" : ""}>
                  <input type="radio" name="before-as" checked={shows.value === choice} onChange={() => (shows.value = choice)} />
                  {choice}
                </label>
              ))}
            </fieldset>
          </>
        )}
      </div>
      <div class="before-editor">
        {shows.value === "differences" && hasBefore ? (
          <Differences />
        ) : (
          <EditorBox
            key="text"
            options={{
              text: before.peek(),
              label: "The policy before, in YAML. Escape, then Tab leaves the editor.",
              hint: "Paste the policy that is in force now.",
              onChange: (changed) => {
                before.value = changed;
              },
            }}
            onEditor={(made) => {
              box.current = made;
            }}
          />
        )}
      </div>
    </section>
  );
}

/** Both texts in one, with what was taken out and put in. */
function Differences() {
  const shown = useSignal({ old: before.value, now: text.value });
  const [old, now] = [before.value, text.value];
  useEffect(() => {
    if (old === shown.peek().old && now === shown.peek().now) return;
    const rest = setTimeout(() => (shown.value = { old, now }), REST_MS);
    return () => clearTimeout(rest);
  }, [old, now]);
  if (old === now) return <p class="muted editor-wait">Both are the same text.</p>;
  const key = JSON.stringify(shown.value);
  return (
    <EditorBox
      key={key}
      options={{ text: shown.value.now, against: shown.value.old, label: "The differences from the policy before, in YAML" }}
    />
  );
}

function Difference({ found }: { found: Simulation }) {
  const [old, now] = found.policies;
  const { gained, lost, examples } = found.diff!;
  const levels = Object.entries(found.recorded.levels).filter(([, events]) => events > 0);
  const isSame = [gained, lost].every(({ events, bytes }) => events === 0 && bytes === 0) && examples.length === 0;
  return (
    <>
      <dl class="totals">
        {old && now && (
          <div>
            <dt>bytes</dt>
            <dd>
              <span class="was">{sayBytes(old.bytes)}</span> → <b>{sayBytes(now.bytes)}</b>{" "}
              <span class="muted">{sayChange(old.bytes, now.bytes)}</span>
            </dd>
          </div>
        )}
        <Side label="lost" sign="minus" amount={lost} />
        <Side label="gained" sign="plus" amount={gained} />
      </dl>
      <Extent found={found} />
      {now && <UnknownBodies policy={now} levels={levels} />}
      {!found.complete && (
        <p class="banner is-warning" role="status">
          Partial: {visible(found.gaps.join("; "))}. Figures are at least what they say.
        </p>
      )}
      {isSame && <p>No request of this range is recorded differently.</p>}
      {examples.length > 0 && <Examples all={examples} />}
    </>
  );
}

function Side({ label, sign, amount }: { label: "lost" | "gained"; sign: "minus" | "plus"; amount: Amount }) {
  return (
    <div class={`side-${label}`}>
      <dt>
        <Icon name={sign} /> {label}
      </dt>
      <dd>
        <b>{sayCount(amount.events)}</b> events <span class="muted">{sayBytes(amount.bytes)}</span>
      </dd>
    </div>
  );
}

const KINDS: Record<DiffExample["kind"], string> = { lost: "lost", gained: "gained", lowered: "lower level", raised: "higher level" };

function Examples({ all }: { all: readonly DiffExample[] }) {
  return (
    <>
      <h2>Examples</h2>
      <ul class="examples-of-diff">
        {all.map((example, at) => {
          const { kind, verb, requestURI, user, before: old, after: now, auditID } = example;
          const target = auditID ? { ...FIRST_VIEW, range: shownRange.value, filter: addTerm("", termOf("auditID", auditID)) } : null;
          return (
            <li key={at} class={`example example-${kind}`}>
              <span class="example-kind">
                <Icon name={kind === "lost" || kind === "lowered" ? "minus" : "plus"} /> {KINDS[kind] ?? kind}
              </span>
              <span class="example-levels">
                <LevelMark level={old} /> {old} → <LevelMark level={now} /> {now}
              </span>
              <span class="example-request mono">
                <Text value={[verb, requestURI].filter(Boolean).join(" ")} limit={160} />
              </span>
              <span class="example-who muted">
                {user ? <Text value={user} limit={80} /> : null}
                {target && (
                  <>
                    {" "}
                    <a href={printAddress(target)} onClick={follow(target)}>
                      Show it
                    </a>
                  </>
                )}
              </span>
            </li>
          );
        })}
      </ul>
      {!isUsable.value && <p class="muted">The editor's text has changed since.</p>}
    </>
  );
}
