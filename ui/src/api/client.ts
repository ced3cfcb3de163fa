// Asks /api/v1. An answer that is no answer becomes a `Failure` with words for people and the request's id.

import { credentials } from "./session.ts";
import type { ProblemBody } from "./types.ts";

export type Query = Record<string, string | number | string[] | null | undefined>;

/** Why there is no answer. */
export class Failure extends Error {
  constructor(
    /** The last part of the problem's type; `network` when the server could not be reached. */
    readonly kind: string,
    message: string,
    readonly requestId: string | null = null,
    readonly problem: ProblemBody | null = null,
    /** Seconds after which the server asks to be asked again. */
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }
}

/** The address of a question; null, undefined and empty values are left out. */
export function address(path: string, query: Query = {}): string {
  const pairs = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") pairs.append(key, String(one));
    }
  }
  const text = pairs.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** How often a question is asked again that came too fast or too early. */
const TRIES = 5;

/** Waits as long as the server asked for where it is starting or asked too fast; gives up when `signal` says so. */
export async function ask(url: string, accept: string, signal: AbortSignal, body?: unknown): Promise<Response> {
  for (let tried = 1; ; tried++) {
    let response: Response;
    try {
      const sent = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
      const headers = { accept, ...(body === undefined ? {} : { "content-type": "application/json" }), ...credentials() };
      response = await fetch(url, { signal, headers, credentials: "same-origin", ...sent });
    } catch (error) {
      if (signal.aborted) throw error;
      throw new Failure("network", "The server does not answer. Is `decklog serve` still running?");
    }
    if (response.ok) return response;
    const failure = await failureOf(response);
    const again = failure.kind === "starting" || failure.kind === "rate-limited";
    if (!again || tried === TRIES) throw failure;
    await pause((failure.retryAfter ?? 1) * 1000, signal);
  }
}

export async function getJson<T>(path: string, query: Query, signal: AbortSignal): Promise<T> {
  const response = await ask(address(path, query), "application/json", signal);
  return (await response.json()) as T;
}

export async function postJson<T>(path: string, body: unknown, signal: AbortSignal): Promise<T> {
  const response = await ask(path, "application/json", signal, body);
  return (await response.json()) as T;
}

/** The rows of a question in SQL; for few. */
export async function rowsOfSql<T>(query: string, signal: AbortSignal): Promise<T[]> {
  const response = await ask("/api/v1/sql", "application/x-ndjson", signal, { query, limit: 1000 });
  const lines = (await response.text()).split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as T);
}

async function failureOf(response: Response): Promise<Failure> {
  const id = response.headers.get("x-request-id");
  const after = Number(response.headers.get("retry-after")) || null;
  const body = response.headers.get("content-type")?.includes("problem+json")
    ? ((await response.json().catch(() => null)) as ProblemBody | null)
    : null;
  const kind = body?.type.split("/").at(-1) ?? `http-${response.status}`;
  const details = body?.errors?.map((error) => [error.message, error.help].filter(Boolean).join(" — ")).join("; ");
  const words = body ? [body.title, details || body.detail].filter(Boolean).join(": ") : `The server answered ${response.status}.`;
  return new Failure(kind, words, body?.requestId ?? id, body, after);
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((done, failed) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      failed(signal.reason);
    });
  });
}
