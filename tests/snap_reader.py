#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second reader of .vmsnap files, written from formats/snapshot.md and formats/next/vmsnap.cddl.

usage: snap_reader.py [--cddl SCHEMA] json|ram|annotate FILE

Always does the full check. A file that is refused gives exit status 1 and CODE@OFFSET: what.
"""

import hashlib
import json
import os
import re
import struct
import subprocess
import sys

HEADER, MANIFEST, LEAF, ROOT, FOOTER, SEEK = (
    0x184D2A50, 0x184D2A51, 0x184D2A52, 0x184D2A53, 0x184D2A54, 0x184D2A5E)
ZSTD = 0xFD2FB528
BACKED = {"ram", "reserved-ram", "firmware"}


class Refused(Exception):
    def __init__(self, code, offset, what):
        super().__init__(what)
        self.code, self.offset, self.what = code, offset, what


def need(ok, code, offset, what):
    if not ok:
        raise Refused(code, offset, what)


# --- the schema ---------------------------------------------------------------------------------

class Field:
    def __init__(self, line):
        m = re.match(r"  (\d+): (.*?), ; (\w+): (.*)$", line)
        self.id, self.type, self.name = int(m[1]), m[2], m[3]
        self.names = {int(v): n for v, n in re.findall(r"(\d+)=([\w-]+)", m[4])}


class Schema:
    def __init__(self, path):
        self.version, self.fields = {}, {}
        name = None
        with open(path, encoding="utf-8") as f:
            for line in f.read().splitlines():
                if m := re.match(r"([\w-]+) = \{$", line):
                    name = m[1]
                    self.fields[name] = []
                elif line == "}":
                    name = None
                elif name and (m := re.match(r"  0: (\d+), ; version$", line)):
                    self.version[name] = int(m[1])
                elif name:
                    self.fields[name].append(Field(line))


# --- CBOR ---------------------------------------------------------------------------------------

class Cbor:
    def __init__(self, data, base):
        self.data, self.base, self.at = data, base, 0

    def head(self):
        """(kind, value, offset): a string's kind is its value's type."""
        start = self.at
        off = self.base + start
        need(start < len(self.data), "TRUNCATED", off, "CBOR ends")
        first = self.data[start]
        major, info = first >> 5, first & 31
        if major == 7:
            need(info in (20, 21), "ENCODING", off, "simple value")
            self.at += 1
            return "bool", info == 21, off
        need(info < 28 and major != 6, "ENCODING", off, "kind of item")
        n = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
        need(start + 1 + n <= len(self.data), "TRUNCATED", off, "CBOR ends")
        value = int.from_bytes(self.data[start + 1:start + 1 + n], "big") if n else info
        kind = ("uint", "negint", "bytes", "text", "array", "map")[major]
        self.at += 1 + n
        if kind in ("bytes", "text"):
            need(self.at + value <= len(self.data), "TRUNCATED", off, "string ends")
        shortest = 0 if value < 24 else 1 if value < 256 else 2 if value < 65536 else \
            4 if value < 1 << 32 else 8
        need(n == shortest, "ENCODING", off, "not shortest")
        if kind in ("bytes", "text"):
            raw = bytes(self.data[self.at:self.at + value])
            self.at += value
            if kind == "text":
                try:
                    text = raw.decode("utf-8")
                except UnicodeDecodeError:
                    raise Refused("ENCODING", off, "not UTF-8") from None
                need(not re.search("[\0-\x1f\x7f-\x9f]", text), "ENCODING", off, "control character")
            return kind, raw, off
        return kind, value, off

    def expect(self, kind):
        got, value, off = self.head()
        need(got == kind, "TYPE", off, f"{got} where {kind} should be")
        return value, off


class Records:
    def __init__(self, schema, cbor):
        self.schema, self.cbor, self.marks = schema, cbor, []

    def length(self, kind, low, high):
        value, off = self.cbor.expect(kind)
        n = value if isinstance(value, int) else len(value)
        need(n <= high, "LIMIT", off, f"{n} elements")
        need(n >= low, "RANGE", off, f"{n} elements")
        return value

    def uint(self, size, names=None):
        value, off = self.cbor.expect("uint")
        need(value < 1 << (8 * size), "RANGE", off, "out of range")
        if names is not None:
            need(value in names, "RANGE", off, "no such value")
            return names[value]
        return value

    def field(self, f):
        t = f.type
        if t == "bool":
            return self.cbor.expect("bool")[0]
        if m := re.fullmatch(r"uint \.size (\d+)", t):
            return self.uint(int(m[1]))
        if m := re.fullmatch(r"bytes \.size (\d+)", t):
            return self.length("bytes", int(m[1]), int(m[1])).hex()
        if m := re.fullmatch(r"bytes \.size \(0\.\.(\d+)\)", t):
            return self.length("bytes", 0, int(m[1])).hex()
        if m := re.fullmatch(r"text \.size \(0\.\.(\d+)\)", t):
            return self.length("text", 0, int(m[1])).decode("utf-8")
        if m := re.fullmatch(r"\[(\d+)\*(\d+) uint \.size (\d+)\]", t):
            n = self.length("array", int(m[1]), int(m[2]))
            return [self.uint(int(m[3])) for _ in range(n)]
        if m := re.fullmatch(r"\[0\*(\d+) ([\w-]+)\]", t):
            return [self.record(m[2]) for _ in range(self.length("array", 0, int(m[1])))]
        if re.fullmatch(r"\d+( / \d+)*", t):
            return self.uint(1, f.names)
        return self.record(t)

    def record(self, name):
        pairs, off = self.cbor.expect("map")
        need(pairs, "MISSING", off, "no version")
        key, off = self.cbor.expect("uint")
        need(key == 0, "MISSING", off, "no version")
        version, off = self.cbor.expect("uint")
        # Older versions are not in the schema; there are none yet.
        need(version == self.schema.version[name], "VERSION", off, f"{name} version {version}")
        todo, last, out = list(self.schema.fields[name]), 0, {}
        for _ in range(pairs - 1):
            start = self.cbor.at
            key, off = self.cbor.expect("uint")
            need(key != last, "DUPLICATE", off, f"field {key} twice")
            need(key > last, "ENCODING", off, "not in order")
            last = key
            f = todo.pop(0) if todo else None
            need(f and key >= f.id, "UNKNOWN", off, f"{name} has no field {key}")
            need(key == f.id, "MISSING", off, f"no {f.name}")
            out[f.name] = self.field(f)
            self.marks.append((start, f"{name}.{f.name}"))
        need(not todo, "MISSING", self.cbor.base + self.cbor.at, "fields missing")
        return out


# --- zstd frames --------------------------------------------------------------------------------

def zero_frame(n):
    out = struct.pack("<IBBQ", ZSTD, 0xC0, 0x38, n)
    while n:
        size = min(n, 131072)
        n -= size
        out += struct.pack("<I", size << 3 | 2 | (not n))
    return out


def zstd_frame(frame, off, plain):
    """Content of exactly one frame (RFC 8878, section 3.1.1) that says it holds @plain bytes."""
    need(len(frame) >= 6 and frame[:4] == struct.pack("<I", ZSTD), "ENCODING", off, "no zstd frame")
    desc = frame[4]
    single = desc >> 5 & 1
    at = 5 + (not single) + (0, 1, 2, 4)[desc & 3]
    size = (single, 2, 4, 8)[desc >> 6]
    need(not desc & 3 and size, "ENCODING", off, "dictionary or no size")
    content = int.from_bytes(frame[at:at + size], "little") + (256 if size == 2 else 0)
    need(content == plain, "ENCODING", off, f"says {content} bytes")
    at += size
    last = 0
    while not last:
        need(at + 3 <= len(frame), "ENCODING", off, "block cut off")
        block = int.from_bytes(frame[at:at + 3], "little")
        last = block & 1
        at += 3 + (1 if block >> 1 & 3 == 1 else block >> 3)
    at += 4 * (desc >> 2 & 1)
    need(at == len(frame), "ENCODING", off, "frame does not end where it should")
    p = subprocess.run(["zstd", "-dcq"], input=frame, stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL, check=False)
    need(p.returncode == 0 and len(p.stdout) == plain, "ENCODING", off, "does not decompress")
    return p.stdout


# --- the file -----------------------------------------------------------------------------------

def u32(b, at):
    return struct.unpack_from("<I", b, at)[0]


def u64(b, at):
    return struct.unpack_from("<Q", b, at)[0]


class Entry:
    def __init__(self, raw, off):
        self.offset, self.length, self.kind, pad, self.chunks = struct.unpack_from("<QIBBH", raw)
        self.digest = raw[16:48]
        need(self.kind <= 1, "RANGE", off + 12, f"kind {self.kind}")
        need(not pad, "RANGE", off + 13, "reserved byte")


class Snapshot:
    def __init__(self, data, schema):
        self.data, self.schema = data, schema
        self.notes = []  # (offset, length, text) of every byte, for annotate
        self.seek = []   # (stored, plain) of every frame
        self.ram = []    # pieces of the stream
        self.taken = 0   # chunks in them
        self.header()
        self.footer()
        self.manifest()
        self.geometry()
        self.index()
        self.seek_table()

    def note(self, off, length, text):
        self.notes.append((off, length, text))

    def digest(self, off, length, want, what):
        need(off + length <= len(self.data), "TRUNCATED", off, "ends")
        got = self.data[off:off + length]
        need(hashlib.sha256(got).digest() == want, "CHECKSUM", off, f"{what} is damaged")
        return got

    def frame_head(self, frame, magic, off, what):
        need(len(frame) >= 8 and u32(frame, 0) == magic, "STRUCTURE", off, f"no {what}")
        need(u32(frame, 4) == len(frame) - 8, "STRUCTURE", off + 4, f"length of {what}")
        self.note(off, 8, f"{what}: skippable frame of {len(frame) - 8} bytes")

    def zeros(self, frame, start, end, off, what):
        for i in range(start, end):
            need(not frame[i], "RANGE", off + i, f"reserved byte of {what}")
        self.note(off + start, end - start, "reserved")

    def header(self):
        d = self.data
        need(len(d) >= 128 and d[:16] == struct.pack("<II", HEADER, 120) + b"VMSNAP\r\n",
             "MAGIC", 0, "not a snapshot")
        need(u32(d, 16) == 1, "VERSION", 16, f"version {u32(d, 16)}")
        need(u32(d, 20) == 1, "FEATURE", 20, "digest algorithm")
        self.required, self.optional = u64(d, 24), u64(d, 32)
        need(not self.required, "FEATURE", 24, "required features")
        self.uuid = d[40:56]
        self.note(0, 8, "header: skippable frame of 120 bytes")
        self.note(8, 8, 'magic "VMSNAP\\r\\n"')
        self.note(16, 4, "format version 1")
        self.note(20, 4, "digest algorithm 1: SHA-256")
        self.note(24, 8, "required features: none")
        self.note(32, 8, f"optional features: {self.optional:#x}")
        self.note(40, 16, "uuid")

    def footer(self):
        d = self.data
        end = len(d)
        need(end >= 128 + 384 + 17, "TRUNCATED", end, "too short")
        need(u32(d, end - 4) == 0x8F92EAB1, "TRUNCATED", end - 4, "no trailer")
        need(not d[end - 5], "STRUCTURE", end - 5, "seek table with checksums")
        frames = u32(d, end - 9)
        need(frames <= 0x8000000, "LIMIT", end - 9, "frames")
        table = end - (17 + 8 * frames)
        at = table - 384
        need(at >= 128, "TRUNCATED", end - 9, "seek table does not fit")
        f = d[at:table]
        self.frame_head(f, FOOTER, at, "footer")
        need(hashlib.sha256(f[:352]).digest() == f[352:], "CHECKSUM", at, "footer is damaged")
        need(f[8:16] == b"VMSNFOOT", "STRUCTURE", at + 8, "footer magic")
        self.note(at + 8, 8, 'magic "VMSNFOOT"')
        self.note(at + 16, 8, f"file: {u64(f, 16)} bytes")
        self.note(at + 24, 8, f"RAM stream: {u64(f, 24)} bytes")
        self.note(at + 32, 8, f"frames: {u64(f, 32)}")
        self.zeros(f, 40, 48, at, "footer")
        if not self.optional & 1:
            self.zeros(f, 240, 352, at, "footer")
        self.ram_bytes = u64(f, 24)
        names = ["header", "manifest", "root", "seek table"]
        self.place = {}
        for i, name in enumerate(names):
            o = 48 + 48 * i
            self.place[name] = (u64(f, o), u64(f, o + 8), f[o + 16:o + 48])
            self.note(at + o, 8, f"{name}: offset {u64(f, o):#x}")
            self.note(at + o + 8, 8, f"{name}: {u64(f, o + 8)} bytes")
            self.note(at + o + 16, 32, f"{name}: digest")
        self.note(at + 352, 32, "digest of the footer so far")
        limit = {"header": 128, "manifest": (16 << 20) + 8, "root": 4 << 20, "seek table": 2**32 - 1}
        first = {"header": 0, "manifest": 128, "root": self.place["root"][0], "seek table": table}
        last = {"header": 128, "root": at, "seek table": u64(f, 16)}
        for i, name in enumerate(names):
            off, length, _ = self.place[name]
            field = at + 48 + 48 * i
            need(off == first[name], "STRUCTURE", field, f"place of {name}")
            need(length <= limit[name], "LIMIT", field + 8, f"length of {name}")
            ok = off + length <= self.place["root"][0] if name == "manifest" else \
                off + length == last[name]
            need(ok, "STRUCTURE", field + 8, f"length of {name}")
        need(u64(f, 16) == end, "STRUCTURE", at + 16, "file length")
        need(u64(f, 32) == frames, "STRUCTURE", at + 32, "frames")
        self.footer_at = at
        self.digest(0, 128, self.place["header"][2], "header")
        self.zeros(d, 56, 128, 0, "header")
        self.seek.append((128, 0))

    def manifest(self):
        off, length, digest = self.place["manifest"]
        frame = self.digest(off, length, digest, "manifest")
        need(length >= 8, "STRUCTURE", off, "manifest")
        self.frame_head(frame, MANIFEST, off, "manifest")
        self.seek.append((length, 0))
        c = Cbor(frame[8:], off + 8)
        r = Records(self.schema, c)
        n, at = c.expect("array")
        need(n <= 512, "LIMIT", at, "components")
        self.components = []
        for _ in range(n):
            start = c.at
            parts, at = c.expect("array")
            need(parts == 3, "STRUCTURE", at, "component")
            names = []
            type_at = c.base + c.at
            for _ in range(2):
                raw, at = c.expect("text")
                need(len(raw) <= 32, "LIMIT", at, "name")
                names.append(raw.decode("utf-8"))
            need(names[0] in self.schema.fields, "UNKNOWN", type_at, f"type {names[0]}")
            need(names not in [x[:2] for x in self.components], "DUPLICATE", type_at, "component")
            r.marks.append((start, f"{names[0]}[{names[1]}]"))
            at = c.base + c.at
            self.components.append(names + [r.record(names[0]), at])
        need(c.at == len(c.data), "STRUCTURE", c.base + c.at, "bytes after the end")
        self.note(off + 8, r.marks[0][0] if r.marks else c.at, f"array of {n} components")
        marks = sorted(r.marks) + [(c.at, "")]
        for (a, text), (b, _) in zip(marks, marks[1:]):
            self.note(c.base + a, b - a, text)
        have = [x[:2] for x in self.components]
        lead_at = self.components[0][3] if n else 0
        for i, name in enumerate(["identity", "layout", "machine", "ram"]):
            need([name, ""] in have, "MISSING", lead_at, f"no {name}")
            need(have[i] == [name, ""], "STRUCTURE", lead_at, f"{name} is not in its place")

    def geometry(self):
        identity, layout, _, ram = (x[2] for x in self.components[:4])
        at = [x[3] for x in self.components[:4]]
        check_layout(layout, at[1])
        chunk = ram["chunk_bytes"]
        need(4096 <= chunk <= 1 << 20 and not chunk & (chunk - 1), "RANGE", at[3], "chunk size")
        backed = [r for r in layout["region"] if is_backed(layout["region"], r)]
        need(backed, "STRUCTURE", at[3], "no RAM")
        total = sum(r["size"] for r in backed)
        need(total == ram["stream_bytes"], "STRUCTURE", at[3], "stream bytes")
        need(identity["uuid"] == self.uuid.hex(), "STRUCTURE", at[0], "uuid")
        need(total == self.ram_bytes, "STRUCTURE", at[3], "footer's RAM bytes")
        self.chunk_bytes = chunk
        self.chunks = [min(chunk, r["size"] - o) for r in backed for o in range(0, r["size"], chunk)]
        self.leaves = [self.chunks[i:i + 1024] for i in range(0, len(self.chunks), 1024)]

    def index(self):
        off, length, digest = self.place["root"]
        need(length == 64 + 48 * len(self.leaves), "STRUCTURE", off, "root length")
        root = self.digest(off, length, digest, "index root")
        self.frame_head(root, ROOT, off, "root")
        need(u32(root, 12) == 1024, "RANGE", off + 12, "chunks a leaf")
        self.zeros(root, 32, 48, off, "root")
        need(u32(root, 8) == len(self.leaves), "STRUCTURE", off + 8, "leaves")
        zero, plain, _, _, zero_frames, stored = struct.unpack_from("<6Q", root, 16)
        need(zero + plain == len(self.chunks), "STRUCTURE", off + 16, "chunks")
        for o, n, text in ((8, 4, "leaves"), (12, 4, "chunks a leaf"), (16, 8, "zero chunks"),
                           (24, 8, "zstd chunks"), (48, 8, "zero frames"), (56, 8, "RAM frame bytes")):
            self.note(off + o, n, f"{text}: {int.from_bytes(root[o:o + n], 'little')}")
        entries, pos = [], 128 + self.place["manifest"][1]
        for i, leaf in enumerate(self.leaves):
            o = 64 + 48 * i
            at = off + o
            en = Entry(root[o:o + 48], at)
            self.note_entry(at, en, ("zero frame", "leaf")[en.kind])
            need(en.chunks == len(leaf), "STRUCTURE", at + 14, "chunks of leaf")
            need(en.offset > pos if en.kind else en.offset == pos, "STRUCTURE", at, "place of leaf")
            n, odd = divmod(en.length - 16, 48)
            ok = n >= 1 and not odd and n <= en.chunks if en.kind else \
                en.length == len(zero_frame(sum(leaf)))
            need(ok, "STRUCTURE", at + 8, "length of leaf")
            need(en.offset + en.length <= off, "STRUCTURE", at, "leaf past the root")
            entries.append(en)
            pos = en.offset + en.length
        need(pos == off, "STRUCTURE", pos, "bytes before the root")
        # The seek table's digest comes before the frames in a full check.
        t_off, t_len, t_digest = self.place["seek table"]
        self.digest(t_off, t_len, t_digest, "seek table")
        self.counts, pos = [0, 0, 0], 128 + self.place["manifest"][1]
        for i, (en, leaf) in enumerate(zip(entries, self.leaves)):
            if en.kind:
                self.leaf(i, en, leaf, pos)
            else:
                self.frame(en, leaf)
            pos = en.offset + en.length
        self.seek.append((length, 0))
        self.counts_said = ([zero, zero_frames, stored], off)

    def note_entry(self, at, en, what):
        self.note(at, 8, f"{what} at {en.offset:#x}")
        self.note(at + 8, 4, f"{en.length} bytes")
        self.note(at + 12, 2, f"kind {en.kind}")
        self.note(at + 14, 2, f"{en.chunks} chunks")
        self.note(at + 16, 32, "digest")

    def leaf(self, number, place, chunks, pos):
        raw = self.digest(place.offset, place.length, place.digest, "index leaf")
        off = place.offset
        self.frame_head(raw, LEAF, off, "leaf")
        n = (place.length - 16) // 48
        need(u32(raw, 8) == number, "STRUCTURE", off + 8, "number of leaf")
        need(u32(raw, 12) == n, "STRUCTURE", off + 12, "entries of leaf")
        self.note(off + 8, 4, f"number {number}")
        self.note(off + 12, 4, f"{n} entries")
        done, entries, before = 0, [], 1
        for i in range(n):
            o = 16 + 48 * i
            at = off + o
            en = Entry(raw[o:o + 48], at)
            self.note_entry(at, en, ("zero frame", "zstd frame")[en.kind])
            need(1 <= en.chunks <= (1 if en.kind else len(chunks) - done) and done < len(chunks),
                 "STRUCTURE", at + 14, "chunks of entry")
            need(en.kind or before, "STRUCTURE", at + 12, "two runs of zeros")
            need(en.offset == pos, "STRUCTURE", at, "place of chunk")
            mine = chunks[done:done + en.chunks]
            most = self.chunk_bytes + self.chunk_bytes // 128 + 64
            ok = 1 <= en.length <= most if en.kind else en.length == len(zero_frame(sum(mine)))
            need(ok, "STRUCTURE", at + 8, "length of chunk")
            entries.append((en, mine))
            before = en.kind
            done += en.chunks
            pos += en.length
        need(done == len(chunks), "STRUCTURE", off + 12, "chunks of leaf")
        need(pos == off, "STRUCTURE", pos, "bytes before leaf")
        need(n > 1 or entries[0][0].kind, "STRUCTURE", off, "leaf of zeros")
        for en, mine in entries:
            self.frame(en, mine)
        self.seek.append((place.length, 0))

    def frame(self, en, chunks):
        raw = self.digest(en.offset, en.length, en.digest, "RAM chunk")
        total = sum(chunks)
        first = self.taken
        if en.kind:
            self.ram.append(zstd_frame(raw, en.offset, total))
            self.note(en.offset, en.length, f"RAM: chunk {first}, {total} bytes")
        else:
            need(raw == zero_frame(total), "ENCODING", en.offset, "zero frame")
            self.ram.append(bytes(total))
            self.note(en.offset, en.length,
                      f"RAM: zero chunks {first} to {first + len(chunks) - 1}, {total} bytes")
            self.counts[0] += len(chunks)
            self.counts[1] += 1
        self.taken += len(chunks)
        self.counts[2] += en.length
        self.seek.append((en.length, total))

    def seek_table(self):
        off, length, _ = self.place["seek table"]
        self.seek.append((384, 0))
        want = struct.pack("<II", SEEK, length - 8)
        want += b"".join(struct.pack("<II", *x) for x in self.seek)
        want += struct.pack("<IBI", (length - 17) // 8, 0, 0x8F92EAB1)
        got = self.data[off:off + length]
        for i, (a, b) in enumerate(zip(want, got)):
            need(a == b, "STRUCTURE", off + i, "seek table")
        need(len(want) == len(got), "STRUCTURE", off + min(len(want), len(got)), "seek table")
        self.note(off, 8, "seek table")
        for i, (stored, plain) in enumerate(self.seek):
            self.note(off + 8 + 8 * i, 8, f"{stored} bytes stored, {plain} plain")
        self.note(off + length - 9, 4, f"{len(self.seek)} entries")
        self.note(off + length - 5, 1, "no checksums")
        self.note(off + length - 4, 4, "magic of the seekable format")
        said, at = self.counts_said
        for field, have, want_n in zip((16, 48, 56), self.counts, said):
            need(have == want_n, "STRUCTURE", at + field, "count of the root")

    def annotate(self, out):
        at = 0
        for off, length, text in sorted(self.notes):
            assert off == at, f"byte {at:#x} is not explained"
            for i in range(off, off + length, 16):
                row = self.data[i:min(i + 16, off + length)].hex(" ")
                print(f"{row:<47}  # {i:04x} {text}".rstrip() if i == off else f"{row:<47}  # {i:04x}",
                      file=out)
            at += length
        assert at == len(self.data)


def is_backed(regions, r):
    """Memory of its own: not a part of other memory. Parents precede their children."""
    if not r["size"] or r["kind"] not in BACKED:
        return False
    while r["parent"]:
        r = regions[r["parent"] - 1]
        if r["kind"] in BACKED:
            return False
    return True


def check_layout(layout, at):
    """The rules of "What the four say must fit together"; the codes are those of the document."""
    regions, ports = layout["region"], False
    limit = 1 << layout["params"]["phys_bits"]
    need(32 <= layout["params"]["phys_bits"] <= 52, "STRUCTURE", at, "address bits")
    need(regions, "STRUCTURE", at, "no regions")
    for i, r in enumerate(regions):
        pio = r["kind"] == "pio"
        end = r["start"] + r["size"]
        need(r["name"], "STRUCTURE", at, "no name")
        need(end <= (0x10000 if pio else limit), "STRUCTURE", at, "past the limit")
        need(r["parent"] <= i, "STRUCTURE", at, "before its parent")
        need(not is_backed(regions, r) or not (r["start"] | r["size"]) % 4096, "STRUCTURE", at,
             "not aligned")
        if r["parent"]:
            p = regions[r["parent"] - 1]
            need((p["kind"] == "pio") == pio and p["start"] <= r["start"] and
                 end <= p["start"] + p["size"], "STRUCTURE", at, "not in its parent")
        for q in regions[:i]:
            need(q["name"] != r["name"], "STRUCTURE", at, "name twice")
            if (q["kind"] == "pio") == pio:
                need(q["start"] <= r["start"], "STRUCTURE", at, "not in order")
                need(q["parent"] != r["parent"] or not r["size"] or
                     q["start"] + q["size"] <= r["start"], "STRUCTURE", at, "overlap")
        need(pio or not ports, "STRUCTURE", at, "memory behind ports")
        ports |= pio
    top = [r for r in regions if is_backed(regions, r)]
    ram = sum(r["size"] for r in top if r["kind"] == "ram")
    need(ram <= layout["params"]["ram_bytes"] <= sum(r["size"] for r in top), "STRUCTURE", at,
         "RAM bytes")


def main(argv):
    here = os.path.dirname(os.path.abspath(__file__))
    cddl = os.path.join(here, "../formats/next/vmsnap.cddl")
    if argv[:1] == ["--cddl"]:
        cddl, argv = argv[1], argv[2:]
    if len(argv) != 2 or argv[0] not in ("json", "ram", "annotate"):
        print(__doc__, file=sys.stderr)
        return 2
    with open(argv[1], "rb") as f:
        data = f.read()
    try:
        s = Snapshot(data, Schema(cddl))
    except Refused as e:
        print(f"{e.code}@{e.offset:#x}: {e.what}", file=sys.stderr)
        return 1
    if argv[0] == "annotate":
        s.annotate(sys.stdout)
    elif argv[0] == "ram":
        sys.stdout.buffer.write(b"".join(s.ram))
    else:
        json.dump({"components": [{"type": t, "id": i, "state": r} for t, i, r, _ in s.components],
                   "ram_sha256": hashlib.sha256(b"".join(s.ram)).hexdigest(),
                   "zero_chunks": s.counts[0], "zero_frames": s.counts[1],
                   "stored_bytes": s.counts[2], "chunks": len(s.chunks)}, sys.stdout, indent=2)
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
