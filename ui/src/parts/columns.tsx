// The columns of the rows: those of the first view, more by name, and any path into the event.

import type { AuditEvent, Json } from "../api/types.ts";
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
import { FIRST_COLUMNS, valueAt } from "../state/columns.ts";
import { prefs } from "../state/prefs.ts";
import { termOf } from "../state/terms.ts";
import { printClock, printDay, printRfc3339, sayDuration } from "../state/time.ts";
import { OutcomeMark, VerbMark } from "./Mark.tsx";
import { Text } from "./Text.tsx";

export interface Column {
  key: string;
  title: string;
  /** Not of the first view: cards at narrow widths leave it out. */
  isOther?: boolean;
  cell(event: AuditEvent): preact.ComponentChildren;
  /** The term that `f` adds and `x` adds turned around. */
  term(event: AuditEvent): string | null;
}

const has = (field: string, value: string | null | undefined) => (value ? termOf(field, value) : null);

const NAMED: Column[] = [
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

/** More that are named in the menu; the filter knows them by the same words. */
export const MORE: [string, (event: AuditEvent) => string | null | undefined][] = [
  ["namespace", (event) => event.objectRef?.namespace],
  ["name", (event) => event.objectRef?.name],
  ["address", (event) => event.sourceIPs?.at(-1)],
  ["level", (event) => event.level],
  ["stage", (event) => event.stage],
  ["reason", (event) => event.responseStatus?.reason],
  ["agent", (event) => event.userAgent],
];
const TERMS: Record<string, string> = { namespace: "ns", name: "name", address: "peer", level: "level", stage: "stage", reason: "reason" };

/** The column of a name; a name that is none is a path into the event. */
function columnOf(key: string): Column {
  const named = NAMED.find((column) => column.key === key);
  if (named) return named;
  const more = MORE.find(([name]) => name === key);
  const value = (event: AuditEvent) => (more ? more[1](event) : said(valueAt(event as Json, key)));
  return {
    key,
    title: key,
    isOther: true,
    cell: (event) => <Text value={value(event) ?? ""} limit={120} />,
    term: (event) => (TERMS[key] ? has(TERMS[key], value(event)) : null),
  };
}

function said(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  return typeof value === "string" ? value : JSON.stringify(value);
}

const known = new Map<string, Column[]>();

/** The columns of a choice, in its order; the same ones for the same choice. */
export function columnsOf(choice: readonly string[] | null): Column[] {
  const keys = choice ?? FIRST_COLUMNS;
  const name = keys.join(",");
  const columns = known.get(name) ?? keys.map(columnOf);
  known.set(name, columns);
  return columns;
}
