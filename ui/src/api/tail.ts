// The live tail: one EventSource, closed while the page is hidden.

import { address, type Query } from "./client.ts";
import type { AuditEvent } from "./types.ts";

export interface TailEvents {
  /** The stream is open; what came before this moment is for a search to find. */
  opened(): void;
  arrived(seq: number, event: AuditEvent): void;
  /** So many events were passed over because they came too fast; a search finds them. */
  skipped(count: number): void;
  paused(): void;
  failed(words: string): void;
}

/** Follows what arrives until the returned function is called. */
export function follow(query: Query, events: TailEvents): () => void {
  let source: EventSource | null = null;
  const open = () => {
    source = new EventSource(address("/api/v1/tail", query));
    source.addEventListener("open", () => events.opened());
    source.addEventListener("audit", (message) => {
      events.arrived(Number(message.lastEventId), JSON.parse(message.data) as AuditEvent);
    });
    source.addEventListener("lag", (message) => {
      events.skipped(Number((JSON.parse(message.data) as { skipped: number }).skipped) || 0);
    });
    source.addEventListener("error", (message) => {
      // Without data it is the connection: EventSource tries again by itself, unless it was refused.
      if (message instanceof MessageEvent) events.failed("The server cannot read its store; live has stopped.");
      else if (source?.readyState === EventSource.CLOSED) events.failed("The server refused to follow; live has stopped.");
      else events.failed("The connection was lost; trying again.");
    });
  };
  const close = () => {
    source?.close();
    source = null;
  };
  const turn = () => {
    if (document.hidden) {
      close();
      events.paused();
    } else if (source === null) {
      open();
    }
  };
  document.addEventListener("visibilitychange", turn);
  turn();
  return () => {
    document.removeEventListener("visibilitychange", turn);
    close();
  };
}
