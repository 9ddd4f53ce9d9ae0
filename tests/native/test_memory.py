#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A guest of 16 GiB is saved, live too, and restored lazily without a second copy of its memory.

usage: test_memory.py BUILD
"""

import contextlib
import os
import re
import subprocess
import threading
from pathlib import Path

from lib import LONG, VMM, Case, main, sanitized, wait_for

GIB = 1 << 30
ROOM = 20 * GIB
USED = 4 * GIB if LONG else GIB // 2  # of the guest's memory
BESIDE = 96 << 20  # of a process, beside guest memory, whatever its size; a second copy is five times that
GUEST = f"iters=0 span={USED} from=0x100000000 seed=7 fill"  # all above 4 GiB


def available():
    with open("/proc/meminfo", encoding="ascii") as f:
        return int(re.search(r"MemAvailable: +(\d+) kB", f.read()).group(1)) << 10


def beside(pid, ram_fd):
    """What a VM's process has without guest memory: of its own, mapped, and in files in memory."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        found = dict(re.findall(r"(?m)^(Rss\w+):\s+(\d+) kB$", f.read()))
    shared = (int(found["RssShmem"]) << 10) - os.fstat(ram_fd).st_blocks * 512
    files = 0
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            name = os.readlink(fd)
            if name.startswith("/memfd:") and "guest-ram" not in name:
                files += os.stat(fd).st_blocks * 512
    return (int(found["RssAnon"]) << 10) + max(0, shared) + files


class Watch:
    """The most that a VM had beside guest memory."""

    def __init__(self, vm):
        self.vm, self.most = vm, 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.wait(0.005):
            self.most = max(self.most, beside(self.vm.pid, self.vm.ram()))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


class Memory(Case):
    def setUp(self):
        super().setUp()
        if sanitized():
            self.skipTest("a sanitizer has memory of its own")
        if available() < ROOM:
            self.skipTest(f"{available() / GIB:.0f} GiB of memory are available, "
                          f"{ROOM / GIB:.0f} are needed")

    def within(self, watch):
        self.assertGreater(watch.most, 0)
        self.assertLess(watch.most, BESIDE)

    def test_saved_and_restored(self):
        vm = self.start("m", GUEST, memory="16G").reach(1000)
        self.assertGreaterEqual(os.fstat(vm.ram()).st_blocks * 512, USED)
        for i, how in enumerate(([], ["--live", "--track"])):
            with Watch(vm) as watch:
                file = self.path(f"{i}.vmsnap")
                self.vmm_slowly("snapshot", "m", "-o", file, *how)
            self.within(watch)
            vm.advances()
        with Watch(vm) as watch:
            file = self.path("2.vmsnap")
            self.vmm_slowly("snapshot", "m", "-o", file, "--parent", self.path("1.vmsnap"), "--live")
        self.within(watch)
        vm.kill()
        vm = self.restore("m", self.path("1.vmsnap"), "--lazy")
        with Watch(vm) as watch:
            vm.advances()
            with vm.control() as c:
                wait_for("all of its memory", lambda: not c.call("status")["result"]["loading"])
        self.within(watch)
        self.assertLess(os.fstat(vm.ram()).st_blocks * 512, USED + (64 << 20))

    def vmm_slowly(self, *args):
        p = subprocess.run([VMM, *args], env=self.env, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True, check=False)
        self.result(p.returncode, p.stderr, 0)


if __name__ == "__main__":
    main()
