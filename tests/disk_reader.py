#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second reader of disk overlays, written from formats/disk.md and nothing else.

usage: disk_reader.py FILE       what is in the overlay FILE and under it, and a digest of the disk
       disk_reader.py --cat FILE the contents of the disk
Exits 1 with CODE@0xOFFSET on a file that must be refused.
"""
import hashlib
import os
import struct
import sys

CLUSTER = 4096


class Refused(Exception):
    def __init__(self, code, at, what):
        super().__init__(f"{code}@{at:#x}" if at is not None else code)
        self.what = what


class Raw:
    format = "raw"

    def __init__(self, path):
        self.path = path
        self.file = open(path, "rb")
        self.bytes = os.fstat(self.file.fileno()).st_size
        self.uuid = self.generation = bytes(16)
        if self.bytes == 0 or self.bytes % 512:
            raise Refused("RANGE", None, "size")

    def cluster(self, i):
        self.file.seek(i * CLUSTER)
        return self.file.read(CLUSTER)

    def describe(self):
        return [f"raw {os.path.basename(self.path)}: {self.bytes} bytes"]


class Overlay:
    format = "overlay"

    def __init__(self, path):
        self.path = path
        self.file = open(path, "rb")
        size = os.fstat(self.file.fileno()).st_size
        header = self.file.read(4096)
        if len(header) < 4096:
            raise Refused("TRUNCATED", size, "header")
        self.read_header(header)
        if size < self.data_offset + self.bytes:
            raise Refused("TRUNCATED", size, "data")
        if self.committing:
            raise Refused("WRONG_STATE", None, "commit was broken off")
        self.read_bitmap()
        self.open_parent()

    def read_header(self, h):
        def u32(at):
            return struct.unpack_from("<I", h, at)[0]

        def u64(at):
            return struct.unpack_from("<Q", h, at)[0]

        def zero(start, end):
            for i in range(start, end):
                if h[i]:
                    raise Refused("RANGE", i, "not zero")

        def need(ok, at, code="RANGE"):
            if not ok:
                raise Refused(code, at, "field")

        need(h[:8] == b"\x89VMDISK\n", 0, "MAGIC")
        need(u32(0x08) == 1, 0x08, "VERSION")
        digest = hashlib.sha256(h[:0x10] + bytes(32) + h[0x30:]).digest()
        need(h[0x10:0x30] == digest, 0x10, "CHECKSUM")
        need(u32(0x0C) == 0, 0x0C, "FEATURE")
        self.uuid, self.generation = h[0x30:0x40], h[0x40:0x50]
        self.bytes = u64(0x50)
        need(0 < self.bytes <= 1 << 43 and self.bytes % 512 == 0, 0x50)
        need(u32(0x58) == CLUSTER, 0x58)
        self.clusters = -(-self.bytes // CLUSTER)
        bitmap = -(-self.clusters // (8 * 4096)) * 4096
        need(u64(0x60) == 4096, 0x60)
        need(u64(0x68) == bitmap, 0x68)
        self.data_offset = 4096 + bitmap
        need(u64(0x70) == self.data_offset, 0x70)
        need(u32(0xA8) <= 2, 0xA8)
        self.committing = u32(0xA8) == 1
        zero(0xAC, 0x200)
        need(u32(0x5C) in (1, 2), 0x5C)
        self.parent_format = ("raw", "overlay")[u32(0x5C) - 1]
        self.parent_bytes, self.parent_mtime = u64(0x78), u64(0x80)
        self.parent_uuid, self.parent_generation = h[0x88:0x98], h[0x98:0xA8]
        if self.parent_format == "raw":
            zero(0x88, 0xA8)
        name = h[0x200:0x600]
        length = name.find(0)
        need(length > 0, 0x200)
        need(name[0] != ord("/"), 0x200)
        for i in range(length):
            need(name[i] >= 0x20 and name[i] != 0x7F, 0x200 + i)
        zero(0x200 + length, 0x600)
        self.parent_name = name[:length]
        need(self.parent_name.endswith(b".vmdisk") == (self.parent_format == "overlay"),
             0x200, "STRUCTURE")
        zero(0x600, 0x1000)

    def read_bitmap(self):
        self.file.seek(4096)
        bitmap = self.file.read(self.data_offset - 4096)
        bits = int.from_bytes(bitmap, "little")
        if bits >> self.clusters:
            for i in range(self.clusters // 8, len(bitmap)):
                first = self.clusters - 8 * i if i == self.clusters // 8 else 0
                if bitmap[i] >> first:
                    raise Refused("RANGE", 4096 + i, "cluster after the last")
        self.present = {i for i in range(self.clusters) if bits >> i & 1}

    def open_parent(self):
        path = os.path.join(os.path.dirname(os.path.realpath(self.path)),
                            os.fsdecode(self.parent_name))
        self.parent = (Overlay if self.parent_format == "overlay" else Raw)(path)
        st = os.stat(path)
        if (st.st_size != self.parent_bytes or st.st_mtime_ns != self.parent_mtime
                or self.parent.uuid != self.parent_uuid
                or self.parent.generation != self.parent_generation):
            raise Refused("INCOMPATIBLE", None, "parent")
        if self.parent.bytes != self.bytes:
            raise Refused("STRUCTURE", None, "parent's size")

    def cluster(self, i):
        if i not in self.present:
            return self.parent.cluster(i)
        self.file.seek(self.data_offset + i * CLUSTER)
        return self.file.read(min(CLUSTER, self.bytes - i * CLUSTER))

    def describe(self):
        return [f"overlay {os.path.basename(self.path)}: {self.bytes} bytes, "
                f"{len(self.present)} of {self.clusters} clusters, uuid {self.uuid.hex()}, "
                f"generation {self.generation.hex()}"] + self.parent.describe()


def main(argv):
    cat = len(argv) == 3 and argv[1] == "--cat"
    if len(argv) != 2 and not cat:
        sys.exit(__doc__)
    path = argv[-1]
    try:
        disk = (Overlay if path.endswith(".vmdisk") else Raw)(path)
    except Refused as e:
        print(e)
        return 1
    digest = hashlib.sha256()
    for i in range(-(-disk.bytes // CLUSTER)):
        data = disk.cluster(i)
        digest.update(data)
        if cat:
            sys.stdout.buffer.write(data)
    if not cat:
        print(*disk.describe(), f"sha256 {digest.hexdigest()}", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
