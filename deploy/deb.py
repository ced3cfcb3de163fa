#!/usr/bin/env python3
"""Makes the Debian package, for the systemd hosts of docs/install.md.

    deploy/deb.py --binary FILE --version V --out FOLDER [--fast]

Contents are the folders `debian/` and `systemd/` beside this file, the binary, and the completions that the binary itself
prints. dpkg-deb writes the archive; owners and times are set, so the same binary gives the same bytes.
"""

import argparse
import gzip
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from archive import EPOCH

HERE = Path(__file__).parent

CONTROL = """\
Package: decklog
Version: {version}
Architecture: {architecture}
Maintainer: decklog <decklog@localhost>
Installed-Size: {size}
Depends: libc6 (>= {libc}), libgcc-s1 (>= 4.2), systemd | systemd-standalone-sysusers
Recommends: ca-certificates, tzdata
Section: admin
Priority: optional
Description: Kubernetes audit events, recorded durably and found again
 Follows kube-apiserver's audit log or takes its webhook, takes credentials
 out, keeps the events in an open table, and answers searches and SQL.
 .
 Two services, both off until they are wanted: decklog (the server) and
 decklog-forward (sends a control-plane node's audit log to a server).
"""


def run(*command: str, **options) -> bytes:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, **options).stdout


def newest_libc(binary: bytes) -> str:
    """The newest version of glibc that the binary asks a symbol of."""
    versions = {tuple(map(int, found.split(b"."))) for found in re.findall(rb"GLIBC_(2\.[0-9]+)\0", binary)}
    return ".".join(map(str, max(versions)))


def put(root: Path, place: str, content: bytes, mode: int = 0o644) -> None:
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def fill(root: Path, binary: Path, version: str, architecture: str) -> None:
    """The package's tree, as dpkg-deb takes it."""
    put(root, "usr/bin/decklog", binary.read_bytes(), 0o755)
    for name in ("decklog.service", "decklog-forward.service"):
        put(root, f"usr/lib/systemd/system/{name}", (HERE / "systemd" / name).read_bytes())
    put(root, "usr/lib/sysusers.d/decklog.conf", (HERE / "systemd/sysusers.conf").read_bytes())
    put(root, "etc/decklog/decklog.yaml", (HERE / "debian/decklog.yaml").read_bytes())
    put(root, "etc/default/decklog-forward", (HERE / "debian/decklog-forward.default").read_bytes())
    for shell, place in (("bash", "bash-completion/completions/decklog"), ("zsh", "zsh/vendor-completions/_decklog"), ("fish", "fish/vendor_completions.d/decklog.fish")):
        put(root, f"usr/share/{place}", run(str(binary.absolute()), "completion", shell))
    put(root, "usr/share/man/man1/decklog.1.gz", gzip.compress((HERE / "debian/decklog.1").read_bytes(), mtime=0))
    put(root, "usr/share/doc/decklog/copyright", (HERE / "debian/copyright").read_bytes())
    put(root, "usr/share/doc/decklog/changelog.gz", gzip.compress((HERE.parent / "CHANGELOG.md").read_bytes(), mtime=0))
    conffiles = "".join(f"/{path.relative_to(root)}\n" for path in sorted((root / "etc").rglob("*")) if path.is_file())
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) // 1024
    put(root, "DEBIAN/control", CONTROL.format(version=version, architecture=architecture, size=size, libc=newest_libc(binary.read_bytes())).encode())
    put(root, "DEBIAN/conffiles", conffiles.encode())
    for script in ("postinst", "prerm", "postrm"):
        put(root, f"DEBIAN/{script}", (HERE / "debian" / script).read_bytes(), 0o755)
    sums = "".join(f"{run('md5sum', str(path)).split()[0].decode()}  {path.relative_to(root)}\n" for path in sorted(root.rglob("*")) if path.is_file() and path.relative_to(root).parts[0] == "usr")
    put(root, "DEBIAN/md5sums", sums.encode())
    for path in [root, *root.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the Debian package.")
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fast", action="store_true", help="compress less: for tests")
    options = parser.parse_args()
    if shutil.which("dpkg-deb") is None:
        raise SystemExit("deploy/deb.py: needs dpkg-deb (Debian: apt-get install dpkg)")
    architecture = run("dpkg", "--print-architecture").decode().strip()
    options.out.mkdir(parents=True, exist_ok=True)
    package = options.out / f"decklog_{options.version}_{architecture}.deb"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        root.mkdir()
        fill(root, options.binary, options.version, architecture)
        compression = ["-Zgzip", "-z1"] if options.fast else ["-Zxz"]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)}
        run("dpkg-deb", "--root-owner-group", *compression, "--build", str(root), str(package), env=environment)
    print(package.name)


if __name__ == "__main__":
    main()
