#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What fails, fails with one line and the right status; the guest goes on, old files stay whole.

usage: test_faults.py BUILD
"""

import contextlib
import errno
import os
import signal
import subprocess

from lib import FAULT, SNAPINSPECT, VMM, WORK, Case, environment, main, wait_for

ENDLESS = f"iters=0 {WORK} fill"
ITERATIONS = 4_000_000
FINITE = f"iters={ITERATIONS} {WORK} fill stay"
LARGE = "iters=0 span=96M from=0x1000000 seed=7 fill"  # saving it takes a while

# linux/kvm.h
KVM_RUN = 0xAE80
KVM = {
    "CREATE_VM": 0xAE01, "CREATE_VCPU": 0xAE41, "CREATE_IRQCHIP": 0xAE60,
    "SET_USER_MEMORY_REGION": 0x4020AE46, "GET_CLOCK": 0x8030AE7C, "SET_CLOCK": 0x4030AE7B,
    "GET_IRQCHIP": 0xC208AE62, "SET_IRQCHIP": 0x8208AE63, "GET_REGS": 0x8090AE81,
    "SET_REGS": 0x4090AE82, "GET_SREGS": 0x8138AE83, "SET_SREGS": 0x4138AE84,
    "GET_MSRS": 0xC008AE88, "SET_MSRS": 0x4008AE89, "GET_LAPIC": 0x8400AE8E,
    "SET_LAPIC": 0x4400AE8F, "SET_CPUID2": 0x4008AE90, "GET_MP_STATE": 0x8004AE98,
    "SET_MP_STATE": 0x4004AE99, "GET_VCPU_EVENTS": 0x8040AE9F, "SET_VCPU_EVENTS": 0x4040AEA0,
    "GET_XCRS": 0x8188AEA6, "SET_XCRS": 0x4188AEA7, "SET_XSAVE": 0x5000AEA5,
}


class Targets(Case):
    """Where a snapshot cannot go."""

    def setUp(self):
        super().setUp()
        self.vm = self.start("f", ENDLESS).reach(1)

    def tearDown(self):
        self.vm.advances()
        self.assertIn(b"state          running", self.vmm("status", "f"))

    def refused(self, *args, **kw):
        said = self.vmm("snapshot", "f", *args, status=1, **kw)
        self.vm.advances()
        return said

    def test_folder_that_cannot_be_written(self):
        self.refused("-o", "/proc/x.vmsnap")
        self.refused("-o", self.path("no/such/x.vmsnap"))
        self.refused("-o", f"{self.vm.console}/x.vmsnap")

    def test_target_is_a_folder(self):
        os.mkdir(self.path("d.vmsnap"))
        self.refused("-o", self.path("d.vmsnap"))
        self.assertEqual(os.listdir(self.path("d.vmsnap")), [])
        os.rmdir(self.path("d.vmsnap"))
        self.no_debris()

    def test_full_file_system(self):
        folder = self.path("full")
        os.mkdir(folder)
        p = subprocess.run(["unshare", "-m", "sh", "-c",
                            'mount -t tmpfs -o size=64k none "$1" || exit 77; '
                            '"$2" snapshot f -o "$1/x.vmsnap"; s=$?; ls -A "$1" >&2; exit $s',
                            "-", folder, VMM], env=self.env, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True, check=False)
        if p.returncode == 77:
            self.skipTest("cannot mount a file system here")
        self.result(p.returncode, p.stderr, 1)
        self.assertIn("No space left", p.stderr)

    def test_full_device_as_output(self):
        with open("/dev/full", "wb") as full:
            self.refused("-o", "-", stdout=full)

    def test_pipe_that_nobody_reads(self):
        r, w = os.pipe()
        os.close(r)
        self.refused("-o", "-", stdout=w)
        os.close(w)

    def test_closed_output(self):
        self.refused("-o", "-", preexec_fn=lambda: os.close(1))
        self.vmm("status", "f", status=1, preexec_fn=lambda: os.close(1))
        with open("/dev/full", "wb") as full:
            self.vmm("status", "f", status=1, stdout=full)

    def test_all_closed(self):
        self.vmm("snapshot", "f", "-o", self.path("x.vmsnap"), status=None,
                 preexec_fn=lambda: os.closerange(0, 3))
        subprocess.run([SNAPINSPECT, "verify", self.path("x.vmsnap")], check=True,
                       stdout=subprocess.DEVNULL)

    def test_old_file_stays(self):
        file = self.snapshot(self.vm)
        with open(file, "rb") as f:
            before = f.read()
        os.chmod(file, 0o400)
        p = subprocess.run(["prlimit", f"--pid={self.vm.pid}", "--fsize=65536"], check=False)
        self.assertEqual(p.returncode, 0)
        said = self.refused("-o", file)
        self.assertNotEqual(said, "")
        with open(file, "rb") as f:
            self.assertTrue(f.read() == before)
        self.no_debris("x.vmsnap")


class Interrupted(Case):
    def setUp(self):
        super().setUp()
        self.vm = self.start("f", LARGE, memory="128M").reach(1)

    def begin(self, *args, **kw):
        return subprocess.Popen([VMM, "snapshot", "f", *args], env=self.env,
                                stderr=subprocess.PIPE, text=False, **kw)

    def half_way(self):
        """A snapshot into a pipe of which a little was read: it cannot be done yet."""
        p = self.begin("-o", "-", stdout=subprocess.PIPE)
        self.assertEqual(len(p.stdout.read(65536)), 65536)
        return p

    def finish(self, p):
        """Reads the rest; the command's error."""
        rest, stderr = p.communicate()
        return rest, stderr.decode()

    def test_interrupt(self):
        p = self.half_way()
        p.send_signal(signal.SIGINT)
        _, stderr = self.finish(p)
        self.result(p.returncode, stderr, 1)
        self.vm.advances()

    def test_interrupt_while_the_reader_sleeps(self):
        p = self.half_way()
        p.send_signal(signal.SIGINT)
        status = p.wait(60)
        _, stderr = self.finish(p)
        self.result(status, stderr, 1)
        self.vm.advances()

    def test_command_is_killed(self):
        p = self.half_way()
        p.kill()
        self.finish(p)
        self.vm.advances()
        self.snapshot(self.vm)

    def test_reader_goes_away(self):
        p = self.half_way()
        p.stdout.close()
        stderr = p.stderr.read().decode()
        p.stderr.close()
        self.result(p.wait(), stderr, 1)
        self.vm.advances()

    def test_vm_is_killed(self):
        p = self.half_way()
        self.vm.kill()
        _, stderr = self.finish(p)
        self.result(p.returncode, stderr, 1)

    def partial(self):
        return [n for n in os.listdir(self.dir) if ".partial-" in n]

    def during_a_save(self, what, file):
        """Does something once the temporary file has begun to grow. Whether it was in time is up
        to the machine: what must hold, holds anyway."""
        p = self.begin("-o", file, stdout=subprocess.DEVNULL)
        with contextlib.suppress(FileNotFoundError):
            wait_for("a file that grows", lambda: p.poll() is not None or any(
                os.path.getsize(self.path(n)) > 4096 for n in self.partial()))
        what(p)
        stderr = p.stderr.read().decode()
        p.stderr.close()
        p.wait()
        return p.returncode, stderr

    def whole(self, file):
        subprocess.run([SNAPINSPECT, "verify", file], check=True, stdout=subprocess.DEVNULL)

    def test_file_is_whole_or_absent(self):
        file = self.path("x.vmsnap")
        self.during_a_save(lambda p: p.kill(), file)
        if os.path.exists(file):
            self.whole(file)
        # A killed command cannot clean up: its file is left, under a name that says so.
        for name in self.partial():
            self.assertRegex(name, r"\A\.x\.vmsnap\.partial-\w{6}\Z")
        self.vm.advances()

    def test_old_file_survives_interrupt_and_kill(self):
        file = self.snapshot(self.vm)
        status, stderr = self.during_a_save(lambda p: p.send_signal(signal.SIGINT), file)
        if status not in (0, -signal.SIGINT):
            self.result(status, stderr, 1)
            self.no_debris("x.vmsnap")
        self.whole(file)
        self.vm.advances()
        status, stderr = self.during_a_save(lambda p: self.vm.kill(), file)
        if status:
            self.result(status, stderr, 1)
            self.assertEqual(self.partial(), [])
        self.whole(file)


