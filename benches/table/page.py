"""docs/measured/table.md: figures, ratios, targets, met or missed."""
import os
import re
import time

import measure
import questions

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEAD = """# The table beside its peers

Written by `make bench`. Everything was measured in one run on the same files, one program after the other. Files: **1m**, 1,000,000
events at level Metadata, and **rr**, 200,000 at RequestResponse, amplified from recorded ones, so they repeat more than a real
cluster's and flatter everybody's bytes; the recorded logs stand beside.

| | what it promises when it is done |
| --- | --- |
| decklog import | every event is acknowledged after the journal is synced; then the Parquet file is synced, then the commit that names it. The line comes back byte for byte; redaction on |
| DuckDB to Parquet | one file at the end, synced once by our script; nothing is safe before. Read in process, no HTTP |
| ClickHouse (chDB) | parts synced after each insert by a setting that is off by default, then merged to one. Read in process, no HTTP |
| zstd -3 | nothing, and answers nothing |

decklog is asked through `decklog serve` over loopback HTTP, answers in JSON included. Loki and OpenSearch are not in this run.
"""


class Targets:
    """Ratios with their bounds, as rows of a table; `missed` names those that do not hold."""

    def __init__(self):
        self.rows, self.missed = [], []

    def add(self, what, value, bound, at_least=False, digits=2):
        met = value >= bound if at_least else value <= bound
        if not met:
            self.missed.append(f"{what}: {value:.{digits}f}, {'at least' if at_least else 'at most'} {bound:g}")
        self.rows.append(f"| {what} | {value:.{digits}f} | {'at least' if at_least else 'at most'} {bound:g} | {'met' if met else '**missed**'} |")

    def fact(self, what, holds):
        if not holds:
            self.missed.append(what)
        self.rows.append(f"| {what} | {'yes' if holds else 'no'} | yes | {'met' if holds else '**missed**'} |")


