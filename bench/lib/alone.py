# SPDX-License-Identifier: Apache-2.0
"""The engine alone, without a VM and so without KVM: RAM contents into a file and back, for levels of zstd
and sizes of chunks; beside what two threads of zstd come to that have nothing else to do."""

import json

from lanes import Lane, interleave
from proc import command
from saving import Codec

KIB = 1 << 10


class Engine:
    """bench/engine, as far as taking turns goes."""

    def __init__(self, bench, encoding, chunk):
        self.bench, self.encoding, self.chunk = bench, encoding, chunk

    def close(self):
        pass

    def run(self, file):
        options = self.bench.options
        said = command([options.build / "bench/engine", options.contents, file, self.encoding,
                        self.chunk])
        file.unlink()
        return json.loads(said)


def engine(bench):
    for chunk in bench.options.chunks:
        at_chunk(bench, f"{chunk // KIB} KiB", chunk)


def at_chunk(bench, case, chunk):
    lanes = [Lane(f"vmm, level {level}", Engine(bench, level, chunk))
             for level in bench.options.levels]
    lanes.append(Lane("vmm, raw", Engine(bench, "raw", chunk)))
    lanes.append(Lane("zstd alone, level 1", Codec(bench, chunk)))

    def sample(lane):
        def add(measure, unit, value):
            bench.results.add("engine", case, measure, unit, lane.name, value)
        if isinstance(lane.contestant, Codec):
            seconds, stored = lane.contestant.run()
            add("save to a tmpfs", "ms", seconds)
            add("size", "MiB", stored)
            return
        took = lane.contestant.run(bench.folder / "engine")
        add("save to a tmpfs", "ms", took["save"])
        add("size", "MiB", took["bytes"])
        add("load", "ms", took["load"])
        add("CPU of a save", "ms", took["save_cpu"])
        add("CPU of a load", "ms", took["load_cpu"])
        add("one chunk, read and decoded", "us", took["chunk"])
        if lane.name == "vmm, level 1":
            disk = lane.contestant.run(bench.disk / "engine")
            add("save to a disk", "ms", disk["save"])
    interleave(bench, "engine", lanes, sample)
