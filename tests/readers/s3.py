#!/usr/bin/env python3
"""decklog's table on S3 (moto), first as it should be, then behind a proxy that answers 409, 412, 500, 503 or waits.

    s3.py [--decklog bin/decklog] [--seed N] [--share 0.15]

A server with `--table s3://…` takes two recorded logs in pieces and flushes each second, answers by filter and by SQL while
faults go on, and is stopped; `decklog table compact` merges. No event may be missing or there twice: by decklog's
answers, and by what polars reads from moto itself, past the proxy. Ends with a line `N passed, 0 failed`; the suite `s3`.
"""
import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

import check
import figures
from faulty import Proxy

N_PIECES = 10


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, condition, seconds=120):
    """Waits for a condition; what is not so by then is an error."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def get(port, path, method="GET"):
    """Status and body; status 0 where nobody answers."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""


class Server:
    """`decklog serve` with its table at an S3 place."""

    def __init__(self, decklog, data, place, environment):
        self.port = free_port()
        self.log = open(os.path.join(os.path.dirname(data), "serve.log"), "ab")
        self.process = subprocess.Popen(
            [decklog, "serve", "--data-dir", data, "--listen", f"127.0.0.1:{self.port}", "--table", place, "--table-flush-every", "1s", "--redact", "off"],
            env=environment, stdout=self.log, stderr=self.log)
        until("decklog is ready", lambda: get(self.port, "/readyz")[0] == 200)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def is_tabled(self):
        """Nothing waits for the table any more."""
        lags = [line.split()[-1] for line in get(self.port, "/metrics")[1].splitlines() if line.startswith('decklog_reader_lag_events{reader="table"}')]
        return lags and float(lags[0]) == 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def answers(decklog, url, expected, report, when):
    """What a server says, against the log."""
    report.equal(f"{when}, search --count", int(check.run(decklog, "search", "--count", "--stages", "all", "--server", url).split()[0]), expected["rows"])
    query = "SELECT count(*) AS n, count(DISTINCT seq) AS places, count(DISTINCT audit_id) AS ids FROM events"
    try:
        row = json.loads(check.run(decklog, "sql", query, "-o", "json", "--server", url))
        found = [row["n"], row["places"], row["ids"]]
    except RuntimeError as error:  # the rest is worth knowing all the same
        found = str(error)
    report.equal(f"{when}, sql", found, [expected["rows"], expected["rows"], expected["audit_ids"]])


def as_polars_reads(place, moto, expected, report, when):
    """The table alone, read from moto itself."""
    import polars as pl

    options = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "aws_region": "us-east-1", "aws_endpoint_url": f"http://127.0.0.1:{moto}", "aws_allow_http": "true"}
    frame = pl.read_delta(place, storage_options=options, columns=["seq", "audit_id", "time"])
    found = [frame.height, frame["seq"].n_unique(), frame["audit_id"].n_unique(), int(frame["time"].dt.epoch("us").min()), int(frame["time"].dt.epoch("us").max())]
    report.equal(f"{when}, polars from S3", found, [expected["rows"], expected["rows"], expected["audit_ids"], expected["first"], expected["last"]])


def round_of(name, share, options, moto, lines, expected, folder, report):
    """Everything once, with this share of faults."""
    data, place = os.path.join(folder, name), f"s3://audit/{name}"
    os.makedirs(data)
    proxy = Proxy(moto, options.seed, share)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DECKLOG_")} | {
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}", "AWS_ALLOW_HTTP": "true"}
    server = Server(options.decklog, os.path.join(data, "data"), place, environment)
    try:
        for number in range(N_PIECES):
            piece = os.path.join(folder, "piece.log")
            with open(piece, "w", encoding="utf-8", newline="\n") as file:
                file.writelines(lines[number::N_PIECES])
            check.run(options.decklog, "import", piece, "--server", server.url, "--quiet")
            until(f"piece {number} is in the table", server.is_tabled)
        answers(options.decklog, server.url, expected, report, f"{name}, written")
        report.equal(f"{name}, exit code of the server", server.stop(), 0)
        as_polars_reads(place, moto, expected, report, f"{name}, written")
        compacted = 1
        for _ in range(10):  # a store that fails too often in a row makes it say so; asked again it goes on
            compacted = subprocess.run(
                [options.decklog, "table", "compact", "--vacuum-after", "0s", "--data-dir", os.path.join(data, "data"), "--table", place, "--quiet"],
                env=environment, stdout=server.log, stderr=server.log).returncode
            as_polars_reads(place, moto, expected, report, f"{name}, after compact")
            if compacted == 0:
                break
        report.equal(f"{name}, exit code of compact", compacted, 0)
        server = Server(options.decklog, os.path.join(data, "data"), place, environment)
        answers(options.decklog, server.url, expected, report, f"{name}, compacted")
    except Exception:
        print(open(server.log.name, encoding="utf-8", errors="replace").read()[-3000:])
        raise
    finally:
        server.process.kill()
        proxy.shutdown()
    print(f"shown: {name}: faults {dict(proxy.faults)}")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--decklog", default=os.path.join(check.ROOT, "bin", "decklog"))
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--share", type=float, default=0.15)
    options = options.parse_args()
    report = check.Report()
    moto = free_port()
    with tempfile.TemporaryDirectory(prefix="decklog-s3-") as folder:
        moto_server = subprocess.Popen(
            [os.path.join(os.path.dirname(sys.executable), "moto_server"), "-H", "127.0.0.1", "-p", str(moto)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until("moto answers", lambda: get(moto, "/audit", "PUT")[0] == 200)
            logs = []
            for name in check.LOGS:
                logs.append(os.path.join(folder, f"{name}.log"))
                check.run("zstd", "-qd", os.path.join(check.ROOT, "tests", "data", name, "audit.log.zst"), "-o", logs[-1])
            expected, _ = figures.of_log(logs)
            lines = [line for log in logs for line in open(log, encoding="utf-8", newline="\n")]
            for name, share in (("well", 0.0), ("faulty", options.share)):
                try:
                    round_of(name, share, options, moto, lines, expected, folder, report)
                except (RuntimeError, ValueError, OSError) as error:
                    report.equal(f"{name} goes through", str(error), "all of it")
        finally:
            moto_server.kill()
    print(f"{report.passed} passed, {report.failed} failed")
    sys.exit(report.failed > 0)


if __name__ == "__main__":
    main()
