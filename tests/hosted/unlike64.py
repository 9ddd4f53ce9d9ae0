"""aarch64 hosts that differ: what is done on each of them; unlike64_hosts.py has the hosts.

@here is this host's name; the snapshots of others, by their names, are in /root.
"""

import json
import os
import shutil
import subprocess

import elsewhere
from guestvm import WORK, Vm, check_alive, check_facts, fsck, refused, say
from lib import run

GICV2_VCPUS = 8  # what its target registers have bits for


def profile(here):
    run("vmm", "host", "--export", f"/out/{here}.profile")


def save(name, memory="256M", policy=""):
    """A guest with what this host has, or with what a policy allows."""
    disk = f"{WORK}/{name}.img"
    shutil.copy(f"{WORK}/disk.img", disk)
    return elsewhere.save(name, disk, ["--cpu", policy] if policy else [], memory)


def judge(here, *names):
    for name in names:
        judge_one(here, name)


def judge_one(here, name):
    """What `vmm check` says is so: it restores and runs, or is refused by the same rule."""
    path = f"/root/{name}.vmsnap"
    done = subprocess.run(["vmm", "check", "--json", path], capture_output=True, text=True,
                          check=False)
    with open(f"/out/{name}-on-{here}.json", "w", encoding="utf-8") as file:
        file.write(done.stdout)
    verdict = json.loads(done.stdout)
    rules = [f["rule"] for f in verdict["findings"] if f["severity"] == "refusal"]
    say(name, verdict["verdict"], *(f"\n    {f['rule']} {f['subject']}: {f['saved']}, {f['found']}"
                                    for f in verdict["findings"]))
    assert done.returncode == (3 if rules else 0), done
    if rules:
        refused(rules[0], path)
        return
    vm = elsewhere.restore(name)
    vm.power_off()
    fsck(vm)


def round_trip(vm, path):
    """Saved, killed, restored, to the end."""
    before = vm.agent.check()
    vm.snapshot(path)
    vm.kill()
    vm.restore(path)
    check_alive(vm, before)
    vm.power_off()
    fsck(vm)


def gic2():
    """A host that has a GICv2 and no other."""
    vm = save("gic2")
    check_facts(vm.facts)
    assert vm.facts["gic"] == "GIC-0" and vm.facts["msix_interrupts"] == 0, vm.facts
    vm.restore("/out/gic2.vmsnap")
    check_alive(vm, vm.agent.status(60))
    vm.power_off()
    fsck(vm)
    done = subprocess.run(["vmm", "run", "--name", "nine", "--kernel", f"{WORK}/vmlinuz", "--cpus",
                           str(GICV2_VCPUS + 1), "--console", "none"], capture_output=True,
                          text=True, timeout=60, check=False)
    say("refused:", done.stderr.strip())
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done
    assert "GICv2" in done.stderr and str(GICV2_VCPUS) in done.stderr, done.stderr


def intx():
    """Without an ITS interrupts arrive on lines."""
    vm = Vm(options=["--layout", "aarch64/linux@1"])
    facts = vm.boot()
    check_facts(facts)
    assert facts["gic"] == "GICv3" and facts["msix_interrupts"] == 0, facts
    round_trip(vm, "/root/intx.vmsnap")


def leave(vm, name):
    with open(f"/out/{name}.json", "w", encoding="utf-8") as file:
        json.dump(vm.agent.check(), file)
    vm.snapshot(f"/out/{name}.vmsnap")
    vm.kill()


def first_leg(name):
    """Of a journey there and back, without a disk."""
    vm = Vm(disk=None)
    vm.boot()
    vm.agent.cmd("write", "home", "where it was booted")
    leave(vm, name)


def leg(last, name):
    with open(f"/root/{last}.json", encoding="utf-8") as file:
        before = json.load(file)
    verdict = json.loads(run("vmm", "check", "--json", f"/root/{last}.vmsnap"))
    say(last, verdict["verdict"], [f["rule"] for f in verdict["findings"]])
    vm = Vm(disk=None)
    vm.restore(f"/root/{last}.vmsnap")
    assert vm.agent.check()["seq"] >= before["seq"]
    assert vm.agent.cmd("read", "home")["text"] == "where it was booted"
    leave(vm, name)


SCENARIOS = {
    "profile64": profile,
    "save64": save,
    "judge64": judge,
    "gic2": gic2,
    "first-leg": first_leg,
    "leg": leg,
    "intx": intx,
}
