#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Firmware from the reset vector: tests/guest/bios.c drives a virtio disk, is stopped, saved, killed
and restored in the middle, and resets the machine.

usage: test_bios.py BUILD
"""

import os
import re
import shutil
import subprocess
import sys
import time

from lazylib import Gate
from lib import BUILD, FAULT, LONG, RING3, SNAPINSPECT, VMM, Case, Vm, main, wait_for

sys.path.insert(0, f"{os.path.dirname(os.path.abspath(__file__))}/../guest")

from bios_disk import TASK, make_disk, reads, start_lines  # noqa: E402

ROM = f"{BUILD}/tests/guest/bios.rom"
ROM_BYTES = 64 << 10
LAYOUTS = "x86_64/bios@1", "x86_64/bios@2"
MACHINES = [{"layout": layout, "memory": memory, "cpus": cpus}
            for layout in LAYOUTS for memory, cpus in ((64, 1), (6144, 2))]
PASSED, FAILED = 2 * 0x10 + 1, 2 * 0x11 + 1  # statuses, with --debug-exit


def log_ends(path, wanted):
    with open(path, encoding="ascii") as f:
        return f.read() == wanted


class Bios(Case):
    def run_bios(self, disk, *more, rom=ROM, layout="x86_64/bios", memory=64, cpus=1, ready=True,
                 env=None):
        console = self.new_console("fw")
        vm = Vm(self, "fw", [VMM, "run", "--name", "fw", "--bios", rom, "--layout", layout,
                             "--memory", f"{memory}M", "--cpus", str(cpus), "--disk",
                             f"path={disk}", "--allow-emulated", "--console", f"file:{console}",
                             *more], env or self.env, console)
        return vm.ready() if ready else vm

    def to_the_end(self, vm, status=0):
        self.assertEqual(vm.wait(), status, vm.stderr() + vm.output().decode())
        return vm.output().decode()

    def reads_so_far(self, vm, n):
        def there():
            vm.running()
            return vm.output().count(b"READ") >= n
        wait_for(f"{n} lines", there)


class Whole(Bios):
    def test_whole(self):
        for kw in MACHINES:
            with self.subTest(**kw):
                disk = make_disk(self.path("d.img"), 2)
                said = self.to_the_end(self.run_bios(disk, ready=False, **kw))
                self.assertEqual(said, start_lines(kw["memory"], kw["cpus"]) + reads(2))

    def test_no_layout_asked_for(self):
        disk = make_disk(self.path("d.img"), 1)
        console = self.path("console")
        self.vmm("run", "--name", "fw", "--bios", ROM, "--memory", "64M", "--disk", f"path={disk}",
                 "--allow-emulated", "--debug-exit", "--console", f"file:{console}", status=None)
        with open(console, encoding="ascii") as f:
            self.assertTrue(f.read().endswith(reads(1)))

    def test_wrong_sector(self):
        """The firmware does tell good from bad."""
        disk = make_disk(self.path("d.img"), 1)
        with open(disk, "r+b") as f:
            f.seek(77 * 512 + 300)
            f.write(b"\xff")
        vm = self.run_bios(disk, "--debug-exit", ready=False)
        self.assertRegex(self.to_the_end(vm, FAILED), r"FAILED sector=0x4d\n\Z")
        disk = make_disk(self.path("d.img"), 1)
        self.to_the_end(self.run_bios(disk, "--debug-exit", ready=False), PASSED)

    def test_sizes(self):
        """The image ends at 4 GiB, whatever its size: also one that fills no whole page, or all the
        room there is."""
        with open(ROM, "rb") as f:
            rom = f.read()
        for size in (ROM_BYTES + 1001, 16 << 20):
            file = self.path("padded.rom")
            with open(file, "wb") as f:
                f.write(os.urandom(1000).ljust(size - ROM_BYTES, b"\xee") + rom)
            for layout in LAYOUTS:
                with self.subTest(size=size, layout=layout):
                    disk = make_disk(self.path("d.img"), 1)
                    vm = self.run_bios(disk, rom=file, layout=layout, ready=False)
                    self.assertTrue(self.to_the_end(vm).endswith(reads(1)))


class Interrupted(Bios):
    def passes_in(self, seconds, least):
        """So many that the firmware is at work about as long, on this machine."""
        def took(passes):
            started = time.monotonic()
            self.to_the_end(self.run_bios(make_disk(self.path("d.img"), passes), ready=False))
            return time.monotonic() - started
        each = max((took(11) - took(1)) / 10, 1e-4)
        return max(least, int(seconds / each))

    def ram(self, file):
        return subprocess.run(["zstd", "-dc", file], stdout=subprocess.PIPE, check=True).stdout

    def test_killed(self):
        """Saved while it runs, killed later, restored: it goes on where it was saved."""
        passes = self.passes_in(4, 40)
        for kw in MACHINES if LONG else (MACHINES[0], MACHINES[-1]):
            with self.subTest(**kw):
                whole = start_lines(kw["memory"], kw["cpus"]) + reads(passes)
                vm = self.run_bios(make_disk(self.path("d.img"), passes), **kw)
                for n in (4, 8):
                    self.reads_so_far(vm, n)
                    said = len(vm.before + vm.output())
                    file = self.snapshot(vm, f"{n}.vmsnap")
                    self.vmm("check", file)
                    subprocess.run([SNAPINSPECT, "verify", file], check=True,
                                   stdout=subprocess.DEVNULL)
                    vm.kill()
                    vm = self.restore("fw", file)
                    vm.before = whole[:said].encode()
                rest = self.to_the_end(vm)
                self.assertTrue(whole.endswith(rest), rest)
                self.assertTrue(0 < len(rest) <= len(whole) - said, rest)
                os.unlink(self.path("d.img"))

    def test_stopped(self):
        """Every word is said once, and firmware is part of what is saved."""
        passes = self.passes_in(1, 15)
        with open(ROM, "rb") as f:
            rom = f.read()
        for kw in MACHINES:
            with self.subTest(**kw):
                vm = self.run_bios(make_disk(self.path("d.img"), passes), **kw)
                self.reads_so_far(vm, 2)
                file = self.snapshot(vm, "x.vmsnap", "--stop")
                self.assertEqual(vm.wait(), 0)
                if kw["memory"] == 64:
                    ram = self.ram(file)
                    self.assertEqual(len(ram), (64 << 20) + ROM_BYTES)
                    self.assertTrue(ram[64 << 20:] == rom)
                    self.assertTrue(ram[(1 << 20) - ROM_BYTES:1 << 20] == rom)
                again = self.restore("fw", file)
                self.assertEqual(vm.output().decode() + self.to_the_end(again),
                                 start_lines(kw["memory"], kw["cpus"]) + reads(passes))
                os.unlink(self.path("d.img"))

    def test_restored_without_the_file(self):
        """Firmware is not read again before the guest starts again, and then it has to be the same."""
        rom = self.path("moved.rom")
        shutil.copy(ROM, rom)
        disk = make_disk(self.path("d.img"), 1, resets=1)
        vm = self.run_bios(disk, "--paused", rom=rom)
        file = self.snapshot(vm, "x.vmsnap", "--stop")
        self.assertEqual(vm.wait(), 0)

        def ends(why, *more):
            again = self.restore("fw", file, *more)
            self.assertRegex(self.to_the_end(again, 1), r"\ABIOS [^$]*\nRESET way=0\n\Z")
            self.assertEqual(again.stderr(), f"vmm: the guest asked for a reset, but {why}\n")

        with open(rom, "r+b") as f:
            f.write(b"\1")
        ends(f"{rom}: not the file that the machine was started from")
        os.truncate(rom, 8192)
        ends(f"{rom}: not the file that the machine was started from")
        os.unlink(rom)
        ends(f"{rom}: cannot open: No such file or directory")
        os.mkfifo(rom)
        ends(f"{rom}: not a regular file")
        ends("/dev/zero: not a regular file", "--bios", "/dev/zero")
        said = self.to_the_end(self.restore("fw", file, "--bios", ROM))
        self.assertEqual(said, f"{start_lines(64, 1)}RESET way=0\n{start_lines(64, 1, 1)}{reads(1)}")


class Reset(Bios):
    def test_reset(self):
        """By the keyboard controller, by ACPI, by a triple fault: each time the firmware is back,
        though it was spoiled, and every CPU waits to be started."""
        for kw in MACHINES:
            with self.subTest(**kw):
                disk = make_disk(self.path("d.img"), 1, resets=3)
                vm = self.run_bios(disk, ready=False, **kw)
                said = self.to_the_end(vm)
                self.assertEqual(vm.stderr(), "vmm: the guest's processor met a triple fault: it starts again\n")
                wanted = "".join(start_lines(kw["memory"], kw["cpus"], n) +
                                 (f"RESET way={n}\n" if n < 3 else reads(1)) for n in range(4))
                self.assertEqual(said, wanted)
                with open(disk, "rb") as f:
                    self.assertEqual(TASK.unpack(f.read(TASK.size))[4], 3)


    def test_reset_of_a_restored_machine(self):
        """As often as it likes, and also of what was restored before; clones too."""
        for kw in MACHINES:
            with self.subTest(**kw):
                disk = make_disk(self.path("d.img"), 1, resets=3)
                vm = self.run_bios(disk, "--paused", **kw)
                file = self.snapshot(vm, "x.vmsnap", "--stop")
                self.assertEqual(vm.wait(), 0)
                vm = self.restore("fw", file, "--paused")
                file = self.snapshot(vm, "y.vmsnap", "--stop")
                self.assertEqual(vm.wait(), 0)
                wanted = "".join(start_lines(kw["memory"], kw["cpus"], n) +
                                 (f"RESET way={n}\n" if n < 3 else reads(1)) for n in range(4))
                self.assertEqual(self.to_the_end(self.restore("fw", file)), wanted)
                log = self.path("clone")
                self.vmm("restore", file, "--clones", "1", "--console", f"file:{log}-%d")
                wait_for("the clone", lambda: log_ends(f"{log}-1", wanted))
                os.unlink(f"{log}-1")
                os.unlink(self.path("d.img"))

    def pass_until(self, gate, vm, said):
        """One word at a time, until the next is the first after this was said."""
        def there():
            if not gate.get("waiting"):
                return False
            if vm.output().endswith(said):
                return True
            gate.set(allow=gate.get("reads"))
            return False
        wait_for(said.decode(), there)

    def test_saved_while_it_asks_for_a_reset(self):
        """The thread that is to act on it is just about to take a snapshot: of what comes then."""
        for i, how in enumerate(((), ("--live",))):
            with self.subTest(how):
                path, disk = self.path(f"gate.{i}"), self.path(f"d{i}.img")
                gate = Gate(path, wait=1)
                env = dict(self.env, LD_PRELOAD=FAULT, FAULT_GATE=path, FAULT_TELLS="1")
                vm = self.run_bios(make_disk(disk, 1, resets=1), ready=False, env=env)
                self.pass_until(gate, vm, b"RESET way=0\n")
                file = self.path("x.vmsnap")
                with subprocess.Popen([VMM, "snapshot", "fw", "-o", file, *how], env=self.env) as p:
                    time.sleep(0.5)  # or it was too early, and there is nothing to see
                    gate.open()
                    self.assertEqual(p.wait(), 0)
                start = start_lines(64, 1)
                self.assertEqual(self.to_the_end(vm),
                                 f"{start}RESET way=0\n{start_lines(64, 1, 1)}{reads(1)}")
                self.assertEqual(self.to_the_end(self.restore("fw", file)),
                                 start_lines(64, 1, 1) + reads(1))


class Refused(Bios):
    def test_usage(self):
        for args in (["--bios", ROM, "--kernel", RING3], ["--bios", ROM, "--initrd", RING3],
                     ["--bios", ROM, "--cmdline", ""], ["--bios", ROM, "--layout", "x86_64/linux"],
                     ["--bios", ROM, "--layout", "x86_64/linux@1"],
                     ["--kernel", RING3, "--layout", "x86_64/bios"],
                     ["--kernel", RING3, "--layout", "x86_64/bios@1"], []):
            self.vmm("run", "--name", "a", "--allow-emulated", *args, status=2)

    def test_files(self):
        big, empty, short = self.path("big"), self.path("empty"), self.path("short")
        for path, size in ((big, (16 << 20) + 1), (empty, 0), (short, 15)):
            with open(path, "wb") as f:
                f.truncate(size)
        for path, why in ((big, "16 MiB"), (empty, "reset vector"), (short, "reset vector"),
                          (self.dir, "not a regular file"), ("/dev/null", "not a regular file"),
                          ("/nonexistent", "cannot open")):
            said = self.vmm("run", "--name", "a", "--allow-emulated", "--console", "none", "--bios",
                            path, status=1)
            self.assertIn(f"{path}: ", said)
            self.assertRegex(said, re.escape(why))

    def test_too_little_ram(self):
        self.vmm("run", "--name", "a", "--allow-emulated", "--console", "none", "--bios", ROM,
                 "--memory", "1M", status=1)


if __name__ == "__main__":
    main()
