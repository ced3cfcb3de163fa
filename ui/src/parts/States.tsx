// What the page says when there are no rows to show, and what it offers then.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type Failure, getJson } from "../api/client.ts";
import { token } from "../api/session.ts";
import type { Histogram } from "../api/types.ts";
import { unplaced } from "../state/holes.ts";
import { visible } from "../state/hostile.ts";
import { prefs } from "../state/prefs.ts";
import { answer, extent, failure, phase, questionQuery, type Rows, search, stopSearch } from "../state/search.ts";
import { withoutEach } from "../state/terms.ts";
import { around, parseRfc3339, printResolved, resolve } from "../state/time.ts";
import { change } from "../state/view.ts";

/** Terms that are taken out in turn at most. */
const MAX_TERMS = 8;

export function FailureBox({ failure, onRetry }: { failure: Failure; onRetry(): void }) {
  const copied = useSignal(false);
  const report = `${failure.message}\nkind: ${failure.kind}\nrequest: ${failure.requestId ?? "none"}\npage: ${location.pathname}${location.search}`;
  if (failure.kind === "unauthenticated") {
    const signIn = (event: SubmitEvent) => {
      event.preventDefault();
      const typed = new FormData(event.currentTarget as HTMLFormElement).get("token");
      if (typeof typed !== "string" || typed.trim() === "") return;
      token.value = typed.trim();
      onRetry();
    };
    return (
      <div class="state" role="alert">
        <h2>This browser is not signed in</h2>
        <p>
          Open the link that <code>decklog serve</code> printed when it started: <code>http://…/?token=…</code>. It is good until the next
          start.
        </p>
        <p class="muted">{visible(failure.problem?.detail ?? failure.message)}</p>
        <form class="sign-in" onSubmit={signIn}>
          <label for="token">Or a token with the scope read, where the server has a tokens file</label>
          <div class="range-row">
            <input id="token" name="token" type="password" autocomplete="off" class="mono" />
            <button type="submit" class="primary">
              Sign in
            </button>
          </div>
          <p class="muted">It is kept until this page is left or loaded anew.</p>
        </form>
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      </div>
    );
  }
  if (failure.kind === "bad-filter") {
    return (
      <div class="state" role="alert">
        <p>{visible(failure.message)}</p>
        <p class="muted">The box above marks the place.</p>
      </div>
    );
  }
  return (
    <div class="state is-failure" role="alert">
      <p>{visible(failure.message)}</p>
      {failure.requestId && (
        <p class="muted">
          Request <code>{failure.requestId}</code>
        </p>
      )}
      <p class="acts">
        <button type="button" onClick={onRetry}>
          Try again
        </button>
        <button type="button" onClick={() => void navigator.clipboard.writeText(report).then(() => (copied.value = true))}>
          {copied.value ? "Copied" : "Copy report"}
        </button>
      </p>
    </div>
  );
}

/** Over the rows: what is under way, what failed, what is not whole. */
export function Banners() {
  const shown = answer.value;
  const now = phase.value;
  return (
    <>
      {now === "slow" && (
        <p class="banner" role="status">
          Searching…{" "}
          <button type="button" class="small" onClick={stopSearch}>
            Stop
          </button>
        </p>
      )}
      {now === "stopped" && (
        <p class="banner" role="status">
          Stopped. {shown && "The rows are of the question before. "}
          <button type="button" class="small" onClick={() => void search()}>
            Search again
          </button>
        </p>
      )}
      {failure.value && <FailureBox failure={failure.value} onRetry={() => void search()} />}
      {shown && !shown.complete && (
        <p class="banner is-warning" role="status">
          Partial: {visible(whatIsMissing(shown, unplaced.value))}. Counts are at least what they say.
        </p>
      )}
    </>
  );
}

