#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""formats/layouts: what every definition comes out as is what it came out as, and the digest of it is the
one that formats/layout.md describes, reckoned here a second time. Every build is asked: both architectures,
gcc and clang, with and without sanitizers.

usage: test_frozen.py DIGESTS
"""
import difflib
import hashlib
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
from programs import runnable  # noqa: E402

LAYOUTS = os.path.join(HERE, "../../formats/layouts")
DIGESTS = ""

CHANGED = """{name}: this build makes another map of the same parameters.
A released definition never changes, because guests that were saved with it would find their devices and
tables elsewhere: undo the change, and add a version (formats/layouts/README.md).
{diff}"""

KINDS = ["ram", "reserved-ram", "firmware", "boot", "mmio", "window", "ecam", "cam", "hypervisor", "pio",
         "reserved"]
PARAMS = ["ram_bytes", "vcpus", "phys_bits", "kernel_bytes", "initrd_bytes", "swiotlb_bytes",
          "firmware_bytes", "pvm_firmware_bytes", "gic_version", "gic_its"]
NO_LINE = 65535


def output(*args):
    return subprocess.run([DIGESTS, *args], capture_output=True, text=True, check=True).stdout


def file_of(name):
    return name.replace("/", "-").replace("@", "-") + ".txt"


def read(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def head(major, value):
    """The header of a CBOR item in its shortest form."""
    if value < 24:
        return bytes([major << 5 | value])
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 1 << 8 * size:
            return bytes([major << 5 | code]) + value.to_bytes(size, "big")
    raise ValueError(value)


def encode(value):
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, str):
        return head(3, len(value)) + value.encode("ascii")
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(encode, value))
    return head(5, len(value)) + b"".join(encode(k) + encode(v) for k, v in sorted(value.items()))


def record(*fields):
    """A record of version 1: fields are numbered from 1."""
    return dict(enumerate((1, *fields)))


def regions(lines):
    names = []
    for line in lines:
        start, end, kind, name, irq, parent = line.split()
        irq = NO_LINE if irq == "-" else int(irq)
        yield record(name, KINDS.index(kind) + 1, int(start, 16), int(end, 16) - int(start, 16),
                     0 if parent == "-" else names.index(parent) + 1, irq)
        names.append(name)


def maps(text):
    """(digest as written, digest as reckoned) of every map in a file."""
    name, *blocks = text.split("\n\n")
    for block in blocks:
        lines = block.splitlines()
        given = dict(word.split("=") for word in " ".join(lines[:2]).split())
        values = [int(given.pop(key), 0) for key in PARAMS]
        assert not given, given
        values[-1] = bool(values[-1])
        data = encode(record(name, record(*values), list(regions(lines[3:]))))
        yield lines[2].split()[1], hashlib.sha256(data).hexdigest()


class Frozen(unittest.TestCase):
    def test_random_parameters(self):
        """For what the chosen ones do not reach."""
        lines = output("random").splitlines()
        refused = sum(line.endswith("refused") for line in lines)
        self.assertGreater(len(lines), 8 * 400)
        self.assertTrue(0 < refused < len(lines) / 5, f"{refused} refused")
        found = [line[7:] for line in lines if line.startswith("all of ")]
        self.assertEqual(found, read(os.path.join(LAYOUTS, "random.txt")).splitlines(),
                         CHANGED.format(name="random parameters", diff=""))

    def test_a_file_for_each_definition(self):
        ids = output("ids").split()
        files = set(os.listdir(LAYOUTS)) - {"README.md", "random.txt"}
        self.assertEqual(files, {file_of(name) for name in ids})
        # Versions are counted from 1 without a gap.
        for name in ids:
            base, version = name.split("@")
            self.assertTrue(version == "1" or f"{base}@{int(version) - 1}" in ids, name)

    def test_nothing_has_changed(self):
        for name in output("ids").split():
            with self.subTest(definition=name):
                path = os.path.join(LAYOUTS, file_of(name))
                was, now = read(path), output("frozen", name)
                diff = "\n".join(difflib.unified_diff(was.splitlines(), now.splitlines(), "was", "is",
                                                      lineterm="", n=0))
                self.assertEqual(was, now, CHANGED.format(name=name, diff=diff[:2000])
                                 if was != now else None)

    def test_digests_are_as_the_document_says(self):
        for name in output("ids").split():
            with self.subTest(definition=name):
                found = list(maps(read(os.path.join(LAYOUTS, file_of(name)))))
                self.assertGreaterEqual(len(found), 8)
                for written, reckoned in found:
                    self.assertEqual(written, reckoned)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    DIGESTS = runnable(sys.argv.pop(1))
    unittest.TestCase.longMessage = False
    unittest.main()
