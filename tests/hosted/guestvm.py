"""A VM in the emulated host, and what is asked of its guest."""

import functools
import json
import os
import platform
import shutil
import subprocess
import sys
import time

from lib import GuestAgent, GuestError, Process, run, wait_ready_file, wait_until

ARCH = platform.machine()
POWER_OFF = {"x86_64": "acpi", "aarch64": "psci"}
# The processor's state as a person reads it, when a guest says nothing.
CPU_STATE = {
    "x86_64": "snapinspect cpu /tmp/silent.vmsnap | grep -E 'rip|rflags|mp_state'",
    "aarch64": "snapinspect state /tmp/silent.vmsnap | grep -E 'mp_state|0x6030000000100040'",
}
HOST_IP, GUEST_IP = "192.168.77.1", "192.168.77.2"
CMDLINE = f"console=ttyS0 quiet guest.ip={GUEST_IP}/24 guest.port=hvc0"
WORK = "/root"
# Nested virtualization under QEMU's emulation loses a guest now and then while it boots, with
# QEMU inside instead of vmm as well: told apart from what is tested here.
DID_NOT_BOOT = 76


def say(*words):
    print(f"[{time.monotonic():7.2f}]", *words, flush=True)


class Vm:
    """One VM, which may live in several processes one after another."""

    lives = 0  # of all: each has files of its own

    def __init__(self, memory="256M", disk=f"{WORK}/disk.img", options=()):
        """@disk: None for a guest without disk and network."""
        self.memory = memory
        self.disk = disk
        self.options = [*options]
        if disk:
            self.options += ["--disk", f"path={disk},id=data", "--net", "tap=tap0,id=lan"]
        self.process = None
        self.agent = None
        self.facts = None
        self.rtc = None
        self.behind_s = 0.0  # the guest's wall clock; other than 0 if it has no clock chip

    def _start(self, *argv):
        Vm.lives += 1
        self.agent_path = f"/tmp/agent{Vm.lives}"
        self.console = f"/tmp/console{Vm.lives}"
        self.process = Process(["vmm", *argv, "--console", f"file:{self.console}",
                                "--virtio-console", f"unix:{self.agent_path}"],
                               f"/tmp/vmm{Vm.lives}.log")

    def boot(self, cmdline=CMDLINE):
        self._start("run", "--name", "guest", "--kernel", f"{WORK}/vmlinuz",
                    "--initrd", f"{WORK}/initrd", "--cmdline", cmdline, "--cpus", 2,
                    "--memory", self.memory, *self.options)
        try:
            facts = wait_ready_file(self.console, self.process, 300)
        except (GuestError, TimeoutError) as error:
            say("the guest did not come up:", error)
            tell_of_silence()
            sys.exit(DID_NOT_BOOT)
        say("booted:", json.dumps(facts))
        self.agent = GuestAgent.connect(self.agent_path)
        self.facts = facts
        self.rtc = facts["rtc"]
        self.check_first_time()
        return facts

    def check_first_time(self):
        """What the guest takes the time to be when it boots: its clock chip's, or the year 1970."""
        if not self.rtc:
            self.behind_s = time.time() - self.agent.status(60)["real_ns"] / 1e9
        check_time(self)

    def restore(self, path, *more):
        net = ["--net", "lan=tap0"] if self.disk and "--net" not in more else []
        self._start("restore", path, *net, *more)
        started = time.monotonic()
        wait_until("restored VM", lambda: os.path.exists(self.agent_path) or
                   self.process.popen.poll() is not None)
        try:
            self.agent = GuestAgent.connect(self.agent_path)
            state = self.agent.status(60)
        except OSError as error:
            # The far end is gone, so the process ends.
            self.process.wait()
            raise AssertionError(self.process.last_words()) from error
        say(f"restored, answers after {time.monotonic() - started:.2f} s")
        return state

    def loaded(self, name="guest"):
        """Waits until all of its memory is there."""
        wait_until("all of its memory", lambda: not json.loads(
            run("vmm", "status", name, "--json"))["loading"], 300)

    def snapshot(self, path, *more):
        say(run("vmm", "snapshot", "guest", "-o", path, *more).strip())

    def kill(self):
        self.agent.close()
        self.process.kill()

    def power_off(self):
        self.agent.cmd("poweroff")
        status = self.process.wait(60)
        assert status == 0, (status, self.process.last_words())


