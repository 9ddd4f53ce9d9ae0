#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The golden and bad overlays of formats/next/disk, read by both readers; and what the disk code
writes, read by the second one. usage: test_disk_formats.py DISK_PROBE [CLASS]..."""
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..")]
import make_disk_formats  # noqa: E402
from programs import runnable  # noqa: E402

DISK = os.path.join(HERE, "../../formats/next/disk")
READER = os.path.join(HERE, "../disk_reader.py")
PROBE = runnable(sys.argv[1]) if len(sys.argv) > 1 else "disk_probe"


def unhex(path):
    out = bytearray()
    with open(path) as f:
        for line in f:
            for token in line.split("#")[0].split():
                byte, _, times = token.partition("*")
                out += bytes([int(byte, 16)]) * int(times or 1)
    return bytes(out)


def files(kind):
    return sorted(n[:-4] for n in os.listdir(f"{DISK}/{kind}") if n.endswith(".hex"))


class Files(unittest.TestCase):
    def setUp(self):
        self.tmp = tempfile.TemporaryDirectory()
        self.addCleanup(self.tmp.cleanup)

    def put(self, name, data):
        path = os.path.join(self.tmp.name, name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def put_base(self):
        path = self.put("base.raw", make_disk_formats.base())
        os.utime(path, ns=(0, make_disk_formats.MTIME))

    def run_on(self, *argv):
        r = subprocess.run(argv, cwd=self.tmp.name, stdout=subprocess.PIPE, text=True, check=False)
        return r.returncode, r.stdout

    def both(self, path):
        probe, reader = self.run_on(PROBE, path), self.run_on(READER, path)
        self.assertEqual(probe, reader)
        return probe


class Formats(Files):
    def test_bad(self):
        self.put_base()
        self.assertGreater(len(files("bad")), 40)
        for name in files("bad"):
            with self.subTest(name):
                path = self.put("x.vmdisk", unhex(f"{DISK}/bad/{name}.hex"))
                self.assertEqual(self.both(path), (1, name.split("-")[0] + "\n"))

    def test_assembled(self):
        """The files are what the assembler makes today."""
        make_disk_formats.main(self.tmp.name)
        for kind in "golden", "bad":
            made = sorted(n[:-4] for n in os.listdir(f"{self.tmp.name}/{kind}"))
            self.assertEqual(made, files(kind))
            for name in made:
                with open(f"{self.tmp.name}/{kind}/{name}.hex") as a, \
                        open(f"{DISK}/{kind}/{name}.hex") as b:
                    self.assertEqual(a.read(), b.read(), name)

    def test_every_prefix(self):
        self.put_base()
        whole = unhex(f"{DISK}/golden/some.hex")
        for n in list(range(0, len(whole), 997)) + [len(whole) - 1]:
            path = self.put("x.vmdisk", whole[:n])
            self.assertEqual(self.both(path), (1, f"TRUNCATED@{n:#x}\n"))


class Contents(Files):
    """Needs io_uring."""

    def test_golden(self):
        self.put_base()
        self.assertGreater(len(files("golden")), 3)
        for name in files("golden"):
            with self.subTest(name), open(f"{DISK}/golden/{name}.txt") as want:
                path = self.put(f"{name}.vmdisk", unhex(f"{DISK}/golden/{name}.hex"))
                self.assertEqual(self.both(path), (0, want.read()))

    def test_written(self):
        for seed in range(6):
            with self.subTest(seed=seed):
                self.assertEqual(self.run_on(PROBE, "--make", str(seed)), (0, ""))
                for name in "base.raw", "a.vmdisk", "b.vmdisk":
                    path = os.path.join(self.tmp.name, name)
                    status, text = self.both(path)
                    if name != "b.vmdisk":
                        self.assertEqual(status, 0, text)
                self.assertEqual(status, 0, text)
                for name in "base.raw", "a.vmdisk", "b.vmdisk":
                    os.unlink(os.path.join(self.tmp.name, name))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
