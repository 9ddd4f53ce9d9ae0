#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""snapinspect built for this machine and built for another one: golden and bad files, schema.

usage: test_two_builds.py SNAPINSPECT MKSNAP OTHER_SNAPINSPECT

Ends with 77 when the other one is not there.
"""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
NEXT = os.path.join(HERE, "../../formats/next")
sys.path[:0] = [HERE, os.path.join(HERE, "..")]
import sealing  # noqa: E402
import two_builds  # noqa: E402
from programs import runnable  # noqa: E402
from test_formats import unhex  # noqa: E402

ONE = OTHER = MKSNAP = ""
SKIPPED = 77
LONG = bool(os.environ.get("VMM_TEST_LONG"))


class TwoBuilds(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def of_folder(self, kind, commands, every=1):
        for name in sorted(os.listdir(f"{NEXT}/{kind}"))[::every]:
            if name.endswith(".hex"):
                path = os.path.join(self.dir.name, f"{name[:-4]}.vmsnap")
                with open(path, "wb") as file:
                    file.write(unhex(f"{NEXT}/{kind}/{name}"))
                options = sealing.options_of(name, self.dir.name)
                with self.subTest(name):
                    yield name, two_builds.same_of_file([ONE], [OTHER], path,
                                                        commands=[c + options for c in commands])

    def test_golden(self):
        found = list(self.of_folder("golden", two_builds.COMMANDS))
        self.assertGreaterEqual(len(found), 2)
        for name, outcomes in found:
            self.assertIn(0, [status for status, _, _ in outcomes], name)

    def test_bad(self):
        found = list(self.of_folder("bad", two_builds.REFUSED, 1 if LONG else 7))
        self.assertGreaterEqual(len(found), 25)
        for name, outcomes in found:
            self.assertIn(1, [status for status, _, _ in outcomes], name)

    def test_made(self):
        path = os.path.join(self.dir.name, "mid.vmsnap")
        subprocess.run([MKSNAP, "mid", path], check=True, capture_output=True)
        found = two_builds.same_of_file([ONE], [OTHER], path)
        self.assertIn(b"x86-vcpu", found[two_builds.COMMANDS.index(["cpu"])][1])

    def test_schema(self):
        two_builds.same_schema([ONE], [OTHER])


if __name__ == "__main__":
    ONE, MKSNAP = map(runnable, sys.argv[1:3])
    OTHER = sys.argv[3]
    if not os.path.exists(OTHER):
        print(f"skipped: {OTHER} is not there")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1])
