# SPDX-License-Identifier: Apache-2.0
"""Lanes: each a contestant and one way in which it does something; and how they take turns."""

import contextlib
import subprocess
import sys
import time
from pathlib import Path

from peers import Qemu, installed
from proc import Failed, NotBuilt, touch
from vmm import Vmm

MIB = 1 << 20
GIB = 1 << 30


class Bench:
    """What a run has: options, the contents, results, folders, contestants."""

    def __init__(self, options, contents, results, folder):
        self.options, self.contents, self.results = options, contents, results
        self.folder = Path(folder)
        self.kernel = options.build / "bench/worker"
        self.peers = list(installed("qemu-system-x86_64"))
        self.made = 0
        self.prepared = {}
        self.fingerprint = contents.fingerprint()

    def home(self):
        self.made += 1
        home = self.folder / str(self.made)
        home.mkdir()
        return home

    def vmm(self):
        return Vmm(self.home(), self.kernel, self.options.vmm)

    def qemus(self):
        return [Qemu(self.home(), self.kernel, *peer) for peer in self.peers]

    def say(self, text):
        if not self.options.silent:
            print(f"{time.monotonic() - self.options.began:6.0f} s  {text}", file=sys.stderr)


class Lane:
    """@name: in reports. @save, @restore: how, as the contestant takes it. @more: what else a
    benchmark wants to know."""

    def __init__(self, name, contestant, save=(), restore=(), **more):
        self.name, self.contestant = name, contestant
        self.save, self.restore = save, restore
        self.more = more


class Prepared:
    """A guest with the contents, saved for restores. @counter: where its work stood."""

    def __init__(self, file, counter, template):
        self.file, self.counter, self.template = file, counter, template


def prepare(bench, lane, memory):
    """Saves a guest for @lane, once for all lanes that save alike."""
    c = lane.contestant
    key = c.name, lane.save, lane.more.get("template"), memory
    if key not in bench.prepared:
        file = bench.home() / f"saved{getattr(c, 'suffix', '')}"
        if lane.more.get("template"):
            c.template = file.with_name("template")
        try:
            c.boot_filled(memory, bench.contents)
            check_contents(bench, c)
            counter = c.save_to_restore(file, *lane.save)
            bench.prepared[key] = Prepared(file, counter, c.private)
        finally:
            c.close()
    prepared = bench.prepared[key]
    c.memory = memory
    if lane.more.get("template"):
        c.template = prepared.template
    return prepared


def check_contents(bench, contestant):
    """As many pages that are not zero as in every other contestant, and the same."""
    found, wanted = contestant.guest.fingerprint(), bench.fingerprint
    contestant.must(found == wanted, f"{found[0]} pages of contents, not {wanted[0]}" if
                    found[0] != wanted[0] else "pages have other contents")


def drop_prepared(bench):
    """Files of one memory size are not kept when the next comes."""
    for prepared in bench.prepared.values():
        for file in prepared.file.parent.iterdir():
            file.unlink()
    bench.prepared.clear()


@contextlib.contextmanager
def judged(bench, benchmark, lane, lanes):
    """A lane that fails, or is not there, is named with its reason and takes no further part."""
    try:
        yield
    except NotBuilt as e:
        bench.results.leave_out(benchmark, lane.name, f"not built yet: {e}")
        lanes.remove(lane)
    except (Failed, OSError, subprocess.SubprocessError, ValueError) as e:
        bench.results.fail(benchmark, lane.name, str(e))
        bench.say(f"{benchmark}: {lane.name}: {e}")
        lanes.remove(lane)
    finally:
        lane.contestant.close()


def prepare_all(bench, benchmark, lanes, memory):
    for lane in list(lanes):
        with judged(bench, benchmark, lane, lanes):
            check_built(lane)
            prepare(bench, lane, memory)


def check_built(lane):
    """What a lane needs is asked before it costs any time."""
    if isinstance(lane.contestant, Vmm):
        lane.contestant.needs("snapshot", *(lane.save or ()))
        lane.contestant.needs("restore", *lane.restore)


def interleave(bench, benchmark, lanes, sample, at_most=None):
    """A B, B A, A B: what drifts over time hits all alike. @sample: called with a lane."""
    lanes = list(lanes)
    for lane in list(lanes):
        with judged(bench, benchmark, lane, lanes):
            check_built(lane)
    for n in range(min(bench.options.samples, at_most or bench.options.samples)):
        for lane in lanes[::-1] if n % 2 else list(lanes):
            with judged(bench, benchmark, lane, lanes):
                touch(bench.options.touch)
                sample(lane)


def size_name(memory):
    return f"{memory // GIB} GiB" if memory % GIB == 0 else f"{memory // MIB} MiB"
