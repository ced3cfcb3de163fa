"""OpenSearch 2.19.1 beside decklog: one node, one shard, no replica, asked over loopback HTTP.

What it promises: its translog is synced before each `_bulk` is answered, which is its default. Fields are mapped as they are
searched, bodies as one flat field, the source is kept with the better compression. Two connections, 1,000 events a request;
the small batches have 400 on one, as kube-apiserver sends. A heap of 4 GiB. `opensearch/Osr.java` runs the node in a process
of its own: what refuses root is OpenSearch's launcher, not the node.
"""
import http.client
import json
import os
import queue
import shutil
import subprocess
import threading
import time

import decklog_side
import measure

BATCH, CONNECTIONS = 1000, 2
KEYWORD, WILDCARD, TIME = {"type": "keyword", "ignore_above": 8191}, {"type": "wildcard"}, {"type": "date_nanos"}
FIELDS = {
    **{name: KEYWORD for name in ("level", "stage", "verb", "auditID", "sourceIPs")}, "requestURI": WILDCARD, "userAgent": WILDCARD,
    "requestReceivedTimestamp": TIME, "stageTimestamp": TIME, "user": {"properties": {name: KEYWORD for name in ("username", "groups", "uid")}},
    "objectRef": {"properties": {name: KEYWORD for name in ("resource", "namespace", "name", "apiGroup", "apiVersion", "subresource", "uid")}},
    "responseStatus": {"properties": {"code": {"type": "short"}, "reason": KEYWORD, "message": {"type": "text"}}},
    "requestObject": {"type": "flat_object"}, "responseObject": {"type": "object", "enabled": False}, "annotations": {"type": "flat_object"},
}
SETTINGS = {
    "number_of_shards": 1, "number_of_replicas": 0, "index.codec": "best_compression", "index.translog.durability": "request", "index.refresh_interval": "10s",
    "index.sort.field": "requestReceivedTimestamp", "index.sort.order": "asc",
}


class OpenSearch:
    """A running node with its data in a folder; `tools` holds `Osr.class` and `lib`."""

    def __init__(self, tools, folder):
        self.folder, self.port = folder, decklog_side.free_port()
        os.makedirs(folder, exist_ok=True)
        self.log = open(f"{folder}.log", "wb")
        self.process = subprocess.Popen(
            ["java", "-Xms4g", "-Xmx4g", "-XX:+UseG1GC", "-Djava.security.manager=allow", "-Dopensearch.set.netty.runtime.available.processors=false",
             "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", f"{tools}:{tools}/lib/*", "Osr", folder, str(self.port), str(decklog_side.free_port())],
            stdout=self.log, stderr=self.log, cwd=folder)
        end = time.monotonic() + 180
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise RuntimeError(f"opensearch is not ready: see {folder}.log")
            time.sleep(0.2)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()
        self.process.terminate()
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def _is_ready(self):
        try:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            health = self.request("GET", "/_cluster/health")
        except (OSError, RuntimeError, http.client.HTTPException):
            return False
        return health["status"] == "green" and health["initializing_shards"] == 0

    def request(self, method, path, body=None, connection=None):
        """The answer as a value; any but 200 is an error."""
        connection = connection or self.connection
        connection.request(method, path, body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode(), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"opensearch answers {answer.status} to {method} {path}: {content[:300]!r}")
        return json.loads(content)

    def create(self, index):
        self.request("PUT", f"/{index}", {"settings": SETTINGS, "mappings": {"dynamic": False, "properties": FIELDS}})

    def push(self, index, path, batch, n_connections, n_batches=None):
        """Sends the file's events: milliseconds of each request. An event that is not taken is an error."""
        waiting, milliseconds, errors = queue.Queue(maxsize=2 * n_connections), [], []

        def send():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
            while (body := waiting.get()) is not None:
                started = time.perf_counter()
                answer = self.request("POST", f"/{index}/_bulk?filter_path=errors", body, connection)
                milliseconds.append((time.perf_counter() - started) * 1e3)
                if answer["errors"]:
                    errors.append(answer)

        senders = [threading.Thread(target=send, daemon=True) for _ in range(n_connections)]
        for sender in senders:
            sender.start()
        for number, body in enumerate(bulks(path, batch)):
            if number == n_batches:
                break
            waiting.put(body, timeout=300)
        for _ in senders:
            waiting.put(None, timeout=300)
        for sender in senders:
            sender.join()
        if errors:
            raise RuntimeError(f"opensearch did not take events of {len(errors)} requests")
        return milliseconds

    def ask(self, question):
        """(seconds, rows): rows of an aggregation, or the hits."""
        started = time.perf_counter()
        answer = self.request("POST", "/events/_search?request_cache=false", question)
        seconds = time.perf_counter() - started
        if "aggregations" not in answer:
            return seconds, answer["hits"]["hits"]
        rows = []
        for bucket in answer["aggregations"]["a"]["buckets"]:
            key = bucket.get("key_as_string", bucket["key"]) if not isinstance(bucket["key"], list) else bucket["key"]
            rows.append([*(key if isinstance(key, list) else [key]), bucket["doc_count"]])
        return seconds, rows


