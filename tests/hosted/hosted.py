#!/usr/bin/env python3
"""Run a scenario of scenario.py in an emulated host: hosted.py BUILD SCENARIO.

Exit status 77 (skipped, aloud) where QEMU is not installed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
HERE = TOP / "tests/hosted"
SKIPPED = 77
DID_NOT_BOOT = 76  # as in scenario.py
LONG = bool(os.environ.get("VMM_TEST_LONG"))


def guest_files(folder):
    subprocess.run([TOP / "scripts/guest-image", folder], check=True)
    return [f"{folder}/{name}:/root/{name}" for name in ("vmlinuz", "initrd", "disk.img")]


def testhost(build, scenario, files, *more):
    words = [TOP / "scripts/testhost", "--build", build, "--timeout", "1500" if LONG else "600"]
    for file in files:
        words += ["--file", file]
    times = 20 if LONG else 3
    words += [*more, "--", f"cd /root && TIMES={times} exec python3 -B scenario.py {scenario}"]
    for _ in range(2):
        status = subprocess.run(list(map(str, words)), stdin=subprocess.DEVNULL,
                                check=False).returncode
        if status != DID_NOT_BOOT:
            break
        print("trying once more", flush=True)
    return status


# A newer host with all features; one with fewer, and one with fewer address bits, both with an older
# kernel.
UNLIKE = {
    "first": ("--cpu", "max", "--kernel", "6.12"),
    "epyc": ("--cpu", "EPYC,+svm", "--kernel", "6.1"),
    "narrow": ("--cpu", "max,phys-bits=36", "--kernel", "6.1"),
}
# Of the snapshot with all features: rules that must be there, and a word about each.
REFUSALS = {"first": {}, "epyc": {"C002": "pku"}, "narrow": {"H002": "36", "C002": "fsrs"}}
NAMES = ("all", "level", "fleet")


def inspect(build, *words):
    done = subprocess.run([f"{build}/tools/snapinspect/snapinspect", "check", "--json", *words],
                          stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def compare_verdicts(build, out, host):
    """What a host said of each snapshot, and what its profile says elsewhere, are the same."""
    for name in NAMES:
        said = json.loads((out / host / f"{name}.json").read_text())
        status, elsewhere = inspect(build, "--host", f"{out}/{host}.json",
                                    f"{out}/saved/{name}.vmsnap")
        assert said == elsewhere, (host, name, said, elsewhere)
        assert status == (3 if said["verdict"] == "incompatible" else 0), (host, name, status)
        wanted = REFUSALS[host] if name == "all" else {}
        refusals = [f for f in said["findings"] if f["severity"] == "refusal"]
        assert {f["rule"] for f in refusals} == set(wanted), (host, name, refusals)
        for rule, word in wanted.items():
            assert any(word in f["saved"] + f["found"] for f in refusals if f["rule"] == rule), \
                (host, name, rule, word, refusals)


def unlike(build, files):
    """Snapshots of one host on others: refused with what is missing, or restored."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        for host, options in UNLIKE.items():
            status = testhost(build, "profile", files, *options, "--out", out / host)
            if status:
                return status
            (out / host / "host.json").rename(out / f"{host}.json")
        with open(out / "fleet.json", "w", encoding="utf-8") as file:
            subprocess.run([f"{build}/src/vmm/vmm", "cpu", "baseline", "--name", "fleet",
                            *(f"{out}/{host}.json" for host in UNLIKE)], stdout=file, check=True)
        status = testhost(build, "save-for-unlike",
                          [*files, f"{out}/fleet.json:/root/fleet.json"], *UNLIKE["first"],
                          "--out", out / "first")
        (out / "first").rename(out / "saved")
        files = files + [f"{out}/saved/{name}.{suffix}:/root/{name}.{suffix}"
                         for name in NAMES for suffix in ("vmsnap", "json")]
        for host, options in UNLIKE.items():
            if status:
                return status
            status = testhost(build, "restore-unlike", files, *options, "--out", out / host)
            if not status:
                compare_verdicts(build, out, host)
        return status


def main():
    build, scenario = sys.argv[1:]
    if not shutil.which("qemu-system-x86_64"):
        print("skipped: qemu-system-x86_64 is not installed")
        return SKIPPED
    scripts = [f"{HERE}/{name}:/root/{name}" for name in ("lib.py", "scenario.py")]
    cache = Path(build) / "guest"
    cache.mkdir(exist_ok=True)
    files = scripts + guest_files(cache)
    if scenario == "unlike":
        return unlike(build, files)
    if scenario == "firmware":
        files = scripts + [f"{build}/tests/guest/bios.rom:/root/bios.rom",
                           f"{TOP}/tests/guest/bios_disk.py:/root/bios_disk.py"]
    if scenario != "move":
        return testhost(build, scenario, files, "--memory", "4G")
    with tempfile.TemporaryDirectory() as out:
        status = testhost(build, "save-for-elsewhere", files, "--out", out)
        if status:
            return status
        # The second host gets what was saved, and nothing else of the first.
        files = scripts + [f"{out}/moved.vmsnap:/root/moved.vmsnap",
                           f"{out}/before.json:/root/before.json",
                           f"{out}/disk.img:/root/moved-disk.img"]
        return testhost(build, "restore-elsewhere", files)


sys.exit(main())
