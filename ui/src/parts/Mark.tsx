// Marks: a shape in a colour, always beside its word (the shapes alone tell them apart).

import type { Severity } from "../api/policy.ts";
import type { Outcome, VerbClass } from "../event/facts.ts";

export function OutcomeMark({ outcome, code }: { outcome: Outcome | null; code?: number | undefined }) {
  // 404 and 409 are everyday answers: hollow, so that they do not shout.
  const hollow = code === 404 || code === 409;
  return (
    <svg class={`mark outcome-${outcome ?? "none"} ${hollow ? "hollow" : ""}`} viewBox="0 0 12 12" aria-hidden="true">
      {outcome === "allowed" && <circle cx="6" cy="6" r="4" class="fill" />}
      {outcome === "denied" && (
        <>
          <circle cx="6" cy="6" r="4.4" class="line" />
          <path d="M3 9 9 3" class="line" />
        </>
      )}
      {outcome === "error" && <path d="M6 1.2 11 10.5H1Z" class="fill" />}
      {outcome === null && <path d="M2 6h8" class="line" />}
    </svg>
  );
}

const VERB_SHAPES: Record<VerbClass, string> = {
  read: "M6 2a4 4 0 1 0 0 8a4 4 0 1 0 0-8",
  change: "M2 10l1-3 5.5-5.5 2 2L5 9Z",
  delete: "M2.5 2.5l7 7M9.5 2.5l-7 7",
  connect: "M4 1.5v3M8 1.5v3M2.5 4.5h7v1.6a3.5 3.5 0 0 1-7 0ZM6 9.6v2",
  other: "M3 6h6",
};

export function VerbMark({ verbClass }: { verbClass: VerbClass }) {
  return (
    <svg class={`mark verb-${verbClass}`} viewBox="0 0 12 12" aria-hidden="true">
      <path d={VERB_SHAPES[verbClass]} class="line" />
    </svg>
  );
}

const LEVELS = ["Metadata", "Request", "RequestResponse"];

/** One, two or three stacked bars. */
export function LevelMark({ level }: { level: string }) {
  const count = LEVELS.indexOf(level) + 1;
  return (
    <svg class={`mark level-${count}`} viewBox="0 0 12 12" aria-hidden="true">
      {Array.from({ length: count }, (_, at) => (
        <rect key={at} x="1" y={8.5 - at * 3.5} width="10" height="2.4" class="fill" />
      ))}
      {count === 0 && <rect x="1.5" y="4" width="9" height="4" class="line" />}
    </svg>
  );
}

const SEVERITIES: Record<Severity, [string, "fill" | "line"]> = {
  error: ["M6 1a5 5 0 1 0 0 10a5 5 0 1 0 0-10", "fill"],
  warning: ["M6 1.2 11 10.5H1Z", "fill"],
  info: ["M6 1.6a4.4 4.4 0 1 0 0 8.8a4.4 4.4 0 1 0 0-8.8M6 5.4v3M6 3.4v.2", "line"],
};

/** A disc, a triangle, a ring. */
export function SeverityMark({ severity }: { severity: Severity }) {
  const [path, kind] = SEVERITIES[severity] ?? SEVERITIES.info;
  return (
    <svg class={`mark severity-${severity}`} viewBox="0 0 12 12" aria-hidden="true">
      <path d={path} class={kind} />
    </svg>
  );
}

const ICONS = {
  search: "M7 2.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9M10.4 10.4L14 14",
  close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  left: "M10 3L5 8l5 5",
  right: "M6 3l5 5-5 5",
  out: "M7 2.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9M10.4 10.4L14 14M5 7h4",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  help: "M5.5 6a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8M8 12.6v.4",
  gear: "M2 4.5h7M12.5 4.5H14M10.8 2.8a1.7 1.7 0 1 0 0 3.4a1.7 1.7 0 1 0 0-3.4M2 11.5h1.5M7 11.5h7M5.2 9.8a1.7 1.7 0 1 0 0 3.4a1.7 1.7 0 1 0 0-3.4",
  list: "M2.5 4h11M4.5 8h7M6.5 12h3",
  down: "M4 6l4 4 4-4",
  pencil: "M3 13l1-3.5 7-7 2.5 2.5-7 7Z",
  open: "M2 12.5v-9h4.5l1.5 2h6v7Z",
  swap: "M2.5 5.5h11M10.5 2.5l3 3-3 3M13.5 10.5h-11M5.5 7.5l-3 3 3 3",
  policy: "M3 2.5h10v11H3ZM5.5 5.5h5M5.5 8h5M5.5 10.5h2.5",
  copy: "M5.5 5.5h8v8h-8ZM10.5 5.5v-3h-8v8h3",
} as const;

export function Icon({ name }: { name: keyof typeof ICONS }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={ICONS[name]} />
    </svg>
  );
}
