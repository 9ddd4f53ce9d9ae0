"""Snapshots of the encoding raw, and clones, on a KVM that is complete: run by scenario.py."""

import json
import os

from guestvm import Vm, check_alive, say, usual_vm
from lib import GuestAgent, run, wait_until

RAW = "/root/raw.vmsnap"


def raw():
    """Mapped, and cut off under the guest."""
    vm = usual_vm()
    before = vm.agent.check()
    vm.snapshot(RAW, "--encoding", "raw")
    vm.kill()
    vm.restore(RAW)
    check_alive(vm, before)
    vm.snapshot("/root/live.vmsnap", "--live")
    run("snapinspect", "verify", "/root/live.vmsnap")
    os.truncate(RAW, 4 << 20)
    status = vm.process.wait(120)
    said = vm.process.last_words()
    say("cut off:", status, said)
    assert status == 1 and "guest memory cannot be read any more" in said, (status, said)
    vm.agent.close()
    vm.restore("/root/live.vmsnap")
    check_alive(vm, before)


def clones():
    """Many from one file. Without a network, which the host has one of."""
    vm = Vm(disk=None)
    vm.boot()
    vm.snapshot("/root/alone.vmsnap")
    vm.kill()
    for encoding in ("zstd", "raw"):
        run("vmm", "merge", "/root/alone.vmsnap", "-o", "/root/source.vmsnap", "--encoding", encoding)
        made = json.loads(run("vmm", "restore", "/root/source.vmsnap", "--verify", "--clones", 2,
                              "--virtio-console", f"unix:/tmp/{encoding}-%d", "--json"))["clones"]
        say([c["name"] for c in made])
        for i, c in enumerate(made):
            agent = GuestAgent.connect(f"/tmp/{encoding}-{i + 1}")
            say(c["name"], agent.status(60))
            agent.close()
        if encoding == "zstd":
            run("vmm", "snapshot", made[0]["name"], "-o", "/root/live.vmsnap", "--live")
            run("snapinspect", "verify", "/root/live.vmsnap")
        for c in made:
            run("vmm", "stop", "--force", c["name"])
        wait_until("all to end", lambda: not json.loads(run("vmm", "list", "--json")))


SCENARIOS = {"raw": raw, "clones": clones}
