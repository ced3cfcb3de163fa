-- One row per request: its last event, which came at `ended`.
SELECT *, time AS ended FROM events WHERE final
