// A place for an editor: it loads the editor's chunk, says so, and what went wrong if that fails.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Failure } from "../../api/client.ts";
import type { Editor, Options } from "../../editor/editor.ts";
import { FailureBox } from "../States.tsx";

/** `options` are those of the first drawing; another `key` makes another editor. */
export function EditorBox({ options, onEditor }: { options: Options; onEditor?(editor: Editor | null): void }) {
  const host = useRef<HTMLDivElement>(null);
  const state = useSignal<"loading" | "there" | "failed">("loading");
  const tries = useSignal(0);
  useEffect(() => {
    let made: Editor | null = null;
    let isGone = false;
    state.value = "loading";
    import("../../editor/editor.ts").then(
      ({ Editor }) => {
        if (isGone || host.current === null) return;
        made = new Editor(host.current, options);
        state.value = "there";
        onEditor?.(made);
      },
      () => {
        if (!isGone) state.value = "failed";
      },
    );
    return () => {
      isGone = true;
      onEditor?.(null);
      made?.destroy();
    };
  }, [tries.value]);
  return (
    <div class="editor-box" aria-busy={state.value === "loading"}>
      {state.value === "loading" && <p class="muted editor-wait">Loading the editor…</p>}
      {state.value === "failed" && (
        <FailureBox
          failure={new Failure("network", "The editor could not be loaded. Is `decklog serve` still running?")}
          onRetry={() => (tries.value += 1)}
        />
      )}
      <div ref={host} class="editor-host" />
    </div>
  );
}
