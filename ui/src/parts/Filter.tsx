// The filter box: an input over a layer that shows the same text in colour, a list to complete from, and the error
// with its place. What is what the server says (/api/v1/filter): there is no second parser here.

import { batch, computed, effect, signal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { getJson } from "../api/client.ts";
import type { CompletionItem, FilterAnswer } from "../api/types.ts";
import { answer } from "../state/search.ts";
import { fixOf, paint, toCharacters, toUnits } from "../state/terms.ts";
import { printRfc3339 } from "../state/time.ts";
import { change, searchView } from "../state/view.ts";
import { Icon } from "./Mark.tsx";

/** Long enough that fast typing asks once, short enough not to be felt. */
const REST_MS = 70;

const draft = signal(searchView.value.filter);
/** What the server said, and of which text. */
const check = signal<{ text: string; answer: FilterAnswer } | null>(null);
const isOpen = signal(false);
const active = signal(-1);

let asking = new AbortController();
let rest = 0;

// The box follows the view: a facet, Back, a link.
effect(() => {
  const { filter } = searchView.value;
  batch(() => {
    draft.value = filter;
    isOpen.value = false;
  });
  void askAbout(filter, 0); // for its colours; at the beginning nothing costs a count
});

async function askAbout(text: string, cursor: number): Promise<FilterAnswer | null> {
  asking.abort();
  asking = new AbortController();
  const { signal: stopped } = asking;
  const shown = answer.peek()?.resolved;
  const at = (moment: number | null | undefined) => (moment === null || moment === undefined ? null : printRfc3339(moment));
  try {
    const query = {
      text,
      cursor: toCharacters(text, cursor),
      since: at(shown?.since),
      until: at(shown?.until),
      unit: searchView.peek().unit,
    };
    const found = await getJson<FilterAnswer>("/api/v1/filter", query, stopped);
    if (!stopped.aborted) {
      batch(() => {
        check.value = { text, answer: found };
        active.value = -1;
      });
    }
    return found;
  } catch {
    return null; // the box works without colours; the search itself tells what is wrong
  }
}

const current = computed(() => (check.value?.text === draft.value ? check.value.answer : null));
const error = computed(() => current.value?.error ?? null);
const items = computed<CompletionItem[]>(() => (isOpen.value ? (current.value?.completion?.items ?? []).slice(0, 30) : []));
const spans = computed(() => paint(draft.value, current.value?.tokens ?? [], error.value));

export function Filter() {
  const input = useRef<HTMLInputElement>(null);
  const layer = useRef<HTMLDivElement>(null);

  const alignLayer = () => {
    if (input.current && layer.current) layer.current.scrollLeft = input.current.scrollLeft;
  };
  const lookAt = (text: string) => {
    clearTimeout(rest);
    rest = window.setTimeout(() => void askAbout(text, input.current?.selectionStart ?? text.length), REST_MS);
  };
  const write = (text: string, cursor: number, open: boolean) => {
    batch(() => {
      draft.value = text;
      isOpen.value = open;
    });
    if (!input.current) return;
    input.current.value = text;
    input.current.setSelectionRange(cursor, cursor);
    input.current.focus();
    lookAt(text);
  };
  const take = (item: CompletionItem) => {
    const place = current.value?.completion;
    if (!place) return;
    const [start, end] = [toUnits(draft.value, place.start), toUnits(draft.value, place.end)];
    const before = draft.value.slice(0, start) + item.text;
    const after = draft.value.slice(end);
    const gap = item.kind === "value" && after === "" ? " " : "";
    write(before + gap + after, (before + gap).length, true);
  };
  const fix = (text: string) => {
    const wrong = error.value;
    if (!wrong) return;
    const [start, end] = [toUnits(draft.value, wrong.column - 1), toUnits(draft.value, wrong.column - 1 + wrong.length)];
    write(draft.value.slice(0, start) + text + draft.value.slice(end), start + text.length, false);
  };
  const submit = async () => {
    const text = draft.value.trim();
    const said = current.value ?? (await askAbout(draft.value, draft.value.length));
    isOpen.value = false;
    if (said?.error === undefined) change({ filter: text });
  };
  const pressed = (event: KeyboardEvent) => {
    const last = items.value.length - 1;
    const keys: Record<string, () => void> = {
      ArrowDown: () => {
        if (!isOpen.value) {
          isOpen.value = true;
          lookAt(draft.value);
        } else active.value = active.value >= last ? 0 : active.value + 1;
      },
      ArrowUp: () => {
        active.value = active.value <= 0 ? last : active.value - 1;
      },
      Enter: () => {
        const item = items.value[active.value];
        if (item) take(item);
        else void submit();
      },
      Escape: () => {
        if (isOpen.value && items.value.length > 0) isOpen.value = false;
        else input.current?.blur();
      },
    };
    const tab = event.key === "Tab" && !event.shiftKey && items.value[active.value];
    if (tab) {
      event.preventDefault();
      take(tab);
    } else if (keys[event.key] && !event.isComposing) {
      event.preventDefault();
      keys[event.key]!();
    }
  };

  const wrong = error.value;
  const hints = current.value?.hints ?? [];
  const proposed = fixOf(wrong?.help);
  return (
    <search class="filter">
      <div class={`filter-box ${wrong ? "is-wrong" : ""}`}>
        <Icon name="search" />
        <div class="filter-field">
          <div class="filter-paint" ref={layer} aria-hidden="true">
            {spans.value.map((span, at) => (
              <span key={at} class={`token-${span.kind} ${span.wrong ? "wrong" : ""}`}>
                {span.text}
              </span>
            ))}
          </div>
          <input
            id="filter"
            ref={input}
            type="text"
            role="combobox"
            aria-label="Filter"
            aria-expanded={items.value.length > 0}
            aria-controls="filter-options"
            aria-autocomplete="list"
            aria-activedescendant={active.value >= 0 && items.value.length > 0 ? `filter-option-${active.value}` : undefined}
            aria-invalid={wrong !== null}
            aria-describedby="filter-words"
            placeholder="user:mallory verb:(create or delete)"
            autocomplete="off"
            autocapitalize="off"
            autocorrect="off"
            spellcheck={false}
            value={draft.value}
            onInput={(event) => {
              batch(() => {
                draft.value = event.currentTarget.value;
                isOpen.value = true;
                active.value = -1;
              });
              alignLayer();
              lookAt(event.currentTarget.value);
            }}
            onScroll={alignLayer}
            onKeyUp={alignLayer}
            onKeyDown={pressed}
            onClick={() => {
              isOpen.value = true;
              lookAt(draft.value);
            }}
            onBlur={() => {
              isOpen.value = false;
            }}
          />
        </div>
        {draft.value !== "" && (
          <button type="button" class="quiet" aria-label="Clear the filter" onClick={() => change({ filter: "" })}>
            <Icon name="close" />
          </button>
        )}
        <button type="button" class="primary filter-run" onClick={() => void submit()}>
          Search
        </button>
      </div>
      <ul id="filter-options" role="listbox" aria-label="Completions" class="filter-options" hidden={items.value.length === 0}>
        {items.value.map((item, at) => (
          <li
            key={at}
            id={`filter-option-${at}`}
            role="option"
            aria-selected={at === active.value}
            tabIndex={-1}
            // Before the input loses its focus.
            onPointerDown={(event) => {
              event.preventDefault();
              take(item);
            }}
          >
            <span class={`option-label token-${item.kind}`}>{item.label}</span>
            <span class="option-detail">{item.detail}</span>
            {item.events !== undefined && <span class="option-count">{item.events.toLocaleString("en")}</span>}
          </li>
        ))}
      </ul>
      <p id="filter-words" class="filter-words" aria-live="polite">
        {wrong && (
          <>
            <span class="danger">
              {wrong.message} <span class="muted">(character {wrong.column})</span>
            </span>{" "}
            {proposed === null ? (
              <span class="muted">{wrong.help}</span>
            ) : (
              <button type="button" class="small" onClick={() => fix(proposed)}>
                Use {proposed}
              </button>
            )}
          </>
        )}
        {!wrong && hints.length > 0 && <span class="muted">{hints.join(" · ")}</span>}
      </p>
    </search>
  );
}
