#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes formats/next/golden and formats/next/bad anew; scripts/regen-formats --golden calls it.

usage: make_formats.py BUILD NEXT

Bad files are assembled here, not by the writer under test, with every digest remade so that what is
tested is the check behind it. The name of a bad file is what the second reader says of it; the code
must be the one stated here. The committed files are what tests read.
"""

import hashlib
import os
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import snap_reader as sr  # noqa: E402


# --- CBOR trees: int, bool, bytes, str, list, Map, Raw ------------------------------------------

class Map(list):
    """Pairs in order, so that order can be wrong."""

    def set(self, key, value):
        self[[k for k, _ in self].index(key)] = (key, value)

    def get(self, key):
        return dict(self)[key]


class Raw(bytes):
    """Bytes put as they are."""


def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    size = 1 if n < 256 else 2 if n < 65536 else 4 if n < 1 << 32 else 8
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size]]) + n.to_bytes(size, "big")


def encode(v):
    if isinstance(v, Raw):
        return bytes(v)
    if isinstance(v, bool):
        return b"\xf5" if v else b"\xf4"
    if isinstance(v, int):
        return head(0, v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, Map):
        return head(5, len(v)) + b"".join(encode(x) for pair in v for x in pair)
    return head(4, len(v)) + b"".join(encode(x) for x in v)


def decode(c):
    kind, v, _ = c.head()
    if kind == "array":
        return [decode(c) for _ in range(v)]
    if kind == "map":
        return Map((decode(c), decode(c)) for _ in range(v))
    return v.decode() if kind == "text" else v


# --- a file in parts ----------------------------------------------------------------------------

class Image:
    """Parts of a good file; build() puts them together, calling the hook of a name, if there is one,
    with each part before its digest is taken."""

    def __init__(self, data, schema):
        s = sr.Snapshot(data, schema)
        self.header = bytearray(data[:128])
        off, length, _ = s.place["manifest"]
        self.tree = decode(sr.Cbor(data[off + 8:off + length], 0))
        self.spans, self.hooks = [], {}
        self.ram_bytes = s.ram_bytes
        at, chunks = off + length, list(s.leaves)
        for leaf in chunks:
            span, done = [], 0
            while done < len(leaf):
                stored, plain = s.seek[self.frame_number(s, at, data)]
                frame = data[at:at + stored]
                n, total = 0, 0
                while total < plain:
                    total += leaf[done + n]
                    n += 1
                zero = frame == sr.zero_frame(plain)
                span.append([0 if zero else 1, n, bytearray(frame), plain])
                at, done = at + stored, done + n
            self.spans.append(span)
            if len(span) > 1 or span[0][0]:
                at += 16 + 48 * len(span)

    @staticmethod
    def frame_number(s, at, data):
        pos = 0
        for i, (stored, _) in enumerate(s.seek):
            if pos == at:
                return i
            pos += stored
        raise ValueError(at)

    def hook(self, name, *parts):
        if name in self.hooks:
            self.hooks[name](*parts)

    def record(self, name):
        return [c for c in self.tree if c[0] == name][0][2]

    @staticmethod
    def place(at, frame):
        return [at, len(frame), hashlib.sha256(frame).digest()]

    @staticmethod
    def entry(at, frame, kind, chunks):
        return bytearray(struct.pack("<QIBBH", at, len(frame), kind, 0, chunks) +
                         hashlib.sha256(frame).digest())

    def build(self):
        places, seek = {}, []
        manifest = bytearray(encode(self.tree))
        self.hook("cbor", manifest)
        manifest[:0] = struct.pack("<II", sr.MANIFEST, len(manifest))
        self.hook("manifest", manifest)
        self.hook("header", self.header)
        out = bytearray(self.header)
        places["header"] = self.place(0, self.header)
        places["manifest"] = self.place(len(out), manifest)
        out += manifest
        seek += [(128, 0), (len(manifest), 0)]
        counts, roots = [0, 0, 0, 0], []
        for number, span in enumerate(self.spans):
            entries = []
            for i, (kind, chunks, frame, plain) in enumerate(span):
                self.hook("frame", number, i, frame)
                entries.append(self.entry(len(out), frame, kind, chunks))
                counts[kind] += chunks
                counts[2] += not kind
                counts[3] += len(frame)
                self.hook("entry", number, i, entries[-1])
                out += frame
                seek.append((len(frame), plain))
            chunks = sum(x[1] for x in span)
            if len(span) == 1 and not span[0][0] and "leaf of zeros" not in self.hooks:
                roots.append(entries[0])
            else:
                leaf = bytearray(struct.pack("<IIII", sr.LEAF, 8 + 48 * len(entries), number,
                                             len(entries)) + b"".join(entries))
                self.hook("leaf", number, leaf)
                roots.append(self.entry(len(out), leaf, 1, chunks))
                out += leaf
                seek.append((len(leaf), 0))
            self.hook("root entry", number, roots[-1])
        root = bytearray(struct.pack("<IIII6Q", sr.ROOT, 56 + 48 * len(roots), len(roots), 1024,
                                     counts[0], counts[1], 0, 0, counts[2], counts[3]) +
                         b"".join(roots))
        self.hook("root", root)
        places["root"] = self.place(len(out), root)
        out += root
        seek += [(len(root), 0), (384, 0)]
        table = bytearray(struct.pack("<II", sr.SEEK, 8 * len(seek) + 9) +
                          b"".join(struct.pack("<II", *x) for x in seek) +
                          struct.pack("<IBI", len(seek), 0, 0x8F92EAB1))
        self.hook("table", table)
        places["table"] = self.place(len(out) + 384, table)
        footer = bytearray(struct.pack("<II8sQQQQ", sr.FOOTER, 376, b"VMSNFOOT",
                                       len(out) + 384 + len(table), self.ram_bytes, len(seek), 0) +
                           b"".join(struct.pack("<QQ32s", *p) for p in places.values()) + bytes(112))
        self.hook("footer", footer)
        footer += hashlib.sha256(footer).digest()
        self.footer_at = len(out)
        out += footer + table
        self.hook("file", out)
        return bytes(out)


# --- what can be wrong --------------------------------------------------------------------------

CASES = []


def bad(code, what):
    def add(fn):
        CASES.append((code, what, fn))
        return fn
    return add


def overwrite(part, at, value):
    start = at if at >= 0 else len(part) + at
    part[start:start + len(value)] = value


def poke(part, at, value):
    """A hook that writes @value into @part at @at, from its end if that is negative."""
    return lambda im: im.hooks.__setitem__(part, lambda *p: overwrite(p[-1], at, value))


def poke_nth(part, want, at, value):
    """As poke(), but only in the one of @want: number of the leaf, and of the entry in it."""
    def run(*parts):
        if parts[:-1] == want:
            overwrite(parts[-1], at, value)
    return lambda im: im.hooks.__setitem__(part, run)


def flip(where):
    """Changes one byte after all digests were taken; @where: of the finished file."""
    def run(im):
        def change(out):
            out[where(im) if callable(where) else where] ^= 0x10
        im.hooks["file"] = change
    return run


def cut(n):
    def run(im):
        def shorten(out):
            del out[n if n >= 0 else len(out) + n:]
        im.hooks["file"] = shorten
    return run


def le(n, size):
    return n.to_bytes(size, "little")


def simple():
    yield "MAGIC", "empty", cut(0)
    yield "MAGIC", "shorter-than-a-header", cut(127)
    yield "MAGIC", "other-magic", poke("header", 9, b"X")
    yield "VERSION", "version-2", poke("header", 16, le(2, 4))
    yield "FEATURE", "digest-algorithm-2", poke("header", 20, le(2, 4))
    yield "FEATURE", "requires-encrypted", poke("header", 24, le(1, 8))
    yield "FEATURE", "requires-unknown", poke("header", 24, le(1 << 63, 8))
    yield "RANGE", "header-reserved", poke("header", 127, b"\1")
    yield "CHECKSUM", "header-damaged", flip(41)

    yield "TRUNCATED", "header-only", cut(128)
    yield "TRUNCATED", "last-byte-missing", cut(-1)
    yield "TRUNCATED", "half", cut(900)
    yield "TRUNCATED", "seek-table-too-long", poke("file", -9, le(0x1000, 4))
    yield "LIMIT", "seek-table-of-too-many", poke("file", -9, le(0x8000001, 4))
    yield "STRUCTURE", "seek-table-with-checksums", poke("file", -5, b"\x80")

    yield "STRUCTURE", "footer-frame-magic", poke("footer", 0, le(sr.ROOT, 4))
    yield "STRUCTURE", "footer-frame-length", poke("footer", 4, le(375, 4))
    yield "CHECKSUM", "footer-damaged", flip(lambda im: im.footer_at + 100)
    yield "STRUCTURE", "footer-magic", poke("footer", 8, b"XMSNFOOT")
    yield "RANGE", "footer-reserved", poke("footer", 47, b"\1")
    yield "RANGE", "signature-without-feature", poke("footer", 300, b"\1")
    yield "STRUCTURE", "file-length", poke("footer", 16, le(0x4000, 8))
    yield "STRUCTURE", "frames", poke("footer", 32, le(3, 8))
    yield "STRUCTURE", "place-of-header", poke("footer", 48, le(8, 8))
    yield "STRUCTURE", "place-of-manifest", poke("footer", 96, le(136, 8))
    yield "LIMIT", "manifest-of-17-MiB", poke("footer", 104, le(17 << 20, 8))
    yield "STRUCTURE", "manifest-past-the-root", poke("footer", 104, le(1 << 20, 8))
    yield "STRUCTURE", "place-of-root", poke("footer", 144, le(2**64 - 8, 8))
    yield "STRUCTURE", "length-of-seek-table", poke("footer", 200, le(17, 8))

    yield "CHECKSUM", "manifest-damaged", flip(0x90)
    yield "STRUCTURE", "manifest-frame-magic", poke("manifest", 0, le(sr.LEAF, 4))
    yield "STRUCTURE", "manifest-frame-length", poke("manifest", 4, le(5, 4))
    yield "ENCODING", "manifest-of-indefinite-length", poke("cbor", 0, b"\x9f")
    yield "TYPE", "manifest-is-a-number", poke("cbor", 0, b"\x05")
    yield "TRUNCATED", "manifest-of-more-components", poke("cbor", 0, b"\x86")
    yield "STRUCTURE", "manifest-of-fewer-components", poke("cbor", 0, b"\x84")

    yield "STRUCTURE", "root-frame-magic", poke("root", 0, le(sr.LEAF, 4))
    yield "STRUCTURE", "root-of-other-leaves", poke("root", 8, le(2, 4))
    yield "RANGE", "root-chunks-a-leaf", poke("root", 12, le(512, 4))
    yield "RANGE", "root-raw-chunks", poke("root", 32, le(1, 8))
    yield "STRUCTURE", "root-zero-chunks", poke("root", 16, le(99, 8))
    yield "STRUCTURE", "root-chunks-moved", poke("root", 16, struct.pack("<QQ", 5, 3))
    yield "STRUCTURE", "root-zero-frames", poke("root", 48, le(1, 8))
    yield "STRUCTURE", "root-stored-bytes", poke("root", 56, le(1, 8))
    yield "CHECKSUM", "root-damaged", flip(lambda im: im.footer_at - 1)
    yield "RANGE", "root-entry-kind", poke("root entry", 12, b"\3")
    yield "RANGE", "root-entry-reserved", poke("root entry", 13, b"\1")
    yield "STRUCTURE", "root-entry-chunks", poke("root entry", 14, le(9, 2))
    yield "STRUCTURE", "root-entry-place", poke("root entry", 0, le(128, 8))
    yield "STRUCTURE", "root-entry-past-the-root", poke("root entry", 0, le(1 << 40, 8))
    yield "STRUCTURE", "root-entry-length-0", poke("root entry", 8, le(0, 4))
    yield "STRUCTURE", "root-entry-odd-length", poke("root entry", 8, le(16 + 47, 4))
    yield "STRUCTURE", "root-entry-as-zero", poke("root entry", 12, b"\0")

    yield "STRUCTURE", "leaf-frame-magic", poke("leaf", 0, le(sr.ROOT, 4))
    yield "STRUCTURE", "leaf-number", poke("leaf", 8, le(1, 4))
    yield "STRUCTURE", "leaf-entries", poke("leaf", 12, le(7, 4))
    yield "RANGE", "entry-kind-raw", poke_nth("entry", (0, 2), 12, b"\2")
    yield "RANGE", "entry-reserved", poke_nth("entry", (0, 2), 13, b"\1")
    yield "STRUCTURE", "entry-for-no-chunk", poke_nth("entry", (0, 1), 14, le(0, 2))
    yield "STRUCTURE", "entry-for-two-chunks", poke_nth("entry", (0, 0), 14, le(2, 2))
    yield "STRUCTURE", "entry-run-past-the-leaf", poke_nth("entry", (0, 2), 14, le(1000, 2))
    yield "STRUCTURE", "entry-place", poke_nth("entry", (0, 3), 0, le(128, 8))
    yield "STRUCTURE", "entry-length-0", poke_nth("entry", (0, 1), 8, le(0, 4))
    yield "STRUCTURE", "entry-length-4-GiB", poke_nth("entry", (0, 1), 8, le(2**32 - 1, 4))
    yield "STRUCTURE", "zero-entry-length", poke_nth("entry", (0, 2), 8, le(22, 4))
    yield "CHECKSUM", "entry-digest", poke_nth("entry", (0, 4), 16, bytes(32))

    yield "ENCODING", "chunk-no-zstd", poke_nth("frame", (0, 0), 0, b"\0")
    yield "ENCODING", "chunk-of-other-size", poke_nth("frame", (0, 0), 5, b"\0\1")
    yield "ENCODING", "chunk-block-damaged", poke_nth("frame", (0, 3), 7, b"\xff\xff\xff")
    yield "ENCODING", "zeros-with-a-one", poke_nth("frame", (0, 2), -1, b"\1")
    yield "CHECKSUM", "seek-table-damaged", flip(lambda im: im.footer_at + 384 + 10)
    yield "STRUCTURE", "seek-table-stored", poke("table", 16, le(77, 4))
    yield "STRUCTURE", "seek-table-plain", poke("table", 28, le(77, 4))


@bad("CHECKSUM", "chunk-damaged")
def _(im):
    flip(lambda im: 128 + 8 + len(encode(im.tree)) + 12)(im)


@bad("CHECKSUM", "leaf-damaged")
def _(im):
    flip(lambda im: im.footer_at - (64 + 48) - 20)(im)


@bad("STRUCTURE", "bytes-behind-a-chunk")
def _(im):
    im.hooks["leaf"] = lambda n, leaf: None
    span = im.spans[0]
    span[-1][2] += b"\0\0\0"
    im.hooks["entry"] = lambda n, i, en: en.__setitem__(
        slice(8, 12), le(len(span[i][2]) - 3 * (i == len(span) - 1), 4))


@bad("ENCODING", "chunk-of-two-frames")
def _(im):
    im.spans[0][0][2] += b"\x50\x2a\x4d\x18\0\0\0\0"


@bad("ENCODING", "chunk-without-size")
def _(im):
    frame = subprocess.run(["zstd", "-qc", "--no-check", "--no-content-size"], check=True,
                           input=b"\xa5" * 0x1800 + bytes(0x800), stdout=subprocess.PIPE).stdout
    im.spans[0][0][2][:] = frame


@bad("STRUCTURE", "two-runs-of-zeros")
def _(im):
    i = [x[0] for x in im.spans[0]].index(0, 1)
    kind, chunks, _, plain = im.spans[0][i]
    assert chunks > 1
    im.spans[0][i:i + 1] = [[0, 1, bytearray(sr.zero_frame(4096)), 4096],
                            [0, chunks - 1, bytearray(sr.zero_frame(plain - 4096)), plain - 4096]]


@bad("STRUCTURE", "leaf-of-zeros-only")
def _(im):
    im.hooks["leaf of zeros"] = None
    total = sum(x[1] for x in im.spans[0])
    im.spans[0] = [[0, total, bytearray(sr.zero_frame(im.ram_bytes)), im.ram_bytes]]


@bad("STRUCTURE", "chunk-missing-in-the-leaf")
def _(im):
    del im.spans[0][-1]


@bad("STRUCTURE", "root-too-short")
def _(im):
    im.hooks["root"] = lambda root: root.__delitem__(slice(64, None))


@bad("STRUCTURE", "uuid-not-the-header's")
def _(im):
    im.record("identity").set(1, bytes(range(16)))


@bad("STRUCTURE", "stream-bytes")
def _(im):
    im.record("ram").set(1, im.ram_bytes + 4096)


@bad("STRUCTURE", "footer-ram-bytes")
def _(im):
    im.ram_bytes += 4096


@bad("RANGE", "chunk-size-no-power-of-two")
def _(im):
    im.record("ram").set(2, 12288)


@bad("RANGE", "chunk-size-2-MiB")
def _(im):
    im.record("ram").set(2, 2 << 20)


@bad("LIMIT", "513-components")
def _(im):
    im.tree += [["clock", str(i), im.record("clock")] for i in range(513 - len(im.tree))]


@bad("STRUCTURE", "component-of-two")
def _(im):
    del im.tree[4][2]


@bad("TYPE", "type-is-a-number")
def _(im):
    im.tree[4][0] = 7


@bad("TYPE", "record-is-an-array")
def _(im):
    im.tree[4][2] = [1, 2]


@bad("UNKNOWN", "type-nobody-declared")
def _(im):
    im.tree[4][0] = "clack"


@bad("DUPLICATE", "component-twice")
def _(im):
    im.tree.append(im.tree[4])


@bad("LIMIT", "id-of-33-bytes")
def _(im):
    im.tree[4][1] = "x" * 33


@bad("LIMIT", "type-of-33-bytes")
def _(im):
    im.tree[4][0] = "x" * 33


@bad("MISSING", "no-machine")
def _(im):
    del im.tree[2]


@bad("MISSING", "machine-with-an-id")
def _(im):
    im.tree[2][1] = "x"


@bad("MISSING", "no-components")
def _(im):
    im.tree.clear()


@bad("STRUCTURE", "machine-before-layout")
def _(im):
    im.tree[1], im.tree[2] = im.tree[2], im.tree[1]


@bad("STRUCTURE", "clock-before-ram")
def _(im):
    im.tree[3], im.tree[4] = im.tree[4], im.tree[3]


@bad("MISSING", "record-without-version")
def _(im):
    del im.record("clock")[0]


@bad("MISSING", "record-empty")
def _(im):
    im.record("clock").clear()


@bad("VERSION", "record-version-0")
def _(im):
    im.record("clock").set(0, 0)


@bad("VERSION", "record-version-999")
def _(im):
    im.record("clock").set(0, 999)


@bad("MISSING", "field-missing")
def _(im):
    del im.record("identity")[3]


@bad("MISSING", "last-field-missing")
def _(im):
    del im.record("identity")[-1]


@bad("UNKNOWN", "field-unknown")
def _(im):
    im.record("identity").append((4711, 1))


@bad("DUPLICATE", "field-twice")
def _(im):
    im.record("identity").insert(3, im.record("identity")[2])


@bad("ENCODING", "fields-not-in-order")
def _(im):
    r = im.record("clock")
    r[2:4] = [r[2], r[1]]


@bad("TYPE", "flag-as-a-number")
def _(im):
    im.record("machine").set(2, 1)


@bad("TYPE", "number-as-a-flag")
def _(im):
    im.record("clock").set(1, True)


@bad("TYPE", "negative-number")
def _(im):
    im.record("clock").set(1, Raw(b"\x20"))


@bad("RANGE", "u32-too-large")
def _(im):
    im.record("ram").set(2, 1 << 32)


@bad("RANGE", "kind-without-name")
def _(im):
    im.record("layout").get(3)[0].set(2, 200)


@bad("RANGE", "uuid-of-15-bytes")
def _(im):
    im.record("identity").set(1, bytes(15))


@bad("LIMIT", "uuid-of-17-bytes")
def _(im):
    im.record("identity").set(1, bytes(17))


@bad("LIMIT", "text-too-long")
def _(im):
    im.record("identity").set(2, "n" * 65)


@bad("LIMIT", "list-too-long")
def _(im):
    im.record("layout").set(3, im.record("layout").get(3) * 22)


@bad("LIMIT", "list-of-4-billion")
def _(im):
    im.record("layout").set(3, Raw(b"\x9a\xff\xff\xff\xff"))


@bad("ENCODING", "number-not-shortest")
def _(im):
    im.record("clock").set(1, Raw(b"\x18\x05"))


@bad("ENCODING", "length-not-shortest")
def _(im):
    im.record("identity").set(2, Raw(b"\x78\x01a"))


@bad("ENCODING", "tag")
def _(im):
    im.record("clock").set(1, Raw(b"\xc1\x05"))


@bad("ENCODING", "null")
def _(im):
    im.record("clock").set(1, Raw(b"\xf6"))


@bad("ENCODING", "float")
def _(im):
    im.record("clock").set(1, Raw(b"\xf9\x3c\x00"))


@bad("ENCODING", "text-of-indefinite-length")
def _(im):
    im.record("identity").set(2, Raw(b"\x7f\x61a\xff"))


@bad("ENCODING", "text-with-an-escape")
def _(im):
    im.record("identity").set(2, "\x1b[2J")


@bad("ENCODING", "text-with-a-zero")
def _(im):
    im.record("identity").set(2, "a\0b")


@bad("ENCODING", "text-not-utf-8")
def _(im):
    im.record("identity").set(2, Raw(b"\x62\xc0\x80"))


@bad("TRUNCATED", "text-past-the-end")
def _(im):
    im.tree = Raw(b"\x81\x83\x78\xffidentity")


def region(im, i):
    return im.record("layout").get(3)[i]


@bad("STRUCTURE", "region-name-twice")
def _(im):
    region(im, 1).set(1, region(im, 0).get(1))


@bad("STRUCTURE", "regions-overlap")
def _(im):
    region(im, 1).set(3, 0x6000)


@bad("STRUCTURE", "regions-not-in-order")
def _(im):
    region(im, 1).set(3, 1 << 33)


@bad("STRUCTURE", "region-not-aligned")
def _(im):
    region(im, 0).set(4, 0x6fff)


@bad("STRUCTURE", "region-past-the-address-limit")
def _(im):
    region(im, 2).set(3, 2**64 - 4096)


@bad("STRUCTURE", "region-in-a-later-one")
def _(im):
    region(im, 0).set(5, 3)


@bad("STRUCTURE", "region-outside-its-parent")
def _(im):
    region(im, 1).set(5, 1)


@bad("STRUCTURE", "region-without-name")
def _(im):
    region(im, 0).set(1, "")


@bad("STRUCTURE", "no-regions")
def _(im):
    im.record("layout").set(3, [])


@bad("STRUCTURE", "address-bits-64")
def _(im):
    im.record("layout").get(2).set(3, 64)


@bad("STRUCTURE", "ram-not-the-machine's")
def _(im):
    im.record("layout").get(2).set(1, im.ram_bytes * 2)


# --- files --------------------------------------------------------------------------------------

def hex_dump(data):
    return "".join(data[i:i + 32].hex(" ") + "\n" for i in range(0, len(data), 32))


def refusal(data, schema):
    try:
        sr.Snapshot(data, schema)
    except sr.Refused as e:
        return e
    return None


def make_bad(golden, schema, folder):
    for name in os.listdir(folder):
        os.remove(os.path.join(folder, name))
    cases = list(simple()) + [(c, w, f) for c, w, f in CASES]
    for code, what, change in cases:
        im = Image(golden, schema)
        change(im)
        data = im.build()
        e = refusal(data, schema)
        if e is None or e.code != code:
            raise SystemExit(f"{what}: {code} wanted, got {e and (e.code, hex(e.offset), e.what)}")
        with open(f"{folder}/{code}@{e.offset:#x}-{what}.hex", "w", encoding="ascii") as f:
            f.write(f"# {what.replace('-', ' ')}: {e.what}\n" + hex_dump(data))
    assert len({w for _, w, _ in cases}) == len(cases)
    return len(cases)


def main(build, nxt):
    schema = sr.Schema(f"{nxt}/vmsnap.cddl")
    here = os.path.dirname(os.path.abspath(__file__))
    os.makedirs(f"{nxt}/golden", exist_ok=True)
    os.makedirs(f"{nxt}/bad", exist_ok=True)
    with tempfile.TemporaryDirectory() as tmp:
        for name in ("small", "sparse"):
            snap = f"{tmp}/{name}.vmsnap"
            subprocess.run([f"{build}/tests/mksnap", name, snap, f"{tmp}/ram"], check=True)
            with open(f"{nxt}/golden/{name}.hex", "w", encoding="ascii") as f:
                subprocess.run([f"{here}/../snap_reader.py", "annotate", snap], stdout=f, check=True)
            with open(f"{nxt}/golden/{name}.txt", "w", encoding="utf-8") as f:
                for command in ("info", "layout", "state", "verify"):
                    print(f"$ snapinspect {command} {name}.vmsnap", file=f, flush=True)
                    subprocess.run([f"{build}/tools/snapinspect/snapinspect", command, snap],
                                   stdout=f, check=True)
        with open(f"{tmp}/small.vmsnap", "rb") as f:
            golden = f.read()
    if Image(golden, schema).build() != golden:
        sys.exit("small.vmsnap is not what is assembled from its parts")
    print(f"{make_bad(golden, schema, f'{nxt}/bad')} bad files")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
