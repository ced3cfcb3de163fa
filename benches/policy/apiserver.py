#!/usr/bin/env python3
"""What recording costs a real kube-apiserver: processor time and log bytes of an event, by level and size of body.

    apiserver.py --lab FOLDER [--rounds N] [--requests N]      FOLDER has the lab's programs (tests/lab/build.sh prints it)

One server, with a namespace for each level: a round sends the same reads and updates of ConfigMaps to each of them, in
another order each time, over one connection. What is told of a level is its processor time less that at None of the same
round (means over all rounds, with the standard error), for kube-apiserver as a whole; log backend, blocking.
"""
import argparse
import http.client
import json
import os
import random
import ssl
import statistics
import subprocess
import tempfile

LEVELS = ["None", "Metadata", "Request", "RequestResponse"]
SIZES = [1_000, 16_000]
HERE = os.path.dirname(os.path.abspath(__file__))
POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: [admin]
  namespaces: [metadata]
- level: Request
  users: [admin]
  namespaces: [request]
- level: RequestResponse
  users: [admin]
  namespaces: [requestresponse]
- level: None
"""


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    def __init__(self, folder, port):
        context = ssl.create_default_context(cafile=f"{folder}/pki/ca.crt")
        self.connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30)

    def ask(self, method, path, body=None):
        headers = {"Authorization": "Bearer admin-token-0001", "Content-Type": "application/json"}
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            raise SystemExit(f"{method} {path}: {answer.status} {text[:300]}")
        return text


def measure(lab, n_rounds, n_requests, port_base):
    """Seconds of processor and log bytes a request, by (level, kind, size), a value for each round."""
    with tempfile.TemporaryDirectory() as folder:
        policy = f"{folder}/audit.yaml"
        with open(policy, "w") as file:
            file.write(POLICY)
        environment = dict(os.environ, LAB_BIN=lab, PORT_BASE=str(port_base))
        subprocess.run([os.path.join(HERE, "../../tests/lab/up.sh"), policy, f"{folder}/lab"], env=environment, check=True, stdout=subprocess.DEVNULL)
        try:
            with open(f"{folder}/lab/pids/kube-apiserver") as file:
                pid = int(file.read())
            return rounds_of(Server(f"{folder}/lab", port_base + 3), f"{folder}/lab/audit.log", pid, n_rounds, n_requests)
        finally:
            subprocess.run([os.path.join(HERE, "../../tests/lab/down.sh"), f"{folder}/lab"], check=True)


def rounds_of(server, log, pid, n_rounds, n_requests):
    def path(level):
        return f"/api/v1/namespaces/{level.lower()}/configmaps"

    def config_map(size, number):
        return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"size-{size}"}, "data": {"n": str(number), "x": "x" * size}})

    def log_bytes():
        return os.path.getsize(log) if os.path.exists(log) else 0

    for level in LEVELS:
        server.ask("POST", "/api/v1/namespaces", json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": level.lower()}}))
        for size in SIZES:
            server.ask("POST", path(level), config_map(size, -1))
    cases = [(level, kind, size) for level in LEVELS for kind in ["read", "update"] for size in SIZES]
    found = {case: [] for case in cases}
    for number in range(n_rounds + 1):
        random.Random(number).shuffle(cases)
        for level, kind, size in cases:
            seconds, n_bytes = processor_seconds(pid), log_bytes()
            for n in range(n_requests):
                if kind == "read":
                    server.ask("GET", f"{path(level)}/size-{size}")
                else:
                    server.ask("PUT", f"{path(level)}/size-{size}", config_map(size, number * n_requests + n))
            # The first round only warms up.
            if number > 0:
                found[level, kind, size].append(((processor_seconds(pid) - seconds) / n_requests, (log_bytes() - n_bytes) / n_requests))
    return found


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--lab", required=True)
    options.add_argument("--rounds", type=int, default=60)
    options.add_argument("--requests", type=int, default=200)
    asked = options.parse_args()
    found = measure(asked.lab, asked.rounds, asked.requests, 21000)
    points = []
    print("| request | body | at None, µs | level | more, µs | bytes of the event |\n| --- | ---: | ---: | --- | ---: | ---: |")
    for kind in ["read", "update"]:
        for size in SIZES:
            none = statistics.mean(seconds for seconds, _ in found["None", kind, size]) * 1e6
            for level in LEVELS[1:]:
                pairs = zip(found[level, kind, size], found["None", kind, size])
                more = [(seconds - base) * 1e6 for (seconds, _), (base, _) in pairs]
                error = statistics.stdev(more) / len(more) ** 0.5
                n_bytes = statistics.mean(n_bytes for _, n_bytes in found[level, kind, size])
                points.append((n_bytes, statistics.mean(more)))
                print(f"| {kind} | {size} | {none:.0f} | {level} | {statistics.mean(more):.0f} ± {error:.0f} | {n_bytes:.0f} |")
    n = len(points)
    x, y = sum(p[0] for p in points) / n, sum(p[1] for p in points) / n
    slope = sum((p[0] - x) * (p[1] - y) for p in points) / sum((p[0] - x) ** 2 for p in points)
    print(f"\nfitted: {y - slope * x:.0f} µs an event and {slope * 1000:.1f} µs a kB of its line")


if __name__ == "__main__":
    main()
