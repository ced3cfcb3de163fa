#!/usr/bin/env python3
"""What recording costs a real kube-apiserver: processor time and log bytes of an event, by level and size of body.

    apiserver.py --lab FOLDER [--rounds N] [--requests N]      FOLDER has the lab's programs (tests/lab/build.sh prints it)

Each round starts the lab under four policies, in turn, that record what the user `admin` asks at None, Metadata, Request and
RequestResponse, and sends the same updates and reads of ConfigMaps over one connection. What is told of a level is its
processor time less that at None of the same round (medians), for kube-apiserver as a whole; log backend, blocking.
"""
import argparse
import http.client
import json
import os
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
- level: {level}
  users: [admin]
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


def measure(lab, level, n_requests, port_base):
    """Seconds of processor and log bytes a request, by (kind, size)."""
    with tempfile.TemporaryDirectory() as folder:
        policy = f"{folder}/audit.yaml"
        with open(policy, "w") as file:
            file.write(POLICY.format(level=level))
        environment = dict(os.environ, LAB_BIN=lab, PORT_BASE=str(port_base))
        up = os.path.join(HERE, "../../tests/lab/up.sh")
        subprocess.run([up, policy, f"{folder}/lab"], env=environment, check=True, stdout=subprocess.DEVNULL)
        try:
            with open(f"{folder}/lab/pids/kube-apiserver") as file:
                pid = int(file.read())
            server, log = Server(f"{folder}/lab", port_base + 3), f"{folder}/lab/audit.log"
            found = {}
            for size in SIZES:
                path = "/api/v1/namespaces/team-a/configmaps"
                name = f"size-{size}"
                body = lambda n: json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": str(n), "x": "x" * size}})
                server.ask("POST", path, body(-1))
                for kind in ["read", "update"]:
                    one = (lambda n: server.ask("GET", f"{path}/{name}")) if kind == "read" else (lambda n: server.ask("PUT", f"{path}/{name}", body(n)))
                    for n in range(n_requests // 10):
                        one(n)
                    before, bytes_before = processor_seconds(pid), os.path.getsize(log) if os.path.exists(log) else 0
                    for n in range(n_requests):
                        one(n + n_requests)
                    bytes_after = os.path.getsize(log) if os.path.exists(log) else 0
                    found[kind, size] = ((processor_seconds(pid) - before) / n_requests, (bytes_after - bytes_before) / n_requests)
            return found
        finally:
            subprocess.run([os.path.join(HERE, "../../tests/lab/down.sh"), f"{folder}/lab"], check=True)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--lab", required=True)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--requests", type=int, default=3000)
    asked = options.parse_args()
    rounds = []
    for number in range(asked.rounds):
        order = LEVELS[number % 4 :] + LEVELS[: number % 4]
        rounds.append({level: measure(asked.lab, level, asked.requests, 21000 + 20 * (number % 40)) for level in order})
    points = []
    print("| request | body | at None, µs | level | more, µs | bytes of the event |\n| --- | ---: | ---: | --- | ---: | ---: |")
    for kind in ["read", "update"]:
        for size in SIZES:
            none = statistics.median(found["None"][kind, size][0] for found in rounds) * 1e6
            for level in LEVELS[1:]:
                more = statistics.median(found[level][kind, size][0] - found["None"][kind, size][0] for found in rounds) * 1e6
                n_bytes = statistics.median(found[level][kind, size][1] for found in rounds)
                points.append((n_bytes, more))
                print(f"| {kind} | {size} | {none:.0f} | {level} | {more:.0f} | {n_bytes:.0f} |")
    n = len(points)
    x, y = sum(p[0] for p in points) / n, sum(p[1] for p in points) / n
    slope = sum((p[0] - x) * (p[1] - y) for p in points) / sum((p[0] - x) ** 2 for p in points)
    print(f"\nfitted: {y - slope * x:.0f} µs an event and {slope * 1000:.1f} µs a kB of its line")


if __name__ == "__main__":
    main()
