#!/usr/bin/env python3
"""ingest_duckdb.py FOLDER N_BATCHES: DuckDB taking the same batches as durably: one transaction a batch, its write-ahead
log synced at each commit. FOLDER holds 0.json, 1.json, … of one event a line. Typed columns and the raw line, as
somebody would build an audit table. Prints one JSON object: events, cpuSeconds, p50 and p99 in milliseconds."""
import json, os, sys, time
import duckdb

folder, n_batches = sys.argv[1], int(sys.argv[2])
SPEC = json.dumps({
    "level": "VARCHAR", "auditID": "VARCHAR", "stage": "VARCHAR", "requestURI": "VARCHAR", "verb": "VARCHAR",
    "user": {"username": "VARCHAR", "uid": "VARCHAR", "groups": ["VARCHAR"]}, "impersonatedUser": {"username": "VARCHAR"},
    "sourceIPs": ["VARCHAR"], "userAgent": "VARCHAR",
    "objectRef": {"resource": "VARCHAR", "namespace": "VARCHAR", "name": "VARCHAR", "uid": "VARCHAR", "apiGroup": "VARCHAR",
                  "apiVersion": "VARCHAR", "resourceVersion": "VARCHAR", "subresource": "VARCHAR"},
    "responseStatus": {"code": "INTEGER", "reason": "VARCHAR", "message": "VARCHAR"},
    "requestReceivedTimestamp": "TIMESTAMP", "stageTimestamp": "TIMESTAMP",
    "annotations": {"authorization.k8s.io/decision": "VARCHAR", "authorization.k8s.io/reason": "VARCHAR"}})

def batch(number):
    return f"""SELECT s.requestReceivedTimestamp received, s.stageTimestamp time, s.level, s.auditID, s.stage, s.requestURI, s.verb,
      s."user".username username, s."user".uid uid, s."user".groups groups, s.impersonatedUser.username impersonated, s.sourceIPs, s.userAgent,
      s.objectRef.resource resource, s.objectRef.namespace ns, s.objectRef.name name, s.objectRef.uid object_uid, s.objectRef.apiGroup api_group,
      s.objectRef.apiVersion api_version, s.objectRef.resourceVersion resource_version, s.objectRef.subresource subresource,
      s.responseStatus.code code, s.responseStatus.reason status_reason, s.responseStatus.message status_message,
      s.annotations."authorization.k8s.io/decision" decision, s.annotations."authorization.k8s.io/reason" reason, raw
    FROM (SELECT json::VARCHAR raw, from_json(json, '{SPEC}') s FROM read_ndjson_objects('{folder}/{number}.json', maximum_object_size=8000000))"""

db = duckdb.connect(f'{folder}/audit.duckdb')
db.execute('SET threads=2')
db.execute(f'CREATE TABLE events AS {batch(0)} LIMIT 0')
latencies, cpu = [], time.process_time()
for number in range(n_batches):
    started = time.perf_counter()
    db.execute(f'INSERT INTO events {batch(number)}')
    latencies.append((time.perf_counter() - started) * 1e3)
cpu = time.process_time() - cpu
events = db.execute('SELECT count(*) FROM events').fetchone()[0]
db.close()
latencies.sort()
print(json.dumps({'events': events, 'cpuSeconds': cpu, 'p50': latencies[len(latencies) // 2], 'p99': latencies[int(len(latencies) * .99)]}))
