// A button and what it opens below it: closed by Escape (the focus goes back), by a click or the focus elsewhere.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

export interface PopoverProps {
  class: string;
  /** The class of the button, and what stands on it. */
  buttonClass?: string;
  label: preact.ComponentChildren;
  /** Named, it is a dialog for screen readers; without a name a list of acts. */
  dialog?: { name: string; class: string };
  /** What stands beside the button, in front of it and after. */
  before?: preact.ComponentChildren;
  after?: preact.ComponentChildren;
  /** Called with the box once it is open. */
  onOpen?(box: HTMLElement): void;
  children(close: () => void): preact.ComponentChildren;
}

export function Popover(props: PopoverProps) {
  const isOpen = useSignal(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!isOpen.value) return;
    props.onOpen?.(box.current!);
    const outside = (event: Event) => {
      if (!box.current?.contains(event.target as Node)) isOpen.value = false;
    };
    addEventListener("pointerdown", outside);
    addEventListener("focusin", outside);
    return () => {
      removeEventListener("pointerdown", outside);
      removeEventListener("focusin", outside);
    };
  }, [isOpen.value]);
  const close = () => {
    isOpen.value = false;
    button.current?.focus();
  };
  return (
    <div
      class={props.class}
      ref={box}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !isOpen.value) return;
        event.preventDefault();
        close();
      }}
    >
      {props.before}
      <button
        type="button"
        ref={button}
        class={props.buttonClass}
        aria-expanded={isOpen.value}
        aria-haspopup={props.dialog ? "dialog" : undefined}
        onClick={() => {
          isOpen.value = !isOpen.value;
        }}
      >
        {props.label}
      </button>
      {props.after}
      {isOpen.value &&
        (props.dialog ? (
          <div class={`popover ${props.dialog.class}`} role="dialog" aria-label={props.dialog.name}>
            {props.children(close)}
          </div>
        ) : (
          <div class="popover">{props.children(close)}</div>
        ))}
    </div>
  );
}
