// The menus over the rows that keep something: which columns there are, and searches by name.

import { useSignal } from "@preact/signals";
import { FIRST_COLUMNS, isColumn, MAX_COLUMNS, toggleColumn } from "../state/columns.ts";
import { visible } from "../state/hostile.ts";
import { saved, setSaved } from "../state/kept.ts";
import { withSaved } from "../state/saved.ts";
import { printAddress, readAddress } from "../state/url.ts";
import { change, go, searchView } from "../state/view.ts";
import { MORE } from "./columns.tsx";
import { Icon } from "./Mark.tsx";
import { Menu } from "./Menu.tsx";

export function ColumnMenu() {
  const words = useSignal("");
  const choice = searchView.value.columns;
  const chosen = choice ?? FIRST_COLUMNS;
  const names = [...FIRST_COLUMNS, ...MORE.map(([name]) => name)];
  const paths = chosen.filter((name) => !names.includes(name));
  const toggle = (name: string) => change({ columns: toggleColumn(choice, name) }, "replace");
  const add = (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const name = String(new FormData(form).get("path") ?? "").trim();
    words.value =
      chosen.length >= MAX_COLUMNS
        ? `${MAX_COLUMNS} columns at most: take one out first.`
        : isColumn(name)
          ? ""
          : 'Not a path. Try objectRef.uid or annotations["authorization.k8s.io/reason"]';
    if (words.value !== "") return;
    if (!chosen.includes(name)) toggle(name);
    form.reset();
  };
  return (
    <Menu label="Columns">
      {() => (
        <div class="column-menu">
          <ul>
            {[...names, ...paths].map((name) => (
              <li key={name} class={paths.includes(name) ? "is-path" : ""}>
                <label>
                  <input
                    type="checkbox"
                    checked={chosen.includes(name)}
                    disabled={chosen.includes(name) ? chosen.length === 1 : chosen.length >= MAX_COLUMNS}
                    onChange={() => toggle(name)}
                  />
                  {name}
                </label>
              </li>
            ))}
          </ul>
          <form onSubmit={add}>
            <label for="column-path">Any path of the event</label>
            <div class="range-row">
              <input
                id="column-path"
                name="path"
                class="mono"
                autocomplete="off"
                placeholder="objectRef.uid"
                aria-describedby="column-words"
              />
              <button type="submit">Add</button>
            </div>
            <p id="column-words" class="danger" aria-live="polite">
              {words.value}
            </p>
          </form>
          {choice !== null && (
            <button type="button" class="small" onClick={() => change({ columns: null }, "replace")}>
              As at first
            </button>
          )}
        </div>
      )}
    </Menu>
  );
}

/** Searches that were named, and a name for this one. */
export function SavedMenu() {
  const save = (event: SubmitEvent, close: () => void) => {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget as HTMLFormElement).get("name") ?? "");
    if (name.trim() === "") return;
    const address = printAddress({ ...searchView.value, selected: null, tab: null, live: false });
    setSaved(withSaved(saved.value, { name, query: address.slice("/search".length) }));
    close();
  };
  return (
    <Menu label="Saved">
      {(close) => (
        <div class="saved-menu">
          {saved.value.length > 0 && (
            <ul aria-label="Saved searches">
              {saved.value.map(({ name, query }) => (
                <li key={name}>
                  <button
                    type="button"
                    class="saved-open"
                    title={visible(query)}
                    onClick={() => {
                      close();
                      go(readAddress("/search", query));
                    }}
                  >
                    {visible(name)}
                  </button>
                  <button
                    type="button"
                    class="quiet"
                    aria-label={`Forget ${visible(name)}`}
                    onClick={() => setSaved(saved.value.filter((other) => other.name !== name))}
                  >
                    <Icon name="close" />
                  </button>
                </li>
              ))}
            </ul>
          )}
          <form onSubmit={(event) => save(event, close)}>
            <label for="saved-name">Save this search as</label>
            <div class="range-row">
              <input id="saved-name" name="name" maxLength={60} autocomplete="off" />
              <button type="submit" class="primary">
                Save
              </button>
            </div>
          </form>
          <p class="muted">Kept in this browser: filter, range and columns, no events.</p>
        </div>
      )}
    </Menu>
  );
}
