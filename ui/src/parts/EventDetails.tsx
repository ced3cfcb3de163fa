// One event: the sentence, the facts, the bodies, and the line as it was stored.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask, Failure, getJson } from "../api/client.ts";
import type { AuditEvent, EventsPage, Json } from "../api/types.ts";
import {
  actedAs,
  actorOf,
  agentOf,
  latencyOf,
  NOBODY,
  nameOf,
  outcomeOf,
  reasonOf,
  resourceOf,
  sentenceOf,
  timeOf,
  toolOf,
  pathOf as uriPath,
  verbClassOf,
} from "../event/facts.ts";
import { save } from "../state/download.ts";
import { visible } from "../state/hostile.ts";
import { requestOfEvent } from "../state/policy/request.ts";
import { prefs } from "../state/prefs.ts";
import { addTerm, negate, quoteValue, termOf } from "../state/terms.ts";
import { printClock, printDay, printRfc3339, sayDuration } from "../state/time.ts";
import { printAddress, type Tab } from "../state/url.ts";
import { change, follow, policyView, searchView } from "../state/view.ts";
import { BodyTree, parseExact } from "./BodyTree.tsx";
import { Icon, LevelMark, OutcomeMark, VerbMark } from "./Mark.tsx";
import { FailureBox } from "./States.tsx";
import { Text } from "./Text.tsx";

/** Characters of a stored line that are shown; copying takes all. */
const RAW_SHOWN = 200_000;

interface Loaded {
  name: string;
  raw: string;
  event: AuditEvent;
  stages: AuditEvent[];
  facts: { cluster: string; source: string; ingestedAt: string; sender: string };
}

async function load(name: string, stopped: AbortSignal): Promise<Loaded> {
  const known = name.includes("-") ? name : await nameOfSeq(name, stopped);
  const response = await ask(`/api/v1/events/${known}`, "application/json", stopped);
  const raw = (await response.text()).replace(/\n$/, "");
  const event = parseExact(raw) as AuditEvent;
  const fact = (header: string) => response.headers.get(`decklog-${header}`) ?? "";
  const facts = { cluster: fact("cluster"), source: fact("source"), ingestedAt: fact("ingested-at"), sender: fact("sender") };
  return { name: known, raw, event, stages: await stagesOf(event, stopped), facts };
}

/** Of an event that came live only its sequence is known. */
async function nameOfSeq(seq: string, stopped: AbortSignal): Promise<string> {
  const page = await getJson<EventsPage>("/api/v1/events", { filter: `seq:${seq}`, limit: 1 }, stopped);
  const name = page.about[0]?.id;
  if (name === undefined) throw new Failure("not-found", `There is no event ${seq}.`);
  return name;
}

/** The stages of the same request. One audit ID may be of two requests: the time they came in tells them apart. */
async function stagesOf(event: AuditEvent, stopped: AbortSignal): Promise<AuditEvent[]> {
  if (!event.auditID) return [event];
  try {
    const page = await getJson<EventsPage>(
      "/api/v1/events",
      { filter: `auditID:${quoteValue(event.auditID)}`, order: "asc", limit: 20 },
      stopped,
    );
    const stages = page.items.filter((other) => other.requestReceivedTimestamp === event.requestReceivedTimestamp);
    return stages.length > 0 ? stages : [event];
  } catch (error) {
    if (stopped.aborted) throw error;
    return [event];
  }
}

export function EventDetails({ name, tab, onTab }: { name: string; tab: Tab | null; onTab(tab: Tab): void }) {
  const loaded = useSignal<Loaded | null>(null);
  const failure = useSignal<Failure | null>(null);
  const tries = useSignal(0);

  useEffect(() => {
    const stop = new AbortController();
    failure.value = null;
    load(name, stop.signal).then(
      (found) => {
        loaded.value = found;
      },
      (error) => {
        if (!stop.signal.aborted) failure.value = error instanceof Failure ? error : new Failure("page", String(error));
      },
    );
    return () => stop.abort();
  }, [name, tries.value]);

  if (failure.value) return <FailureBox failure={failure.value} onRetry={() => (tries.value += 1)} />;
  if (loaded.value === null) return <p class="muted details-wait">Reading the event…</p>;
  return (
    <Details loaded={loaded.value} isOld={loaded.value.name !== name && loaded.value.name.split("-")[0] !== name} tab={tab} onTab={onTab} />
  );
}

