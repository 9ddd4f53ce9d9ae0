# SPDX-License-Identifier: Apache-2.0
"""The guest of bench/worker.c, seen and commanded from outside through its RAM.

No VMM takes part in that, so it is the same with all: where guest RAM is a memfd, through the
memfd, which leaves pages that are not there alone; else through /proc/PID/mem.
"""

import contextlib
import os
import re
import struct
import time
from pathlib import Path

from contents import BLOCK, MIB, PAGE, data_runs, fingerprint, nonzero_pages
from proc import POLL, Failed, wait_for

BASE = 2 * MIB  # where the guest's image begins, and struct worker_page of bench/worker.h
MAGIC = 0x31454e4348454e42
RESULTS = struct.Struct("<11Q")
NAMES = "magic counter tsc gaps gap_sum gap_max written touched sum done fault".split()
ORDERS = BASE + 128  # .command, and what goes with it
LISTS = BASE + PAGE
PAGES_MAX = 65536
RESET, READ, WRITE = 1, 2, 3
GAP_SECONDS = 1e-4
MEMFD = "/memfd:guest-ram"  # vmm's


def find_memfd(pid):
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                path = f"/proc/{pid}/fd/{fd}"
                if os.readlink(path).startswith(MEMFD):
                    return os.open(path, os.O_RDWR)
    return None


def mappings(pid):
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        m = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \d+ *(.*)", line)
        yield int(m[1], 16), int(m[2], 16), m[3]


def find_mapping(pid, size, file):
    """Where guest RAM begins in a process: what maps @file, or the one large enough."""
    with contextlib.suppress(OSError):
        for start, end, name in mappings(pid):
            if (name == str(file)) if file else (
                    not name and end - start >= size and start % BLOCK == 0):
                return start
    return None


def mapped_runs(pid, base, size):
    """(start, end) of the 2 MiB blocks in which a process has any page, as offsets from @base."""
    per_block = BLOCK // PAGE * 8
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as f:
        for at in range(0, size, BLOCK):
            f.seek((base + at) // PAGE * 8)
            if any(f.read(per_block)[7::8]):  # the upper byte: present, swapped, of a file
                yield at, min(at + BLOCK, size)


class Ram:
    """Guest RAM of a process. @low: of it, below 4 GiB. @base: in the file. @pid: whose mapping."""

    def __init__(self, fd, base, size, low, pid=None):
        self.fd, self.base, self.size, self.low, self.pid = fd, base, size, low, pid

    def at(self, gpa):
        return self.base + (gpa if gpa < 1 << 32 else gpa - (1 << 32) + self.low)

    def read(self, gpa, size):
        return os.pread(self.fd, size, self.at(gpa))

    def write(self, gpa, data):
        at, data = self.at(gpa), memoryview(data)
        while data:
            n = os.pwrite(self.fd, data, at)
            at, data = at + n, data[n:]

    def pages(self):
        """(offset, bytes) of those that are not zero."""
        runs = (mapped_runs(self.pid, self.base, self.size) if self.pid
                else data_runs(self.fd, self.size))
        return nonzero_pages(lambda at, n: os.pread(self.fd, n, self.base + at), runs)

    def close(self):
        os.close(self.fd)


def open_ram(pid, size, low, file=None):
    """None while it is not there yet. @file: that a private mapping is of."""
    fd = None if file else find_memfd(pid)
    if fd is not None:
        return Ram(fd, 0, size, low)
    base = find_mapping(pid, size, file)
    if base is None:
        return None
    return Ram(os.open(f"/proc/{pid}/mem", os.O_RDWR), base, size, low, pid)


class Guest:
    commands = int(time.time() * 1000)  # numbers that never come twice
    hertz = None
    guess = 2.5e9  # only to compare readings a few milliseconds apart

    def __init__(self, ram):
        self.ram = ram

    def results(self):
        return dict(zip(NAMES, RESULTS.unpack(self.ram.read(BASE, RESULTS.size))))

    def counter(self):
        return int.from_bytes(self.ram.read(BASE + 8, 8), "little")

    def started(self):
        with contextlib.suppress(OSError, struct.error):  # RAM has no size yet
            return self.results()["magic"] == MAGIC
        return False

    def order(self, name, value):
        index = "command kind order first count gap_ticks write_ticks pages".split().index(name)
        self.ram.write(ORDERS + 8 * index, struct.pack("<Q", value))

    def tell(self, kind, count=0, order=0, first=0):
        Guest.commands += 1
        self.ram.write(ORDERS + 8, struct.pack("<4Q", kind, order, first, count))
        self.ram.write(ORDERS, struct.pack("<Q", Guest.commands))
        return Guest.commands

    def done(self, number):
        r = self.results()
        if r["fault"]:
            raise Failed(f"the guest ended by exception {r['fault'] - 1}")
        return r if r["done"] == number else None

    def do(self, kind, **how):
        number = self.tell(kind, **how)
        return wait_for("the guest to obey", lambda: self.done(number))

    def clock(self):
        """(seconds, TSC) as close as they come: of many readings, when the guest ran just then."""
        readings = []
        for _ in range(200):
            before = time.monotonic()
            tsc = self.results()["tsc"]
            readings.append((tsc - before * Guest.guess, before, tsc))
            time.sleep(POLL)
        return max(readings)[1:]

    def calibrate(self):
        """Ticks of the TSC in a second, as the guest reads it: the same in every guest here."""
        if not Guest.hertz:
            one = self.clock()
            time.sleep(0.5)
            two = self.clock()
            Guest.hertz = (two[1] - one[1]) / (two[0] - one[0])
        self.order("gap_ticks", int(self.hertz * GAP_SECONDS))

    def fill(self, contents):
        """Puts the contents into RAM and has the guest touch every page: so they are where they
        would be had it written them itself."""
        memory = self.ram.size
        for gpa, data in contents.runs(memory):
            self.ram.write(gpa, data)
        numbers = [gpa // PAGE for gpa in contents.addresses(memory)]
        if len(numbers) > PAGES_MAX:
            raise Failed(f"{len(numbers)} pages of contents, the guest's list has {PAGES_MAX}")
        lists = numbers, [numbers[i] for i in contents.shuffled()]
        for i, of in enumerate(lists):
            self.ram.write(LISTS + 4 * PAGES_MAX * i, struct.pack(f"<{len(of)}I", *of))
        self.order("pages", len(numbers))
        self.do(READ, count=len(numbers))

    def write_rate(self, mib):
        """MiB of pages a second that it dirties."""
        self.order("write_ticks", int(self.hertz * PAGE / (mib * MIB)) if mib else 0)

    def gaps(self):
        """Longest and sum, in seconds, since the last RESET."""
        r = self.results()
        return r["gap_max"] / self.hertz, r["gap_sum"] / self.hertz

    def fingerprint(self):
        """Count and digest of the pages that the guest does not write to by itself."""
        return fingerprint(self.ram.pages())
