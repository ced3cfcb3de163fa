#!/usr/bin/env python3
"""Other engines read decklog's table as it is, and find what the log holds.

    check.py [--decklog bin/decklog] [ENGINE…]      duckdb clickhouse polars; spark with $DELTA_JARS

Imports two recorded logs one after the other, so that the table has several files and commits, and asks every engine the
questions of figures.py: after the imports, and again after `decklog table compact --vacuum-after 0s`. What they say must
equal the figures worked out from the log with Python's json, and what decklog's own `search` and `sql` say. Redaction is
off, since the bodies are compared byte for byte. Ends with a line `N passed, 0 failed`; run by the suite `readers`.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import figures

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LOGS = ("attack", "benign")


class Report:
    """Counts checks, and says of each failed one what was expected."""

    def __init__(self):
        self.passed = self.failed = 0

    def equal(self, what, found, expected):
        if found == expected:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}\n  found    {json.dumps(found)[:300]}\n  expected {json.dumps(expected)[:300]}")


def run(*command):
    """The command's stdout; its stderr becomes the message when it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:3])}: exit code {done.returncode}: {(done.stderr + done.stdout)[-1500:]}")
    return done.stdout


def of_decklog(decklog, data, expected, report, when):
    """What decklog itself answers, by filter and by SQL."""
    report.equal(f"{when}, search --count", int(run(decklog, "search", "--count", "--stages", "all", "--data-dir", data).split()[0]), expected["rows"])

    def sql(query):
        return [json.loads(row) for row in run(decklog, "sql", query, "-o", "json", "--limit", "0", "--data-dir", data).splitlines()]

    totals, = sql("SELECT count(*) AS n, count(DISTINCT audit_id) AS ids, min(time) AS first, max(time) AS last FROM events")
    report.equal(f"{when}, sql rows", totals["n"], expected["rows"])
    report.equal(f"{when}, sql audit_ids", totals["ids"], expected["audit_ids"])
    report.equal(f"{when}, sql times", [figures.micros(totals["first"]), figures.micros(totals["last"])], [expected["first"], expected["last"]])
    verbs = sql("SELECT verb, count(*) AS n FROM events GROUP BY verb")
    report.equal(f"{when}, sql verbs", figures.pairs({row.get("verb"): row["n"] for row in verbs}), expected["verbs"])
    outcomes = sql("SELECT stage, code, count(*) AS n FROM events GROUP BY stage, code")
    report.equal(f"{when}, sql outcomes", figures.pairs({f'{row["stage"]} {row.get("code")}': row["n"] for row in outcomes}), expected["outcomes"])


def protocol(table):
    """The newest [minReaderVersion, minWriterVersion] and the features asked for, from the log of commits."""
    newest = None
    log = os.path.join(table, "_delta_log")
    for name in sorted(os.listdir(log)):
        if name.endswith(".json"):
            for line in open(os.path.join(log, name), encoding="utf-8"):
                newest = json.loads(line).get("protocol", newest)
    return newest


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--decklog", default=os.path.join(ROOT, "bin", "decklog"))
    options.add_argument("engines", nargs="*", default=["duckdb", "clickhouse", "polars"])
    options = options.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="decklog-readers-") as folder:
        data, table, logs = os.path.join(folder, "data"), os.path.join(folder, "data", "table"), []
        for name in LOGS:
            packed = os.path.join(ROOT, "tests", "data", name, "audit.log.zst")
            logs.append(os.path.join(folder, f"{name}.log"))
            run("zstd", "-qd", packed, "-o", logs[-1])
            run(options.decklog, "import", packed, "--data-dir", data, "--redact", "off", "--quiet")
        expected, largest_id = figures.of_log(logs)
        for when in ("imported", "compacted"):
            if when == "compacted":
                run(options.decklog, "table", "compact", "--vacuum-after", "0s", "--data-dir", data, "--quiet")
            try:
                of_decklog(options.decklog, data, expected, report, when)
            except (RuntimeError, ValueError, KeyError) as error:
                report.equal(f"{when}, decklog answers", str(error), "an answer")
            asked = protocol(table)
            report.equal(f"{when}, protocol", asked, {"minReaderVersion": 1, "minWriterVersion": 2})
            for engine in options.engines:
                try:
                    found = json.loads(run(sys.executable, os.path.join(HERE, "engines.py"), engine, table, largest_id).splitlines()[-1])
                except (RuntimeError, ValueError) as error:
                    report.equal(f"{when}, {engine} reads it", str(error), "an answer")
                    continue
                for name in figures.NAMES:
                    report.equal(f"{when}, {engine} {name}", found[name], expected[name])
    print(f"{report.passed} passed, {report.failed} failed")
    sys.exit(report.failed > 0)


if __name__ == "__main__":
    main()
