"""The test guests of tests/guest/aarch64 as virtual machines, and what is known of them."""

import ctypes
import functools
import json
import os
import socket
import struct
import subprocess
import time
from pathlib import Path

from lib import Process, run, wait_until

WORK = "/root"
KERNEL, BIOS, FIRMWARE = (f"{WORK}/guest-{name}" for name in ("kernel", "bios", "firmware"))
MIB, MASK = 1 << 20, (1 << 64) - 1
SECTOR = 512
GOLDEN = 0x9E3779B97F4A7C15
PASSED = 2 * 0x10 + 1  # exit status, with --debug-exit
SPI, PPI = 32, 16      # first of the GIC's numbers
POOL, FIRMWARE_ROW = "get_swiotlb_addr", "AARCH64_PROTECTED_VM_FW_START"
LAYOUTS = 1, 2


def say(*words):
    print(f"[{time.monotonic():7.2f}]", *words, flush=True)


def make_disk(path, data):
    Path(path).write_bytes(data)
    return path


@functools.cache
def gic_version():
    capabilities = run("vmm", "host").split("\nabsent")[0]
    return 3 if "GICV3" in capabilities.split() else 2


def checksum(data):
    """As tests/guest/aarch64/say.c has it."""
    words = struct.unpack_from(f"<{len(data) // 8}Q", data)
    total = 0
    for v in (*words, *data[len(words) * 8:]):
        total = total * 31 + v & MASK
    return total


def pattern(first, sectors):
    """What bounce.c writes."""
    return b"".join(struct.pack("<64Q", *((s * GOLDEN + i) & MASK for i in range(64)))
                    for s in range(first, first + sectors))


class Vm:
    """One guest, which may live in several processes one after another."""

    lives = 0

    def __init__(self, *options, layout="aarch64/linux@2", memory="512M", cpus=1, words=None,
                 bios=False):
        image = ["--bios", BIOS] if bios else ["--kernel", KERNEL, "--cmdline", words]
        self.layout, self.memory, self.cpus = layout, memory, cpus
        self.before = ""
        self._start("run", "--name", "guest", *image, "--layout", layout, "--memory", memory,
                    "--cpus", cpus, "--gic", gic_version(), "--debug-exit", *options)

    def _start(self, *argv):
        Vm.lives += 1
        base = f"/tmp/{os.getpid()}.{Vm.lives}"
        self.files = [f"{base}.serial{i}" for i in range(1, 5)]
        self.process = Process(["vmm", *argv, "--console", f"file:{self.files[0]}",
                                "--serial", f"2=unix:{self.files[1]}",
                                "--serial", f"3=file:{self.files[2]}",
                                "--serial", f"4=file:{self.files[3]}"], f"{base}.log")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.__exit__()

    def text(self):
        try:
            return self.before + Path(self.files[0]).read_text(encoding="ascii")
        except FileNotFoundError:
            return self.before

    def await_text(self, wanted, count=1):
        def there():
            if self.text().count(wanted) >= count:
                return True
            assert self.process.popen.poll() is None, self.words()
            return False
        try:
            wait_until(f"{count} times {wanted!r}", there, 120, every=0.01)
        except TimeoutError as error:
            raise AssertionError(self.words()) from error

    def words(self):
        return self.text() + self.process.last_words()

    def end(self, status=PASSED):
        assert self.process.wait(120) == status, self.words()
        return self.text()

    def snapshot(self, path, *more):
        run("vmm", "snapshot", "guest", "-o", path, *more)

    def restore(self, path, *more, keep=False):
        """Returns what was said until now.

        @keep: it counts as said by the restored guest.
        """
        self.process.kill()
        said = self.text()
        self.before = said if keep else ""
        self._start("restore", path, *more)
        wait_until("restored guest", lambda: self.process.popen.poll() is not None or
                   subprocess.run(["vmm", "status", "guest"], capture_output=True,
                                  check=False).returncode == 0)
        return said

    def peer(self):
        """The other end of the second serial port."""
        def connect():
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(60)
            try:
                s.connect(self.files[1])
                return s
            except (FileNotFoundError, ConnectionRefusedError):
                s.close()
                return None
        return wait_until("serial port", connect)

    def go_on(self):
        """What hold() waits for; returns what the port has said."""
        with self.peer() as s:
            s.sendall(b"x")
            assert self.process.wait(120) == PASSED, self.words()
            return b"".join(iter(lambda: s.recv(4096), b"")).decode()


def layout_of(vm, bios=False, swiotlb=None, initrd=None, firmware=None):
    """The map, by parameters alone: {row: region}."""
    words = [vm.layout, "--memory", vm.memory, "--cpus", vm.cpus, "--gic", gic_version()]
    if bios:
        words += ["--firmware-size", os.path.getsize(BIOS)]
    else:
        with open(KERNEL, "rb") as file:
            words += ["--kernel-size", struct.unpack("<16xQ", file.read(24))[0]]
    if gic_version() == 3 and vm.layout.endswith("@2"):
        words += ["--its"]
    sizes = {"--swiotlb": swiotlb, "--initrd-size": initrd and os.path.getsize(initrd),
             "--pvm-firmware-size": firmware and os.path.getsize(firmware)}
    for option, size in sizes.items():
        if size:
            words += [option, size]
    shown = json.loads(run("vmm", "layout", "show", "--json", *words))
    rows = {}
    for r in shown["regions"]:
        r["start"], r["end"] = int(str(r["start"]), 0), int(str(r["end"]), 0)
        rows[r["name"]] = r
    return rows


def size_of(r):
    return r["end"] - r["start"]


def inside(at, r):
    return r["start"] <= at < r["end"]


# --- in a snapshot ----------------------------------------------------------------------------

class ZstdBuffer(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t)]


def unpacked(path):
    """What `zstd -dc` prints, block by block; the program is not there, but its library is."""
    zstd = ctypes.CDLL("libzstd.so.1")
    zstd.ZSTD_createDStream.restype = ctypes.c_void_p
    zstd.ZSTD_decompressStream.restype = ctypes.c_size_t
    stream = ctypes.c_void_p(zstd.ZSTD_createDStream())
    data, out = Path(path).read_bytes(), ctypes.create_string_buffer(MIB)
    given = ZstdBuffer(ctypes.cast(data, ctypes.c_void_p), len(data), 0)
    while given.pos < given.size:
        taken = ZstdBuffer(ctypes.cast(out, ctypes.c_void_p), MIB, 0)
        left = zstd.ZSTD_decompressStream(stream, ctypes.byref(taken), ctypes.byref(given))
        assert not zstd.ZSTD_isError(ctypes.c_size_t(left)), path
        yield out.raw[:taken.pos]
    zstd.ZSTD_freeDStream(stream)


def ram_bytes(path, rows, name):
    """Bytes of a row in a snapshot: memory regions lie back to back in what zstd makes of it."""
    row, offset = rows[name], 0
    for r in sorted(rows.values(), key=lambda r: r["start"]):
        if r["backed"] and not r["parent"]:
            if inside(row["start"], r):
                offset += row["start"] - r["start"]
                break
            offset += size_of(r)
    found, at = b"", 0
    for block in unpacked(path):
        found += block[max(offset - at, 0):max(offset + size_of(row) - at, 0)]
        at += len(block)
    assert len(found) == size_of(row), (len(found), row)
    return found
