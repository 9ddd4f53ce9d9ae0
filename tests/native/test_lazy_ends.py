#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vmm restore --lazy: whatever happens while memory is coming, and above all what is wrong with the
file: the guest never sees anything but what was saved, and the process ends.

usage: test_lazy_ends.py BUILD
"""

import errno
import os
import shutil
import signal
import subprocess

from lib import FAULT, GENERATION, VMM, environment, main, wait_for
from lazylib import ALL, CHUNK, ENDLESS, MEMORY, SPAN, LazyCase

CHUNKS = SPAN // CHUNK
# Who is to end while somebody waits for memory that does not come is given some seconds to do so in good order.
# They need not be whole ones, but for one test.
SPEED = 20


class Damage(LazyCase):
    """Found when it is read: exit status 1, and one line that names the file."""

    speed = SPEED

    def setUp(self):
        super().setUp()
        self.file = self.saved()

    def lost(self, vm, *said):
        """@vm is held, and the file is damaged by now."""
        fd = vm.ram()
        vm.gate.set(allow=ALL)
        self.ended(vm, 1, self.file, *said)
        self.nothing_made_up(fd)

    def flip(self, *places):
        with open(self.file, "r+b") as f:
            for at in places:
                byte = os.pread(f.fileno(), 1, at)
                os.pwrite(f.fileno(), bytes([byte[0] ^ 0x10]), at)

    def frames(self):
        """Where frames of RAM begin."""
        with open(self.file, "rb") as f:
            data = f.read()
        at = 0
        while at < len(data):
            if data[at:at + 4] == b"\x28\xb5\x2f\xfd":
                break
            at += 8 + int.from_bytes(data[at + 4:at + 8], "little")
        return at, data

    def unread(self, vm):
        """Of a chunk that nobody has asked for yet, and none will be that has been."""
        asked, (start, data) = vm.gate.reads(), self.frames()
        return next(at for at in range(len(data) // 2, start, -1000)
                    if not any(first <= at < first + n for first, n in asked))

    def test_truncated(self):
        for paused in ((), ("--paused",)):
            vm = self.held(self.file, *paused)
            self.vmm("status", "l")
            os.truncate(self.file, os.path.getsize(self.file) // 4)
            self.lost(vm)
            self.file = self.saved()

    def test_flipped_bits(self):
        for paused in ((), ("--paused",)):
            start, data = self.frames()
            vm = self.held(self.file, *paused)
            self.flip(*range(start + len(data) // 4, len(data) - 100_000, 20_000))
            self.lost(vm, "is damaged")
            self.file = self.saved()

    def test_one_flipped_bit(self):
        vm = self.held(self.file)
        self.flip(self.unread(vm))
        self.lost(vm, "RAM chunk is damaged", "0x")

    def test_damaged_before(self):
        """Whatever of the file is looked at first: the VM starts and ends, or does not start."""
        _, data = self.frames()
        self.flip(len(data) // 2)
        vm = self.lazy(self.file, ready=False, allow=ALL)
        self.ended(vm, 1, self.file, "RAM chunk is damaged")

    def test_damaged_leaf(self):
        _, data = self.frames()
        at = data.rindex(b"\x52\x2a\x4d\x18")
        self.flip(at + 100)
        vm = self.lazy(self.file, ready=False, allow=ALL)
        self.ended(vm, 1, self.file, "index leaf is damaged")

    def test_detached(self):
        """Of one that is in the background the line is where its errors go."""
        _, data = self.frames()
        self.flip(len(data) // 2)
        with open(self.path("errors"), "wb") as err:
            p = subprocess.run([VMM, "restore", self.file, "--lazy", "--detach"], env=self.env,
                               stdin=subprocess.DEVNULL, stderr=err, check=False, timeout=60)
        self.assertIn(p.returncode, (0, 1))

        def said():
            with open(self.path("errors"), encoding="utf-8") as f:
                return f.read()
        wait_for("the line", said)
        self.assertRegex(said(), r"\Avmm: [^\n]+x.vmsnap: 0x[0-9a-f]+: RAM chunk is damaged\n\Z")

    def test_read_errors(self):
        for error, word in ((errno.EIO, "Input/output error"), (errno.ESTALE, "Stale")):
            for paused in ((), ("--paused",)):
                vm = self.held(self.file, *paused)
                fd = vm.ram()
                vm.gate.set(error=error, wait=0)
                self.ended(vm, 1, self.file, word)
                self.nothing_made_up(fd)

    def test_read_error_at_any_time(self):
        for allow in (0, 1, 2, 3, 10, 100, CHUNKS):
            vm = self.lazy(self.file, ready=False, allow=allow, error=errno.EIO)
            self.ended(vm, 1, self.file, "Input/output error")

    def test_while_a_snapshot_waits(self):
        vm = self.held(self.file)
        p = subprocess.Popen([VMM, "snapshot", "l", "-o", self.path("y.vmsnap")], env=self.env,
                             stderr=subprocess.PIPE, text=True)
        wait_for("the snapshot", lambda: waits(self, vm))
        vm.gate.set(error=errno.EIO, wait=0)
        self.ended(vm, 1, self.file)
        self.result(p.wait(60), p.communicate()[1], 1)
        self.assertFalse([n for n in os.listdir(self.dir) if "y.vmsnap" in n])


class Chain(LazyCase):
    """What is wrong with a parent, while the child is restored."""

    speed = SPEED

    def setUp(self):
        super().setUp()
        vm = self.start("first", ENDLESS, memory=MEMORY).reach(1)
        # Or it would write to every chunk of it meanwhile.
        self.vmm("pause", "first")
        self.parent = self.snapshot(vm, "parent.vmsnap", "--track")
        self.file = self.snapshot(vm, "x.vmsnap", "--parent", self.parent)
        vm.kill()

    def held(self, *more):
        return super().held(self.file, *more, watched=self.parent)

    def lost(self, vm, *said):
        fd = vm.ram()
        vm.gate.set(allow=ALL)
        self.ended(vm, 1, self.file, "parent parent.vmsnap", *said)
        self.nothing_made_up(fd)

    def test_truncated(self):
        for size in (0, os.path.getsize(self.parent) // 3):
            for paused in ((), ("--paused",)):
                vm = self.held(*paused)
                kept = self.parent + ".kept"
                shutil.copy(self.parent, kept)
                os.truncate(self.parent, size)
                self.lost(vm)
                os.rename(kept, self.parent)

    def test_written_over(self):
        vm = self.held()
        with open(self.parent, "r+b") as f:
            size = os.path.getsize(self.parent)
            f.seek(size // 8)
            f.write(os.urandom(size // 4 * 3))
        self.lost(vm, "is damaged")

    def test_read_error(self):
        vm = self.held()
        fd = vm.ram()
        vm.gate.set(error=errno.EIO, wait=0)
        self.ended(vm, 1, self.file, "parent parent.vmsnap", "Input/output error")
        self.nothing_made_up(fd)

    def test_vanished_or_another(self):
        """It is open: what has its name now is nothing to us."""
        for i, put in enumerate((lambda: None, lambda: os.link(self.file, self.parent))):
            vm, kept = self.held("--paused"), self.parent + ".kept"
            os.rename(self.parent, kept)
            put()
            vm.gate.open()
            self.loaded(vm)
            os.rename(kept, self.parent)
            merged = self.path(f"merged{i}")
            self.vmm("merge", self.file, "-o", merged)
            self.same_as_saved(vm, merged)
            self.vmm("resume", "l")
            vm.advances()
            vm.kill()


def waits(case, vm):
    """A snapshot of @vm has been asked for: there is none beside it."""
    with vm.control() as c:
        c.receive()
        return c.call("snapshot", {})["error"]["code"] == 74


class Ends(LazyCase):
    """While some of the memory is there, and the rest comes only when the gate is opened."""

    speed = SPEED

    def setUp(self):
        super().setUp()
        self.file = self.saved()

    def test_by_signal(self):
        for paused in ((), ("--paused",)):
            for sig in (signal.SIGTERM,) if paused else (signal.SIGINT, signal.SIGHUP):
                vm = self.held(self.file, *paused)
                vm.process.send_signal(sig)
                self.ended(vm, 0)

    def test_by_force(self):
        for paused in ((), ("--paused",)):
            vm = self.held(self.file, *paused)
            self.vmm("stop", "l", "--force")
            self.ended(vm, 0)

    def test_in_full_time(self):
        self.speed = 1
        vm = self.held(self.file, allow=0)
        vm.process.send_signal(signal.SIGTERM)
        self.ended(vm, 0)

    def test_when_nothing_comes_at_all(self):
        for end in (lambda vm: vm.process.send_signal(signal.SIGTERM),
                    lambda vm: self.vmm("stop", "l", "--force")):
            vm = self.held(self.file, allow=0)
            end(vm)
            self.ended(vm, 0)

    def test_while_it_waits_to_be_paused(self):
        """The loop waits for the guest, and that for memory."""
        for end in (lambda vm: vm.process.send_signal(signal.SIGTERM),
                    lambda vm: self.vmm("stop", "l", "--force")):
            vm = self.held(self.file, allow=0)
            with vm.control() as c:
                c.receive()
                c.request("pause")
                end(vm)
                self.ended(vm, 0)

    def test_killed(self):
        for allow in (0, 5, 100):
            vm = self.held(self.file, allow=allow)
            vm.kill()
        vm = self.loaded(self.lazy(self.file, "--paused"))
        self.same_as_saved(vm, self.file)
        self.assertEqual([n for n in sorted(os.listdir(self.dir)) if ".vmsnap" in n],
                         ["x.vmsnap", "x.vmsnap.ws"])

    def test_by_the_guest(self):
        """It is done before all of its memory is there."""
        vm = self.start("short", "iters=100 span=48M from=0x1000000 seed=7 fill pace=50000000",
                        memory="96M").reach(1)
        file = self.snapshot(vm, "short.vmsnap", "--stop")
        vm.wait()
        vm = self.lazy(file, "--threads", "1", delay_us=30_000)
        self.ended(vm, 0)
        self.assertLess(vm.gate.get("reads"), (48 << 20) // CHUNK)
        self.assertIn(b"DONE", vm.output())


class Goes(LazyCase):
    """What is asked of the VM while its memory is coming."""

    speed = SPEED

    def setUp(self):
        super().setUp()
        self.file = self.saved()

    def test_pause_and_resume(self):
        vm = self.lazy(self.file, delay_us=10_000).advances()
        for _ in range(3):
            self.vmm("pause", "l")
            self.assertEqual(self.status(vm)["state"], "paused")
            stopped, reads = vm.progress()["iterations"], vm.gate.get("reads")
            wait_for("more of its memory", lambda: vm.gate.get("reads") > reads + 5)
            self.assertEqual(vm.progress()["iterations"], stopped)
            self.vmm("resume", "l")
            vm.advances()
        self.assertTrue(self.status(vm)["loading"])
        vm.gate.open()
        self.loaded(vm).advances()

    def snapshot_of(self, name, file):
        return subprocess.Popen([VMM, "snapshot", name, "-o", self.path(file)], env=self.env,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def test_snapshot_waits(self):
        for paused in ((), ("--paused",)):
            vm = self.held(self.file, *paused)
            p = self.snapshot_of("l", "y.vmsnap")
            wait_for("the snapshot", lambda: waits(self, vm))
            status = self.status(vm)
            self.assertEqual((status["state"], status["loading"]),
                             ("paused" if paused else "running", True))
            self.assertIsNone(p.poll())
            self.vmm("pause", "l", status=1)
            self.vmm("snapshot", "l", "-o", self.path("z.vmsnap"), status=1)
            vm.gate.open()
            self.result(p.wait(60), p.communicate()[1], 0)
            if paused:
                again, first = map(self.stored_pages, (self.path("y.vmsnap"), self.file))
                self.assertNotEqual(again.pop(GENERATION), first.pop(GENERATION))
                self.assertEqual(again, first)
            vm.kill()
            self.restore("l", self.path("y.vmsnap")).advances().kill()

    def test_snapshot_is_cancelled(self):
        vm = self.held(self.file)
        for sig in (signal.SIGINT, signal.SIGKILL):
            p = self.snapshot_of("l", "y.vmsnap")
            wait_for("the snapshot", lambda: waits(self, vm))
            p.send_signal(sig)
            p.wait(60)
            stderr = p.communicate()[1]
            if sig == signal.SIGINT:
                self.result(p.returncode, stderr, 1)
            wait_for("its end", lambda: not waits(self, vm))
        vm.gate.open()
        self.loaded(vm).advances()
        # The one that was killed has left its file.
        said = self.vmm("snapshot", "l", "-o", self.path("z.vmsnap"), status=None)
        self.assertRegex(said, r"\Avmm: removed .y.vmsnap.partial-\w+, [^\n]+\n\Z")

    def test_snapshot_is_cancelled_before_it_waits(self):
        """The interrupt comes between the request and the wait for the answer."""
        vm = self.held(self.file)
        env = environment(VMM_RUNTIME_DIR=self.runtime, LD_PRELOAD=FAULT, FAULT_INTERRUPT="3")
        self.vmm("snapshot", "l", "-o", self.path("y.vmsnap"), status=1, env=env)
        wait_for("its end", lambda: not waits(self, vm))
        vm.gate.open()
        self.loaded(vm).advances()

    def test_snapshot_of_one_that_ends(self):
        vm = self.held(self.file)
        p = self.snapshot_of("l", "y.vmsnap")
        wait_for("the snapshot", lambda: waits(self, vm))
        self.vmm("stop", "l", "--force")
        self.ended(vm, 0)
        self.result(p.wait(60), p.communicate()[1], 1)
        self.assertFalse([n for n in os.listdir(self.dir) if "y.vmsnap" in n])

    def test_snapshot_with_a_disk(self):
        image = self.new_image()
        file = self.saved(ENDLESS, "--disk", f"path={image},id=root", name="disk.vmsnap")
        vm = self.held(file)
        before = sorted(os.listdir(self.dir))
        p = self.snapshot_of("l", "y.vmsnap")
        wait_for("the snapshot", lambda: waits(self, vm))
        p.send_signal(signal.SIGINT)
        self.result(p.wait(60), p.communicate()[1], 1)
        self.assertEqual(sorted(os.listdir(self.dir)), before)
        p = self.snapshot_of("l", "y.vmsnap")
        wait_for("the snapshot", lambda: waits(self, vm))
        vm.gate.open()
        self.result(p.wait(60), p.communicate()[1], 0)
        vm.kill()
        self.loaded(self.lazy(self.path("y.vmsnap"))).advances()


if __name__ == "__main__":
    main()
