#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Multiboot kernels, ELF and flat, on this machine's KVM: what tests/guest/multiboot.c was told is
what the memory map says.

usage: test_multiboot.py BUILD
"""

import json
import os
import re

from lib import BUILD, VMM, Case, Vm, main

KERNELS = [f"{BUILD}/tests/guest/multiboot", f"{BUILD}/tests/guest/multiboot-flat"]
RAM32 = 0xD0000000  # where RAM below 4 GiB ends
STATUS = 2 * 0x10 + 1
TOLD = 0x24D  # memory, command line, modules, map, loader
RAM, RESERVED = 1, 2


def words(line):
    return {name: int(value, 16) for name, value in re.findall(r"(\w+)=(0x[0-9a-f]+)", line)}


class Multiboot(Case):
    def boot(self, kernel, *more, memory="64M", status=STATUS):
        console = self.new_console("mb")
        vm = Vm(self, "mb", [VMM, "run", "--name", "mb", "--kernel", kernel, "--memory", memory,
                             "--debug-exit", "--allow-emulated", "--console", f"file:{console}",
                             *more], self.env, console)
        self.assertEqual(vm.wait(), status, vm.stderr())
        return vm.output().decode() if status == STATUS else vm.stderr()

    def map_is_right(self, lines, memory):
        """Every region's first and last byte are told as what it is, and windows not at all."""
        ranges = [words(line) for line in lines]
        ends = [0]
        for r in ranges:
            self.assertGreaterEqual(r["base"], ends[-1])
            self.assertIn(r["type"], (RAM, RESERVED))
            ends.append(r["base"] + r["length"])
        layout = json.loads(self.vmm("layout", "show", "x86_64/linux@2", "--memory", memory,
                                     "--json"))

        def told(at):
            return next((r["type"] for r in ranges if r["base"] <= at < r["base"] + r["length"]), 0)
        for region in layout["regions"]:
            start, size, kind = int(region["start"], 0), region["size"], region["kind"]
            if kind == "pio" or not size:
                continue
            wanted = {"ram": RAM, "boot": RAM, "window": 0}.get(kind, RESERVED)
            for at in (start, start + size - 1):
                self.assertEqual(told(at), wanted, region)

    def test_told(self):
        initrd = self.path("module")
        with open(initrd, "wb") as f:
            content = os.urandom(5001)
            f.write(content)
        total = 0
        for byte in content:
            total = total * 31 + byte & 0xFFFFFFFF
        for kernel in KERNELS:
            for memory, size in (("64M", 64 << 20), ("6G", 6 << 30)):
                with self.subTest(kernel=os.path.basename(kernel), memory=memory):
                    lines = self.boot(kernel, "--initrd", initrd, "--cmdline", "one two=3",
                                      memory=memory).splitlines()
                    self.assertEqual(words(lines[0]), {
                        "flags": TOLD, "lower": 640, "upper": (min(size, RAM32) >> 10) - 1024})
                    self.assertEqual(lines[1:3], ["LOADER vmm", "CMDLINE one two=3"])
                    module = words(lines[3])
                    self.assertEqual(module["start"] % 4096, 0)
                    self.assertEqual((module["bytes"], module["sum"]), (len(content), total))
                    self.assertTrue(all(line.startswith("MAP ") for line in lines[4:]))
                    self.map_is_right(lines[4:], memory)

    def test_no_module(self):
        for kernel in KERNELS:
            said = self.boot(kernel, "--layout", "x86_64/linux@2")
            self.assertIn("\nCMDLINE \nMAP ", said)

    def test_other_layout(self):
        for kernel in KERNELS:
            said = self.boot(kernel, "--layout", "x86_64/linux@1", status=1)
            self.assertRegex(said, r"\Avmm: [^\n]*multiboot[^\n]* x86_64/linux@2\n\Z")


if __name__ == "__main__":
    main()
