#!/usr/bin/env python3
"""kube-apiserver's backends as decklog builds them, beside the real kube-apiserver: flags, messages, rotation, webhook faults.

    check.py AUDITED [LAB]      AUDITED is the example server; LAB has the lab's programs (tests/lab/build.sh prints it)

With DECKLOG_SOAK set, faults have kube-apiserver's own pauses (two minutes and a half), else short ones. Prints `shown:` lines and a
count of checks; exits 1 if one failed.
"""
import collections
import glob
import gzip
import hashlib
import http.client
import http.server
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOAK = bool(os.environ.get("DECKLOG_SOAK"))
AUDITED = os.path.abspath(sys.argv[1])
LAB = sys.argv[2] if len(sys.argv) > 2 else None
POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"
passed, failed = 0, []


def check(name, is_right, told=""):
    global passed
    if is_right:
        passed += 1
    else:
        failed.append(name)
        print(f"FAILED {name}: {told}")


def shown(text):
    print(f"shown: {text}")


def wait_for(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise SystemExit(f"no {what} within {seconds} s")


class Audited:
    """The example server with these flags."""

    def __init__(self, folder, *flags):
        self.folder = folder
        policy = f"{folder}/policy.yaml"
        if not os.path.exists(policy):
            with open(policy, "w") as file:
                file.write(POLICY)
        self.log = open(f"{folder}/server.log", "w+")
        self.process = subprocess.Popen([AUDITED, "--listen=127.0.0.1:0", "--audit-policy-file", policy, *flags], stdout=self.log, stderr=self.log)
        self.port = int(wait_for("listener", self.listens)[1])

    def text(self):
        with open(f"{self.folder}/server.log") as log:
            return re.sub(r"\x1b\[[0-9;]*m", "", log.read())

    def listens(self):
        if self.process.poll() is not None:
            raise SystemExit(f"the server ended: {self.text()}")
        return re.search(r"listening on 127.0.0.1:(\d+)", self.text())

    def ask(self, n, path="/x", expect=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        codes = collections.Counter()
        for number in range(n):
            connection.request("GET", f"{path}{'&' if '?' in path else '?'}n={number}")
            answer = connection.getresponse()
            answer.read()
            codes[answer.status] += 1
        if expect:
            check(f"answers of {path}", set(codes) == {expect}, codes)
        return codes

    def metric(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        found = re.search(rf"^{re.escape(name)} (\d+)", text, re.M)
        return int(found[1]) if found else 0

    def stop(self, signal_number=signal.SIGTERM):
        self.process.send_signal(signal_number)
        return self.process.wait(300)


# ---- flags and messages ----

def flags_of_document():
    with open(f"{HERE}/../../docs/reference/audit-flags.md") as file:
        rows = re.findall(r"^\| `--([a-z-]+)` \| (\w+) \| (?:`([^`]*)`|-) \| (.*) \|$", file.read(), re.M)
    return {name: (kind, default) for name, kind, default, text in rows if "(decklog's own)" not in text}


def flags():
    told = subprocess.run([f"{LAB}/kube-apiserver", "--help"], capture_output=True, text=True, check=True).stdout
    # An entry goes on until the next flag.
    entries = re.split(r"\n\s+(?=--)", told)
    theirs = {}
    for entry in entries:
        found = re.match(r"--(audit-[a-z-]+)(?: (\w+))?\s", entry)
        if not found:
            continue
        default = re.search(r'\(default "?([^")]*)"?\)\s*$', entry.strip().split("\n\n")[0].strip())
        theirs[found[1]] = (found[2] or "bool", default[1] if default else "")
    ours = flags_of_document()
    # --help does not print what is on its way out.
    ours.pop("audit-webhook-batch-initial-backoff")
    check("as many flags as kube-apiserver", len(theirs) == 31, len(theirs))
    for name in sorted(set(theirs) | set(ours)):
        check(f"--{name}", ours.get(name) == theirs.get(name), f"kube-apiserver {theirs.get(name)}, decklog {ours.get(name)}")
    same = sum(ours.get(name) == theirs.get(name) for name in theirs)
    shown(f"flags: {same} of kube-apiserver's {len(theirs)} with the same type and default")


FAULTS = [
    ["--audit-log-path=audit.log", "--audit-log-mode=x"],
    ["--audit-log-path=audit.log", "--audit-log-format=x"],
    ["--audit-log-path=audit.log", "--audit-log-version=v1"],
    ["--audit-log-path=audit.log", "--audit-log-version=a/b/c"],
    ["--audit-log-path=audit.log", "--audit-log-mode=batch", "--audit-log-batch-buffer-size=0"],
    ["--audit-log-path=audit.log", "--audit-log-mode=batch", "--audit-log-batch-max-size=-1"],
    ["--audit-log-path=audit.log", "--audit-log-mode=batch", "--audit-log-batch-throttle-enable", "--audit-log-batch-throttle-burst=3"],
    ["--audit-log-path=audit.log", "--audit-log-mode=batch", "--audit-log-batch-throttle-enable", "--audit-log-batch-throttle-qps=1.5"],
    ["--audit-log-path=audit.log", "--audit-log-truncate-max-batch-size=5"],
    ["--audit-webhook-config-file=x", "--audit-webhook-truncate-max-event-size=-1"],
    ["--audit-webhook-config-file=x", "--audit-webhook-batch-max-size=0"],
    ["--audit-log-path=audit.log", "--audit-log-maxage=-1"],
    ["--audit-log-path=audit.log", "--audit-log-maxbackup=-7"],
    ["--audit-log-path=audit.log", "--audit-log-maxsize=-1"],
    ["--audit-log-maxsize=ten"],
    ["--audit-log-compress=perhaps"],
    ["--audit-webhook-initial-backoff=10"],
    ["--audit-webhook-batch-max-wait=5 s"],
    ["--audit-log-nothing"],
    ["--audit-dynamic-configuration"],
]


def messages(folder):
    key = f"{folder}/sa.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    base = ["--etcd-servers=http://127.0.0.1:1", "--service-account-issuer=https://x", f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}", f"--cert-dir={folder}/certs", "--secure-port=0"]
    n_same = 0
    for flags in FAULTS:
        ours = subprocess.run([AUDITED, *flags], capture_output=True, text=True, cwd=folder, timeout=30)
        theirs = subprocess.run([f"{LAB}/kube-apiserver", *base, *flags], capture_output=True, text=True, cwd=folder, timeout=60)
        told = re.sub(r"\x1b\[[0-9;]*m", "", ours.stderr)
        message = told.rsplit("command failed: ", 1)[-1].strip()
        check(f"both refuse {flags}", ours.returncode != 0 and theirs.returncode != 0, f"{ours.returncode} {theirs.returncode}")
        if flags == ["--audit-dynamic-configuration"]:
            check("a removed flag is answered", "removed in 1.19" in message, message)
            continue
        said = theirs.stderr.replace('\\"', '"') + theirs.stdout
        n_same += message in said
        check(f"the message of {flags}", message in said, f"ours `{message}`, kube-apiserver `{said[-600:]}`")
    shown(f"faults of flags: {n_same} of {len(FAULTS) - 1} messages are kube-apiserver's")


# ---- rotation ----

ROTATION = ["--audit-log-maxsize=1", "--audit-log-maxbackup=2", "--audit-log-compress"]
NAME = re.compile(r"^audit-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log(\.gz)?$")


def files(folder):
    """What is there once packing is over: shape of name, mode, whether each is at most a megabyte, and the lines in order of time."""
    def settled():
        names = sorted(os.listdir(folder))
        old = [name for name in names if NAME.match(name)]
        return names if len(old) == 2 and all(name.endswith(".gz") for name in old) else None
    names = wait_for("packed files", settled, 30)
    shapes, lines, sizes = collections.Counter(), [], []
    for name in sorted(names, key=lambda name: (name == "audit.log", name)):
        if not NAME.match(name) and name != "audit.log":
            continue
        shapes[re.sub(r"\d", "9", name), oct(os.stat(f"{folder}/{name}").st_mode & 0o777)] += 1
        data = (gzip.open if name.endswith(".gz") else open)(f"{folder}/{name}", "rb").read()
        sizes.append(len(data))
        check(f"{name} ends with a whole line", data.endswith(b"\n"))
        lines += data.splitlines()
    for line in lines:
        json.loads(line)
    return shapes, sizes, lines


def rotation(folder):
    os.makedirs(f"{folder}/ours")
    server = Audited(f"{folder}/ours", f"--audit-log-path={folder}/ours/logs/audit.log", *ROTATION)
    server.ask(700, "/x?long=" + "y" * 4000, 404)
    server.stop()
    shapes, sizes, lines = files(f"{folder}/ours/logs")
    ours = shapes
    # What is kept is the end, without a hole.
    numbers = [int(re.search(rb"(?:[?]|u0026)n=(\d+)", line)[1]) for line in lines]
    check("no event is missing in what is kept", numbers == sorted(numbers) and numbers[-1] == 699 and set(numbers) == set(range(numbers[0], 700)))
    check("files are at most a megabyte, and full", max(sizes) <= 1 << 20 and min(sizes[:-1]) > (1 << 20) - 10_000, sizes)
    if not LAB:
        return
    policy = f"{folder}/policy.yaml"
    with open(policy, "w") as file:
        file.write(POLICY)
    environment = dict(os.environ, LAB_BIN=LAB, PORT_BASE="23400", MAXSIZE="1")
    lab = f"{folder}/lab"
    subprocess.run([f"{HERE}/../lab/up.sh", policy, lab, "--audit-log-maxbackup=2", "--audit-log-compress"], env=environment, check=True, stdout=subprocess.DEVNULL)
    try:
        context = ssl.create_default_context(cafile=f"{lab}/pki/ca.crt")
        connection = http.client.HTTPSConnection("127.0.0.1", 23403, context=context, timeout=30)
        for number in range(700):
            connection.request("GET", f"/x?long={'y' * 4000}&n={number}", headers={"Authorization": "Bearer admin-token-0001"})
            connection.getresponse().read()
    finally:
        subprocess.run([f"{HERE}/../lab/down.sh", lab], check=True)
    theirs, sizes, _ = files(lab)
    check("the files are those that kube-apiserver leaves", ours == theirs, f"ours {dict(ours)}, kube-apiserver {dict(theirs)}")
    check("kube-apiserver's are full too", max(sizes) <= 1 << 20 and min(sizes[:-1]) > (1 << 20) - 20_000, sizes)
    shown("rotation at 1 MB: " + ", ".join(f"{n} x {name} {mode}" for (name, mode), n in sorted(ours.items())) + "; kube-apiserver leaves the same")


def hangup(folder):
    os.makedirs(f"{folder}/hup")
    log = f"{folder}/hup/audit.log"
    server = Audited(f"{folder}/hup", f"--audit-log-path={log}")
    server.ask(1)
    os.rename(log, f"{log}.1")
    server.ask(1)
    server.process.send_signal(signal.SIGHUP)
    wait_for("new file", lambda: server.ask(1) and os.path.exists(log))
    os.remove(log)
    server.ask(1)
    check("a deleted log is made anew", os.path.exists(log) and len(open(log).readlines()) == 2)
    check("lines go to the moved file until the hangup", len(open(f"{log}.1").readlines()) >= 4)
    with open(f"{folder}/hup/policy.yaml", "w") as file:
        file.write("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Nothing}]\n")
    wait_for("word of the bad policy", lambda: "Unsupported value" in server.text())
    server.ask(1)
    check("a bad policy leaves the old one in force", len(open(log).readlines()) == 4)
    with open(f"{folder}/hup/policy.yaml", "w") as file:
        file.write("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\n")
    wait_for("the new policy", lambda: "another audit policy is in force" in server.text())
    server.ask(1)
    check("a new policy is put into force", len(open(log).readlines()) == 4)
    server.stop()


def full_disk(folder):
    """A disk of 300 kB under each mode."""
    for mode, code in [("batch", 404), ("blocking", 404), ("blocking-strict", 500)]:
        disk = f"{folder}/disk-{mode}"
        os.makedirs(disk)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True, text=True)
        if mounted.returncode != 0:
            # Without the right to mount, a directory that is a file stands for it in the unit tests.
            shown(f"full disk in mode {mode}: not run here, mount says {mounted.stderr.strip()}")
            continue
        try:
            os.makedirs(f"{folder}/full-{mode}")
            server = Audited(f"{folder}/full-{mode}", f"--audit-log-path={disk}/audit.log", f"--audit-log-mode={mode}")
            codes = server.ask(100, "/x?long=" + "y" * 4000)
            check(f"a full disk in mode {mode} answers {code}", codes[code] > 30 and codes[404] > 20, codes)
            if mode == "batch":
                wait_for("the count", lambda: server.metric('apiserver_audit_error_total{plugin="log"}') + len(open(f"{disk}/audit.log").readlines()) >= 200)
            lines = open(f"{disk}/audit.log", "rb").read()
            n_lost = server.metric('apiserver_audit_error_total{plugin="log"}')
            n_events = server.metric("apiserver_audit_event_total")
            check(f"lost = counted in mode {mode}", lines.count(b"\n") + n_lost == n_events and lines.endswith(b"\n"), f"{lines.count(b'x')} {n_lost} {n_events}")
            if mode == "blocking-strict":
                check("refused = counted", server.metric("apiserver_audit_requests_rejected_total") == codes[500], codes)
            for line in lines.splitlines():
                json.loads(line)
            server.stop()
        finally:
            subprocess.run(["umount", disk], check=True)


def forms(folder):
    """Standard output, the legacy format, truncation, and a single log file that is mounted."""
    where = f"{folder}/forms"
    os.makedirs(where)
    with open(f"{where}/out", "w") as out:
        flags = ["--listen=127.0.0.1:0", "--audit-policy-file", write_policy(where), "--audit-log-path=-", "--audit-log-format=legacy"]
        server = subprocess.Popen([AUDITED, *flags], stdout=out, stderr=subprocess.PIPE, text=True)
        port = next(int(found[1]) for found in (re.search(r"listening on 127.0.0.1:(\d+)", line) for line in server.stderr) if found)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/x", headers={"Authorization": "Bearer alice"})
        connection.getresponse().read()
        server.terminate()
        server.wait(30)
    lines = open(f"{where}/out").readlines()
    check("legacy lines on standard output", len(lines) == 2 and ' AUDIT: id="' in lines[1] and 'user="alice"' in lines[1] and lines[1].endswith('response="404"\n'), lines)

    os.makedirs(f"{where}/cut")
    server = Audited(f"{where}/cut", f"--audit-log-path={where}/cut/audit.log", "--audit-log-mode=blocking-strict", "--audit-log-truncate-enabled", "--audit-log-truncate-max-event-size=1000")
    server.ask(3, "/x?long=" + "y" * 2000, 404)
    server.ask(2, "/x", 404)
    check("events that are too large are dropped and counted, and refuse nothing",
          server.metric('apiserver_audit_error_total{plugin="truncate"}') == 6 and len(open(f"{where}/cut/audit.log").readlines()) == 4)
    server.stop()

    single = f"{where}/single"
    os.makedirs(single)
    open(f"{single}/real.log", "w").close()
    open(f"{single}/audit.log", "w").close()
    if subprocess.run(["mount", "--bind", f"{single}/real.log", f"{single}/audit.log"], capture_output=True).returncode != 0:
        shown("a single log file that is mounted: not run here, mount is not allowed")
        return
    try:
        server = Audited(single, f"--audit-log-path={single}/audit.log", "--audit-log-maxsize=1")
        server.ask(200, "/x?long=" + "y" * 4000, 404)
        check("where the file cannot be renamed writing goes on", len(open(f"{single}/real.log").readlines()) == 400 and "cannot rotate" in server.text())
        server.stop()
    finally:
        subprocess.run(["umount", f"{single}/audit.log"], check=True)


def write_policy(folder):
    with open(f"{folder}/policy.yaml", "w") as file:
        file.write(POLICY)
    return f"{folder}/policy.yaml"


def https(folder):
    """A receiver over TLS: its authority is checked, the user's token is sent, and a certificate of nobody is only taken if asked."""
    where = f"{folder}/https"
    os.makedirs(where)
    script = """
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out request.pem -subj /CN=receiver
printf 'subjectAltName=IP:127.0.0.1' >names
openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem
"""
    subprocess.run(["sh", "-ec", script], cwd=where, check=True, capture_output=True)
    heads = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heads.append((self.path, self.headers.get("Authorization"), len(body["items"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{where}/cert.pem", f"{where}/key.pem")
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.socket = context.wrap_socket(receiver.socket, server_side=True)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    for name, trust, user, want in [
        ("token", f"certificate-authority: {where}/ca.pem", "token: secret", "Bearer secret"),
        ("basic", f"certificate-authority: {where}/ca.pem", "username: u, password: p", "Basic dTpw"),
        ("insecure", "insecure-skip-tls-verify: true", "token: secret", "Bearer secret"),
        ("stranger", "", "token: secret", None),
    ]:
        os.makedirs(f"{where}/{name}")
        with open(f"{where}/{name}/kubeconfig", "w") as file:
            file.write(f"""current-context: c
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
clusters:
- name: c
  cluster: {{server: "https://127.0.0.1:{receiver.server_address[1]}/a/", {trust}}}
users: [{{name: u, user: {{{user}}}}}]
""")
        heads.clear()
        server = Audited(f"{where}/{name}", f"--audit-webhook-config-file={where}/{name}/kubeconfig", "--audit-webhook-mode=blocking", "--audit-webhook-initial-backoff=10ms")
        server.ask(1, expect=404)
        lost = server.metric('apiserver_audit_error_total{plugin="webhook"}')
        if want:
            check(f"https: {name}", heads == [("/a?timeout=30s", want, 1)] * 2 and lost == 0, f"{heads} {lost}")
        else:
            check("https: events go to nobody whose authority is unknown", not heads and lost == 2, f"{heads} {lost}")
        server.stop()
    receiver.shutdown()


# ---- webhook faults ----

class Receiver:
    """Answers POSTs in a certain way; keeps when each body came and what it was answered."""

    def __init__(self, mode):
        self.mode, self.lock, self.posts = mode, threading.Lock(), []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                came = time.monotonic()
                with outer.lock:
                    number = len(outer.posts)
                    post = {"at": came, "body": hashlib.sha256(body).hexdigest(), "items": len(json.loads(body)["items"]), "path": self.path, "ok": False}
                    outer.posts.append(post)
                outer.answer(self, post, number)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        if mode == "refused":
            self.server.server_close()
        else:
            threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, handler, post, number):
        def say(code, **headers):
            handler.send_response(code)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        if self.mode == "close":
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
        elif self.mode.startswith("slow"):
            time.sleep(float(self.mode.split(":")[1]))
            post["ok"] = True
            try:
                say(200)
            except OSError:
                pass
        elif self.mode == "429ra" and (SOAK or number % 4 < 3):
            say(429, Retry_After="2" if SOAK else "1")
        elif self.mode in ("500", "429", "403"):
            say(int(self.mode))
        else:
            post["ok"] = True
            say(200)


# What a kube-apiserver did with its pauses of 10 s (data/webhook of the recordings): tries of a batch, gaps in multiples of the first pause.
RECORDED = {"500": (5, [1.2, 1.6, 2.4, 3.6]), "429": (5, [1.1, 1.6, 2.5, 3.5]), "403": (5, [1.2, 1.7, 2.3, 3.8]), "close": (5, [1.1, 1.5, 2.5, 3.6])}
BACKOFF = 10.0 if SOAK else 0.4


def faults(folder):
    modes = ["ok", "500", "429", "429ra", "403", "close", "refused"] + (["slow:40"] if SOAK else [])
    rows, runs = [], {}

    def run(mode):
        where = f"{folder}/webhook-{mode.replace(':', '-')}"
        os.makedirs(where)
        receiver = Receiver(mode)
        with open(f"{where}/kubeconfig", "w") as file:
            file.write(f"""apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: c}}}}]
clusters: [{{name: c, cluster: {{server: "http://127.0.0.1:{receiver.port}/audit"}}}}]
""")
        server = Audited(where, f"--audit-webhook-config-file={where}/kubeconfig", "--audit-webhook-batch-max-size=50", "--audit-webhook-batch-max-wait=300ms",
                         f"--audit-webhook-initial-backoff={int(BACKOFF * 1000)}ms")
        server.ask(100, expect=404)
        # SIGTERM: every batch has its tries before the process ends.
        if mode != "429ra" or not SOAK:
            wait_for("the end of all tries", lambda: settled(server, receiver), 400)
            counted = server.metric('apiserver_audit_error_total{plugin="webhook"}')
        else:
            time.sleep(60)
            counted = server.metric('apiserver_audit_error_total{plugin="webhook"}')
        events = server.metric("apiserver_audit_event_total")
        with receiver.lock:
            posts = list(receiver.posts)
        runs[mode] = (events, counted, posts)
        server.stop(signal.SIGKILL)

    def settled(server, receiver):
        events, counted = server.metric("apiserver_audit_event_total"), server.metric('apiserver_audit_error_total{plugin="webhook"}')
        with receiver.lock:
            taken = {post["body"]: post["items"] for post in receiver.posts if post["ok"]}
            if receiver.mode.startswith("slow") and len(receiver.posts) < 2 * len(taken):
                return False
        return events == 200 and counted + sum(taken.values()) >= 200

    threads = [threading.Thread(target=run, args=(mode,)) for mode in modes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check("every fault was run", sorted(runs) == sorted(modes), sorted(runs))
    for mode in modes:
        events, counted, posts = runs[mode]
        bodies = collections.defaultdict(list)
        for post in posts:
            bodies[post["body"]].append(post)
        taken = sum(tries[0]["items"] for tries in bodies.values() if any(post["ok"] for post in tries))
        gaps = [[round((second["at"] - first["at"]) / BACKOFF, 2) for first, second in zip(tries, tries[1:])] for tries in bodies.values()]
        if mode != "429ra" or not SOAK:
            check(f"{mode}: lost = counted = events that never got a 2xx", counted == events - taken, f"{events} {taken} {counted}")
        if mode in RECORDED:
            tries = {len(tries) for tries in bodies.values()}
            check(f"{mode}: tries of a batch", tries == {RECORDED[mode][0]}, tries)
            for index in range(4):
                low, high = 1.5 ** index, 1.2 * 1.5 ** index + 0.15
                check(f"{mode}: pause {index + 1}", all(low <= of[index] <= high for of in gaps), [of[index] for of in gaps])
        elif mode == "ok":
            check("ok: each batch once", all(len(tries) == 1 for tries in bodies.values()) and posts[0]["path"] == "/audit?timeout=30s", posts[:1])
        elif mode == "429ra":
            pause = 2 if SOAK else 1
            seconds = [gap * BACKOFF for of in gaps for gap in of[:3]]
            check("429ra: what it asks for is waited for, in the same try", all(pause <= gap < pause + 0.5 for gap in seconds), seconds)
            check("429ra: nothing is lost", counted == 0, counted)
        elif mode.startswith("slow"):
            check("slow: what was answered too late is sent again", len(posts) > len(bodies), len(posts))
        first = next(iter(gaps), [])
        recorded = RECORDED.get(mode, ("", []))
        rows.append(f"{mode:>8}  events {events}  taken {taken}  lost {events - taken}  counted {counted}  bodies/tries {len(bodies)}/{len(posts)}  "
                    f"gaps/pause {' '.join(map(str, first[:4])) or '-'}  recorded {' '.join(map(str, recorded[1])) or '-'}")
    for row in rows:
        shown(f"webhook {row}")


def journal(folder):
    """A receiver that is away, with a journal in front: nothing is dropped, and the answers do not wait for it."""
    where = f"{folder}/journal"
    os.makedirs(where)
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    with open(f"{where}/kubeconfig", "w") as file:
        file.write(f'current-context: c\ncontexts: [{{name: c, context: {{cluster: c}}}}]\nclusters: [{{name: c, cluster: {{server: "http://127.0.0.1:{port}"}}}}]\n')
    flags = [f"--audit-webhook-config-file={where}/kubeconfig", "--audit-webhook-mode=blocking-strict", "--audit-webhook-initial-backoff=50ms", f"--audit-journal={where}/data"]
    server = Audited(where, *flags)
    server.ask(50, expect=404)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    receiver = Receiver("ok")
    # The same port is not needed: the kubeconfig is read again at the start.
    with open(f"{where}/kubeconfig", "w") as file:
        file.write(f'current-context: c\ncontexts: [{{name: c, context: {{cluster: c}}}}]\nclusters: [{{name: c, cluster: {{server: "http://127.0.0.1:{receiver.port}"}}}}]\n')
    server = Audited(where, *flags)
    server.ask(10, expect=404)
    wait_for("all events", lambda: sum(post["items"] for post in receiver.posts) >= 120)
    check("what was acknowledged before the kill comes after it", sum(post["items"] for post in receiver.posts) == 120, [post["items"] for post in receiver.posts])
    check("nothing is counted as lost", server.metric('apiserver_audit_error_total{plugin="webhook"}') == 0)
    server.stop()
    shown("journal: 100 events written while the webhook was away, then SIGKILL; all 120 delivered after the restart")


def main():
    with tempfile.TemporaryDirectory() as folder:
        if LAB:
            flags()
            messages(folder)
        rotation(folder)
        hangup(folder)
        full_disk(folder)
        forms(folder)
        https(folder)
        journal(folder)
        faults(folder)
    print(f"{passed} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)


main()
