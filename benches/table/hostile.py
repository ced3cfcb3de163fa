"""Questions that would bring a server down, asked several at once of a large table under a limit of memory, while webhook
batches keep coming. Each must be answered or refused, the server must live, and the batches must hardly notice.

What can happen to a question (`Result.end`):
  answered          to its end
  answered in part  the answer says itself that it is not complete
  refused           by a problem that docs/api.md lists; `detail` has its name
  broken off        after the first rows, as docs/api.md says of streams that meet a limit
  left              we went away, as the question was meant to
  FAULT             no answer within the time, a connection that breaks before an answer, an internal error
"""
import dataclasses
import http.client
import json
import os
import queue
import subprocess
import sys
import threading
import time
import urllib.parse

import decklog_side
import measure
from memory_limit import MemoryLimit

MEMORY = 2 << 30
PER_SECOND = 8
PATIENCE = 90  # a question may wait 5 s for its turn and take 30 s; what streams may take longer, while it moves
HIGH = ("auditID", "requestURI", "path", "user.username", "user.uid", "user.groups", "sourceIPs", "peer", "userAgent", "tool", "objectRef.name",
        "objectRef.namespace", "objectRef.uid", "objectRef.resourceVersion", "responseStatus.message", "sa", "credential", "sender", "latency", "seq")


@dataclasses.dataclass
class Question:
    name: str
    path: str
    body: bytes = None
    headers: dict = dataclasses.field(default_factory=dict)
    leaves_after: float = None  # seconds, after which we go away in the middle
    reads_nothing: bool = False  # until then


def sql(name, text, **more):
    return Question(name, "/api/v1/sql", json.dumps({"query": text}).encode(), {"Content-Type": "application/json"}, **more)


def get(name, path, headers=None, leaves_after=None, reads_nothing=False, **parameters):
    return Question(name, f"/api/v1/{path}?" + urllib.parse.urlencode(parameters, doseq=True), None, headers or {}, leaves_after, reads_nothing)