def table(head, rows):
    titles = head.split("|")
    return "\n".join([f"| {' | '.join(titles)} |", "| --- |" + " ---: |" * (len(titles) - 1), *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def of_import(found, n_events, targets):
    out = ["## Import, to acknowledged and in the table", ""]
    rows = []
    for name in ("1m", "rr"):
        facts, rate = found[name], {}
        for who, rounds in facts["rounds"].items():
            cpu = measure.median([one["cpu"] for one in rounds])
            rate[who] = facts["mb"] / cpu
            rows.append((f"{name}: {who}", f"{rate[who]:.0f}", f"{measure.median([one['wall'] for one in rounds]):.1f}", f"{max(one['peak'] for one in rounds):.0f}"))
        one = facts["clickhouse"]
        rows.append((f"{name}: ClickHouse, merged", f"{facts['mb'] / one['cpu']:.0f}", f"{one['wall']:.1f}", f"{one['peak']:.0f}"))
        rows.append((f"{name}: zstd -3 -c", f"{facts['mb'] / facts['zstd']['cpu']:.0f}", f"{facts['zstd']['wall']:.1f}", f"{facts['zstd']['peak']:.0f}"))
        rows.append((f"{name}: `decklog table compact` afterwards", f"{facts['mb'] / facts['merged']['cpu']:.0f}", f"{facts['merged']['wall']:.1f}", f"{facts['merged']['peak']:.0f}"))
        targets.add(f"import {name}, MB per CPU second, to DuckDB's typed Parquet", rate["decklog"] / rate["DuckDB"], 0.6, at_least=True)
        targets.add(f"import {name}, peak memory in MiB", max(one["peak"] for one in facts["rounds"]["decklog"]), 512, digits=0)
    out.append(table("|MB per CPU second|wall s|peak MiB", rows))
    waiting = found["1m"]["rounds"]["decklog"][-1]["waiting"]
    out.append(f"\ndecklog's figures are of `import` and of writing what it left waiting ({waiting:,} events of 1m), done by a server with `--table-flush-every 1s`.")
    out += ["", "## Bytes per event, after compaction", ""]
    rows = [(f"{name}: {who}", f"{n / n_events[name]:.1f}", f"{n / found[name]['bytes']['zstd -3 of the file']:.2f}") for name in ("1m", "rr") for who, n in found[name]["bytes"].items()]
    out.append(table("|bytes per event|to zstd -3", rows))
    size = found["1m"]["bytes"]
    targets.add("bytes per event 1m, to zstd -3 of the file", size["decklog"] / size["zstd -3 of the file"], 0.7)
    targets.add("bytes per event 1m, to DuckDB's shredded Parquet", size["decklog"] / size["DuckDB, shredded (no line)"], 1.5)
    size = found["rr"]["bytes"]
    targets.add("bytes per event rr, to zstd -3 of the file", size["decklog"] / size["zstd -3 of the file"], 0.85)
    out += ["", "Shredding rr into columns costs DuckDB six times the processor time and twice the bytes of keeping the line, so it is not in this table.", "",
            "Recorded logs, each a table of its own (small: footers, bloom filters and word indexes weigh more):", ""]
    rows = [(f"`tests/data/{name}`", f"{one['events']:,}", f"{one['mb']:.1f}", f"{one['decklog'] / one['events']:.0f}", f"{one['zstd'] / one['events']:.0f}",
             f"{one['decklog'] / one['zstd']:.2f}") for name, one in found["recorded"].items()]
    out.append(table("|events|MB|decklog, bytes per event|zstd -3|ratio", rows))
    return out


BOUNDS = {  # warm or cold, against whom, at most
    "Q1": ("warm", "DuckDB", 2), "Q2": ("warm", "DuckDB", 2), "Q5": ("warm", "DuckDB", 2), "Q6": ("warm", "DuckDB", 2), "Q3": ("warm", "DuckDB", 0.3),
    "Q4": ("warm", "DuckDB", 0.25), "Q7": ("cold", "ClickHouse", 1), "Q8": ("cold", "DuckDB", 0.75), "Q9": ("warm", "DuckDB", 1),
}


def of_questions(found, targets):
    rows = []
    for name, one in found.items():
        cells = [f"{one['cold'][who]:.0f} / {one['warm'][who]:.1f}" if who in one["cold"] else "no answer" for who in ("decklog", "DuckDB", "ClickHouse")]
        rows.append((f"{name} {questions.MEANING[name]}", *cells, one["rows"], "the same" if one["agree"] else "**not the same**", f"{one['peak']:.0f}"))
        when, who, bound = BOUNDS[name]
        targets.add(f"{name} {when}, to {who}", one[when]["decklog"] / one[when][who] if "decklog" in one[when] else float("inf"), bound)
        targets.fact(f"{name}: all engines answer the same", one["agree"])
    return ["## The nine questions, cold / warm in ms", "", table("|decklog|DuckDB Parquet|ClickHouse|rows|answers|decklog's peak MiB", rows),
            "", "Cold: the first answer of a process whose files were dropped from the page cache. Warm: the median of the next five; the same words again, which "
            "ClickHouse may answer from its cache of conditions."]


def of_ingest(who, column):
    """A figure of the page that `make bench` wrote about taking events in: column 1 is events per CPU second, 2 is p50 in ms."""
    page = open(os.path.join(ROOT, "docs", "measured", "ingest.md"), encoding="utf-8").read()
    return float(re.search(rf"^\| {who} \|(.*)", page, re.M).group(1).split("|")[column - 1])


def of_intake(one, targets):
    parts, clickhouse = of_ingest("sum of parts", 2), one["clickhouse"]
    rows = [("events sent and acknowledged", f"{one['sent']:,}"), ("found at the end", f"{one['stored']:,}"), ("events a second", f"{one['sent'] / one['wall']:,.0f}"),
            ("processor seconds of the server, table and compaction included", f"{one['cpu']:.1f}"), ("acknowledged in ms, p50 / p99 / worst", f"{one['p50']:.2f} / {one['p99']:.2f} / {one['worst']:.0f}"),
            ("an event is found after its acknowledgement in ms, p50 / worst of " + str(one["probes"]), f"{one['found_p50'] * 1e3:.0f} / {one['found_worst'] * 1e3:.0f}"),
            ("behind the table at the end", f"{one['behind']['events']:,} events, {one['behind']['bytes'] / 2**20:.1f} MiB, {one['behind']['seconds']} s"),
            ("files and versions of the table at the end", f"{one['files']}, {one['versions']}"), ("peak MiB of the server", f"{one['peak']:.0f}"),
            ("events per CPU second, all of that included", f"{one['sent'] / one['cpu']:,.0f}"),
            ("ClickHouse: events per CPU second of synced inserts of 400, without HTTP", f"{clickhouse['events'] / clickhouse['cpu']:,.0f}"),
            ("ClickHouse: ms of an insert, p50 / p99", f"{clickhouse['p50']:.1f} / {clickhouse['p99']:.1f}")]
    targets.fact("intake: every acknowledged event is there, once", one["sent"] == one["stored"])
    targets.add("intake: an acknowledged event is found within, s", one["found_worst"], 1)
    targets.add("intake: journal behind the table at the end, MiB", one["behind"]["bytes"] / 2**20, 64)
    targets.add("intake: journal behind the table at the end, s", one["behind"]["seconds"], 60)
    rate = of_ingest("decklog", 1) / (clickhouse["events"] / clickhouse["cpu"])
    targets.add("events acknowledged per CPU second (of `bench ingest`), to ClickHouse's synced inserts", rate, 10, at_least=True)
    targets.add("intake: p50 of a batch while it is tabled and merged, to the sum of parts (of `bench ingest`)", one["p50"] / parts, 3)
    targets.add("intake: p99, to the same", one["p99"] / parts, 12)
    return [f"## Webhook batches for {one['wall']:.0f} s with the table on", "", "Batches of 400 at 50 a second on one connection, a search a second beside it.", "", table("|", rows)]


def of_growth(found, targets):
    rows = [(f"{n} million", f"{one['asked']['auditID']:.0f}", f"{one['asked']['object']:.0f}", f"{one['asked']['peak']:.0f}",
             f"{one['import'].get('peak', 0):.0f}" if one["import"] else "see above", f"{one['merged']['peak']:.0f}", one["info"]["files"], one["info"]["bytesPerEvent"]) for n, one in found.items()]
    smallest, largest = min(found), max(found)
    for name in ("auditID", "object"):
        ratio = found[largest]["asked"][name] / found[smallest]["asked"][name]
        targets.add(f"growth from {smallest} to {largest} million, {name}: warm time to warm time", ratio, 2)
    targets.add(f"growth from {smallest} to {largest} million: the server's memory", found[largest]["asked"]["peak"] / found[smallest]["asked"]["peak"], 1.5)
    return ["## Growth", "", table("|auditID, warm ms|object, warm ms|server's peak MiB|import's peak MiB|compaction's peak MiB|files|bytes per event", rows)]


def written(found, n_events, began):
    """The page, and what was missed."""
    targets, parts = Targets(), []
    if "import" in found:
        parts += of_import(found["import"], n_events, targets) + [""]
    if "questions" in found:
        parts += of_questions(found["questions"], targets) + [""]
    if "intake" in found:
        parts += of_intake(found["intake"], targets) + [""]
    if "growth" in found:
        parts += of_growth(found["growth"], targets) + [""]
    load = open("/proc/loadavg").read().split()[2]
    ratios = ["## Targets", "", "| of decklog | measured | target | |", "| --- | ---: | --- | --- |", *targets.rows]
    tail = f"\n{os.cpu_count()} cores, load {load} over the last 15 minutes, {(time.monotonic() - began) / 60:.0f} minutes in all.\n"
    return HEAD + "\n" + "\n".join(ratios) + "\n\n" + "\n".join(parts) + tail, targets.missed
