#!/usr/bin/env python3
"""The table beside its peers, in one run: import, bytes, the nine questions, webhook intake, growth.

    main.py --decklog BIN --duckdb PYTHON --clickhouse PYTHON --folder FOLDER [--soak] [--only PART…]

FOLDER holds metadata-1000000.log, bodies-200000.log and recorded.log, and takes what is made. Prints what it finds as it goes,
writes docs/measured/table.md, and fails if a target is missed. Started by `make bench table` (scripts/bench).
"""
import argparse
import json
import os
import shutil
import sys
import time

import decklog_side
import growth
import intake
import measure
import page
import questions

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PARTS = ("import", "questions", "intake", "growth")


class Bench:
    def __init__(self, options):
        self.options, self.decklog = options, options.decklog
        self.work = os.path.join(options.folder, "table")
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)
        self.files = {"1m": os.path.join(options.folder, "metadata-1000000.log"), "rr": os.path.join(options.folder, "bodies-200000.log")}
        self.n_events = {"1m": 1_000_000, "rr": 200_000}
        self.constants = questions.constants(self.files["1m"], self.files["rr"])
        self.began = time.monotonic()

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
        found, n_warm = {}, 5
        for name in questions.MEANING:
            size = "rr" if name in questions.OF_BODIES else "1m"
            data, parquet, folder = self.at(f"decklog-{size}"), self.at(f"{size}.parquet"), self.at(f"clickhouse-{size}")
            cold, warm, rows, peak = {}, {}, {}, 0
            for _ in range(self.options.rounds):
                measure.forget(data)
                with decklog_side.Server(self.decklog, data) as server:
                    measure.forget(data)  # once more: opening reads the footers
                    answers = []
                    for _ in range(1 + n_warm):
                        try:
                            answers.append(server.ask(*questions.decklog(self.constants)[name]))
                        except RuntimeError as error:
                            self.say(f"{name}: {error}")
                            break
                    peak = max(peak, server.usage()[1])
                if answers:
                    cold.setdefault("decklog", []).append(answers[0][0])
                    warm.setdefault("decklog", []).extend(seconds for seconds, _ in answers[1:])
                    rows["decklog"] = answers[-1][1]
                for who, ask, place, words in (("DuckDB", self.duckdb, parquet, questions.duckdb), ("ClickHouse", self.clickhouse, folder, questions.clickhouse)):
                    measure.forget(place)
                    answer = json.loads(ask("ask", place, words(self.constants, "TABLE")[name], 1 + n_warm)["out"])
                    cold.setdefault(who, []).append(answer["seconds"][0])
                    warm.setdefault(who, []).extend(answer["seconds"][1:])
                    rows[who] = answer["rows"]
            compared = {who: questions.comparable(name, some) for who, some in rows.items()}
            agree = "decklog" in compared and all(one == compared["DuckDB"] for one in compared.values())
            found[name] = {
                "cold": {who: measure.median(times) * 1e3 for who, times in cold.items()}, "warm": {who: measure.median(times) * 1e3 for who, times in warm.items()},
                "agree": agree, "rows": len(rows["DuckDB"]), "peak": peak,
            }
            self.say(f"{name} {questions.MEANING[name]}: " + "; ".join(
                f"{who} {found[name]['cold'][who]:.0f} / {found[name]['warm'][who]:.1f} ms" for who in cold) + f"; {len(rows['DuckDB'])} rows, {'the same' if agree else 'NOT THE SAME'}")
            if not agree:
                print({who: str(one)[:200] for who, one in compared.items()})
        return found

    def intake(self):
        found = intake.sustained(self.decklog, self.files["1m"], self.at("decklog-intake"), self.options.seconds)
        shutil.rmtree(self.at("decklog-intake"))
        found["clickhouse"] = json.loads(self.clickhouse("batches", self.files["1m"], self.at("clickhouse-batches"))["out"])
        self.say(f"intake: {found}")
        return found

    def growth(self):
        """The imported million, then copies of it beside."""
        data, found, made = self.at("decklog-1m"), {}, 1
        if not os.path.exists(data):
            measure.run([self.decklog, "import", self.files["1m"], "--data-dir", data, "-q"])
            decklog_side.compact(self.decklog, data)
        for millions in (1, 5, 20) if self.options.soak else (1, 5):
            taken = growth.import_copies(self.decklog, self.files["1m"], data, range(made, millions)) if millions > made else {}
            made = millions
            merged = decklog_side.compact(self.decklog, data)
            found[millions] = {"import": taken, "merged": merged, "asked": growth.asked(self.decklog, data, self.constants), "info": decklog_side.info(self.decklog, data)}
            self.say(f"growth, {millions} million: {found[millions]['asked']}, import {taken}, compact {merged['cpu']:.1f} CPU s {merged['peak']:.0f} MiB")
        return found


def main():
    options = argparse.ArgumentParser()
    for name in ("decklog", "duckdb", "clickhouse", "folder"):
        options.add_argument(f"--{name}", required=True)
    options.add_argument("--soak", action="store_true")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--seconds", type=int, default=120)
    options.add_argument("--only", nargs="*", default=PARTS)
    bench = Bench(options.parse_args())
    found = {part: {"import": bench.imports, "questions": bench.questions, "intake": bench.intake, "growth": bench.growth}[part]() for part in bench.options.only}
    text, missed = page.written(found, bench.n_events, bench.began)
    print(text)
    if set(bench.options.only) == set(PARTS):
        with open(os.path.join(ROOT, "docs", "measured", "table.md"), "w", encoding="utf-8") as file:
            file.write(text)
    shutil.rmtree(bench.work)
    print(f"{len(missed)} targets missed" + "".join(f"\n  {what}" for what in missed))
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
