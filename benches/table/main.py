#!/usr/bin/env python3
"""The table beside its peers, in one run: import, bytes, the nine questions, webhook intake, growth; with --soak also Loki and
OpenSearch, growth to 20 million, and hostile questions.

    main.py --decklog BIN --duckdb PYTHON --clickhouse PYTHON --folder FOLDER [--soak --loki BIN --opensearch FOLDER] [--only PART…]
    main.py … --page        measures nothing: the page of what was kept

FOLDER holds metadata-1000000.log and bodies-200000.log, and takes what is made. Prints what it finds as it goes, writes
docs/measured/table.md when all parts were measured, and fails if a target is missed. Each part makes the data it needs where they
are not there (`--keep` leaves them for the next run), and what it found is kept in FOLDER/found/PART.json: a page of several
runs says so. Started by `make bench` (scripts/bench).
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import time

import decklog_side
import growth
import hostile
import intake
import loki_peer
import measure
import opensearch_peer
import page
import questions

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PARTS = ("import", "questions", "intake", "growth")
SOAK_PARTS = ("import", "questions", "peers", "intake", "growth", "hostile")
N_WARM = 5


class Bench:
    def __init__(self, options):
        self.options, self.decklog = options, options.decklog
        self.work, self.kept = os.path.join(options.folder, "table"), os.path.join(options.folder, "found")
        if not options.keep and not options.page:
            shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work, exist_ok=True)
        os.makedirs(self.kept, exist_ok=True)
        self.files = {"1m": os.path.join(options.folder, "metadata-1000000.log"), "rr": os.path.join(options.folder, "bodies-200000.log")}
        self.n_events = {name: sum(1 for _ in open(path, "rb")) for name, path in self.files.items()}
        self.constants = questions.constants(self.files["1m"], self.files["rr"], self.n_events["1m"], self.n_events["rr"])
        self.began, self.run, self.found = time.monotonic(), time.strftime("%Y-%m-%d %H:%M"), {}

    def say(self, text):
        load = open("/proc/loadavg").read().split()[0]
        print(f"[{time.monotonic() - self.began:5.0f} s, load {load}] {text}", flush=True)

    def at(self, name):
        return os.path.join(self.work, name)

    def duckdb(self, *arguments):
        return measure.run([self.options.duckdb, os.path.join(HERE, "duckdb_peer.py"), *map(str, arguments)])

    def clickhouse(self, *arguments):
        done = measure.run([self.options.clickhouse, os.path.join(HERE, "clickhouse_peer.py"), *map(str, arguments)], cwd="/")
        return done | {"out": next(line[7:] for line in done["out"].splitlines() if line.startswith("ANSWER "))}

    def imports(self):
        """decklog and DuckDB in turns, ClickHouse once; the last round's data stay for what follows."""
        found = {}
        for name, path in self.files.items():
            rounds = {"decklog": [], "DuckDB": []}
            for number in range(self.options.rounds):
                data, parquet = self.at(f"decklog-{name}"), self.at(f"{name}.parquet")
                shutil.rmtree(data, ignore_errors=True)
                rounds["decklog"].append(decklog_side.import_and_table(self.decklog, path, data))
                rounds["DuckDB"].append(self.duckdb("import", path, parquet))
                self.say(f"import {name}, round {number + 1}: " + ", ".join(f"{who} {r[-1]['cpu']:.1f} CPU s, {r[-1]['peak']:.0f} MiB" for who, r in rounds.items()))
            merged = decklog_side.compact(self.decklog, data)
            clickhouse = self.clickhouse("import", path, self.at(f"clickhouse-{name}"))
            zstd = measure.run(["zstd", "-3", "-q", "-f", path, "-o", self.at("packed.zst")])
            facts = {
                "mb": os.path.getsize(path) / 1e6, "rounds": rounds, "merged": merged, "clickhouse": clickhouse, "zstd": zstd,
                "bytes": {"decklog": merged["bytes"], "zstd -3 of the file": measure.size(self.at("packed.zst")), "DuckDB, typed and the line": measure.size(parquet),
                          "ClickHouse, typed and the line": json.loads(clickhouse["out"])["bytes"]},
            }
            if name == "1m":
                self.duckdb("shred", path, self.at("shredded.parquet"))
                facts["bytes"]["DuckDB, shredded (no line)"] = measure.size(self.at("shredded.parquet"))
            os.remove(self.at("packed.zst"))
            found[name] = facts
            found.setdefault("rates", {})[name] = facts["mb"] / measure.median([one["cpu"] for one in rounds["decklog"]])
            self.say(f"{name}: compacted in {merged['cpu']:.1f} CPU s; bytes per event: " + ", ".join(f"{who} {n / self.n_events[name]:.1f}" for who, n in facts["bytes"].items()))
        found["recorded"] = self.recorded()
        return found

    def recorded(self):
        """Bytes of the recorded logs, which nothing was made of: they are small, so what every file costs weighs more."""
        found = {}
        for name in ("a-all-rr", "b-metadata", "c-gce", "benign", "attack"):
            log, data = self.at(f"{name}.log"), self.at(f"recorded-{name}")
            measure.run(["zstd", "-qdf", os.path.join(ROOT, "tests", "data", name, "audit.log.zst"), "-o", log])
            measure.run([self.decklog, "import", log, "--data-dir", data, "-q"])
            decklog_side.compact(self.decklog, data)
            measure.run(["zstd", "-3", "-q", "-f", log, "-o", f"{log}.zst"])
            info = decklog_side.info(self.decklog, data)
            found[name] = {"events": info["events"], "mb": measure.size(log) / 1e6, "decklog": info["bytes"], "zstd": measure.size(f"{log}.zst")}
        return found

    def questions(self):
        """Each question in fresh processes: once after its files left the page cache, then warm."""
        found = {}
        for name in questions.MEANING:
            size = "rr" if name in questions.OF_BODIES else "1m"
            parquet, folder = self.at(f"{size}.parquet"), self.at(f"clickhouse-{size}")
            asked = {"decklog": lambda: self.ask_decklog(name, size), "DuckDB": lambda: self.ask_in_process(self.duckdb, parquet, questions.duckdb, name),
                     "ClickHouse": lambda: self.ask_in_process(self.clickhouse, folder, questions.clickhouse, name)}
            found[name] = self.compared(name, asked, self.options.rounds)
        return found

    def compared(self, name, asked, n_rounds):
        """Asks the engines in turns. Each of `asked` gives (seconds of the first and of the next answers, rows, peak MiB), or nothing without an answer."""
        cold, warm, rows, peak = {}, {}, {}, 0
        for _ in range(n_rounds):
            for who, ask in asked.items():
                seconds, some, used = ask()
                if seconds:
                    cold.setdefault(who, []).append(seconds[0])
                    warm.setdefault(who, []).extend(seconds[1:] or seconds)
                    rows[who] = some
                if who == "decklog":
                    peak = max(peak, used)
        compared = {who: questions.comparable(name, some) for who, some in rows.items()}
        agree = "decklog" in compared and all(one == compared["DuckDB"] for one in compared.values())
        found = {
            "cold": {who: measure.median(times) * 1e3 for who, times in cold.items()}, "warm": {who: measure.median(times) * 1e3 for who, times in warm.items()},
            "agree": agree, "rows": len(rows["DuckDB"]), "peak": peak, "answer": compared["DuckDB"],
        }
        self.say(f"{name} {questions.MEANING[name]}: " + "; ".join(f"{who} {found['cold'][who]:.0f} / {found['warm'][who]:.1f} ms" for who in cold)
                 + f"; {len(rows['DuckDB'])} rows, {'the same' if agree else 'NOT THE SAME'}")
        if not agree:
            print({who: str(one)[:200] for who, one in compared.items()})
        return found

    def ask_decklog(self, name, size):
        data, answers = self.at(f"decklog-{size}"), []
        measure.forget(data)
        with decklog_side.Server(self.decklog, data) as server:
            measure.forget(data)  # once more: opening reads the footers
            for _ in range(1 + N_WARM):
                try:
                    answers.append(server.ask(*questions.decklog(self.constants)[name]))
                except RuntimeError as error:
                    self.say(f"{name}: {error}")
                    break
            peak = server.usage()[1]
        return [seconds for seconds, _ in answers], answers[-1][1] if answers else None, peak

    def ask_in_process(self, ask, place, words, name):
        measure.forget(place)
        answer = json.loads(ask("ask", place, words(self.constants, "TABLE")[name], 1 + N_WARM)["out"])
        return answer["seconds"], answer["rows"], 0

    def ask_server(self, server, folder, question):
        """Of a peer that stays up: its files leave the page cache, its own caches it keeps."""
        measure.forget(folder)
        answers = [server.ask(question)]
        for _ in range(N_WARM if answers[0][0] < 20 else 0):
            answers.append(server.ask(question))
        return [seconds for seconds, _ in answers], answers[-1][1], 0

    def peers(self):
        """Loki and OpenSearch, imports and questions, one after the other; answers and ratios are of decklog and DuckDB asked in this run."""
        self.need_imported()
        found = {"import": {}, "questions": {}, "decklog": self.found["import"]["rates"] if "import" in self.found else self.rates}
        for size, path in self.files.items():
            ours = [name for name in questions.MEANING if (name in questions.OF_BODIES) == (size == "rr")]
            beside = self.found.get("questions") or {name: self.compared(name, {
                "decklog": lambda: self.ask_decklog(name, size),
                "DuckDB": lambda: self.ask_in_process(self.duckdb, self.at(f"{size}.parquet"), questions.duckdb, name)}, self.options.rounds) for name in ours}
            for engine in (self.loki, self.opensearch):
                who, imported, running, words = engine(size, path)
                found["import"].setdefault(who, {})[size] = imported | {"mb": os.path.getsize(path) / 1e6}
                self.say(f"{who}, import {size}: {imported}")
                with running() as server:
                    for name in (name for name in ours if name in words):
                        one = found["questions"].setdefault(name, {"decklog": beside[name], "peers": {}})
                        seconds, rows, _ = self.ask_server(server, server.folder, words[name])
                        agree = questions.comparable(name, rows) == beside[name]["answer"]
                        one["peers"][who] = {"cold": seconds[0] * 1e3, "warm": measure.median(seconds[1:] or seconds) * 1e3, "agree": agree}
                        self.say(f"{name} {questions.MEANING[name]}: {who} {seconds[0] * 1e3:.0f} / {one['peers'][who]['warm']:.1f} ms, {'the same' if agree else 'NOT THE SAME'}")
                        if not agree:
                            print({who: str(questions.comparable(name, rows))[:300], "DuckDB": str(beside[name]["answer"])[:300]})
                shutil.rmtree(server.folder)
        return found

    def need_imported(self):
        """decklog's and DuckDB's data, and what importing costs decklog, if this run has not measured them."""
        if "import" in self.found:
            return
        self.rates = {}
        for size, path in self.files.items():
            data, parquet = self.at(f"decklog-{size}"), self.at(f"{size}.parquet")
            shutil.rmtree(data, ignore_errors=True)
            taken = decklog_side.import_and_table(self.decklog, path, data)
            self.rates[size] = os.path.getsize(path) / 1e6 / taken["cpu"]
            decklog_side.compact(self.decklog, data)
            self.duckdb("import", path, parquet)
            self.say(f"import {size}: decklog {taken['cpu']:.1f} CPU s")

    def loki(self, size, path):
        """(name, what importing cost, how it is started again, the questions in its words)."""
        pushes, folder = self.at("loki-pushes"), self.at(f"loki-{size}")
        first, last = loki_peer.prepare(path, pushes)
        imported = loki_peer.import_once(self.options.loki, pushes, folder)
        shutil.rmtree(pushes)
        return "Loki", imported, lambda: loki_peer.Loki(self.options.loki, folder), loki_peer.questions(self.constants, first, last)

    def opensearch(self, size, path):
        folder = self.at(f"opensearch-{size}")
        imported = opensearch_peer.import_once(self.options.opensearch, path, folder)
        return "OpenSearch", imported, lambda: opensearch_peer.OpenSearch(self.options.opensearch, folder), opensearch_peer.questions(self.constants)

    def intake(self):
        found = intake.sustained(self.decklog, self.files["1m"], self.at("decklog-intake"), self.options.seconds)
        shutil.rmtree(self.at("decklog-intake"))
        found["clickhouse"] = json.loads(self.clickhouse("batches", self.files["1m"], self.at("clickhouse-batches"))["out"])
        self.say(f"intake: {found}")
        return found

    def growth(self):
        """The imported file, then copies of it beside, in the same table."""
        data, found, made = self.at("decklog-1m"), [], 1
        self.need_tabled(data)
        for copies in self.options.copies or ((1, 5, 20) if self.options.soak else (1, 5)):
            taken = growth.import_copies(self.decklog, self.files["1m"], data, range(made, copies)) if copies > made else {}
            made = max(made, copies)
            merged = decklog_side.compact(self.decklog, data, 60 * (2 + copies))
            found.append({"events": copies * self.n_events["1m"], "import": taken, "merged": merged, "asked": growth.asked(self.decklog, data, self.constants), "info": decklog_side.info(self.decklog, data)})
            self.say(f"growth, {found[-1]['events']:,} events: {found[-1]['asked']}, import {taken}, compact {merged['cpu']:.1f} CPU s {merged['peak']:.0f} MiB")
        return found

    def need_tabled(self, data):
        """The file imported once; a table that grew in another run is made anew."""
        if os.path.exists(data) and decklog_side.info(self.decklog, data)["events"] == self.n_events["1m"]:
            return
        shutil.rmtree(data, ignore_errors=True)
        decklog_side.import_and_table(self.decklog, self.files["1m"], data)
        decklog_side.compact(self.decklog, data)

    def hostile(self):
        """Asked of what growth left, if that is large enough; else of copies made for it."""
        data, wanted = self.at("decklog-1m"), self.options.hostile_copies
        if not os.path.exists(data) or decklog_side.info(self.decklog, data)["events"] < wanted * self.n_events["1m"]:
            self.need_tabled(data)
            growth.import_copies(self.decklog, self.files["1m"], data, range(1, wanted))
            decklog_side.compact(self.decklog, data, 60 * (2 + wanted))
        found = hostile.under_attack(self.decklog, self.files["1m"], data, self.options.seconds / 2, self.options.at_once, self.say, self.options.questions)
        self.say(f"hostile: {({key: value for key, value in found.items() if key != 'results'})}")
        return found

    def measured(self, part):
        """Measures a part, and keeps what it found."""
        self.found[part] = getattr(self, {"import": "imports"}.get(part, part))()
        with open(os.path.join(self.kept, f"{part}.json"), "w", encoding="utf-8") as file:
            json.dump({"run": self.run, "commit": commit(), "load": open("/proc/loadavg").read().split()[2], "minutes": (time.monotonic() - self.began) / 60,
                       "n_events": self.n_events, "found": self.found[part]}, file)

    def all_kept(self):
        kept = {}
        for part in SOAK_PARTS:
            path = os.path.join(self.kept, f"{part}.json")
            if os.path.exists(path):
                kept[part] = json.load(open(path, encoding="utf-8"))
        return kept


