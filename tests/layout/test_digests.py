#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same maps from every compiler and on both architectures.

digests.c is compiled with gcc, with clang and for aarch64, run (the last by qemu-user), and what it
prints about some thousand random parameter sets compared line by line; and snapinspect is compiled for
aarch64 and asked for the schema. Without one of the tools the rest is compared, and the test skips.

usage: test_digests.py DIGESTS    the program as the build made it
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", '-DVMM_VERSION="0"', "-Wall", "-Wextra",
         "-Wno-unused-parameter", "-Werror", "-Isrc", "-Itools", "-Itests/layout"]
LIBS = ["-lcbor", "-lcrypto", "-ljansson", "-pthread"]
DIGESTS = ""
missing = []

# compiler, its flags, what runs the program
BUILDS = {
    "gcc": (["gcc", "-O2"], []),
    "gcc without optimisation": (["gcc", "-O0"], []),
    "clang": (["clang", "-O2"], []),
    "aarch64": (["aarch64-linux-gnu-gcc", "-O2"], ["qemu-aarch64-static"]),
}


def tools(build):
    """The build's compiler and runner, None when one is not there."""
    compiler, runner = BUILDS[build]
    lack = [tool for tool in (compiler[0], *runner[:1]) if not shutil.which(tool)]
    missing.extend(lack)
    return None if lack else (compiler, runner)


def sources(*patterns):
    found = [path for pattern in patterns for path in sorted(glob.glob(os.path.join(ROOT, pattern)))]
    return [os.path.relpath(path, ROOT) for path in found]


def truncation(compiler):
    """A warning of gcc's that the build has off too."""
    return [] if compiler[0] == "clang" else ["-Wno-format-truncation"]


class Digests(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def compile(self, compiler, name, files, libs):
        out = os.path.join(self.dir.name, name)
        r = subprocess.run([*compiler, *FLAGS, *truncation(compiler), *files, "-o", out, *libs], cwd=ROOT,
                           capture_output=True, text=True, check=False)
        self.assertEqual(r.returncode, 0, f"{' '.join(compiler)}: {r.stderr[-3000:]}")
        return out

    def output(self, *args):
        r = subprocess.run(args, capture_output=True, text=True, check=False)
        self.assertEqual(r.returncode, 0, f"{args}: {r.stderr}")
        self.assertEqual(r.stderr, "")
        return r.stdout.splitlines()

    def test_every_build_prints_the_same(self):
        expected = self.output(DIGESTS, "random")
        self.assertGreater(len(expected), 8 * 400)
        refused = sum(line.endswith("refused") for line in expected)
        self.assertTrue(0 < refused < len(expected) / 5, f"{refused} refused")
        files = sources("src/base/*.c", "src/state/*.c", "src/layout/*.c", "tests/layout/oracle.c",
                        "tests/layout/digests.c")
        for build in BUILDS:
            found = tools(build)
            if not found:
                continue
            with self.subTest(build=build):
                program = self.compile(found[0], "digests", files, LIBS)
                self.assertEqual(self.output(*found[1], program, "random"), expected)
                for name in self.output(DIGESTS, "ids"):
                    self.assertEqual(self.output(*found[1], program, "frozen", name),
                                     self.output(DIGESTS, "frozen", name))

    def test_they_are_what_they_were(self):
        with open(os.path.join(ROOT, "formats/layouts/random.txt"), encoding="ascii") as f:
            expected = f.read().splitlines()
        found = [line[7:] for line in self.output(DIGESTS, "random") if line.startswith("all of ")]
        self.assertEqual(found, expected, "a map has changed: a released definition never does. "
                         "formats/layouts/README.md says what to do")

    def test_snapinspect_on_aarch64(self):
        found = tools("aarch64")
        if not found:
            return
        files = sources("src/base/*.c", "src/state/*.c", "src/layout/*.c", "src/snapshot/*.c",
                        "tools/snapinspect/*.c")
        program = self.compile(found[0], "snapinspect", files, [*LIBS, "-lzstd"])
        with open(os.path.join(ROOT, "formats/next/vmsnap.cddl"), encoding="utf-8") as f:
            self.assertEqual(self.output(*found[1], program, "schema", "--cddl"),
                             f.read().splitlines())


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    DIGESTS = sys.argv.pop(1)
    passed = unittest.main(exit=False).result.wasSuccessful()
    if missing:
        print(f"not compared, for want of {', '.join(sorted(set(missing)))}", file=sys.stderr)
    sys.exit(1 if not passed else 77 if missing else 0)
