// The time range: presets, text, and steps by its own length.

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { stepBack, stepOn, widen } from "../state/keys.ts";
import { prefs } from "../state/prefs.ts";
import { answer, extent } from "../state/search.ts";
import {
  around,
  isRelative,
  parseDuration,
  parseRange,
  parseRfc3339,
  printDuration,
  printRange,
  printShort,
  type Range,
  resolve,
} from "../state/time.ts";
import { changeRange, searchView, shownRange } from "../state/view.ts";
import { Icon } from "./Mark.tsx";
import { Popover } from "./Popover.tsx";

const PRESETS: [string, string][] = [
  ["15m", "Last 15 minutes"],
  ["1h", "Last hour"],
  ["6h", "Last 6 hours"],
  ["24h", "Last 24 hours"],
  ["7d", "Last 7 days"],
  ["30d", "Last 30 days"],
];

const now = () => Date.now() * 1000;

function nameOf(range: Range | null): string {
  if (range === null) return "…";
  if (range.since === null && range.until === null) return "All time";
  const { since, until } = range;
  if (since && "before" in since && until && "before" in until && until.before === 0) {
    const length = printDuration(since.before);
    return PRESETS.find(([text]) => parseDuration(text) === since.before)?.[1] ?? `Last ${length}`;
  }
  if (since && "at" in since && until && "before" in until && until.before === 0) {
    return printShort({ since: since.at, until: null }, prefs.value.zone);
  }
  if (isRelative(range)) return printRange(range).replace("..", " – ");
  return printShort(resolve(range, now()), prefs.value.zone);
}

export function TimeRange() {
  const words = useSignal<string | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const range = shownRange.value;
  const zone = prefs.value.zone;
  const take = (close: () => void, chosen: Range) => {
    close();
    changeRange(chosen, searchView.value.live && isRelative(chosen));
  };
  const submit = (event: Event, close: () => void) => {
    event.preventDefault();
    const day = answer.value?.resolved.since ?? now();
    const read = parseRange(input.current?.value ?? "", now(), zone, day);
    words.value = read ? null : "Not a range. Try: 2h · 09:52:50..09:52:58 · 22 Nov 09:53:00..+10s · around 09:53:33.9 ±5s";
    if (read) take(close, read);
  };
  const there = extent.value;
  const [first, last] = [parseRfc3339(there?.first ?? ""), parseRfc3339(there?.last ?? "")];
  return (
    <Popover
      class="range"
      buttonClass="joined range-name"
      label={
        <>
          <span>{nameOf(range)}</span>
          <Icon name="down" />
        </>
      }
      dialog={{ name: "Time range", class: "range-popover" }}
      onOpen={() => input.current?.select()}
      before={
        <button type="button" class="joined" aria-label="Back by one range" title="Back by one range: [" onClick={stepBack}>
          <Icon name="left" />
        </button>
      }
      after={
        <>
          <button type="button" class="joined" aria-label="On by one range" title="On by one range: ]" onClick={stepOn}>
            <Icon name="right" />
          </button>
          <button type="button" class="joined" aria-label="Zoom out" title="Zoom out: -" onClick={widen}>
            <Icon name="out" />
          </button>
        </>
      }
    >
      {(close) => (
        <>
          <form onSubmit={(event) => submit(event, close)}>
            <label for="range-text">Range ({zone === "utc" ? "UTC" : "this machine's zone"})</label>
            <div class="range-row">
              <input
                id="range-text"
                ref={input}
                class="mono"
                defaultValue={range ? printRange(range) : ""}
                aria-describedby="range-words"
                aria-invalid={words.value !== null}
                autocomplete="off"
              />
              <button type="submit" class="primary">
                Show
              </button>
            </div>
            <p id="range-words" class={words.value ? "danger" : "muted"} aria-live="polite">
              {words.value ?? "2h · today · 09:52:50..09:52:58 · 22 Nov 09:53:00..+10s · around 09:53:33.9 ±5s"}
            </p>
          </form>
          <ul class="presets">
            {PRESETS.map(([text, label]) => (
              <li key={text}>
                <button type="button" onClick={() => take(close, parseRange(text, now(), zone)!)}>
                  {label}
                </button>
              </li>
            ))}
            {first !== null && last !== null && (
              <li>
                <button type="button" onClick={() => take(close, around(first, last))}>
                  Everything stored
                </button>
              </li>
            )}
          </ul>
        </>
      )}
    </Popover>
  );
}
