"""aarch64 hosts that differ; unlike64.py has what is done on each of them."""

import json
import subprocess
import tempfile
from pathlib import Path

from inspected import inspect
from runner import LONG, into_root

HOSTS = {
    "max": (),
    "gic2": ("--machine", "gic-version=2", "--cpu", "cortex-a72"),
    "max-gic2": ("--machine", "gic-version=2"),
    "no-sve": ("--cpu", "max,pauth-impdef=on,sve=off"),
    "short-sve": ("--cpu", "max,pauth-impdef=on,sve-max-vq=2"),
    "newer": ("--kernel", "6.12"),
}

# (snapshot of, on): rules that refuse it; none: it restores and runs.
REFUSALS = {
    ("max", "gic2"): {"C012", "C013", "C015", "H006", "H009"},
    ("max", "max-gic2"): {"C012", "H009"},
    ("gic2", "max"): {"C012", "C013", "H009"},
    ("max", "no-sve"): {"C012", "C014"},
    ("no-sve", "max"): set(),
    ("max", "short-sve"): {"C016"},
    # Kernel 6.1 lets nothing of this be written: PMU and debug architecture, caches made up by 6.12.
    ("newer", "max"): {"C012", "C013"},
    # 6.12 lets it, so a guest made for both goes back.
    ("fleet", "max"): set(),
}


def files_of(out, names):
    return into_root(*(f"{out}/{name}.{suffix}" for name in names
                       for suffix in ("vmsnap", "json", "img")))


def without_disks(verdict):
    """Only the host has the images and can look at them."""
    return [f for f in verdict["findings"] if not f["rule"].startswith("D05")]


def check_verdict(runner, out, name, host):
    """What the host said, and what its profile says here, are the same, and as it should be."""
    said = json.loads((out / f"{name}-on-{host}.json").read_text())
    status, elsewhere = runner.check("--host", out / f"{host}.profile", out / f"{name}.vmsnap")
    assert without_disks(said) == without_disks(elsewhere), (name, host, said, elsewhere)
    refusals = [f["rule"] for f in said["findings"] if f["severity"] == "refusal"]
    rules = set(refusals)
    assert status == (3 if rules else 0), (name, host, status)
    assert rules == REFUSALS[name, host], (name, host, rules)
    # What the one line of vmm restore names.
    assert "H009" not in rules or refusals[0] == "H009", refusals


class Journey:
    """What was saved on hosts visited before goes along to the next one."""

    def __init__(self, runner, folder):
        self.runner = runner
        self.out = Path(folder)
        self.status = 0

    def visit(self, here, *steps, there=(), files=()):
        """Steps on the host @here, which gets the snapshots called @there and judges them."""
        if self.status:
            return
        self.status = self.runner.scenario(
            " ".join([f"profile64:{here}", f"judge64:{','.join([here, *there])}", *steps]),
            *HOSTS[here], "--out", self.out,
            files=[*self.runner.guest, *files_of(self.out, there), *files])
        if not self.status:
            for each in there:
                check_verdict(self.runner, self.out, each, here)

    def leg(self, name):
        """What the guest was saved in at the end of a leg."""
        return into_root(f"{self.out}/{name}.vmsnap", f"{self.out}/{name}.json")

    def look(self, name):
        """snapinspect of both architectures on it, and on a snapshot of the other one."""
        self.status = self.status or inspect(self.runner, self.out, name)

    def baseline(self, *hosts):
        """Path of a policy for all of them."""
        path = self.out / "policy.json"
        if not self.status:
            with open(path, "w", encoding="utf-8") as file:
                subprocess.run([*self.runner.native("src/vmm/vmm"), "cpu", "baseline", "--name",
                                "fleet", *(self.out / f"{host}.profile" for host in hosts)],
                               stdout=file, check=True)
        return path


def unlike64(trip):
    trip.visit("max", "save64:max")
    trip.look("max")
    if LONG:
        trip.visit("max-gic2", there=["max"])
        trip.visit("short-sve", there=["max"])
    trip.visit("gic2", "gic2", there=["max"])
    trip.visit("no-sve", "save64:no-sve,6G", there=["max"])
    trip.visit("max", there=["gic2", "no-sve"])


def kernels(trip):
    """A guest that was booted on one host goes to the other and comes back; others only go."""
    trip.visit("max", "first-leg:there")
    trip.visit("newer", "leg:there,back", files=trip.leg("there"))
    policy = trip.baseline("max", "newer")
    saved = ["fleet", "newer"] if LONG else ["fleet"]
    trip.visit("newer", *(["save64:newer"] if LONG else []), "save64:fleet,256M,/root/policy.json",
               files=into_root(policy))
    trip.visit("max", "leg:back,end", there=saved, files=trip.leg("back"))


def driver(journey):
    def run(runner):
        with tempfile.TemporaryDirectory() as folder:
            trip = Journey(runner, folder)
            journey(trip)
            return trip.status
    return run


DRIVERS = {"kernels": driver(kernels), "unlike64": driver(unlike64)}