def commit():
    return subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()


def main():
    options = argparse.ArgumentParser()
    for name in ("decklog", "duckdb", "clickhouse", "folder"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--loki", help="Loki's binary")
    options.add_argument("--opensearch", help="the folder with Osr.class and lib")
    options.add_argument("--soak", action="store_true")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--seconds", type=int, default=120, help="of webhook intake; hostile has half as many without questions first")
    options.add_argument("--copies", type=int, nargs="*", help="growth: how many times the file")
    options.add_argument("--hostile-copies", type=int, default=10)
    options.add_argument("--at-once", type=int, default=4, help="hostile: questions at once")
    options.add_argument("--questions", nargs="*", help="hostile: only those with one of these in their name")
    options.add_argument("--only", nargs="*", choices=SOAK_PARTS)
    options.add_argument("--page", action="store_true")
    options.add_argument("--keep", action="store_true", help="leave what was made for the next run, and take what another left")
    options = options.parse_args()
    bench = Bench(options)
    wanted = SOAK_PARTS if options.soak else PARTS
    parts = () if options.page else options.only or wanted
    for part in parts:
        bench.measured(part)
    kept = bench.all_kept()
    text, missed = page.written(kept if options.page else {part: kept[part] for part in parts})
    print(text)
    if options.page or set(parts) == set(wanted):
        with open(os.path.join(ROOT, "docs", "measured", "table.md"), "w", encoding="utf-8") as file:
            file.write(text)
    if not options.keep and not options.page:
        shutil.rmtree(bench.work)
    print(f"{len(missed)} targets missed" + "".join(f"\n  {what}" for what in missed))
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
