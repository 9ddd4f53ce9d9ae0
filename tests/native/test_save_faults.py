#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each call of a save that changes a file fails, one after the other: one line, exit status 1, the guest
goes on, the old file is whole, and nothing is left; or it did not matter, and the new one is whole.

usage: test_save_faults.py BUILD
"""

import errno
import json
import os
import re
import signal
import subprocess

from crashlib import ALL_FROM, SHORT, Crash
from lib import LONG, SNAPINSPECT, main, wait_for

# One sweep each, or all of them for every way to save.
ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EDQUOT": errno.EDQUOT, "short": SHORT,
          "EIO from there on": errno.EIO | ALL_FROM}
WAYS = {"full": [], "live": ["--live"]}
LARGE = "iters=0 span=48M from=0x1000000 seed=7 fill"


class Sweep(Crash):
    def setUp(self):
        super().setUp()
        self.vm = self.begin()
        self.file = self.snapshot(self.vm)

    def save_once(self, steps, step, fate, env, way):
        """False when it did not come to that step."""
        before, overlays = self.content(self.file), self.overlays()
        steps.arm(step | (fate & ALL_FROM), fate & ~ALL_FROM)
        p = self.saving(self.vm, self.file, *way, env=env)
        said = p.communicate(timeout=60)[1]
        if fate & ALL_FROM:
            # Nor could the one before remove anything.
            said = re.sub(r"\Avmm: removed [^\n]+\n", "", said)
        happened = steps.happened()
        with self.subTest(step=step, said=said):
            self.works(self.vm)
        self.assertEqual(self.left() if fate & ALL_FROM == 0 else [], [])
        if p.returncode == 0:
            self.assertEqual(said, "")
            self.whole(self.file)
            self.assertNotEqual(self.content(self.file), before)
        else:
            self.result(p.returncode, said, 1)
            now = self.content(self.file)
            if now != before:
                # It has its name, and the folder could not be synced.
                self.assertIn("cannot sync its folder", said)
                self.whole(self.file)
            elif not way and not fate & ALL_FROM:
                # The guest has stood still: its disk is where it was, if it could go back.
                self.assertLessEqual(self.overlays() - overlays, {os.path.basename(self.disk())})
        return happened

    def disk(self):
        with self.vm.control() as c:
            c.receive()
            return c.call("status")["result"]["disk"][0]["path"]

    def sweep(self, steps, env, fate, way):
        step = 1
        while self.save_once(steps, step, fate, env, way):
            step += 1
            self.assertLess(step, 100)
        self.assertGreater(step, 6)
        return step

    def each(self, of_vm):
        for i, (name, error) in enumerate(ERRORS.items()):
            for j, (kind, way) in enumerate(WAYS.items()):
                if not LONG and i % 2 != j:
                    continue
                with self.subTest(name, way=kind):
                    steps, env = (self.vm.steps, None) if of_vm else self.faulty()
                    self.sweep(steps, env, error, way)

    def test_in_the_vm(self):
        self.each(True)
        self.restored()

    def test_in_the_command(self):
        self.each(False)
        self.restored()

    def restored(self):
        self.assertEqual(self.saving(self.vm, self.file).wait(60), 0)
        self.vm.kill()
        self.again(self.file)


class Readers(Crash):
    """Of a snapshot into a pipe."""

    def setUp(self):
        super().setUp()
        self.vm = self.start("a", LARGE, memory="80M").reach(1)

    def stalled(self, *way):
        """A reader who has stopped in the middle, and waits to be killed or to go on."""
        reader = subprocess.Popen(["sh", "-c", "head -c 65536 >/dev/null; kill -STOP $$; cat"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(reader.wait)
        self.addCleanup(reader.kill)
        p = self.saving(self.vm, "-", *way, stdout=reader.stdin)
        reader.stdin.close()
        wait_for("it to stop", lambda: os.waitid(os.P_PID, reader.pid,
                                                 os.WSTOPPED | os.WNOHANG | os.WNOWAIT))
        return reader, p

    def test_dies(self):
        for way in WAYS.values():
            reader, p = self.stalled(*way)
            with self.vm.control() as c:
                c.receive()
                self.assertIn("result", c.call("status"))
            self.assertIsNone(p.poll())
            reader.kill()
            self.result(p.wait(60), p.communicate()[1], 1)
            reader.stdout.close()
            self.vm.advances()

    def test_goes_on(self):
        for way in WAYS.values():
            reader, p = self.stalled(*way)
            reader.send_signal(signal.SIGCONT)
            rest = reader.stdout.read()
            self.assertEqual(p.wait(60), 0, p.communicate()[1])
            p.stderr.close()
            reader.stdout.close()
            self.assertGreater(len(rest), 1 << 20)
            self.vm.advances()

    def test_command_gives_up(self):
        for way in WAYS.values():
            for number in (signal.SIGINT, signal.SIGKILL):
                reader, p = self.stalled(*way)
                p.send_signal(number)
                p.wait(60)
                said = p.communicate()[1]
                if number == signal.SIGINT:
                    self.result(p.returncode, said, 1)
                self.vm.advances()
                reader.kill()
                reader.stdout.close()
                wait_for("the end of it", lambda: json.loads(
                    self.vmm("status", self.vm.name, "--json"))["state"] == "running")
        file = self.snapshot(self.vm)
        subprocess.run([SNAPINSPECT, "verify", file], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
