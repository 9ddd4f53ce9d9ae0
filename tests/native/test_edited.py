#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Snapshots of a real machine, edited and given valid digests again, are refused by the right rule."""

import json
import os
import subprocess
import sys

from lib import SNAPINSPECT, VMM, WORK, Case, environment, main

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[:0] = [TESTS, f"{TESTS}/snapshot"]
import make_formats  # noqa: E402
import snap_reader  # noqa: E402

# Fields by their numbers, as formats/next/records.md has them.
NAME, KIND, START, SIZE, PARENT, LINE = 1, 2, 3, 4, 5, 6
TYPE, VERSION, REGION, PCI, BAR, FEATURES, QUEUES = 2, 3, 4, 6, 7, 9, 10


class Edited(Case):
    def setUp(self):
        super().setUp()
        vm = self.start("a", f"iters=0 {WORK}")
        self.file = self.snapshot(vm, "x.vmsnap", "--stop")
        self.schema = snap_reader.Schema(f"{TESTS}/../formats/next/vmsnap.cddl")

    def image(self):
        with open(self.file, "rb") as file:
            return make_formats.Image(file.read(), self.schema)

    def findings(self, *argv):
        done = subprocess.run(argv, capture_output=True, text=True, check=False,
                              env=environment())
        self.assertEqual((done.returncode, done.stderr), (3, ""), done)
        verdict = json.loads(done.stdout)
        self.assertEqual(verdict["verdict"], "incompatible")
        return [f for f in verdict["findings"] if f["severity"] == "refusal"]

    def refused(self, image, *wanted):
        """By each of these rules about each of these regions or devices, wherever it is asked."""
        path = self.path("edited.vmsnap")
        with open(path, "wb") as file:
            file.write(image.build())
        here = self.findings(VMM, "check", "--json", path)
        profile = self.path("host.json")
        subprocess.run([VMM, "host", "--export", profile], check=True)
        self.assertEqual(here, self.findings(SNAPINSPECT, "check", "--json", "--host", profile,
                                             path))
        found = [(f["rule"], f["subject"]) for f in here]
        for one in wanted:
            self.assertIn(one, found)
        self.assertTrue(all(f["why"] and f["todo"] for f in here))
        restore = subprocess.run([VMM, "restore", path, "--console", "none"], check=False,
                                 capture_output=True, text=True, env=environment())
        self.assertEqual((restore.returncode, restore.stderr.count("\n")), (3, 1), restore)
        self.assertIn(found[0][0], restore.stderr)

    def region(self, image, name):
        return next(r for r in image.record("layout").get(3) if r.get(NAME) == name)

    def device(self, image, name):
        return next(d for d in image.record("machine").get(3) if d.get(1) == name)

    def test_as_it_was(self):
        path = self.path("same.vmsnap")
        with open(path, "wb") as file, open(self.file, "rb") as original:
            data = self.image().build()
            file.write(data)
            self.assertEqual(data, original.read())

    def test_moved(self):
        image = self.image()
        r = self.region(image, "PCIE_CFG_MMIO_START")
        r.set(START, r.get(START) + 4096)
        self.refused(image, ("L010", "RESERVED_MEM_SIZE"), ("L002", "PCIE_CFG_MMIO_START"))
        image = self.image()
        r = self.region(image, "HPET_ADDR")
        r.set(START, r.get(START) + 4096)
        self.refused(image, ("L002", "HPET_ADDR"))

    def test_renamed(self):
        image = self.image()
        self.region(image, "LAPIC_ADDR").set(NAME, "LAPIC")
        self.refused(image, ("L002", "LAPIC_ADDR"), ("L002", "LAPIC"))
        image = self.image()
        self.region(image, "LAPIC_ADDR").set(NAME, "HPET_ADDR")
        self.refused(image, ("L014", "HPET_ADDR"))

    def test_overlapped(self):
        image = self.image()
        self.region(image, "END_ADDR_BEFORE_32BITS").set(START, 0x1000000)
        self.refused(image, ("L010", "END_ADDR_BEFORE_32BITS"))

    def test_removed(self):
        for name in ("IOAPIC_ADDR", "RAM_ABOVE_1M"):
            image = self.image()
            regions = image.record("layout").get(3)
            gone = next(i for i, r in enumerate(regions) if r.get(NAME) == name)
            del regions[gone]
            for r in regions:
                if r.get(PARENT) == gone + 1:
                    r.set(PARENT, 0)
                elif r.get(PARENT) > gone + 1:
                    r.set(PARENT, r.get(PARENT) - 1)
            self.refused(image, ("L002", name))

    def test_huge(self):
        for name in ("RAM_ABOVE_1M", "HIGH_MMIO", "PIT"):
            for size in (1 << 63, (1 << 64) - 1):
                image = self.image()
                self.region(image, name).set(SIZE, size)
                self.refused(image, ("L011", name))

    def test_other_definition(self):
        image = self.image()
        image.record("layout").set(1, "x86_64/linux@9")
        self.refused(image, ("L001", "definition"))
        image = self.image()
        image.record("layout").set(1, "x86_64/linux@1")
        self.refused(image, ("L002", "RAM_ABOVE_1M"))

    def test_devices(self):
        def edit(field, value, rule, subject="rng"):
            image = self.image()
            d = self.device(image, subject)
            d.set(field, value(d.get(field)))
            self.refused(image, (rule, subject))

        edit(TYPE, lambda _: "virtio-gpu", "D001")
        edit(VERSION, lambda _: 9, "D002")
        edit(QUEUES, lambda _: 7, "D004")
        edit(FEATURES, lambda old: old | 1 << 60, "D004")
        edit(REGION, lambda _: "NOWHERE", "D005", "com1")
        edit(BAR, lambda old: [old[0] + 8, old[1]], "D010")
        edit(BAR, lambda old: [0x1000000, old[1]], "D011")
        edit(BAR, lambda old: [old[0], 0xF4000000], "D011")
        edit(PCI, lambda _: 0, "D013")

    def test_boot_files(self):
        """Nothing is opened for a record that cannot be."""
        file = {"role": 1, "path": 2}

        def edit(change, why):
            image = self.image()
            change(image.record("boot"))
            path = self.path("edited.vmsnap")
            with open(path, "wb") as out:
                out.write(image.build())
            said = self.vmm("restore", path, "--console", "none", status=1)
            self.assertEqual(said, f"vmm: boot: {why}\n")

        edit(lambda b: b.get(1)[0].set(file["path"], "kernel"), "files in disorder")
        edit(lambda b: b.get(1).append(b.get(1)[0]), "files in disorder")
        edit(lambda b: b.get(1)[0].set(file["role"], 1), "0 files to start from")


main()
