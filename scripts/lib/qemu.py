"""Which QEMU emulates a host."""

import os
import shutil
import subprocess

from debian import (CACHE, NATIVE_ARCH, PackageError, Suite, cache_lock,
                    link_usr, scratch_folder)

# Debian 12's QEMU 7.2 emulates AMD's virtualization wrong now and then. Of about
# 30 boots of a Linux guest with two CPUs, one hung the host, one overran the
# stack of its kernel and two left the guest spinning. Of 26 under the one in
# backports, 10.0, none harmed the host; one guest reset itself and another
# did not come up in time on a busy machine. Neither is beyond suspicion when
# a guest dies early and without a word.
BACKPORTED = {"x86_64": ["qemu-system-x86", "qemu-system-common",
                         "qemu-system-data"]}


def _unpacked(arch):
    folder = CACHE / f"qemu-{arch}"
    with cache_lock():
        if not folder.exists():
            with scratch_folder(folder) as scratch:
                link_usr(scratch)
                for package in BACKPORTED[arch]:
                    Suite("bookworm-backports", NATIVE_ARCH).unpack(
                        package, scratch)
                Suite("bookworm", NATIVE_ARCH).unpack("seabios", scratch)
    return folder


def _runs(program):
    """Its libraries are those of the machine, and may not be there."""
    return subprocess.run([program, "--version"], check=False,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def qemu_command(arch):
    """The program and its first arguments. $VMM_TESTHOST_QEMU names another."""
    chosen = os.environ.get("VMM_TESTHOST_QEMU")
    if chosen:
        return [chosen]
    name = f"qemu-system-{arch}"
    if arch in BACKPORTED:
        folder = _unpacked(arch)
        program = folder / "usr/bin" / name
        if _runs(program):
            return [str(program), "-L", str(folder / "usr/share/qemu"),
                    "-L", str(folder / "usr/share/seabios")]
    if not shutil.which(name):
        package = {"x86_64": "x86", "aarch64": "arm"}[arch]
        raise PackageError(f"{name}: not found (Debian package "
                           f"qemu-system-{package})")
    return [name]
