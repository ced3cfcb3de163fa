"""The container image: a true OCI layout, the same bytes each time, and a server that runs in its layers as the chart
configures it: as user 65532, with a read-only root and no capability."""

import base64
import hashlib
import io
import json
import os
import signal
import ssl
import subprocess
import tarfile
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from common import BINARY, ROOT, folder, free_port, objects, packages, rendered, run, wait

# Runs a program in the unpacked layers ($2) with data ($3) and configuration ($4) mounted, as a container runtime would:
# as that user ($1), without capabilities, with a root that cannot be written.
AS_A_CONTAINER = """
set -e
user=$1 root=$2 data=$3 configuration=$4; shift 4
mount --bind "$root" "$root"
for place in proc dev; do mount --bind /$place "$root/$place"; done
mount --bind "$data" "$root/var/lib/decklog"
mount --bind "$configuration" "$root/etc/decklog"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -o remount,bind,ro "$root"
mount -o remount,bind,ro "$root/etc/decklog"
exec python3 -c '
import ctypes, os, sys
user, root, *words = sys.argv[1:]
os.chroot(root)
os.chdir("/")
process = ctypes.CDLL(None).prctl
NO_NEW_PRIVILEGES, DROP_FROM_BOUNDING_SET, n_capabilities = 38, 24, 41
for capability in range(n_capabilities):
    process(DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)
process(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
os.setgroups([int(user)])
os.setgid(int(user))
os.setuid(int(user))
os.execv(words[0], words)
' "$user" "$root" "$@"
"""
DEBS = Path(os.environ["DECKLOG_CACHE"]) / "debs"
EVENT = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a-1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/secrets/db","verb":"delete","user":{"username":"mallory"},"sourceIPs":["10.0.0.7"],"objectRef":{"resource":"secrets","namespace":"shop","name":"db","apiVersion":"v1"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-11-22T09:53:33.890841Z","stageTimestamp":"2026-11-22T09:53:33.893841Z"}'


class Layout(unittest.TestCase):
    """What is written in the layout's files."""

    def setUp(self):
        self.place = packages() / "image"
        self.manifest = self.read(json.loads((self.place / "index.json").read_text())["manifests"][0])
        self.config = self.read(self.manifest["config"])

    def blob(self, descriptor) -> bytes:
        content = (self.place / "blobs/sha256" / descriptor["digest"].removeprefix("sha256:")).read_bytes()
        self.assertEqual((f"sha256:{hashlib.sha256(content).hexdigest()}", len(content)), (descriptor["digest"], descriptor["size"]))
        return content

    def read(self, descriptor) -> dict:
        return json.loads(self.blob(descriptor))

    def layers(self) -> list[tarfile.TarFile]:
        opened = []
        for descriptor, diff_id in zip(self.manifest["layers"], self.config["rootfs"]["diff_ids"], strict=True):
            content = subprocess.run(["gzip", "-dc"], input=self.blob(descriptor), capture_output=True, check=True).stdout
            self.assertEqual(f"sha256:{hashlib.sha256(content).hexdigest()}", diff_id)
            opened.append(tarfile.open(fileobj=io.BytesIO(content)))
        return opened

    def test_every_blob_is_what_its_digest_says(self):
        self.assertEqual(json.loads((self.place / "oci-layout").read_text()), {"imageLayoutVersion": "1.0.0"})
        n_layers = len(self.layers())
        self.assertEqual(n_layers, 2)
        self.assertEqual(len(list((self.place / "blobs/sha256").iterdir())), n_layers + 2, "blobs that nothing names")

    def test_it_says_what_it_is(self):
        config = self.config["config"]
        self.assertEqual((config["User"], config["Entrypoint"], config["Cmd"]), ("65532:65532", ["/usr/bin/decklog"], ["serve"]))
        version = run("sed", "-n", r'/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p', ROOT / "Cargo.toml").strip()
        self.assertEqual(config["Labels"]["org.opencontainers.image.version"], version)
        self.assertRegex(config["Labels"]["io.decklog.base.packages"], r"\blibc6=2\.36-")

    def test_no_file_gains_rights_and_only_the_data_folder_is_the_users(self):
        for layer in self.layers():
            for member in layer.getmembers():
                self.assertFalse(member.mode & 0o6000, member.name)
                self.assertFalse(member.isreg() and member.mode & 0o022, member.name)
                self.assertEqual(member.uid == 65532, member.name == "var/lib/decklog", member.name)
                self.assertNotRegex(member.name, r"^(usr/)?s?bin/(?!decklog$)", "no shell, no package manager")

    def test_the_same_binary_gives_the_same_image(self):
        small = folder()
        (small / "decklog").write_bytes(b"#!/bin/sh\n")
        said = []
        for name in ("one", "two"):
            said.append(run(ROOT / "deploy/image.py", "--binary", small / "decklog", "--version", "1", "--fast", "--out", small / name, "--debs", DEBS))
        self.assertEqual(said[0], said[1])
        run("cmp", *small.glob("*/*.oci.tar"))


