"""What every reader of the table is asked, and the same figures worked out from the log itself.

Used by check.py and by the engines beside it. A set of figures is a dictionary of plain JSON values, so that two of them
can be compared with `==` whichever engine they are from.
"""
import collections
import datetime
import json

DECODER = json.JSONDecoder()
NAMES = ("rows", "verbs", "outcomes", "audit_ids", "first", "last", "days", "groups", "bodies", "body")


def micros(text):
    """Microseconds since the epoch of an RFC 3339 time in UTC."""
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)


def text_of_member(line, name):
    """The characters of a member's value as they stand in the line; None without the member."""
    at = 1
    while line[at] != "}":
        key, at = DECODER.raw_decode(line, at)
        start = at + 1
        _, at = DECODER.raw_decode(line, start)
        if key == name:
            return line[start:at]
        at += line[at] == ","
    return None


def pairs(counts):
    """Counts by value as a sorted list: JSON has no other keys than texts."""
    return sorted(([key, n] for key, n in counts.items()), key=lambda pair: json.dumps(pair[0]))


def of_log(paths):
    """The figures of these log files, and the auditID of the event with the largest request body."""
    verbs, outcomes, days, groups = (collections.Counter() for _ in range(4))
    ids, times, n_rows, bodies, body = set(), [], 0, [0, 0], ""
    largest_id = None
    for path in paths:
        for line in open(path, encoding="utf-8", newline="\n"):
            event = json.loads(line)
            n_rows += 1
            verbs[event.get("verb")] += 1
            outcomes[f'{event["stage"]} {event.get("responseStatus", {}).get("code")}'] += 1
            days[event["stageTimestamp"][:10]] += 1
            groups.update(event.get("user", {}).get("groups", []))
            ids.add(event["auditID"])
            times.append(micros(event["stageTimestamp"]))
            if "requestObject" in event:
                text = text_of_member(line, "requestObject")
                bodies[0] += 1
                bodies[1] += len(text.encode())
                if len(text) > len(body):
                    largest_id, body = event["auditID"], text
    figures = {
        "rows": n_rows, "verbs": pairs(verbs), "outcomes": pairs(outcomes), "audit_ids": len(ids), "first": min(times),
        "last": max(times), "days": pairs(days), "groups": pairs(groups), "bodies": bodies, "body": body,
    }
    return figures, largest_id


def from_rows(ask, largest_id):
    """The figures from an engine: `ask(name, id)` gives the rows of the question of that name."""
    (n_rows, n_ids, first, last, n_bodies, n_bytes), = ask("totals", largest_id)
    return {
        "rows": n_rows, "verbs": pairs(dict(ask("verbs", largest_id))),
        "outcomes": pairs({f"{stage} {code}": n for stage, code, n in ask("outcomes", largest_id)}), "audit_ids": n_ids,
        "first": first, "last": last, "days": pairs({str(day): n for day, n in ask("days", largest_id)}),
        "groups": pairs(dict(ask("groups", largest_id))), "bodies": [n_bodies, n_bytes],
        "body": max((text for text, in ask("body", largest_id)), key=len),
    }
