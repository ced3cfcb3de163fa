// The rows: a grid that is walked cell by cell. At narrow widths the same cells are two-line cards.

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { timeOf } from "../event/facts.ts";
import { prefs } from "../state/prefs.ts";
import { answer, loadMore, phase, type Row, search } from "../state/search.ts";
import { addTerm, negate } from "../state/terms.ts";
import { printDay } from "../state/time.ts";
import { change, searchView } from "../state/view.ts";
import { type Column, columnsOf } from "./columns.tsx";

/** Where the keyboard is in the grid; kept outside so that new rows do not move it. */
let place = { name: "", column: 1 };

const open = (row: Row) => change({ selected: row.name }, searchView.value.selected === null ? "push" : "replace");

/** Lines that were drawn: with the same row and state they are drawn once, also when others come before them. */
const drawn = new WeakMap<Row, { isSelected: boolean; columns: Column[]; line: preact.VNode }>();

function lineOf(row: Row, isSelected: boolean, columns: Column[]): preact.VNode {
  const known = drawn.get(row);
  if (known?.isSelected === isSelected && known.columns === columns) return known.line;
  const line = <RowLine key={row.name} row={row} isSelected={isSelected} columns={columns} />;
  drawn.set(row, { isSelected, columns, line });
  return line;
}

export function Rows() {
  const grid = useRef<HTMLDivElement>(null);
  const shown = answer.value;
  const { selected, filter } = searchView.value;
  const columns = columnsOf(searchView.value.columns);
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
    place.column = Math.min(place.column, columns.length - 1);
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
    const cell = row && cellAt(row.name, Math.min(columns.length - 1, Math.max(0, column)));
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
    const column = columns[Math.min(place.column, columns.length - 1)];
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
      End: () => move(at, columns.length - 1),
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
        aria-colcount={columns.length}
        class={`grid ${days.size > 1 ? "has-days" : ""}`}
        onKeyDown={pressed}
        onFocusIn={focused}
      >
        <div role="row" class="row head" aria-rowindex={1}>
          {columns.map((column) => (
            <div key={column.key} role="columnheader" class={`cell cell-${column.isOther ? "other" : column.key}`} title={column.title}>
              {column.title}
              {column.key === "time" && ` (${zone === "utc" ? "UTC" : "local"})`}
            </div>
          ))}
        </div>
        {rows.map((row) => lineOf(row, row.name === selected, columns))}
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

function RowLine({ row, isSelected, columns }: { row: Row; isSelected: boolean; columns: Column[] }) {
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
      {columns.map((column, at) => (
        <div key={column.key} role="gridcell" data-column={at} tabIndex={-1} class={`cell cell-${column.isOther ? "other" : column.key}`}>
          {column.cell(row.event)}
        </div>
      ))}
    </div>
  );
}
