// Requests or events over time, split by outcome: bars to look at, a cursor for the keyboard, a table to read out.
//
// Drawn as SVG by hand: its colours are the stylesheet's, so a change of theme needs no redrawing, and nothing is
// needed that the page's policy forbids.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Histogram } from "../api/types.ts";
import type { Outcome } from "../event/facts.ts";
import { type Hole, holesIn, partOf } from "../state/gaps.ts";
import { holes } from "../state/holes.ts";
import { visible } from "../state/hostile.ts";
import { prefs } from "../state/prefs.ts";
import { askedUnit, histogram, resolved } from "../state/search.ts";
import { type Micros, parseRfc3339, printClock, printDay, type Resolved, SECOND, sayDuration } from "../state/time.ts";
import { change } from "../state/view.ts";
import { OutcomeMark } from "./Mark.tsx";

const OUTCOMES: Outcome[] = ["allowed", "denied", "error"];
const AXIS = 18;
/** A drag shorter than this is a click. */
const MIN_DRAG = 4;

interface Bar {
  start: Micros;
  end: Micros;
  events: number;
  byOutcome: number[];
}

/** One bar a bucket, from the range's first to its last, also where nothing happened. */
export function barsOf({ buckets, seconds, values }: Histogram, { since, until }: Resolved): Bar[] {
  const width = seconds * SECOND;
  const read = buckets.map((bucket) => ({ ...bucket, at: parseRfc3339(bucket.start) ?? 0 }));
  const [first, last] = [read[0], read.at(-1)];
  if (!first || !last) return [];
  const places = OUTCOMES.map((outcome) => values.indexOf(outcome));
  const byStart = new Map(read.map((bucket) => [bucket.at, bucket]));
  // The buckets lie on a grid; an open range begins and ends with what there is.
  const from = since === null ? first.at : Math.min(first.at, first.at - Math.ceil((first.at - since) / width) * width);
  const to = until === null ? last.at + width : Math.max(until, last.at + 1);
  const bars: Bar[] = [];
  for (let start = from; start < to && bars.length < 2000; start += width) {
    const bucket = byStart.get(start);
    bars.push({
      start,
      end: start + width,
      events: bucket?.events ?? 0,
      byOutcome: places.map((place) => (place < 0 ? 0 : (bucket?.byValue[place] ?? 0))),
    });
  }
  return bars;
}

