// A text out of an event: always a text node, with hidden characters written out, clipped with its full length.

import { clip, visible } from "../state/hostile.ts";

export function Text({ value, limit = 200 }: { value: string; limit?: number }) {
  const { text, total } = clip(value, limit);
  const shown = visible(text);
  const inner = shown === text ? shown : <bdi class="escaped">{shown}</bdi>;
  return (
    <bdi>
      {inner}
      {total !== null && <span class="clipped"> … {total.toLocaleString("en")} characters</span>}
    </bdi>
  );
}
