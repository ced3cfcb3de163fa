// A question of the page and its answer: a new question ends the old one, the old answer stays until the new one is there.

import { batch, signal } from "@preact/signals";
import type { Failure } from "../../api/client.ts";
import { asFailure } from "../search.ts";

export interface Answer<T> {
  value: T | null;
  /** What was asked for this value, to see whether it still is what one would ask. */
  key: string;
  failure: Failure | null;
  isRunning: boolean;
}

/** So long nothing may change before it is asked by itself. */
export const REST_MS = 250;

export class Question<T> {
  readonly answer = signal<Answer<T>>({ value: null, key: "", failure: null, isRunning: false });
  private running = new AbortController();
  private last: { key: string; body: unknown } | null = null;
  private rest: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly get: (body: unknown, stopped: AbortSignal) => Promise<T>) {}

  /** Asks now. */
  async ask(key: string, body: unknown): Promise<void> {
    this.stop();
    this.last = { key, body };
    this.running = new AbortController();
    const { signal: stopped } = this.running;
    this.answer.value = { ...this.answer.value, isRunning: true };
    try {
      const value = await this.get(body, stopped);
      if (!stopped.aborted) this.answer.value = { value, key, failure: null, isRunning: false };
    } catch (error) {
      if (!stopped.aborted) this.answer.value = { value: null, key, failure: asFailure(error), isRunning: false };
    }
  }

  /** The same once more. */
  again(): void {
    if (this.last) void this.ask(this.last.key, this.last.body);
  }

  /** Asks when nothing else was asked for a while. */
  askSoon(key: string, body: unknown): void {
    this.stop();
    this.rest = setTimeout(() => void this.ask(key, body), REST_MS);
  }

  stop(): void {
    clearTimeout(this.rest);
    this.running.abort();
    if (this.answer.peek().isRunning) this.answer.value = { ...this.answer.peek(), isRunning: false };
  }

  clear(): void {
    batch(() => {
      this.stop();
      this.answer.value = { value: null, key: "", failure: null, isRunning: false };
    });
  }
}