class Disks(Case):
    def setUp(self):
        super().setUp()
        self.image = self.new_image()

    def saved(self):
        vm = self.start("f", ENDLESS, "--disk", f"path={self.image},id=root").reach(1)
        return self.snapshot(vm, "x.vmsnap", "--stop")

    def refused(self, file, status):
        self.vmm("restore", file, "--console", "none", status=status)

    def test_vanished(self):
        file = self.saved()
        os.rename(self.image, self.image + ".gone")
        self.refused(file, 3)
        os.rename(self.image + ".gone", self.image)
        self.restore("f", file).advances()

    def test_other_size(self):
        file = self.saved()
        os.chmod(self.image, 0o600)
        with open(self.image, "r+b") as f:
            f.truncate(2 << 20)
        self.refused(file, 3)

    def test_two_machines(self):
        vm = self.start("f", ENDLESS, "--disk", f"path={self.image},id=root").reach(1)
        other = self.start("g", ENDLESS, "--disk", f"path={self.image}", ready=False)
        self.result(other.wait(), other.stderr(), 1)
        vm.advances()


class Kvm(Case):
    """Calls that KVM refuses, one at a time."""

    def faulty(self, call, match, nth, error):
        self.log = self.path("fault.log")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.log)
        return environment(VMM_RUNTIME_DIR=self.runtime, LD_PRELOAD=FAULT, FAULT_CALL=call,
                           FAULT_MATCH=str(match), FAULT_NTH=str(nth), FAULT_ERRNO=str(error),
                           FAULT_LOG=self.log)

    def happened(self):
        return os.path.getsize(self.log) > 0

    def test_no_kvm(self):
        for error in (errno.ENOENT, errno.EACCES):
            env = self.faulty("open", "/dev/kvm", 1, error)
            vm = self.start("f", FINITE, env=env, ready=False)
            self.result(vm.wait(), vm.stderr(), 1)
            self.assertTrue(self.happened())
            self.vmm("host", status=1, env=env)

    def test_run_refused(self):
        for nth in (1, 2):
            env = self.faulty("ioctl", KVM_RUN, nth, errno.EIO)
            vm = self.start("f", FINITE, env=env, ready=False)
            self.result(vm.wait(), vm.stderr(), 1)
            self.assertTrue(self.happened())

    def refused_or_done(self, vm):
        """True if the VM is up."""
        def decided():
            if vm.process.poll() is not None:
                return "ended"
            with contextlib.suppress(OSError):
                with vm.control() as c:
                    return "up" if c.receive() and c.call("status") else None
            return None
        with contextlib.suppress(AssertionError):
            if wait_for("the VM", decided) == "up":
                return True
        self.result(vm.wait(), vm.stderr(), 1)
        return False

    def test_run_and_snapshot(self):
        expected = self.start("whole", FINITE).done()
        times = 0
        for name, request in KVM.items():
            for nth in (1, 2, 3) if name.startswith("GET") else (1, 2):
                with self.subTest(name, nth=nth):
                    times += self.one_run(request, nth, expected)
        self.assertGreater(times, len(KVM) // 2)

    def one_run(self, request, nth, expected):
        vm = self.start("f", FINITE, ready=False,
                        env=self.faulty("ioctl", request, nth, errno.EIO))
        try:
            if not self.refused_or_done(vm):
                return self.happened()
            p = subprocess.run([VMM, "snapshot", "f", "-o", self.path("x.vmsnap")], env=self.env,
                               capture_output=True, text=True, check=False)
            if vm.process.poll() is None and p.returncode:
                self.result(p.returncode, p.stderr, 1)
            if vm.process.poll() is None:
                self.no_debris(*([] if p.returncode else ["x.vmsnap"]))
                self.assertEqual(vm.done(), expected)
            else:
                self.result(vm.wait(), vm.stderr(), 1)
            return self.happened()
        finally:
            vm.kill()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path("x.vmsnap"))

    def test_restore(self):
        vm = self.start("f", FINITE)
        file = self.snapshot(vm, "x.vmsnap", "--stop")
        said, times = vm.output(), 0
        whole = self.restore("f", file)
        whole.before = said
        expected = whole.done()
        whole.kill()
        for name, request in KVM.items():
            for nth in (1, 2):
                with self.subTest(name, nth=nth):
                    vm = self.restore("f", file, ready=False,
                                      env=self.faulty("ioctl", request, nth, errno.EINVAL))
                    vm.before = said
                    if self.refused_or_done(vm):
                        self.assertEqual(vm.done(), expected)
                    times += self.happened()
                    vm.kill()
        self.assertGreater(times, len(KVM) // 2)


if __name__ == "__main__":
    main()