class Running(unittest.TestCase):
    """The server in the image, configured by the chart's own objects."""

    @classmethod
    def setUpClass(cls):
        cls.root, cls.volume, cls.configuration = folder(), folder(), folder()
        layout = packages() / "image"
        manifest = json.loads((layout / "index.json").read_text())["manifests"][0]
        for layer in json.loads((layout / "blobs/sha256" / manifest["digest"][7:]).read_text())["layers"]:
            run("tar", "--extract", "--gzip", "--same-owner", "--directory", cls.root, "--file", layout / "blobs/sha256" / layer["digest"][7:])
        # A volume as a kubelet hands it over to a pod with an fsGroup.
        run("chown", "0:65532", cls.volume)
        cls.volume.chmod(0o2775)
        (cls.volume / "lost+found").mkdir(mode=0o700)
        found = rendered(None, "cluster=lab")
        cls.secrets = {name: found[f"Secret/decklog-{name}"] for name in ("tls", "auth")}
        tls = {name: base64.b64decode(value) for name, value in cls.secrets["tls"]["data"].items()}
        cls.put("config/decklog.yaml", found["ConfigMap/decklog"]["data"]["decklog.yaml"].encode())
        cls.put("tls/tls.crt", tls["tls.crt"])
        cls.put("tls/tls.key", tls["tls.key"])
        cls.put("auth/tokens", cls.secrets["auth"]["stringData"]["tokens"].encode())
        cls.authority = tls["ca.crt"].decode()
        cls.put("client/ca.crt", tls["ca.crt"])
        cls.put("client/token", cls.token("read").encode())
        cls.arguments = found["StatefulSet/decklog"]["spec"]["template"]["spec"]["containers"][0]["args"]

    @classmethod
    def put(cls, name, content):
        """A file of a mounted Secret or ConfigMap: root's, readable for the pod's group."""
        path = cls.configuration / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o440)
        run("chown", "0:65532", path)

    @classmethod
    def token(cls, role):
        return cls.secrets["auth"]["stringData"][f"{role}.token"]

    def command(self, *words, user=65532, volume=None):
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", AS_A_CONTAINER, "container", user, self.root, volume or self.volume, self.configuration, *words]

    def ask(self, path, token=None, body=None):
        request = urllib.request.Request(f"https://localhost:{self.port}{path}", data=body, headers={"Authorization": f"Bearer {token}"} if token else {})
        try:
            with urllib.request.urlopen(request, context=ssl.create_default_context(cadata=self.authority), timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()
        except urllib.error.URLError as failed:
            if isinstance(failed.reason, ssl.SSLError):
                raise
            return 0, ""

    def test_version_as_nobody_with_a_read_only_root(self):
        version = run(*self.command("/usr/bin/decklog", "version"))
        self.assertRegex(version, r"^decklog \d+\.\d+\.\d+")
        refused = run(*self.command("/usr/bin/decklog", "import", "/proc/self/status", "--data-dir", "/usr/data"), fails=True)
        self.assertRegex(refused, "(?i)read-only file system|permission denied")

    def test_roots_log_is_followed_by_root_without_capabilities(self):
        """As the static pod runs: the log is root's, mode 0600, in a folder of mode 0700; nothing of others can be read."""
        volume = folder()
        pod = objects((ROOT / "deploy/static-pod/decklog.yaml").read_text())[0]["spec"]["containers"][0]["args"]
        self.assertIn("--tail=/var/log/kubernetes/audit/audit.log", pod)
        log = volume / "audit/audit.log"
        log.parent.mkdir(mode=0o700)
        log.write_bytes(EVENT + b"\n")
        log.chmod(0o600)
        of_others = volume / "of-others"
        of_others.write_bytes(EVENT)
        of_others.chmod(0o600)
        run("chown", "1000:1000", of_others)
        refused = run(*self.command("/usr/bin/decklog", "import", "/var/lib/decklog/of-others", "--data-dir", "/tmp/data", user=0, volume=volume), fails=True)
        self.assertRegex(refused, "(?i)permission denied")
        port = free_port()
        places = {"--data-dir": "/var/lib/decklog/data", "--listen": f"127.0.0.1:{port}", "--tail": "/var/lib/decklog/audit/audit.log"}
        arguments = [f"{name}={places.get(name, value)}" if value else name for name, _, value in (word.partition("=") for word in pod)]
        server = subprocess.Popen([str(word) for word in self.command("/usr/bin/decklog", *arguments, user=0, volume=volume)], stderr=subprocess.DEVNULL)
        try:
            def found():
                return subprocess.run([BINARY, "search", "user:mallory", "-o", "json", "--server", f"http://127.0.0.1:{port}"], capture_output=True).stdout == EVENT + b"\n"

            wait(found, "the event of the log")
            server.send_signal(signal.SIGTERM)
            self.assertEqual(server.wait(30), 0)
        finally:
            server.kill()

    def test_the_charts_configuration_is_right(self):
        run(*self.command("/usr/bin/decklog", "config", "check", "/etc/decklog/config/decklog.yaml"))

    def test_zones_of_the_image_are_used(self):
        said = run(*self.command("/usr/bin/decklog", "search", "--help"), env={"DECKLOG_TZ": "Europe/Oslo", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        self.assertIn("Usage:", said)
        self.assertTrue((self.root / "usr/share/zoneinfo/Europe/Oslo").exists())

    def test_an_event_goes_in_and_is_found(self):
        self.port = free_port()
        said = folder() / "serve.log"
        log = said.open("wb")
        server = subprocess.Popen([str(word) for word in self.command("/usr/bin/decklog", *self.arguments, f"--listen=127.0.0.1:{self.port}")], stdout=log, stderr=log)
        try:
            wait(lambda: server.poll() is not None or self.ask("/readyz")[0] == 200, "ready")
            self.assertIsNone(server.poll(), said.read_text())
            self.assertEqual(self.ask("/livez"), (200, "ok"))
            self.assertEqual(self.ask("/ingest/webhook/webhook", None, EVENT)[0], 401)
            self.assertEqual(self.ask("/ingest/webhook/webhook", self.token("webhook"), EVENT)[0], 200)
            self.assertEqual(self.ask("/ingest/webhook/forward", self.token("forward"), EVENT.replace(b"a-1", b"a-2"))[0], 200)
            self.assertEqual(self.ask("/ingest/webhook/forward", self.token("read"), EVENT)[0], 403)
            self.assertEqual(self.ask("/api/v1/quarantine", self.token("admin"))[0], 200)
            # The command of the chart's notes, in a second container.
            found = run(*self.command("/usr/bin/decklog", "search", "user:mallory", "-o", "json", "--server", f"https://localhost:{self.port}",
                                      "--ca-file", "/etc/decklog/client/ca.crt", "--token-file", "/etc/decklog/client/token"))
            self.assertEqual(found.encode().splitlines(), [EVENT, EVENT.replace(b"a-1", b"a-2")])
            about = self.ask("/api/v1/events?filter=user:mallory", self.token("read"))[1]
            self.assertIn('"cluster":"lab"', about)
            status, metrics = self.ask("/metrics", self.token("read"))
            self.assertEqual(status, 200)
            self.assertIn('decklog_source_received_events_total{source="webhook"} 1\n', metrics)
            server.send_signal(signal.SIGTERM)
            self.assertEqual(server.wait(30), 0)
        finally:
            server.kill()
            log.close()
        self.assertEqual(sorted(path.name for path in self.volume.iterdir()), ["data", "lost+found"])
