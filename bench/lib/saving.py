# SPDX-License-Identifier: Apache-2.0
"""B4, B5, B6: a guest into a file, standing still, running, and once more after a while."""

import re
import time

from contents import MIB, PAGE
from guest import RESET, WRITE
from lanes import GIB, Lane, interleave, size_name
from proc import Failed, command, memory_beyond_guest, touch

CHAIN = 8


def stopped_lanes(bench, direct):
    lanes = [Lane("vmm", bench.vmm()), Lane("vmm, level 3", bench.vmm(), ("--level", "3")),
             Lane("vmm, raw", bench.vmm(), ("--encoding", "raw"))]
    for q in bench.qemus():
        hows = ["raw", "zstd -1"] + (["mapped-ram"] if q.version >= (9, 0) else [])
        lanes += [Lane(f"{q.name}, {how}", q, (how, direct)) for how in hows]
    return lanes


class Codec:
    """What two threads of zstd come to with these contents, in chunks of vmm's size, and nothing
    else to do: the limit of a save by two threads. A contestant as far as taking turns goes."""

    def __init__(self, bench, chunk=64 << 10):
        self.chunk = chunk
        pages = [page for _, page in bench.contents.pages]
        self.bytes = len(pages) * PAGE
        self.halves = [bench.home() / f"half{n}" for n in (0, 1)]
        for n, half in enumerate(self.halves):
            half.write_bytes(b"".join(pages[len(pages) * n // 2:len(pages) * (n + 1) // 2]))

    def close(self):
        pass

    def run(self):
        """Seconds and bytes, of two processes at the same time."""
        one = f"zstd -b1 -i1 -B{self.chunk}"
        text = command(["sh", "-c", f"{one} $0 2>&1 & {one} $1 2>&1; wait", *self.halves])
        found = re.findall(r"(half\d)\D[^\r]*-> *(\d+) \(.*?\), *([\d.]+) MB/s", text)
        last = {name: (int(stored), float(speed)) for name, stored, speed in found}
        if len(last) != 2:
            raise Failed(f"zstd -b: {text[-80:]}")
        slowest = min(speed for _, speed in last.values())
        return self.bytes / 2 / (slowest * 1e6), sum(stored for stored, _ in last.values())


def b4(bench):
    for case, folder, direct in (("tmpfs", bench.folder, False), ("disk", bench.disk, True)):
        b4_to(bench, case, folder, direct)


def b4_to(bench, case, folder, direct):
    memory = bench.options.memory

    def sample(lane):
        c, file = lane.contestant, folder / "b4"
        if isinstance(c, Codec):
            seconds, stored = c.run()
            bench.results.add("B4", case, "time", "ms", lane.name, seconds)
            bench.results.add("B4", case, "size", "MiB", lane.name, stored)
            return
        c.boot_filled(memory, bench.contents)
        bench.results.add("B4", case, "memory beyond guest RAM before", "MiB", lane.name,
                          memory_beyond_guest(c.running.pid, c.guest.ram))
        c.pause()
        touch(bench.options.touch)
        saved = c.save(file, *lane.save)
        bench.results.add("B4", case, "time", "ms", lane.name, saved.seconds)
        bench.results.add("B4", case, "size", "MiB", lane.name, saved.bytes)
        bench.results.add("B12", f"saved, {case}", "CPU", "s/GiB", lane.name,
                          saved.cpu / (memory / GIB))
        file.unlink()
    lanes = stopped_lanes(bench, direct)
    if not direct:
        lanes.append(Lane("zstd alone, two threads", Codec(bench)))
    interleave(bench, "B4", lanes, sample)


def live_lanes(bench):
    lanes = [Lane("vmm, live", bench.vmm(), ("--live",)), Lane("vmm, stopped", bench.vmm())]
    lanes += [Lane(f"{q.name}, background-snapshot", q, ("background",)) for q in bench.qemus()]
    return [*lanes, Lane("no snapshot, for a second", bench.vmm(), None)]


def b5(bench):
    """Peers take seconds, and a minute for 16 GiB: there a few samples of one rate have to do."""
    for memory in bench.options.sizes:
        large = memory // (4 * GIB)
        rates = bench.options.rates[-1:] if large > 1 else bench.options.rates
        for rate in rates:
            b5_at(bench, memory, rate, 2 if large > 1 else 3 if large else 6)


def b5_at(bench, memory, rate, at_most):
    case, file = f"{size_name(memory)}, {rate} MiB/s", bench.folder / "b5"

    def sample(lane):
        c = lane.contestant
        c.boot_filled(memory, bench.contents)
        c.guest.write_rate(rate)
        time.sleep(0.2)
        before = c.guest.do(RESET)["written"]
        start = time.monotonic()
        if lane.save is None:
            time.sleep(1)
        else:
            c.save(file, *lane.save)
            file.unlink()
        wall = time.monotonic() - start
        time.sleep(0.01)
        longest, total = c.guest.gaps()
        written = c.guest.results()["written"] - before
        bench.results.add("B5", case, "longest gap", "ms", lane.name, longest)
        bench.results.add("B5", case, "sum of gaps", "ms", lane.name, total)
        if lane.save is not None:
            bench.results.add("B5", case, "wall", "ms", lane.name, wall)
        if rate:
            missed = 1 - written * PAGE / (rate * MIB * wall)
            bench.results.add("B5", case, "writes missed", "%", lane.name, max(missed, 0))
    interleave(bench, "B5", live_lanes(bench), sample, at_most)


def increment_lanes(bench):
    lanes = [Lane("vmm, incremental", bench.vmm(), ("--track",), parent=True),
             Lane("vmm, full", bench.vmm())]
    for q in bench.qemus():
        how = "mapped-ram" if q.version >= (9, 0) else "raw"
        lanes.append(Lane(f"{q.name}, {how}, full", q, (how,), stops=True))
    return lanes


def dirtied(bench, lane, count, order):
    """A saved guest writes to so many pages and is saved again. Returns Saved, the longest gap."""
    c, files = lane.contestant, [bench.folder / f"b6.{n}" for n in (0, 1)]
    c.boot_filled(bench.options.memory, bench.contents)
    more = []
    if lane.more.get("parent"):
        c.save(files[0], *lane.save)
        more = ["--parent", files[0]]
    c.guest.do(WRITE, count=count, order=order)
    c.guest.do(RESET)
    if lane.more.get("stops"):
        c.pause()
    saved = c.save(files[1], *lane.save, *more)
    if lane.more.get("stops"):
        c.go()
    time.sleep(0.01)
    gap, _ = c.guest.gaps()
    for file in files:
        file.unlink(missing_ok=True)
    return saved, gap


def b6(bench):
    total = bench.options.memory // PAGE
    for order, name in ((0, "neighbours"), (1, "scattered")):
        for percent in bench.options.dirtied:
            case = f"{percent:g} % {name}"

            def sample(lane):
                saved, gap = dirtied(bench, lane, int(total * percent / 100), order)
                bench.results.add("B6", case, "longest gap", "ms", lane.name, gap)
                bench.results.add("B6", case, "wall", "ms", lane.name, saved.seconds)
                bench.results.add("B6", case, "size", "MiB", lane.name, saved.bytes)
            interleave(bench, "B6", increment_lanes(bench), sample)
    b6_chain(bench)


def make_chain(bench, c):
    """A full snapshot and increments of 1 % each. Returns the files and the guest's counter."""
    files = [bench.home() / f"{n}.vmsnap" for n in range(CHAIN)]
    each = bench.options.memory // PAGE // 100
    c.boot_filled(bench.options.memory, bench.contents)
    for n, file in enumerate(files):
        if n:
            c.guest.do(WRITE, count=each, order=1, first=n * each)
        if n == CHAIN - 1:
            c.pause()
        c.save(file, "--track", *(["--parent", files[n - 1]] if n else []))
    counter = c.guest.counter()
    c.close()
    return files, counter


def b6_chain(bench):
    """Restore of the last of a chain, and of the same merged into one file."""
    lanes = [Lane(f"vmm, chain of {CHAIN}", bench.vmm()),
             Lane(f"vmm, chain of {CHAIN} merged", bench.vmm(), merged=True)]
    made = {}

    def sample(lane):
        c = lane.contestant
        if lane not in made:
            c.needs("snapshot", "--track", "--parent")
            c.needs("merge")
            files, counter = make_chain(bench, c)
            if lane.more.get("merged"):
                whole = bench.home() / "whole.vmsnap"
                start = time.monotonic()
                c.call("merge", files[-1], "-o", whole)
                bench.results.add("B6", "", f"merge of a chain of {CHAIN}", "ms", "vmm",
                                  time.monotonic() - start)
                files = [whole]
            made[lane] = files[-1], counter
        file, counter = made[lane]
        c.start_restore(file)
        bench.results.add("B6", "", "restore of a chain, start to the guest counting", "ms",
                          lane.name, c.restored(counter))
    interleave(bench, "B6", lanes, sample)
