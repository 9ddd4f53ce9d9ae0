#!/usr/bin/env python3
"""What is tried with a Debian guest, inside an emulated host: scenario.py NAME[:ARG,...]...

Runs in the emulated host, as root, with the guest's files in /root and vmm
in /usr/bin. Prints what it sees; ends with an AssertionError if that is wrong.
"""

import functools
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import elsewhere
import guestvm
from guestvm import (ARCH, HOST_IP, WORK, Vm, check_alive, check_facts, fsck, refused, say,
                     usual_vm)
from lib import GuestAgent, GuestError, make_tap, multiqueue_tap, run, wait_until


HAS_BUTTON = {"x86_64": True, "aarch64": False}


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


def record_working_set(vm, path, state):
    """By a restore that is not gone on from: the next one of @path uses it."""
    vm.restore(path, "--lazy")
    check_alive(vm, state)
    vm.loaded()
    recorded = os.path.getsize(f"{path}.ws")
    say("working set of", (recorded - 64) // 8, "chunks")
    assert recorded > 64, recorded
    vm.kill()


def refuse_what_was_tampered_with(path, disk):
    """Somebody wrote to what a snapshot needs."""
    run("cp", "-p", disk, "/tmp/tampered.img")
    os.chmod("/tmp/tampered.img", 0o644)
    with open("/tmp/tampered.img", "r+b") as file:
        file.seek(1 << 20)
        file.write(b"tampered")
    refused("D05", path, "--disk", "data=/tmp/tampered.img", "--net", "lan=tap0")
    os.unlink("/tmp/tampered.img")


def write_and_sync(vm, text):
    vm.agent.cmd("write", "marker", text)
    vm.agent.cmd("fsync")


def snapshot(times="1"):
    """Snapshot under load, kill -9, restore, again and again, each restored from the last, by turns at
    once and in full. The disk is that of the moment, whatever was written later."""
    vm = usual_vm()
    check_facts(vm.facts)
    state = vm.agent.check()
    for i in range(int(times)):
        path = f"/root/{i}.vmsnap"
        write_and_sync(vm, f"snapshot {i}")
        vm.snapshot(path)
        after = vm.agent.check()
        assert after["seq"] > state["seq"], "the guest did not go on"
        write_and_sync(vm, "later")
        vm.kill()
        if i:
            os.unlink(f"/root/{i - 1}.vmsnap")
        else:
            say(run("vmm", "check", path).strip())
            say(run("snapinspect", "info", path).strip())
            run("snapinspect", "verify", path)
            refuse_what_does_not_fit(path, vm.disk)
            refuse_what_was_tampered_with(path, vm.disk)
            record_working_set(vm, path, state)
        vm.restore(path, *(() if i % 2 else ("--lazy",)))
        state = check_alive(vm, state)
        assert vm.agent.cmd("read", "marker")["text"] == f"snapshot {i}"
        say("round", i + 1)


def huge_pages():
    """Memory in huge pages of the host: the guest notices nothing, and the host keeps its own."""
    def unused():
        with open("/proc/meminfo", encoding="ascii") as file:
            return int(next(line for line in file if "HugePages_Free" in line).split()[1])

    def refused_for_want_of_pages(*argv):
        done = subprocess.run(["vmm", *argv, "--hugepages", "--console", "none"], timeout=60,
                              capture_output=True, text=True, check=False)
        say("refused:", done.stderr.strip())
        assert done.returncode == 1 and "huge pages of 2 MiB are needed" in done.stderr, done

    def set_aside(number):
        with open("/proc/sys/vm/nr_hugepages", "w", encoding="ascii") as file:
            file.write(str(number))

    set_aside(140)
    free = unused()
    assert free == 140, free
    vm = Vm(options=["--hugepages"])
    vm.boot()
    # 256 MiB, and less than a page on each side where a map begins with a small region.
    assert free - unused() in (128, 129), unused()
    refused_for_want_of_pages("run", "--name", "second", "--kernel", f"{WORK}/vmlinuz")
    before = vm.agent.check()
    vm.snapshot("/root/huge.vmsnap")
    vm.kill()
    wait_until("the pages are back", lambda: unused() == free)
    set_aside(100)
    refused_for_want_of_pages("restore", "/root/huge.vmsnap", "--net", "lan=tap0")
    set_aside(140)
    vm.restore("/root/huge.vmsnap", "--hugepages")
    assert free - unused() in (128, 129), unused()
    check_alive(vm, before)
    vm.power_off()
    fsck(vm)


def stored_bytes(path):
    return os.stat(path).st_blocks * 512


HELD_MIB = 64
ENOUGH = 48 << 20  # of it: what is reported are blocks of 2 MiB that are free as a whole


def hold(vm, mib):
    answer = vm.agent.cmd("hold", mib, timeout=400)
    say(answer)
    return answer


def look(*size):
    """What the balloon is asked for and has, after it was asked for @size, if given."""
    return json.loads(run("vmm", "balloon", "guest", *size, "--json"))


@functools.cache
def balloon_vm():
    """Shared as usual_vm() is."""
    vm = Vm(options=["--balloon"])
    # Pages that are cleared when the driver takes them are written to, and saved as the zeros they are.
    vm.boot(f"{guestvm.CMDLINE} init_on_alloc=0")
    wait_until("a driver", lambda: look()["ready"])
    vm.agent.cmd("ram", 8, timeout=400)
    return vm


def free_pages():
    """What the guest reports as free is neither in the host's memory nor in a snapshot."""
    def resident():
        return int(Path(f"/proc/{vm.process.popen.pid}/statm").read_text().split()[2]) * 4096

    vm = balloon_vm()
    # Statistics come with the second look.
    wait_until("statistics", lambda: "free_bytes" in look())
    hold(vm, HELD_MIB)
    held, dropped = resident(), look()["dropped_bytes"]
    vm.snapshot("/root/full.vmsnap")
    # Given back, reported as free two seconds later, and dropped.
    hold(vm, 0)
    wait_until("reports", lambda: look()["dropped_bytes"] >= dropped + ENOUGH, 400, 1)
    before = vm.agent.check()
    assert resident() < held - ENOUGH, (held, resident())
    vm.snapshot("/root/reported.vmsnap")
    say("stored", stored_bytes("/root/full.vmsnap"), stored_bytes("/root/reported.vmsnap"))
    assert stored_bytes("/root/reported.vmsnap") < stored_bytes("/root/full.vmsnap") - ENOUGH
    vm.kill()
    vm.restore("/root/reported.vmsnap")
    check_alive(vm, before)
    hold(vm, HELD_MIB)
    check_alive(vm, before)
    vm.power_off()
    fsck(vm)


def free_page_hints(also=""):
    """What the guest names as free while it works on is not saved, and it has that back afterwards.
    @also: "live" and incremental snapshots."""
    vm = balloon_vm()
    free = hold(vm, 0)["free_kib"]

    def has_its_pages_back():
        wait_until("free pages", lambda: hold(vm, 0)["free_kib"] > free - (16 << 10), 400, 1)

    def save(path, *more):
        # Given back, and not reported yet.
        hold(vm, 0)
        said = json.loads(run("vmm", "snapshot", "guest", "-o", path, "--free-page-hints", "--json",
                              *more))
        say(said)
        assert said["hinted_bytes"] >= ENOUGH, said
        assert stored_bytes(path) < stored_bytes("/root/full.vmsnap") - ENOUGH
        has_its_pages_back()

    def restore(path, *more):
        vm.kill()
        vm.restore(path, *more)
        has_its_pages_back()
        check_alive(vm, state)

    hold(vm, HELD_MIB)
    vm.snapshot("/root/full.vmsnap")
    state = vm.agent.check()
    save("/root/hints.vmsnap")
    restore("/root/hints.vmsnap", "--lazy")
    if also:
        hold(vm, HELD_MIB)
        save("/root/live.vmsnap", "--live", "--track")
        save("/root/child.vmsnap", "--parent", "/root/live.vmsnap")
        restore("/root/child.vmsnap")
    hold(vm, HELD_MIB)
    check_alive(vm, state)
    vm.power_off()
    fsck(vm)


def balloon():
    """Less memory by command, and more again after a restore."""
    vm = balloon_vm()
    before = vm.agent.check()
    assert look("160M")["target_bytes"] == 160 << 20
    wait_until("the balloon", lambda: look()["actual_bytes"] == 160 << 20, 400, 1)
    say(look())
    assert hold(vm, 0)["free_kib"] < 160 << 10
    vm.snapshot("/root/small.vmsnap")
    vm.kill()
    vm.restore("/root/small.vmsnap")
    state = json.loads(run("vmm", "status", "guest", "--json"))["balloon"]
    assert (state["target_bytes"], state["actual_bytes"]) == (160 << 20, 160 << 20), state
    check_alive(vm, before)
    look("256M")
    wait_until("an empty balloon", lambda: look()["actual_bytes"] == 256 << 20, 400, 1)
    assert hold(vm, 0)["free_kib"] > 160 << 10
    check_alive(vm, before)


def boots_told(vm):
    with open(vm.console, errors="replace", encoding="utf-8") as console:
        return console.read().count("GUEST READY")


def reboot():
    """The guest resets itself, in a machine that was restored: the kernel is still where it was."""
    vm = usual_vm()
    vm.snapshot("/root/reboot.vmsnap")
    vm.kill()
    vm.restore("/root/reboot.vmsnap")
    boots = boots_told(vm)
    vm.agent.cmd("reboot")
    wait_until("second boot", lambda: boots_told(vm) == boots + 1, 300)
    vm.agent.close()
    vm.agent = GuestAgent.connect(vm.agent_path)
    again = vm.agent.check()
    vm.check_first_time()
    say("rebooted, uptime", again["uptime"])


def power_off():
    """By the power button, where there is one: only a guest that runs feels it."""
    vm = usual_vm()
    before = vm.agent.check()
    run("vmm", "pause", "guest")
    run("vmm", "stop", "guest", status=1)
    time.sleep(1)
    run("vmm", "resume", "guest")
    check_alive(vm, before)
    if HAS_BUTTON[ARCH]:
        run("vmm", "stop", "guest")
        assert vm.process.wait(120) == 0, vm.process.last_words()
    else:
        run("vmm", "stop", "guest", status=1)
        vm.power_off()
    fsck(vm)


def restore_elsewhere():
    """On a host that never saw the guest, under another name and on another network."""
    run("ip", "link", "set", "tap0", "down")
    run("ip", "link", "set", "tap0", "name", "tap7")
    run("ip", "link", "set", "tap7", "up")
    vm = elsewhere.restore("moved", "--lazy", "--name", "renamed", "--net", "lan=tap7")
    vm.loaded("renamed")
    assert "renamed" in run("vmm", "status", "renamed")
    vm.power_off()
    fsck(vm)


SCENARIOS = {
    "snapshot": snapshot,
    "balloon": balloon,
    "free-pages": free_pages,
    "hints": free_page_hints,
    "hugepages": huge_pages,
    "reboot": reboot,
    "power-off": power_off,
    # 6 GiB of sparse RAM: two memory slots.
    "save-for-elsewhere": lambda: elsewhere.save("moved", memory="6G"),
    "restore-elsewhere": restore_elsewhere,
}

# Those of one architecture, or of hosts that differ.
MODULES = ("live", "pc", "raw", "unlike", "unlike64")


def find(name):
    known = dict(SCENARIOS)
    for module in MODULES:
        known.update(importlib.import_module(module).SCENARIOS)
    return known[name]


def main():
    os.environ["VMM_RUNTIME_DIR"] = "/tmp/vmm"
    make_tap("tap0", f"{HOST_IP}/24")
    try:
        for step in sys.argv[1:]:
            name, _, arguments = step.partition(":")
            find(name)(*filter(None, arguments.split(",")))
    except GuestError:
        guestvm.tell_of_silence()
        raise
    say("passed")


main()
