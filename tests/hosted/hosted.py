#!/usr/bin/env python3
"""Run a scenario of scenario.py in an emulated host: hosted.py BUILD SCENARIO ARCH [FILE]...

A FILE is a program that the scenario needs besides.

Exit status 77 (skipped, aloud) where QEMU is not installed.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import unlike64_hosts
from runner import HERE, LONG, TOP, Runner, into_root
from unlike_hosts import unlike

SKIPPED = 77


def move(runner):
    with tempfile.TemporaryDirectory() as out:
        status = runner.scenario("save-for-elsewhere", "--memory", "4G", "--out", out)
        if status:
            return status
        # The second host gets what was saved, and nothing else of the first.
        return runner.scenario("restore-elsewhere", "--memory", "4G", files=into_root(
            *(f"{out}/moved.{suffix}" for suffix in ("vmsnap", "json", "img"))))


def snapshot(runner):
    return runner.scenario(f"snapshot:{20 if LONG else 2}", "--memory", "4G")


def firmware(runner):
    return runner.scenario("firmware", files=into_root(
        runner.build / "tests/guest/bios.rom", TOP / "tests/guest/bios_disk.py"))


# What the interrupt controller has a part in, and the rest.
ROWS = ("rows", "watchdog", "bounce")
ROWS_BESIDES = ("firmware", "equal", "steal")


def rows(runner, names, *options):
    """The test guests of tests/guest/aarch64, all that is tried with them in one host."""
    files = into_root(
        *(HERE / name for name in ("lib.py", "rows.py", "rowsvm.py")),
        *(runner.build / f"tests/guest/aarch64/guest-{name}"
          for name in ("kernel", "bios", "firmware")))
    words = [f"python3 -B rows.py {name}" for name in names]
    return runner.command(f"cd /root && {' && '.join(words)}", files, "--memory", "4G", *options)


def rows_everywhere(runner):
    names = ROWS + ROWS_BESIDES
    status = rows(runner, names) or rows(runner, names if LONG else ROWS,
                                         *unlike64_hosts.HOSTS["gic2"])
    if LONG:
        status = status or rows(runner, names, *unlike64_hosts.HOSTS["newer"])
    return status


def units(runner, *programs):
    """Unit tests that only a real kernel runs; disk_probe has its tests in Python."""
    needed = ["tests/devices/test_disk_formats.py", "tests/devices/make_disk_formats.py",
              "tests/disk_reader.py", "tests/programs.py", "formats/next/disk"]
    files = into_root(*programs) + [f"{TOP}/{name}:/root/{name}" for name in needed]
    words = [f"./{Path(program).name}" for program in programs]
    words[words.index("./disk_probe")] = f"python3 -B {needed[0]} ./disk_probe Contents"
    return runner.command(f"cd /root && {' && '.join(words)}", files)


def multiboot(runner):
    return runner.scenario("multiboot", files=into_root(
        *(runner.build / "tests/guest" / name
          for name in ("multiboot", "multiboot-flat", "mptable"))))


def generation(runner):
    """Debian's kernel for any machine: the one for clouds has no driver for the identifier."""
    return runner.scenario("generation",
                           files=runner.make_guest("guest-generic", "--flavour", "generic"))


def free_pages(runner):
    """Not in every run: after the restore a guest has been seen to reset itself without a word, in
    about one of three, and whether that is the emulation of the host or a defect is not known yet.
    A host without nested paging (kvm_amd.npt=0) cannot tell: there Debian's kernel ends at its first
    page fault, the read of its boot parameters."""
    if not LONG:
        print("skipped: only with --long, until it is known why the guest resets now and then")
        return SKIPPED
    return runner.scenario("free-pages", "--memory", "4G")


def memory_digest(path):
    """Of all that `zstd -dc` prints."""
    with subprocess.Popen(["zstd", "-dcq", path], stdout=subprocess.PIPE) as zstd:
        digest = hashlib.sha256()
        while data := zstd.stdout.read(1 << 20):
            digest.update(data)
    return digest.digest()


def live(runner):
    """On aarch64 on a host that cannot protect memory against writes, and on one that can."""
    hosts = [(), unlike64_hosts.HOSTS["newer"]] if runner.arch == "aarch64" else [()]
    for host in hosts:
        with tempfile.TemporaryDirectory() as out:
            status = runner.scenario("live", "--memory", "4G", "--out", out, *host)
            if status:
                return status
            merged, stopped = (memory_digest(f"{out}/{name}.vmsnap")
                               for name in ("merged", "stopped"))
            assert merged == stopped, "a chain of live snapshots has something else"
    return 0


# Those that need more than the guest's files and one host.
DRIVERS = {
    "firmware": firmware,
    "free-pages": free_pages,
    "generation": generation,
    "live": live,
    "move": move,
    "multiboot": multiboot,
    "rows": rows_everywhere,
    "snapshot": snapshot,
    "units": units,
    "unlike": unlike,
    **unlike64_hosts.DRIVERS,
}


# The same code on both architectures: in every run on one of them.
ONLY_LONG = {"aarch64": {"balloon", "clones", "hints", "hugepages", "raw"}}


def main():
    build, scenario, arch = sys.argv[1:4]
    if not LONG and scenario in ONLY_LONG.get(arch, ()):
        print(f"skipped: only with --long on {arch}")
        return SKIPPED
    qemu = f"qemu-system-{arch}"
    if not shutil.which(qemu):
        print(f"skipped: {qemu} is not installed")
        return SKIPPED
    runner = Runner(build, arch)
    if scenario in DRIVERS:
        return DRIVERS[scenario](runner, *sys.argv[4:])
    return runner.scenario(scenario, "--memory", "4G")


sys.exit(main())
