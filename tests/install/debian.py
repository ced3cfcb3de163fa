"""The Debian package and the systemd units: contents, and an installation into a copy of this system."""

import hashlib
import re
import subprocess
import unittest

from common import EVENT, ROOT, folder, free_port, packages, run, wait

# Runs a script in a copy of this system: its files below, a memory disk above that takes every change.
IN_A_COPY = """
set -e
top=$1
mount -t tmpfs tmpfs "$top"
mkdir "$top/changes" "$top/work" "$top/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$top/changes,workdir=$top/work" "$top/root"
for place in proc dev; do mount --bind /$place "$top/root/$place"; done
cp "$2" "$top/root/tmp/decklog.deb"
chroot "$top/root" sh -ec "$3"
"""

INSTALL = """
exec 2>&1
rm -rf /etc/decklog /var/lib/decklog
dpkg --no-triggers --force-confold --install /tmp/decklog.deb
id decklog
decklog version
stat -c '%U:%G %a %n' /etc/decklog /etc/decklog/decklog.yaml /etc/default/decklog-forward
decklog config check /etc/decklog/decklog.yaml
echo 'cluster: mine' >>/etc/decklog/decklog.yaml
dpkg --no-triggers --force-confold --install /tmp/decklog.deb
tail -1 /etc/decklog/decklog.yaml
mkdir -p /var/lib/decklog && touch /var/lib/decklog/events
dpkg --no-triggers --remove decklog
ls /etc/decklog /var/lib/decklog
test ! -e /usr/bin/decklog
dpkg --no-triggers --purge decklog
test ! -e /etc/decklog/decklog.yaml
ls /var/lib/decklog
echo through
"""


def package():
    return next(packages().glob("decklog_*.deb"))


class Package(unittest.TestCase):
    def test_what_it_says_of_itself(self):
        fields = run("dpkg-deb", "--field", package())
        self.assertIn("Package: decklog\n", fields)
        libc = re.search(r"libc6 \(>= 2\.(\d+)\)", fields)
        self.assertLessEqual(int(libc[1]), 36, "Debian 12 has glibc 2.36")
        control = folder()
        run("dpkg-deb", "--control", package(), control)
        self.assertEqual((control / "conffiles").read_text().split(), ["/etc/decklog/decklog.yaml", "/etc/default/decklog-forward"])
        for script in ("postinst", "prerm", "postrm"):
            run("sh", "-n", control / script)

    def test_what_is_in_it(self):
        root = folder()
        run("dpkg-deb", "--extract", package(), root)
        run("bash", "-n", root / "usr/share/bash-completion/completions/decklog")
        self.assertIn("#compdef", (root / "usr/share/zsh/vendor-completions/_decklog").read_text())
        self.assertIn("complete", (root / "usr/share/fish/vendor_completions.d/decklog.fish").read_text())
        for name in ("usr/share/man/man1/decklog.1.gz", "usr/share/doc/decklog/copyright", "usr/lib/systemd/system/decklog.service"):
            self.assertTrue((root / name).exists(), name)
        users = folder()
        (users / "etc").mkdir()
        run("systemd-sysusers", f"--root={users}", root / "usr/lib/sysusers.d/decklog.conf")
        self.assertRegex((users / "etc/passwd").read_text(), r"decklog:x:\d+:\d+:decklog:/var/lib/decklog:/usr/sbin/nologin")

    def test_owners_are_root_and_nothing_gains_rights(self):
        for line in run("dpkg-deb", "--contents", package()).splitlines():
            self.assertIn(" root/root ", line)
            self.assertNotIn("s", line.split()[0])

    def test_the_same_binary_gives_the_same_package(self):
        small = folder()
        (small / "decklog").write_bytes(b"#!/bin/sh\necho completion\nexit\nGLIBC_2.34\0")
        (small / "decklog").chmod(0o755)
        for name in ("one", "two"):
            run(ROOT / "deploy/deb.py", "--binary", small / "decklog", "--version", "1", "--out", small / name)
            run(ROOT / "deploy/chart.py", "--version", "1", "--out", small / name)
        run("diff", "--recursive", small / "one", small / "two")

    def test_installed_changed_upgraded_removed_and_purged(self):
        said = run("unshare", "--mount", "--propagation", "private", "bash", "-c", IN_A_COPY, "copy", folder(), package(), INSTALL)
        self.assertIn("(decklog)", said)
        self.assertIn("root:decklog 750 /etc/decklog\n", said)
        self.assertIn("cluster: mine", said, "a changed configuration is kept")
        self.assertIn("the data in /var/lib/decklog stays", said)
        self.assertTrue(said.rstrip().endswith("events\nthrough"), said[-500:])