def questions():
    """What is asked, in this order. The words after `FROM` are all of the table: nothing narrows them."""
    lines = {"Accept": "application/x-ndjson"}
    wildcards = " or ".join(f"uri:*{n:03x}q*" for n in range(200))
    return [
        sql("three tables crossed", "SELECT count(*) FROM events a, events b, events c WHERE a.code + b.code + c.code = 7"),
        sql("joined by inequality", "SELECT count(*) FROM events a JOIN events b ON a.request_uri < b.request_uri"),
        sql("joined by a value nearly all have", "SELECT a.verb, count(*) FROM events a JOIN events b ON a.username = b.username GROUP BY 1"),
        sql("a subquery for each row", "SELECT (SELECT count(*) FROM events b WHERE b.time < a.time) FROM events a"),
        sql("everything sorted", "SELECT event FROM events ORDER BY message, request_uri, event"),
        sql("everything in random order", "SELECT * FROM events ORDER BY random()"),
        sql("all events as one text", "SELECT octet_length(string_agg(event, ',')) FROM events"),
        sql("all events as one list", "SELECT array_agg(event) FROM events"),
        sql("all different rows", "SELECT DISTINCT * FROM events"),
        sql("different values of every column", "SELECT count(DISTINCT event), count(DISTINCT audit_id), count(DISTINCT request_uri), count(DISTINCT seq) FROM events"),
        sql("windows over everything", "SELECT seq, sum(event_bytes) OVER (ORDER BY time, seq), row_number() OVER (PARTITION BY username ORDER BY request_uri) FROM events"),
        sql("a cube of eight columns", "SELECT count(*) FROM events GROUP BY CUBE (audit_id, username, verb, resource, namespace, name, code, user_agent)"),
        sql("medians of everything by id", "SELECT audit_id, median(latency_us), array_agg(request_uri) FROM events GROUP BY 1 ORDER BY 2"),
        sql("a regular expression that backtracks", "SELECT count(*) FROM events WHERE event ~ '(a+)+b(.*)*c(.*)*d$'"),
        sql("a large regular expression", "SELECT count(*) FROM events WHERE regexp_like(event, '((((x{1,50}){1,50}){1,50}){1,50}){1,50}')"),
        sql("each event rewritten", "SELECT count(DISTINCT regexp_replace(event, '(.)', '\\1\\1\\1\\1', 'g')) FROM events"),
        sql("text repeated", "SELECT sum(octet_length(repeat(event, 1000000))) FROM events"),
        sql("text repeated in steps", "SELECT octet_length(repeat(repeat(repeat('x', 10000), 10000), 10000))"),
        sql("a hundred thousand million numbers", "SELECT count(DISTINCT value) FROM generate_series(1, 100000000000)"),
        sql("each row a million times", "SELECT audit_id, count(*) FROM events, generate_series(1, 1000000) GROUP BY 1"),
        sql("a recursion without end", "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t"),
        sql("3,000 brackets", "SELECT " + "(" * 3000 + "1" + ")" * 3000),
        sql("sixty subqueries deep", "SELECT * FROM " + "(SELECT * FROM " * 60 + "events" + ")" * 60),
        sql("thirty scans united", " UNION ALL ".join(["SELECT event FROM events"] * 30) + " ORDER BY 1"),
        sql("a list of 5,000 values", "SELECT count(*) FROM events WHERE audit_id IN (" + ",".join(f"'{n:08x}'" for n in range(5000)) + ")"),
        sql("a list of 1,000 values", "SELECT count(*) FROM events WHERE request_uri IN (" + ",".join(f"'/{n:08x}'" for n in range(1000)) + ")"),
        sql("a path in every event", "SELECT jq(event, '.requestObject.spec.template.spec.containers[0].image'), jq(event, '.auditID'), count(*) FROM events GROUP BY 1, 2"),
        sql("all rows to one who leaves", "SELECT * FROM events", leaves_after=8),
        sql("all rows to one who does not read", "SELECT * FROM events", leaves_after=20, reads_nothing=True),
        sql("sorted for one who leaves", "SELECT event FROM events ORDER BY event", leaves_after=3),
        get("200 wildcards in front", "events", filter=wildcards, limit=1000),
        get("a word that is nowhere", "events", filter="zqzqzqzq and not qzqzqzqz", limit=1000),
        get("wildcards over the bodies", "events", filter="request.**:*a*b*c*d*e*f* or response.**:*a*b*c*d*e*f* or raw.**:*q*z*q*z*q*z*", limit=1000),
        get("a filter nested 300 deep", "events", filter="not (" * 300 + "verb:get" + ")" * 300),
        get("all time, 100,000 a page", "events", since="2000-01-01", until="2100-01-01", limit=100_000),
        get("all time, the largest page", "events", since="2000-01-01", until="2100-01-01", limit=10_000, order="asc"),
        get("a stream of 100,000", "events", headers=lines, limit=100_000),
        get("a stream of everything to one who leaves", "events", headers=lines, leaves_after=10),
        get("a stream of everything to one who does not read", "events", headers=lines, leaves_after=20, reads_nothing=True),
        get("twenty fields of many values", "facets", field=HIGH, size=1000),
        get("10,000 buckets by auditID", "histogram", buckets=10_000, split="auditID", since="2000-01-01"),
        get("requests told apart, all of them", "extent", unit="request"),
        *(get(f"a tail that is not read ({number})", "tail", last=10_000, leaves_after=30, reads_nothing=True) for number in (1, 2, 3)),
    ]


@dataclasses.dataclass
class Result:
    name: str
    end: str
    detail: str
    seconds: float
    n_bytes: int
    asked: int = 1  # times, when it was told to come again
    began: float = 0.0


