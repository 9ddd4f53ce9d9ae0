#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory in huge pages: refused when there are too few, and otherwise nobody sees a difference.

Sets some aside if it may, and gives them back; without, what needs them is skipped, and said.

usage: test_hugepages.py BUILD
"""

import fcntl
import os
import subprocess
import unittest
from pathlib import Path

from lazylib import LazyCase, uuid_of, workset_decode
from lib import BUILD, WORK, Case, main, wait_for

HUGE = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
WANTED = 64
ITERATIONS = 4_000_000


def count(name):
    return int((HUGE / name).read_text())


def unused():
    return count("free_hugepages") - count("resv_hugepages")


class HugePages:
    """So many of them while a test runs; one test at a time, of all build folders."""

    def __enter__(self):
        self.lock = open("/tmp/vmm-test-hugepages", "w", encoding="ascii")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.before = count("nr_hugepages")
        self.set(self.before + WANTED)
        if unused() < WANTED:
            self.__exit__()
            raise unittest.SkipTest(f"this machine gives no {WANTED} huge pages")
        return self

    def set(self, number):
        try:
            (HUGE / "nr_hugepages").write_text(str(number))
        except OSError as error:
            self.__exit__()
            raise unittest.SkipTest(f"huge pages cannot be set aside: {error}")

    def __exit__(self, *_):
        if count("nr_hugepages") != self.before:
            (HUGE / "nr_hugepages").write_text(str(self.before))
        self.lock.close()


class TooFew(Case):
    def test_refused(self):
        if not HUGE.is_dir():
            self.skipTest("this kernel has no huge pages of 2 MiB")
        needed = unused() + 4096
        said = self.vmm("run", "--name", "none", "--kernel", f"{BUILD}/tests/guest/ring3",
                        "--memory", f"{needed * 2}M", "--hugepages", "--allow-emulated", "--console",
                        "none", status=1)
        self.assertRegex(said, rf"\Avmm: {needed} huge pages of 2 MiB are needed for guest memory, the "
                               r"host has \d+ to spare \(sysctl vm.nr_hugepages\)\n\Z")


class Enough(LazyCase):
    def setUp(self):
        super().setUp()
        self.enterContext(HugePages())
        self.free = unused()

    def page_bytes(self, vm):
        with vm.control() as c:
            return c.call("status")["result"]["page_bytes"]

    def given_back(self):
        wait_for("the huge pages to be given back", lambda: unused() == self.free)

    def test_guest_memory(self):
        subprocess.run([f"{BUILD}/tests/layout_test_mem"], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env={**os.environ, "VMM_TEST_HUGEPAGES": "1"})

    def test_all_are_taken_at_once(self):
        vm = self.start("all", f"iters=0 {WORK}", "--hugepages", "--paused")
        self.assertEqual(self.page_bytes(vm), 2 << 20)
        self.assertEqual((unused(), count("resv_hugepages")), (self.free - 16, 0))
        vm.kill()
        self.given_back()

    def test_saved_and_restored_with_and_without(self):
        cmdline = f"iters={ITERATIONS} {WORK} fill stay"
        whole = self.start("whole", cmdline)
        expected = whole.done()
        whole.kill()
        ways = ((), ("--hugepages",))
        for saved in ways:
            for restored in ways:
                with self.subTest(saved=saved, restored=restored):
                    vm = self.start("parts", cmdline, *saved).reach(1000)
                    file = self.snapshot(vm)
                    vm.kill()
                    said = vm.output()
                    vm = self.restore("parts", file, *restored)
                    vm.before = said
                    self.assertEqual(self.page_bytes(vm), 2 << 20 if restored else 4096)
                    self.assertEqual(vm.done(), expected)
                    vm.kill()
                    self.given_back()

    def test_lazy(self):
        """Slower than the guest, which is first at most of its memory; saved with and without."""
        cmdline = f"iters={ITERATIONS} span=24M from=0x1000000 seed=7 fill stay"
        whole = self.start("whole", cmdline, memory="64M")
        expected = whole.done()
        whole.kill()
        for saved in ((), ("--hugepages",)):
            vm = self.start("parts", cmdline, *saved, memory="64M").reach(1)
            file = self.snapshot(vm)
            vm.kill()
            said = vm.output()
            for threads in ("1", "16"):
                vm = self.lazy(file, "--hugepages", "--threads", threads, delay_us=2000)
                vm.before = said
                self.assertEqual(self.page_bytes(vm), 2 << 20)
                vm.advances()
                vm.gate.set(delay_us=0)
                self.assertEqual(self.loaded(vm).done(), expected)
                vm.kill()
                self.given_back()
                uuid, chunks = self.working_set(file)
                self.assertEqual(uuid, uuid_of(file))
                self.assertGreater(len(chunks), 0)
                os.unlink(f"{file}.ws")

    def working_set(self, file):
        with open(f"{file}.ws", "rb") as f:
            return workset_decode(f.read())

    def test_lazy_is_what_was_saved(self):
        file = self.saved()
        # With a working set of its own, and with one of small pages.
        for how in ((), (), ("--no-working-set",)):
            vm = self.loaded(self.lazy(file, "--paused", "--hugepages", *how))
            self.same_as_saved(vm, file)
            vm.kill()
        self.loaded(self.lazy(file).advances()).kill()
        vm = self.loaded(self.lazy(file, "--hugepages").advances())
        # Live and lazy at once: a snapshot waits for memory.
        self.snapshot(vm, "y.vmsnap", "--live")
        vm.kill()
        self.given_back()

    def test_lazy_that_cannot_be_read(self):
        vm = self.lazy(self.saved(), "--hugepages", ready=False, allow=20, wait=1)
        wait_for("somebody at the gate", lambda: vm.gate.get("waiting"))
        vm.gate.set(error=5, wait=0)
        self.ended(vm, 1, "x.vmsnap")
        self.given_back()


if __name__ == "__main__":
    main()
