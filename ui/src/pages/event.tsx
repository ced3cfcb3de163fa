// One event on a page of its own.

import { EventDetails } from "../parts/EventDetails.tsx";
import { Icon } from "../parts/Mark.tsx";
import type { EventView } from "../state/url.ts";
import { printAddress } from "../state/url.ts";
import { follow, go, searchView } from "../state/view.ts";

export function EventPage({ shown }: { shown: EventView }) {
  const back = searchView.value;
  return (
    <>
      <header class="top">
        <a class="back" href={printAddress(back)} onClick={follow(back)}>
          <Icon name="left" /> Search
        </a>
      </header>
      <main id="main" tabIndex={-1} class="event-page">
        <h1 class="mono muted">event {shown.id}</h1>
        <EventDetails name={shown.id} tab={shown.tab} onTab={(tab) => go({ ...shown, tab }, "replace")} />
      </main>
    </>
  );
}
