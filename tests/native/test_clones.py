#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several VMs from one snapshot: each with what it must have of its own, the rest shared; and all of
them or none.

usage: test_clones.py BUILD
"""

import fcntl
import json
import os
import re
import struct
import subprocess

from lib import SNAPINSPECT, WORK, Case, Control, main, sanitized, wait_for

N = 8
ITERATIONS = 4_000_000
FINITE = f"iters={ITERATIONS} {WORK} fill stay"
ENDLESS = f"iters=0 {WORK} fill"
LARGE = "iters=0 span=64M from=0x1000000 seed=7 fill"
ENCODINGS = ("zstd", "raw")
# <linux/if_tun.h>
TUNSETIFF, TUNSETPERSIST, IFF_TAP_NO_PI_VNET_HDR = 0x400454CA, 0x400454CB, 0x5002


def memory_of(pid):
    """Of a process, in KiB by kind."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return {k: int(v) for k, v in re.findall(r"(\w+): +(\d+) kB", f.read())}


def done(log):
    """The DONE line of a guest that has finished, without what depends on time."""
    with open(log, "rb") as f:
        return re.findall(rb"(DONE cpu=\d+ iters=\d+ checksum=0x[0-9a-f]+) gaps=\d+ interrupts=\d+\n",
                          f.read())


def persist(name, on):
    """Makes a TAP device that stays, or lets it go."""
    fd = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP_NO_PI_VNET_HDR))
        fcntl.ioctl(fd, TUNSETPERSIST, int(on))
    finally:
        os.close(fd)


