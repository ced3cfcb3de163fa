// The rows: a grid that is walked cell by cell. At narrow widths the same cells are two-line cards.

import { useEffect, useRef } from "preact/hooks";
import type { AuditEvent } from "../api/types.ts";
import {
  actedAs,
  actorOf,
  agentOf,
  latencyOf,
  NOBODY,
  objectOf,
  outcomeOf,
  pathOf,
  resourceOf,
  timeOf,
  toolOf,
  verbClassOf,
} from "../event/facts.ts";
import { prefs } from "../state/prefs.ts";
import { answer, loadMore, phase, type Row, search } from "../state/search.ts";
import { addTerm, negate, termOf } from "../state/terms.ts";
import { printClock, printDay, printRfc3339, sayDuration } from "../state/time.ts";
import { change, searchView } from "../state/view.ts";
import { OutcomeMark, VerbMark } from "./Mark.tsx";
import { Text } from "./Text.tsx";

interface Column {
  key: string;
  title: string;
  cell(event: AuditEvent): preact.ComponentChildren;
  /** The term that `f` adds and `x` adds turned around. */
  term(event: AuditEvent): string | null;
}

const has = (field: string, value: string | null | undefined) => (value ? termOf(field, value) : null);

const COLUMNS: Column[] = [
  {
    key: "time",
    title: "time",
    cell: (event) => {
      const at = timeOf(event);
      return at === null ? (
        <Text value={event.stageTimestamp ?? "no time"} />
      ) : (
        <time dateTime={event.stageTimestamp} title={`${printRfc3339(at)} (UTC)`}>
          <span class="day">{printDay(at, prefs.value.zone).replace(/ \d{4}$/, "")} </span>
          {printClock(at, prefs.value.zone, 3)}
        </time>
      );
    },
    term: () => null,
  },
  {
    key: "actor",
    title: "actor",
    cell: (event) => {
      const [actor, as] = [actorOf(event), actedAs(event)];
      return (
        <>
          {actor === null ? <span class="nobody">{NOBODY}</span> : <Text value={actor} limit={80} />}
          {as !== null && (
            <span class="muted">
              {" as "}
              <Text value={as} limit={60} />
            </span>
          )}
        </>
      );
    },
    term: (event) => termOf("user", actorOf(event)),
  },
  {
    key: "verb",
    title: "verb",
    cell: (event) => (
      <>
        <VerbMark verbClass={verbClassOf(event)} />
        <Text value={event.verb || "none"} limit={30} />
      </>
    ),
    term: (event) => has("verb", event.verb),
  },
  {
    key: "object",
    title: "object",
    cell: (event) => {
      const { resource, where } = objectOf(event);
      return (
        <>
          {resource !== null && (
            <span class="resource">
              <Text value={resource} limit={60} />
            </span>
          )}{" "}
          <Text value={where} limit={120} />
        </>
      );
    },
    term: (event) => has("resource", resourceOf(event)) ?? has("path", pathOf(event)),
  },
  {
    key: "outcome",
    title: "outcome",
    cell: (event) => {
      const [outcome, code] = [outcomeOf(event), event.responseStatus?.code];
      return (
        <>
          <OutcomeMark outcome={outcome} code={code} />
          <span class="code">{code ?? ""}</span> {outcome ?? <span class="muted">{event.stage ?? "no stage"}</span>}
        </>
      );
    },
    term: (event) => (typeof event.responseStatus?.code === "number" ? `code:${event.responseStatus.code}` : has("stage", event.stage)),
  },
  {
    key: "took",
    title: "took",
    cell: (event) => {
      const latency = latencyOf(event);
      return latency === null ? "" : sayDuration(latency);
    },
    term: () => null,
  },
  {
    key: "tool",
    title: "tool",
    cell: (event) => <Text value={agentOf(event) ?? ""} limit={60} />,
    term: (event) => has("tool", toolOf(event)),
  },
];

/** Where the keyboard is in the grid; kept outside so that new rows do not move it. */
let place = { row: 0, column: 1 };

