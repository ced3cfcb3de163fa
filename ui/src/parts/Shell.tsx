// What stands around every page: the bar on top, the rail at the side (below, on a phone), and the dialogs.

import { useEffect, useRef } from "preact/hooks";
import { EventPage } from "../pages/event.tsx";
import { SearchPage } from "../pages/search.tsx";
import { overlay } from "../state/keys.ts";
import { type Prefs, prefs, setPref } from "../state/prefs.ts";
import { follow, policyView, searchView, view } from "../state/view.ts";
import { Facets } from "./Facets.tsx";
import { Later } from "./Later.tsx";
import { Icon } from "./Mark.tsx";

/** Pages that few come for first are chunks of their own. */
const policyPage = () => import("../pages/policy.tsx").then(({ PolicyPage }) => PolicyPage);

export function App() {
  const shown = view.value;
  return (
    <div class="shell">
      <button type="button" class="skip" onClick={() => document.getElementById("main")?.focus()}>
        To the content
      </button>
      <nav class="rail" aria-label="Pages">
        <a class="brand" href="/" onClick={follow(searchView.value)}>
          <svg viewBox="0 0 16 16" aria-hidden="true">
            <rect width="16" height="16" rx="3" class="brand-ground" />
            <path class="brand-line" d="M4 4h8M4 8h5M4 12h7" />
          </svg>
          <span class="hidden">decklog</span>
        </a>
        <a class="rail-item" href="/search" aria-current={shown.page === "search" ? "page" : undefined} onClick={follow(searchView.value)}>
          <Icon name="search" />
          Search
        </a>
        {shown.page === "search" && (
          <button
            type="button"
            class="rail-item only-narrow"
            onClick={() => {
              overlay.value = "facets";
            }}
          >
            <Icon name="list" />
            Facets
          </button>
        )}
        <a class="rail-item" href="/policy" aria-current={shown.page === "policy" ? "page" : undefined} onClick={follow(policyView.value)}>
          <Icon name="policy" />
          Policy
        </a>
        <span class="rail-gap" />
        <button
          type="button"
          class="rail-item"
          onClick={() => {
            overlay.value = "help";
          }}
        >
          <Icon name="help" />
          Help
        </button>
        <button
          type="button"
          class="rail-item"
          onClick={() => {
            overlay.value = "settings";
          }}
        >
          <Icon name="gear" />
          Settings
        </button>
      </nav>
      {shown.page === "event" ? <EventPage shown={shown} /> : shown.page === "policy" ? <Later load={policyPage} /> : <SearchPage />}
      <Overlay name="help" title="Keys and filters">
        <Help />
      </Overlay>
      <Overlay name="settings" title="Settings of this browser">
        <Settings />
      </Overlay>
      <Overlay name="facets" title="Facets">
        <Facets />
      </Overlay>
    </div>
  );
}

function Overlay({
  name,
  title,
  children,
}: {
  name: NonNullable<typeof overlay.value>;
  title: string;
  children: preact.ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const isOpen = overlay.value === name;
  useEffect(() => {
    if (isOpen) dialog.current?.showModal();
    else dialog.current?.close();
  }, [isOpen]);
  const close = () => {
    if (overlay.value === name) overlay.value = null;
  };
  return (
    <dialog
      ref={dialog}
      class={`sheet sheet-${name}`}
      aria-label={title}
      onClose={close}
      onClick={(event) => {
        if (event.target === dialog.current) close(); // the ground beside it
      }}
    >
      {isOpen && (
        <div class="sheet-inner">
          <header>
            <h2>{title}</h2>
            <button type="button" class="quiet" aria-label="Close" onClick={close}>
              <Icon name="close" />
            </button>
          </header>
          {children}
        </div>
      )}
    </dialog>
  );
}

const KEYS: [string, string][] = [
  ["/", "the filter"],
  ["↓ ↑ or j k", "rows"],
  ["← →", "cells of a row"],
  ["Enter", "open the event beside the rows"],
  ["Esc", "close it"],
  ["f · x", "filter for the cell · leave it out"],
  ["r", "the stored line"],
  ["c", "copy the cell"],
  ["[ · ] · -", "time: back · on · zoom out"],
  ["L", "live"],
  ["?", "this help"],
];
const EXAMPLES: [string, string][] = [
  ["user:mallory code:403", "both hold"],
  ["verb:(delete or deletecollection)", "one of several"],
  ["not user:system:*", "leave out; * is any text"],
  ["ns:shop verbclass:change", "create, update, patch in a namespace"],
  ["object:deploy/web", "one object, kubectl's short names too"],
  ["code:4xx latency > 1s", "ranges and durations"],
  ['"is forbidden"', "words anywhere in the event"],
  ["request.**.privileged:true", "inside bodies"],
];

function Help() {
  return (
    <div class="help">
      <section>
        <h3>Keys</h3>
        <dl>
          {KEYS.map(([key, words]) => (
            <div key={key}>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{words}</dd>
            </div>
          ))}
        </dl>
      </section>
      <section>
        <h3>Filters</h3>
        <dl>
          {EXAMPLES.map(([filter, words]) => (
            <div key={filter}>
              <dt>
                <code>{filter}</code>
              </dt>
              <dd>{words}</dd>
            </div>
          ))}
        </dl>
      </section>
    </div>
  );
}

const SETTINGS: { key: keyof Prefs; title: string; choices: [string, string][] }[] = [
  {
    key: "theme",
    title: "Theme",
    choices: [
      ["system", "as the system"],
      ["light", "light"],
      ["dark", "dark"],
    ],
  },
  {
    key: "zone",
    title: "Times",
    choices: [
      ["local", "this machine's zone"],
      ["utc", "UTC"],
    ],
  },
  {
    key: "density",
    title: "Rows",
    choices: [
      ["normal", "normal"],
      ["compact", "compact"],
    ],
  },
  {
    key: "shortcuts",
    title: "Single-letter keys",
    choices: [
      ["on", "on"],
      ["off", "off"],
    ],
  },
];

function Settings() {
  return (
    <div class="settings">
      {SETTINGS.map(({ key, title, choices }) => (
        <fieldset key={key}>
          <legend>{title}</legend>
          {choices.map(([value, words]) => (
            <label key={value}>
              <input type="radio" name={key} checked={prefs.value[key] === value} onChange={() => setPref(key, value as never)} /> {words}
            </label>
          ))}
        </fieldset>
      ))}
    </div>
  );
}