def ask(port, question):
    """Asks once, and reads what comes without keeping it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    began, n_bytes, head, status = time.monotonic(), 0, b"", None

    def result(end, detail=""):
        return Result(question.name, end, detail, time.monotonic() - began, n_bytes, began=began)

    try:
        connection.request("POST" if question.body else "GET", question.path, question.body, question.headers)
        if question.reads_nothing:
            time.sleep(question.leaves_after)
            return result("left", "read nothing")
        if question.leaves_after:
            connection.sock.settimeout(question.leaves_after)
        answer = connection.getresponse()
        status = answer.status
        while chunk := answer.read1(1 << 20):
            n_bytes += len(chunk)
            if len(head) < 1 << 16:
                head += chunk[: 1 << 16]
            if question.leaves_after and time.monotonic() - began > question.leaves_after:
                return result("left", f"in the middle of {status}")
            if time.monotonic() - began > 10 * PATIENCE:
                return result("FAULT", "a stream without end")
        if answer.length:  # the connection was closed before all that was announced
            raise http.client.IncompleteRead(b"", answer.length)
    except TimeoutError:
        return result("left", "before there was an answer") if question.leaves_after else result("FAULT", f"nothing came for {PATIENCE} s, after {n_bytes} bytes")
    except (OSError, http.client.HTTPException) as error:
        if status == 200:
            return result("broken off", f"after {n_bytes / 1e6:.0f} MB")
        return result("FAULT", f"{type(error).__name__}: {error}")
    finally:
        connection.close()
    if status == 200:
        in_part = question.body is None and b'"complete":false' in head
        return result("answered in part" if in_part else "answered", "")
    try:
        problem = json.loads(head)
        name = problem["type"].rsplit("/", 1)[-1]
        words = (problem.get("errors") or [{}])[0].get("message") or problem.get("detail") or ""
    except (ValueError, KeyError):
        return result("FAULT", f"status {status} without a problem: {head[:100]!r}")
    return result("FAULT" if status in (500, 502) else "refused", f"{status} {name}: {words}"[:300])


def ask_until_taken(port, question):
    """Asks again where there was no room for the question: that says nothing about the question itself."""
    for asked in range(1, 8):
        result = ask(port, question)
        if not result.detail.startswith(("429 rate-limited", "503 unavailable")):
            break
        time.sleep(2)
    result.asked = asked
    return result


def has_ended(process):
    try:
        process.wait(1)
        return True
    except subprocess.TimeoutExpired:
        return False


def ask_all(server, waiting, at_once, say):
    """Asks what waits, so many at once, until nothing waits or the server has died."""
    results = []

    def work():
        while server.process.poll() is None:
            try:
                question = waiting.get_nowait()
            except queue.Empty:
                return
            one = ask_until_taken(server.port, question)
            if one.end == "FAULT" and one.seconds < 1 and has_ended(server.process):
                waiting.put(question)  # it came to a server that another question had ended
                return
            results.append(one)
            say(f"hostile: {one.name}: {one.end}, {one.seconds:.1f} s, {one.n_bytes / 1e6:.1f} MB, {measure.resident(server.process.pid):.0f} MiB resident, peak {measure.peak_so_far(server.process.pid):.0f} {one.detail}")

    workers = [threading.Thread(target=work) for _ in range(at_once)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return results


def figures(batches):
    """Of the batches that were acknowledged."""
    seconds = [ms for _, ms, status in batches if status == 200]
    return {"batches": len(seconds), "p50": measure.median(seconds), "p99": measure.at_share(seconds, 0.99), "worst": max(seconds)}


@dataclasses.dataclass
class Life:
    """A server from its start until nothing waits or it has died."""
    results: list
    batches: list
    calm: tuple  # from, until, of the monotonic clock
    attacked: tuple
    has_died: bool
    kills: int
    peak: float
    before: int  # events
    after: int = None
    after_ms: float = None


def live(decklog, path, data, limit, lap, waiting, idle_seconds, at_once, say):
    kills = limit.kills()
    server = decklog_side.Server(decklog, data, prefix=limit.prefix())
    peak_of = Peak(server.process.pid)
    try:
        before = json.loads(server.request("GET", "/api/v1/extent")[1])["events"]
        sender = subprocess.Popen(
            [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "sender.py"), str(server.port), path, str(PER_SECOND), str(lap)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            time.sleep(5)  # the first batches find everything cold
            calm_from = time.monotonic()
            time.sleep(idle_seconds)
            attacked_from = time.monotonic()
            say(f"hostile: {idle_seconds} s without questions, peak {peak_of.mib:.0f} MiB; now {waiting.qsize()} questions, {at_once} at once")
            results = ask_all(server, waiting, at_once, say)
            attacked_until = time.monotonic()
        finally:
            batches = json.loads(sender.communicate(timeout=180)[0])["batches"]
        life = Life(results, batches, (calm_from, attacked_from), (attacked_from, attacked_until), server.process.poll() is not None, limit.kills() - kills, peak_of.mib, before)
        if not life.has_died:
            life.after = json.loads(server.request("GET", "/api/v1/extent")[1])["events"]
            life.after_ms = min(server.request("GET", "/api/v1/events?filter=auditID:nowhere&limit=1")[2] for _ in range(3)) * 1e3
        return life
    finally:
        peak_of.over.set()
        server.__exit__()


class Peak(threading.Thread):
    """Notes a process's peak twenty times a second, since one that was killed tells no more."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.mib, self.over = pid, 0, threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.05):
            self.mib = max(self.mib, measure.peak_so_far(self.pid))


