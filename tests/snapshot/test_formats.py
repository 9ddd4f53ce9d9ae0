#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden and bad files, schema, stock zstd, and the second reader against the first.

usage: test_formats.py SNAPINSPECT MKSNAP REFUSE
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
NEXT = os.path.join(HERE, "../../formats/next")
sys.path[:0] = [HERE, os.path.join(HERE, "..")]
import sealing  # noqa: E402
import snap_reader  # noqa: E402
from programs import runnable  # noqa: E402

SNAPINSPECT = MKSNAP = REFUSE = ""


def run(*args, **kw):
    return subprocess.run(args, capture_output=True, check=False, **kw)


def inspect(*args):
    return run(SNAPINSPECT, *args)


def unhex(path):
    data = bytearray()
    with open(path, encoding="ascii") as f:
        for line in f:
            line = line.split("#")[0]
            data += bytes(int(line[6:])) if line.startswith("zeros ") else bytes.fromhex(line)
    return bytes(data)


def same(ours, theirs):
    """A value of the second reader and one of snapinspect's JSON, where large numbers are strings."""
    if isinstance(ours, dict):
        return isinstance(theirs, dict) and list(ours) == list(theirs) and \
            all(same(v, theirs[k]) for k, v in ours.items())
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, int) and not isinstance(ours, bool) and isinstance(theirs, str):
        return ours == int(theirs, 0)
    return type(ours) is type(theirs) and ours == theirs


