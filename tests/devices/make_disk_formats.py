#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Assembles formats/next/disk/golden and bad from formats/disk.md, as annotated hex.

usage: make_disk_formats.py DIRECTORY

"00*16" stands for sixteen zeros. All lie on base.raw of 20,992 bytes (41 sectors, so that the last
cluster is short), whose byte i is (7*i + i/256) % 251, modified at 1,700,000,000 s.
"""
import hashlib
import os
import struct
import sys

BYTES = 20992
MTIME = 1700000000 * 10**9
UUID = bytes(range(0x10, 0x20))
GENERATION = bytes(range(0xE0, 0xF0))


def base():
    return bytes((7 * i + i // 256) % 251 for i in range(BYTES))


def fields(**over):
    """Offset, bytes, meaning; in the order of the file."""
    v = dict(magic=b"\x89VMDISK\n", version=1, features=0, uuid=UUID, generation=GENERATION,
             bytes=BYTES, cluster=4096, format=1, bitmap_offset=4096, bitmap_bytes=4096,
             data_offset=8192, parent_bytes=BYTES, mtime=MTIME, parent_uuid=bytes(16),
             parent_generation=bytes(16), state=0, reserved=bytes(340), name=b"base.raw",
             reserved_end=bytes(2560))
    v.update(over)
    return [
        [v["magic"], "magic"],
        [struct.pack("<I", v["version"]), "version"],
        [struct.pack("<I", v["features"]), "required features"],
        [bytes(32), "digest"],
        [v["uuid"], "uuid"],
        [v["generation"], "generation"],
        [struct.pack("<Q", v["bytes"]), "disk size"],
        [struct.pack("<I", v["cluster"]), "cluster size"],
        [struct.pack("<I", v["format"]), "parent format"],
        [struct.pack("<Q", v["bitmap_offset"]), "bitmap offset"],
        [struct.pack("<Q", v["bitmap_bytes"]), "bitmap size"],
        [struct.pack("<Q", v["data_offset"]), "data offset"],
        [struct.pack("<Q", v["parent_bytes"]), "parent file size"],
        [struct.pack("<Q", v["mtime"]), "parent time"],
        [v["parent_uuid"], "parent uuid"],
        [v["parent_generation"], "parent generation"],
        [struct.pack("<I", v["state"]), "state"],
        [v["reserved"], "reserved"],
        [v["name"].ljust(1024, b"\0"), "parent name"],
        [v["reserved_end"], "reserved"],
    ]


def header(**over):
    parts = fields(**over)
    whole = b"".join(p[0] for p in parts)
    assert len(whole) == 4096
    parts[3][0] = over.get("digest", hashlib.sha256(whole).digest())
    return parts


def body(present, bitmap=None, tail=b""):
    """Bitmap and clusters; cluster i is filled with 0xa0 + i, or zeros where @present says 0."""
    bits = sum(1 << i for i in present).to_bytes(4096, "little")
    parts = [[bitmap or bits, "bitmap"]]
    for i in range(6):
        n = min(4096, BYTES - 4096 * i)
        fill = present.get(i, 0x00)
        parts.append([bytes([fill]) * n, f"cluster {i}" + ("" if i in present else ", absent")])
    return parts + [[tail, "after the disk"]] if tail else parts


def hex_of(data):
    out = []
    i = 0
    while i < len(data):
        n = 1
        while i + n < len(data) and data[i + n] == data[i]:
            n += 1
        if n >= 8:
            out.append(f"{data[i]:02x}*{n}")
        else:
            out.extend([f"{data[i]:02x}"] * n)
        i += n
    return out


def write(path, title, parts):
    at = 0
    with open(path, "w") as f:
        f.write(f"# {title}\n")
        for data, meaning in parts:
            tokens = hex_of(data)
            for k in range(0, len(tokens), 16):
                line = " ".join(tokens[k:k + 16])
                f.write(f"{line:<48}# {at:#06x} {meaning}\n" if k == 0 else line + "\n")
            at += len(data)


def cut(parts, n):
    whole = b"".join(p[0] for p in parts)[:n]
    return [[whole, "cut off"]] if whole else []


def put(size, at, value=1):
    b = bytearray(size)
    b[at] = value
    return bytes(b)


def main(out):
    golden, bad = os.path.join(out, "golden"), os.path.join(out, "bad")
    os.makedirs(golden, exist_ok=True)
    os.makedirs(bad, exist_ok=True)
    empty = body({})
    some = {1: 0xA1, 2: 0x00, 5: 0xA5}

    for name, title, parts in [
            ("empty", "An overlay that holds nothing.", header() + empty),
            ("some", "Clusters 1 and 5 are present, and 2, which is zeros.", header() + body(some)),
            ("spare", "Held ready for a snapshot.", header(state=2) + empty),
            ("all", "Every cluster is present.", header() + body({i: 0xA0 + i for i in range(6)})),
            ("stale", "What absent clusters and the end of the file hold has no meaning.",
             header() + [body(some)[0]] + [[b"\x5a" * 4096, "cluster 0, absent"]] +
             body(some, tail=b"\x5a" * 512)[2:]),
    ]:
        write(f"{golden}/{name}.hex", title, parts)

    good = header() + empty
    h = {
        "MAGIC@0x0-other-magic": dict(magic=b"\x89VMDISC\n"),
        "VERSION@0x8-version-2": dict(version=2),
        "VERSION@0x8-version-0": dict(version=0),
        "FEATURE@0xc-feature-1": dict(features=1),
        "FEATURE@0xc-feature-31": dict(features=1 << 31),
        "CHECKSUM@0x10-digest-of-zeros": dict(digest=bytes(32)),
        "RANGE@0x50-no-bytes": dict(bytes=0),
        "RANGE@0x50-not-whole-sectors": dict(bytes=BYTES + 1),
        "RANGE@0x50-8-TiB-and-more": dict(bytes=(8 << 40) + 512),
        "RANGE@0x50-all-ones": dict(bytes=2**64 - 512),
        "RANGE@0x58-cluster-of-64-KiB": dict(cluster=65536),
        "RANGE@0x58-cluster-of-0": dict(cluster=0),
        "RANGE@0x5c-parent-format-0": dict(format=0),
        "RANGE@0x5c-parent-format-3": dict(format=3),
        "RANGE@0x60-bitmap-in-the-header": dict(bitmap_offset=0),
        "RANGE@0x60-bitmap-far-away": dict(bitmap_offset=2**63),
        "RANGE@0x68-bitmap-too-small": dict(bitmap_bytes=0),
        "RANGE@0x68-bitmap-too-large": dict(bitmap_bytes=8192),
        "RANGE@0x68-disk-too-large-for-it": dict(bytes=(128 << 20) + 512),
        "RANGE@0x70-data-over-the-bitmap": dict(data_offset=4096),
        "RANGE@0x70-data-offset-overflows": dict(data_offset=2**64 - 4096),
        "RANGE@0x88-raw-parent-with-uuid": dict(parent_uuid=put(16, 0)),
        "RANGE@0xa7-raw-parent-with-generation": dict(parent_generation=put(16, 15)),
        "RANGE@0xa8-state-3": dict(state=3),
        "RANGE@0xac-reserved-first": dict(reserved=put(340, 0)),
        "RANGE@0x1ff-reserved-last": dict(reserved=put(340, 339)),
        "RANGE@0x200-no-parent-name": dict(name=b""),
        "RANGE@0x200-parent-name-without-end": dict(name=b"a" * 1024),
        "RANGE@0x200-parent-name-absolute": dict(name=b"/etc/shadow"),
        "RANGE@0x204-parent-name-with-escape": dict(name=b"base\x1b[2J.raw"),
        "RANGE@0x209-parent-name-goes-on": dict(name=b"base.raw\0x"),
        "STRUCTURE@0x200-raw-parent-named-overlay": dict(name=b"base.vmdisk"),
        "STRUCTURE@0x200-overlay-parent-named-raw": dict(format=2, parent_uuid=UUID),
        "RANGE@0x600-reserved-end-first": dict(reserved_end=put(2560, 0)),
        "RANGE@0xfff-reserved-end-last": dict(reserved_end=put(2560, 2559)),
        "WRONG_STATE-being-committed": dict(state=1),
        "INCOMPATIBLE-parent-of-other-size": dict(parent_bytes=BYTES + 512),
        "INCOMPATIBLE-parent-written-since": dict(mtime=MTIME - 1),
        "STRUCTURE-parent-with-other-disk": dict(bytes=BYTES - 512),
    }
    for name, over in h.items():
        write(f"{bad}/{name}.hex", "Refused: see the name.", header(**over) + empty)
    for name, parts in {
            "TRUNCATED@0x0-empty": [],
            "TRUNCATED@0xfff-inside-the-header": cut(good, 4095),
            "TRUNCATED@0x1000-no-bitmap": cut(good, 4096),
            "TRUNCATED@0x2000-no-data": cut(good, 8192),
            "TRUNCATED@0x71ff-one-byte-less": cut(good, 8192 + BYTES - 1),
            "RANGE@0x1000-cluster-after-the-last": header() + body({}, bitmap=put(4096, 0, 0x40)),
            "RANGE@0x1001-byte-after-the-last": header() + body({}, bitmap=put(4096, 1, 0x01)),
            "RANGE@0x1fff-end-of-the-bitmap": header() + body({}, bitmap=put(4096, 4095, 0x80)),
    }.items():
        write(f"{bad}/{name}.hex", "Refused: see the name.", parts)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
