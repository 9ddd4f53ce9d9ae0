# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks ask of a virtual machine monitor."""

import contextlib
import os
import time
from pathlib import Path

from guest import RESET, Guest, open_ram
from proc import Failed, wait_for


class Saved:
    """What a save came to. @seconds: until the file is whole. @cpu: of all that took part."""

    def __init__(self, seconds, cpu, file):
        self.seconds, self.cpu = seconds, cpu
        self.bytes = os.stat(file).st_blocks * 512


class Contestant:
    """@name: in reports. @folder: where its sockets and logs go. @kernel: bench/worker, built.

    One virtual machine at a time. A subclass has start_boot(), start_restore(), pause(), go() and
    save().
    """

    name = ""
    low = 0  # bytes of RAM below 4 GiB in guests that have more

    def __init__(self, folder, kernel):
        self.folder, self.kernel = Path(folder), kernel
        self.running = self.guest = None
        self.private = None  # file that guest RAM is a private mapping of
        self.memory = 0

    def close(self):
        if self.guest:
            self.guest.ram.close()
        if self.running:
            self.running.kill()
        self.running = self.guest = None

    def find_guest(self):
        """As soon as there is RAM."""
        def found():
            with contextlib.suppress(OSError):
                ram = open_ram(self.running.pid, self.memory, self.low, self.private)
                if ram:
                    return ram
            self.running.alive()
            return None
        self.guest = Guest(wait_for("guest RAM", found))

    def boot(self, memory):
        """Seconds from the start of the process until the guest's work loop runs."""
        self.memory = memory
        self.start_boot()
        self.find_guest()
        wait_for("the guest", lambda: self.guest.started() or not self.running.alive())
        return time.monotonic() - self.running.started

    def boot_filled(self, memory, contents):
        self.boot(memory)
        self.guest.calibrate()
        self.guest.fill(contents)
        self.guest.do(RESET)

    def restored(self, beyond, since=None):
        """Waits until the guest counts further than @beyond. Returns seconds since the process was
        started, or @since."""
        if not self.guest:
            self.find_guest()

        def moved():
            with contextlib.suppress(OSError):
                if self.guest.counter() > beyond:
                    return True
            self.running.alive()
            return False
        wait_for("the restored guest", moved)
        return time.monotonic() - (self.running.started if since is None else since)

    def must(self, condition, text):
        if not condition:
            raise Failed(text)
