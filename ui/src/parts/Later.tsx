// A page whose chunk is loaded when it is first shown.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Failure } from "../api/client.ts";
import { FailureBox } from "./States.tsx";

type Page = () => preact.JSX.Element;

/** Chunks that are there: the second time nothing is waited for. */
const there = new Map<() => Promise<Page>, Page>();

export function Later({ load }: { load(): Promise<Page> }) {
  const hasFailed = useSignal(false);
  const tries = useSignal(0);
  const isThere = useSignal(there.has(load));
  useEffect(() => {
    if (there.has(load)) return;
    hasFailed.value = false;
    load().then(
      (page) => {
        there.set(load, page);
        isThere.value = true;
      },
      () => {
        hasFailed.value = true;
      },
    );
  }, [tries.value]);
  const Page = there.get(load);
  if (isThere.value && Page) return <Page />;
  return (
    <main id="main" tabIndex={-1} aria-busy={!hasFailed.value} class="later">
      {hasFailed.value && (
        <FailureBox
          failure={new Failure("network", "This page could not be loaded. Is `decklog serve` still running?")}
          onRetry={() => (tries.value += 1)}
        />
      )}
    </main>
  );
}
