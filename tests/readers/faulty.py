"""A proxy before an S3 server that now and then does what S3 does on a bad day. Seeded; used by s3.py.

Of the requests below the table's prefix a share gets, without reaching the server, 500 or 503, or for a write that must not
replace anything 409 or 412; or reaches the server and is answered by 500 or 409 all the same, so that the caller cannot know
whether it was done; or waits.
"""
import collections
import http.client
import http.server
import random
import threading
import time

KINDS = ("500", "503", "409", "412", "500 although done", "409 although done", "slow")


class Proxy(http.server.ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1; `share` of the requests meet a fault; `faults` counts them by kind."""

    daemon_threads = True

    def __init__(self, upstream_port, seed, share):
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream_port, self.share, self.random = upstream_port, share, random.Random(seed)
        self.lock, self.faults = threading.Lock(), collections.Counter()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def handle_error(self, *_):
        """A client that leaves is nothing to tell."""

    def fault(self, conditional):
        """The fault of the next request, or None. Conflicts are answers to conditional writes only."""
        with self.lock:
            if self.random.random() >= self.share:
                return None
            kind = self.random.choice(KINDS if conditional else ("500", "503", "500 although done", "slow"))
            self.faults[kind] += 1
            return kind


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        conditional = self.command == "PUT" and self.headers.get("If-None-Match") == "*"
        kind = self.server.fault(conditional)
        if kind == "slow":
            time.sleep(self.server.random.uniform(0.2, 1.5))
        if kind in ("500", "503", "409", "412"):
            return self.refuse(int(kind))
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream_port, timeout=60)
        upstream.request(self.command, self.path, body, dict(self.headers.items()))
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        if kind and kind.endswith("although done"):
            return self.refuse(int(kind[:3]))
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_any

    def refuse(self, status):
        codes = {500: "InternalError", 503: "SlowDown", 409: "ConditionalRequestConflict", 412: "PreconditionFailed"}
        content = b"" if self.command == "HEAD" else f"<Error><Code>{codes[status]}</Code><Message>a fault</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass
