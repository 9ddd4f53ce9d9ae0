#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Incremental snapshots of working guests: a chain is what a full snapshot of the same moment is; what
fails loses nothing; and nobody is given another parent than the one.

usage: test_incremental.py BUILD
"""

import json
import os
import random
import signal
import subprocess
import sys

from lib import (BUILD, FAULT, GENERATION, LONG, SEED, SNAPINSPECT, VMM, WORK, Case, Vm,
                 environment, main, pages_of, wait_for)

sys.path.insert(0, f"{os.path.dirname(os.path.abspath(__file__))}/../guest")

from bios_disk import make_disk, reads  # noqa: E402

CHAIN = 50 if LONG else 6
ENDLESS = f"iters=0 {WORK} fill"
TWO = f"iters=0 cpus=2 {WORK} fill"
# RAM below 4 GiB ends at 0xd0000000: 2 MiB of the span lie there, 2 above 4 GiB.
HIGH = "iters=0 cpus=2 span=4M from=0xcfe00000 seed=3 fill"
LARGE = "iters=0 span=96M from=0x1000000 seed=7 fill"
UFFDIO_API = 0xC018AA3F


class Base(Case):
    def increment(self, vm, name, parent, *more):
        """The result of the command, of a file that is whole."""
        file = self.path(name)
        said = self.vmm("snapshot", vm.name, "-o", file, "--parent", parent, "--json", *more)
        subprocess.run([SNAPINSPECT, "verify", file], check=True, stdout=subprocess.DEVNULL)
        return file, json.loads(said)

    def merge(self, file, name="merged.vmsnap", *more):
        merged = self.path(name)
        self.vmm("merge", file, "-o", merged, *more)
        subprocess.run([SNAPINSPECT, "verify", merged], check=True, stdout=subprocess.DEVNULL)
        return merged

    def same_as_full(self, vm, parent, *more):
        """Of a paused VM: one more increment, merged, is a full snapshot, and is its RAM."""
        self.vmm("pause", vm.name)
        file, result = self.increment(vm, "last.vmsnap", parent, *more)
        full = self.stored_pages(self.snapshot(vm, "full.vmsnap"))
        merged = self.stored_pages(self.merge(file))
        ram = pages_of(vm.ram(), os.fstat(vm.ram()).st_size)
        for other in (full, merged):
            differ = sorted(hex(at) for at in {*ram, *other} if ram.get(at) != other.get(at))
            self.assertEqual(differ, [])
        return result


class Chains(Base):
    def chain(self, vm, *more):
        parent = self.snapshot(vm, "0.vmsnap", "--track", *more)
        for i in range(1, CHAIN):
            vm.advances()
            how = ["--live"] if i % 2 else []
            parent, result = self.increment(vm, f"{i}.vmsnap", parent, *how, *more)
            self.assertGreater(result["parent_chunks"], 0)
            self.assertGreater(result["zstd_chunks"], 0)
        vm.advances()
        return parent

    def test_chain_on_both_sides_of_4_gib(self):
        vm = self.start("c", HIGH, "--cpus", "2", memory="5G").reach(1000)
        result = self.same_as_full(vm, self.chain(vm))
        self.assertGreater(result["parent_chunks"], 80000)

    def test_live_at_the_end(self):
        vm = self.start("c", TWO, "--cpus", "2").reach(1000)
        self.same_as_full(vm, self.chain(vm), "--live")

    def test_what_devices_write_is_in_it(self):
        """The disk is read into memory by the program, not by the guest; and firmware that the
        guest spoiled is put back by it."""
        disk, console = make_disk(self.path("d.img"), 100000, resets=2), self.new_console("fw")
        vm = Vm(self, "fw", [VMM, "run", "--name", "fw", "--bios", f"{BUILD}/tests/guest/bios.rom",
                             "--paused", "--memory", "64M", "--disk", f"path={disk}",
                             "--allow-emulated", "--console", f"file:{console}"], self.env,
                console).ready()
        parent = self.snapshot(vm, "0.vmsnap", "--track")
        self.vmm("resume", "fw")
        for i in range(1, CHAIN):
            said = vm.output().count(b"READ")
            wait_for("more lines", lambda n=said: vm.running() and
                     vm.output().count(b"READ") > n)
            parent, _ = self.increment(vm, f"{i}.vmsnap", parent, *["--live"] * (i % 2))
        self.same_as_full(vm, parent)
        vm.kill()
        again = self.restore("fw", parent)
        wait_for("more lines", lambda: again.running() and again.output().count(b"READ") > 1)
        self.assertNotIn(b"FAILED", again.output())
        self.assertIn(reads(1).split()[0], again.output().decode())


class Continued(Base):
    """Killed, restored from the chain, tracked and continued: the end is that of one that was not."""

    def interrupted(self, vm, iterations):
        parent, rng = self.snapshot(vm, "0.vmsnap", "--track"), random.Random(SEED)
        for i, at in enumerate(sorted(rng.sample(range(iterations // 4), CHAIN)), start=1):
            vm.reach(at)
            parent, _ = self.increment(vm, f"{i}.vmsnap", parent, *["--live"] * (i % 2))
            if vm.progress()["state"] == 3:  # it was faster than we; this machine may be busy
                break
            vm.kill()
            vm = self.restore(vm.name, parent, "--track", *["--lazy"] * (i % 3 == 1))
            vm.before = b""
        self.assertGreater(i, 1)
        return vm

    def test_end_is_the_same(self):
        iterations = 2_000_000
        cmdline = f"iters={iterations} cpus=2 {WORK} pace=6000 fill stay"
        expected = self.end(self.start("whole", cmdline, "--cpus", "2"))
        vm = self.start("parts", cmdline, "--cpus", "2").reach(1)
        lines, pages = self.end(self.interrupted(vm, iterations))
        self.assertEqual(lines, expected[0])
        differ = [hex(at) for at in {*pages, *expected[1]} if pages.get(at) != expected[1].get(at)]
        self.assertEqual(sorted(differ), [])

    def test_restored_ram_is_what_was_saved(self):
        vm = self.start("c", ENDLESS).reach(1000)
        parent = self.snapshot(vm, "0.vmsnap", "--track")
        vm.advances()
        file, _ = self.increment(vm, "1.vmsnap", parent, "--stop")
        stored = self.stored_pages(self.merge(file))
        del stored[GENERATION]
        for how in ([], ["--lazy"], ["--lazy", "--no-working-set"]):
            again = self.restore("c", file, "--paused", *how)
            if how:
                with again.control() as c:
                    wait_for("all of memory", lambda c=c: not c.call("status")["result"]["loading"])
            ram = pages_of(again.ram(), 32 << 20)
            del ram[GENERATION]
            self.assertEqual(ram, stored)
            self.vmm("resume", "c")
            again.advances()
            again.kill()


    def test_children_cut_memory_as_their_parent_does(self):
        vm = self.start("c", ENDLESS).reach(1000)
        whole, parent = self.snapshot(vm, "whole.vmsnap", "--stop"), self.path("0.vmsnap")
        vm.wait()
        subprocess.run([f"{BUILD}/tests/rechunk", whole, "16384", parent], check=True)
        vm = self.restore("c", parent, "--track").advances()
        for i, how in enumerate(([], ["--live"]), start=1):
            vm.advances()
            parent, result = self.increment(vm, f"{i}.vmsnap", parent, *how)
            self.assertGreater(result["parent_chunks"], (32 << 20) // 65536)
        self.same_as_full(vm, parent)
        # One that is nobody's child is cut as ever.
        parent = self.snapshot(vm, "full.vmsnap", "--track")
        _, result = self.increment(vm, "child.vmsnap", parent)
        self.assertLessEqual(result["parent_chunks"], (32 << 20) // 65536)


class Copied(Base):
    """The same where memory cannot be protected: what a live one looks up in the log is not lost."""

    def setUp(self):
        super().setUp()
        self.env = environment(VMM_RUNTIME_DIR=self.runtime, LD_PRELOAD=FAULT, FAULT_CALL="ioctl",
                               FAULT_MATCH=hex(UFFDIO_API), FAULT_NTH="0", FAULT_ERRNO="22")

    def test_chain(self):
        vm = self.start("c", TWO, "--cpus", "2").reach(1000)
        self.vmm("snapshot", "c", "-o", self.path("0.vmsnap"), "--track", "--live", "--json")
        parent = self.path("0.vmsnap")
        for i in range(1, CHAIN):
            vm.advances()
            parent, result = self.increment(vm, f"{i}.vmsnap", parent, "--live")
            self.assertEqual(result["memory"], "copied")
            self.assertGreater(result["parent_chunks"], 0)
            # Of what nobody wrote to nothing was copied.
            self.assertLess(result["copied_chunks"], (32 << 20) // 65536)
        self.same_as_full(vm, parent)

    def test_what_is_no_parent_takes_nothing(self):
        vm = self.start("c", TWO, "--cpus", "2").reach(1000)
        parent = self.snapshot(vm, "0.vmsnap", "--track")
        vm.advances()
        for i in range(3):
            self.vmm("snapshot", "c", "-o", self.path("plain.vmsnap"), "--live", "--json")
            # Nobody reads, so that it cannot have been done before.
            p = subprocess.Popen([VMM, "snapshot", "c", "-o", "-", "--parent", parent, "--live"],
                                 env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                 pipesize=4096)
            if i:
                p.stdout.read(1)
            p.kill()
            p.wait()
            p.stdout.close()
            with vm.control() as c:
                wait_for("the end of it", lambda c=c: c.call("status")["result"]["state"] ==
                         "running")
            vm.advances()
        self.same_as_full(vm, parent)

    def test_nobody_tracks_without_being_asked(self):
        vm = self.start("c", ENDLESS).reach(1)
        plain = self.path("plain.vmsnap")
        self.vmm("snapshot", "c", "-o", plain, "--live", "--json")
        said = self.vmm("snapshot", "c", "-o", self.path("x.vmsnap"), "--parent", plain, status=1)
        self.assertIn("nobody kept track", said)
        vm.advances()


class Failed(Base):
    """An increment that failed loses nothing: the next one has the same parent, and is complete."""

    def setUp(self):
        super().setUp()
        self.vm = self.start("f", LARGE, memory="128M").reach(100000)
        self.parent = self.snapshot(self.vm, "0.vmsnap", "--track")
        self.vm.advances()

    def limit(self, size):
        subprocess.run(["prlimit", f"--pid={self.vm.pid}", f"--fsize={size}"], check=True)

    def test_disk_full(self):
        for how in ([], ["--live"]):
            self.limit("65536:unlimited")
            self.vmm("snapshot", "f", "-o", self.path("x.vmsnap"), "--parent", self.parent, *how,
                     status=1)
            self.limit("unlimited:unlimited")
            self.vm.advances()
            self.no_debris("0.vmsnap")
        self.same_as_full(self.vm, self.parent)

    def test_cancelled_and_killed(self):
        for i, how in enumerate([[], ["--live"]] * 2):
            p = subprocess.Popen([VMM, "snapshot", "f", "-o", "-", "--parent", self.parent, *how],
                                 env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.assertEqual(len(p.stdout.read(65536)), 65536)
            p.send_signal(signal.SIGKILL if i > 1 else signal.SIGINT)
            p.stdout.read()
            p.stdout.close()
            self.assertNotEqual(p.wait(), 0)
            self.vm.advances()
            with self.vm.control() as c:
                wait_for("the end of it", lambda c=c: c.call("status")["result"]["state"] ==
                         "running")
        self.same_as_full(self.vm, self.parent)

    def test_vm_killed(self):
        p = subprocess.Popen([VMM, "snapshot", "f", "-o", self.path("x.vmsnap"), "--parent",
                              self.parent], env=self.env, stderr=subprocess.PIPE)
        self.vm.kill()
        stderr = p.communicate()[1].decode()
        if p.returncode:
            self.result(p.returncode, stderr, 1)
        self.no_debris("0.vmsnap", *[] if p.returncode else ["x.vmsnap"])
        self.restore("f", self.parent, "--track").advances()


class Refused(Base):
    def refused(self, why, *args, status=1):
        self.assertIn(why, self.vmm(*args, status=status))

    def test_other_parents(self):
        vm = self.start("r", ENDLESS).reach(1)
        plain, x = self.snapshot(vm, "plain.vmsnap"), self.path("x.vmsnap")
        self.refused("nobody kept track", "snapshot", "r", "-o", x, "--parent", plain)
        first = self.snapshot(vm, "0.vmsnap", "--track")
        self.refused("since another snapshot", "snapshot", "r", "-o", x, "--parent", plain)
        second, _ = self.increment(vm, "1.vmsnap", first)
        self.refused("since another snapshot", "snapshot", "r", "-o", x, "--parent", first)
        self.refused("over its own parent", "snapshot", "r", "-o", second, "--parent", second,
                     status=2)
        self.refused("not a snapshot", "snapshot", "r", "-o", x, "--parent", vm.console)
        self.refused("cannot open", "snapshot", "r", "-o", x, "--parent", self.path("none"))
        key = self.path("key")
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
            f.write(bytes(32))
        self.refused("is encrypted otherwise", "snapshot", "r", "-o", x, "--parent", second,
                     "--encrypt", f"key={key}")
        vm.advances()
        # A full one in between is nobody's parent, and changes nothing.
        self.snapshot(vm, "plain.vmsnap")
        third, _ = self.increment(vm, "2.vmsnap", second)
        vm.kill()
        again = self.restore("r", third)
        self.refused("nobody kept track", "snapshot", "r", "-o", x, "--parent", third)
        again.advances()
        again.kill()
        again = self.restore("r", third, "--track")
        self.refused("since another snapshot", "snapshot", "r", "-o", x, "--parent", second)
        self.increment(again, "3.vmsnap", third)
        again.advances()
        self.no_debris(*(f"{n}.vmsnap" for n in (0, 1, 2, 3, "plain")))

    def test_over_an_ancestor(self):
        """Whatever its name is now, and as far as the chain can be read."""
        vm = self.start("r", ENDLESS).reach(1)
        chain = [self.snapshot(vm, "0.vmsnap", "--track")]
        for i in range(1, 4):
            vm.advances()
            chain.append(self.increment(vm, f"{i}.vmsnap", chain[-1])[0])
        os.link(chain[0], self.path("linked.vmsnap"))
        os.symlink(chain[1], self.path("pointer.vmsnap"))

        def all_refused(last, *files):
            for file in files:
                self.refused(f"{file} would be written over what its parent {last} needs",
                             "snapshot", "r", "-o", file, "--parent", last, status=2)
        all_refused(chain[3], *chain[:3], self.path("linked.vmsnap"), self.path("pointer.vmsnap"),
                    f"{self.dir}/../{os.path.basename(self.dir)}/0.vmsnap")
        subprocess.run([SNAPINSPECT, "verify", chain[3]], check=True, stdout=subprocess.DEVNULL)
        # The first is out of reach when the second cannot be read; the second is not.
        os.rename(chain[1], self.path("away"))
        os.symlink("linked.vmsnap", chain[1])
        all_refused(chain[3], chain[1], chain[2])
        os.unlink(chain[1])
        os.rename(self.path("away"), chain[1])
        self.increment(vm, "4.vmsnap", chain[3])
        self.restore("s", self.path("4.vmsnap")).advances()

    def test_broken_chains(self):
        vm = self.start("r", ENDLESS).reach(1)
        first = self.snapshot(vm, "0.vmsnap", "--track")
        vm.advances()
        second, _ = self.increment(vm, "1.vmsnap", first)
        file, _ = self.increment(vm, "2.vmsnap", second, "--stop")
        self.assertEqual(vm.wait(), 0)
        away = self.path("away")
        for parent in (first, second):
            for why, put in (("cannot open", lambda p: None),
                             ("is not the snapshot", lambda p: os.link(file, p))):
                os.rename(parent, away)
                put(parent)
                self.refused(os.path.basename(parent), "restore", file, "--console", "none")
                self.refused(why, "restore", file, "--console", "none", "--lazy")
                self.refused(why, "merge", file, "-o", self.path("x.vmsnap"))
                p = subprocess.run([SNAPINSPECT, "info", file], capture_output=True, text=True,
                                   check=True)
                self.assertIn(why, p.stdout)
                os.rename(away, parent)
        self.no_debris("0.vmsnap", "1.vmsnap", "2.vmsnap")
        self.restore("r", file).advances()


if __name__ == "__main__":
    main()
