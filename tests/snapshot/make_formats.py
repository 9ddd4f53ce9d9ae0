#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes formats/next/golden and formats/next/bad anew, and the seeds in fuzz/corpus/snapshot;
scripts/regen-formats --golden calls it.

usage: make_formats.py BUILD NEXT

Bad files are assembled here, not by the writer under test, with every digest remade so that what is
tested is the check behind it. The name of a bad file is what the second reader says of it; the code
must be the one stated here. The committed files are what tests read.
"""

import hashlib
import hmac
import os
import re
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..")]
import bad_chain  # noqa: E402
import bad_raw  # noqa: E402
import bad_sealed  # noqa: E402
import sealing  # noqa: E402
import snap_crypto  # noqa: E402
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

    def __init__(self, data, schema, keys=sr.Keys(), beside=lambda name: None):
        s = sr.Snapshot(data, schema, keys, beside)
        self.header = bytearray(data[:128])
        off, length, _ = s.place["manifest"]
        self.file_keys = s.file_keys
        self.seed = sealing.SEED if s.signed else None
        # What is encrypted otherwise, by number of chunk: as (kind, number), with what keys.
        self.nonces, self.other_keys = {}, {}
        frame, _ = s.unseal(1, 0, off, data[off:off + length], "manifest")
        self.tree = decode(sr.Cbor(frame[8:], 0))
        self.spans, self.hooks = [], {}
        self.ram_bytes, self.is_raw = s.ram_bytes, s.is_raw
        self.regions, self.chunk_bytes, self.chunks = s.region_sizes, s.chunk_bytes, s.chunks
        plain = b"".join(s.ram)
        for leaf in s.spans:
            span = []
            for kind, n, at, size, plain_n in leaf:
                frame = data[at:at + size]
                if self.is_raw: # the bytes, also of zeros
                    frame, plain = plain[:plain_n], plain[plain_n:]
                if self.file_keys and kind == sr.FRAME:
                    number = 1024 * len(self.spans) + sum(x[1] for x in span)
                    frame, _ = s.unseal(2, number, at, frame, "chunk")
                span.append([kind, n, bytearray(frame), plain_n])
            self.spans.append(span)

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
                         (bytes(32) if not len(frame) else hashlib.sha256(frame).digest()))

    def seal(self, name, kind, number, frame):
        """@name: of what is encrypted, "manifest" or the number of the chunk."""
        keys = self.other_keys.get(name, self.file_keys)
        if keys is None:
            return bytearray(frame)
        return bytearray(keys.seal(*self.nonces.get(name, (kind, number)), bytes(frame)))

    def put_payload(self, out, seek):
        """All of RAM as it is, of a raw file."""
        places, frames, _ = sr.raw_layout(self.regions, self.chunk_bytes, len(out))
        ram = b"".join(bytes(frame) for span in self.spans for _, _, frame, _ in span)
        for number, (padding, payload, size) in enumerate(frames):
            piece = bytearray(struct.pack("<II", sr.PADDING, payload - padding - 16) +
                              bytes(payload - padding - 16))
            head = bytearray(struct.pack("<II", sr.PAYLOAD, size))
            self.hook("padding", number, piece)
            self.hook("payload", number, head)
            out += piece + head + ram[:size]
            ram = ram[size:]
            seek += [(len(piece), 0), (8 + size, 0)]
        return places

    def close(self, footer):
        """Signature and digest field."""
        if self.seed:
            footer[240:272] = snap_crypto.public_key(self.seed)
            footer[272:336] = snap_crypto.sign(self.seed, bytes(footer[:272]))
        self.hook("signed", footer)
        if self.file_keys:
            footer += hmac.digest(self.file_keys.mac, bytes(footer), "sha256")
        else:
            footer += hashlib.sha256(footer).digest()

    def build(self):
        places, seek = {}, []
        manifest = bytearray(encode(self.tree))
        self.hook("cbor", manifest)
        manifest[:0] = struct.pack("<II", sr.MANIFEST, len(manifest))
        self.hook("manifest", manifest)
        manifest = self.seal("manifest", 1, 0, manifest)
        self.hook("sealed manifest", manifest)
        self.hook("header", self.header)
        out = bytearray(self.header)
        places["header"] = self.place(0, self.header)
        places["manifest"] = self.place(len(out), manifest)
        out += manifest
        seek += [(128, 0), (len(manifest), 0)]
        places_of_chunks = self.put_payload(out, seek) if self.is_raw else []
        counts, roots, done = [0, 0, 0, 0, 0, 0], [], 0  # as in the root
        for number, span in enumerate(self.spans):
            entries = []
            for i, (kind, chunks, frame, plain) in enumerate(span):
                self.hook("frame", number, i, frame)
                if kind == sr.FRAME and self.file_keys:
                    frame, plain = self.seal(done, 2, done, frame), 0
                    self.hook("sealed", number, i, frame)
                done += chunks
                at = len(out)
                if self.is_raw: # it is there already
                    at = places_of_chunks[done - chunks]
                    frame = frame if kind == sr.RAW else b""
                entries.append(self.entry(at, frame, kind, chunks))
                counts[kind] += chunks
                counts[4] += kind == sr.ZERO and not self.is_raw
                counts[5] += len(frame)
                self.hook("entry", number, i, entries[-1])
                if self.is_raw:
                    continue
                out += frame
                if kind != sr.PARENT:
                    seek.append((len(frame), plain))
            chunks = sum(x[1] for x in span)
            if len(span) == 1 and span[0][0] not in (sr.FRAME, sr.RAW) and "leaf of a run" not in self.hooks:
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
                                     *counts) +
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
        self.close(footer)
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
    yield "FEATURE", "encrypted-without-a-cipher", poke("header", 24, le(1, 8))
    yield "FEATURE", "requires-incomplete", poke("header", 24, le(8, 8))
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
    yield "RANGE", "root-entry-kind", poke("root entry", 12, b"\2")
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
    im.hooks["leaf of a run"] = None
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
    """32 bytes a line; where there is nothing but zeros for long, that is said."""
    lines, at = [], 0
    for m in re.finditer(rb"\0{4096,}", data):
        lines += [data[i:min(i + 32, m.start())].hex(" ") for i in range(at, m.start(), 32)]
        lines.append(f"zeros {m.end() - m.start()}")
        at = m.end()
    lines += [data[i:i + 32].hex(" ") for i in range(at, len(data), 32)]
    return "".join(line + "\n" for line in lines)


def refusal(data, schema, keys, beside):
    try:
        sr.Snapshot(data, schema, keys, beside)
    except sr.Refused as e:
        return e
    return None


def make_bad(images, schema, folder):
    """@images: data and keys of each golden file."""
    for name in os.listdir(folder):
        os.remove(os.path.join(folder, name))
    cases = [("small", *c) for c in [*simple(), *CASES]] + list(bad_sealed.cases()) + \
        list(bad_chain.cases()) + list(bad_raw.cases())
    for base, code, what, change in cases:
        im = Image(*images[base])
        change(im)
        data = im.build()
        e = refusal(data, schema, sealing.keys_of(what), images[base][3])
        if e is None or e.code != code:
            raise SystemExit(f"{what}: {code} wanted, got {e and (e.code, hex(e.offset), e.what)}")
        with open(f"{folder}/{code}@{e.offset:#x}-{what}.hex", "w", encoding="ascii") as f:
            f.write(f"# {what.replace('-', ' ')}: {e.what}\n" + hex_dump(data))
    assert len({w for _, _, w, _ in cases}) == len(cases)
    return len(cases)


class Unsealed:
    """In place of keys: files as fuzz/repair.c takes them."""

    mac = bytes(32)

    @staticmethod
    def seal(_kind, _number, frame):
        return struct.pack("<II", sr.SEALED, len(frame) + 16) + frame + bytes(16)


def make_seeds(images, folder):
    for name, image in images.items():
        if name == "raw": # so large that nothing would be found
            continue
        im = Image(*image)
        if im.file_keys:
            im.file_keys = Unsealed
        with open(f"{folder}/{name}", "wb") as f:
            f.write(im.build())


def main(build, nxt):
    schema, images = sr.Schema(f"{nxt}/vmsnap.cddl"), {}

    def beside(name):
        return images[name.removesuffix(".vmsnap")][0]

    os.makedirs(f"{nxt}/golden", exist_ok=True)
    os.makedirs(f"{nxt}/bad", exist_ok=True)
    with tempfile.TemporaryDirectory() as tmp:
        for name in ("small", "sparse", "signed+signer", "encrypted+key", "passphrase+passphrase",
                     "sealed+key+signer", "child", "grandchild", "offspring", "raw"):
            snap, recipe = f"{tmp}/{name}.vmsnap", name.split("+")[0]
            subprocess.run([f"{build}/tests/mksnap", recipe, snap, f"{tmp}/ram"], check=True)
            with open(snap, "rb") as f:
                images[recipe] = f.read(), schema, sealing.keys_of(name), beside
            if Image(*images[recipe]).build() != images[recipe][0]:
                sys.exit(f"{name} is not what is assembled from its parts")
            with open(f"{nxt}/golden/{name}.hex", "w", encoding="ascii") as f:
                sr.Snapshot(*images[recipe]).annotate(f)
            with open(f"{nxt}/golden/{name}.txt", "w", encoding="utf-8") as f:
                for command in ("info", "layout", "state", "verify"):
                    print(f"$ snapinspect {command} {name}.vmsnap", file=f, flush=True)
                    subprocess.run([f"{build}/tools/snapinspect/snapinspect", command, snap,
                                    *sealing.options_of(name, tmp)], stdout=f, check=True)
    make_seeds(images, f"{HERE}/../../fuzz/corpus/snapshot")
    print(f"{make_bad(images, schema, f'{nxt}/bad')} bad files")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
