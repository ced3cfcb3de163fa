#!/usr/bin/env python3
"""Packs the Helm chart, as `helm package` would, but the same bytes every time.

    deploy/chart.py --version V --out FOLDER
"""

import argparse
import re
from pathlib import Path

from archive import Entry, gzipped, tar

CHART = Path(__file__).parent / "helm/decklog"


def main() -> None:
    parser = argparse.ArgumentParser(description="Packs the Helm chart.")
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    entries = []
    for path in sorted(CHART.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            if path.name == "Chart.yaml":
                content = re.sub(rb"(?m)^version: .*$", f"version: {options.version}".encode(), content)
                content = re.sub(rb"(?m)^appVersion: .*$", f'appVersion: "{options.version}"'.encode(), content)
            entries.append(Entry(f"decklog/{path.relative_to(CHART)}", content))
    options.out.mkdir(parents=True, exist_ok=True)
    package = options.out / f"decklog-{options.version}.tgz"
    package.write_bytes(gzipped(tar([entry for entry in entries])))
    print(package.name)


if __name__ == "__main__":
    main()
