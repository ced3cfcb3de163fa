"""decklog as a user runs it: commands, and a server asked over loopback HTTP."""
import http.client
import json
import os
import signal
import socket
import subprocess
import time
import urllib.parse

import measure


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`decklog serve` with its defaults; `prefix` is a command that starts it."""

    def __init__(self, decklog, data, *flags, prefix=()):
        self.port = free_port()
        self.log = open(f"{data}.serve.log", "wb")
        self.process = subprocess.Popen(
            [*prefix, decklog, "serve", "--data-dir", data, "--listen", f"127.0.0.1:{self.port}", *flags], stdout=self.log, stderr=self.log)
        self.connection, self.used = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120), time.monotonic()
        end = time.monotonic() + 60
        while True:
            try:
                if self.request("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                self.connection.close()
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"decklog serve is not ready: see {data}.serve.log")
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def request(self, method, path, body=None, headers=None):
        """Status, body, and the seconds it took; waits where the server says that it is asked too often."""
        if time.monotonic() - self.used > 5:  # the server closes idle connections
            self.connection.close()
            self.connection.connect()
        while True:
            started = time.perf_counter()
            self.connection.request(method, path, body, headers or {})
            answer = self.connection.getresponse()
            content = answer.read()
            self.used = time.monotonic()
            seconds = time.perf_counter() - started
            if answer.status != 429:
                return answer.status, content, seconds
            time.sleep(float(answer.getheader("Retry-After") or 1))

    def ask(self, kind, text):
        """(seconds, rows): rows of an answer in SQL, or events of a filter."""
        if kind == "sql":
            status, content, seconds = self.request("POST", "/api/v1/sql", json.dumps({"query": text}), {"Content-Type": "application/json"})
            rows = [list(json.loads(row).values()) for row in content.splitlines()] if status == 200 else None
        else:
            status, content, seconds = self.request("GET", "/api/v1/events?" + urllib.parse.urlencode({"filter": text, "limit": 10_000}))
            rows = json.loads(content)["items"] if status == 200 else None
        if rows is None:
            raise RuntimeError(f"decklog answers {status} to `{text}`: {content[:300].decode(errors='replace')}")
        return seconds, rows

    def usage(self):
        """Processor seconds, and the most memory, in MiB."""
        return measure.of_process(self.process.pid)


def info(decklog, data):
    return json.loads(measure.run([decklog, "table", "info", "--data-dir", data, "-o", "json"])["out"])


def lag(server):
    """Events that wait for the table, by the server's metrics."""
    metrics = server.request("GET", "/metrics")[1].decode()
    return next(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith('decklog_reader_lag_events{reader="table"}'))


def import_and_table(decklog, source, data):
    """Imports, then has a server write what still waits into the table: {cpu, wall, peak, waiting}."""
    taken = measure.run([decklog, "import", source, "--data-dir", data, "-q"])
    waiting = info(decklog, data)["behind"]["events"]
    if waiting == 0:
        return taken | {"waiting": 0}
    started = time.monotonic()
    with Server(decklog, data, "--table-flush-every", "1s") as server:
        end = time.monotonic() + 120
        while lag(server) > 0:
            if time.monotonic() > end:
                raise RuntimeError(f"still waiting for the table after two minutes: {lag(server)} events")
            time.sleep(0.05)
        cpu, peak = server.usage()
    return {"cpu": taken["cpu"] + cpu, "wall": taken["wall"] + time.monotonic() - started, "peak": max(taken["peak"], peak), "waiting": waiting}


def compact(decklog, data, seconds=180):
    """Merges, and drops the former files: {cpu, wall, peak} and the table's bytes."""
    merged = measure.run([decklog, "table", "compact", "--vacuum-after", "0s", "--data-dir", data, "-q"], seconds)
    return merged | {"bytes": measure.size(os.path.join(data, "table"))}
