# SPDX-License-Identifier: Apache-2.0
"""What the tests of broken-off saves share: a guest that works with a writable disk, calls of the VM or
of the command that are the last ones or fail, and what must hold afterwards."""

import os
import subprocess

from lazylib import Gate
from lib import FAULT, SNAPINSPECT, VMM, WORK, Case, environment, wait_for

KILLED, SHORT = 1000, 1001
ALL_FROM = 0x80000000
# Every word of a sector that is read must be what was written to it last.
GUEST = f"iters=0 {WORK} fill disk=200"


class Steps(Gate):
    """Calls that change files, of one process."""

    FIELDS = (*Gate.FIELDS, "steps", "step", "fate")

    def arm(self, step, fate):
        self.set(steps=0, step=step, fate=fate)

    def happened(self):
        """Whether it came to the call that was meant; there is none any more."""
        step = self.get("step") & ~ALL_FROM
        self.set(step=0)
        return self.get("steps") >= step


class Crash(Case):
    seal, key = [], []  # options of vmm snapshot and vmm restore

    def setUp(self):
        super().setUp()
        self.image = self.new_image(size=64 << 10)

    def faulty(self):
        self.count += 1
        path = self.path(f"steps.{self.count}")
        steps = Steps(path)
        return steps, environment(VMM_RUNTIME_DIR=self.runtime, LD_PRELOAD=FAULT, FAULT_GATE=path)

    def begin(self, name="a", *more):
        steps, env = self.faulty()
        vm = self.start(name, GUEST, "--disk", f"path={self.image},id=root", *more, env=env)
        vm.steps = steps
        return self.works(vm)

    def again(self, file, *more, name="a"):
        steps, env = self.faulty()
        vm = self.restore(name, file, *self.key, *more, env=env)
        vm.steps = steps
        return self.works(vm)

    def works(self, vm):
        """On: and the disk is right, or the guest would say so and end."""
        wait_for("the guest", vm.progress)
        n = vm.progress()["requests"] + 12
        def went_on():
            self.assertNotIn(b"FAILED", vm.output())
            return vm.running() and vm.progress()["requests"] >= n
        wait_for("requests", went_on)
        return vm

    def saving(self, vm, file, *more, env=None, **kw):
        return subprocess.Popen([VMM, "snapshot", vm.name, "-o", file, *self.seal, *more],
                                env=env or self.env, stdin=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True,
                                **{"stdout": subprocess.DEVNULL, **kw})

    def whole(self, file):
        subprocess.run([SNAPINSPECT, "verify", *self.key, file], check=True,
                       stdout=subprocess.DEVNULL)

    def left(self):
        return sorted(n for n in os.listdir(self.dir) if ".partial-" in n)

    def overlays(self):
        return {n for n in os.listdir(self.dir) if n.endswith(".vmdisk")}

    def content(self, file):
        try:
            with open(file, "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None
