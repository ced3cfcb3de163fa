// What /api/v1/policy answers (docs/api.md).

export interface PolicyEdit {
  line: number;
  column: number;
  endLine: number;
  endColumn: number;
  text: string;
}
export type Severity = "error" | "warning" | "info";
export interface PolicyLint {
  code: string;
  severity: Severity;
  line: number;
  column: number;
  message: string;
  fix?: string;
  /** Only where they are safe. */
  edits?: PolicyEdit[];
}
export interface PolicyCheck {
  ok: boolean;
  /** Which step of kube-apiserver refuses it. */
  stage?: string;
  error?: string;
  warning?: string;
  line?: number;
  column?: number;
  fix?: string;
  rules: { line: number; level: string }[];
  lints: PolicyLint[];
}

/** A request as the policy sees it. */
export interface RequestAttributes {
  user?: string;
  groups?: string[];
  verb: string;
  apiGroup?: string;
  apiVersion?: string;
  resource?: string;
  subresource?: string;
  namespace?: string;
  name?: string;
  path?: string;
}
/** The same as it is sent and answered. */
export type RequestOnWire = Omit<Partial<RequestAttributes>, "user" | "groups"> & {
  user?: { name: string; groups?: string[] } | null;
  method?: string;
  target?: string;
};
export interface Explanation {
  level: string;
  omitStages: string[];
  omitManagedFields: boolean;
  /** From 0; -1 where none matches. */
  rule: number;
  line?: number;
  nRules: number;
  attributes: RequestOnWire;
  passedOver: { rule: number; line?: number; field: string; why: string }[];
  stages: { stage: string; recorded: boolean; holds: string[] }[];
}

export interface Amount {
  events: number;
  bytes: number;
}
export interface Simulated extends Amount {
  eventsPerDay?: number;
  bytesPerDay?: number;
  /** Events whose wanted bodies the record does not have. */
  unknownBodies: number;
  byRule: ({ rule: number; line?: number; level: string } & Amount)[];
  byLevel: ({ value: string } & Amount)[];
  byResource: ({ value: string } & Amount)[];
  byUser: ({ value: string } & Amount)[];
  byNamespace: ({ value: string } & Amount)[];
}
export interface DiffExample {
  kind: "lost" | "gained" | "lowered" | "raised";
  verb: string;
  requestURI: string;
  user?: string;
  before: string;
  after: string;
  auditID?: string;
}
export interface Simulation {
  extent: { first: string | null; last: string | null; requests: number; events: number; bytes: number };
  recorded: { levels: Record<string, number> };
  policies: Simulated[];
  diff?: { gained: Amount; lost: Amount; examples: DiffExample[] };
  complete: boolean;
  gaps: string[];
}

export interface Cut {
  noise: string;
  level: string;
  who: string;
  verbs: string[];
  things: string[];
  savedBytesPerDay: number;
  events: number;
}
export interface Generated {
  policy: string;
  before?: number;
  after?: number;
  reached?: boolean;
  /** What the profile leaves out by itself. */
  leftOut: { what: string; events: number; savedBytesPerDay: number }[];
  cuts: Cut[];
  complete?: boolean;
  gaps?: string[];
}
