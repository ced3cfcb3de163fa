"""Two minutes of webhook batches with the table on: what it costs, how soon events are found, and how far the table is behind."""
import datetime
import http.client
import json
import random
import re
import threading
import time

import decklog_side
import measure

BATCH, PER_SECOND = 400, 50


def batches(path, lap=0):
    """Batches without end: the file's events as of yesterday, with other auditIDs each time round."""
    yesterday = (datetime.date.today() - datetime.timedelta(days=1)).isoformat().encode() + b"T"
    while True:
        with open(path, "rb") as file:
            lines = []
            for line in file:
                lines.append(line.rstrip(b"\n"))
                if len(lines) == BATCH:
                    body = re.sub(rb"2026-11-\d\dT", yesterday, b",".join(lines))
                    yield re.sub(rb'"auditID":"..', b'"auditID":"%02x' % lap, body)
                    lines = []
        lap = (lap + 1) % 256


def event_list(batch):
    return b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[' + batch + b"]}"


class Prober(threading.Thread):
    """Looks for acknowledged events until each is found, about one a second, and notes how long that took."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.newest, self.is_waiting, self.over, self.seconds = None, True, False, []

    def run(self):
        while not self.over:
            asked, self.newest = self.newest, None
            if asked is None:
                self.is_waiting = True
                time.sleep(0.005)
                continue
            self.is_waiting = False
            audit_id, acknowledged = asked
            while True:
                self.connection.request("GET", f"/api/v1/events?filter=auditID:{audit_id}&limit=1")
                answer = self.connection.getresponse()
                content = answer.read()
                if answer.status == 200 and json.loads(content)["items"]:
                    break
                if answer.status != 200 or time.monotonic() > acknowledged + 30:
                    acknowledged -= 30  # an error counts as not found
                    break
            self.seconds.append(time.monotonic() - acknowledged)
            time.sleep(1)


def sustained(decklog, path, data, seconds):
    """Sends at a steady rate on one connection; see the keys of what comes back."""
    with decklog_side.Server(decklog, data) as server:
        prober = Prober(server.port)
        prober.start()
        sender = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        latencies, sent, late, started = [], 0, 0, time.monotonic()
        cpu = server.usage()[0]
        for number, body in enumerate(batches(path)):
            due = started + number / PER_SECOND
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            if time.monotonic() - started > seconds:
                break
            late = max(late, -wait)
            body = event_list(body)
            before = time.perf_counter()
            sender.request("POST", "/ingest/webhook/bench", body, {"Content-Type": "application/json"})
            answer = sender.getresponse()
            answer.read()
            latencies.append((time.perf_counter() - before) * 1e3)
            if answer.status != 200:
                raise RuntimeError(f"batch {number} was answered by {answer.status}")
            sent += BATCH
            if prober.is_waiting and prober.newest is None:
                at = [match.start() for match in re.finditer(rb'"auditID":"', body)][random.randrange(BATCH)] + 11
                prober.newest = (body[at:at + 36].decode(), time.monotonic())
        wall = time.monotonic() - started
        behind = decklog_side.info(decklog, data)["behind"]
        prober.over = True
        cpu, peak = server.usage()[0] - cpu, server.usage()[1]
        prober.join(60)
        status, content, _ = server.request("GET", "/api/v1/extent")
        stored = json.loads(content)["events"]
    found = decklog_side.info(decklog, data)
    return {
        "sent": sent, "stored": stored, "wall": wall, "cpu": cpu, "peak": peak, "p50": measure.median(latencies), "p99": measure.at_share(latencies, 0.99),
        "worst": max(latencies), "late": late, "probes": len(prober.seconds), "found_worst": max(prober.seconds), "found_p50": measure.median(prober.seconds),
        "behind": behind, "files": found["files"], "versions": found["version"],
    }
