// Search: which requests match? The sentence, the histogram, the facets, the rows, and the event beside them.

import { computed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { token } from "../api/session.ts";
import { Chart } from "../parts/Chart.tsx";
import { EventDetails } from "../parts/EventDetails.tsx";
import { Facets } from "../parts/Facets.tsx";
import { Filter } from "../parts/Filter.tsx";
import { Icon } from "../parts/Mark.tsx";
import { Menu } from "../parts/Menu.tsx";
import { Rows } from "../parts/Rows.tsx";
import { ColumnMenu, SavedMenu } from "../parts/SearchMenus.tsx";
import { Banners, NoRows } from "../parts/States.tsx";
import { TimeRange } from "../parts/TimeRange.tsx";
import { commandOf, exportAs, exporting, stopExport } from "../state/download.ts";
import { closePanel, toggleLive } from "../state/keys.ts";
import { prefs } from "../state/prefs.ts";
import { answer, extent, failure, histogram, instead, live, phase } from "../state/search.ts";
import { printRange, printResolved, sayDuration } from "../state/time.ts";
import { printAddress, type Unit } from "../state/url.ts";
import { change, follow, searchView } from "../state/view.ts";

// Computed, so that rows that come do not draw the whole page anew.
const hasAnswer = computed(() => answer.value !== null);
/** Without an event or an answer there is nothing to draw or to count. */
const hasNothing = computed(() => extent.value?.events === 0 || (!hasAnswer.value && failure.value !== null));
const hasNoRows = computed(() => answer.value?.rows.length === 0 && phase.value !== "loading" && phase.value !== "slow");

export function SearchPage() {
  const { selected, tab } = searchView.value;
  const isBlank = hasNothing.value;
  return (
    <>
      <header class="top">
        <Filter />
        <TimeRange />
        <LiveButton />
      </header>
      <main id="main" tabIndex={-1} class={`search ${selected !== null ? "has-panel" : ""}`}>
        <h1 class="hidden">Search</h1>
        {!isBlank && <Headline />}
        <Banners />
        {!isBlank && <Chart />}
        <div class={`columns ${isBlank ? "is-blank" : ""}`}>
          {!isBlank && (
            <aside class="facet-column" aria-label="Facets">
              <Facets />
            </aside>
          )}
          <div class="row-column">
            {hasNoRows.value ? <NoRows rows={answer.peek()!} /> : hasAnswer.value ? <Rows /> : !isBlank && <Waiting />}
          </div>
        </div>
      </main>
      {selected !== null && (
        <EventSide name={selected}>
          <EventDetails name={selected} tab={tab} onTab={(next) => change({ tab: next }, "replace")} />
        </EventSide>
      )}
    </>
  );
}

/** Rows' height is kept while the first answer is on its way. */
function Waiting() {
  return <div class="waiting" aria-busy={phase.value === "loading"} />;
}

/** The sentence and what can be done; its height is the same before there is an answer. */
function Headline() {
  return (
    <div class="headline">
      <div class="headline-row">
        <Sentence />
        <Acts />
      </div>
      <Notices />
    </div>
  );
}

function Sentence() {
  const shown = answer.value;
  if (shown === null) return <p class="sentence muted">{phase.value === "done" ? "" : "Searching…"}</p>;
  const { resolved, complete } = shown;
  const zone = prefs.value.zone;
  const count = shown.matched ?? histogram.value.value?.total ?? null;
  const word = shown.question.unit === "event" ? ["event", "events"] : ["request", "requests"];
  const all = shown.question.unit === "event" ? extent.value?.events : extent.value?.requests;
  const length = resolved.since !== null && resolved.until !== null ? ` (${sayDuration(resolved.until - resolved.since)})` : "";
  return (
    <p class="sentence" id="headline">
      <b>
        {complete ? "" : "≥ "}
        {count?.toLocaleString("en") ?? "…"} {word[count === 1 ? 0 : 1]}
      </b>
      {resolved.since === null && resolved.until === null ? ", " : " in "}
      <span class="resolved" title={`${printResolved(resolved, "utc")} UTC`}>
        {printResolved(resolved, zone)}
      </span>
      <span class="muted">
        {length}
        {all !== undefined && live.value === null && ` of ${complete ? "" : "≥ "}${all.toLocaleString("en")}`}
      </span>
    </p>
  );
}

function Acts() {
  const { unit } = searchView.value;
  return (
    <div class="acts">
      <fieldset class="switch">
        <legend class="hidden">Count</legend>
        {(["request", "event"] as Unit[]).map((choice) => (
          <label key={choice} class={unit === choice ? "is-on" : ""}>
            <input type="radio" name="unit" checked={unit === choice} onChange={() => change({ unit: choice })} />
            {choice}s
          </label>
        ))}
      </fieldset>
      <div class="for-columns">
        <ColumnMenu />
      </div>
      <SavedMenu />
      <ExportMenu />
      <LinkMenu />
    </div>
  );
}

function Notices() {
  return (
    <>
      {instead.value !== null && searchView.value.range && printRange(searchView.value.range) === instead.value && (
        <p class="notice" role="status">
          Nothing in the last hour, so this is all there is.
        </p>
      )}
      {searchView.value.asof !== null && (
        <p class="notice" role="status">
          As the log was at event {searchView.value.asof.toLocaleString("en")}.{" "}
          <button type="button" class="small" onClick={() => change({ asof: null })}>
            Show what came since
          </button>
        </p>
      )}
      <LiveLine />
      <ExportLine />
    </>
  );
}

function LiveButton() {
  const isLive = searchView.value.live;
  return (
    <button
      type="button"
      class={`live ${isLive ? "is-on" : ""}`}
      aria-pressed={isLive}
      title={token.value === null ? "Follow what arrives: L" : "Live needs the printed link: an event stream carries no token"}
      disabled={token.value !== null}
      onClick={toggleLive}
    >
      <span class="live-dot" /> Live
    </button>
  );
}

function LiveLine() {
  const now = live.value;
  if (now === null) return null;
  const words = { connecting: "connecting", on: "following", paused: now.words, failed: now.words }[now.state];
  return (
    <p class="notice" role="status">
      Live: {words} · {now.arrived.toLocaleString("en")} new
      {now.skipped > 0 && <b> · {now.skipped.toLocaleString("en")} skipped, they came too fast; a search finds them</b>}
    </p>
  );
}

function ExportLine() {
  const now = exporting.value;
  if (now === null) return null;
  return (
    <p class={`notice ${now.state === "failed" ? "danger" : ""}`} role="status">
      {now.state === "failed"
        ? now.words
        : `${now.state === "done" ? "Exported" : "Exporting"} ${now.events === null ? sayBytes(now.bytes) : now.events.toLocaleString("en")} as ${now.format.toUpperCase()}.`}{" "}
      <button type="button" class="small" onClick={stopExport}>
        {now.state === "running" ? "Stop" : "Dismiss"}
      </button>
    </p>
  );
}

function sayBytes(bytes: number): string {
  return bytes < 1 << 20 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / (1 << 20)).toFixed(1)} MiB`;
}

function ExportMenu() {
  return (
    <Menu label="Export">
      {(close) => (
        <>
          <button
            type="button"
            onClick={() => {
              close();
              void exportAs("csv");
            }}
          >
            CSV, a row each
          </button>
          <button
            type="button"
            onClick={() => {
              close();
              void exportAs("jsonl");
            }}
          >
            JSON lines, as stored
          </button>
          <button
            type="button"
            onClick={() => {
              close();
              void exportAs("parquet");
            }}
          >
            Parquet, a row each
          </button>
          <CopyButton label="Copy as command" text={() => (answer.value ? commandOf(answer.value, location.origin) : "")} />
        </>
      )}
    </Menu>
  );
}

function LinkMenu() {
  const shown = answer.value;
  const exact = () => {
    const { since, until } = shown?.resolved ?? { since: null, until: null };
    const range = { since: since === null ? null : { at: since }, until: until === null ? null : { at: until } };
    return location.origin + printAddress({ ...searchView.value, range, live: false, asof: shown?.question.asof ?? shown?.asof ?? null });
  };
  return (
    <Menu label="Link">
      {() => (
        <>
          <CopyButton label="Copy link" text={() => location.origin + printAddress(searchView.value)} />
          {shown && <CopyButton label="Copy exact link" text={exact} />}
          <p class="muted">The exact link shows these very rows, also after more have arrived.</p>
        </>
      )}
    </Menu>
  );
}

function CopyButton({ label, text }: { label: string; text(): string }) {
  const state = useSignal<"" | "Copied" | "The browser did not allow it">("");
  return (
    <button
      type="button"
      onClick={() => {
        navigator.clipboard.writeText(text()).then(
          () => (state.value = "Copied"),
          () => (state.value = "The browser did not allow it"),
        );
      }}
    >
      <Icon name="copy" /> {state.value || label}
    </button>
  );
}

function EventSide({ name, children }: { name: string; children: preact.ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  // From the rows the focus stays there, so that arrows walk on; otherwise (a link, a phone) it comes here.
  useEffect(() => {
    if (document.activeElement === document.body || matchMedia("(max-width: 899px)").matches) heading.current?.focus();
  }, []);
  return (
    <aside class="panel" aria-label="Event">
      <header class="panel-head">
        <button type="button" class="quiet panel-close" aria-label="Close" title="Close: Esc" onClick={closePanel}>
          <Icon name="close" />
        </button>
        <h2 ref={heading} tabIndex={-1}>
          Event
        </h2>
        <a href={`/event/${name}`} onClick={follow({ page: "event", id: name, tab: searchView.value.tab })}>
          Open as a page
        </a>
      </header>
      <div class="panel-body">{children}</div>
    </aside>
  );
}
