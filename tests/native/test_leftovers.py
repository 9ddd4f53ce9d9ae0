#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What saves that were killed leave behind is removed by the next one, and nothing else is.

usage: test_leftovers.py BUILD
"""

import fcntl
import os
import signal
import subprocess
import sys
import time

from lib import VMM, WORK, Case, main, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../devices"))
import make_disk_formats  # noqa: E402

ENDLESS = f"iters=0 {WORK} fill"
LARGE = "iters=0 span=96M from=0x1000000 seed=7 fill"


class Base(Case):
    def begin(self, name, file):
        return subprocess.Popen([VMM, "snapshot", name, "-o", file], env=self.env,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def partial(self):
        return sorted(n for n in os.listdir(self.dir) if ".partial-" in n)

    def growing(self):
        """Those that have more than what they begin with: the VM has them."""
        return [n for n in self.partial() if os.path.getsize(self.path(n)) > 4096]

    def killed_save(self, vm, file):
        """A command and its VM die while the file grows; what is left."""
        before = set(self.partial())
        while True:
            p = self.begin(vm.name, file)
            wait_for("its file", lambda p=p: set(self.growing()) - before or p.poll() is not None)
            vm.process.send_signal(signal.SIGSTOP)
            p.kill()
            p.communicate()
            left = sorted(set(self.partial()) - before)
            if left:
                break
            vm.process.send_signal(signal.SIGCONT)  # it was faster than we
        vm.kill()
        return left

    def removing(self, file, *names):
        """A snapshot that removes these."""
        p = self.begin("f", file)
        said = p.communicate()[1]
        self.assertEqual(p.returncode, 0, said)
        if names:
            self.assertRegex(said, r"\Avmm: removed [^\n]+ killed had left\n\Z")
            self.assertTrue([n for n in names if n in said], said)
        else:
            self.assertEqual(said, "")
        for name in names:
            self.assertFalse(os.path.lexists(self.path(name)), name)


class Files(Base):
    def setUp(self):
        super().setUp()
        self.vm = self.start("f", ENDLESS).reach(1)
        self.file = self.snapshot(self.vm)
        with open(self.file, "rb") as f:
            self.begun = f.read(8192)

    def put(self, name, data=None, mode=0o600):
        with open(self.path(name), "wb") as f:
            f.write(self.begun if data is None else data)
        os.chmod(self.path(name), mode)

    def test_of_a_killed_save(self):
        left = self.killed_save(self.start("g", LARGE, memory="128M").reach(100000), self.file)
        self.removing(self.file, *left)
        self.removing(self.file)
        self.no_debris("x.vmsnap")

    def test_of_other_files_in_the_folder(self):
        names = [f".{base}.partial-Ab0xYz" for base in ("x.vmsnap", "y.vmsnap", "z.partial-aaaaaa")]
        for name in names:
            self.put(name)
        self.put(".x.vmsnap.partial-empty0", b"")
        self.removing(self.file, *names, ".x.vmsnap.partial-empty0")

    def test_in_use(self):
        other = self.start("g", LARGE, memory="128M").reach(100000)
        p = self.begin("g", self.file)
        wait_for("its file", self.growing)
        other.process.send_signal(signal.SIGSTOP)
        # Also when the command is gone and the VM is about to learn of it.
        busy = self.partial()
        self.removing(self.file)
        p.kill()
        p.communicate()
        self.removing(self.file)
        self.assertEqual(self.partial(), busy)
        other.kill()
        self.removing(self.file, *busy)

    def test_locked(self):
        name = ".x.vmsnap.partial-abcdef"
        self.put(name)
        with open(self.path(name), "rb") as f:
            fcntl.flock(f, fcntl.LOCK_SH)
            self.removing(self.file)
            self.assertEqual(self.partial(), [name])
        self.removing(self.file, name)

    def test_what_is_not_ours(self):
        for name in (".x.vmsnap.partial-abcde", ".x.vmsnap.partial-abcdefg", ".partial-abcdef",
                     ".x.vmsnap.partial-abc-ef", "x.vmsnap.partial-abcdef", "..partial-abcdef"):
            self.put(name)
        self.put(".x.vmsnap.partial-foreign"[:24], b"not a snapshot at all")
        self.put(".x.vmsnap.partial-aaaaaa", mode=0o644)
        self.put(".y.vmsnap.partial-aaaaaa", b"")
        victim = self.path("victim")
        self.put("victim")
        os.symlink(victim, self.path(".x.vmsnap.partial-link00"))
        self.put(".x.vmsnap.partial-hard00")
        os.link(self.path(".x.vmsnap.partial-hard00"), self.path("hard"))
        os.mkdir(self.path(".x.vmsnap.partial-folder"))
        os.mkfifo(self.path(".x.vmsnap.partial-fifo00"), 0o600)
        before = sorted(os.listdir(self.dir))
        self.removing(self.file)
        self.assertEqual(sorted(os.listdir(self.dir)), before)

    def test_another_user(self):
        if os.geteuid():
            self.skipTest("files of others need root")
        self.put(".x.vmsnap.partial-abcdef")
        os.chown(self.path(".x.vmsnap.partial-abcdef"), 65534, 65534)
        self.removing(self.file)
        self.assertEqual(len(self.partial()), 1)


class Overlays(Base):
    """Those that were made over the machine's image for a snapshot that never was."""

    def setUp(self):
        super().setUp()
        self.image = self.new_image()
        self.file = self.path("x.vmsnap")

    def overlays(self):
        return sorted(n for n in os.listdir(self.dir) if n.endswith(".vmdisk"))

    def test_of_a_killed_command(self):
        vm = self.start("f", LARGE, "--disk", f"path={self.image},id=root",
                        memory="128M").reach(100000)
        p = self.begin("f", self.file)
        wait_for("its file", self.growing)
        vm.process.send_signal(signal.SIGSTOP)
        p.kill()
        p.communicate()
        left = self.overlays() + self.partial()
        self.assertEqual(len(left), 2)
        vm.process.send_signal(signal.SIGCONT)
        # The disk has gone back to its image, as the guest stood still.
        wait_for("write permission", lambda: os.stat(self.image).st_mode & 0o200)
        vm.advances()
        self.removing(self.file, *left)
        self.assertEqual(len(self.overlays()), 1)
        self.removing(self.file)
        self.assertEqual(len(self.overlays()), 2)

    def put(self, path, **over):
        """An overlay that is held ready for a snapshot, of root.img if nothing else is said."""
        over = {"state": 2, "name": b"root.img", "bytes": 1 << 20, "data_offset": 8192,
                "parent_bytes": 1 << 20, **over}
        with open(self.path(path), "wb") as f:
            for data, _ in make_disk_formats.header(**over):
                f.write(data)
            f.truncate(8192 + (1 << 20))

    def test_what_stays(self):
        self.put("a.vmdisk")
        self.put("root.img.0123abc.vmdisk")
        self.put("root.img.0123ABCD.vmdisk")
        self.put("root.img.00000001.vmdisk", name=b"other.img")
        self.put("root.img.00000002.vmdisk", state=0)  # a disk has gone on in it
        self.put("root.img.00000003.vmdisk")
        with open(self.path("root.img.00000003.vmdisk"), "r+b") as f:
            f.seek(4096)
            f.write(b"\1")  # holds something
        self.put("root.img.00000004.vmdisk")
        os.link(self.path("root.img.00000004.vmdisk"), self.path("hard"))
        os.symlink("a.vmdisk", self.path("root.img.00000005.vmdisk"))
        with open(self.path("root.img.00000006.vmdisk"), "wb") as f:
            f.write(b"something else")
        with open(self.path("root.img.00000007.img"), "wb") as f:
            f.write(b"something else")
        before = sorted(os.listdir(self.dir))
        self.put("root.img.00000008.vmdisk")
        self.start("f", ENDLESS, "--disk", f"path={self.image},id=root").reach(1)
        with open(self.path("root.img.00000008.vmdisk"), "r+b") as f:
            fcntl.lockf(f, fcntl.LOCK_EX)
            self.vmm("snapshot", "f", "--disks", "none", "-o", self.file)
            self.assertIn("root.img.00000008.vmdisk", self.overlays())
        self.removing(self.file, "root.img.00000008.vmdisk")
        after = set(os.listdir(self.dir))
        self.assertEqual([n for n in before if n not in after], [])

    def test_of_a_vm_that_died(self):
        """The command sees that none is needed, before any disk has gone on."""
        vm = self.start("f", ENDLESS, "--disk", f"path={self.image},id=root").reach(1)
        vm.process.send_signal(signal.SIGSTOP)
        p = self.begin("f", self.file)
        time.sleep(0.1)
        vm.kill()
        self.result(p.wait(60), p.communicate()[1], 1)
        self.assertEqual(self.overlays() + self.partial(), [])


if __name__ == "__main__":
    main()
