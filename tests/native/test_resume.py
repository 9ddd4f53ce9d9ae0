#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A computation that was interrupted any number of times ends as one that was not: the same words
on the console, the same RAM.

usage: test_resume.py BUILD
"""

import os
import random
import subprocess

from lib import (Case, DONE, GENERATION, IMAGE, LONG, PAGE, PROGRESS, PROGRESS_NAMES, SEED,
                 SNAPINSPECT, VMM, WORK, main, pages_of)
from test_hugepages import HugePages

POINTS = 50 if LONG else 8
ITERATIONS = 300_000_000 if LONG else 40_000_000


class Resume(Case):
    # Ways to take a snapshot. Each gives the file's name.

    def from_running(self, vm, name):
        return self.snapshot(vm, name)

    def live(self, vm, name):
        return self.snapshot(vm, name, "--live")

    def with_stop(self, vm, name):
        file = self.snapshot(vm, name, "--stop")
        self.assertEqual(vm.wait(), 0)
        return file

    def from_paused(self, vm, name):
        self.vmm("pause", vm.name)
        file = self.snapshot(vm, name)
        return file

    def by_pipe(self, vm, name):
        file = self.path(name)
        with open(file, "wb") as out:
            p = subprocess.Popen([VMM, "snapshot", vm.name, "-o", "-"], env=self.env,
                                 stdout=subprocess.PIPE)
            for block in iter(lambda: p.stdout.read(65536), b""):
                out.write(block)
            p.stdout.close()
            self.assertEqual(p.wait(), 0)
        return file

    def finished(self, file):
        """Whether the first CPU of a snapshot has done its work, perhaps said so."""
        p = subprocess.Popen(["zstd", "-dcq", file], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
        p.stdout.read(IMAGE)
        values = PROGRESS.unpack(p.stdout.read(PROGRESS.size))
        p.stdout.close()
        p.wait()
        return dict(zip(PROGRESS_NAMES, values))["state"] == DONE

    def interrupted(self, vm, iterations, points, exact=False, huge=False):
        """The VM after as many snapshots, kills and restores. What was said before its time is in
        vm.before, where a snapshot stopped what it saved (@exact: always)."""
        rng = random.Random(SEED)
        ways = [self.with_stop, self.from_paused] if exact else \
            [self.live, self.from_running, self.live, self.with_stop, self.live, self.from_paused,
             self.by_pipe]
        how = [("--hugepages",)] if huge else [(), ("--lazy",), ("--lazy", "--no-working-set")]
        for i, at in enumerate(sorted(rng.sample(range(iterations // 2), points))):
            vm.reach(at)
            file = ways[i % len(ways)](vm, f"{i}.vmsnap")
            subprocess.run([SNAPINSPECT, "verify", file], check=True, stdout=subprocess.DEVNULL)
            late = self.finished(file)
            if late and vm.process.poll() is None:
                # It was faster than we; this machine may be busy.
                self.vmm("resume", vm.name, status=None)
                break
            vm.kill()
            before = vm.before + vm.output() if exact or late else b""
            vm = self.restore(vm.name, file, *how[i % len(how)])
            vm.before = before
            os.unlink(file)
        self.assertGreater(i, 0)
        return vm

    def same(self, work, iterations, points, *options, memory="32M"):
        cmdline = f"iters={iterations} {work} fill stay"
        expected = self.end(self.start("whole", cmdline, *options, memory=memory))
        vm = self.start("parts", cmdline, *options, memory=memory)
        self.same_end(self.end(self.interrupted(vm, iterations, points)), expected)

    def same_end(self, end, expected):
        self.assertEqual(end[0], expected[0])
        differ = sorted(at for at in {*end[1], *expected[1]}
                        if end[1].get(at) != expected[1].get(at))
        self.assertEqual([hex(at) for at in differ], [])

    def disk(self, name):
        return ["--disk", f"path={self.new_image(name, 64 << 10)},id=root", "--cpus", "2"]

    def same_with_a_disk(self, *options, points, huge=False):
        """Two processors write as fast as they can, and the disk reads and writes the same pages."""
        iterations = 12_000_000 if LONG else 3_000_000
        cmdline = f"iters={iterations} cpus=2 {WORK} disk=1500 fill stay"
        whole = self.start("whole", cmdline, *self.disk("a.img"), *options)
        whole.done()
        requests = whole.progress()["requests"]
        self.assertEqual(requests, iterations // 1500)
        expected = self.end(whole)
        vm = self.start("parts", cmdline, *self.disk("b.img"), *options)
        end = self.interrupted(vm, iterations, points, huge=huge)
        end.done()
        self.assertNotIn(b"FAILED", end.output())
        self.assertEqual(end.progress()["requests"], requests)
        self.same_end(self.end(end), expected)

    def test_with_a_disk(self):
        self.same_with_a_disk(points=50 if LONG else 5)

    def test_with_a_disk_in_huge_pages(self):
        with HugePages():
            self.same_with_a_disk("--hugepages", points=30 if LONG else 3, huge=True)

    def test_one_cpu(self):
        self.same(WORK, ITERATIONS, POINTS)

    def test_two_cpus(self):
        self.same(f"cpus=2 {WORK}", ITERATIONS // 2, max(4, POINTS // 2), "--cpus", "2")

    def test_more_than_4_gib(self):
        # RAM below 4 GiB ends at 0xd0000000: 2 MiB of the span lie there, 2 above 4 GiB.
        self.same("span=4M from=0xcfe00000 seed=3", ITERATIONS // 2, 2, memory="5G")

    def test_every_word_is_said_once(self):
        vm = self.start("words", f"iters={ITERATIONS // 2} {WORK} stay")
        vm = self.interrupted(vm, ITERATIONS // 2, 4, exact=True)
        vm.done()
        self.assertRegex(vm.before + vm.output(), rb"\AWORK span=1048576\nDONE [^\n]+\n\Z")


class Stream(Case):
    def test_zstd_prints_guest_ram(self):
        vm = self.start("ram", f"iters=0 {WORK} fill").reach(1000)
        self.vmm("pause", "ram")
        file = self.snapshot(vm)
        plain = subprocess.run(["zstd", "-dc", file], stdout=subprocess.PIPE, check=True).stdout
        fd = vm.ram()
        with open(f"/proc/self/fd/{fd}", "rb") as f:
            ram = f.read()
        self.assertEqual(len(plain), 32 << 20)
        self.assertTrue(plain == ram)
        self.assertGreater(len(pages_of(fd, len(ram))), (1 << 20) // PAGE)
        self.vmm("resume", "ram")
        vm.advances()

    def test_restored_ram_is_what_was_saved(self):
        vm = self.start("ram", f"iters=0 {WORK} fill").reach(1000)
        file = self.snapshot(vm, "x.vmsnap", "--stop")
        again = self.restore("ram", file, "--paused")
        ram, stored = pages_of(again.ram(), 32 << 20), self.stored_pages(file)
        self.assertNotEqual(ram.pop(GENERATION), stored.pop(GENERATION))
        self.assertEqual(ram, stored)
        self.vmm("resume", "ram")
        again.advances()


if __name__ == "__main__":
    main()