@functools.cache
def usual_vm():
    """The VM of steps that need no other, one after the other: each leaves it running."""
    vm = Vm()
    vm.boot()
    return vm


def ping():
    """However slow the machine: packets get through in both directions."""
    def answered():
        done = subprocess.run(["ping", "-c", "3", "-W", "5", GUEST_IP], capture_output=True,
                              text=True, check=False)
        if done.returncode:
            say("no answer to ping", run("sh", "-c", "vmm list; cat /proc/net/arp; "
                "grep . /sys/class/net/tap0/statistics/*_packets").strip())
        return done.returncode == 0
    wait_until("answer to ping", answered, 120)


def check_time(vm):
    """The guest's wall clock and clock chip, right within a second, however long answers take."""
    earliest = time.time() - vm.behind_s
    guest = vm.agent.status(60)["real_ns"] / 1e9
    assert earliest - 1 < guest < time.time() - vm.behind_s + 1, \
        f"the guest's wall clock is off by {guest - earliest:.3f} s"
    if vm.rtc:
        earliest = int(time.time())
        chip = vm.agent.cmd("rtc", timeout=60)["rtc_s"]
        assert earliest - 1 <= chip <= time.time() + 1, (vm.rtc, chip, earliest)


def check_alive(vm, before):
    """The guest goes on where @before left it, and can vouch for everything."""
    now = vm.agent.check()
    assert now["seq"] >= before["seq"], (before, now)
    assert now["mono_ns"] >= before["mono_ns"], (before, now)
    assert now["files_written"] >= before["files_written"], (before, now)
    check_time(vm)
    ping()
    say("seq", before["seq"], "->", now["seq"], "files", now["files_written"], "gaps",
        now["gaps"])
    return now


def fsck(vm):
    """The disk after power-off, as one image."""
    top = run("sh", "-c", "ls -t /root/*.vmdisk /root/*/*.vmdisk 2>/dev/null | head -1").strip()
    if top:
        run("vmm", "disk", "flatten", top, "-o", "/tmp/flat.img")
    else:
        shutil.copy(vm.disk, "/tmp/flat.img")
    run("e2fsck", "-f", "-n", "/tmp/flat.img")
    os.unlink("/tmp/flat.img")
    say("fsck clean")


def check_facts(facts):
    assert facts["cpus"] == 2, facts
    assert facts["poweroff"] == POWER_OFF[ARCH], facts


def refused(rule, *argv):
    done = subprocess.run(["vmm", "restore", *argv, "--console", "none"], capture_output=True,
                          text=True, timeout=60, check=False)
    say("refused:", done.stderr.strip())
    assert done.returncode == 3 and done.stderr.count("\n") == 1, done
    assert rule in done.stderr, (rule, done.stderr)


def tell_of_silence():
    """Where a guest that does not answer is: the VM's own word, and what its processors do."""
    for name in sorted(os.listdir("/tmp")):
        if name.startswith(("console", "vmm")) and os.path.isfile(f"/tmp/{name}"):
            with open(f"/tmp/{name}", encoding="utf-8", errors="replace") as file:
                print(f"{name}:", *file.readlines()[-8:], sep="\n    ")
    for argv in (["vmm", "list"], ["vmm", "snapshot", "guest", "-o", "/tmp/silent.vmsnap"],
                 ["sh", "-c", CPU_STATE[ARCH]],
                 ["snapinspect", "state", "/tmp/silent.vmsnap", "data"],
                 ["snapinspect", "state", "/tmp/silent.vmsnap", "hvc"]):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        print(*argv, done.stdout, done.stderr, sep="\n    ")