function Details({ loaded, isOld, tab: chosen, onTab }: { loaded: Loaded; isOld: boolean; tab: Tab | null; onTab(tab: Tab): void }) {
  const { event, raw } = loaded;
  const reason = reasonOf(event);
  const tab = chosen ?? (event.requestObject === undefined && event.responseObject !== undefined ? "response" : "request");
  return (
    <article class={`details ${isOld ? "is-old" : ""}`} data-event={loaded.name}>
      <p class="sentence">
        <Text value={sentenceOf(event)} limit={600} />
        {reason && (
          <span class="reason">
            {" "}
            <Text value={reason} limit={400} />
          </span>
        )}
      </p>
      {event.responseStatus?.message && (
        <p class="message">
          <Text value={event.responseStatus.message} limit={600} />
        </p>
      )}
      <Facts loaded={loaded} />
      <PolicyLink event={event} />
      <Tabs tab={tab} onTab={onTab} event={event} />
      <div role="tabpanel" id="event-panel" aria-labelledby={`tab-${tab}`} class="tab-panel">
        {tab === "raw" ? <Raw raw={raw} name={loaded.name} /> : <Body event={event} which={tab} />}
      </div>
    </article>
  );
}

/** On to the policy page with the request of this event. */
function PolicyLink({ event }: { event: AuditEvent }) {
  const request = requestOfEvent(event);
  // What no line can say (a path of megabytes) is not asked by a link.
  if (request === "" || request.length > 2000) return null;
  const target = { ...policyView.value, tab: "explain" as const, pane: "results" as const, request };
  return (
    <p class="policy-link">
      <a href={printAddress(target)} onClick={follow(target)}>
        What would a policy record of this?
      </a>
    </p>
  );
}

