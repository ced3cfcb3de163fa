// The values of fields with their counts. A click edits the filter's text: there is no other filter.

import { useSignal } from "@preact/signals";
import { getJson } from "../api/client.ts";
import type { Facet, FacetsAnswer } from "../api/types.ts";
import { NOBODY, type Outcome, type VerbClass } from "../event/facts.ts";
import { visible } from "../state/hostile.ts";
import { answer, facets, moreFields, OTHER_FIELDS, questionQuery, toggleField } from "../state/search.ts";
import { hasTerm, negate, termOf, toggleTerm } from "../state/terms.ts";
import { change, searchView } from "../state/view.ts";
import { Icon, OutcomeMark, VerbMark } from "./Mark.tsx";
import { Text } from "./Text.tsx";

/** The short name that people write, and that the filter gets. */
const SHORT: Record<string, string> = {
  "user.username": "user",
  "objectRef.resource": "resource",
  "objectRef.namespace": "ns",
  "objectRef.subresource": "subresource",
  "objectRef.name": "name",
  "objectRef.apiGroup": "apigroup",
  "responseStatus.code": "code",
  "responseStatus.reason": "reason",
  "impersonatedUser.username": "as",
  "user.groups": "groups",
  "annotations.authorization.k8s.io/decision": "decision",
};
export const shortName = (field: string) => SHORT[field] ?? field;

/** What it means that a field is missing. */
function missingWords(field: string): string {
  return field === "user.username" ? NOBODY : field === "objectRef.namespace" ? "cluster-wide or none" : "none";
}

const MANY = 200;

export function Facets() {
  const { value, failure, isOld } = facets.value;
  const open = moreFields.value;
  return (
    <div class={`facets ${isOld ? "is-old" : ""}`}>
      {failure && (
        <p class="danger" role="alert">
          No facets: {failure.message}
        </p>
      )}
      {value?.facets.map((facet) => (
        <FacetGroup key={facet.field} facet={facet} total={value.total} />
      ))}
      {value && (
        <details class="more-fields">
          <summary>{OTHER_FIELDS.length - open.length} more fields</summary>
          <ul>
            {OTHER_FIELDS.map((field) => (
              <li key={field}>
                <label>
                  <input type="checkbox" checked={open.includes(field)} onChange={() => toggleField(field)} /> {shortName(field)}
                </label>
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}

function FacetGroup({ facet, total }: { facet: Facet; total: number }) {
  const all = useSignal<{ of: Facet; values: Facet["values"] } | null>(null);
  const name = shortName(facet.field);
  const values = all.value?.of === facet ? all.value.values : facet.values;
  const rest = facet.distinct - values.length;
  const showAll = async () => {
    const shown = answer.value;
    if (!shown) return;
    const query = {
      ...questionQuery(shown.question, shown.resolved),
      asof: shown.question.asof ?? shown.asof,
      field: facet.field,
      size: MANY,
    };
    const found = await getJson<FacetsAnswer>("/api/v1/facets", query, new AbortController().signal).catch(() => null);
    const more = found?.facets[0]?.values;
    if (more) all.value = { of: facet, values: more };
  };
  return (
    <details class="facet" open>
      <summary>
        <h2>{name}</h2>
        <span class="muted">{facet.distinct.toLocaleString("en")}</span>
      </summary>
      <ul>
        {values.map(({ value, events }) => (
          <FacetValue key={value} field={facet.field} name={name} value={value} events={events} total={total} />
        ))}
        {facet.missing > 0 && <FacetValue field={facet.field} name={name} value={null} events={facet.missing} total={total} />}
      </ul>
      {rest > 0 && values.length < MANY && (
        <button type="button" class="facet-more" onClick={() => void showAll()}>
          {rest.toLocaleString("en")} more
        </button>
      )}
      {rest > 0 && values.length >= MANY && <p class="muted facet-more">{rest.toLocaleString("en")} more; a filter narrows them</p>}
    </details>
  );
}

interface ValueProps {
  field: string;
  name: string;
  value: string | null;
  events: number;
  total: number;
}

function FacetValue({ field, name, value, events, total }: ValueProps) {
  const { filter } = searchView.value;
  const term = termOf(name, value);
  const [included, excluded] = [hasTerm(filter, term), hasTerm(filter, negate(term))];
  const words = value ?? missingWords(field);
  return (
    <li class="facet-value">
      <button
        type="button"
        class="facet-in"
        aria-pressed={included}
        title={included ? `Take out ${visible(term)}` : `Only ${visible(term)}`}
        onClick={() => change({ filter: toggleTerm(filter, term) })}
      >
        <svg class="facet-bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
          <rect width={total === 0 ? 0 : (events / total) * 100} height="1" />
        </svg>
        {field === "outcome" && <OutcomeMark outcome={value as Outcome | null} />}
        {field === "verbclass" && value !== null && <VerbMark verbClass={value as VerbClass} />}
        <span class={value === null ? "facet-name muted" : "facet-name"}>
          {value === "" ? "(empty)" : <Text value={words} limit={80} />}
        </span>
        <span class="facet-count">{events.toLocaleString("en")}</span>
      </button>
      <button
        type="button"
        class="facet-out"
        aria-pressed={excluded}
        aria-label={`Leave out ${visible(words)}`}
        title={excluded ? `Take out ${visible(negate(term))}` : `Leave out: ${visible(negate(term))}`}
        onClick={() => change({ filter: toggleTerm(filter, negate(term)) })}
      >
        <Icon name="minus" />
      </button>
    </li>
  );
}
