"""Live snapshots, where memory can be protected against writes and where it has to be copied."""

import json
import platform

from guestvm import ARCH, check_alive, say, usual_vm
from lib import run


def can_protect_memory():
    """Whether this kernel does against writes by a guest, as Debian has it."""
    version = tuple(map(int, platform.release().split(".")[:2]))
    return version >= ((5, 19) if ARCH == "x86_64" else (6, 10))


def snapshot(name, *options):
    result = json.loads(run("vmm", "snapshot", "guest", "-o", f"/root/{name}.vmsnap", "--live",
                            "--json", *options, timeout=400))
    say(name, json.dumps(result))
    wanted = "protected" if can_protect_memory() else "copied"
    assert result["memory"] == wanted, result
    assert ("not_protected" in result) == (wanted == "copied"), result


def compare_with_stopped():
    """What a chain has of a paused guest, and a stopped snapshot of it, for whoever can compare."""
    run("vmm", "pause", "guest")
    snapshot("last", "--parent", "/root/second.vmsnap")
    run("vmm", "snapshot", "guest", "-o", "/out/stopped.vmsnap", timeout=400)
    run("vmm", "merge", "/root/last.vmsnap", "-o", "/out/merged.vmsnap", timeout=400)


def live():
    """Of a guest that writes to disk and memory and goes on, kill -9, restore."""
    vm = usual_vm()
    vm.agent.cmd("ram", 8, timeout=400)
    first = vm.agent.check()
    snapshot("first", "--track")
    second = vm.agent.check()
    assert second["seq"] > first["seq"], "the guest did not go on"
    snapshot("second", "--parent", "/root/first.vmsnap")
    third = vm.agent.check()
    assert third["seq"] > second["seq"], "the guest did not go on"
    compare_with_stopped()
    vm.kill()
    run("snapinspect", "verify", "/root/second.vmsnap")
    vm.restore("/root/second.vmsnap")
    check_alive(vm, second)


SCENARIOS = {"live": live}
