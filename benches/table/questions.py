"""The nine questions: what is asked, in the words of each engine, and how answers are made equal.

The constants are taken from the files themselves (`constants`), since amplified files differ with the recorded events they
were made of. Q1 to Q7 are asked of the Metadata file, Q8 and Q9 of the bodies.
"""
import json
import re

MEANING = {
    "Q1": "count by verb", "Q2": "who got 403 most", "Q3": "one object's events", "Q4": "middle of a token in URI or user agent",
    "Q5": "deletes of configmaps by hour", "Q6": "p99 latency by resource and verb", "Q7": "one auditID", "Q8": "middle of a token in requestObject",
    "Q9": "group by a path in responseObject",
}
OF_BODIES = ("Q8", "Q9")
SUFFIX = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{10}-[bcdfghjklmnpqrstvwxz2456789]{5}")


def constants(metadata, bodies, n_metadata, n_bodies):
    """What is looked for: an auditID, an object and two needles, from the middle of the files."""
    found, first = {}, n_metadata * 2 // 5
    for number, line in enumerate(open(metadata, encoding="utf-8")):
        if number < first or (number == first and found.setdefault("audit_id", json.loads(line)["auditID"]) is None):
            continue
        found.setdefault("audit_id", json.loads(line)["auditID"])
        event = json.loads(line)
        place = event.get("objectRef", {})
        if "object" not in found and place.get("resource") == "deployments" and place.get("namespace") and place.get("name") and not place.get("subresource"):
            found["object"] = place
        suffix = SUFFIX.search(event["requestURI"])
        if "needle" not in found and suffix and place.get("resource") == "pods":
            found["needle"], found["pod"] = suffix.group()[2:10], place
        if {"object", "needle", "audit_id"} <= found.keys():
            break
    for number, line in enumerate(open(bodies, encoding="utf-8")):
        if number >= n_bodies // 2 and '"requestObject"' in line:
            suffix = SUFFIX.search(json.dumps(json.loads(line)["requestObject"]))
            if suffix:
                found["body_needle"] = suffix.group()[3:14]
                break
    return found


def duckdb(c, table):
    o = c["object"]
    return {
        "Q1": f"SELECT verb, count(*) FROM {table} GROUP BY 1 ORDER BY 2 DESC",
        "Q2": f"SELECT username, count(*) c FROM {table} WHERE code = 403 GROUP BY 1 ORDER BY 2 DESC LIMIT 20",
        "Q3": f"SELECT raw FROM {table} WHERE resource = '{o['resource']}' AND ns = '{o['namespace']}' AND name = '{o['name']}' ORDER BY received",
        "Q4": f"SELECT raw FROM {table} WHERE contains(requestURI, '{c['needle']}') OR contains(userAgent, '{c['needle']}')",
        "Q5": f"SELECT strftime(date_trunc('hour', received), '%Y-%m-%dT%H') h, count(*) FROM {table} WHERE verb = 'delete' AND resource = 'configmaps' GROUP BY 1 ORDER BY 1",
        "Q6": f"SELECT resource, verb, count(*), quantile_disc(epoch_us(time) - epoch_us(received), 0.99) p99 FROM {table} GROUP BY 1, 2 ORDER BY 4 DESC",
        "Q7": f"SELECT raw FROM {table} WHERE auditID = '{c['audit_id']}'",
        "Q8": f"SELECT raw FROM {table} WHERE contains(raw, '{c['body_needle']}') AND contains(json_extract(raw, '$.requestObject')::VARCHAR, '{c['body_needle']}')",
        "Q9": f"SELECT json_extract_string(raw, '$.responseObject.spec.template.spec.containers[0].image') i, count(*) FROM {table} GROUP BY 1 ORDER BY 2 DESC",
    }


def clickhouse(c, table):
    o = c["object"]
    return {
        "Q1": f"SELECT verb, count() FROM {table} GROUP BY 1 ORDER BY 2 DESC",
        "Q2": f"SELECT username, count() c FROM {table} WHERE code = 403 GROUP BY 1 ORDER BY 2 DESC LIMIT 20",
        "Q3": f"SELECT raw FROM {table} WHERE resource = '{o['resource']}' AND ns = '{o['namespace']}' AND name = '{o['name']}' ORDER BY rts",
        "Q4": f"SELECT raw FROM {table} WHERE requestURI LIKE '%{c['needle']}%' OR userAgent LIKE '%{c['needle']}%'",
        "Q5": f"SELECT formatDateTime(toStartOfHour(rts), '%Y-%m-%dT%H') h, count() FROM {table} WHERE verb = 'delete' AND resource = 'configmaps' GROUP BY 1 ORDER BY 1",
        "Q6": f"SELECT resource, verb, count(), quantileExact(0.99)(toUnixTimestamp64Micro(sts) - toUnixTimestamp64Micro(rts)) p99 FROM {table} GROUP BY 1, 2 ORDER BY 4 DESC",
        "Q7": f"SELECT raw FROM {table} WHERE auditID = '{c['audit_id']}'",
        "Q8": f"SELECT raw FROM {table} WHERE raw LIKE '%{c['body_needle']}%' AND JSONExtractRaw(raw, 'requestObject') LIKE '%{c['body_needle']}%'",
        "Q9": f"SELECT JSONExtractString(raw, 'responseObject', 'spec', 'template', 'spec', 'containers', 1, 'image') i, count() FROM {table} GROUP BY 1 ORDER BY 2 DESC",
    }


def decklog(c):
    """(`sql` or `filter`, text) of each."""
    o = c["object"]
    return {
        "Q1": ("sql", "SELECT verb, count(*) AS n FROM events GROUP BY 1 ORDER BY 2 DESC"),
        "Q2": ("sql", "SELECT username, count(*) AS n FROM events WHERE code = 403 GROUP BY 1 ORDER BY 2 DESC LIMIT 20"),
        "Q3": ("filter", f"resource:{o['resource']} ns:{o['namespace']} name:{o['name']}"),
        "Q4": ("filter", f"uri:*{c['needle']}* or ua:*{c['needle']}*"),
        "Q5": ("sql", "SELECT date_trunc('hour', received) AS h, count(*) AS n FROM events WHERE verb = 'delete' AND resource = 'configmaps' GROUP BY 1 ORDER BY 1"),
        "Q6": ("sql", "SELECT resource, verb, count(*) AS n, percentile_rank(latency_us, 99) AS p99 FROM events GROUP BY 1, 2 ORDER BY 4 DESC"),
        "Q7": ("filter", f"auditID:{c['audit_id']}"),
        "Q8": ("filter", f"request.**:*{c['body_needle']}*"),
        "Q9": ("sql", "SELECT jq(response_object, '.spec.template.spec.containers[0].image') AS image, count(*) AS n FROM events GROUP BY 1 ORDER BY 2 DESC"),
    }


def comparable(name, rows):
    """Rows of an answer so that equal answers are equal: whole events by their number, missing values alike, latencies left out."""
    if name in ("Q3", "Q4", "Q7", "Q8"):
        return len(rows)
    if name == "Q2":  # who is twentieth may be one of several with the same count
        return sorted(row[1] for row in rows)
    if name == "Q5":
        return sorted((str(row[0])[:13].replace(" ", "T"), int(row[1])) for row in rows)
    key = 3 if name == "Q6" else 2
    return sorted(tuple(value if isinstance(value, int) else value or "" for value in row[:key]) for row in rows)
