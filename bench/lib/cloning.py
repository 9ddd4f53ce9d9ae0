# SPDX-License-Identifier: Apache-2.0
"""B10: many guests from one file."""

import contextlib
import json
import time

from guest import MEMFD, Guest, open_ram
from lanes import Lane, interleave, prepare, prepare_all
from peers import Qemu
from proc import Failed, proportional, wait_for


def lanes_of(bench):
    lanes = [Lane("vmm, --clones", bench.vmm(), start=start_clones),
             Lane("vmm, --clones, raw file", bench.vmm(), ("--encoding", "raw"), start=start_clones),
             Lane("vmm, one by one", bench.vmm(), start=start_each)]
    return lanes + [Lane(f"{q.name}, template", q, ("template",), ("template",), template=True,
                         start=start_templates) for q in bench.qemus()]


class Clones:
    """Those running: processes of ours, or ids of those that another command left."""

    def __init__(self):
        self.guests, self.pids, self.contestants = [], [], []
        self.vmm, self.wanted = None, 0

    def memory(self):
        return sum(map(proportional, self.pids)) / len(self.pids)

    def close(self):
        for c in self.contestants:
            c.close()
        if self.vmm:
            self.close_detached()

    def close_detached(self):
        for guest in self.guests:
            guest.ram.close()
        for n in range(self.wanted):
            with contextlib.suppress(Failed):
                self.vmm.call("stop", f"guest-{n + 1}", "--force")


def start_clones(_bench, lane, prepared, n, clones):
    c = lane.contestant
    c.needs("restore", "--clones", "--detach")
    clones.vmm, clones.wanted = c, n
    c.call("restore", prepared.file, *lane.restore, "--clones", n, "--console", "none", "--detach")
    for i in range(n):
        status = json.loads(c.call("status", f"guest-{i + 1}", "--json"))
        clones.pids.append(status["pid"])
        ram = wait_for("guest RAM", lambda: (
            open_ram(status["pid"], c.memory, c.low, f"{MEMFD} (deleted)") or
            open_ram(status["pid"], c.memory, c.low, prepared.file)))
        clones.guests.append(Guest(ram))


def spread(clones, made, start):
    """Starts all, then finds their RAM: nobody waits for the one before."""
    for c in made:
        clones.contestants.append(c)
        start(c)
    for c in made:
        c.find_guest()
        clones.guests.append(c.guest)
        clones.pids.append(c.running.pid)


def start_each(bench, lane, prepared, n, clones):
    made = [bench.vmm() for _ in range(n)]
    for c in made:
        c.memory = lane.contestant.memory
    spread(clones, made, lambda c: c.start_restore(prepared.file))


def start_templates(bench, lane, prepared, n, clones):
    q = lane.contestant
    made = [Qemu(bench.home(), bench.kernel, q.program, q.version) for _ in range(n)]
    for c in made:
        c.memory, c.template = q.memory, prepared.template
    spread(clones, made, lambda c: c.start_restore(prepared.file, *lane.restore))


def count(clones, beyond):
    """All of them have counted."""
    left = list(clones.guests)

    def moved():
        left[:] = [g for g in left if g.counter() <= beyond]
        return not left
    wait_for("every clone", moved)


def b10(bench):
    lanes = lanes_of(bench)
    prepare_all(bench, "B10", lanes, bench.options.memory)
    for n in bench.options.clones:
        def sample(lane):
            prepared, clones = prepare(bench, lane, bench.options.memory), Clones()
            start = time.monotonic()
            try:
                lane.more["start"](bench, lane, prepared, n, clones)
                count(clones, prepared.counter)
                took = time.monotonic() - start
                bench.results.add("B10", f"{n} clones", "time for each", "ms", lane.name, took / n)
                bench.results.add("B10", f"{n} clones", "memory for each", "MiB", lane.name,
                                  clones.memory())
            finally:
                clones.close()
        interleave(bench, "B10", lanes, sample, 5)
