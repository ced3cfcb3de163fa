"""Archives that are the same bytes whenever the same files go in: sorted, owned by numbers, one time for all.

Used by image.py and chart.py. What goes in is a list of `Entry`; where it comes from is theirs to know.
"""

import gzip
import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

# The time of every file in a package; scripts/package gives the commit's.
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "1767225600"))  # 2026-01-01


@dataclass(frozen=True)
class Entry:
    """A file, a folder or a symbolic link of an archive."""

    name: str
    """Where it stands, without a leading slash."""
    content: bytes | Path | None = None
    """A file's bytes, or the file that has them; nothing for folders and links."""
    link: str | None = None
    """What a symbolic link names."""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


def folder(name: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Entry:
    return Entry(name.rstrip("/") + "/", mode=mode, uid=uid, gid=gid)


def tar(entries: list[Entry]) -> bytes:
    """The archive, with the folders that entries need in front of them."""
    by_name = {entry.name: entry for entry in entries}
    for name in list(by_name):
        for parent in Path(name.rstrip("/")).parents:
            if str(parent) != ".":
                by_name.setdefault(f"{parent}/", folder(str(parent)))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in sorted(by_name):
            _add(archive, by_name[name])
    return out.getvalue()


def _add(archive: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.name.rstrip("/"))
    info.mtime, info.mode, info.uid, info.gid = EPOCH, entry.mode, entry.uid, entry.gid
    if entry.link is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
        archive.addfile(info)
    elif entry.content is None:
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    else:
        content = entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes()
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))


def gzipped(content: bytes, level: int = 9) -> bytes:
    return gzip.compress(content, compresslevel=level, mtime=0)