def under_attack(decklog, path, data, idle_seconds, at_once, say, names=None):
    """Calm first, then all questions (or those with these names). A server that dies is started again for those that are left,
    so that the page can tell of each; see the keys of what comes back."""
    waiting, lives = queue.Queue(), []
    for question in questions():
        if names is None or any(name in question.name for name in names):
            waiting.put(question)
    n_questions = waiting.qsize()
    with MemoryLimit(MEMORY) as limit:
        say(f"hostile: {limit.how}")
        while not waiting.empty() and len(lives) < 12:
            lives.append(live(decklog, path, data, limit, (int(time.time()) + len(lives)) % 200 + 50, waiting, 1 if lives else idle_seconds, at_once, say))
            if lives[-1].has_died:
                say(f"hostile: the server DIED ({lives[-1].kills} killed for want of memory, peak {lives[-1].peak:.0f} MiB); it is started again")
        how = limit.how
    # While a server that died is not there nothing can be acknowledged: those batches are counted, not timed.
    idle = [one for one in lives[0].batches if lives[0].calm[0] <= one[0] < lives[0].calm[1]]
    attacked = [one for life in lives for one in life.batches if life.attacked[0] <= one[0] < life.attacked[1]]
    return {
        "limit": how, "at_once": at_once, "questions": n_questions, "deaths": sum(life.has_died for life in lives), "kills": sum(life.kills for life in lives), "peak": max(life.peak for life in lives),
        "seconds": sum(life.attacked[1] - life.attacked[0] for life in lives), "events": lives[0].before,
        "results": [dataclasses.asdict(one) | {"life": number, "webhook_worst": worst_during(one, life.batches)} for number, life in enumerate(lives) for one in life.results],
        "idle": figures(idle), "attacked": figures(attacked), "sent": 400 * sum(one[2] == 200 for life in lives for one in life.batches),
        "not_acknowledged": sum(one[2] != 200 for life in lives for one in life.batches),
        "stored": None if lives[-1].after is None else lives[-1].after - lives[0].before, "after_ms": lives[-1].after_ms,
    }


def worst_during(result, batches):
    return max((ms for at, ms, _ in batches if at <= result.began + result.seconds and at + ms / 1e3 >= result.began), default=0)
