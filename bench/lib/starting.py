# SPDX-License-Identifier: Apache-2.0
"""Starting: a guest from nothing, and B1, B2, B3, from a file."""

import shutil
import time
from pathlib import Path

from guest import READ
from lanes import (GIB, Lane, check_contents, drop_prepared, interleave, prepare, prepare_all,
                   size_name)
from proc import children_cpu, cpu_seconds

RAW = ("--encoding", "raw")
LAZY = ("--lazy", "--no-working-set")


def boot(bench):
    """From the start of the process to the guest's work loop, without any file."""
    lanes = [Lane(c.name, c) for c in (bench.vmm(), *bench.qemus())]

    def sample(lane):
        bench.results.add("boot", "", "start to the guest counting", "ms", lane.name,
                          lane.contestant.boot(bench.options.memory))
    interleave(bench, "boot", lanes, sample)


def reading_lanes(bench):
    """All of RAM is there before the guest runs."""
    lanes = [Lane("vmm", bench.vmm()), Lane("vmm, raw file", bench.vmm(), RAW)]
    for q in bench.qemus():
        lanes.append(Lane(f"{q.name}, raw", q, ("raw",), ("raw",)))
        if q.version >= (9, 0):
            lanes.append(Lane(f"{q.name}, mapped-ram", q, ("mapped-ram",), ("mapped-ram",)))
    return lanes


def template_lanes(bench):
    return [Lane(f"{q.name}, template", q, ("template",), ("template",), template=True)
            for q in bench.qemus()]


def lazy_lanes(bench):
    return [Lane("vmm, lazy", bench.vmm(), (), LAZY),
            Lane("vmm, lazy, recorded set", bench.vmm(), (), ("--lazy",), recorded=True),
            Lane("vmm, lazy, raw file", bench.vmm(), RAW, LAZY)]


def waiting_lanes(bench):
    """The process is there and has done what it can; measured is from the word to go on."""
    paused = (*LAZY, "--paused")
    lanes = [Lane("vmm, lazy, waiting", bench.vmm(), (), paused, go="socket"),
             Lane("vmm, lazy, waiting, `vmm resume`", bench.vmm(), (), paused, go="command")]
    for lane in template_lanes(bench):
        lane.name += ", waiting"
        lane.restore = ("template", "-S")
        lane.more["go"] = "socket"
        lanes.append(lane)
    return lanes


def record(lane, prepared, work):
    """The working set that @work leaves, recorded by a run of its own. Returns its file."""
    beside, kept = Path(f"{prepared.file}.ws"), prepared.file.with_name("kept.ws")
    beside.unlink(missing_ok=True)
    lane.contestant.start_restore(prepared.file, *lane.restore)
    lane.contestant.restored(prepared.counter)
    work(lane)
    lane.contestant.record_working_set(prepared.file)
    lane.contestant.close()
    beside.rename(kept)
    return kept


def started(lane, prepared, kept=None):
    """A restore up to the guest's work going on: seconds."""
    c, beside = lane.contestant, Path(f"{prepared.file}.ws")
    beside.unlink(missing_ok=True)
    if kept:
        shutil.copy(kept, beside)
    c.start_restore(prepared.file, *lane.restore)
    if "go" not in lane.more:
        return c.restored(prepared.counter)
    c.paused()
    c.find_guest()
    resume = c.resumer(lane.more["go"])
    now = time.monotonic()
    resume()
    return c.restored(prepared.counter, now)


def b1(bench):
    for memory in bench.options.sizes:
        lanes = [*lazy_lanes(bench), *reading_lanes(bench), *template_lanes(bench),
                 *waiting_lanes(bench)]
        prepare_all(bench, "B1", lanes, memory)
        kept = {}

        def sample(lane):
            prepared = prepare(bench, lane, memory)
            if lane.more.get("recorded") and lane not in kept:
                kept[lane] = record(lane, prepared, lambda _: time.sleep(0.1))
            what = "word to go on" if "go" in lane.more else "start"
            bench.results.add("B1", size_name(memory), f"{what} to the guest counting", "ms",
                              lane.name, started(lane, prepared, kept.get(lane)))
        interleave(bench, "B1", lanes, sample, None if memory == bench.options.memory else 5)
        drop_prepared(bench)


class Touch:
    """The guest touches @count pages, and must find in them what was saved."""

    def __init__(self, contents, count, order):
        self.count, self.order = count, order
        indexes = (contents.shuffled() if order else range(len(contents.pages)))[:count]
        self.sum = sum(map(contents.word, indexes)) & (1 << 64) - 1

    def __call__(self, lane):
        result = lane.contestant.guest.do(READ, count=self.count, order=self.order)
        lane.contestant.must(result["sum"] == self.sum,
                             "the guest's memory is not what was saved")


def b2(bench):
    lanes = [*lazy_lanes(bench), *reading_lanes(bench), *template_lanes(bench)]
    whole = len(bench.contents.pages)
    prepare_all(bench, "B2", lanes, bench.options.memory)
    for order, name in ((0, "sequential"), (1, "random")):
        for count in [n for n in bench.options.touches if n < whole] + [whole]:
            b2_touch(bench, lanes, Touch(bench.contents, count, order), name)
    drop_prepared(bench)


def b2_touch(bench, lanes, touch, name):
    kept = {}

    def sample(lane):
        prepared = prepare(bench, lane, bench.options.memory)
        if lane.more.get("recorded") and lane not in kept:
            kept[lane] = record(lane, prepared, touch)
        start = time.monotonic() - started(lane, prepared, kept.get(lane))
        touch(lane)
        bench.results.add("B2", f"{touch.count // 1000}k", f"start to pages touched, {name}", "ms",
                          lane.name, time.monotonic() - start)
    interleave(bench, "B2", lanes, sample)


def b3(bench):
    lanes = reading_lanes(bench)
    memory = bench.options.memory
    prepare_all(bench, "B3", lanes, memory)

    def sample(lane):
        c, prepared = lane.contestant, prepare(bench, lane, memory)
        children = children_cpu()
        seconds = started(lane, prepared)
        cpu = cpu_seconds(c.running.pid) + children_cpu() - children
        check_contents(bench, c)
        bench.results.add("B3", size_name(memory), "start to all RAM loaded", "ms", lane.name,
                          seconds)
        bench.results.add("B12", "restored", "CPU", "s/GiB", lane.name, cpu / (memory / GIB))
    interleave(bench, "B3", lanes, sample)
    drop_prepared(bench)
