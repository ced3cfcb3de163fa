#!/usr/bin/env python3
"""Makes the container image: an OCI layout, written file by file, without a container engine.

    deploy/image.py --binary FILE --version V --revision R --out FOLDER [--debs FOLDER] [--fast]

FOLDER gets `image/` (the layout) and `decklog-V-ARCH.oci.tar` (the same as one file, for `skopeo copy oci-archive:…`,
`ctr images import`, `podman load`). Two layers: what the binary needs of Debian 12, and the binary. The Debian packages
are fetched by apt, which checks their signatures; the newest of the release are taken and their versions are written into
the image (`/var/lib/dpkg/status.d`, where scanners look, and a label). The same packages and the same binary give the
same digest. Nothing in the image is run to make it, and it has no shell and no package manager.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from archive import EPOCH, Entry, folder, gzipped, tar

USER = 65532
# libc6 and libgcc-s1 are what the binary links, ca-certificates is for sinks and S3, tzdata for `DECKLOG_TZ`.
PACKAGES = ["base-files", "ca-certificates", "libc6", "libgcc-s1", "tzdata"]
# Of these packages: loader and libraries, zones, certificates, names and licences.
WANTED = re.compile(
    r"^(lib(64)?/.*"
    r"|etc/(debian_version|host\.conf|ld\.so\.conf\.d/.*)"
    r"|usr/lib/os-release"
    r"|usr/share/zoneinfo/.*"
    r"|usr/share/common-licenses/.*"
    r"|usr/share/doc/[^/]+/copyright)$"
)
# Debugging aids of libc, and the second and third copy of every time zone.
UNWANTED = re.compile(r"^lib/[^/]+/(libc_malloc_debug|libmemusage|libpcprofile|libthread_db|libBrokenLocale|libnss_hesiod|libnsl|libmvec)\b|^usr/share/zoneinfo/(posix|right)/")

PASSWD = f"root:x:0:0:root:/root:/usr/sbin/nologin\ndecklog:x:{USER}:{USER}:decklog:/var/lib/decklog:/usr/sbin/nologin\n"
GROUP = f"root:x:0:\ndecklog:x:{USER}:\n"


def run(*command: str, **options) -> str:
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **options).stdout


def fetch(debs: Path) -> list[Path]:
    """The packages' files, fetched unless they are there in the newest version."""
    release = Path("/etc/os-release").read_text()
    if "\nID=debian" not in release or 'VERSION_ID="12"' not in release:
        sys.exit("deploy/image.py: the image is made of Debian 12's packages: run it there")
    debs.mkdir(parents=True, exist_ok=True)
    try:
        return newest(debs)
    except (KeyError, subprocess.CalledProcessError):
        # apt's lists are not there, or so old that the archive has gone on.
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        return newest(debs)


def newest(debs: Path) -> list[Path]:
    versions = dict(re.findall(r"^(\S+):\n.*\n  Candidate: (\d\S*)", run("apt-cache", "policy", *PACKAGES), re.M))
    found = []
    for name in PACKAGES:
        pattern = f"{name}_{versions[name].replace(':', '%3a')}_*.deb"
        if not list(debs.glob(pattern)):
            subprocess.run(["apt-get", "download", "-qq", f"{name}={versions[name]}"], check=True, cwd=debs, stderr=subprocess.DEVNULL)
        found.append(next(debs.glob(pattern)))
    return found


def base(packages: list[Path]) -> tuple[list[Entry], list[str]]:
    """The Debian part, and `name=version` of each package."""
    entries, versions = {}, []

    def add(entry: Entry) -> None:
        entries[entry.name] = entry

    bundle = b""
    for package in packages:
        control = run("dpkg-deb", "--field", str(package))
        name, version = (re.search(rf"^{key}: (.+)$", control, re.M)[1] for key in ("Package", "Version"))
        versions.append(f"{name}={version}")
        add(Entry(f"var/lib/dpkg/status.d/{name}", control.encode()))
        with tempfile.TemporaryDirectory() as unpacked:
            run("dpkg-deb", "--extract", str(package), unpacked)
            root = Path(unpacked)
            for path in sorted(root.rglob("*")):
                place = str(path.relative_to(root))
                if not path.is_symlink() and path.is_dir():
                    continue
                if place.startswith("usr/share/ca-certificates/"):
                    bundle += path.read_bytes().rstrip(b"\n") + b"\n"
                elif WANTED.match(place) and not UNWANTED.match(place):
                    if path.is_symlink():
                        add(Entry(place, link=str(path.readlink())))
                    else:
                        add(Entry(place, path.read_bytes(), mode=path.stat().st_mode & 0o755))
    add(Entry("etc/ssl/certs/ca-certificates.crt", bundle))
    add(Entry("etc/os-release", link="../usr/lib/os-release"))
    add(Entry("etc/passwd", PASSWD.encode()))
    add(Entry("etc/group", GROUP.encode()))
    add(Entry("etc/nsswitch.conf", b"hosts: files dns\n"))
    add(Entry("etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n"))
    # Places that are mounted over: with a read-only root nothing could make them later.
    for place in ("dev", "etc/decklog", "proc", "run", "sys"):
        add(folder(place))
    add(folder("tmp", mode=0o1777))
    add(folder("var/lib/decklog", mode=0o700, uid=USER, gid=USER))
    return list(entries.values()), versions


