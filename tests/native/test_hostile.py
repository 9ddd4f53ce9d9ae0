#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Damaged snapshots: one line and status 1, from bounded memory, whatever the damage.

usage: test_hostile.py BUILD
"""

import os
import random
import struct

from lib import LONG, SEED, SNAPINSPECT, VMM, WORK, Case, main, sanitized

FLIPS = 10000 if LONG else 300
# At most this resident, beside guest RAM: records (64 MiB), manifest (16), index root (4), codec
# workers; the sanitizers keep freed memory for a while.
MEMORY_MAX_KIB = (1024 if sanitized() else 192) << 10


class Hostile(Case):
    def setUp(self):
        super().setUp()
        vm = self.start("h", f"iters=1000 {WORK} stay")
        vm.done()
        with open(self.snapshot(vm, "good.vmsnap", "--stop"), "rb") as f:
            self.good = f.read()
        self.rng = random.Random(SEED)
        self.n = 0

    def outcome(self, argv, what):
        """Exit status; a failure said one line, and nobody took more memory than allowed."""
        out = self.path("stderr")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        pid = os.posix_spawn(argv[0], argv, self.env, file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, out, flags, 0o600)])
        _, status, usage = os.wait4(pid, 0)
        with open(out, encoding="utf-8", errors="replace") as f:
            stderr = f.read()
        self.assertTrue(os.WIFEXITED(status), f"{what}: {status}: {stderr}")
        status = os.WEXITSTATUS(status)
        if status:
            self.assertRegex(stderr, r"\A[a-z]+: [^\n]+\n\Z", what)
        self.assertLess(usage.ru_maxrss, MEMORY_MAX_KIB, what)
        return status

    def refused(self, data, what):
        """The inspector refuses it always; `vmm check`, which leaves RAM alone, never crashes, and
        `vmm restore` refuses it too: a sample of all."""
        file = self.path("bad.vmsnap")
        with open(file, "wb") as f:
            f.write(data)
        self.n += 1
        self.assertEqual(self.outcome([SNAPINSPECT, "verify", file], what), 1, what)
        if self.n % 4 == 0:
            self.assertIn(self.outcome([VMM, "check", file], what), (0, 1), what)
        if self.n % 12 == 0:
            argv = [VMM, "restore", file, "--paused", "--name", "h", "--console", "none"]
            self.assertEqual(self.outcome(argv, what), 1, what)

    def tearDown(self):
        # Nobody was left behind.
        self.assertEqual(self.vmm("list"), b"")

    def boundaries(self):
        """First bytes of all frames, and the end: they tile the file; RAM frames by the index."""
        found, at, good = {0, len(self.good)}, 0, self.good
        while at + 8 <= len(good):
            magic, size = struct.unpack_from("<II", good, at)
            if magic & 0xFFFFFFF0 != 0x184D2A50:
                # Zstd frames: on to the next skippable one, where the index says they end.
                root = struct.unpack_from("<QQ", good, self.footer() + 144)[0]
                at = min(x for x in [root, *self.leaves(root)] if x > at)
            else:
                at += 8 + size
            found.add(at)
        return sorted(found)

    def footer(self):
        entries = struct.unpack_from("<I", self.good, len(self.good) - 9)[0]
        return len(self.good) - (8 + 8 * entries + 9) - 384

    def leaves(self, root):
        count = struct.unpack_from("<I", self.good, root + 8)[0]
        entries = [struct.unpack_from("<QIB", self.good, root + 64 + 48 * i) for i in range(count)]
        return [offset for offset, _, kind in entries if kind == 1]

    def test_good_one_is_good(self):
        file = self.path("good.vmsnap")
        self.assertEqual(self.outcome([SNAPINSPECT, "verify", file], "good"), 0)
        self.assertEqual(self.outcome([VMM, "check", file], "good"), 0)
        self.assertEqual(self.footer() + 384, self.boundaries()[-2])

    def test_truncated(self):
        cuts = {at + d for at in self.boundaries() for d in (-1, 0, 1)}
        cuts |= set(range(0, len(self.good), max(1, len(self.good) // (500 if LONG else 20))))
        for cut in sorted(c for c in cuts if 0 <= c < len(self.good)):
            self.refused(self.good[:cut], f"cut at {cut}")

    def test_bytes_appended(self):
        for more in (b"\0", b"\n", self.good[:128], bytes(4096)):
            self.refused(self.good + more, f"{len(more)} bytes more")

    def test_flipped_bytes(self):
        places = [self.rng.randrange(len(self.good)) for _ in range(FLIPS)]
        if LONG:
            places += [at + d for at in self.boundaries() for d in (-1, 0, 1)
                       if 0 <= at + d < len(self.good)]
        for at in places:
            bad = bytearray(self.good)
            bad[at] ^= 1 << self.rng.randrange(8)
            self.refused(bytes(bad), f"byte {at}")

    def test_no_snapshot_at_all(self):
        for data in (b"", b"\0" * 4096, b"#!/bin/sh\n" * 100, self.rng.randbytes(70000)):
            self.refused(data, f"{len(data)} other bytes")
        for path in ("/nonexistent", self.dir, "/dev/null", "/dev/zero"):
            self.assertEqual(self.outcome([VMM, "restore", path, "--name", "h"], path), 1)


if __name__ == "__main__":
    main()
