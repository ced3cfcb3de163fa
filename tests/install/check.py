#!/usr/bin/env python3
"""The suite `install`: what people install (deploy/), made from a debug binary and tried out.

    tests/install/check.py BINARY [unittest arguments]

Image, Debian package and chart are made by scripts/package, once, in a folder that goes away. Then: the image's layers
are unpacked and the server runs in them as the chart configures it (image.py); the package is installed into a copy of
this system (debian.py); the chart is rendered, checked and installed into a real kube-apiserver (chart.py); alerts are
fired and dashboards looked through (monitoring.py). Needs root for chroot and overlays, and the tools of scripts/suites.
"""

import os
import sys
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import common  # noqa: E402


class Result(unittest.TextTestResult):
    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()

    def addSuccess(self, test):
        super().addSuccess(test)
        print(f"ok {time.monotonic() - self.started:6.1f} s  {test.id()}", flush=True)


def main() -> int:
    if len(sys.argv) < 2 or not Path(sys.argv[1]).exists():
        print(__doc__, file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print("missing: root (the tests unpack layers with their owners, and chroot into them)", file=sys.stderr)
        return 3
    os.environ.setdefault("DECKLOG_CACHE", str(Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "decklog"))
    common.BINARY = Path(sys.argv[1]).resolve()
    names = sys.argv[2:] or ["monitoring", "debian", "image", "chart"]
    try:
        suite = unittest.defaultTestLoader.loadTestsFromNames(names)
        result = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result).run(suite)
    finally:
        common.clean()
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
