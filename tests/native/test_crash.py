#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the VM, and of the command, at each call that changes a file while a snapshot is taken: then
the old file is there or the new one, and from it the guest and its disk go on.

usage: test_crash.py BUILD
"""

import os

from crashlib import KILLED, Crash
from lib import main

LEFT = r"\Avmm: removed [^\n]+ killed had left\n\Z"


class Modes:
    """One way to take snapshots: options of a save into @self.file of a VM that went on from it."""

    track = False

    def more(self):
        return []

    def setUp(self):
        super().setUp()
        self.file = self.path("x.vmsnap")
        self.prepare()

    def prepare(self):
        pass

    def first(self, vm):
        self.vmm("snapshot", vm.name, "-o", self.file, *self.seal, *(["--track"] * self.track))

    def target(self):
        return self.file

    def ended(self, p):
        said = p.communicate()[1]
        if p.returncode > 0:
            self.result(p.returncode, said, 1)
        elif said:
            self.assertRegex(said, LEFT)
        return p.returncode

    def old_or_new(self, file, before):
        """Whether it is the new one."""
        now = self.content(file)
        if now == before:
            return False
        self.whole(file)
        return True

    def no_more_left(self, vm):
        """What was left is gone after the next one, and no more than one overlay was made for it."""
        before = self.overlays()
        self.assertEqual(self.ended(self.saving(vm, self.path("y.vmsnap"))), 0)
        # Of other files an empty one tells nothing.
        self.assertEqual([n for n in self.left() if os.path.getsize(self.path(n))], [])
        after = self.overlays()
        self.assertEqual(len(after - before), 1)
        os.unlink(self.path("y.vmsnap"))

    def test_vm(self):
        vm = self.begin()
        self.first(vm)
        step = 1
        while True:
            target, before = self.target(), self.content(self.target())
            vm.steps.arm(step, KILLED)
            p = self.saving(vm, target, *self.more())
            status = self.ended(p)
            if not vm.steps.happened():
                self.assertEqual(status, 0)
                break
            self.assertLess(vm.wait(), 0)
            self.assertLess(step, 100)
            self.assertEqual(self.left(), [])
            self.advanced(target, before)
            vm.kill()
            vm = self.again(self.file, *(["--track"] * self.track))
            step += 1
        self.assertGreater(step, 6)
        self.no_more_left(vm)

    def test_command(self):
        vm = self.begin()
        self.first(vm)
        step = 1
        while True:
            target, before = self.target(), self.content(self.target())
            steps, env = self.faulty()
            steps.arm(step, KILLED)
            status = self.ended(self.saving(vm, target, *self.more(), env=env))
            if not steps.happened():
                self.assertEqual(status, 0)
                break
            self.assertLess(status, 0)
            self.assertLess(step, 100)
            self.works(vm)
            new = self.advanced(target, before)
            # The machine may know what was written since a snapshot that has got no name.
            if new or self.track or step % 8 == 1:
                vm.kill()
                vm = self.again(self.file, *(["--track"] * self.track))
            step += 1
        self.assertGreater(step, 6)
        self.no_more_left(vm)

    def advanced(self, target, before):
        """Of a save that was broken off: whether there is a new file. @self.file is what goes on."""
        return self.old_or_new(target, before)


class Full(Modes, Crash):
    pass


class Live(Modes, Crash):
    def more(self):
        return ["--live"]


class Encrypted(Modes, Crash):
    def prepare(self):
        key = self.path("key")
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
            f.write(os.urandom(32))
        self.seal, self.key = [f"--encrypt=key={key}"], [f"--key=key={key}"]


class Incremental(Modes, Crash):
    """Each beside its parent: it is there, whole, or it is not."""

    track = True

    def prepare(self):
        self.n = 0

    def more(self):
        return ["--parent", self.file, *["--live"] * (self.n % 2)]

    def target(self):
        return self.path(f"{self.n}.vmsnap")

    def advanced(self, target, before):
        new = super().advanced(target, before)
        self.whole(self.file)
        if new:
            self.file = target
        self.n += 1
        return new


if __name__ == "__main__":
    main()
