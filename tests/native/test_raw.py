#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Snapshots of the encoding raw: restored by mapping them, which changes nothing in the file, and
whatever happens to the file, no guest goes on with something else than was saved.

usage: test_raw.py BUILD
"""

import hashlib
import json
import os
import struct
import subprocess

from lib import GENERATION, SNAPINSPECT, VMM, WORK, Case, main

ITERATIONS = 4_000_000
FINITE = f"iters={ITERATIONS} {WORK} fill stay"
ENDLESS = f"iters=0 {WORK} fill"
ALIGN = 2 << 20


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


class Raw(Case):
    def take(self, vm, name="x.vmsnap", *more):
        file = self.snapshot(vm, name, "--encoding", "raw", *more)
        subprocess.run([SNAPINSPECT, "verify", file], check=True, stdout=subprocess.DEVNULL)
        return file

    def unchecked(self, file):
        return f"vmm: {file}: its memory is mapped, and the digests of that were not checked (--verify)\n"

    def pages(self, file):
        """Of any snapshot, but for what each restore makes anew."""
        packed = self.path("packed.vmsnap")
        self.vmm("merge", file, "-o", packed)
        pages = self.stored_pages(packed)
        os.unlink(packed)
        pages.pop(GENERATION, None)
        return pages


class Mapped(Raw):
    def test_goes_on_as_saved_and_the_file_stays(self):
        whole = self.start("whole", FINITE)
        expected = whole.done()
        whole.kill()
        for how in ((), ("--live",)):
            vm = self.start("parts", FINITE).reach(1000)
            file = self.take(vm, "x.vmsnap", *how)
            vm.kill()
            said, before = vm.output(), digest(file)
            for more in ((), ("--verify",), ("--lazy",), ("--clock", "keep")):
                with self.subTest(how=how, more=more):
                    vm = self.restore("parts", file, *more)
                    self.assertEqual(vm.stderr(), "" if "--verify" in more else self.unchecked(file))
                    self.assertIsNone(vm.ram())
                    vm.before = said
                    self.assertEqual(vm.done(), expected)
                    vm.kill()
                    self.assertEqual(digest(file), before)
        self.no_debris("x.vmsnap")

    def test_made_of_a_chain_and_turned_back(self):
        vm = self.start("chain", ENDLESS).reach(1000)
        first = self.snapshot(vm, "first.vmsnap", "--track")
        second = self.snapshot(vm.advances(), "second.vmsnap", "--parent", first)
        vm.kill()
        raw = self.path("raw.vmsnap")
        result = json.loads(self.vmm("merge", second, "-o", raw, "--encoding", "raw", "--json"))
        self.assertGreater(result["raw_chunks"], 0)
        self.assertEqual(result["zstd_chunks"], 0)
        self.assertEqual(self.pages(raw), self.pages(second))
        self.restore("chain", raw).running()

    def test_from_a_pipe(self):
        vm = self.start("pipe", ENDLESS).reach(1000)
        self.vmm("pause", "pipe")
        piped = self.path("piped.vmsnap")
        with open(piped, "wb") as f:
            cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=f)
            self.vmm("snapshot", "pipe", "-o", "-", "--encoding", "raw", stdout=cat.stdin)
            cat.stdin.close()
            cat.wait()
        subprocess.run([SNAPINSPECT, "verify", piped], check=True, stdout=subprocess.DEVNULL)
        file = self.take(vm)
        self.assertEqual(os.stat(piped).st_size, os.stat(file).st_size)
        self.assertGreater(os.stat(piped).st_blocks, 2 * os.stat(file).st_blocks)
        self.assertEqual(self.pages(piped), self.pages(file))

    def test_snapshots_of_one_that_is_mapped(self):
        vm = self.start("one", ENDLESS).reach(1000)
        file = self.take(vm)
        vm.kill()
        vm = self.restore("one", file, "--paused", "--verify")
        # Nothing but its file, and what it was given when it was restored.
        self.assertEqual(self.pages(self.snapshot(vm, "same.vmsnap")), self.pages(file))
        self.vmm("resume", "one")
        self.vmm("pause", "one")
        again = self.snapshot(vm, "again.vmsnap")
        self.assertEqual(self.pages(self.take(vm, "raw.vmsnap")), self.pages(again))
        vm.kill()
        self.restore("two", again).running()

    def test_live_of_one_that_is_mapped(self):
        """Its memory can be protected only if the file is in memory itself."""
        in_memory = subprocess.run(["stat", "-fc", "%T", self.dir], stdout=subprocess.PIPE,
                                   check=True, text=True).stdout == "tmpfs\n"
        start, span = 16 << 20, 8 << 20
        vm = self.start("one", f"iters=0 order from={start:#x} span={span:#x}").reach(2)
        file = self.take(vm)
        vm.kill()
        vm = self.restore("one", file)
        for more in ((), ("--encoding", "raw")):
            live = self.path("live.vmsnap")
            result = json.loads(self.vmm("snapshot", "one", "-o", live, "--live", "--json", *more))
            self.assertEqual(result["memory"], "protected" if in_memory else "copied")
            if not in_memory:
                self.assertRegex(result["not_protected"], "mapped from a raw snapshot")
            packed = self.path("packed.vmsnap")
            self.vmm("merge", live, "-o", packed)
            ram = subprocess.run(["zstd", "-dcq", packed], stdout=subprocess.PIPE, check=True).stdout
            words = [struct.unpack_from("<Q", ram, start + i)[0] for i in range(0, span, 4096)]
            self.assertEqual(words, sorted(words, reverse=True))
            self.assertLessEqual(words[0] - words[-1], 1)

    def test_parent_of_the_next(self):
        vm = self.start("one", ENDLESS).reach(1000)
        file = self.take(vm)
        vm.kill()
        vm = self.restore("one", file, "--track")
        self.vmm("pause", "one")
        child = self.path("child.vmsnap")
        result = json.loads(self.vmm("snapshot", "one", "-o", child, "--parent", file, "--json"))
        self.assertGreater(result["parent_chunks"], result["zstd_chunks"])
        self.assertEqual(self.pages(child), self.pages(self.snapshot(vm, "full.vmsnap")))
        vm.kill()
        self.restore("two", child).running()


class Damaged(Raw):
    def test_found_with_verify_only(self):
        vm = self.start("one", ENDLESS).reach(1000)
        file = self.take(vm)
        vm.kill()
        with open(file, "r+b") as f:
            f.seek(ALIGN + (20 << 20))
            f.write(b"\x55")
        said = self.vmm("restore", file, "--verify", "--detach", status=1)
        self.assertRegex(said, r"(RAM chunk is damaged|a chunk of zeros is none)")
        self.assertEqual(self.vmm("list"), b"")
        said = self.vmm("restore", file, "--clones", "2", "--verify", status=1)
        self.assertEqual(self.vmm("list"), b"")
        vm = self.restore("one", file)
        self.assertEqual(vm.stderr(), self.unchecked(file))

    def test_cut_off_under_the_guest(self):
        vm = self.start("one", ENDLESS).reach(1000)
        file = self.take(vm)
        vm.kill()
        for paused in ((), ("--paused",)):
            with self.subTest(paused=paused):
                copy = self.path("copy")
                subprocess.run(["cp", file, copy], check=True)
                vm = self.restore("one", copy, *paused)
                os.truncate(copy, ALIGN)
                if paused:
                    self.vmm("resume", "one", status=None)
                self.assertEqual(vm.wait(), 1)
                self.assertEqual(vm.stderr(), self.unchecked(copy) +
                                 f"vmm: {copy}: guest memory cannot be read any more: the file was "
                                 "cut off, or its storage failed\n")

    def test_cut_off_under_a_snapshot(self):
        """The VMM itself finds the page gone."""
        vm = self.start("one", ENDLESS).reach(1000)
        file = self.take(vm)
        vm.kill()
        vm = self.restore("one", file, "--paused")
        os.truncate(file, ALIGN)
        self.vmm("snapshot", "one", "-o", self.path("next.vmsnap"), status=1)
        self.assertEqual(vm.wait(), 1)
        self.assertIn("guest memory cannot be read any more", vm.stderr())
        self.assertFalse(os.path.exists(self.path("next.vmsnap")))


class Refused(Raw):
    def test_options(self):
        self.start("one", ENDLESS).reach(1000)
        key = self.path("key")
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
            f.write(bytes(range(32)))
        output = self.path("no.vmsnap")
        for more, said in (
                (("--encoding", "lz4"), "--encoding lz4: zstd or raw"),
                (("--encoding", "raw", "--encrypt", f"key={key}"),
                 "--encoding raw and --encrypt do not go together"),
                (("--encoding", "raw", "--parent", output),
                 "--encoding raw and --parent do not go together")):
            self.assertEqual(self.vmm("snapshot", "one", "-o", output, *more, status=2),
                             f"vmm: {said}\n")
        self.assertEqual(self.vmm("merge", output, "-o", output, "--encoding", "none", status=2),
                         "vmm: --encoding none: zstd or raw\n")
        self.assertFalse(os.path.exists(output))

    def test_signed(self):
        vm = self.start("one", ENDLESS).reach(1000)
        private, public = self.path("private.pem"), self.path("public.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True,
                       capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
        file = self.take(vm, "x.vmsnap", "--sign", private)
        vm.kill()
        self.restore("one", file, "--verify-key", public).running()
        self.assertEqual(subprocess.run([VMM, "check", file, "--verify-key", public],
                                        stdout=subprocess.DEVNULL, check=False).returncode, 0)


if __name__ == "__main__":
    main()
