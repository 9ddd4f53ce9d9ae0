"""x86-64 hosts that differ: what is done on each of them; unlike_hosts.py has the hosts."""

import json
import subprocess

from guestvm import Vm, check_time, run, say

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
        check_time(vm)
        assert vm.agent.cmd("read", "home")["text"] == name
        vm.power_off()


SCENARIOS = {
    "profile": profile,
    "save-for-unlike": save_for_unlike,
    "restore-unlike": restore_unlike,
}
