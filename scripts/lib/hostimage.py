"""What an emulated host boots from: a kernel, its modules and a small Debian.

The result is kept in the cache; a run only adds a fresh initramfs and a
throw-away layer over the root disk.
"""

import hashlib
import os
from pathlib import Path

from debian import (CACHE, NATIVE_ARCH, Kernel, Suite, cache_lock, link_usr,
                    run, scratch_folder)
from initramfs import Initramfs

HERE = Path(__file__).parent

# dash is the shell because busybox's prefers its own small tar and cp, which
# know no holes, to the real ones; bash is for a person at a terminal. Python
# drives the hosted tests, GNU tar carries files out of the host with their
# holes and nanoseconds, the libraries are for the programs under test.
PACKAGES = """
    busybox-static dash bash coreutils tar
    python3.11-minimal libpython3.11-minimal libpython3.11-stdlib
    e2fsprogs xfsprogs btrfs-progs
    libcbor0.8 libfdt1 libjansson4 libseccomp2 liburing2
    libacl1 libattr1 libblkid1 libbz2-1.0 libc6 libcap2 libcom-err2 libcrypt1
    libexpat1 libext2fs2 libffi8 libgcc-s1 libgmp10 libinih1 liblzma5
    liblzo2-2 libncursesw6 libpcre2-8-0 libreadline8 libselinux1 libss2
    libssl3 libtinfo6 libudev1 liburcu8 libuuid1 libzstd1 zlib1g
""".split()

# What the host needs before it has its root disk; host-init loads the rest.
MODULES = ["virtio_pci", "virtio_blk", "ext4", "virtio_console", "virtio_net",
           "virtio-rng"]

# Sparse: it costs what is written to it.
ROOT_BYTES = 64 << 30


def _finish_native(tree, tools):
    """What installation scripts would have done, with @tools' programs.

    @tools is a tree this machine can run: @tree itself, or the same packages
    for the machine's own architecture. Byte code is the same on both.
    """
    for path in run([tools / "bin/busybox", "--list-full"]).split():
        applet = tree / path
        if not os.path.lexists(applet) and applet.parent.is_dir():
            applet.symlink_to("/bin/busybox")
    (tree / "usr/bin/python3").symlink_to("python3.11")
    (tree / "usr/bin/sh").unlink(missing_ok=True)
    (tree / "usr/bin/sh").symlink_to("dash")
    libs = next((tools / "lib").glob("*-linux-gnu"))
    loader = next(path for path in libs.glob("ld-linux-*.so.*"))
    run([loader, "--library-path", libs, tools / "usr/bin/python3.11", "-E",
         "-S", "-m", "compileall", "-q", "-j0", "-s", tree,
         "--invalidation-mode", "unchecked-hash", tree / "usr/lib/python3.11"],
        env={"PYTHONHOME": str(tools / "usr")})


def _build(scratch, arch, kernel):
    tree = scratch / "tree"
    link_usr(tree)
    suite = Suite("bookworm", arch)
    for package in PACKAGES:
        suite.unpack(package, tree)
    if arch == NATIVE_ARCH:
        _finish_native(tree, tree)
    else:
        tools = scratch / "tools"
        link_usr(tools)
        for package in PACKAGES:
            Suite("bookworm", NATIVE_ARCH).unpack(package, tools)
        _finish_native(tree, tools)
        run(["rm", "-r", tools])
    for name in ("dev", "proc", "sys", "run", "tmp", "out", "root", "mnt",
                 "var/tmp", "lib/modules"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost\n")

    run(["cp", "-a", kernel.modules, tree / "lib/modules"])
    run(["rm", "-r", tree / "usr/share/doc", tree / "usr/share/locale",
         tree / "usr/share/man"])
    # Nothing outlives the run, so a journal would only cost writes.
    run(["/sbin/mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-N", "262144",
         "-E", "root_owner=0:0,lazy_itable_init=1", "-d", tree,
         scratch / "root.img", str(ROOT_BYTES >> 10)])


class HostImage:
    """A finished host in the cache: .kernel, .root, .tree, .initramfs()."""

    def __init__(self, arch, kernel):
        # The recipe is part of the name, so that changing it makes a new one.
        recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
        self.folder = CACHE / f"host-{arch}-{kernel}-{recipe}"
        self.kernel = Kernel(kernel, arch)
        if not self.folder.exists():
            with cache_lock():
                if not self.folder.exists():
                    with scratch_folder(self.folder) as scratch:
                        _build(scratch, arch, self.kernel)
        self.root = self.folder / "root.img"
        self.tree = self.folder / "tree"

    def initramfs(self, path):
        """Write the initramfs; made anew each time, as it takes no time."""
        image = Initramfs()
        image.console()
        for name in ("proc", "sys", "root"):
            image.folder(name)
        image.file("bin/busybox", (self.tree / "bin/busybox").read_bytes(),
                   0o755)
        for name in ("sh", "cat", "cp", "insmod", "mount", "switch_root"):
            image.link(f"bin/{name}", "busybox")
        image.file("init", (HERE / "host-initramfs").read_bytes(), 0o755)
        image.file("host-init", (HERE / "host-init").read_bytes(), 0o755)
        image.modules(self.kernel.modules, MODULES)
        Path(path).write_bytes(image.finish())
