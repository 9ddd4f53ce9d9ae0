#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A second reader of .vmsnap files, written from formats/snapshot.md and formats/next/vmsnap.cddl.

usage: snap_reader.py [--cddl SCHEMA] [--key HEX] [--passphrase TEXT] [--signer HEX]
                      json|ram|annotate FILE

Always does the full check. A file that is refused gives exit status 1 and CODE@OFFSET: what. Keys in
an argument list are seen by everybody on the machine: this is for files of tests.
"""

import hashlib
import hmac
import json
import os
import re
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import snap_crypto  # noqa: E402

HEADER, MANIFEST, LEAF, ROOT, FOOTER, SEALED, PADDING, PAYLOAD, SEEK = (
    0x184D2A50, 0x184D2A51, 0x184D2A52, 0x184D2A53, 0x184D2A54, 0x184D2A55, 0x184D2A57,
    0x184D2A58, 0x184D2A5E)
ZSTD = 0xFD2FB528
ZERO, FRAME, RAW, PARENT = 0, 1, 2, 3  # kinds of entries; in the root a FRAME is a leaf
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


def raw_layout(sizes, chunk, start):
    """Of a raw file with regions of these sizes, whose manifest ends at @start: where each chunk is,
    (padding, payload, bytes) of each payload frame, and where the last ends."""
    places, frames, end = [], [], start
    for size in sizes:
        for at in range(0, size, 1 << 30):
            n = min(1 << 30, size - at)
            payload = -(-(end + 16) // (2 << 20)) * (2 << 20)
            frames.append((end, payload, n))
            places += range(payload, payload + n, chunk)
            end = payload + n
    return places, frames, end


class Entry:
    def __init__(self, raw, off, is_raw, in_leaf):
        self.is_raw = is_raw
        self.offset, self.length, self.kind, pad, self.chunks = struct.unpack_from("<QIBBH", raw)
        self.digest = raw[16:48]
        need(self.kind in (ZERO, FRAME, PARENT) or (self.kind == RAW and is_raw and in_leaf),
             "RANGE", off + 12, f"kind {self.kind}")
        need(not pad, "RANGE", off + 13, "reserved byte")
        need(not (is_raw and in_leaf and self.kind == FRAME), "STRUCTURE", off + 12, "compressed")
        if self.kind == PARENT or (is_raw and self.kind == ZERO):
            for i, byte in enumerate(self.digest):
                need(not byte, "RANGE", off + 16 + i, "digest of no frame")

    def run_length(self, plain):
        """Of a run of @plain bytes: how long its frame is."""
        return len(zero_frame(plain)) if self.kind == ZERO and not self.is_raw else 0


class Keys:
    """What a reader was given, and insists on."""

    def __init__(self, master=None, passphrase=None, signer=None):
        self.master, self.passphrase, self.signer = master, passphrase, signer

    def given(self):
        return self.master is not None or self.passphrase is not None


class FileKeys:
    """The keys of one encrypted file."""

    def __init__(self, keys, header):
        _, kind, log_n, r, p = header[56:61]
        need((kind == 2) == (keys.passphrase is not None), "KEY", 57, "another kind of key")
        master = keys.master
        if kind == 2:
            master = hashlib.scrypt(keys.passphrase, salt=header[96:112], n=1 << log_n, r=r, p=p,
                                    maxmem=1 << 29, dklen=32)
        both = snap_crypto.hkdf(master, header[64:96], b"vmsnap 1 keys", 64)
        self.gcm, self.mac = snap_crypto.Gcm(both[:32]), both[32:]

    @staticmethod
    def aad(kind, number, content):
        return struct.pack("<IIIQ", SEALED, content, kind, number)

    def seal(self, kind, number, frame):
        aad = self.aad(kind, number, len(frame) + 16)
        return aad[:8] + self.gcm.seal(aad[8:], aad, frame)

    def open(self, kind, number, frame):
        aad = self.aad(kind, number, len(frame) - 8)
        return self.gcm.open(aad[8:], aad, frame[8:])


class Snapshot:
    def __init__(self, data, schema, keys=Keys(), beside=lambda name: None, depth=1):
        """@beside: contents of the file of that name in the same folder, or None."""
        self.data, self.schema, self.keys, self.beside = data, schema, keys, beside
        self.depth = depth
        self.spans = []  # of each leaf (kind, chunks, offset, length, plain) of every entry
        self.notes = []  # (offset, length, text) of every byte, for annotate
        self.seek = []   # (stored, plain) of every frame
        self.ram = []    # pieces of the stream
        self.taken = 0   # chunks in them
        self.parent = None
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
        need(not self.required & ~7, "FEATURE", 24, "required features")
        self.is_raw = bool(self.required & 2)
        need(not (self.is_raw and self.required & 5), "FEATURE", 24, "raw and something else")
        self.encrypted, self.signed = self.required & 1, self.optional & 1
        self.incremental = bool(self.required & 4)
        if self.encrypted:
            self.encryption()
        self.uuid = d[40:56]
        self.note(0, 8, "header: skippable frame of 120 bytes")
        self.note(8, 8, 'magic "VMSNAP\\r\\n"')
        self.note(16, 4, "format version 1")
        self.note(20, 4, "digest algorithm 1: SHA-256")
        names = ["encrypted"] * self.encrypted + ["raw"] * self.is_raw + \
            ["incremental"] * self.incremental
        self.note(24, 8, "required features: " + (", ".join(names) or "none"))
        self.note(32, 8, f"optional features: {self.optional:#x}")
        self.note(40, 16, "uuid")

    def encryption(self):
        d = self.data
        cipher, kind, log_n, r, p = d[56:61]
        need(cipher == 1, "FEATURE", 56, "cipher")
        need(kind in (1, 2), "FEATURE", 57, "key derivation")
        need(kind == 1 or (log_n >= 10 and r and p and r << log_n <= 1 << 21 and
                           (r << log_n) * p <= 1 << 22), "LIMIT", 58, "costs of scrypt")
        self.note(56, 1, "cipher 1: AES-256-GCM, HMAC-SHA256, HKDF-SHA256")
        self.note(57, 1, "master key: " + ("given", "of a passphrase by scrypt")[kind - 1])
        self.note(64, 32, "salt")
        if kind == 2:
            self.note(58, 3, f"scrypt: N 2^{log_n}, r {r}, p {p}")
            self.note(96, 16, "salt of scrypt")

    def trust(self, f, at):
        """Key, digest field and signature: all of it before anything else of the footer."""
        need(not self.encrypted or self.keys.given(), "KEY", 24, "a key is needed")
        need(self.encrypted or not self.keys.given(), "KEY", 24, "is not encrypted")
        self.file_keys = FileKeys(self.keys, self.data) if self.encrypted else None
        if self.encrypted:
            need(hmac.digest(self.file_keys.mac, f[:352], "sha256") == f[352:], "KEY", at,
                 "wrong key, or footer is damaged")
        else:
            need(hashlib.sha256(f[:352]).digest() == f[352:], "CHECKSUM", at, "footer is damaged")
        need(self.signed or self.keys.signer is None, "SIGNATURE", 32, "not signed")
        if self.signed:
            need(self.keys.signer in (None, f[240:272]), "SIGNATURE", at + 240, "another key")
            need(snap_crypto.verify(f[240:272], f[:272], f[272:336]), "SIGNATURE", at + 272,
                 "signature is wrong")
            self.note(at + 240, 32, "public key of the signer")
            self.note(at + 272, 64, "signature of the footer so far")

    def unseal(self, kind, number, off, frame, what):
        """The frame that was encrypted, and where it stands."""
        if not self.encrypted:
            return frame, off
        need(len(frame) >= 24, "STRUCTURE", off, "no ciphertext")
        self.frame_head(frame, SEALED, off, f"ciphertext of {what}")
        plain = self.file_keys.open(kind, number, frame)
        need(plain is not None, "CHECKSUM", off, f"{what} is not what was encrypted")
        self.note(off + len(frame) - 16, 16, "tag")
        return plain, off + 8

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
        self.trust(f, at)
        need(f[8:16] == b"VMSNFOOT", "STRUCTURE", at + 8, "footer magic")
        self.note(at + 8, 8, 'magic "VMSNFOOT"')
        self.note(at + 16, 8, f"file: {u64(f, 16)} bytes")
        self.note(at + 24, 8, f"RAM stream: {u64(f, 24)} bytes")
        self.note(at + 32, 8, f"frames: {u64(f, 32)}")
        self.zeros(f, 40, 48, at, "footer")
        self.zeros(f, 336 if self.signed else 240, 352, at, "footer")
        self.ram_bytes = u64(f, 24)
        names = ["header", "manifest", "root", "seek table"]
        self.place = {}
        for i, name in enumerate(names):
            o = 48 + 48 * i
            self.place[name] = (u64(f, o), u64(f, o + 8), f[o + 16:o + 48])
            self.note(at + o, 8, f"{name}: offset {u64(f, o):#x}")
            self.note(at + o + 8, 8, f"{name}: {u64(f, o + 8)} bytes")
            self.note(at + o + 16, 32, f"{name}: digest")
        self.note(at + 352, 32, ("HMAC" if self.encrypted else "digest") + " of the footer so far")
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
        for start, stop in [(56, 128)] if not self.encrypted else \
                [(61, 64), (112, 128)] if d[57] == 2 else [(58, 61), (61, 64), (96, 128)]:
            self.zeros(d, start, stop, 0, "header")
        self.seek.append((128, 0))

    def manifest(self):
        off, length, digest = self.place["manifest"]
        frame = self.digest(off, length, digest, "manifest")
        frame, off = self.unseal(1, 0, off, frame, "manifest")
        need(len(frame) >= 8, "STRUCTURE", off, "manifest")
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
        self.region_sizes = [r["size"] for r in backed]
        self.places, self.raw_frames, self.raw_end = raw_layout(
            self.region_sizes, chunk, 128 + self.place["manifest"][1]) if self.is_raw else ([], [], 0)
        self.chunks = [min(chunk, r["size"] - o) for r in backed for o in range(0, r["size"], chunk)]
        self.leaves = [self.chunks[i:i + 1024] for i in range(0, len(self.chunks), 1024)]

    def index(self):
        off, length, digest = self.place["root"]
        need(length == 64 + 48 * len(self.leaves), "STRUCTURE", off, "root length")
        root = self.digest(off, length, digest, "index root")
        self.frame_head(root, ROOT, off, "root")
        need(u32(root, 12) == 1024, "RANGE", off + 12, "chunks a leaf")
        zero, plain, as_is, parents, zero_frames, stored = struct.unpack_from("<6Q", root, 16)
        need(not (plain if self.is_raw else as_is), "RANGE", off + (24 if self.is_raw else 32),
             "chunks of the other encoding")
        need(u32(root, 8) == len(self.leaves), "STRUCTURE", off + 8, "leaves")
        need(zero + plain + as_is + parents == len(self.chunks), "STRUCTURE", off + 16, "chunks")
        for o, n, text in ((8, 4, "leaves"), (12, 4, "chunks a leaf"), (16, 8, "zero chunks"),
                           (24, 8, "zstd chunks"), (32, 8, "raw chunks"), (40, 8, "parent chunks"), (48, 8, "zero frames"), (56, 8, "RAM frame bytes")):
            self.note(off + o, n, f"{text}: {int.from_bytes(root[o:o + n], 'little')}")
        entries, pos = [], self.raw_end or 128 + self.place["manifest"][1]
        for i, leaf in enumerate(self.leaves):
            o = 64 + 48 * i
            at = off + o
            en = Entry(root[o:o + 48], at, self.is_raw, False)
            self.note_entry(at, en, {ZERO: "zeros" if self.is_raw else "zero frame", FRAME: "leaf",
                                     PARENT: "parent"}[en.kind])
            need(en.kind != PARENT or self.incremental, "STRUCTURE", at + 12, "no parent")
            need(en.chunks == len(leaf), "STRUCTURE", at + 14, "chunks of leaf")
            where = self.places[1024 * i] if self.is_raw and en.kind == ZERO else pos
            need(en.offset > pos if en.kind == FRAME and not self.is_raw else en.offset == where,
                 "STRUCTURE", at, "place of leaf")
            n, odd = divmod(en.length - 16, 48)
            ok = n >= 1 and not odd and n <= en.chunks if en.kind == FRAME else \
                en.length == en.run_length(sum(leaf))
            need(ok, "STRUCTURE", at + 8, "length of leaf")
            need(en.offset + en.length <= off, "STRUCTURE", at, "leaf past the root")
            entries.append(en)
            if not self.is_raw or en.kind == FRAME:
                pos = en.offset + en.length
        need(pos == off, "STRUCTURE", pos, "bytes before the root")
        self.open_parent()
        # The seek table's digest comes before the frames in a full check.
        t_off, t_len, t_digest = self.place["seek table"]
        self.digest(t_off, t_len, t_digest, "seek table")
        for frame in self.raw_frames:
            self.raw_frame(*frame)
        self.counts, pos = [0, 0, 0, 0], 128 + self.place["manifest"][1]
        for i, (en, leaf) in enumerate(zip(entries, self.leaves)):
            self.spans.append([])
            if en.kind == FRAME:
                self.leaf(i, en, leaf, pos)
            else:
                self.frame(en, leaf)
            pos = en.offset + en.length
        self.seek.append((length, 0))
        self.counts_said = ([zero, zero_frames, stored, parents], off)

    def raw_frame(self, padding, payload, size):
        d = self.data
        need(payload + size <= len(d), "TRUNCATED", payload, "ends")
        self.frame_head(d[padding:payload - 8], PADDING, padding, "padding")
        self.all_zero(padding + 8, payload - 8, "padding")
        self.frame_head(d[payload - 8:payload + size], PAYLOAD, payload - 8, "RAM")
        self.seek += [(payload - 8 - padding, 0), (8 + size, 0)]

    def all_zero(self, start, end, what):
        piece = self.data[start:end].lstrip(b"\0")
        need(not piece, "ENCODING", end - len(piece), f"{what} is not zero")
        self.note(start, end - start, what)

    def open_parent(self):
        at = self.components[0][3]
        records = [c[2] for c in self.components if c[:2] == ["parent", ""]]
        need(bool(records) == self.incremental, "STRUCTURE", at, "record and feature")
        if not records:
            return
        want = records[0]
        name = want["file"]
        need(name and "/" not in name, "RANGE", at, "name of the parent")
        need(self.depth < 64, "LIMIT", at, "chain too long")
        data = self.beside(name)
        need(data is not None, "MISSING", at, f"no parent {name}")
        keys = Keys(self.keys.master, self.keys.passphrase)
        self.parent = Snapshot(data, self.schema, keys, self.beside, self.depth + 1)
        p = self.parent
        need(p.data[p.footer_at + 352:p.footer_at + 384].hex() == want["digest"], "CHECKSUM", at,
             "another parent")
        need(p.components[1][2] == self.components[1][2] and p.chunk_bytes == self.chunk_bytes,
             "STRUCTURE", at, "parent cuts memory otherwise")

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
        done, entries, before = 0, [], FRAME
        for i in range(n):
            o = 16 + 48 * i
            at = off + o
            en = Entry(raw[o:o + 48], at, self.is_raw, True)
            self.note_entry(at, en, {ZERO: "zeros" if self.is_raw else "zero frame",
                                     FRAME: "zstd frame", RAW: "chunk",
                                     PARENT: "parent, and the next frame"}[en.kind])
            need(en.kind != PARENT or self.incremental, "STRUCTURE", at + 12, "no parent")
            single = en.kind in (FRAME, RAW)
            most = 1 if single else len(chunks) - done
            need(1 <= en.chunks <= most and done < len(chunks), "STRUCTURE", at + 14,
                 "chunks of entry")
            need(single or en.kind != before, "STRUCTURE", at + 12, "two entries of a run")
            where = self.places[1024 * number + done] if self.is_raw else pos
            need(en.offset == where, "STRUCTURE", at, "place of chunk")
            mine = chunks[done:done + en.chunks]
            most = self.chunk_bytes + self.chunk_bytes // 128 + 64 + 24 * self.encrypted
            ok = 1 <= en.length <= most if en.kind == FRAME else \
                en.length == (sum(mine) if en.kind == RAW else en.run_length(sum(mine)))
            need(ok, "STRUCTURE", at + 8, "length of chunk")
            entries.append((en, mine))
            before = en.kind
            done += en.chunks
            pos += en.length
        need(done == len(chunks), "STRUCTURE", off + 12, "chunks of leaf")
        need(self.is_raw or pos == off, "STRUCTURE", pos, "bytes before leaf")
        need(n > 1 or entries[0][0].kind in (FRAME, RAW), "STRUCTURE", off, "leaf of a single run")
        for en, mine in entries:
            self.frame(en, mine)
        self.seek.append((place.length, 0))

    def frame(self, en, chunks):
        self.spans[-1].append((en.kind, len(chunks), en.offset, en.length, sum(chunks)))
        if en.kind == PARENT:
            at = sum(self.chunks[:self.taken])
            self.ram.append(b"".join(self.parent.ram)[at:at + sum(chunks)])
            self.counts[3] += len(chunks)
            self.taken += len(chunks)
            return
        total = sum(chunks)
        if self.is_raw:
            self.raw_chunks(en, chunks)
            return
        raw = self.digest(en.offset, en.length, en.digest, "RAM chunk")
        first = self.taken
        if en.kind:
            raw, off = self.unseal(2, first, en.offset, raw, "chunk")
            self.ram.append(zstd_frame(raw, off, total))
            self.note(off, len(raw), f"RAM: chunk {first}, {total} bytes")
        else:
            need(raw == zero_frame(total), "ENCODING", en.offset, "zero frame")
            self.ram.append(bytes(total))
            self.note(en.offset, en.length,
                      f"RAM: zero chunks {first} to {first + len(chunks) - 1}, {total} bytes")
            self.counts[0] += len(chunks)
            self.counts[1] += 1
        self.taken += len(chunks)
        self.counts[2] += en.length
        self.seek.append((en.length, 0 if en.kind and self.encrypted else total))

    def raw_chunks(self, en, chunks):
        for size in chunks:
            place = self.places[self.taken]
            if en.kind == RAW:
                self.ram.append(self.digest(place, size, en.digest, "RAM chunk"))
                self.note(place, size, f"RAM: chunk {self.taken}, {size} bytes")
            else:
                self.all_zero(place, place + size, f"RAM: zero chunk {self.taken}")
                self.ram.append(bytes(size))
                self.counts[0] += 1
            self.taken += 1
        self.counts[2] += en.length

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
        # In the order of their places in the root.
        for field, i in ((16, 0), (40, 3), (48, 1), (56, 2)):
            have, want_n = self.counts[i], said[i]
            need(have == want_n, "STRUCTURE", at + field, "count of the root")

    def annotate(self, out):
        at = 0
        for off, length, text in sorted(self.notes):
            assert off == at, f"byte {at:#x} is not explained"
            if length > 512 and not any(self.data[off:off + length]):
                print(f"zeros {length:<41}  # {off:04x} {text}", file=out)
                at += length
                continue
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


def in_folder(folder):
    """Looks there for parents."""
    def beside(name):
        try:
            with open(os.path.join(folder, name), "rb") as f:
                return f.read()
        except FileNotFoundError:
            return None
    return beside


def main(argv):
    here = os.path.dirname(os.path.abspath(__file__))
    cddl = os.path.join(here, "../formats/next/vmsnap.cddl")
    keys = Keys()
    while argv[:1] and argv[0].startswith("--") and len(argv) > 1:
        if argv[0] == "--cddl":
            cddl = argv[1]
        elif argv[0] == "--key":
            keys.master = bytes.fromhex(argv[1])
        elif argv[0] == "--passphrase":
            keys.passphrase = argv[1].encode()
        elif argv[0] == "--signer":
            keys.signer = bytes.fromhex(argv[1])
        else:
            break
        argv = argv[2:]
    if len(argv) != 2 or argv[0] not in ("json", "ram", "annotate"):
        print(__doc__, file=sys.stderr)
        return 2
    with open(argv[1], "rb") as f:
        data = f.read()
    try:
        s = Snapshot(data, Schema(cddl), keys, in_folder(os.path.dirname(argv[1])))
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
