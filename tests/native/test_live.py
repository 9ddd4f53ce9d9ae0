#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Snapshots of guests that run on meanwhile: each is of one moment, and whatever goes wrong, the guest
goes on, with no page left protected.

usage: test_live.py BUILD
"""

import json
import os
import random
import re
import signal
import struct
import subprocess
import time

from lib import (FAULT, LONG, SEED, SNAPINSPECT, VMM, WORK, Case, environment, main, pages_of,
                 sanitized, wait_for)
from test_hugepages import HugePages

POINTS = 60 if LONG else 10
FROM, SPAN, CPUS = 16 << 20, 16 << 20, 2
ORDER = f"iters=0 order cpus={CPUS} from={FROM:#x} span={SPAN:#x}"
ENDLESS = f"iters=0 {WORK} fill"
LARGE = "iters=0 span=96M from=0x1000000 seed=7 fill"

# A host where userfaultfd can be had and is good for nothing, and one without.
UFFDIO_API, UFFDIO_REGISTER = 0xC018AA3F, 0xC020AA00


class Live(Case):
    memory = "protected"
    broken = None

    def setUp(self):
        super().setUp()
        if self.broken:
            self.env = environment(VMM_RUNTIME_DIR=self.runtime, LD_PRELOAD=FAULT,
                                   FAULT_CALL="ioctl", FAULT_MATCH=hex(self.broken), FAULT_NTH="0",
                                   FAULT_ERRNO="22")

    def live(self, vm, file, *more):
        """The result of the command, which says how memory was had."""
        result = json.loads(self.vmm("snapshot", vm.name, "-o", file, "--live", "--json", *more))
        self.assertEqual(result["memory"], self.memory)
        self.assertEqual("not_protected" in result, self.memory == "copied")
        return result


class Moment(Live):
    def in_order(self, file):
        """Of each CPU the number that it was writing into its pages, one after the other."""
        subprocess.run([SNAPINSPECT, "verify", file], check=True, stdout=subprocess.DEVNULL)
        ram = subprocess.run(["zstd", "-dcq", file], stdout=subprocess.PIPE, check=True).stdout
        numbers = []
        for cpu in range(CPUS):
            at = FROM + cpu * SPAN // CPUS
            words = [struct.unpack_from("<Q", ram, at + i)[0]
                     for i in range(0, SPAN // CPUS, 4096)]
            self.assertEqual(words, sorted(words, reverse=True))
            self.assertLessEqual(words[0] - words[-1], 1)
            numbers.append(words[0])
        return numbers

    def points(self, vm, *more):
        """Live snapshots at times that nobody chose."""
        rng, before, copied = random.Random(SEED), [0] * CPUS, 0
        for i in range(POINTS):
            time.sleep(rng.random() / 20)
            file = self.path("x.vmsnap")
            how = ["--level", str(1 + 5 * (i % 2))]
            result = self.live(vm, file, *how, *more)
            numbers = self.in_order(file)
            for last, now in zip(before, numbers):
                self.assertGreater(now, last)
            before = numbers
            copied += result["copied_chunks"]
            vm.advances()
        self.assertGreater(copied, 0)

    def test_two_cpus_that_write_as_fast_as_they_can(self):
        self.points(self.start("o", ORDER, "--cpus", "2", memory="64M").reach(2))

    def test_in_huge_pages(self):
        with HugePages():
            vm = self.start("o", ORDER, "--cpus", "2", "--hugepages", memory="64M").reach(2)
            self.points(vm)
            vm.kill()

    def test_of_a_paused_guest(self):
        vm = self.start("p", ENDLESS).reach(1000)
        self.vmm("pause", "p")
        file = self.path("live.vmsnap")
        self.live(vm, file)
        live = self.stored_pages(file)
        self.assertEqual(live, self.stored_pages(self.snapshot(vm, "full.vmsnap")))
        self.assertEqual(live, pages_of(vm.ram(), 32 << 20))
        self.vmm("resume", "p")
        vm.advances()

    def test_restored(self):
        vm = self.start("o", ORDER, "--cpus", "2", memory="64M").reach(2)
        file, again = self.path("x.vmsnap"), self.path("again.vmsnap")
        self.live(vm, file)
        vm.kill()
        vm = self.restore("o", file).advances()
        self.live(vm, again)
        for last, now in zip(self.in_order(file), self.in_order(again)):
            self.assertGreaterEqual(now, last)


class MomentCopied(Moment):
    memory, broken = "copied", UFFDIO_API

    def test_encrypted(self):
        key = self.path("key")
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
            f.write(bytes(range(32)))
        vm = self.start("e", LARGE, memory="128M").reach(1000)
        file = self.path("x.vmsnap")
        self.live(vm, file, "--encrypt", f"key={key}")
        subprocess.run([SNAPINSPECT, "verify", file, "--key", f"key={key}"], check=True,
                       stdout=subprocess.DEVNULL)
        vm.kill()
        self.restore("e", file, "--key", f"key={key}").advances()

    def test_message(self):
        vm = self.start("m", ENDLESS).reach(1)
        p = subprocess.run([VMM, "snapshot", "m", "-o", self.path("x.vmsnap"), "--live"], env=self.env,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True, text=True)
        self.assertRegex(p.stderr, r"\Avmm: [^\n]*x.vmsnap: memory was copied [^\n]*: userfaultfd: "
                                   r"Invalid argument\n\Z")
        # Nobody is told that a stopped one was protected or copied.
        result = json.loads(self.vmm("snapshot", "m", "-o", self.path("y.vmsnap"), "--json"))
        self.assertEqual(result["memory"], "stopped")
        vm.advances()


class MomentNotRegistered(MomentCopied):
    """What is found out only when memory is to be protected."""
    broken = UFFDIO_REGISTER
    test_encrypted = test_message = test_in_huge_pages = test_restored = None


class Ended(Live):
    """What a capture leaves behind: nothing."""

    def setUp(self):
        super().setUp()
        self.vm = self.start("f", LARGE, memory="128M").reach(100000)
        self.old = self.snapshot(self.vm, "x.vmsnap")
        with open(self.old, "rb") as f:
            self.before = f.read()

    def goes_on(self):
        """At full speed: no memory is registered with userfaultfd, none protected."""
        with self.vm.control() as c:
            wait_for("the end of it",
                     lambda: c.call("status")["result"]["state"] == "running")
        with open(f"/proc/{self.vm.pid}/smaps", encoding="ascii") as f:
            flags = re.findall(r"guest-ram.*?VmFlags:([^\n]*)\n", f.read(), re.S)
        self.assertTrue(flags)
        for line in flags:
            self.assertFalse({"uw", "um", "ui"} & set(line.split()), line)
        self.vm.advances()

    def old_is_whole(self):
        with open(self.old, "rb") as f:
            self.assertTrue(f.read() == self.before)

    def begin(self, *args, **kw):
        return subprocess.Popen([VMM, "snapshot", "f", "--live", *args], env=self.env,
                                stderr=subprocess.PIPE, **kw)

    def test_disk_full(self):
        subprocess.run(["prlimit", f"--pid={self.vm.pid}", "--fsize=65536:unlimited"], check=True)
        for _ in range(4):
            self.vmm("snapshot", "f", "-o", self.old, "--live", status=1)
            self.goes_on()
        self.old_is_whole()
        self.no_debris("x.vmsnap")
        with open("/dev/full", "wb") as full:
            self.vmm("snapshot", "f", "-o", "-", "--live", status=1, stdout=full)
        self.goes_on()

    def test_cancelled_at_any_time(self):
        """While memory is being protected, and while it is being written."""
        for i in range(8):
            for number in (signal.SIGINT, signal.SIGKILL):
                p = self.begin("-o", "-", stdout=subprocess.PIPE)
                if i % 2:
                    self.assertEqual(len(p.stdout.read(4096)), 4096)
                else:
                    time.sleep(i * 0.005)
                p.send_signal(number)
                # Nobody reads, so that it cannot have been done before.
                self.assertNotEqual(p.wait(60), 0)
                p.stdout.close()
                p.stderr.close()
                self.goes_on()
        self.live(self.vm, self.path("y.vmsnap"))

    def test_reader_goes_away(self):
        p = self.begin("-o", "-", stdout=subprocess.PIPE)
        self.assertEqual(len(p.stdout.read(65536)), 65536)
        p.stdout.close()
        stderr = p.stderr.read().decode()
        p.stderr.close()
        self.result(p.wait(), stderr, 1)
        self.goes_on()

    def test_vm_killed(self):
        p = self.begin("-o", self.old, stdout=subprocess.DEVNULL)
        wait_for("a file that grows", lambda: p.poll() is not None or
                 [n for n in os.listdir(self.dir) if ".partial-" in n])
        self.vm.kill()
        stderr = p.communicate()[1].decode()
        if p.returncode:
            self.result(p.returncode, stderr, 1)
            self.old_is_whole()
        self.no_debris("x.vmsnap")

    def kept(self):
        """Descriptors, threads, and KiB of private memory."""
        with open(f"/proc/{self.vm.pid}/status", encoding="ascii") as f:
            status = dict(line.split(":", 1) for line in f)
        return (len(os.listdir(f"/proc/{self.vm.pid}/fd")), int(status["Threads"]),
                int(status["VmData"].split()[0]))

    def test_many(self):
        for i in range(30 if LONG else 12):
            self.live(self.vm, self.path("x.vmsnap"))
            self.goes_on()
            if i == 3:
                first = self.kept()
        # Connections end a little later.
        wait_for("no more than it had", lambda: all(map(int.__le__, self.kept()[:2], first[:2])))
        if not sanitized():  # it keeps freed memory for a while
            self.assertLess(self.kept()[2], first[2] + (64 << 10))
        self.no_debris("x.vmsnap")


class EndedCopied(Ended):
    memory, broken = "copied", UFFDIO_API


class Without(Live):
    def test_without_the_privilege(self):
        """As a user has it who is not given /dev/userfaultfd."""
        with open("/proc/sys/vm/unprivileged_userfaultfd", encoding="ascii") as f:
            if f.read().strip() == "1":
                self.skipTest("everybody may here")
        env = environment(VMM_RUNTIME_DIR=self.runtime, LD_PRELOAD=FAULT, FAULT_CALL="open",
                          FAULT_MATCH="/dev/userfaultfd", FAULT_NTH="0", FAULT_ERRNO="13")
        vm = self.start_without("w", env)
        self.memory = "copied"
        result = self.live(vm, self.path("x.vmsnap"))
        for word in ("/dev/userfaultfd", "CAP_SYS_PTRACE"):
            self.assertIn(word, result["not_protected"])
        vm.advances()
        self.no_debris("x.vmsnap")

    def start_without(self, name, env):
        launcher = self.path("vmm")
        with open(launcher, "w", encoding="ascii") as f:
            f.write(f'#!/bin/sh\nexec setpriv --bounding-set -sys_ptrace --inh-caps -sys_ptrace '
                    f'"{VMM}" "$@"\n')
        os.chmod(launcher, 0o755)
        return self.start(name, ENDLESS, env=env, program=launcher).reach(1000)

    def test_not_with_stop(self):
        vm = self.start("s", ENDLESS).reach(1)
        self.assertIn("do not go together", self.vmm("snapshot", "s", "-o", self.path("x.vmsnap"),
                                                     "--live", "--stop", status=2))
        vm.advances()


if __name__ == "__main__":
    main()
