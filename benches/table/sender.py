"""Webhook batches at a steady rate from a process of its own, so that what else the benchmark does cannot slow them.

    sender.py PORT FILE PER_SECOND LAP      until stdin ends; prints {batches: [[when, ms, status]…]}

`when` is of the monotonic clock. A batch that had to wait because the one before was not answered yet has waited since it was
due, so a stall counts for all that it held up. LAP begins the auditIDs: batches of different laps are different events.
"""
import http.client
import json
import sys
import threading
import time

import intake


def main():
    port, path, per_second, lap = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    sent, began, ended = [], time.monotonic(), 0
    for number, body in enumerate(intake.batches(path, lap)):
        if over.is_set():
            break
        body = intake.event_list(body)
        due = began + number / per_second
        time.sleep(max(0, due - time.monotonic()))
        start = due if ended > due else time.monotonic()
        try:
            connection.request("POST", "/ingest/webhook/bench", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            status = type(error).__name__
        ended = time.monotonic()
        sent.append([start, (ended - start) * 1e3, status])
    json.dump({"batches": sent}, sys.stdout)


main()
