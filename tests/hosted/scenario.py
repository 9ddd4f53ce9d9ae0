#!/usr/bin/env python3
"""What is tried with a Debian guest, inside an emulated host: scenario.py NAME.

Runs in the emulated host, as root, with the guest's files in /root and vmm
in /usr/bin. Prints what it sees; ends with an AssertionError if that is wrong.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

from lib import (GuestAgent, GuestError, Process, make_tap, multiqueue_tap, run, wait_ready_file,
                 wait_until)

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
            with open(self.console, encoding="utf-8", errors="replace") as file:
                print("".join(file.readlines()[-20:]))
            say("the guest did not come up:", error)
            sys.exit(DID_NOT_BOOT)
        say("booted:", json.dumps(facts))
        self.agent = GuestAgent.connect(self.agent_path)
        return facts

    def restore(self, path, *more):
        net = ["--net", "lan=tap0"] if self.disk and "--net" not in more else []
        self._start("restore", path, *net, *more)
        started = time.monotonic()
        wait_until("restored VM", lambda: os.path.exists(self.agent_path) or
                   self.process.popen.poll() is not None)
        if self.process.popen.poll() is not None:
            raise AssertionError(self.process.last_words())
        self.agent = GuestAgent.connect(self.agent_path)
        state = self.agent.status(60)
        say(f"restored, answers after {time.monotonic() - started:.2f} s")
        return state

    def snapshot(self, path, *more):
        say(run("vmm", "snapshot", "guest", "-o", path, *more).strip())

    def kill(self):
        self.agent.close()
        self.process.kill()

    def power_off(self):
        self.agent.cmd("poweroff")
        status = self.process.wait(60)
        assert status == 0, (status, self.process.last_words())


def ping():
    run("ping", "-c", 3, "-W", 5, GUEST_IP)


def check_time(agent):
    """CLOCK_REALTIME of the guest, right within a second, however long the answer takes."""
    earliest = time.time()
    guest = agent.status(60)["real_ns"] / 1e9
    assert earliest - 1 < guest < time.time() + 1, \
        f"the guest's wall clock is off by {guest - earliest:.3f} s"


def check_alive(vm, before):
    """The guest goes on where @before left it, and can vouch for everything."""
    now = vm.agent.check()
    assert now["seq"] >= before["seq"], (before, now)
    assert now["mono_ns"] >= before["mono_ns"], (before, now)
    assert now["files_written"] >= before["files_written"], (before, now)
    check_time(vm.agent)
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
    assert facts["poweroff"] == "acpi", facts


def snapshot():
    """Snapshot under load, kill -9, restore."""
    vm = Vm()
    check_facts(vm.boot())
    time.sleep(2)
    vm.agent.cmd("write", "before", "written-before")
    before = vm.agent.check()
    vm.snapshot("/root/one.vmsnap")
    after = vm.agent.check()
    assert after["seq"] > before["seq"], "the guest did not go on"
    vm.kill()
    say(run("vmm", "check", "/root/one.vmsnap").strip())
    say(run("snapinspect", "info", "/root/one.vmsnap").strip())
    run("snapinspect", "verify", "/root/one.vmsnap")
    vm.restore("/root/one.vmsnap")
    check_alive(vm, before)
    assert vm.agent.cmd("read", "before")["text"] == "written-before"
    vm.agent.cmd("write", "after", "written-after")
    assert vm.agent.cmd("read", "after")["text"] == "written-after"
    vm.power_off()
    fsck(vm)


def refused(rule, *argv):
    done = subprocess.run(["vmm", "restore", *argv, "--console", "none"], capture_output=True,
                          text=True, timeout=60, check=False)
    say("refused:", done.stderr.strip())
    assert done.returncode == 3 and done.stderr.count("\n") == 1, done
    assert rule in done.stderr, (rule, done.stderr)


def refuse_what_does_not_fit(path, disk):
    """Other disks and networks are allowed, if they are what the guest knows."""
    before = set(os.listdir("/root"))
    run("cp", "-p", disk, "/tmp/small.img")
    os.chmod("/tmp/small.img", 0o644)
    os.truncate("/tmp/small.img", os.path.getsize(disk) // 2)
    refused("D052", path, "--disk", "data=/tmp/small.img", "--net", "lan=tap0")
    refused("D050", path, "--disk", "data=/tmp/none.img", "--net", "lan=tap0")
    os.unlink("/tmp/small.img")
    with multiqueue_tap("tap9"):
        refused("D020", path, "--net", "lan=tap9")
    assert set(os.listdir("/root")) == before, "a refused restore left something behind"


def disk_of_the_moment():
    """A restored guest sees the disk of the snapshot, whatever was written later."""
    vm = Vm()
    vm.boot()
    vm.agent.cmd("write", "marker", "at-the-snapshot")
    vm.agent.cmd("fsync")
    before = vm.agent.check()
    vm.snapshot("/root/one.vmsnap")
    vm.agent.cmd("write", "marker", "later")
    vm.agent.cmd("fsync")
    time.sleep(2)
    vm.kill()
    refuse_what_does_not_fit("/root/one.vmsnap", vm.disk)
    vm.restore("/root/one.vmsnap")
    check_alive(vm, before)
    assert vm.agent.cmd("read", "marker")["text"] == "at-the-snapshot"
    vm.power_off()
    fsck(vm)
    # Somebody writes to what the snapshot needs.
    os.chmod(vm.disk, 0o644)
    with open(vm.disk, "r+b") as file:
        file.seek(1 << 20)
        file.write(b"tampered")
    refused("D05", "/root/one.vmsnap", "--net", "lan=tap0")


def chain(times):
    """Again and again, each restored from the last."""
    vm = Vm()
    vm.boot()
    state = vm.agent.check()
    for i in range(times):
        time.sleep(0.3)
        vm.snapshot(f"/root/{i}.vmsnap")
        vm.kill()
        if i:
            os.unlink(f"/root/{i - 1}.vmsnap")
        vm.restore(f"/root/{i}.vmsnap")
        state = check_alive(vm, state)
        say("round", i + 1)
    vm.power_off()
    fsck(vm)


def large():
    """6 GiB of sparse RAM: two memory slots."""
    vm = Vm(memory="6G")
    vm.boot()
    before = vm.agent.check()
    vm.snapshot("/root/large.vmsnap")
    vm.kill()
    vm.restore("/root/large.vmsnap")
    check_alive(vm, before)
    vm.power_off()
    fsck(vm)


def reboot_and_button():
    """The guest resets itself; later its power button is pressed."""
    vm = Vm()
    vm.boot()
    vm.agent.cmd("reboot")
    wait_until("second boot", lambda: open(vm.console, errors="replace").read()
               .count("GUEST READY") == 2, 300)
    vm.agent.close()
    vm.agent = GuestAgent.connect(vm.agent_path)
    check_facts_again = vm.agent.check()
    say("rebooted, uptime", check_facts_again["uptime"])
    run("vmm", "pause", "guest")
    run("vmm", "stop", "guest", status=1)
    time.sleep(1)
    run("vmm", "resume", "guest")
    check_alive(vm, check_facts_again)
    run("vmm", "stop", "guest")
    assert vm.process.wait(120) == 0, vm.process.last_words()
    fsck(vm)


def save_for_elsewhere():
    """The first half of a move to another host: what is needed ends up in /out."""
    vm = Vm(disk="/root/disk.img")
    vm.boot()
    vm.agent.cmd("write", "home", "first-host")
    before = vm.agent.check()
    vm.snapshot("/out/moved.vmsnap")
    vm.kill()
    shutil.copy2("/root/disk.img", "/out/disk.img")
    with open("/out/before.json", "w", encoding="utf-8") as file:
        json.dump(before, file)


def restore_elsewhere():
    """The second half, on a host that never saw the guest."""
    with open("/root/before.json", encoding="utf-8") as file:
        before = json.load(file)
    assert not os.stat("/root/moved-disk.img").st_mode & stat.S_IWUSR
    vm = Vm(disk="/root/moved-disk.img")
    run("ip", "link", "set", "tap0", "down")
    run("ip", "link", "set", "tap0", "name", "tap7")
    run("ip", "link", "set", "tap7", "up")
    vm.restore("/root/moved.vmsnap", "--disk", "data=/root/moved-disk.img", "--name", "renamed",
               "--net", "lan=tap7")
    assert "renamed" in run("vmm", "status", "renamed")
    check_alive(vm, before)
    assert vm.agent.cmd("read", "home")["text"] == "first-host"
    vm.power_off()
    fsck(vm)


def without_acpi():
    """The guest goes by the 8259As and the lines in PCI configuration. Debian's kernels do not read
    the MP table, so one CPU is all that they find: tests/guest/mptable.c reads it instead."""
    vm = Vm(options=["--layout", "x86_64/linux@2"])
    facts = vm.boot(f"{CMDLINE} acpi=off pci=nomsi")
    assert facts["poweroff"] == "none" and facts["cpus"] == 1, facts
    assert facts["data"] == "ext4" and facts["msix_interrupts"] == 0, facts
    vm.agent.cmd("write", "home", "no-acpi")
    vm.agent.cmd("fsync")
    before = vm.agent.check()
    vm.snapshot("/root/no-acpi.vmsnap")
    vm.kill()
    vm.restore("/root/no-acpi.vmsnap")
    check_alive(vm, before)
    assert vm.agent.cmd("read", "home")["text"] == "no-acpi"
    vm.kill()


def multiboot():
    """Multiboot kernels on a complete KVM; one of them has nothing but the MP table to go by."""
    for kernel, cpus, wanted in (("multiboot", 1, "MULTIBOOT flags=0x000000000000024d "),
                                 ("multiboot-flat", 1, "MULTIBOOT flags=0x000000000000024d "),
                                 ("mptable", 2, "MPTABLE cpus=2 com=4 slot=1 pin=9\nCOM1 came\n"),
                                 ("mptable", 16, "PCI came, bytes=32\n")):
        said = f"/tmp/{kernel}.{cpus}"
        with Process(["vmm", "run", "--name", "mb", "--kernel", f"{WORK}/{kernel}", "--cpus", cpus,
                      "--debug-exit", "--console", f"file:{said}"], "/tmp/mb.log") as vm:
            assert vm.wait(60) == 33, vm.last_words()
        assert wanted in Path(said).read_text(), (kernel, Path(said).read_text())
        say(kernel, cpus, "as it should be")


FIRMWARE_PASSES = 40


def firmware():
    """The firmware of tests/guest on a complete KVM: reset, saved, killed, restored, to the end."""
    import bios_disk  # is here for this scenario only
    for layout in ("x86_64/bios@1", "x86_64/bios@2"):
        for memory in (64, 6144):
            disk = bios_disk.make_disk(f"/tmp/fw.{layout[-1]}.{memory}.img", FIRMWARE_PASSES, 1)
            one, two = f"{disk}.1", f"{disk}.2"
            with Process(["vmm", "run", "--name", "fw", "--bios", f"{WORK}/bios.rom", "--layout",
                          layout, "--memory", f"{memory}M", "--cpus", 2, "--disk",
                          f"path={disk}", "--console", f"file:{one}"], "/tmp/fw.log") as vm:
                wait_until("reading", lambda: os.path.exists(one) and
                           b"READ" in Path(one).read_bytes())
                run("vmm", "snapshot", "fw", "-o", "/root/fw.vmsnap")
                vm.kill()
            with Process(["vmm", "restore", "/root/fw.vmsnap", "--name", "fw", "--console",
                          f"file:{two}"], "/tmp/fw.log") as vm:
                assert vm.wait(120) == 0, vm.last_words()
            with open(one, encoding="ascii") as first, open(two, encoding="ascii") as second:
                before, rest = first.read(), second.read()
            whole = (bios_disk.start_lines(memory, 2) + "RESET way=0\n" +
                     bios_disk.start_lines(memory, 2, 1) + bios_disk.reads(FIRMWARE_PASSES))
            assert whole.startswith(before) and whole.endswith(rest), (before, rest)
            assert rest.count("READ ") > 1, rest
            say(layout, memory, rest.strip().splitlines()[-1])


# --- hosts that differ ------------------------------------------------------------------------

# What the first host saves: all that it has, a level that the others have too, and a policy made for
# the three of them.
POLICIES = {
    "all": (),
    "level": ("--cpu", "x86_64-v2", "--phys-bits", 36),
    "fleet": ("--cpu", "/root/fleet.json", "--phys-bits", 36),
}


def profile():
    run("vmm", "host", "--export", "/out/host.json")


def save_for_unlike():
    for name, options in POLICIES.items():
        vm = Vm(memory="128M", disk=None, options=options)
        vm.boot()
        vm.agent.cmd("write", "home", name)
        before = vm.agent.check()
        vm.snapshot(f"/out/{name}.vmsnap")
        vm.kill()
        with open(f"/out/{name}.json", "w", encoding="utf-8") as file:
            json.dump(before, file)


def restore_unlike():
    """What `vmm check` says is so: it restores and runs, or is refused by the same rule."""
    for name in POLICIES:
        path = f"/root/{name}.vmsnap"
        done = subprocess.run(["vmm", "check", "--json", path], capture_output=True, text=True,
                              check=False)
        with open(f"/out/{name}.json", "w", encoding="utf-8") as file:
            file.write(done.stdout)
        verdict = json.loads(done.stdout)
        refused = [f["rule"] for f in verdict["findings"] if f["severity"] == "refusal"]
        say(name, verdict["verdict"], [(f["rule"], f["subject"], f["saved"])
                                       for f in verdict["findings"]])
        assert done.returncode == (3 if refused else 0), done
        if refused:
            done = subprocess.run(["vmm", "restore", path, "--console", "none"],
                                  capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 3 and done.stderr.count("\n") == 1, done
            assert refused[0] in done.stderr, done.stderr
            continue
        with open(f"/root/{name}.json", encoding="utf-8") as file:
            before = json.load(file)
        vm = Vm(disk=None)
        vm.restore(path)
        now = vm.agent.check()
        assert now["seq"] >= before["seq"], (before, now)
        check_time(vm.agent)
        assert vm.agent.cmd("read", "home")["text"] == name
        vm.power_off()


SCENARIOS = {
    "snapshot": snapshot,
    "disk": disk_of_the_moment,
    "chain": lambda: chain(int(os.environ.get("TIMES", "3"))),
    "large": large,
    "reboot": reboot_and_button,
    "acpi-off": without_acpi,
    "multiboot": multiboot,
    "firmware": firmware,
    "save-for-elsewhere": save_for_elsewhere,
    "restore-elsewhere": restore_elsewhere,
    "profile": profile,
    "save-for-unlike": save_for_unlike,
    "restore-unlike": restore_unlike,
}


def tell_of_silence():
    """Where a guest that does not answer is: the VM's own word, and what its processors do."""
    for name in sorted(os.listdir("/tmp")):
        if name.startswith(("console", "vmm")) and os.path.isfile(f"/tmp/{name}"):
            with open(f"/tmp/{name}", encoding="utf-8", errors="replace") as file:
                print(f"{name}:", *file.readlines()[-8:], sep="\n    ")
    for argv in (["vmm", "list"], ["vmm", "snapshot", "guest", "-o", "/tmp/silent.vmsnap"],
                 ["sh", "-c", "snapinspect cpu /tmp/silent.vmsnap | grep -E 'rip|rflags|mp_state'"],
                 ["snapinspect", "state", "/tmp/silent.vmsnap", "data"],
                 ["snapinspect", "state", "/tmp/silent.vmsnap", "hvc"]):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        print(*argv, done.stdout, done.stderr, sep="\n    ")


def main():
    os.environ["VMM_RUNTIME_DIR"] = "/tmp/vmm"
    make_tap("tap0", f"{HOST_IP}/24")
    try:
        SCENARIOS[sys.argv[1]]()
    except GuestError:
        tell_of_silence()
        raise
    say("passed")


main()
