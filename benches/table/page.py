"""docs/measured/table.md: figures, ratios, targets, met or missed."""
import os
import re

import measure
import questions

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEAD = """# The table beside its peers

Written by `make bench`. {when} Files: **1m**, {n_metadata:,}
events at level Metadata, and **rr**, {n_bodies:,} at RequestResponse, amplified from recorded ones, so they repeat more than a real
cluster's and flatter everybody's bytes; the recorded logs stand beside.

| | what it promises when it is done |
| --- | --- |
| decklog import | every event is acknowledged after the journal is synced; then the Parquet file is synced, then the commit that names it. The line comes back byte for byte; redaction on |
| DuckDB to Parquet | one file at the end, synced once by our script; nothing is safe before. Read in process, no HTTP |
| ClickHouse (chDB) | parts synced after each insert by a setting that is off by default, then merged to one. Read in process, no HTTP |
{peers}| zstd -3 | nothing, and answers nothing |

decklog is asked through `decklog serve` over loopback HTTP, answers in JSON included. {engines}
"""
PEERS = """| OpenSearch 2.19.1 | its translog is synced before each `_bulk` is answered (its default); what searches read is written later. Asked over loopback HTTP |
| Loki v3.7.8 | **not synced**: a push is answered when it is in memory and written to a log that is not synced for it. Asked over loopback HTTP |
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


def of_peers(found, n_events, targets):
    """Loki and OpenSearch."""
    rows, mb_rates = [], {}
    for who, sizes in found["import"].items():
        for size, one in sizes.items():
            mb = one["mb"]
            mb_rates[who, size] = mb / one["cpu"]
            finished = one.get("flushed_cpu") or one["merged_cpu"]
            rows.append((f"{size}: {who}", f"{mb / one['cpu']:.1f}", f"{mb / finished:.1f}", f"{one['wall']:.1f}", f"{one['p50']:.0f} / {one['p99']:.0f}", f"{one['peak']:.0f}", f"{one['bytes'] / n_events[size]:.1f}"))
    rows += [(f"{size}: decklog", f"{rate:.1f}", "", "", "", "", "") for size, rate in found["decklog"].items()]
    for size, rate in found["decklog"].items():
        targets.add(f"import {size}, MB per CPU second, to Loki's", rate / mb_rates["Loki", size], 1.2, at_least=True)
    targets.add("import 1m, MB per CPU second, to OpenSearch's", found["decklog"]["1m"] / mb_rates["OpenSearch", "1m"], 7, at_least=True)
    batches, loki = found["import"]["OpenSearch"]["1m"]["batches"], found["import"]["Loki"]["1m"]
    synced = batches["events"] / batches["cpu"]
    targets.add("events acknowledged per CPU second (of `bench ingest`), to OpenSearch's synced batches", of_ingest("decklog", 1) / synced, 10, at_least=True)
    targets.add("events acknowledged per CPU second (of `bench ingest`), to Loki's, which are not synced", of_ingest("decklog", 1) / (n_events["1m"] / loki["cpu"]), 2, at_least=True)
    out = ["## Loki and OpenSearch", "", table("|MB per CPU second, acknowledged|the same, flushed or merged|wall s|ms of a request, p50 / p99|peak MiB|bytes per event", rows), "",
           "Loki: 1,000 events a push on four connections; OpenSearch: 1,000 a `_bulk` on two. Bytes are of Loki's chunks and index after a flush, and of OpenSearch's index merged to one segment.",
           f"OpenSearch, 400 events a `_bulk` on one connection by the same, warm process: {synced:,.0f} events per CPU second, {batches['p50']:.1f} ms, p99 {batches['p99']:.1f}.", ""]
    rows = []
    for name, one in sorted(found["questions"].items()):
        ours = one["decklog"]
        cells = [f"{one['peers'][who]['cold']:.0f} / {one['peers'][who]['warm']:.1f}" if who in one["peers"] else "not asked" for who in ("Loki", "OpenSearch")]
        mine = f"{ours['cold']['decklog']:.0f} / {ours['warm']['decklog']:.1f}" if "decklog" in ours["cold"] else "no answer"
        agree = all(peer["agree"] for peer in one["peers"].values())
        rows.append((f"{name} {questions.MEANING[name]}", mine, *cells, "the same" if agree else "**not the same**"))
        targets.fact(f"{name}: Loki and OpenSearch, where asked, answer the same", agree)
        if name in LOKI_BOUNDS and "Loki" in one["peers"]:
            targets.add(f"{name} warm, Loki's time to decklog's", one["peers"]["Loki"]["warm"] / ours["warm"]["decklog"] if "decklog" in ours["warm"] else 0, LOKI_BOUNDS[name], at_least=True)
    return out + [table("cold / warm in ms|decklog|Loki|OpenSearch|answers", rows), "",
                  "Each of the two is started again after its import and stays up for all questions; cold is the first time that a question is asked, its files dropped from the page cache. LogQL cannot ask Q6, and "
                  "OpenSearch's flat field cannot group as Q9 does."]


LOKI_BOUNDS = {"Q1": 5, "Q2": 5, "Q3": 5, "Q4": 5, "Q7": 5, "Q5": 1, "Q8": 1}


def of_growth(found, targets):
    def name_of(one):
        return f"{one['events'] / 1e6:g} million"

    rows = [(name_of(one), f"{one['asked']['auditID']:.0f}", f"{one['asked']['object']:.0f}", f"{one['asked']['peak']:.0f}",
             f"{one['import']['peak']:.0f}" if one["import"] else "see above", f"{one['merged']['peak']:.0f}", one["info"]["files"], one["info"]["bytesPerEvent"]) for one in found]
    smallest = found[0]
    for largest in found[1:]:
        what = f"growth from {smallest['events'] / 1e6:g} to {name_of(largest)}"
        for name in ("auditID", "object"):
            targets.add(f"{what}, {name}: warm time to warm time", largest["asked"][name] / smallest["asked"][name], 2)
        if largest["import"]:
            targets.add(f"{what}: peak memory of import in MiB", largest["import"]["peak"], 512, digits=0)
        targets.add(f"{what}: the server's memory", largest["asked"]["peak"] / smallest["asked"]["peak"], 1.5)
    slopes = []
    if len(found) > 1:
        n_more = (found[-1]["events"] - smallest["events"]) / 1e6
        slopes = ["", "For each million more: " + ", ".join(f"{name} {(found[-1]['asked'][name] - smallest['asked'][name]) / n_more:+.2f} ms" for name in ("auditID", "object"))
                  + f", the server's peak {(found[-1]['asked']['peak'] - smallest['asked']['peak']) / n_more:+.1f} MiB."]
    return ["## Growth", "", table("|auditID, warm ms|object, warm ms|server's peak MiB|import's peak MiB|compaction's peak MiB|files|bytes per event", rows), *slopes]


def of_hostile(one, targets):
    idle, attacked, faults = one["idle"], one["attacked"], [result for result in one["results"] if result["end"] == "FAULT"]
    targets.fact(f"hostile questions: all {one['questions']} answered, refused or left", not faults and len(one["results"]) == one["questions"])
    targets.fact("hostile questions: the server lives", one["deaths"] == 0)
    targets.add("hostile questions: the server's peak memory in MiB", one["peak"], 2048, digits=0)
    targets.add("hostile questions: webhook batches that were not acknowledged", one["not_acknowledged"], 0, digits=0)
    targets.fact("hostile questions: every acknowledged event is there, once", one["stored"] == one["sent"])
    targets.add("hostile questions: p99 of webhook batches, to its idle value", attacked["p99"] / idle["p99"], 2)
    rows = [("without questions", idle["batches"], f"{idle['p50']:.1f}", f"{idle['p99']:.1f}", f"{idle['worst']:.0f}"),
            ("with them", attacked["batches"], f"{attacked['p50']:.1f}", f"{attacked['p99']:.1f}", f"{attacked['worst']:.0f}")]
    results = [(result["name"], end_of(result), f"{result['seconds']:.1f}", f"{result['n_bytes'] / 1e6:.1f}", f"{result['webhook_worst']:.0f}") for result in one["results"]]
    end = f" A simple search afterwards takes {one['after_ms']:.0f} ms." if one["after_ms"] is not None else ""
    deaths = f" **The server died {one['deaths']} times** ({one['kills']} killed by the kernel for want of memory) and was started again for the questions that were left." if one["deaths"] else ""
    return ["## Hostile questions", "", f"{one['questions']} questions, {one['at_once']} at once, for {one['seconds']:.0f} s, of a table of {one['events']:,} events, in a server limited to 2 GiB ({one['limit']}; page cache counts). "
            f"Its own peak was {one['peak']:.0f} MiB.{deaths}{end} Webhook batches of 400 came all the time, 8 a second:", "", table("ms until acknowledged|batches|p50|p99|worst", rows), "",
            table("question|what became of it|s|MB|worst batch meanwhile, ms", results)]


def end_of(result):
    """What became of a question, in words that fit into a table."""
    again = f" (asked {result['asked']} times)" if result["asked"] > 1 else ""
    end = "**FAULT**" if result["end"] == "FAULT" else result["end"]
    return (end + (f": {result['detail']}" if result["detail"] else "") + again).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def written(kept):
    """The page of these parts, and what was missed. A part is {run, commit, load, minutes, n_events, found}."""
    targets, parts = Targets(), []
    n_events = next(iter(kept.values()))["n_events"]
    writers = {"import": lambda one: of_import(one, n_events, targets), "questions": lambda one: of_questions(one, targets), "peers": lambda one: of_peers(one, n_events, targets),
               "intake": lambda one: of_intake(one, targets), "growth": lambda one: of_growth(one, targets), "hostile": lambda one: of_hostile(one, targets)}
    for part, write in writers.items():
        if part in kept:
            parts += write(kept[part]["found"]) + [""]
    ratios = ["## Targets", "", "| of decklog | measured | target | |", "| --- | ---: | --- | --- |", *targets.rows]
    head = HEAD.format(when=when(kept), n_metadata=n_events["1m"], n_bodies=n_events["rr"], peers=PEERS if "peers" in kept else "",
                       engines="So are Loki and OpenSearch." if "peers" in kept else "Loki and OpenSearch are not in this run (`DECKLOG_SOAK=1 make bench` has them).")
    last = list(kept.values())[-1]
    minutes = sum({one["run"]: one["minutes"] for one in kept.values()}.values())
    tail = f"\n{os.cpu_count()} cores, load {last['load']} over the last 15 minutes, {minutes:.0f} minutes in all.\n"
    return head + "\n" + "\n".join(ratios) + "\n\n" + "\n".join(parts) + tail, targets.missed


def when(kept):
    """Whether it was one run, and where not, which part is of which."""
    if len({one["run"] for one in kept.values()}) == 1:
        return "Everything was measured in one run on the same files, one program after the other."
    return ("**Parts are of different runs**, so compare only inside a part: " + "; ".join(f"{part} of {one['run']} (commit {one['commit']}, load {one['load']})" for part, one in kept.items())
            + ". Inside each the same files were taken, one program after the other.")
