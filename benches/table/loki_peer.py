"""Grafana Loki v3.7.8 beside decklog: the single binary, files on disk, TSDB index, asked over loopback HTTP.

Its labels are what a user of audit logs would take: the verb, the stage and the class of the code. What it promises: a push is
answered when it is in memory and written to a log that is not synced for it. Two processors, four connections, 1,000 events a
push, zstd chunks. Its limits are lifted so that it takes days of events in seconds and answers questions about all of them.
"""
import datetime
import http.client
import json
import math
import os
import queue
import shutil
import subprocess
import threading
import time
import urllib.parse

import decklog_side
import measure

BATCH, CONNECTIONS = 1000, 4
CONFIG = """
auth_enabled: false
server: {{http_listen_address: 127.0.0.1, http_listen_port: {http}, grpc_listen_address: 127.0.0.1, grpc_listen_port: {grpc}, log_level: error, grpc_server_max_recv_msg_size: 104857600, grpc_server_max_send_msg_size: 104857600, http_server_read_timeout: 600s, http_server_write_timeout: 600s}}
common: {{instance_addr: 127.0.0.1, path_prefix: {folder}, replication_factor: 1, ring: {{kvstore: {{store: inmemory}}}}, storage: {{filesystem: {{chunks_directory: {folder}/chunks, rules_directory: {folder}/rules}}}}}}
memberlist: {{bind_addr: [127.0.0.1]}}
schema_config: {{configs: [{{from: 2024-01-01, store: tsdb, object_store: filesystem, schema: v13, index: {{prefix: index_, period: 24h}}}}]}}
ingester: {{chunk_encoding: zstd, chunk_idle_period: 30m, max_chunk_age: 24h, wal: {{enabled: true, dir: {folder}/wal, flush_on_shutdown: true}}}}
limits_config: {{reject_old_samples: false, creation_grace_period: 876000h, ingestion_rate_mb: 4096, ingestion_burst_size_mb: 4096, per_stream_rate_limit: 4GB, per_stream_rate_limit_burst: 4GB, max_line_size: 8MB, max_query_length: 0, max_query_series: 100000, max_entries_limit_per_query: 1000000, query_timeout: 10m, split_queries_by_interval: 24h, allow_structured_metadata: true, discover_log_levels: false, discover_service_name: [], volume_enabled: false}}
query_range: {{cache_results: false, parallelise_shardable_queries: true}}
frontend: {{max_outstanding_per_tenant: 4096}}
querier: {{max_concurrent: 4, query_ingesters_within: 0s}}
analytics: {{reporting_enabled: false}}
"""


def moment(text):
    """Nanoseconds of a time in an event, to its microseconds."""
    return int(datetime.datetime.fromisoformat(text[:19] + "+00:00").timestamp()) * 10**9 + int(text[20:26].rstrip("Z").ljust(6, "0")) * 1000


