"""Debian packages as plain files: downloaded, unpacked, never installed.

Everything happens below one cache folder with an apt configuration of its
own, so that neither the machine's package state nor its configured sources
change, and no root is needed. A package once downloaded is kept and used
again without asking the network: remove the cache folder to get newer ones.
"""

import contextlib
import fcntl
import lzma
import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vmm"
MIRROR = os.environ.get("VMM_DEBIAN_MIRROR", "http://deb.debian.org")

DEBIAN_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}
NATIVE_ARCH = platform.machine()

# The kernel meta package is looked up in one suite only: backports would
# otherwise never win against the release, or always.
SUITES = {
    "bookworm": [
        "debian bookworm main",
        "debian bookworm-updates main",
        "debian-security bookworm-security main",
    ],
    "bookworm-backports": ["debian bookworm-backports main"],
}
KERNEL_SUITE = {"6.1": "bookworm", "6.12": "bookworm-backports"}


class PackageError(Exception):
    """A package could not be had; the text says which and why."""


@contextlib.contextmanager
def cache_lock():
    """One builder at a time; whoever waited finds the work done."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def scratch_folder(final):
    """A folder that takes the name @final only when everything succeeded."""
    final.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=final.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        scratch.rename(final)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def run(command, **kwargs):
    """subprocess.run that turns a failure into one line with the reason."""
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.PIPE, text=True, **kwargs)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise PackageError(f"{command[0]}: {reason}")
    return done.stdout


def link_usr(tree):
    """Start a tree with one /usr, as installed systems have it."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")


class Suite:
    """One suite for one architecture, with its own package lists."""

    def __init__(self, suite, arch):
        self.arch = arch
        self.folder = CACHE / "apt" / f"{suite}-{arch}"
        self.debs = CACHE / "debs" / f"{suite}-{arch}"
        self.sources = SUITES[suite]

    def _apt(self, *command, cwd=None):
        deb = DEBIAN_ARCH[self.arch]
        options = {
            "Dir::Etc::sourcelist": self.folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State": self.folder / "state",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "APT::Architecture": deb,
            "APT::Architectures": deb,
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
        }
        argv = [command[0]]
        for name, value in options.items():
            argv += ["-o", f"{name}={value}"]
        return run(argv + list(command[1:]), cwd=cwd)

    def _update(self):
        if (self.folder / "updated").exists():
            return
        for sub in ("state/lists/partial", "cache/archives/partial"):
            (self.folder / sub).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
        signed = f"[signed-by={keys}] " if os.path.exists(keys) else ""
        text = "".join(f"deb {signed}{MIRROR}/{line}\n"
                       for line in self.sources)
        (self.folder / "sources.list").write_text(text, encoding="ascii")
        self._apt("apt-get", "-qq", "update")
        (self.folder / "updated").touch()

    def kernel_package(self, flavour):
        """The real package behind the meta package: it names the release."""
        tail = {"cloud": "-cloud", "generic": ""}[flavour]
        tail += "-" + DEBIAN_ARCH[self.arch]
        self._update()
        meta = "linux-image" + tail
        found = re.search(rf"linux-image-\d[\w.+]*(-\d+)?{re.escape(tail)}\b",
                          self._apt("apt-cache", "depends", meta))
        if not found:
            raise PackageError(f"{meta}: no kernel package behind it")
        return found.group()

    def fetch(self, package):
        """Path of the package's .deb, downloading it when it is not there."""
        home = self.debs / package
        if not home.exists():
            self._update()
            with scratch_folder(home) as scratch:
                try:
                    self._apt("apt-get", "-qq", "download", package,
                              cwd=scratch)
                except PackageError:
                    # Lists older than the mirror name files that are gone.
                    (self.folder / "updated").unlink()
                    self._update()
                    self._apt("apt-get", "-qq", "download", package,
                              cwd=scratch)
        return next(home.glob("*.deb"))

    def unpack(self, package, folder):
        """Unpack below @folder, through symbolic links such as lib -> usr/lib.

        dpkg-deb -x replaces such links by folders, so tar does it instead.
        """
        deb = self.fetch(package)
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb],
                              stdout=subprocess.PIPE) as source:
            run(["tar", "-x", "--keep-directory-symlink", "--no-same-owner",
                 "-C", folder], stdin=source.stdout)
        if source.returncode:
            raise PackageError(f"{deb}: cannot be unpacked")


def _unpack_kernel(suite, package, folder):
    tree = folder / "tree"
    link_usr(tree)
    suite.unpack(package, tree)
    release = package.removeprefix("linux-image-")
    # Unpacked here once rather than by every boot of an emulated machine.
    for packed in (tree / "lib/modules" / release).rglob("*.ko.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()
    # Packages leave modules.dep to their installation.
    depmod = shutil.which("depmod", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not depmod:
        raise PackageError("depmod: not found (Debian package kmod)")
    run([depmod, "-b", tree, release])
    (tree / f"boot/vmlinuz-{release}").rename(folder / "vmlinuz")
    (folder / "release").write_text(release, encoding="ascii")


class Kernel:
    """An unpacked kernel in the cache: .release, .vmlinuz, .modules.

    @flavour: "cloud", or "generic" with all drivers.
    """

    def __init__(self, version, arch, flavour="cloud"):
        folder = CACHE / f"kernel-{arch}-{version}-{flavour}"
        if not folder.exists():
            with cache_lock():
                if not folder.exists():
                    suite = Suite(KERNEL_SUITE[version], arch)
                    package = suite.kernel_package(flavour)
                    with scratch_folder(folder) as scratch:
                        _unpack_kernel(suite, package, scratch)
        self.release = (folder / "release").read_text(encoding="ascii")
        self.vmlinuz = folder / "vmlinuz"
        self.modules = folder / "tree/lib/modules" / self.release
