"""ClickHouse (chDB, in process) beside decklog.

    clickhouse_peer.py import IN FOLDER         typed columns, the raw line, and indexes for ids, names and parts of URIs
    clickhouse_peer.py batches IN FOLDER        100 inserts of 400 events each, synced, with the same table: {events, cpu, p50, p99}
    clickhouse_peer.py ask FOLDER QUERY TIMES   prints {seconds, rows}

Inserts are synced (`fsync_after_insert`, which is not its default) and merged to the end. Two threads.
"""
import itertools
import json
import os
import sys
import time

from chdb import session

MEMBERS = (
    "Tuple(level String, auditID String, stage String, requestURI String, verb String, user Tuple(username String, uid String, groups Array(String)), "
    "impersonatedUser Tuple(username String), sourceIPs Array(String), userAgent String, objectRef Tuple(resource String, namespace String, name String, "
    "uid String, apiGroup String, apiVersion String, resourceVersion String, subresource String), responseStatus Tuple(code UInt16, reason String, "
    "message String), requestReceivedTimestamp String, stageTimestamp String, annotations Map(String, String))")
TABLE = """CREATE TABLE d.ev (rts DateTime64(6) CODEC(DoubleDelta, ZSTD(1)), sts DateTime64(6) CODEC(DoubleDelta, ZSTD(1)), level LowCardinality(String),
  auditID String CODEC(ZSTD(1)), stage LowCardinality(String), requestURI String CODEC(ZSTD(3)), verb LowCardinality(String), username LowCardinality(String),
  uid String CODEC(ZSTD(3)), groups Array(LowCardinality(String)) CODEC(ZSTD(3)), impersonated LowCardinality(String), sourceIPs Array(String) CODEC(ZSTD(3)),
  userAgent LowCardinality(String), resource LowCardinality(String), ns LowCardinality(String), name String CODEC(ZSTD(3)), obj_uid String CODEC(ZSTD(3)),
  apiGroup LowCardinality(String), apiVersion LowCardinality(String), rv String CODEC(ZSTD(3)), subresource LowCardinality(String), code UInt16,
  st_reason LowCardinality(String), st_message String CODEC(ZSTD(3)), annotations Map(LowCardinality(String), String) CODEC(ZSTD(3)), raw String CODEC(ZSTD(3)),
  INDEX ix_id auditID TYPE bloom_filter(0.01) GRANULARITY 1, INDEX ix_uri requestURI TYPE ngrambf_v1(4, 65536, 3, 0) GRANULARITY 1,
  INDEX ix_name name TYPE bloom_filter(0.01) GRANULARITY 1) ENGINE=MergeTree PARTITION BY toMonday(rts) ORDER BY rts
  SETTINGS fsync_after_insert=1, fsync_part_directory=1"""


def insert(path):
    return f"""INSERT INTO d.ev SELECT parseDateTime64BestEffort(s.requestReceivedTimestamp, 6, 'UTC'), parseDateTime64BestEffort(s.stageTimestamp, 6, 'UTC'), s.level,
      s.auditID, s.stage, s.requestURI, s.verb, s.user.username, s.user.uid, s.user.groups, s.impersonatedUser.username, s.sourceIPs, s.userAgent,
      s.objectRef.resource, s.objectRef.namespace, s.objectRef.name, s.objectRef.uid, s.objectRef.apiGroup, s.objectRef.apiVersion,
      s.objectRef.resourceVersion, s.objectRef.subresource, s.responseStatus.code, s.responseStatus.reason, s.responseStatus.message, s.annotations, line
    FROM (SELECT line, JSONExtract(line, '{MEMBERS}') s FROM file('{path}', 'LineAsString', 'line String'))"""


def batches(ch, path, folder):
    files = []
    with open(path, "rb") as lines:
        for number in range(100):
            files.append(os.path.join(folder, f"{number}.json"))
            with open(files[-1], "wb") as file:
                file.writelines(itertools.islice(lines, 400))
    seconds, cpu = [], time.process_time()
    for file in files:
        started = time.perf_counter()
        ch.query(insert(file))
        seconds.append((time.perf_counter() - started) * 1e3)
    cpu = time.process_time() - cpu
    seconds.sort()
    return {"events": 400 * len(files), "cpu": cpu, "p50": seconds[len(seconds) // 2], "p99": seconds[-2]}


def main():
    action, first, second = sys.argv[1:4]
    folder = first if action == "ask" else second
    ch = session.Session(folder)
    ch.query("SET max_threads=2, max_insert_threads=2, max_memory_usage=12000000000, session_timezone='UTC'")
    if action != "ask":
        ch.query("CREATE DATABASE d ENGINE=Atomic")
        ch.query(TABLE)
    if action == "batches":
        answer = batches(ch, first, folder)
    elif action == "import":
        ch.query(insert(first))
        ch.query("OPTIMIZE TABLE d.ev FINAL")
        size = str(ch.query("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database='d'")).strip()
        answer = {"bytes": int(size)}
    else:
        seconds = []
        for _ in range(int(sys.argv[4])):
            started = time.perf_counter()
            text = str(ch.query(second.replace("TABLE", "d.ev"), "JSONCompactEachRow"))
            seconds.append(time.perf_counter() - started)
        answer = {"seconds": seconds, "rows": [[int(v) if isinstance(v, str) and v.isdigit() else v for v in json.loads(row)] for row in text.splitlines()]}
    print("ANSWER " + json.dumps(answer))
    ch.close()


main()