def prepare(path, folder):
    """Writes the bodies of all pushes into files, so that making them costs nothing while Loki is measured: the first and the last second of the events."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    streams, n_events, n_pushes, first, last = {}, 0, 0, math.inf, 0

    def write():
        labels = ("verb", "stage", "code")
        body = {"streams": [{"stream": {"job": "kube-audit", **dict(zip(labels, key))}, "values": values} for key, values in streams.items()]}
        with open(os.path.join(folder, f"{n_pushes:06}.json"), "w", encoding="utf-8") as file:
            json.dump(body, file)
        streams.clear()

    for line in open(path, encoding="utf-8"):
        event = json.loads(line)
        at = moment(event["requestReceivedTimestamp"])
        first, last = min(first, at), max(last, at)
        code = (event.get("responseStatus") or {}).get("code", 0)
        streams.setdefault((event.get("verb") or "none", event["stage"], f"{code // 100}xx"), []).append([str(at), line.rstrip("\n")])
        n_events += 1
        if n_events % BATCH == 0:
            write()
            n_pushes += 1
    if streams:
        write()
    return first // 10**9, last // 10**9 + 1


class Loki:
    """A running Loki with its data in a folder."""

    def __init__(self, binary, folder):
        self.folder, self.port = folder, decklog_side.free_port()
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}.yaml", "w", encoding="utf-8") as file:
            file.write(CONFIG.format(folder=folder, http=self.port, grpc=decklog_side.free_port()))
        self.log = open(f"{folder}.log", "wb")
        self.process = subprocess.Popen([binary, f"-config.file={folder}.yaml"], stdout=self.log, stderr=self.log, env=dict(os.environ, GOMAXPROCS="2"))
        end = time.monotonic() + 180
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise RuntimeError(f"loki is not ready: see {folder}.log")
            time.sleep(0.2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(300)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def _is_ready(self):
        try:
            return self.request("GET", "/ready")[0] == 200
        except OSError:
            return False

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        started = time.perf_counter()
        connection.request(method, path, body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content, time.perf_counter() - started

    def push(self, folder):
        """Sends what `prepare` wrote: milliseconds of each push. A push that is not taken is an error."""
        waiting, milliseconds, errors = queue.Queue(maxsize=2 * CONNECTIONS), [], []

        def send():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
            while (name := waiting.get()) is not None:
                with open(os.path.join(folder, name), "rb") as file:
                    body = file.read()
                started = time.perf_counter()
                connection.request("POST", "/loki/api/v1/push", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                content = answer.read()
                milliseconds.append((time.perf_counter() - started) * 1e3)
                if answer.status != 204:
                    errors.append(f"{answer.status} {content[:200]!r}")

        senders = [threading.Thread(target=send, daemon=True) for _ in range(CONNECTIONS)]
        for sender in senders:
            sender.start()
        for name in [*sorted(os.listdir(folder)), *([None] * CONNECTIONS)]:
            waiting.put(name, timeout=300)
        for sender in senders:
            sender.join()
        if errors:
            raise RuntimeError(f"loki refused {len(errors)} pushes: {errors[0]}")
        return milliseconds

    def flush(self):
        """Writes all chunks to disk: it answers at once, so this waits until none is left in memory."""
        self.request("POST", "/flush")
        end = time.monotonic() + 300
        while self._chunks_in_memory() > 0:
            if time.monotonic() > end:
                raise RuntimeError("loki still has chunks in memory after five minutes")
            time.sleep(0.5)

    def _chunks_in_memory(self):
        lines = self.request("GET", "/metrics")[1].decode().splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith("loki_ingester_memory_chunks "))

    def n_bytes(self):
        """What it keeps: chunks and their index, not the log."""
        return sum(measure.size(os.path.join(self.folder, name)) for name in ("chunks", "tsdb-shipper-active") if os.path.exists(os.path.join(self.folder, name)))

    def ask(self, question):
        """(seconds, rows): rows [value, count], or the lines found."""
        path = "query" if "time" in question else "query_range"
        status, content, seconds = self.request("GET", f"/loki/api/v1/{path}?" + urllib.parse.urlencode({key: value for key, value in question.items() if key != "label"}))
        if status != 200:
            raise RuntimeError(f"loki answers {status} to `{question['query']}`: {content[:300]!r}")
        found = json.loads(content)["data"]["result"]
        if "step" in question:  # a value stands at the end of its hour
            return seconds, [[datetime.datetime.fromtimestamp(at - 3600, datetime.timezone.utc).strftime("%Y-%m-%dT%H"), int(n)] for one in found for at, n in one["values"]]
        if "label" in question:
            names = [one["metric"].get(question["label"], "") for one in found]
            return seconds, [["" if name == "none" else name, int(one["value"][1])] for name, one in zip(names, found)]
        return seconds, [line for one in found for _, line in one["values"]]


def import_once(binary, prepared, folder):
    """Pushes everything into an empty Loki: {cpu, wall, peak, p50, p99} until all is acknowledged, then {flushed_cpu, bytes}."""
    shutil.rmtree(folder, ignore_errors=True)
    with Loki(binary, folder) as loki:
        before, started = measure.of_process(loki.process.pid)[0], time.monotonic()
        milliseconds = loki.push(prepared)
        wall, (cpu, _) = time.monotonic() - started, measure.of_process(loki.process.pid)
        loki.flush()
        flushed_cpu, peak = measure.of_process(loki.process.pid)
        return {"cpu": cpu - before, "wall": wall, "peak": peak, "p50": measure.median(milliseconds), "p99": measure.at_share(milliseconds, 0.99),
                "flushed_cpu": flushed_cpu - before, "bytes": loki.n_bytes()}


def questions(c, first, last):
    """The questions in LogQL, of events between these seconds. Q6 is missing: LogQL cannot subtract two times of a line."""
    o, all_of, needle = c["object"], f"[{last - first + 1}s]", c["needle"]
    lines = {"start": first, "end": last + 1, "limit": 10_000, "direction": "forward"}
    hours = {"start": first // 3600 * 3600 + 3600, "end": last // 3600 * 3600 + 3600, "step": "1h"}
    counts = {"time": last}
    return {
        "Q1": {"query": f'sum by (verb) (count_over_time({{job="kube-audit"}}{all_of}))', "label": "verb", **counts},
        "Q2": {"query": f'topk(20, sum by (u) (count_over_time({{job="kube-audit",code="4xx"}} |= `"code":403` | json u="user.username", c="responseStatus.code" | c="403" {all_of})))', "label": "u", **counts},
        "Q3": {"query": f'{{job="kube-audit"}} |= `"name":"{o["name"]}"` |= `"namespace":"{o["namespace"]}"` | json r="objectRef.resource", n="objectRef.namespace", m="objectRef.name" '
                        f'| r="{o["resource"]}" | n="{o["namespace"]}" | m="{o["name"]}"', **lines},
        "Q4": {"query": f'{{job="kube-audit"}} |= `{needle}` | json u="requestURI", a="userAgent" | u=~`.*{needle}.*` or a=~`.*{needle}.*`', **lines},
        "Q5": {"query": 'sum(count_over_time({job="kube-audit",verb="delete"} |= `"resource":"configmaps"` | json r="objectRef.resource" | r="configmaps" [1h]))', **hours},
        "Q7": {"query": f'{{job="kube-audit"}} |= `{c["audit_id"]}` | json i="auditID" | i="{c["audit_id"]}"', **lines},
        "Q8": {"query": f'{{job="kube-audit"}} |= `{c["body_needle"]}` | json o="requestObject" | o=~`.*{c["body_needle"]}.*`', **lines},
        "Q9": {"query": f'sum by (i) (count_over_time({{job="kube-audit"}} | json i="responseObject.spec.template.spec.containers[0].image" {all_of}))', "label": "i", **counts},
    }
