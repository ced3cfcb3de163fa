"""DuckDB beside decklog, in a process of its own.

    duckdb_peer.py import IN OUT.parquet     typed columns and the raw line: what gives the line back byte for byte
    duckdb_peer.py shred IN OUT.parquet      every member a column of its own, no line: the smallest it can be
    duckdb_peer.py ask FILE QUERY TIMES      prints {seconds, rows}

Both files are zstd -3 and synced at the end. Two threads.
"""
import json
import os
import sys
import time

import duckdb

SPEC = json.dumps({
    "level": "VARCHAR", "auditID": "VARCHAR", "stage": "VARCHAR", "requestURI": "VARCHAR", "verb": "VARCHAR",
    "user": {"username": "VARCHAR", "uid": "VARCHAR", "groups": ["VARCHAR"]}, "impersonatedUser": {"username": "VARCHAR"},
    "sourceIPs": ["VARCHAR"], "userAgent": "VARCHAR",
    "objectRef": {"resource": "VARCHAR", "namespace": "VARCHAR", "name": "VARCHAR", "uid": "VARCHAR", "apiGroup": "VARCHAR",
                  "apiVersion": "VARCHAR", "resourceVersion": "VARCHAR", "subresource": "VARCHAR"},
    "responseStatus": {"code": "INTEGER", "reason": "VARCHAR", "message": "VARCHAR"},
    "requestReceivedTimestamp": "TIMESTAMP", "stageTimestamp": "TIMESTAMP",
    "annotations": {"authorization.k8s.io/decision": "VARCHAR", "authorization.k8s.io/reason": "VARCHAR"}})


def typed(path):
    return f"""SELECT s.requestReceivedTimestamp received, s.stageTimestamp time, s.level, s.auditID, s.stage, s.requestURI, s.verb,
      s."user".username username, s."user".uid uid, s."user".groups groups, s.impersonatedUser.username impersonated, s.sourceIPs, s.userAgent,
      s.objectRef.resource resource, s.objectRef.namespace ns, s.objectRef.name name, s.objectRef.uid object_uid, s.objectRef.apiGroup api_group,
      s.objectRef.apiVersion api_version, s.objectRef.resourceVersion resource_version, s.objectRef.subresource subresource,
      s.responseStatus.code code, s.responseStatus.reason status_reason, s.responseStatus.message status_message,
      s.annotations."authorization.k8s.io/decision" decision, s.annotations."authorization.k8s.io/reason" reason, raw
    FROM (SELECT json::VARCHAR raw, from_json(json, '{SPEC}') s FROM read_ndjson_objects('{path}', maximum_object_size=8000000))"""


def main():
    action, source, rest = sys.argv[1], sys.argv[2], sys.argv[3:]
    db = duckdb.connect()
    db.execute("SET threads=2; SET memory_limit='12GB'")
    if action == "ask":
        seconds = []
        for _ in range(int(rest[1])):
            started = time.perf_counter()
            rows = db.execute(rest[0].replace("TABLE", f"read_parquet('{source}')")).fetchall()
            seconds.append(time.perf_counter() - started)
        print(json.dumps({"seconds": seconds, "rows": rows}, default=str))
        return
    select = f"{typed(source)} ORDER BY received"
    if action == "shred":
        select = f"SELECT * FROM read_json('{source}', format='newline_delimited', maximum_object_size=8000000, sample_size=-1, map_inference_threshold=50)"
    db.execute(f"COPY ({select}) TO '{rest[0]}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3, ROW_GROUP_SIZE 122880)")
    os.fsync(os.open(rest[0], os.O_RDONLY))


main()
