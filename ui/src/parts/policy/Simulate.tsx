// Simulate: what this policy would have recorded of the traffic of a range, and how much of what.

import { useSignal } from "@preact/signals";
import type { Simulated, Simulation } from "../../api/policy.ts";
import { visible } from "../../state/hostile.ts";
import { type Order, rowsBy, type ShareRow, sayBytes, sayChange, sayCount, sayShare, sorted } from "../../state/policy/figures.ts";
import { goToLine, isUsable, keyOfSimulation, simulate, simulated } from "../../state/policy/policy.ts";
import { prefs } from "../../state/prefs.ts";
import { addTerm, termOf } from "../../state/terms.ts";
import { parseRfc3339, printResolved } from "../../state/time.ts";
import { FIRST_VIEW, printAddress, SHARES, type Share } from "../../state/url.ts";
import { changePolicy, follow, policyView, shownRange } from "../../state/view.ts";
import { LevelMark } from "../Mark.tsx";
import { FailureBox } from "../States.tsx";
import { Text } from "../Text.tsx";
import { NeedsPolicy } from "./NeedsPolicy.tsx";

export function SimulatePanel() {
  const { value, key, failure, isRunning } = simulated.answer.value;
  const isOld = key !== keyOfSimulation.value;
  return (
    <div class="simulate">
      <TrafficForm onAsk={simulate} label={value === null ? "Simulate" : "Simulate again"} isWanted={isOld} isRunning={isRunning} />
      <NeedsPolicy />
      {failure && <FailureBox failure={failure} onRetry={simulate} />}
      {value?.policies[0] && (
        <div class={isOld || isRunning ? "is-old" : ""}>
          <Totals found={value} policy={value.policies[0]} />
          {value.extent.events > 0 && <Shares policy={value.policies[0]} />}
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

/** Which traffic, and the button. The range is that of the page. */
export function TrafficForm(props: { onAsk(): void; label: string; isWanted: boolean; isRunning: boolean }) {
  const { filter } = policyView.value;
  return (
    <form
      class="traffic"
      onSubmit={(event) => {
        event.preventDefault();
        const typed = String(new FormData(event.currentTarget as HTMLFormElement).get("filter") ?? "").trim();
        if (typed === filter) props.onAsk();
        else changePolicy({ filter: typed }); // which asks
      }}
    >
      <label for="traffic-filter">Of requests that match</label>
      <div class="range-row">
        <input
          id="traffic-filter"
          name="filter"
          class="mono"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          placeholder="all of the range; or a filter: not user:system:*"
          value={filter}
        />
        <button type="submit" class={props.isWanted ? "primary" : ""} disabled={!isUsable.value || props.isRunning}>
          {props.isRunning ? "Reading…" : props.label}
        </button>
      </div>
    </form>
  );
}

/** The range that was read, said as on the search page. */
export function Extent({ found }: { found: Simulation }) {
  const [since, until] = [parseRfc3339(found.extent.first ?? ""), parseRfc3339(found.extent.last ?? "")];
  if (since === null || until === null) return null;
  const zone = prefs.value.zone;
  return (
    <p class="muted resolved" title={`${printResolved({ since, until }, "utc")} UTC`}>
      {sayCount(found.extent.requests)} requests, {printResolved({ since, until }, zone)}
    </p>
  );
}

function Totals({ found, policy }: { found: Simulation; policy: Simulated }) {
  const { extent } = found;
  if (extent.events === 0)
    return (
      <div class="state">
        <h2>No events in this range.</h2>
        <button type="button" onClick={() => changePolicy({ range: { since: null, until: null }, filter: "" })}>
          Simulate on all there is
        </button>
      </div>
    );
  const levels = Object.entries(found.recorded.levels).filter(([, events]) => events > 0);
  return (
    <>
      <dl class="totals">
        <div>
          <dt>events</dt>
          <dd>
            <span class="was">{sayCount(extent.events)}</span> → <b>{sayCount(policy.events)}</b>{" "}
            <span class="muted">{sayChange(extent.events, policy.events)}</span>
          </dd>
        </div>
        <div>
          <dt>bytes</dt>
          <dd>
            <span class="was">{sayBytes(extent.bytes)}</span> → <b>{sayBytes(policy.bytes)}</b>{" "}
            <span class="muted">{sayChange(extent.bytes, policy.bytes)}</span>
          </dd>
        </div>
        {policy.bytesPerDay !== undefined && (
          <div>
            <dt>a day like this</dt>
            <dd>
              <b>{sayBytes(policy.bytesPerDay)}</b>
              {policy.eventsPerDay !== undefined && <span class="muted"> {sayCount(policy.eventsPerDay)} events</span>}
            </dd>
          </div>
        )}
      </dl>
      <Extent found={found} />
      <UnknownBodies policy={policy} levels={levels} />
      {!found.complete && (
        <p class="banner is-warning" role="status">
          Partial: {visible(found.gaps.join("; "))}. Figures are at least what they say.
        </p>
      )}
    </>
  );
}

/** What the record cannot tell is said, never guessed. */
export function UnknownBodies({ policy, levels }: { policy: Simulated; levels: [string, number][] }) {
  if (policy.unknownBodies === 0) return null;
  const all = levels.map(([level, events]) => `${sayCount(events)} at ${level}`).join(", ");
  return (
    <p class="banner is-warning unknown-bodies">
      <b>Bodies unknown.</b> This policy wants bodies of {sayCount(policy.unknownBodies)} events that the record does not have
      {all && ` (recorded: ${all})`}. The bytes are without them: at least this much.
    </p>
  );
}

const HEADINGS: Record<Share, string> = { rule: "rule", level: "level", resource: "resource", user: "user", namespace: "namespace" };
/** Rows that are shown before the rest is asked for. */
const SHOWN = 25;

function Shares({ policy }: { policy: Simulated }) {
  const { by } = policyView.value;
  const order = useSignal<Order>("order");
  const isLong = useSignal(false);
  const all = sorted(rowsBy(policy, by), order.value);
  const rows = isLong.value ? all : all.slice(0, SHOWN);
  const most = Math.max(1, ...all.map(({ bytes }) => bytes));
  const heading = (key: Order, label: string) => (
    <th scope="col" aria-sort={order.value === key && key !== "order" ? "descending" : "none"}>
      <button type="button" class="quiet small" onClick={() => (order.value = key)}>
        {label}
        {order.value === key && key !== "order" && <span aria-hidden="true"> ↓</span>}
      </button>
    </th>
  );
  return (
    <>
      <fieldset class="switch shares-by">
        <legend class="hidden">Shares by</legend>
        {SHARES.map((choice) => (
          <label key={choice} class={by === choice ? "is-on" : ""}>
            <input type="radio" name="by" checked={by === choice} onChange={() => changePolicy({ by: choice }, "replace")} />
            {choice}
          </label>
        ))}
      </fieldset>
      <div class="table-scroll" tabIndex={0} role="region" aria-label={`Shares by ${HEADINGS[by]}`}>
        <table class="shares">
          <thead>
            <tr>
              {heading("order", HEADINGS[by])}
              {by === "rule" && <th scope="col">level</th>}
              {heading("events", "events")}
              {heading("bytes", "bytes")}
              <th scope="col">share</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row, at) => (
              <tr key={`${by} ${row.label} ${at}`}>
                <th scope="row">
                  <Name row={row} by={by} />
                </th>
                {by === "rule" && (
                  <td class="share-level">
                    <LevelMark level={row.level ?? ""} /> {row.level}
                  </td>
                )}
                <td class="number">{sayCount(row.events)}</td>
                <td class="number">{sayBytes(row.bytes)}</td>
                <td class="share">
                  <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
                    <rect class="share-bar" width={(row.bytes / most) * 100} height="10" />
                  </svg>
                  <span class="number">{sayShare(row.bytes, policy.bytes)}</span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {all.length > rows.length && (
        <button type="button" class="small" onClick={() => (isLong.value = true)}>
          All {sayCount(all.length)}
        </button>
      )}
    </>
  );
}

const TERMS: Partial<Record<Share, string>> = { level: "level", resource: "resource", user: "user", namespace: "ns" };

/** A rule leads to its line, anything else to the search for it. */
function Name({ row, by }: { row: ShareRow; by: Share }) {
  if (by === "rule")
    return row.line === null ? (
      <span class="muted">{row.label}</span>
    ) : (
      <button type="button" class="small quiet" onClick={() => goToLine(row.line!)}>
        {row.label} <span class="muted">line {row.line}</span>
      </button>
    );
  const words = by === "level" && <LevelMark level={row.label} />;
  const field = TERMS[by]!;
  const { filter } = policyView.value;
  // The resource of a table may carry its group: the search knows it by its name.
  const value = by === "resource" ? row.label.split(/[./]/)[0]! : row.label;
  const isNone = row.label === "" || row.label === "-";
  if (by === "level" || isNone)
    return (
      <>
        {words} {isNone ? <span class="nobody">none</span> : <Text value={row.label} limit={80} />}
      </>
    );
  const target = { ...FIRST_VIEW, range: shownRange.value, filter: addTerm(filter, termOf(field, value)) };
  return (
    <a href={printAddress(target)} onClick={follow(target)}>
      <Text value={row.label} limit={80} />
    </a>
  );
}