class Formats(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.schema = snap_reader.Schema(f"{NEXT}/vmsnap.cddl")

    def file(self, name, data=b""):
        path = os.path.join(self.dir.name, name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def make(self, recipe, *ram):
        snap = self.file(f"{recipe}.vmsnap")
        p = run(MKSNAP, recipe, snap, *ram)
        self.assertEqual(p.returncode, 0, p.stderr)
        return snap

    def agree(self, path, name=""):
        """@name: says which keys."""
        options = sealing.options_of(name, self.dir.name)
        with open(path, "rb") as f:
            second = snap_reader.Snapshot(f.read(), self.schema, sealing.keys_of(name),
                                          snap_reader.in_folder(self.dir.name))
        first = json.loads(inspect("state", "--json", path, *options).stdout)
        self.assertEqual([(c[0], c[1]) for c in second.components],
                         [(c["type"], c["id"]) for c in first])
        for c, f in zip(second.components, first):
            self.assertTrue(same(c[2], f["state"]), (c[:2], c[2], f["state"]))
        info = json.loads(inspect("info", "--json", path, *options).stdout)
        self.assertEqual(second.counts, [info["ram"][k] for k in
                                         ("zero_chunks", "zero_frames", "stored_bytes", "parent_chunks")])
        self.assertEqual(info["frames"], len(second.seek))
        verified = json.loads(inspect("verify", "--json", path, *options).stdout)
        self.assertEqual(verified["ok"], True)
        return second

    def golden(self):
        """All of them, in one folder: some are parents of others."""
        names = sorted(n[:-4] for n in os.listdir(f"{NEXT}/golden") if n.endswith(".hex"))
        return {n: self.file(f"{n}.vmsnap", unhex(f"{NEXT}/golden/{n}.hex")) for n in names}

    def test_golden(self):
        paths = self.golden()
        self.assertGreaterEqual(len(paths), 2)
        for name, path in paths.items():
            with self.subTest(name):
                self.assertEqual(run(REFUSE, path).stdout, b"OK\n")
                second = self.agree(path, name)
                self.assertEqual([second.encrypted, second.signed],
                                 ["+key" in name or "+pass" in name, "+signer" in name])
                got = ""
                for command in ("info", "layout", "state", "verify"):
                    p = inspect(command, path, *sealing.options_of(name, self.dir.name))
                    self.assertEqual((p.returncode, p.stderr), (0, b""))
                    got += f"$ snapinspect {command} {name}.vmsnap\n" + p.stdout.decode()
                with open(f"{NEXT}/golden/{name}.txt", encoding="utf-8") as f:
                    self.assertEqual(got, f.read())

    def test_bad(self):
        self.golden()
        names = sorted(os.listdir(f"{NEXT}/bad"))
        self.assertGreaterEqual(len(names), 25)
        paths = [self.file(n, unhex(f"{NEXT}/bad/{n}")) for n in names]
        p = run(REFUSE, *paths)
        self.assertEqual((p.returncode, p.stderr), (0, b""))
        for name, path, got in zip(names, paths, p.stdout.decode().splitlines(), strict=True):
            with self.subTest(name):
                self.assertEqual(got, name.split("-")[0])
                with open(path, "rb") as f, self.assertRaises(snap_reader.Refused) as e:
                    snap_reader.Snapshot(f.read(), self.schema, sealing.keys_of(name),
                                         snap_reader.in_folder(self.dir.name))
                self.assertEqual(f"{e.exception.code}@{e.exception.offset:#x}", got)

    def test_vectors_of_the_document(self):
        with open(f"{NEXT}/../snapshot.md", encoding="utf-8") as f:
            text = f.read()
        header = bytearray(128)
        header[56:58] = 1, 1
        header[64:96] = range(0x80, 0xA0)
        keys = snap_reader.FileKeys(snap_reader.Keys(master=sealing.KEY), header)
        master = hashlib.scrypt(sealing.PASSPHRASE, salt=b"\x53" * 16, n=1 << 10, r=8, p=1, dklen=32)
        for vector in (keys.gcm.keys[0] + keys.gcm.keys[1], keys.mac, master, sealing.SIGNER):
            self.assertIn(f"`{vector.hex()}`", text)

    def test_one_line_and_status_for_each_kind_of_failure(self):
        for name, status in (("VERSION@0x10-version-2", 1), ("FEATURE@0x18-requires-unknown", 1),
                             ("CHECKSUM@0x80-manifest-damaged", 1), ("MAGIC@0x0-empty", 1)):
            path = self.file("x.vmsnap", unhex(f"{NEXT}/bad/{name}.hex"))
            p = inspect("info", path)
            line = p.stderr.decode()
            self.assertEqual(p.returncode, status)
            self.assertEqual(p.stdout, b"")
            self.assertTrue(line.startswith(f"snapinspect: {path}: 0x"), line)
            self.assertEqual(line.count("\n"), 1)

    def test_schema_is_as_published(self):
        for option, name in (("--cddl", "vmsnap.cddl"), ("--markdown", "records.md")):
            with open(f"{NEXT}/{name}", encoding="utf-8") as f:
                self.assertEqual(inspect("schema", option).stdout.decode(), f.read(),
                                 "run scripts/regen-formats")

    def test_second_reader_and_stock_zstd_agree(self):
        for recipe in ("small", "sparse", "mid"):
            with self.subTest(recipe):
                ram = self.file("ram")
                snap = self.make(recipe, ram)
                with open(ram, "rb") as f:
                    want = f.read()
                self.assertEqual(run("zstd", "-tq", snap).returncode, 0)
                self.assertTrue(run("zstd", "-dcq", snap).stdout == want)
                self.assertTrue(b"".join(self.agree(snap).ram) == want)

    def test_stock_zstd_decodes_6_gib(self):
        p = run("zstd", "-t", self.make("huge"))
        self.assertEqual(p.returncode, 0)
        self.assertIn(f"{6 << 30} bytes".encode(), p.stderr)

    def test_cpu_prints_vcpus_only(self):
        snap = self.make("mid")
        p = inspect("cpu", "--json", snap)
        self.assertEqual([(c["type"], c["id"]) for c in json.loads(p.stdout)], [("x86-vcpu", "1")])
        self.assertTrue(inspect("cpu", snap).stdout.startswith(b"x86-vcpu[1]:\n"))
        self.assertEqual(inspect("state", snap, "x86-vcpu").stdout, inspect("cpu", snap).stdout)
        self.assertEqual(inspect("state", snap, "1").stdout, inspect("cpu", snap).stdout)
        self.assertEqual(inspect("cpu", self.make("small")).returncode, 1)

    def test_layout_json_has_every_region_where_it_is(self):
        snap = self.make("huge")
        j = json.loads(inspect("layout", "--json", snap).stdout)
        self.assertEqual(j["id"], "x86_64/linux@1")
        by_name = {r["name"]: r for r in j["regions"]}
        self.assertEqual(by_name["RAM_ABOVE_4G"]["start"], "0x100000000")
        self.assertEqual(by_name["RAM_ABOVE_4G"]["end"], "0x1b0000000")
        self.assertTrue(by_name["RAM_ABOVE_4G"]["backed"])
        self.assertEqual(by_name["VMGENID_PAGE"]["parent"], "ACPI_HI_RSDP_WINDOW_BASE")
        self.assertFalse(by_name["VMGENID_PAGE"]["backed"])
        self.assertEqual(by_name["SERIAL_ADDR[0]"]["line"], 4)
        info = json.loads(inspect("info", "--json", snap).stdout)
        self.assertEqual(info["layout"]["digest"], j["digest"])
        self.assertIn(j["digest"].encode(), inspect("layout", snap).stdout)

    def test_usage(self):
        for args in ([], ["nonsense"], ["info"], ["info", "a", "b"], ["--wrong", "info"],
                     ["schema", "nobody"], ["info", "--cddl", "x"]):
            p = inspect(*args)
            self.assertEqual(p.returncode, 2, args)
            self.assertEqual((p.stdout, p.stderr.count(b"\n")), (b"", 1), args)
        self.assertEqual(inspect("info", "/nonexistent").returncode, 1)
        self.assertEqual(inspect("info", self.dir.name).returncode, 1)
        for args in (["--help"], ["info", "--help"], ["--version"], ["schema", "clock"]):
            p = inspect(*args)
            self.assertEqual((p.returncode, p.stderr), (0, b""))
            self.assertTrue(p.stdout)

    def test_output_that_cannot_be_written_is_a_failure(self):
        snap = self.make("small")
        for command in (["info"], ["info", "--json"], ["state"]):
            with open("/dev/full", "wb") as full:
                p = subprocess.run([SNAPINSPECT, *command, snap],
                                   stdout=full, stderr=subprocess.PIPE, check=False)
            self.assertEqual((p.returncode, p.stderr.count(b"\n")), (1, 1))


if __name__ == "__main__":
    SNAPINSPECT, MKSNAP, REFUSE = map(runnable, sys.argv[1:4])
    unittest.main(argv=sys.argv[:1])