def bulks(path, batch):
    """Bodies of `_bulk` requests with so many events each."""
    lines = []
    for line in open(path, "rb"):
        lines += (b'{"index":{}}\n', line)
        if len(lines) == 2 * batch:
            yield b"".join(lines)
            lines = []
    if lines:
        yield b"".join(lines)


def import_once(tools, path, folder):
    """Indexes everything in an empty node: {cpu, wall, peak, p50, p99} until all is acknowledged, then {merged_cpu, bytes}; and
    `batches`, 250 synced requests of 400 events by the same, warm process: {events, cpu, p50, p99}."""
    shutil.rmtree(folder, ignore_errors=True)
    with OpenSearch(tools, folder) as node:
        pid = node.process.pid
        node.create("events")
        before, started = measure.of_process(pid)[0], time.monotonic()
        milliseconds = node.push("events", path, BATCH, CONNECTIONS)
        wall, cpu = time.monotonic() - started, measure.of_process(pid)[0] - before
        node.request("POST", "/events/_forcemerge?max_num_segments=1&flush=true")
        node.request("POST", "/events/_refresh")
        merged_cpu, peak = measure.of_process(pid)
        found = {"cpu": cpu, "wall": wall, "peak": peak, "p50": measure.median(milliseconds), "p99": measure.at_share(milliseconds, 0.99), "merged_cpu": merged_cpu - before,
                 "bytes": node.request("GET", "/events/_stats/store")["_all"]["primaries"]["store"]["size_in_bytes"]}
        node.create("batches")
        before = measure.of_process(pid)[0]
        milliseconds = node.push("batches", path, 400, 1, n_batches=250)
        found["batches"] = {"events": 400 * len(milliseconds), "cpu": measure.of_process(pid)[0] - before, "p50": measure.median(milliseconds), "p99": measure.at_share(milliseconds, 0.99)}
        node.request("DELETE", "/batches")
        return found


def questions(c):
    """The questions as searches. Q9 is missing: a flat field has no paths through lists to group by."""
    o, oldest_first = c["object"], [{"requestReceivedTimestamp": {"order": "asc"}}]

    def term(field, value):
        return {"term": {field: value}}

    def counted(aggregation, *filters):
        return {"size": 0, "query": {"bool": {"filter": list(filters)}}, "aggs": {"a": aggregation}}

    def hits(query):
        return {"size": 10_000, "query": query}

    wildcard = f"*{c['needle']}*"
    latency = "ChronoUnit.MICROS.between(doc['requestReceivedTimestamp'].value, doc['stageTimestamp'].value)"
    return {
        "Q1": counted({"terms": {"field": "verb", "size": 50, "missing": ""}}),
        "Q2": counted({"terms": {"field": "user.username", "size": 20}}, term("responseStatus.code", 403)),
        "Q3": {**hits({"bool": {"filter": [term("objectRef.resource", o["resource"]), term("objectRef.namespace", o["namespace"]), term("objectRef.name", o["name"])]}}), "sort": oldest_first},
        "Q4": hits({"bool": {"should": [{"wildcard": {"requestURI": wildcard}}, {"wildcard": {"userAgent": wildcard}}]}}),
        "Q5": counted({"date_histogram": {"field": "requestReceivedTimestamp", "fixed_interval": "1h", "min_doc_count": 1}}, term("verb", "delete"), term("objectRef.resource", "configmaps")),
        "Q6": counted({"multi_terms": {"terms": [{"field": "objectRef.resource", "missing": ""}, {"field": "verb", "missing": ""}], "size": 1000},
                       "aggs": {"p99": {"percentiles": {"script": {"source": latency}, "percents": [99]}}}}),
        "Q7": hits(term("auditID", c["audit_id"])),
        "Q8": hits({"wildcard": {"requestObject": f"*{c['body_needle']}*"}}),
    }