/** Gaps with a time are hatched over the bars, where their words are; the others are told here. */
function whatIsMissing({ reason, gaps }: Rows, unplaced: string[]): string {
  const nPlaced = gaps.filter((words) => !unplaced.includes(words)).length;
  const hatched = nPlaced === 0 ? [] : [`${nPlaced} ${nPlaced === 1 ? "gap" : "gaps"}, hatched below`];
  if (gaps.length > 0) return [...hatched, ...unplaced].join("; ");
  return reason === null ? "not everything could be read" : `a limit stopped the search (${reason})`;
}

/** In place of rows. */
export function NoRows({ rows }: { rows: Rows }) {
  const there = extent.value;
  if (there === null) return null;
  if (there.events === 0) return <NothingStored />;
  const zone = prefs.value.zone;
  const [first, last] = [parseRfc3339(there.first ?? ""), parseRfc3339(there.last ?? "")];
  if (rows.question.filter === "") {
    return (
      <div class="state">
        <h2>No events {printResolved(rows.resolved, zone)}.</h2>
        {first !== null && last !== null && (
          <>
            <p>
              There are {there.events.toLocaleString("en")} from {printResolved(resolve(around(first, last), 0), zone)}.
            </p>
            <button type="button" class="primary" onClick={() => change({ range: around(first, last) })}>
              Go there
            </button>
          </>
        )}
      </div>
    );
  }
  return <NoMatch key={`${rows.question.filter} ${rows.asof}`} rows={rows} />;
}

/** Takes out each term in turn, to say which one empties the answer. */
function NoMatch({ rows }: { rows: Rows }) {
  const { question, resolved } = rows;
  const unit = question.unit === "event" ? "events" : "requests";
  const counts = useSignal<Record<string, number>>({});
  const inRange = useSignal<number | null>(null);
  const without = withoutEach(question.filter).slice(0, MAX_TERMS);
  useEffect(() => {
    const stop = new AbortController();
    const count = async (filter: string) => {
      const query = { ...questionQuery({ ...question, filter }, resolved), asof: rows.asof, buckets: 1 };
      return (await getJson<Histogram>("/api/v1/histogram", query, stop.signal)).total;
    };
    const all = async () => {
      inRange.value = await count("");
      // One after the other: the server lets one browser search four times at once.
      for (const { term, rest } of without) counts.value = { ...counts.value, [term]: await count(rest) };
    };
    all().catch(() => undefined); // the counts are a help; without them the sentence stands
    return () => stop.abort();
  }, []);
  return (
    <div class="state">
      <h2>
        0 {inRange.value !== null && `of ${inRange.value.toLocaleString("en")} `}
        {unit} match.
      </h2>
      {without.length > 0 && (
        <ul class="without">
          {without.map(({ term, rest }) => (
            <li key={term}>
              <button type="button" onClick={() => change({ filter: rest })}>
                without <code>{visible(term)}</code>
              </button>{" "}
              <b>{counts.value[term]?.toLocaleString("en") ?? "…"}</b>
            </li>
          ))}
        </ul>
      )}
      {inRange.value === 0 && <p>The range is empty.</p>}
      <p class="acts">
        <button type="button" onClick={() => change({ filter: "" })}>
          Clear the filter
        </button>
        {(resolved.since !== null || resolved.until !== null) && (
          <button type="button" onClick={() => change({ range: { since: null, until: null } })}>
            Search all time
          </button>
        )}
      </p>
    </div>
  );
}

function NothingStored() {
  return (
    <div class="state">
      <h2>No events yet.</h2>
      <p>Three ways to send some:</p>
      <dl class="ways">
        <dt>a file there is</dt>
        <dd>
          <code>decklog import audit.log --server {location.origin}</code>
        </dd>
        <dt>a file that grows</dt>
        <dd>
          <code>decklog serve --tail /var/log/kubernetes/audit/audit.log</code>
        </dd>
        <dt>a webhook of kube-apiserver</dt>
        <dd>
          <code>POST {location.origin}/ingest/webhook/NAME</code>
        </dd>
      </dl>
      <button type="button" onClick={() => change({ range: null }, "replace")}>
        Look again
      </button>
    </div>
  );
}