function Tabs({ tab, onTab, event }: { tab: Tab; onTab(tab: Tab): void; event: AuditEvent }) {
  const tabs: [Tab, string][] = [
    ["request", "Request"],
    ["response", "Response"],
    ["raw", "Raw"],
  ];
  const pressed = (press: KeyboardEvent) => {
    const step = press.key === "ArrowRight" ? 1 : press.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    press.preventDefault();
    const next = tabs[(tabs.findIndex(([key]) => key === tab) + step + tabs.length) % tabs.length]![0];
    onTab(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label="Bodies" onKeyDown={pressed}>
      {tabs.map(([key, label]) => (
        <button
          key={key}
          type="button"
          role="tab"
          id={`tab-${key}`}
          aria-controls="event-panel"
          aria-selected={tab === key}
          tabIndex={tab === key ? 0 : -1}
          onClick={() => onTab(key)}
        >
          {label}
          {key !== "raw" && bodyOf(event, key) === undefined && <span class="muted"> –</span>}
        </button>
      ))}
    </div>
  );
}

function bodyOf(event: AuditEvent, which: "request" | "response"): Json | undefined {
  return which === "request" ? event.requestObject : event.responseObject;
}

function Body({ event, which }: { event: AuditEvent; which: "request" | "response" }) {
  const body = bodyOf(event, which);
  if (body !== undefined) return <BodyTree key={event.auditID} root={which} value={body} />;
  const level = event.level ?? "no";
  const words =
    event.stage === "RequestReceived"
      ? "Bodies are recorded with the last stage of a request, not when it is received."
      : level === "RequestResponse"
        ? `This ${which} has no body.`
        : which === "request" && level === "Request"
          ? "This request has no body."
          : `Not recorded: the audit policy kept this request at level ${level}.`;
  return <p class="muted no-body">{words}</p>;
}

function Raw({ raw, name }: { raw: string; name: string }) {
  const copied = useSignal(false);
  const shown = raw.length > RAW_SHOWN ? raw.slice(0, RAW_SHOWN) : raw;
  return (
    <div>
      <p class="raw-acts">
        <button
          type="button"
          onClick={() => {
            void navigator.clipboard.writeText(raw).then(() => {
              copied.value = true;
            });
          }}
        >
          {copied.value ? "Copied" : "Copy line"}
        </button>
        <button type="button" onClick={() => save(new Blob([`${raw}\n`], { type: "application/json" }), `${name}.json`)}>
          Download
        </button>
        <span class="muted">
          {raw.length.toLocaleString("en")} characters, as stored
          {shown.length < raw.length ? `; the first ${RAW_SHOWN.toLocaleString("en")} are shown` : ""}
        </span>
      </p>
      <pre class="raw" tabIndex={0} role="region" aria-label="The stored line">
        {visible(shown, "keep")}
      </pre>
    </div>
  );
}

function Fact({ title, term, children }: { title: string; term?: string | null; children: preact.ComponentChildren }) {
  const { filter, selected } = searchView.value;
  return (
    <div class="fact">
      <dt>{title}</dt>
      <dd>
        <span class="fact-value">{children}</span>
        {term && (
          <span class="fact-acts">
            <button
              type="button"
              aria-label={`Filter for ${title.toLowerCase()}`}
              title={`Only ${visible(term)}`}
              onClick={() => change({ filter: addTerm(filter, term), selected })}
            >
              <Icon name="plus" />
            </button>
            <button
              type="button"
              aria-label={`Filter out ${title.toLowerCase()}`}
              title={`Leave out: ${visible(negate(term))}`}
              onClick={() => change({ filter: addTerm(filter, negate(term)), selected })}
            >
              <Icon name="minus" />
            </button>
          </span>
        )}
      </dd>
    </div>
  );
}

function Facts({ loaded }: { loaded: Loaded }) {
  const { event, stages, facts } = loaded;
  const zone = prefs.value.zone;
  const [actor, as, name, at, latency] = [actorOf(event), actedAs(event), nameOf(event), timeOf(event), latencyOf(event)];
  const resource = resourceOf(event);
  const code = event.responseStatus?.code;
  const outcome = outcomeOf(event);
  const groups = event.user?.groups ?? [];
  const credential = event.user?.extra?.["authentication.kubernetes.io/credential-id"]?.join(", ");
  return (
    <dl class="facts">
      <Fact title="Outcome" term={typeof code === "number" ? `code:${code}` : null}>
        <OutcomeMark outcome={outcome} code={code} /> {code ?? "no code"} {outcome ?? ""}{" "}
        {event.responseStatus?.reason && (
          <span class="muted">
            <Text value={event.responseStatus.reason} limit={60} />
          </span>
        )}
      </Fact>
      <Fact title="What" term={event.verb ? termOf("verb", event.verb) : null}>
        <VerbMark verbClass={verbClassOf(event)} /> <Text value={event.verb || "no verb"} limit={40} />
      </Fact>
      <Fact title="Object" term={resource ? [termOf("resource", resource), name ? termOf("name", name) : ""].join(" ").trim() : null}>
        <Text value={resource ?? uriPath(event) ?? "none"} limit={200} />
        {event.objectRef?.apiGroup && (
          <span class="muted">
            .<Text value={event.objectRef.apiGroup} limit={80} />
          </span>
        )}
        {name !== null && (
          <>
            {" "}
            <b>
              <Text value={name} limit={200} />
            </b>
          </>
        )}
      </Fact>
      {event.objectRef?.namespace && (
        <Fact title="Namespace" term={termOf("ns", event.objectRef.namespace)}>
          <Text value={event.objectRef.namespace} />
        </Fact>
      )}
      <Fact title="When">
        {at === null ? (
          <Text value={event.stageTimestamp ?? "no time"} />
        ) : (
          <time dateTime={event.stageTimestamp} title={`${printRfc3339(at)} (UTC)`}>
            {printDay(at, zone)} <span class="mono">{printClock(at, zone, 6)}</span>
          </time>
        )}
        {latency !== null && <span class="muted"> took {sayDuration(latency)}</span>}
      </Fact>
      <Fact title="Who" term={termOf("user", actor)}>
        {actor === null ? <span class="nobody">{NOBODY}</span> : <Text value={actor} />}
        {groups.length > 0 && (
          <span class="muted">
            {" "}
            (<Text value={groups.join(", ")} limit={160} />)
          </span>
        )}
      </Fact>
      {as !== null && (
        <Fact title="Acting as" term={termOf("as", as)}>
          <Text value={as} />
        </Fact>
      )}
      <Fact title="From" term={event.sourceIPs?.length ? termOf("ip", event.sourceIPs.at(-1)!) : null}>
        <Text value={event.sourceIPs?.join(", ") ?? "no address"} />
      </Fact>
      <Fact title="Tool" term={toolOf(event) ? termOf("tool", toolOf(event)) : null}>
        <span title={event.userAgent ? visible(event.userAgent).slice(0, 500) : ""}>
          <Text value={agentOf(event) ?? "no user agent"} limit={80} />
        </span>
      </Fact>
      <Fact title="Credential" term={credential ? `credential:${quoteValue(credential)}` : null}>
        {credential ? <Text value={credential} /> : <span class="muted">none recorded</span>}
      </Fact>
      <Fact title="Level" term={event.level ? termOf("level", event.level) : null}>
        <LevelMark level={event.level ?? ""} /> <Text value={event.level ?? "none"} limit={40} />
      </Fact>
      <Fact title="Stages">
        <ol class="stages">
          {stages.map((stage, at) => {
            const took = latencyOf(stage);
            return (
              <li key={at} class={stage.stage === event.stage ? "is-this" : ""}>
                {(stage.stage ?? "").replace(/^(Request|Response)/, "")}
                {typeof stage.responseStatus?.code === "number" && ` ${stage.responseStatus.code}`}
                {took !== null && <span class="muted"> +{sayDuration(took)}</span>}
              </li>
            );
          })}
        </ol>
      </Fact>
      <Fact title="Observed" term={facts.source ? termOf("source", facts.source) : null}>
        <Text value={facts.source} />{" "}
        <span class="muted">
          cluster <Text value={facts.cluster} />
        </span>
      </Fact>
      <Fact title="Audit ID" term={event.auditID ? termOf("auditID", event.auditID) : null}>
        <span class="mono">
          <Text value={event.auditID ?? "none"} limit={80} />
        </span>
      </Fact>
    </dl>
  );
}
