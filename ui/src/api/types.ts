// What /api/v1 answers (docs/api.md). Members that the pages do not use are left out.

/** Facts about an event that are decklog's own. */
export interface About {
  id: string;
  ingestedAt: string;
  cluster: string;
  source: string;
  sender: string;
}
export interface Coverage {
  complete: boolean;
  reason?: string;
  gaps?: string[];
}
export interface EventsPage extends Coverage {
  items: AuditEvent[];
  about: About[];
  next?: string;
  matched?: number;
  asof?: number;
}
export interface Bucket {
  start: string;
  events: number;
  byValue: number[];
}
export interface Histogram extends Coverage {
  seconds: number;
  values: string[];
  buckets: Bucket[];
  total: number;
  asof: number;
}
export interface Facet {
  field: string;
  values: { value: string; events: number }[];
  distinct: number;
  missing: number;
  other: number;
}
export interface FacetsAnswer extends Coverage {
  facets: Facet[];
  total: number;
  asof: number;
}
export interface Extent {
  events: number;
  requests: number;
  first: string | null;
  last: string | null;
  asof: number;
}
export interface Source {
  name: string;
  state: string;
  reason?: string;
  lastEvent?: string;
}
export interface Token {
  start: number;
  length: number;
  kind: "field" | "operator" | "value" | "word" | "paren" | "text";
}
export interface FilterError {
  column: number;
  length: number;
  code: string;
  message: string;
  help?: string;
}
export interface CompletionItem {
  text: string;
  label: string;
  kind: "field" | "operator" | "value" | "word";
  detail?: string;
  events?: number;
}
export interface FilterAnswer {
  canonical?: string;
  error?: FilterError;
  hints: string[];
  tokens: Token[];
  completion?: { start: number; end: number; field?: string; items: CompletionItem[] };
}
export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  detail?: string;
  errors?: { parameter: string; column?: number; length?: number; message: string; help?: string }[];
  requestId?: string;
}

/** A value of JSON; `Exact` is a number that JavaScript's numbers cannot hold, as it was written. */
export type Json = null | boolean | number | string | Exact | Json[] | { [key: string]: Json };
export class Exact {
  constructor(readonly written: string) {}
}

export interface UserInfo {
  username?: string;
  uid?: string;
  groups?: string[];
  extra?: Record<string, string[]>;
}
/** An audit event of Kubernetes, as it was stored; nothing about it is certain but that it is JSON. */
export interface AuditEvent {
  level?: string;
  auditID?: string;
  stage?: string;
  requestURI?: string;
  verb?: string;
  user?: UserInfo;
  impersonatedUser?: UserInfo;
  sourceIPs?: string[];
  userAgent?: string;
  objectRef?: {
    resource?: string;
    namespace?: string;
    name?: string;
    uid?: string;
    apiGroup?: string;
    apiVersion?: string;
    resourceVersion?: string;
    subresource?: string;
  };
  responseStatus?: { code?: number; reason?: string; status?: string; message?: string };
  requestObject?: Json;
  responseObject?: Json;
  requestReceivedTimestamp?: string;
  stageTimestamp?: string;
  annotations?: Record<string, string>;
}
