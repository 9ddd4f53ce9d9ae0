#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vmm restore --lazy: the guest is the same, and its working set is remembered.

usage: test_lazy.py BUILD
"""

import os
import re
import subprocess

from lib import (FAULT, GENERATION, PAGE, VMM, WORK, environment, main, pages_of, sanitized,
                 time_pages, wait_for)
from lazylib import (ALL, CHUNK, ENDLESS, FROM, MEMORY, SPAN, LazyCase, uuid_of,
                     workset_decode, workset_encode)

ITERATIONS = 3_000_000
FINITE = f"iters={ITERATIONS} span={SPAN:#x} from={FROM:#x} seed=7 fill stay"
OVERHEAD = 8 << 20


class Memory(LazyCase):
    def test_of_a_guest_that_has_not_run(self):
        file = self.saved()
        for threads in ("1", "2", "16"):
            vm = self.loaded(self.lazy(file, "--paused", "--threads", threads, name=f"l{threads}"))
            self.same_as_saved(vm, file)
        self.vmm("resume", vm.name)
        vm.advances()

    def end(self, vm):
        lines = vm.done()
        fd, excepted = vm.ram(), {*time_pages(), GENERATION}
        pages = pages_of(fd, os.fstat(fd).st_size)
        return lines, {at: d for at, d in pages.items() if at not in excepted}

    def test_of_a_guest_that_has(self):
        file = self.saved(FINITE)
        expected = self.end(self.restore("eager", file))
        # Slow enough for the guest to be first at most of its memory.
        vm = self.lazy(file, delay_us=3000)
        vm.advances()
        self.assertTrue(self.status(vm)["loading"])
        vm.gate.set(delay_us=0)
        vm.done()
        self.assertEqual(self.end(self.loaded(vm)), expected)

    def test_status_says_so(self):
        vm = self.held(self.saved())
        self.assertTrue(self.status(vm)["loading"])
        self.assertRegex(self.vmm("status", "l"), rb"(?m)^loading +yes$")
        vm.gate.open()
        self.loaded(vm).advances()
        self.assertRegex(self.vmm("status", "l"), rb"(?m)^loading +no$")
        self.assertFalse(self.status(self.start("other", ENDLESS))["loading"])

    def test_event_says_so(self):
        vm = self.held(self.saved(), "--paused")
        with vm.control() as c:
            c.receive()
            c.call("status")
            vm.gate.open()
            self.assertEqual(c.receive()["params"], {"state": "paused", "loading": False})

    def test_two_slots(self):
        # 2 MiB of the span lie below 4 GiB, 2 above.
        file = self.saved("iters=0 span=4M from=0xcfe00000 seed=3 fill", memory="6G")
        vm = self.loaded(self.lazy(file, "--paused"))
        self.same_as_saved(vm, file)
        self.vmm("resume", "l")
        vm.advances()
        self.assertLess(os.fstat(vm.ram()).st_blocks * 512, 64 << 20)

    def test_many_of_one_file(self):
        file = self.saved()
        vms = [self.lazy(file, name=f"l{i}", delay_us=500) for i in range(4)]
        for vm in vms:
            self.loaded(vm).advances()
        again = self.loaded(self.lazy(file, "--paused"))
        self.same_as_saved(again, file)

    def test_chain(self):
        """Saved, and lazily restored, as soon as it can be, again and again."""
        vm = self.start("chain", ENDLESS, memory=MEMORY).reach(1)
        for i in range(4):
            file = self.snapshot(vm, f"{i}.vmsnap")
            vm.kill()
            vm = self.lazy(file, name="chain").advances()

    def anonymous(self, vm):
        with open(f"/proc/{vm.pid}/status", encoding="ascii") as f:
            found = dict(re.findall(r"(?m)^(Rss\w+):\s+(\d+) kB$", f.read()))
        shared = int(found["RssShmem"]) * 1024 - os.fstat(vm.ram()).st_blocks * 512
        return int(found["RssAnon"]) * 1024 + max(0, shared)

    def test_overhead(self):
        if sanitized():
            self.skipTest("a sanitizer has memory of its own")
        vm = self.held(self.saved(memory="1G"), allow=200)
        self.assertLess(self.anonymous(vm), OVERHEAD)
        vm.gate.open()
        self.loaded(vm).advances()
        self.assertLess(self.anonymous(vm), OVERHEAD)

    def descriptors(self, vm):
        found = [os.readlink(f"/proc/{vm.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{vm.pid}/fd")]
        # Of clients that have just gone there may be sockets.
        return sorted({re.sub(r"\[\d+\]|\.\d+\.", "", name) for name in found}) + \
            sorted(name for name in found if name.startswith(("anon_inode", "/dev/u")))

    def test_nothing_is_left_of_it(self):
        file = self.saved()
        eager = self.restore("l", file).advances()
        expected = self.descriptors(eager)
        eager.kill()
        vm = self.loaded(self.lazy(file).advances())
        self.assertEqual(self.descriptors(vm), expected)
        # The processor's, the event loop's, and one that some kernels put there.
        self.assertLessEqual(len(os.listdir(f"/proc/{vm.pid}/task")), 3)

    def test_every_thread_is_inside(self):
        vm = self.held(self.saved())
        self.assertGreaterEqual(len(os.listdir(f"/proc/{vm.pid}/task")), 6)
        for tid in os.listdir(f"/proc/{vm.pid}/task"):
            with open(f"/proc/{vm.pid}/task/{tid}/status", encoding="ascii") as f:
                status = dict(line.split(":\t", 1) for line in f)
            self.assertEqual((status["Seccomp"].strip(), status["NoNewPrivs"].strip()), ("2", "1"))
            for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                self.assertEqual(int(status[name], 16), 0, name)

    def test_without_the_privilege(self):
        """As a user has it who is not given /dev/userfaultfd."""
        with open("/proc/sys/vm/unprivileged_userfaultfd", encoding="ascii") as f:
            if f.read().strip() == "1":
                self.skipTest("everybody may here")
        file = self.saved()
        env = environment(VMM_RUNTIME_DIR=self.runtime, LD_PRELOAD=FAULT, FAULT_CALL="open",
                          FAULT_MATCH="/dev/userfaultfd", FAULT_NTH="0", FAULT_ERRNO="13")
        p = subprocess.run(["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps",
                            "-sys_ptrace", VMM, "restore", file, "--lazy", "--console", "none"],
                           env=env, capture_output=True, text=True, timeout=60, check=False)
        self.result(p.returncode, p.stderr, 1)
        for word in ("x.vmsnap", "/dev/userfaultfd", "CAP_SYS_PTRACE"):
            self.assertIn(word, p.stderr)
        self.restore("l", file).advances()


class WorkingSet(LazyCase):
    def setUp(self):
        super().setUp()
        self.file = self.saved()
        self.ws = f"{self.file}.ws"

    def put(self, data):
        with open(self.ws, "wb") as f:
            f.write(data)

    def recorded(self):
        with open(self.ws, "rb") as f:
            uuid, chunks = workset_decode(f.read())
        self.assertEqual(uuid, uuid_of(self.file))
        return chunks

    def record(self, *more):
        """By a guest that is faster than the file."""
        vm = self.lazy(self.file, *more, delay_us=5000)
        vm.reach(vm.progress()["iterations"] + 100 if vm.progress() else 1)
        wait_for("some faults", lambda: vm.gate.get("reads") > 60)
        vm.gate.open()
        return self.loaded(vm)

    def order(self, vm):
        """Of chunks as they were read, by their offsets in the file, without leaves of the index."""
        seen, leaves = [], 0
        for offset, length in vm.gate.reads():
            if (offset, length) in self.leaves:
                leaves += 1
            else:
                seen.append(offset)
        self.assertGreater(leaves, 0)
        return seen

    @property
    def leaves(self):
        """Skippable frames of the kind, found by walking the file."""
        with open(self.file, "rb") as f:
            data = f.read()
        found, at = set(), 0
        while (at := data.find(b"\x52\x2a\x4d\x18", at)) >= 0:
            found.add((at, 8 + int.from_bytes(data[at + 4:at + 8], "little")))
            at += 4
        return found

    def test_recorded_and_used(self):
        self.record().kill()
        chunks = self.recorded()
        self.assertGreater(len(chunks), 5)
        self.assertLess(max(chunks), (64 << 20) // CHUNK)
        vm = self.loaded(self.lazy(self.file, "--paused", "--threads", "1", allow=ALL))
        offsets = self.order(vm)[:len(chunks)]
        self.assertEqual(self.recorded(), chunks)
        # Who asks first for the chunk of the guest's generation identifier is not said.
        own = GENERATION // CHUNK
        self.assertIn(own, chunks)
        offsets.remove(sorted(offsets)[sorted(chunks).index(own)])
        chunks.remove(own)
        # Later chunks stand later in the file: the one order tells the other. Chunks of zeros are
        # not read at all, but those are none of a guest's that fills its memory.
        self.assertEqual(sorted(range(len(offsets)), key=offsets.__getitem__),
                         sorted(range(len(chunks)), key=chunks.__getitem__))

    def test_the_order_is_the_recorded_one(self):
        chunks = list(range((FROM + SPAN) // CHUNK - 1, FROM // CHUNK - 1, -3))
        self.put(workset_encode(uuid_of(self.file), chunks))
        vm = self.loaded(self.lazy(self.file, "--paused", "--threads", "1", allow=ALL))
        # The guest's generation identifier is written as soon as its chunk is there: who asks for that
        # one first is not said. Chunks that lie before the recorded ones are left out.
        before = {at // CHUNK for at in self.stored_pages(self.file) if at < FROM}
        lowest = sorted(self.order(vm))[:len(before)]
        offsets, n = [at for at in self.order(vm) if at not in lowest], len(chunks)
        self.assertEqual(offsets[:n], sorted(offsets[:n], reverse=True))
        self.assertEqual(offsets[n:], sorted(offsets[n:]))
        self.same_as_saved(vm, self.file)

    def test_grows(self):
        first = [FROM // CHUNK, FROM // CHUNK + 100]
        self.put(workset_encode(uuid_of(self.file), first))
        self.record()
        self.assertEqual(self.recorded()[:2], first)
        self.assertGreater(len(self.recorded()), 2)

    def test_not_if_not_wanted(self):
        self.record("--no-working-set").kill()
        self.assertFalse(os.path.exists(self.ws))
        self.put(b"mine")
        self.record("--no-working-set").kill()
        with open(self.ws, "rb") as f:
            self.assertEqual(f.read(), b"mine")
        os.unlink(self.ws)
        self.restore("l", self.file).advances()
        self.assertFalse(os.path.exists(self.ws))

    def hostile(self):
        uuid, chunks = uuid_of(self.file), [256, 300, 700]
        good = workset_encode(uuid, chunks)
        yield "empty", b""
        yield "truncated", good[:-1]
        yield "head only", good[:32]
        yield "longer", good + b"\0"
        yield "other snapshot", workset_encode(bytes(16), chunks)
        yield "flipped", good[:40] + bytes([good[40] ^ 1]) + good[41:]
        yield "huge", good[:24] + b"\xff\xff\xff\xff" + good[28:]
        yield "out of range", workset_encode(uuid, [1 << 40])
        yield "one too many", workset_encode(uuid, [(64 << 20) // CHUNK])
        yield "twice", workset_encode(uuid, [256, 256])
        yield "something else", os.urandom(4096)

    def test_hostile(self):
        for what, data in self.hostile():
            with self.subTest(what):
                self.put(data)
                vm = self.loaded(self.lazy(self.file, "--paused"))
                self.same_as_saved(vm, self.file)
                vm.kill()
        self.record().kill()
        self.assertGreater(len(self.recorded()), 0)

    def test_names_what_is_zero(self):
        """Whole leaves of zeros among it, which nothing has to be done for."""
        file = self.saved(f"iters=0 {WORK} fill", name="y.vmsnap", memory="512M")
        self.file, self.ws = file, f"{file}.ws"
        self.put(workset_encode(uuid_of(file), list(range((512 << 20) // CHUNK - 1, 0, -7))))
        vm = self.loaded(self.lazy(file, "--paused"))
        self.same_as_saved(vm, file)
        self.vmm("resume", "l")
        vm.advances()

    def test_is_no_file(self):
        victim = self.path("victim")
        with open(victim, "wb") as f:
            f.write(b"precious")
        for make in (lambda: os.symlink(victim, self.ws), lambda: os.mkdir(self.ws),
                     lambda: os.mkfifo(self.ws), lambda: os.mkfifo(self.ws, 0o400)):
            make()
            self.record().kill()
            (os.rmdir if os.path.isdir(self.ws) else os.unlink)(self.ws)
        with open(victim, "rb") as f:
            self.assertEqual(f.read(), b"precious")

    def test_folder_that_cannot_be_written(self):
        fd = os.open(self.file, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        self.loaded(self.lazy(f"/proc/{os.getpid()}/fd/{fd}")).advances()
        self.assertFalse(os.path.exists(self.ws))


if __name__ == "__main__":
    main()
