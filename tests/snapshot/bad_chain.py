# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with incremental files: (golden file, code, name, change) of each.

The changes are functions of an Image of make_formats.py, as those there.
"""

import struct

import snap_reader as sr
from bad_sealed import le, poke


def no_frame(at, chunks):
    """An entry of kind parent."""
    return struct.pack("<QIBBH", at, 0, sr.PARENT, 0, chunks) + bytes(32)


def as_parent(part, want):
    """Turns an entry of another kind into one of kind parent."""
    def run(*parts):
        if parts[:-1] == want:
            at, _, _, _, chunks = struct.unpack_from("<QIBBH", parts[-1])
            parts[-1][:] = no_frame(at, chunks)
    return lambda im: im.hooks.__setitem__(part, run)


def moved(*fields):
    """Takes one from the root's count at the first offset to that at the second."""
    def run(root):
        for at, by in zip(fields, (-1, 1)):
            struct.pack_into("<Q", root, at, struct.unpack_from("<Q", root, at)[0] + by)
    return lambda im: im.hooks.__setitem__("root", run)


def record_without_feature(im):
    im.header[24:32] = le(0, 8)


def feature_without_record(im):
    im.tree[:] = [c for c in im.tree if c[0] != "parent"]


def in_two(im):
    """The run of the parent that is the third entry."""
    kind, chunks, frame, plain = im.spans[0][2]
    assert kind == sr.PARENT and chunks > 1
    im.spans[0][2:3] = [[kind, 1, frame, 0], [kind, chunks - 1, bytearray(), plain]]


def leaf_of_the_parent(im):
    im.hooks["leaf of a run"] = None
    im.spans[0] = [[sr.PARENT, sum(x[1] for x in im.spans[0]), bytearray(), 0]]


def cases():
    yield "small", "STRUCTURE", "requires-incremental-without-parent", poke("header", 24, le(4, 8))
    yield "child", "STRUCTURE", "parent-without-feature", record_without_feature
    yield "child", "STRUCTURE", "incremental-without-parent", feature_without_record
    yield "small", "STRUCTURE", "entry-of-the-parent-in-a-full-file", as_parent("entry", (0, 2))
    yield "sparse", "STRUCTURE", "leaf-of-the-parent-in-a-full-file", as_parent("root entry", (0,))
    yield "child", "STRUCTURE", "two-entries-for-a-run-of-the-parent", in_two
    yield "child", "STRUCTURE", "parent-entry-place", poke("entry", 0, le(128, 8), (0, 2))
    yield "child", "STRUCTURE", "parent-entry-length", poke("entry", 8, le(1, 4), (0, 2))
    yield "child", "STRUCTURE", "parent-entry-for-no-chunk", poke("entry", 14, le(0, 2), (0, 2))
    yield "child", "STRUCTURE", "parent-entry-past-the-leaf", poke("entry", 14, le(99, 2), (0, 2))
    yield "child", "RANGE", "parent-entry-reserved", poke("entry", 13, b"\1", (0, 2))
    yield "child", "RANGE", "parent-entry-digest", poke("entry", 47, b"\1", (0, 2))
    yield "child", "STRUCTURE", "leaf-of-the-parent-with-a-frame", leaf_of_the_parent
    yield "child", "STRUCTURE", "root-parent-chunks", poke("root", 40, le(99, 8))
    yield "child", "STRUCTURE", "root-parent-chunks-as-zstd", moved(40, 24)
    yield "child", "STRUCTURE", "root-parent-chunks-as-zero", moved(40, 16)
    yield "offspring", "STRUCTURE", "parent-leaf-place", poke("root entry", 0, le(128, 8), (0,))
    yield "offspring", "STRUCTURE", "parent-leaf-length", poke("root entry", 8, le(1, 4), (0,))
    yield "offspring", "STRUCTURE", "parent-leaf-chunks", poke("root entry", 14, le(9, 2), (0,))
    yield "offspring", "RANGE", "parent-leaf-digest", poke("root entry", 16, b"\1", (0,))
