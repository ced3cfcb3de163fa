// A text out of an event: always text nodes, with hidden characters written out, clipped with its full length.

import { clip, pieces } from "../state/hostile.ts";

export function Text({ value, limit = 200 }: { value: string; limit?: number }) {
  const { text, total } = clip(value, limit);
  return (
    <bdi>
      {pieces(text).map((piece, at) =>
        piece.wasHidden ? (
          <span key={at} class="escaped">
            {piece.text}
          </span>
        ) : (
          piece.text
        ),
      )}
      {total !== null && <span class="clipped"> … {total.toLocaleString("en")} characters</span>}
    </bdi>
  );
}
