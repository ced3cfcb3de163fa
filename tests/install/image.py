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

from common import BINARY, EVENT, ROOT, folder, free_port, objects, packages, rendered, run, wait

# Runs a program in unpacked layers ($2), as a container runtime would: as that user ($1), without capabilities, with a root
# that cannot be written and what is mounted into it (pairs FROM TO up to `--`).
AS_A_CONTAINER = """
set -e
user=$1 root=$2; shift 2
mount --bind "$root" "$root"
for place in proc dev; do mount --bind /$place "$root/$place"; done
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
while [ "$1" != -- ]; do
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  shift 2
done
shift
mount -o remount,bind,ro "$root"
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

    def test_another_program_takes_it(self):
        archive = next(packages().glob("*.oci.tar"))
        run("skopeo", "--insecure-policy", "copy", f"oci-archive:{archive}", f"dir:{folder()}")
        self.assertEqual(json.loads(run("skopeo", "inspect", f"oci-archive:{archive}"))["Digest"], json.loads((self.place / "index.json").read_text())["manifests"][0]["digest"])

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
    """Server and forwarder in the image, with the arguments and files that the chart and the static pods give them."""

    @classmethod
    def setUpClass(cls):
        cls.root, cls.secrets = folder(), folder()
        layout = packages() / "image"
        manifest = json.loads((layout / "index.json").read_text())["manifests"][0]
        for layer in json.loads((layout / "blobs/sha256" / manifest["digest"][7:]).read_text())["layers"]:
            run("tar", "--extract", "--gzip", "--same-owner", "--directory", cls.root, "--file", layout / "blobs/sha256" / layer["digest"][7:])
        cls.objects = rendered(None, "cluster=lab", "forward.enabled=true", "forward.statusPort=7081")
        tls = {name: base64.b64decode(value) for name, value in cls.objects["Secret/decklog-tls"]["data"].items()}
        cls.authority = tls["ca.crt"].decode()
        # As a kubelet mounts them: root's, readable for the group of the server's pod.
        for name, content in {
            "config/decklog.yaml": cls.objects["ConfigMap/decklog"]["data"]["decklog.yaml"].encode(),
            "tls/tls.crt": tls["tls.crt"],
            "tls/tls.key": tls["tls.key"],
            "auth/tokens": cls.objects["Secret/decklog-auth"]["stringData"]["tokens"].encode(),
            "ca/ca.crt": tls["ca.crt"],
            "token/token": cls.token("forward").encode(),
            "read/token": cls.token("read").encode(),
        }.items():
            path = cls.secrets / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o440)
            run("chown", "0:65532", path)

    @classmethod
    def token(cls, role):
        return cls.objects["Secret/decklog-auth"]["stringData"][f"{role}.token"]

    def container(self, *words, user=65532, mounts=()):
        pairs = [word for pair in [(self.secrets, "/etc/decklog"), *mounts] for word in pair]
        return [str(word) for word in ("unshare", "--mount", "--propagation", "private", "sh", "-c", AS_A_CONTAINER, "container", user, self.root, *pairs, "--", "/usr/bin/decklog", *words)]

    def start(self, words, **options):
        """A running container, ended by SIGTERM with exit code 0; its stderr is told when it ends early."""
        said = folder() / "stderr"
        with said.open("wb") as stream:
            process = subprocess.Popen(self.container(*words, **options), stderr=stream)

        def stop():
            early = process.poll()
            process.send_signal(signal.SIGTERM)
            try:
                self.assertEqual((early, process.wait(30)), (None, 0), said.read_text())
            finally:
                process.kill()

        self.addCleanup(stop)
        return process

    def serve(self) -> Path:
        """The chart's server; gives back its volume."""
        volume = folder()
        # As a kubelet hands it over to a pod with an fsGroup.
        run("chown", "0:65532", volume)
        volume.chmod(0o2775)
        (volume / "lost+found").mkdir(mode=0o700)
        self.port = free_port()
        arguments = self.objects["StatefulSet/decklog"]["spec"]["template"]["spec"]["containers"][0]["args"]
        server = self.start([*arguments, f"--listen=127.0.0.1:{self.port}"], mounts=[(volume, "/var/lib/decklog")])
        wait(lambda: server.poll() is not None or self.ask("/readyz")[0] == 200, "ready")
        return volume

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

    def roots_log(self) -> Path:
        """A folder with an audit log as kube-apiserver makes it: root's, modes 0700 and 0600."""
        place = folder()
        place.chmod(0o700)
        (place / "audit.log").write_bytes(EVENT + b"\n")
        (place / "audit.log").chmod(0o600)
        return place

    def test_version_as_nobody_with_a_read_only_root(self):
        version = run(*self.container("version"))
        self.assertRegex(version, r"^decklog \d+\.\d+\.\d+")
        refused = run(*self.container("import", "/proc/self/status", "--data-dir", "/usr/data"), fails=True)
        self.assertRegex(refused, "(?i)read-only file system|permission denied")

    def test_zones_and_certificates_are_there(self):
        self.assertTrue((self.root / "usr/share/zoneinfo/Europe/Oslo").exists())
        self.assertGreater((self.root / "etc/ssl/certs/ca-certificates.crt").read_text().count("BEGIN CERTIFICATE"), 100)

    def test_the_charts_configuration_is_right(self):
        run(*self.container("config", "check", "/etc/decklog/config/decklog.yaml"))

    def test_root_without_capabilities_reads_what_root_owns_and_nothing_else(self):
        place = self.roots_log()
        run("chown", "-R", "1000:1000", place)
        refused = run(*self.container("import", "/log/audit.log", "--data-dir", "/tmp/data", user=0, mounts=[(place, "/log")]), fails=True)
        self.assertRegex(refused, "(?i)permission denied")

    def test_an_event_goes_in_and_is_found(self):
        volume = self.serve()
        self.assertEqual(self.ask("/livez"), (200, "ok"))
        self.assertEqual(self.ask("/ingest/webhook/webhook", None, EVENT)[0], 401)
        self.assertEqual(self.ask("/ingest/webhook/webhook", self.token("webhook"), EVENT)[0], 200)
        self.assertEqual(self.ask("/ingest/webhook/forward", self.token("read"), EVENT)[0], 403)
        self.assertEqual(self.ask("/api/v1/quarantine", self.token("admin"))[0], 200)
        # The command of the chart's notes, in a second container.
        found = run(*self.container("search", "user:mallory", "-o", "json", "--server", f"https://localhost:{self.port}",
                                    "--ca-file", "/etc/decklog/ca/ca.crt", "--token-file", "/etc/decklog/read/token"))
        self.assertEqual(found.encode(), EVENT + b"\n")
        self.assertIn('"cluster":"lab"', self.ask("/api/v1/events?filter=user:mallory", self.token("read"))[1])
        status, metrics = self.ask("/metrics", self.token("read"))
        self.assertEqual(status, 200)
        self.assertIn('decklog_source_received_events_total{source="webhook"} 1\n', metrics)
        self.assertEqual(sorted(path.name for path in volume.iterdir()), ["data", "lost+found"])

    def test_the_charts_forwarder_sends_roots_log_to_the_charts_server(self):
        self.serve()
        status = free_port()
        arguments = self.objects["DaemonSet/decklog-forward"]["spec"]["template"]["spec"]["containers"][0]["args"]
        places = {"--to": f"https://localhost:{self.port}", "--status-listen": f"127.0.0.1:{status}"}
        data = folder()
        forward = self.start(changed(arguments, places), user=0, mounts=[(self.roots_log(), "/var/log/kubernetes/audit"), (data, "/var/lib/decklog-forward")])
        wait(lambda: forward.poll() is not None or '"cluster":"lab","source":"forward"' in self.ask("/api/v1/events?filter=user:mallory", self.token("read"))[1], "the event at the server")
        with urllib.request.urlopen(f"http://127.0.0.1:{status}/readyz", timeout=10) as answer:
            self.assertEqual(answer.status, 200)
        self.assertEqual(json.loads(self.ask("/api/v1/events?filter=user:mallory", self.token("read"))[1])["items"], [json.loads(EVENT)])

    def test_the_static_pod_follows_roots_log(self):
        pod = objects((ROOT / "deploy/static-pod/decklog.yaml").read_text())[0]["spec"]["containers"][0]["args"]
        port = free_port()
        server = self.start(changed(pod, {"--listen": f"127.0.0.1:{port}"}), user=0, mounts=[(self.roots_log(), "/var/log/kubernetes/audit"), (folder(), "/var/lib/decklog")])

        def found():
            return subprocess.run([BINARY, "search", "user:mallory", "-o", "json", "--server", f"http://127.0.0.1:{port}"], capture_output=True).stdout == EVENT + b"\n"

        wait(lambda: server.poll() is not None or found(), "the event of the log")

    def test_the_static_forwarder_has_the_flags_of_the_charts(self):
        pod = objects((ROOT / "deploy/static-pod/decklog-forward.yaml").read_text())[0]["spec"]["containers"][0]["args"]
        chart = self.objects["DaemonSet/decklog-forward"]["spec"]["template"]["spec"]["containers"][0]["args"]
        names = [word.partition("=")[0] for word in pod]
        self.assertEqual(names, [word.partition("=")[0] for word in chart if not word.startswith("--status-listen")])


def changed(arguments: list[str], values: dict[str, str]) -> list[str]:
    """Arguments `--NAME=VALUE` with other values for some names."""
    return [f"{name}={values.get(name, value)}" if equals else name for name, equals, value in (word.partition("=") for word in arguments)]
