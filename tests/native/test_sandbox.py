#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a VM's process can still do, once its guest runs.

usage: test_sandbox.py BUILD
"""

import os
import re
import signal
import subprocess

from lib import INTRUDE, RING3, WORK, Case, main

# Numbers of x86-64.
GETPID = 39
SCHED_SETATTR = 314
REFUSED = {"open": 2, "socket": 41, "connect": 42, "fork": 57, "execve": 59, "kill": 62,
           "unlink": 87, "ptrace": 101, "prctl": 157, "mount": 165, "openat": 257,
           "process_vm_readv": 310, "memfd_create": 319, "bpf": 321, "io_uring_setup": 425}

DESCRIPTORS = (
    r"/dev/kvm|anon_inode:kvm-(vm|vcpu:\d+)|/memfd:guest-ram \(deleted\)|socket:\[\d+\]|"
    r"anon_inode:(\[eventfd\]|\[eventpoll\]|\[timerfd\]|\[signalfd\]|\[io_uring\]|"
    r"\[userfaultfd\])|/dev/null|"
    r"/dev/urandom|%s|%s/\S+\.(console|stderr|vmsnap)")


class Sandbox(Case):
    def threads(self, vm):
        return sorted(int(t) for t in os.listdir(f"/proc/{vm.pid}/task"))

    def intrude(self, tid, number, first=0):
        return subprocess.run([INTRUDE, str(tid), str(number), str(first), "0", "0"],
                              capture_output=True, check=False, text=True)

    def test_allowed_call_is_made(self):
        vm = self.start("a", f"iters=0 {WORK}").reach(1)
        p = self.intrude(vm.pid, GETPID)
        self.assertEqual(p.stdout, f"returned {vm.pid}\n", p.stderr)
        vm.advances()

    def test_other_calls_end_the_process(self):
        for name, number in REFUSED.items():
            with self.subTest(name):
                vm = self.start(name, f"iters=0 {WORK}")
                p = self.intrude(vm.pid, number)
                self.assertEqual(p.stdout, f"died of signal {signal.SIGSYS:d}\n", p.stderr)
                self.assertEqual(vm.wait(), -signal.SIGSYS)

    def test_threads_are_scheduled_by_themselves_only(self):
        vm = self.start("a", f"iters=0 {WORK}").reach(1)
        p = self.intrude(vm.pid, SCHED_SETATTR)
        self.assertEqual(p.stdout, "returned -22\n", p.stderr)  # EINVAL: no attributes
        vm.advances()
        self.intrude(vm.pid, SCHED_SETATTR, vm.pid)
        self.assertEqual(vm.wait(), -signal.SIGSYS)

    def test_every_thread_is_inside(self):
        vm = self.start("a", f"iters=0 cpus=2 {WORK}", "--cpus", "2").reach(1)
        self.assertGreaterEqual(len(self.threads(vm)), 3)
        for tid in self.threads(vm):
            with open(f"/proc/{vm.pid}/task/{tid}/status", encoding="ascii") as f:
                status = dict(line.split(":\t", 1) for line in f)
            self.assertEqual(status["Seccomp"].strip(), "2")
            self.assertEqual(status["NoNewPrivs"].strip(), "1")
            for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                self.assertEqual(int(status[name], 16), 0, name)

    def only_expected(self, vm):
        kernel = os.path.realpath(RING3)  # for a guest that starts again
        expected = re.compile(DESCRIPTORS % (re.escape(kernel), re.escape(self.dir)))
        for fd in os.listdir(f"/proc/{vm.pid}/fd"):
            target = os.readlink(f"/proc/{vm.pid}/fd/{fd}")
            self.assertIsNotNone(expected.fullmatch(target), f"{fd}: {target}")

    def test_descriptors(self):
        vm = self.start("a", f"iters=0 {WORK}").reach(1)
        self.only_expected(vm)
        before = len(os.listdir(f"/proc/{vm.pid}/fd"))
        file = self.snapshot(vm)
        self.vmm("status", "a")
        self.assertLessEqual(len(os.listdir(f"/proc/{vm.pid}/fd")), before + 1)
        vm.kill()
        self.only_expected(self.restore("a", file))


if __name__ == "__main__":
    main()