export function Rows() {
  const grid = useRef<HTMLDivElement>(null);
  const shown = answer.value;
  const { selected, filter } = searchView.value;
  const rows = shown?.rows ?? [];
  place.row = Math.min(place.row, Math.max(0, rows.length - 1));
  const chosen = rows.findIndex((row) => row.name === selected);
  if (chosen >= 0) place.row = chosen;

  // A row chosen by Back or a link is brought into sight.
  useEffect(() => {
    if (chosen >= 0) grid.current?.querySelector(".row.is-selected")?.scrollIntoView({ block: "nearest" });
  }, [selected, chosen >= 0]);

  const focusCell = (row: number, column: number) => {
    const cell = grid.current?.querySelector<HTMLElement>(`[data-cell="${row}-${column}"]`);
    if (!cell) return;
    grid.current?.querySelector("[data-cell][tabindex='0']")?.setAttribute("tabindex", "-1");
    place = { row, column };
    cell.tabIndex = 0;
    cell.focus();
    cell.closest(".row")?.scrollIntoView({ block: "nearest" });
  };
  const open = (row: Row) => change({ selected: row.name }, selected === null ? "push" : "replace");
  const move = (row: number, column: number) => {
    if (row >= rows.length) {
      void loadMore();
      return;
    }
    const target = Math.max(0, row);
    focusCell(target, Math.min(COLUMNS.length - 1, Math.max(0, column)));
    // With the panel open it follows.
    if (selected !== null && rows[target]) open(rows[target]);
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    // Rows that came live have moved the focused one.
    const focused = (event.target as Element).closest<HTMLElement>("[data-cell]")?.dataset.cell?.split("-").map(Number);
    if (focused) place = { row: focused[0]!, column: focused[1]! };
    const row = rows[place.row];
    const column = COLUMNS[place.column];
    if (!row || !column) return;
    const letters = prefs.value.shortcuts === "on";
    const term = column.term(row.event);
    const act: Record<string, (() => void) | false | null> = {
      ArrowDown: () => move(place.row + 1, place.column),
      ArrowUp: () => move(place.row - 1, place.column),
      ArrowLeft: () => move(place.row, place.column - 1),
      ArrowRight: () => move(place.row, place.column + 1),
      PageDown: () => move(Math.min(rows.length - 1, place.row + 20), place.column),
      PageUp: () => move(place.row - 20, place.column),
      Home: () => move(place.row, 0),
      End: () => move(place.row, COLUMNS.length - 1),
      Enter: () => open(row),
      j: letters && (() => move(place.row + 1, place.column)),
      k: letters && (() => move(place.row - 1, place.column)),
      f: letters && term !== null && (() => change({ filter: addTerm(filter, term) })),
      x: letters && term !== null && (() => change({ filter: addTerm(filter, negate(term)) })),
      c:
        letters &&
        (() =>
          void navigator.clipboard.writeText(grid.current?.querySelector(`[data-cell="${place.row}-${place.column}"]`)?.textContent ?? "")),
      r: letters && (() => change({ selected: row.name, tab: "raw" }, selected === null ? "push" : "replace")),
    };
    const doing = act[event.key];
    if (!doing) return;
    event.preventDefault();
    event.stopPropagation();
    doing();
  };
  if (shown === null) return null;
  const busy = phase.value === "loading" || phase.value === "slow";
  const zone = prefs.value.zone;
  const ends = [rows[0], rows.at(-1)].map((row) => (row ? timeOf(row.event) : null));
  const days = new Set(ends.map((at) => (at === null ? "" : printDay(at, zone))));
  return (
    <div class={`rows ${busy ? "is-old" : ""}`} aria-busy={busy}>
      {shown.nDropped > 0 && (
        <p class="rows-note">
          {shown.nDropped.toLocaleString("en")} newer rows were put away.{" "}
          <button type="button" class="small" onClick={() => void search()}>
            Back to the newest
          </button>
        </p>
      )}
      <div
        ref={grid}
        role="grid"
        aria-label={shown.question.unit === "event" ? "Events" : "Requests"}
        aria-rowcount={(shown.matched ?? -2) + 1}
        aria-colcount={COLUMNS.length}
        class={`grid ${days.size > 1 ? "has-days" : ""}`}
        onKeyDown={pressed}
      >
        <div role="row" class="row head" aria-rowindex={1}>
          {COLUMNS.map((column) => (
            <div key={column.key} role="columnheader" class={`cell cell-${column.key}`}>
              {column.title}
              {column.key === "time" && ` (${prefs.value.zone === "utc" ? "UTC" : "local"})`}
            </div>
          ))}
        </div>
        {rows.map((row, at) => (
          <RowLine key={row.name} row={row} at={at} index={shown.nDropped + at} isSelected={row.name === selected} onOpen={open} />
        ))}
      </div>
      <div class="rows-end">
        {shown.next !== null ? (
          <button type="button" disabled={phase.value === "more"} onClick={() => void loadMore()}>
            {phase.value === "more" ? "Loading…" : "Load 200 more"}
          </button>
        ) : null}
        <p class="muted">
          rows {(rows.length === 0 ? 0 : shown.nDropped + 1).toLocaleString("en")}–{(shown.nDropped + rows.length).toLocaleString("en")}
          {shown.matched !== null && ` of ${shown.complete ? "" : "≥ "}${shown.matched.toLocaleString("en")}`}
        </p>
      </div>
    </div>
  );
}

interface LineProps {
  row: Row;
  at: number;
  index: number;
  isSelected: boolean;
  onOpen(row: Row): void;
}

function RowLine({ row, at, index, isSelected, onOpen }: LineProps) {
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      aria-selected={isSelected}
      class={`row ${isSelected ? "is-selected" : ""} ${row.isNew ? "is-new" : ""}`}
      onClick={(event) => {
        // Selecting text is not opening.
        if (getSelection()?.type === "Range") return;
        const cell = (event.target as Element).closest<HTMLElement>("[data-cell]");
        if (cell) {
          const [, column] = cell.dataset.cell!.split("-");
          place = { row: at, column: Number(column) };
          cell.focus();
        }
        onOpen(row);
      }}
    >
      {COLUMNS.map((column, columnAt) => (
        <div
          key={column.key}
          role="gridcell"
          data-cell={`${at}-${columnAt}`}
          tabIndex={at === place.row && columnAt === place.column ? 0 : -1}
          class={`cell cell-${column.key}`}
          onFocus={() => {
            place = { row: at, column: columnAt };
          }}
        >
          {column.cell(row.event)}
        </div>
      ))}
    </div>
  );
}
