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


def pc(runner):
    """What only a PC has."""
    return runner.scenario("acpi-off multiboot firmware", "--memory", "4G", files=[
        *runner.guest, *into_root(TOP / "tests/guest/bios_disk.py", *(
            runner.build / "tests/guest" / name
            for name in ("bios.rom", "multiboot", "multiboot-flat", "mptable")))])


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
    if not LONG:  # those that are about what the kernel does
        programs = [p for p in programs if p.endswith(("disk_io", "disk_probe", "disk_switch"))]
    needed = ["tests/devices/test_disk_formats.py", "tests/devices/make_disk_formats.py",
              "tests/disk_reader.py", "tests/programs.py", "formats/next/disk"]
    files = into_root(*programs) + [f"{TOP}/{name}:/root/{name}" for name in needed]
    words = [f"./{Path(program).name}" for program in programs]
    words[words.index("./disk_probe")] = f"python3 -B {needed[0]} ./disk_probe Contents"
    return runner.command(f"cd /root && {' && '.join(words)}", files)


# Of tests/native, those that are fast enough for every run, and the rest in two halves.
NATIVE = {
    "native": ["bios", "control", "leftovers", "raw", "sandbox"],
    "native-state": ["clones", "crash", "edited", "hugepages", "incremental", "resume", "sealing"],
    "native-ends": ["cli", "faults", "hostile", "lazy", "lazy_ends", "live", "multiboot", "save_faults"],
}
NATIVE_PROGRAMS = ("nm", "openssl", "prlimit", "setpriv", "zstd")


def native(part):
    def run(runner):
        """The tests of tests/native on a complete KVM, on a machine that has none of its own."""
        usable = not subprocess.run([*runner.native("src/vmm/vmm"), "host"], check=False,
                                    capture_output=True).returncode
        if usable and not LONG:
            print("skipped: this machine's own KVM runs them (also here with --long)")
            return SKIPPED
        top = "/root/vmm"
        built = ["src/vmm/vmm", "tools/snapinspect/snapinspect", "tests/fault.so", "tests/intrude",
                 "tests/rechunk", "tests/layout_test_mem", *(f"tests/guest/{path.name}" for path in
                                    (runner.build / "tests/guest").iterdir() if path.is_file())]
        files = [f"{TOP}/tests:{top}/tests", f"{TOP}/formats:{top}/formats"]
        files += [f"{runner.build / name}:{top}/build/{name}" for name in built]
        files += [f"{shutil.which(name)}:/usr/bin/{name}" for name in NATIVE_PROGRAMS]
        return runner.command(f"cd {top} && exec python3 -B tests/hosted/natively.py "
                              f"{' '.join(NATIVE[part])}", files, "--memory", "6G")
    return run


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


def with_live(runner, steps, *options):
    """Scenario with the steps, and what those of `live` left to be compared here."""
    with tempfile.TemporaryDirectory() as out:
        status = runner.scenario(steps, "--memory", "4G", "--out", out, *options)
        if not status:
            merged, stopped = (memory_digest(f"{out}/{name}.vmsnap")
                               for name in ("merged", "stopped"))
            assert merged == stopped, "a chain of live snapshots has something else"
        return status


def life(runner):
    """Of one guest, to the power button."""
    raw = " raw" if LONG or runner.arch == "x86_64" else ""
    return with_live(runner, f"snapshot:{20 if LONG else 2} reboot live{raw} power-off")


def live_newer(runner):
    """Where memory can be protected against writes, which Linux 6.1 cannot on aarch64."""
    return with_live(runner, "live power-off", *unlike64_hosts.HOSTS["newer"])


# Those that need more than the guest's files and one host.
DRIVERS = {
    "free-pages": free_pages,
    "generation": generation,
    "life": life,
    "live-newer": live_newer,
    "move": move,
    **{part: native(part) for part in NATIVE},
    "pc": pc,
    "rows": rows_everywhere,
    "units": units,
    "unlike": unlike,
    **unlike64_hosts.DRIVERS,
}
# Without a need of their own, or with more than one step.
STEPS = {"balloon": f"balloon hints{':live' if LONG else ''}", "snapshot": "snapshot:1 power-off"}


# What takes long, what is the same code on both architectures, and what scenarios of every run have a
# part of: lines for interrupts are all that a GICv2 has, and a guest of 6 GiB moves in unlike64.
ONLY_LONG = {
    "aarch64": {"balloon", "clones", "hugepages", "intx", "move"},
    "x86_64": {"native-state", "native-ends"},
}


def main():
    build, scenario, arch = sys.argv[1:4]
    if not LONG and scenario in ONLY_LONG.get(arch, ()):
        print(f"skipped: on {arch} only with --long")
        return SKIPPED
    qemu = f"qemu-system-{arch}"
    if not shutil.which(qemu):
        print(f"skipped: {qemu} is not installed")
        return SKIPPED
    # Two hosts run at a time, and each CPU of one is a busy thread of this machine.
    runner = Runner(build, arch, 2 if LONG or scenario in ("life", "rows") else 1)
    if scenario in DRIVERS:
        return DRIVERS[scenario](runner, *sys.argv[4:])
    return runner.scenario(STEPS.get(scenario, scenario), "--memory", "4G")


sys.exit(main())