class Units(unittest.TestCase):
    def units(self):
        """Copies that start a program which is there."""
        place = folder()
        for unit in sorted((ROOT / "deploy/systemd").glob("*.service")):
            text = unit.read_text().replace("/usr/bin/decklog", "/bin/true")
            (place / unit.name).write_text(text)
        return sorted(place.glob("*.service"))

    def test_systemd_reads_them(self):
        ended = subprocess.run(["systemd-analyze", "verify", "--man=no", *self.units()], capture_output=True, text=True, timeout=60)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))

    def test_they_are_shut_in(self):
        for unit in self.units():
            run("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", unit)

    def test_the_server_has_time_to_end(self):
        text = (ROOT / "deploy/systemd/decklog.service").read_text()
        self.assertIn("ExecStart=/usr/bin/decklog serve --config /etc/decklog/decklog.yaml\n", text)
        # server.stopTimeout is 20 s.
        self.assertGreater(int(re.search(r"TimeoutStopSec=(\d+)s", text)[1]), 20)

    def test_the_forwarder_may_read_roots_log_with_the_one_right_it_has(self):
        unit = (ROOT / "deploy/systemd/decklog-forward.service").read_text()
        self.assertIn("\nAmbientCapabilities=CAP_DAC_READ_SEARCH\nCapabilityBoundingSet=CAP_DAC_READ_SEARCH\nNoNewPrivileges=yes\n", unit)
        program, log, data, server_data = packages() / "decklog", folder(), folder(), folder()
        log.chmod(0o700)
        (log / "audit.log").write_bytes(EVENT + b"\n")
        (log / "audit.log").chmod(0o600)
        run("chown", "65532:65532", data)
        (data / "token").write_text("token-of-a-test")
        (data / "tokens").write_text(f"node send,read {hashlib.sha256(b'token-of-a-test').hexdigest()} source=forward\n")
        port = free_port()
        variables = {"AUDIT_LOG": log / "audit.log", "SERVER": f"http://127.0.0.1:{port}", "TOKEN_FILE": data / "token"}
        words = re.search(r"^ExecStart=/usr/bin/decklog (.*)$", unit, re.M)[1].replace("$OPTIONS", "").replace("/var/lib/decklog-forward", f"{data}/data")
        for name, value in variables.items():
            words = words.replace("${%s}" % name, str(value))
        right = "-all,+dac_read_search"
        server = subprocess.Popen([program, "serve", "--data-dir", server_data, "--listen", f"127.0.0.1:{port}", "--tokens-file", data / "tokens"], stderr=subprocess.DEVNULL)
        forward, said = None, folder() / "stderr"
        try:
            forward = subprocess.Popen(["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", f"--inh-caps={right}", f"--ambient-caps={right}",
                                        f"--bounding-set={right}", "--no-new-privs", program, *words.split()], stderr=said.open("wb"))

            def found():
                return subprocess.run([program, "search", "user:mallory", "-o", "json", "--server", f"http://127.0.0.1:{port}", "--token-file", data / "token"], capture_output=True).stdout == EVENT + b"\n"

            wait(lambda: forward.poll() is not None or found(), "the event at the server")
            self.assertIsNone(forward.poll(), said.read_text())
        finally:
            for process in (forward, server):
                if process is not None:
                    process.terminate()
                    process.wait(30)