export function Chart() {
  const box = useRef<HTMLDivElement>(null);
  const width = useSignal(800);
  const height = useSignal(96);
  const cursor = useSignal<number | null>(null);
  const anchor = useSignal<number | null>(null);
  const dragging = useRef<{ x: number; moved: boolean } | null>(null);

  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      if (!entry) return;
      width.value = Math.max(200, entry.contentRect.width);
      height.value = Math.max(40, entry.contentRect.height);
    });
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);

  const { value, failure, isOld } = histogram.value;
  const range = resolved.value;
  const zone = prefs.value.zone;
  const bars = value && range ? barsOf(value, range) : [];
  const missed = holes.value;
  const hatched = hatchingOf(missed, bars);
  const most = Math.max(1, ...bars.map((bar) => bar.events));
  const [plotWidth, plotHeight] = [width.value, height.value - AXIS];
  const step = plotWidth / Math.max(1, bars.length);
  const unit = askedUnit.value === "event" ? "events" : "requests";

  const at = (event: PointerEvent) => {
    const { left } = box.current!.getBoundingClientRect();
    return Math.min(bars.length - 1, Math.max(0, Math.floor((event.clientX - left) / step)));
  };
  const apply = (from: number, to: number) => {
    const [first, last] = [bars[Math.min(from, to)], bars[Math.max(from, to)]];
    // The outer bars reach beyond the range, and what is there was not counted.
    const since = Math.max(first?.start ?? 0, range?.since ?? Number.NEGATIVE_INFINITY);
    const until = Math.min(last?.end ?? 0, range?.until ?? Number.POSITIVE_INFINITY);
    if (first && last && since < until) change({ range: { since: { at: since }, until: { at: until } }, live: false });
    cursor.value = null;
    anchor.value = null;
  };
  const say = (index: number) => {
    const bar = bars[index];
    if (!bar) return "";
    const parts = OUTCOMES.map((outcome, place) => `${bar.byOutcome[place]} ${outcome}`);
    const missing = holesIn(missed, { since: bar.start, until: bar.end }).map(({ words }) => ` · ${visible(words)}`);
    return `${printClock(bar.start, zone, 0)} – ${printClock(bar.end, zone, 0)}: ${bar.events} ${unit}, ${parts.join(", ")}${missing.join("")}`;
  };
  const pressed = (event: KeyboardEvent) => {
    if (bars.length === 0) return;
    const here = cursor.value ?? 0;
    const to: Record<string, number> = {
      ArrowLeft: here - 1,
      ArrowRight: cursor.value === null ? 0 : here + 1,
      Home: 0,
      End: bars.length - 1,
    };
    const target = to[event.key];
    if (target !== undefined) {
      anchor.value = event.shiftKey ? (anchor.value ?? here) : null;
      cursor.value = Math.min(bars.length - 1, Math.max(0, target));
    } else if (event.key === "Enter" && cursor.value !== null) {
      apply(anchor.value ?? cursor.value, cursor.value);
    } else if (event.key === "Escape" && cursor.value !== null) {
      cursor.value = null;
      anchor.value = null;
    } else return;
    event.preventDefault();
  };

  const [low, high] = [
    Math.min(anchor.value ?? cursor.value ?? 0, cursor.value ?? 0),
    Math.max(anchor.value ?? cursor.value ?? 0, cursor.value ?? 0),
  ];
  const selected = bars.slice(low, high + 1);
  const reading =
    cursor.value === null
      ? null
      : low === high
        ? say(cursor.value)
        : `${printClock(bars[low]!.start, zone, 0)} – ${printClock(bars[high]!.end, zone, 0)}: ${selected.reduce((sum, bar) => sum + bar.events, 0)} ${unit}`;
  return (
    <section class="chart" aria-label="Over time">
      <div class="chart-head">
        <ul class="legend">
          {OUTCOMES.map((outcome, place) => (
            <li key={outcome}>
              <OutcomeMark outcome={outcome} /> {outcome}{" "}
              <b>{bars.reduce((sum, bar) => sum + bar.byOutcome[place]!, 0).toLocaleString("en")}</b>
            </li>
          ))}
          {hatched.length > 0 && (
            <li>
              <svg class="hatch-mark" width="14" height="12" aria-hidden="true">
                <rect width="14" height="12" fill="url(#hatch)" />
              </svg>{" "}
              not known
            </li>
          )}
        </ul>
        <p class={`chart-reading ${reading === null && !failure ? "is-hint" : ""}`} aria-live="polite">
          {reading ??
            (failure
              ? `No histogram: ${failure.message}`
              : value
                ? `a bar is ${sayDuration(value.seconds * SECOND)} · drag to narrow`
                : "")}
        </p>
      </div>
      <div
        class={`chart-box ${isOld ? "is-old" : ""}`}
        ref={box}
        role="slider"
        tabIndex={0}
        aria-label={`${unit} over time. Arrow keys move, Shift and arrows select, Enter shows only that.`}
        aria-valuemin={0}
        aria-valuemax={Math.max(0, bars.length - 1)}
        aria-valuenow={cursor.value ?? 0}
        aria-valuetext={reading ?? "no bar chosen"}
        onKeyDown={pressed}
        onBlur={() => {
          if (!dragging.current) cursor.value = anchor.value = null;
        }}
        onPointerDown={(event) => {
          if (event.button !== 0 || bars.length === 0) return;
          box.current!.setPointerCapture(event.pointerId);
          dragging.current = { x: event.clientX, moved: false };
          cursor.value = anchor.value = at(event);
        }}
        onPointerMove={(event) => {
          if (bars.length === 0) return;
          const drag = dragging.current;
          if (!drag) {
            if (event.pointerType === "mouse") cursor.value = at(event);
            return;
          }
          drag.moved ||= Math.abs(event.clientX - drag.x) >= MIN_DRAG;
          cursor.value = at(event);
        }}
        onPointerUp={(event) => {
          const drag = dragging.current;
          dragging.current = null;
          if (drag?.moved) apply(anchor.value ?? at(event), at(event));
          else anchor.value = null;
        }}
        onPointerCancel={() => {
          dragging.current = null;
          cursor.value = anchor.value = null;
        }}
        onPointerLeave={() => {
          if (!dragging.current) cursor.value = null;
        }}
      >
        <svg width={plotWidth} height={height.value} aria-hidden="true">
          <defs>
            <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
              <rect class="hatch-ground" width="6" height="6" />
              <path class="hatch-line" d="M0 0V6" />
            </pattern>
          </defs>
          {hatched.map(({ hole, from, to }) => {
            const size = Math.max(6, (to - from) * plotWidth);
            return (
              <rect
                key={hole.words}
                class="hatched"
                x={Math.min(plotWidth - size, from * plotWidth)}
                y="0"
                width={size}
                height={plotHeight}
                fill="url(#hatch)"
              />
            );
          })}
          {cursor.value !== null && <rect class="chart-cursor" x={low * step} y="0" width={(high - low + 1) * step} height={plotHeight} />}
          {bars.map((bar, index) => {
            let top = plotHeight;
            return bar.byOutcome.map((count, place) => {
              if (count === 0) return null;
              const size = Math.max(1, (count / most) * (plotHeight - 4));
              top -= size;
              return (
                <rect
                  key={`${index}-${place}`}
                  class={`bar bar-${OUTCOMES[place]}`}
                  x={index * step + Math.min(1, step / 8)}
                  y={top}
                  width={Math.max(1, step - Math.min(2, step / 4))}
                  height={size}
                />
              );
            });
          })}
          <path class="chart-base" d={`M0 ${plotHeight + 0.5}H${plotWidth}`} />
          {ticks(bars, plotWidth).map(({ x, label, anchor }) => (
            <text key={x} class="chart-tick" x={x} y={height.value - 4} text-anchor={anchor}>
              {label}
            </text>
          ))}
          {value && value.total > 0 && <text class="chart-tick" x={plotWidth} y="10" text-anchor="end">{`max ${most}`}</text>}
        </svg>
      </div>
      {hatched.length > 0 && (
        <ul class="hidden">
          {hatched.map(({ hole }) => (
            <li key={hole.words}>{`Not known: ${sayHole(hole)}`}</li>
          ))}
        </ul>
      )}
      {bars.length === 0 && <p class="chart-table">{"\u00a0"}</p>}
      {bars.length > 0 && (
        <details class="chart-table">
          <summary>Show as a table</summary>
          <div class="chart-table-scroll" tabIndex={0} role="region" aria-label={`${unit} over time as a table`}>
            <table>
              <caption class="hidden">{unit} over time</caption>
              <thead>
                <tr>
                  <th scope="col">from</th>
                  <th scope="col">{unit}</th>
                  {OUTCOMES.map((outcome) => (
                    <th key={outcome} scope="col">
                      {outcome}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {bars
                  .filter((bar) => bar.events > 0)
                  .map((bar) => (
                    <tr key={bar.start}>
                      <th scope="row">{`${printDay(bar.start, zone)} ${printClock(bar.start, zone, 0)}`}</th>
                      <td>{bar.events}</td>
                      {bar.byOutcome.map((count, place) => (
                        <td key={place}>{count}</td>
                      ))}
                    </tr>
                  ))}
              </tbody>
            </table>
          </div>
        </details>
      )}
    </section>
  );
}

/** Where the holes are under the bars, as parts of their whole length. */
function hatchingOf(holes: Hole[], bars: Bar[]): { hole: Hole; from: number; to: number }[] {
  const [first, last] = [bars[0], bars.at(-1)];
  if (!first || !last) return [];
  return holes.flatMap((hole) => {
    const part = partOf(hole, { since: first.start, until: last.end });
    // The first bar begins on the grid, mostly a little before the first event: that is no hole.
    const isGrid = hole.since === null && (hole.until ?? 0) < first.end;
    return part === null || isGrid ? [] : [{ hole, ...part }];
  });
}

function sayHole({ since, until, words }: Hole): string {
  const say = (at: Micros | null) => (at === null ? "…" : `${printDay(at, prefs.value.zone)} ${printClock(at, prefs.value.zone, 0)}`);
  return `${say(since)} – ${say(until)}: ${visible(words)}`;
}

/** Times under the bars, as many as there is room for. */
function ticks(bars: Bar[], width: number): { x: number; label: string; anchor: "start" | "middle" | "end" }[] {
  const [first, last] = [bars[0], bars.at(-1)];
  if (!first || !last) return [];
  const zone = prefs.value.zone;
  const wide = last.end - first.start > 36 * 3600 * SECOND;
  const count = Math.max(2, Math.min(8, Math.floor(width / 130)));
  return Array.from({ length: count }, (_, at) => {
    const index = Math.round((at * bars.length) / (count - 1));
    const moment = index >= bars.length ? last.end : bars[index]!.start;
    const label = wide
      ? `${printDay(moment, zone).replace(/ \d{4}$/, "")} ${printClock(moment, zone, 0).slice(0, 5)}`
      : printClock(moment, zone, 0);
    return { x: (index / bars.length) * width, label, anchor: at === 0 ? "start" : at === count - 1 ? "end" : "middle" };
  });
}