class Layout:
    """An OCI image layout: blobs by their digest, and an index that names one of them."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def blob(self, content: bytes, media_type: str, **more) -> dict:
        digest = hashlib.sha256(content).hexdigest()
        self.entries.append(Entry(f"blobs/sha256/{digest}", content))
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content), **more}

    def json(self, value: dict, media_type: str, **more) -> dict:
        return self.blob(json.dumps(value, separators=(",", ":"), sort_keys=True).encode(), media_type, **more)


def build(binary: Path, version: str, revision: str, packages: list[Path], architecture: str, level: int) -> tuple[list[Entry], str]:
    """The layout's files, and the image's digest."""
    base_files, versions = base(packages)
    application = [
        Entry("usr/bin/decklog", binary, mode=0o755),
        Entry("usr/share/doc/decklog/copyright", Path(__file__).parent.parent / "LICENSE"),
    ]
    layout, layers, diff_ids = Layout(), [], []
    for files in (base_files, application):
        archive = tar(files)
        diff_ids.append(f"sha256:{hashlib.sha256(archive).hexdigest()}")
        layers.append(layout.blob(gzipped(archive, level), "application/vnd.oci.image.layer.v1.tar+gzip"))
    created = datetime.fromtimestamp(EPOCH, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    labels = {
        "org.opencontainers.image.title": "decklog",
        "org.opencontainers.image.description": "Records Kubernetes audit events durably, and finds them",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.base.name": "debian:12",
        "io.decklog.base.packages": " ".join(versions),
    }
    config = layout.json(
        {
            "architecture": architecture,
            "os": "linux",
            "created": created,
            "config": {
                "User": f"{USER}:{USER}",
                "Entrypoint": ["/usr/bin/decklog"],
                "Cmd": ["serve"],
                # Without a configuration the data directory is ./decklog-data: below the one place this user may write.
                "WorkingDir": "/var/lib/decklog",
                "Env": ["PATH=/usr/bin"],
                "ExposedPorts": {"7443/tcp": {}},
                "StopSignal": "SIGTERM",
                "Labels": labels,
            },
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created": created, "created_by": "deploy/image.py: Debian 12"}, {"created": created, "created_by": "deploy/image.py: decklog"}],
        },
        "application/vnd.oci.image.config.v1+json",
    )
    manifest = layout.json(
        {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers, "annotations": labels},
        "application/vnd.oci.image.manifest.v1+json",
        platform={"architecture": architecture, "os": "linux"},
        # The first is the name in the layout, the second what containerd and docker call the image they import.
        annotations={"org.opencontainers.image.ref.name": version, "io.containerd.image.name": f"decklog:{version}"},
    )
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]}
    files = [*layout.entries, Entry("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), Entry("index.json", json.dumps(index, separators=(",", ":")).encode())]
    return files, manifest["digest"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the container image as an OCI layout.")
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--revision", default="unknown")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--debs", type=Path, help="where fetched packages are kept")
    parser.add_argument("--fast", action="store_true", help="compress less: for tests")
    options = parser.parse_args()
    architecture = run("dpkg", "--print-architecture").strip()
    packages = fetch(options.debs or options.out / "debs")
    files, digest = build(options.binary, options.version, options.revision, packages, architecture, 1 if options.fast else 9)
    for entry in files:
        place = options.out / "image" / entry.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(entry.content)
    archive = options.out / f"decklog-{options.version}-{architecture}.oci.tar"
    archive.write_bytes(tar(files))
    print(f"{archive.name} {digest}")


if __name__ == "__main__":
    main()
