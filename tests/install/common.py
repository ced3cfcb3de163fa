"""What the tests of this folder share: where things are, running a command, the packages, rendering the chart, the lab."""

import functools
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CHART = ROOT / "deploy/helm/decklog"
BINARY = Path()  # set by check.py
# An event as kube-apiserver's log has it.
EVENT = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a-1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/secrets/db","verb":"delete","user":{"username":"mallory"},"sourceIPs":["10.0.0.7"],"objectRef":{"resource":"secrets","namespace":"shop","name":"db","apiVersion":"v1"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-11-22T09:53:33.890841Z","stageTimestamp":"2026-11-22T09:53:33.893841Z"}'

_made: list[Path] = []
_lab: Path | None = None


def run(*command, stdin: str | bytes | None = None, fails: bool = False, **options) -> str:
    """Standard output of a command that succeeds, or with `fails` what a command says that does not."""
    if isinstance(stdin, str):
        stdin = stdin.encode()
    ended = subprocess.run([str(word) for word in command], input=stdin, capture_output=True, timeout=300, **options)
    said = ended.stderr.decode(errors="replace")
    if (ended.returncode != 0) != fails:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {ended.returncode}\n{ended.stdout.decode(errors='replace')[-4000:]}{said[-4000:]}")
    return ended.stdout.decode(errors="replace") + (said if fails else "")


def folder() -> Path:
    """A new folder that goes away at the end."""
    made = Path(tempfile.mkdtemp(prefix="decklog-install-"))
    made.chmod(0o755)
    _made.append(made)
    return made


def clean() -> None:
    if _lab is not None:
        subprocess.run([ROOT / "tests/lab/down.sh", _lab], check=False)
    for made in _made:
        shutil.rmtree(made, ignore_errors=True)


def wait(condition, what: str, seconds: float = 60):
    """The condition's value, once it has one."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds} s")


def free_port(count: int = 1) -> int:
    """The first of so many ports that nobody listens on."""
    for base in range(21000 + os.getpid() % 1000 * 20, 60000, 20):
        try:
            for port in range(base, base + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return base
        except OSError:
            continue
    raise AssertionError("no free ports")


@functools.cache
def packages() -> Path:
    """The folder with image, Debian package and chart."""
    made = folder()
    run(ROOT / "scripts/package", BINARY, made, "--fast")
    return made


@functools.cache
def tools() -> Path:
    return Path(run(HERE / "tools/build.sh").strip())


def objects(manifests: str) -> list[dict]:
    """Each document of a YAML stream; those whose CRDs the lab lacks are checked on the way."""
    return [json.loads(line) for line in run(tools() / "strict", stdin=manifests).splitlines()]


def render(values: str | None = None, *settings: str, fails: bool = False) -> str:
    """What `helm template` makes of a file of values/, or what it complains about."""
    chosen = ["-f", HERE / "values" / f"{values}.yaml"] if values else []
    for setting in settings:
        chosen += ["--set", setting]
    return run(tools() / "helm", "template", "decklog", CHART, "--namespace", "audit", *chosen, fails=fails)


def rendered(values: str | None = None, *settings: str) -> dict[str, dict]:
    """The chart's objects by `Kind/name`."""
    return {f"{found['kind']}/{found['metadata']['name']}": found for found in objects(render(values, *settings))}


@functools.cache
def lab() -> Path:
    """The folder of a running control plane (tests/lab), with the audit policy of docs/install.md."""
    global _lab
    binaries = run(ROOT / "tests/lab/build.sh").strip()
    _lab = folder()
    os.environ["LAB_BIN"] = binaries
    policy = folder() / "policy.yaml"
    policy.write_text(re.search(r"```yaml\n(# /etc/kubernetes/audit/policy.yaml\n.*?)```", (ROOT / "docs/install.md").read_text(), re.S)[1])
    run(ROOT / "tests/lab/up.sh", policy, _lab, env={**os.environ, "PORT_BASE": str(free_port(12)), "MAXSIZE": "1"})
    return _lab


def kubectl(*words, **options) -> str:
    place = lab()
    return run(Path(os.environ["LAB_BIN"]) / "kubectl", f"--kubeconfig={place}/admin.kubeconfig", f"--cache-dir={place}/kubectl-cache", *words, **options)
