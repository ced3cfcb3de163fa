// Searches that a person named: what the address says, under a name. Pure; `kept.ts` keeps them in the browser.

export interface Saved {
  name: string;
  /** What follows `/search`. */
  query: string;
}

const MAX_SAVED = 50;
const MAX_NAME = 60;
const MAX_QUERY = 8000;

/** What was kept; whatever it is not is left out. */
export function readSaved(text: string | null): Saved[] {
  let kept: unknown;
  try {
    kept = JSON.parse(text ?? "[]");
  } catch {
    return [];
  }
  if (!Array.isArray(kept)) return [];
  return kept
    .filter((one): one is Saved => typeof one?.name === "string" && typeof one?.query === "string")
    .filter(({ name, query }) => name !== "" && name.length <= MAX_NAME && query.length <= MAX_QUERY && /^(\?|$)/.test(query))
    .map(({ name, query }) => ({ name, query }))
    .slice(0, MAX_SAVED);
}

/** The list with one more; the same name is replaced, the newest is first. */
export function withSaved(all: readonly Saved[], one: Saved): Saved[] {
  const name = one.name.trim().slice(0, MAX_NAME);
  if (name === "" || one.query.length > MAX_QUERY) return [...all];
  return [{ name, query: one.query }, ...all.filter((other) => other.name !== name)].slice(0, MAX_SAVED);
}