def ended(pid):
    """It is gone, or waits for whoever it was left to."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # before it was opened, or after
        return True


class Clones(Case):
    def setUp(self):
        super().setUp()
        self.pids = []
        self.addCleanup(self.stop_all)

    def names(self):
        return sorted(n["name"] for n in json.loads(self.vmm("list", "--json")))

    def stop_all(self):
        for name in self.names():
            self.vmm("stop", "--force", name, status=None)
        wait_for("all to end", lambda: not self.names() and all(map(ended, self.pids)))

    def clones(self, file, *more, n=N):
        said = self.vmm("restore", file, "--verify", "--clones", str(n), "--json", *more)
        made = json.loads(said)["clones"]
        self.pids += [c["pid"] for c in made]
        return made

    def source(self, cmdline, encoding, *more, **kw):
        vm = self.start("web", cmdline, *more, **kw).reach(1)
        file = self.snapshot(vm, "web.vmsnap", "--encoding", encoding)
        vm.kill()
        return file

    def state(self, name):
        with Control(f"{self.runtime}/{name}.sock") as c:
            c.receive()
            return c.call("status")["result"]

    def record(self, file, kind):
        said = subprocess.run([SNAPINSPECT, "state", "--json", file], stdout=subprocess.PIPE,
                              check=True).stdout
        return [c["state"] for c in json.loads(said) if c["type"] == kind]


class Together(Clones):
    def test_each_goes_on_by_itself(self):
        whole = self.start("whole", FINITE)
        expected = whole.done()
        whole.kill()
        for encoding in ENCODINGS:
            with self.subTest(encoding):
                file = self.source(FINITE, encoding)
                before = os.stat(file)
                made = self.clones(file, "--console", f"file:{self.dir}/{encoding}-%d.log")
                self.assertEqual([c["name"] for c in made], [f"web-{i + 1}" for i in range(N)])
                self.assertEqual(self.names(), sorted(c["name"] for c in made))
                self.assertEqual(len({c["pid"] for c in made}), N)
                for i, c in enumerate(made):
                    self.assertEqual(self.state(c["name"])["pid"], c["pid"])

                    log = f"{self.dir}/{encoding}-{i + 1}.log"
                    self.assertEqual(wait_for("the guest to finish", lambda: done(log)), expected)
                after = os.stat(file)
                self.assertEqual((after.st_size, after.st_mtime_ns), (before.st_size, before.st_mtime_ns))
                self.stop_all()

    def test_identifiers_differ_and_names_are_as_wanted(self):
        file = self.source(ENDLESS, "zstd")
        self.clones(file, "--name", "n%d-x", "--paused")
        seen = set()
        for name in self.names():
            self.assertRegex(name, r"\An\d-x\Z")
            self.assertEqual(self.state(name)["state"], "paused")
            copy = self.path("copy.vmsnap")
            self.vmm("snapshot", name, "-o", copy)
            seen.add(json.dumps(self.record(copy, "vmgenid")))
        self.assertEqual(len(seen), N)

    def test_memory_is_shared_until_it_is_written_to(self):
        for encoding in ENCODINGS:
            with self.subTest(encoding):
                file = self.source(LARGE, encoding, memory="128M")
                made = self.clones(file, "--paused")
                for c in made:
                    m = memory_of(c["pid"])
                    if not sanitized():
                        self.assertLess(m["Anonymous"], 16 << 10)
                        self.assertLess(m["Pss"], 24 << 10)
                    # A snapshot looks at all of it, and makes nothing of it its own.
                    self.vmm("snapshot", c["name"], "-o", self.path("c.vmsnap"))
                    if not sanitized():
                        self.assertLess(memory_of(c["pid"])["Anonymous"], 24 << 10)
                self.stop_all()

    def test_live_of_a_clone(self):
        file = self.source(ENDLESS, "zstd")
        for c in self.clones(file, n=2):
            copy = self.path("live.vmsnap")
            self.vmm("snapshot", c["name"], "-o", copy, "--live")
            subprocess.run([SNAPINSPECT, "verify", copy], check=True, stdout=subprocess.DEVNULL)
            self.restore("again", copy).running()
            self.vmm("stop", "--force", "again")

    def test_live_is_of_one_moment(self):
        """As in test_live.py: of each CPU the number that it was writing, one page after the other."""
        start, span = 16 << 20, 16 << 20
        file = self.source(f"iters=0 order from={start:#x} span={span:#x}", "zstd", memory="64M")
        self.clones(file, n=2)
        before = 0
        for _ in range(4):
            copy = self.path("live.vmsnap")
            self.vmm("snapshot", "web-1", "-o", copy, "--live")
            ram = subprocess.run(["zstd", "-dcq", copy], stdout=subprocess.PIPE, check=True).stdout
            words = [struct.unpack_from("<Q", ram, start + i)[0] for i in range(0, span, 4096)]
            self.assertEqual(words, sorted(words, reverse=True))
            self.assertLessEqual(words[0] - words[-1], 1)
            self.assertGreaterEqual(words[0], before)
            before = words[0]

    def test_disks_of_their_own(self):
        disk = self.new_image()
        file = self.source(ENDLESS, "raw", "--disk", f"path={disk},id=root")
        overlays = self.path("overlays")
        os.mkdir(overlays)
        made = self.clones(file, "--overlays", overlays, n=4)
        paths = {self.state(c["name"])["disk"][0]["path"] for c in made}
        self.assertEqual(paths, {f"{overlays}/{n}" for n in os.listdir(overlays)})
        self.assertEqual(len(paths), 4)

    def test_what_they_wrote_is_in_their_disks(self):
        disk = self.new_image()
        file = self.source(f"{ENDLESS} disk=200", "zstd", "--disk", f"path={disk},id=root")
        made = self.clones(file, "--paused", n=2)
        paths = [self.state(c["name"])["disk"][0]["path"] for c in made]
        empty = os.stat(paths[0]).st_blocks
        for c, path in zip(made, paths):
            self.vmm("resume", c["name"])
            wait_for("a clone to write", lambda path=path: os.stat(path).st_blocks > empty)
        self.stop_all()
        for path in paths:
            image = json.loads(self.vmm("disk", "info", "--json", path))["images"][0]
            self.assertGreater(image["clusters_present"], 0)

    def test_networks_of_their_own(self):
        try:
            for i in range(3):
                persist(f"vmmtest{i}", True)
                self.addCleanup(persist, f"vmmtest{i}", False)
        except OSError as e:
            self.skipTest(f"no TAP devices can be made here: {e}")
        self.addCleanup(self.stop_all)  # first
        file = self.source(ENDLESS, "zstd", "--net", "tap=vmmtest0,id=lan")
        made = self.clones(file, "--net", "lan=vmmtest%d", n=2)
        self.assertEqual(len({c["net"][0]["mac"] for c in made}), 2)
        for c in made:
            copy = self.path("copy.vmsnap")
            self.vmm("snapshot", c["name"], "-o", copy)
            macs = [d["mac"] for m in self.record(copy, "machine") for d in m["device"]
                    if d["id"] == "lan"]
            self.assertEqual(macs, [c["net"][0]["mac"].replace(":", "")])


class AllOrNone(Clones):
    def test_one_that_cannot_be(self):
        for encoding in ENCODINGS:
            with self.subTest(encoding):
                disk = self.new_image(f"{encoding}.img")
                file = self.source(ENDLESS, encoding, "--disk", f"path={disk},id=root")
                other = self.start("web-3", ENDLESS).reach(1)
                before = sorted(os.listdir(self.dir))
                said = self.vmm("restore", file, "--verify", "--clones", "8", status=1)
                self.assertEqual(said, "vmm: a VM named web-3 is running: choose another --name\n")
                self.assertEqual(self.names(), ["web-3"])
                self.assertEqual(sorted(os.listdir(self.dir)), before)
                self.assertEqual(os.listdir(self.runtime), ["web-3.sock"])
                other.advances()
                other.kill()
                os.unlink(file)

    def test_names_without_a_number(self):
        file = self.source(ENDLESS, "zstd")
        for more, said in (
                (("--console", "file:x"), "--console file:x: with --clones it needs a %d for the number"),
                (("--serial", "2=unix:x"), "--serial 2=unix:x: with --clones it needs a %d for the number"),
                (("--net", "lan=tap"), "--net lan=tap: with --clones it needs a %d for the number"),
                (("--lazy",), "restore: --lazy and --clones do not go together"),
                (("--hugepages",), "restore: --hugepages and --clones do not go together"),
                (("--console", "stdio"), "restore: --detach and --console stdio do not go together")):
            self.assertEqual(self.vmm("restore", file, "--clones", "2", *more, status=2),
                             f"vmm: {said}\n")
        self.assertEqual(self.vmm("restore", file, "--clones", "257", status=2),
                         "vmm: --clones 257: at most 256\n")
        self.assertEqual(self.vmm("restore", file, "--json", status=2),
                         "vmm: restore: --json is for --clones\n")
        self.assertEqual(self.names(), [])

    def test_a_damaged_file(self):
        file = self.source(ENDLESS, "zstd")
        with open(file, "r+b") as f:
            f.seek(os.stat(file).st_size // 2)
            byte = f.read(1)
            f.seek(-1, 1)
            f.write(bytes([byte[0] ^ 1]))
        self.vmm("restore", file, "--clones", "4", status=1)
        self.assertEqual(self.names(), [])

    def test_printed(self):
        file = self.source(ENDLESS, "zstd")
        self.assertEqual(self.vmm("restore", file, "--clones", "2"), b"web-1\nweb-2\n")


if __name__ == "__main__":
    main()
