// The rows: a grid that is walked cell by cell. At narrow widths the same cells are two-line cards.

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
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
let place = { name: "", column: 1 };

const open = (row: Row) => change({ selected: row.name }, searchView.value.selected === null ? "push" : "replace");

/** Lines that were drawn: with the same row and state they are drawn once, also when others come before them. */
const drawn = new WeakMap<Row, { isSelected: boolean; line: preact.VNode }>();

function lineOf(row: Row, isSelected: boolean): preact.VNode {
  const known = drawn.get(row);
  if (known?.isSelected === isSelected) return known.line;
  const line = <RowLine key={row.name} row={row} isSelected={isSelected} />;
  drawn.set(row, { isSelected, line });
  return line;
}

export function Rows() {
  const grid = useRef<HTMLDivElement>(null);
  const shown = answer.value;
  const { selected, filter } = searchView.value;
  const rows = shown?.rows ?? [];
  const hasChosen = rows.some((row) => row.name === selected);

  // What depends on a row's place is written here, so that a new row on top does not draw all others anew.
  useLayoutEffect(() => {
    if (selected !== null && hasChosen) place.name = selected;
    if (!rows.some((row) => row.name === place.name)) place.name = rows[0]?.name ?? "";
    const lines = grid.current?.querySelectorAll<HTMLElement>(".row:not(.head)") ?? [];
    lines.forEach((line, at) => {
      const index = String((shown?.nDropped ?? 0) + at + 2);
      if (line.ariaRowIndex !== index) line.ariaRowIndex = index;
    });
    if (!grid.current?.contains(document.activeElement)) stopAt(cellAt(place.name, place.column));
  });

  // A row chosen by Back or a link is brought into sight.
  useEffect(() => {
    if (hasChosen) grid.current?.querySelector(".row.is-selected")?.scrollIntoView({ block: "nearest" });
  }, [selected, hasChosen]);

  const cellAt = (name: string, column: number) => {
    const line = [...(grid.current?.querySelectorAll<HTMLElement>(".row:not(.head)") ?? [])].find((other) => other.dataset.name === name);
    return line?.querySelector<HTMLElement>(`[data-column="${column}"]`) ?? null;
  };
  /** The one cell that Tab comes to. */
  const stopAt = (cell: HTMLElement | null) => {
    if (cell === null || cell.tabIndex === 0) return;
    for (const other of grid.current?.querySelectorAll<HTMLElement>("[data-column][tabindex='0']") ?? []) other.tabIndex = -1;
    cell.tabIndex = 0;
  };
  const focused = (event: FocusEvent) => {
    const cell = (event.target as Element).closest<HTMLElement>("[data-column]");
    if (cell === null) return;
    place = { name: cell.closest<HTMLElement>(".row")!.dataset.name!, column: Number(cell.dataset.column) };
    stopAt(cell);
  };
  const move = (to: number, column: number) => {
    if (to >= rows.length) {
      void loadMore();
      return;
    }
    const row = rows[Math.max(0, to)];
    const cell = row && cellAt(row.name, Math.min(COLUMNS.length - 1, Math.max(0, column)));
    if (!cell) return;
    cell.focus();
    cell.closest(".row")?.scrollIntoView({ block: "nearest" });
    // With the panel open it follows.
    if (selected !== null) open(row);
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = rows.findIndex((row) => row.name === place.name);
    const row = rows[at];
    const column = COLUMNS[place.column];
    if (!row || !column) return;
    const letters = prefs.value.shortcuts === "on";
    const term = column.term(row.event);
    const act: Record<string, (() => void) | false | null> = {
      ArrowDown: () => move(at + 1, place.column),
      ArrowUp: () => move(at - 1, place.column),
      ArrowLeft: () => move(at, place.column - 1),
      ArrowRight: () => move(at, place.column + 1),
      PageDown: () => move(Math.min(rows.length - 1, at + 20), place.column),
      PageUp: () => move(at - 20, place.column),
      Home: () => move(at, 0),
      End: () => move(at, COLUMNS.length - 1),
      Enter: () => open(row),
      j: letters && (() => move(at + 1, place.column)),
      k: letters && (() => move(at - 1, place.column)),
      f: letters && term !== null && (() => change({ filter: addTerm(filter, term) })),
      x: letters && term !== null && (() => change({ filter: addTerm(filter, negate(term)) })),
      c: letters && (() => void navigator.clipboard.writeText(cellAt(row.name, place.column)?.textContent ?? "")),
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
        onFocusIn={focused}
      >
        <div role="row" class="row head" aria-rowindex={1}>
          {COLUMNS.map((column) => (
            <div key={column.key} role="columnheader" class={`cell cell-${column.key}`}>
              {column.title}
              {column.key === "time" && ` (${zone === "utc" ? "UTC" : "local"})`}
            </div>
          ))}
        </div>
        {rows.map((row) => lineOf(row, row.name === selected))}
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

function RowLine({ row, isSelected }: { row: Row; isSelected: boolean }) {
  return (
    <div
      role="row"
      data-name={row.name}
      aria-selected={isSelected}
      class={`row ${isSelected ? "is-selected" : ""} ${row.isNew ? "is-new" : ""}`}
      onClick={(event) => {
        // Selecting text is not opening.
        if (getSelection()?.type === "Range") return;
        (event.target as Element).closest<HTMLElement>("[data-column]")?.focus();
        open(row);
      }}
    >
      {COLUMNS.map((column, at) => (
        <div key={column.key} role="gridcell" data-column={at} tabIndex={-1} class={`cell cell-${column.key}`}>
          {column.cell(row.event)}
        </div>
      ))}
    </div>
  );
}
