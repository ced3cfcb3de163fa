// A button that opens a list of acts below it.

import { Icon } from "./Mark.tsx";
import { Popover } from "./Popover.tsx";

export function Menu({ label, children }: { label: string; children(close: () => void): preact.ComponentChildren }) {
  return (
    <Popover
      class="menu"
      label={
        <>
          {label} <Icon name="down" />
        </>
      }
    >
      {children}
    </Popover>
  );
}
