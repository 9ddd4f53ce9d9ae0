# SPDX-License-Identifier: Apache-2.0
"""What the tests of `vmm restore --lazy` share: a gate that the snapshot's chunks come through, and
working sets, read and written as formats/working-set.md says."""

import hashlib
import json
import mmap
import os
import struct

from lib import FAULT, GENERATION, PAGE, Case, environment, pages_of, wait_for

CHUNK = 64 << 10
FROM = 16 << 20
SPAN = 32 << 20  # of the guest's work, each page of which holds something
ENDLESS = f"iters=0 span={SPAN:#x} from={FROM:#x} seed=7 fill"
MEMORY = "64M"
ALL = 0xFFFFFFFF


class Gate:
    """struct gate of fault.c, shared with a running vmm."""

    FIELDS = ("allow", "delay_us", "wait", "error", "reads", "waiting")

    def __init__(self, path, **values):
        self.log = f"{path}.log"
        with open(path, "w+b") as f:
            f.truncate(mmap.PAGESIZE)
            self.map = mmap.mmap(f.fileno(), mmap.PAGESIZE)
        self.set(**values)

    def set(self, **values):
        for name, value in values.items():
            struct.pack_into("<I", self.map, 4 * self.FIELDS.index(name), value)

    def get(self, name):
        return struct.unpack_from("<I", self.map, 4 * self.FIELDS.index(name))[0]

    def open(self):
        self.set(delay_us=0, error=0, wait=0, allow=ALL)

    def reads(self):
        """(offset, length) of each, in the order they were asked for."""
        with open(self.log, encoding="ascii") as f:
            return [tuple(map(int, line.split())) for line in f]


def uuid_of(file):
    with open(file, "rb") as f:
        return os.pread(f.fileno(), 16, 40)


def workset_encode(uuid, chunks):
    data = b"VMMWSET\1" + uuid + struct.pack("<II", len(chunks), 0)
    data += b"".join(struct.pack("<Q", c) for c in chunks)
    return data + hashlib.sha256(data).digest()


def workset_decode(data):
    assert data[:8] == b"VMMWSET\1", data[:8]
    n, zero = struct.unpack("<II", data[24:32])
    assert zero == 0 and len(data) == 32 + 8 * n + 32
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]
    chunks = [c for c, in struct.iter_unpack("<Q", data[32:-32])]
    assert len(set(chunks)) == n
    return data[8:24], chunks


class LazyCase(Case):
    speed = 1  # of time, for those restored lazily

    def saved(self, cmdline=ENDLESS, *more, name="x.vmsnap", memory=MEMORY):
        vm = self.start("first", cmdline, *more, memory=memory).reach(1)
        file = self.snapshot(vm, name, "--stop")
        vm.wait()
        return file

    def lazy(self, file, *more, name="l", ready=True, watched=None, **gate):
        """A lazy restore, whose chunks come through a gate if that is said: those of @file, or of
        @watched, which it needs."""
        env = self.env
        if gate:
            self.count += 1
            path = self.path(f"gate.{self.count}")
            made = Gate(path, **gate)
            env = environment(VMM_RUNTIME_DIR=self.runtime, LD_PRELOAD=FAULT, FAULT_READS=watched or file,
                              FAULT_GATE=path, FAULT_LOG=made.log, FAULT_SPEED=str(self.speed))
        vm = self.restore(name, file, "--lazy", *more, env=env, ready=ready)
        if gate:
            vm.gate = made
        return vm

    def held(self, file, *more, **kw):
        """One that gets what it needs to start, a few chunks more, and then none until the gate is
        opened."""
        allow = kw.pop("allow", 20)
        vm = self.lazy(file, *more, delay_us=50_000, **kw)
        vm.gate.set(allow=vm.gate.get("reads") + allow, wait=1, delay_us=0)
        wait_for("somebody at the gate", lambda: vm.gate.get("waiting"))
        return vm

    def status(self, vm):
        return json.loads(self.vmm("status", vm.name, "--json"))

    def loaded(self, vm):
        wait_for("all of its memory", lambda: not self.status(vm)["loading"])
        return vm

    def ended(self, vm, status, *said):
        """It has ended; of a failure there is one line that has all of @said."""
        self.result(vm.wait(), vm.stderr(), status)
        for word in said:
            self.assertIn(word, vm.stderr())

    def same_as_saved(self, vm, file):
        """Of a guest that has not run: all but its generation identifier."""
        fd = vm.ram()
        ram, stored = pages_of(fd, os.fstat(fd).st_size), self.stored_pages(file)
        self.assertNotEqual(ram.pop(GENERATION), stored.pop(GENERATION))
        self.assertTrue(ram == stored)

    def nothing_made_up(self, fd):
        """No page of the guest's work is zero, if it is there: not even after the VM has ended."""
        at, zero = FROM, bytes(PAGE)
        while True:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                return
            if at >= FROM + SPAN:
                return
            self.assertNotEqual(os.pread(fd, PAGE, at), zero, hex(at))
            at += PAGE
