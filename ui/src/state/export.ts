// The columns of an export: those of `decklog search -o wide` in its order, from one event.

import type { AuditEvent } from "../api/types.ts";
import { actedAs, actorOf, agentOf, latencyOf, nameOf, outcomeOf } from "../event/facts.ts";
import { csvLine } from "./csv.ts";

type Column = [string, (event: AuditEvent) => string | number | null | undefined];

const COLUMNS: Column[] = [
  ["time", (event) => event.stageTimestamp],
  ["stage", (event) => event.stage],
  ["user", actorOf],
  ["as", actedAs],
  ["verb", (event) => event.verb],
  ["namespace", (event) => event.objectRef?.namespace],
  ["resource", (event) => event.objectRef?.resource],
  ["subresource", (event) => event.objectRef?.subresource],
  ["name", nameOf],
  ["code", (event) => event.responseStatus?.code],
  ["outcome", outcomeOf],
  ["reason", (event) => event.responseStatus?.reason],
  ["latencyMicroseconds", latencyOf],
  ["address", (event) => event.sourceIPs?.at(-1)],
  ["tool", agentOf],
  ["authorization", (event) => event.annotations?.["authorization.k8s.io/reason"]],
  ["uri", (event) => event.requestURI],
  ["auditID", (event) => event.auditID],
];

export const CSV_HEADER = csvLine(COLUMNS.map(([name]) => name));

export function csvRow(event: AuditEvent): string {
  return csvLine(COLUMNS.map(([, value]) => value(event) ?? null));
}

/** A word of a shell, in quotes unless it is plain. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_.:/=@,+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
