#!/usr/bin/env python3
"""Run a scenario of scenario.py in an emulated host: hosted.py BUILD SCENARIO.

Exit status 77 (skipped, aloud) where QEMU is not installed.
"""

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


def main():
    build, scenario = sys.argv[1:]
    if not shutil.which("qemu-system-x86_64"):
        print("skipped: qemu-system-x86_64 is not installed")
        return SKIPPED
    scripts = [f"{HERE}/{name}:/root/{name}" for name in ("lib.py", "scenario.py")]
    cache = Path(build) / "guest"
    cache.mkdir(exist_ok=True)
    files = scripts + guest_files(cache)
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
