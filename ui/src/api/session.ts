// Who asks. Mostly the cookie of the printed link says it; where the server has a tokens file, a token does, typed by a
// person. It lives in this page's memory alone: a reload forgets it.

import { signal } from "@preact/signals";

export const token = signal<string | null>(null);

export function credentials(): Record<string, string> {
  return token.value === null ? {} : { authorization: `Bearer ${token.value}` };
}
