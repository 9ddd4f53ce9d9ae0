#!/usr/bin/env python3
"""Count the results of meson test logs, naming what failed or was skipped."""
import json
import sys

counts = {"passed": 0, "failed": 0, "skipped": 0}
for path in sys.argv[1:]:
    build = path.split("/")[0]
    for line in open(path, encoding="utf-8"):
        test = json.loads(line)
        kind = {"OK": "passed", "SKIP": "skipped"}.get(test["result"], "failed")
        counts[kind] += 1
        if kind != "passed":
            print(f"{kind}: {build}: {test['name']}")
print(", ".join(f"{n} {kind}" for kind, n in counts.items()))
sys.exit(1 if counts["failed"] or not counts["passed"] else 0)
