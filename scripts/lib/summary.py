#!/usr/bin/env python3
"""Count the results of meson test logs, naming what failed, was skipped, or is unsteady.

usage: summary.py BUILD...            what BUILD/meson-logs/testlog.json and again.json have
       summary.py --failed BUILD      the names of those that failed, for meson test

What failed is run again alone: a test that passes then counts as passed, and is named.
"""
import json
import sys
from pathlib import Path

KINDS = {"OK": "passed", "SKIP": "skipped"}


def results(build, log):
    path = Path(build) / "meson-logs" / log
    if not path.exists():
        return {}
    tests = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {test["name"]: KINDS.get(test["result"], "failed") for test in tests}


def failed(build):
    found = results(build, "testlog.json")
    print(*(name.rpartition(" / ")[2] for name, kind in found.items() if kind == "failed"))


def summary(builds):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for build in builds:
        again = results(build, "again.json")
        for name, kind in results(build, "testlog.json").items():
            if kind == "failed" and again.get(name) == "passed":
                kind = "passed"
                print(f"unsteady: {build}: {name} (failed, and passed when it was run again)")
            elif kind != "passed":
                print(f"{kind}: {build}: {name}")
            counts[kind] += 1
    print(", ".join(f"{n} {kind}" for kind, n in counts.items()))
    return 1 if counts["failed"] or not counts["passed"] else 0


if sys.argv[1] == "--failed":
    failed(sys.argv[2])
else:
    sys.exit(summary(sys.argv[1:]))
