"""Scenarios of the PC: no ACPI, multiboot kernels, firmware, copies that know it."""

import json
import os
from pathlib import Path

from guestvm import CMDLINE, WORK, Vm, check_alive, say
from lib import Process, run, wait_until


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


FIRMWARE_PASSES = 100


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


GENERATION_PAGE = 0xFF000  # with everything below it backed, as many bytes into the VM's memory
RESEEDED = "crng reseeded due to virtual machine fork"


def generation_of(vm):
    """The identifier as it lies in the guest's memory."""
    fds = Path(f"/proc/{vm.process.popen.pid}/fd")
    memory = next(fd for fd in fds.iterdir() if "guest-ram" in os.readlink(fd))
    with open(memory, "rb") as file:
        return os.pread(file.fileno(), 16, GENERATION_PAGE).hex()


def saved_generation(path):
    """The identifier as the record of the device has it."""
    (record,) = json.loads(run("snapinspect", "state", "--json", path, "genid"))
    return record["state"]["id"]


def generation():
    """Two machines that go on from one moment are not the same machine, and their guests know it."""
    vm = Vm(disk=None)
    vm.boot()
    log = vm.agent.dmesg()
    assert RESEEDED not in log, log
    ids = {generation_of(vm)}
    assert bytes(16).hex() not in ids, ids
    vm.snapshot("/root/first.vmsnap")
    assert generation_of(vm) in ids and saved_generation("/root/first.vmsnap") in ids
    vm.kill()
    drawn = set()
    for turn in range(2):
        vm.restore("/root/first.vmsnap")
        wait_until("reseeding", lambda: RESEEDED in vm.agent.dmesg(), 60)
        drawn.add(vm.agent.cmd("random")["random"])
        ids.add(generation_of(vm))
        vm.snapshot(f"/root/copy{turn}.vmsnap")
        assert saved_generation(f"/root/copy{turn}.vmsnap") == generation_of(vm)
        vm.agent.check()
        vm.kill()
    say("identifiers", *sorted(ids), "random", *sorted(drawn))
    assert len(ids) == 3 and len(drawn) == 2, (ids, drawn)
    # A copy of a copy.
    vm.restore("/root/copy0.vmsnap", "--name", "third")
    wait_until("reseeding", lambda: vm.agent.dmesg().count(RESEEDED) == 2, 60)
    ids.add(generation_of(vm))
    assert len(ids) == 4, ids
    vm.power_off()


SCENARIOS = {
    "generation": generation,
    "acpi-off": without_acpi,
    "multiboot": multiboot,
    "firmware": firmware,
}
