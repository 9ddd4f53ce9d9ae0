#!/usr/bin/env python3
"""The demonstration itself: demo.py DIR, with vmlinuz, initrd and disk.img in DIR.

Runs where the guest runs, with vmm and snapinspect in the PATH.
"""

import json
import os
import platform
import sys
import time
from pathlib import Path

from lib import GuestAgent, Process, run, wait_ready_file, wait_until

WORK = Path(sys.argv[1])
LAYOUT = {"x86_64": "x86_64/linux@1", "aarch64": "aarch64/linux@2"}[platform.machine()]
CMDLINE = "console=ttyS0 quiet guest.port=hvc0"


def say(text):
    print(f"\n\033[1m== {text}\033[0m", flush=True)


def show(*argv, lines=40, status=0):
    """Run a command as a person would, and show it."""
    words = [str(a).replace(str(WORK) + "/", "") for a in argv]
    print("$", " ".join(words), flush=True)
    out = run(*argv, status=status).splitlines()
    for line in out[:lines]:
        print("  ", line.replace(str(WORK) + "/", ""))
    if len(out) > lines:
        print(f"   ... {len(out) - lines} more lines")
    sys.stdout.flush()


def start(life, *argv):
    words = [*argv, "--console", f"file:{WORK}/console{life}",
             "--virtio-console", f"unix:{WORK}/agent{life}"]
    return Process(["vmm", *map(str, words)], WORK / f"vmm{life}.log")


def agent_of(life, process):
    path = f"{WORK}/agent{life}"
    wait_until("the VM", lambda: os.path.exists(path) or process.popen.poll() is not None)
    assert process.popen.poll() is None, process.last_words()
    return GuestAgent.connect(path)


def tell(state):
    clock = time.strftime("%H:%M:%S", time.gmtime(state["real_ns"] / 1e9))
    print(f"   counter {state['seq']}, {state['files_written']} files written, "
          f"its clock says {clock} UTC", flush=True)


def main():
    say("The memory map is data: this is what the machine will be built from")
    show("vmm", "layout", "show", LAYOUT, "--memory", "256M", lines=14)

    say("Boot an unmodified Debian kernel: 2 CPUs, a virtio disk with ext4, an entropy source")
    started = time.monotonic()
    first = start(1, "run", "--name", "demo", "--kernel", WORK / "vmlinuz", "--initrd",
                  WORK / "initrd", "--cmdline", CMDLINE, "--cpus", 2, "--memory", "256M", "--layout", LAYOUT,
                  "--disk", f"path={WORK}/disk.img,id=data")
    with first:
        facts = wait_ready_file(f"{WORK}/console1", first, 300)
        print(f"   Linux {facts['release']} is up after {time.monotonic() - started:.0f} s, "
              f"{facts['cpus']} CPUs, disk {facts['data']}, clock {facts['clocksource']}")
        agent = agent_of(1, first)
        time.sleep(2)
        agent.cmd("write", "note", "written-before-the-snapshot")
        before = agent.check()
        print("   it counts, writes files to its disk and checks them, all the time:")
        tell(before)

        say("Take a snapshot while it works")
        show("vmm", "snapshot", "demo", "-o", WORK / "demo.vmsnap")
        show("snapinspect", "verify", WORK / "demo.vmsnap")

        say("Let it go on for a moment, then kill it: kill -9, no goodbye")
        time.sleep(1)
        tell(agent.status())
        agent.close()
        first.kill()
        show("vmm", "list")

    say("Would the snapshot restore here? The check comes before any byte of state is applied")
    show("vmm", "check", WORK / "demo.vmsnap")

    say("Restore it, in a new process")
    second = start(2, "restore", WORK / "demo.vmsnap")
    with second:
        agent = agent_of(2, second)
        tell(agent.status(120))
        after = agent.check()
        note = agent.cmd("read", "note")["text"]
        assert note == "written-before-the-snapshot" and after["seq"] >= before["seq"]
        off = abs(time.time() - agent.status()["real_ns"] / 1e9)
        print(f"   the counter has {after['gaps']} gaps, the clock is right within {off:.2f} s,"
              f"\n   every file on the disk verifies, the note reads: {note}")
        agent.cmd("poweroff")
        assert second.wait(60) == 0, second.last_words()
        print("   it has shut down in good order")

    say("Would it run on another host? Ask its profile, here, without KVM: one with fewer address bits")
    show("vmm", "host", "--export", WORK / "host.json")
    profile = json.loads((WORK / "host.json").read_text())
    profile["host"]["phys_bits"] = 36
    (WORK / "other.json").write_text(json.dumps(profile))
    show("snapinspect", "check", "--host", WORK / "other.json", WORK / "demo.vmsnap", status=3)

    say("Look into the file, without a VM")
    show("snapinspect", "info", WORK / "demo.vmsnap")
    show("snapinspect", "state", WORK / "demo.vmsnap", "com1")
    say("Done: nothing is running")


main()
