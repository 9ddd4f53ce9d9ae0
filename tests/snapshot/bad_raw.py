# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with files of the encoding raw: (golden file, code, name, change) of each.

The changes are functions of an Image of make_formats.py, as those there.
"""

from bad_sealed import le, poke

ALIGN = 2 << 20


def flip(at):
    """After all digests were taken."""
    def run(im):
        def change(out):
            out[at] ^= 0x10
        im.hooks["file"] = change
    return run


def cut(at):
    def run(im):
        def shorten(out):
            del out[at:]
        im.hooks["file"] = shorten
    return run


def cases():
    yield "raw", "FEATURE", "raw-and-encrypted", poke("header", 24, le(3, 8))
    yield "raw", "FEATURE", "raw-and-incremental", poke("header", 24, le(6, 8))
    yield "raw", "RANGE", "raw-without-feature", poke("header", 24, le(0, 8))
    yield "small", "RANGE", "raw-feature-of-a-compressed-file", poke("header", 24, le(2, 8))
    yield "raw", "TRUNCATED", "raw-cut-in-the-payload", cut(ALIGN + 0x1000)
    yield "raw", "RANGE", "raw-root-zstd-chunks", poke("root", 24, le(1, 8))
    yield "raw", "STRUCTURE", "raw-root-chunks", poke("root", 32, le(9, 8))
    yield "raw", "STRUCTURE", "raw-root-zero-frames", poke("root", 48, le(1, 8))
    yield "raw", "STRUCTURE", "raw-root-stored-bytes", poke("root", 56, le(4096, 8))
    yield "raw", "RANGE", "raw-root-entry-of-kind-raw", poke("root entry", 12, b"\2")
    yield "raw", "STRUCTURE", "raw-leaf-place", poke("root entry", 0, le(ALIGN, 8))
    yield "raw", "STRUCTURE", "raw-chunk-compressed", poke("entry", 12, b"\1", (0, 0))
    yield "raw", "STRUCTURE", "raw-chunk-place", poke("entry", 0, le(ALIGN + 0x1000, 8), (0, 0))
    yield "raw", "STRUCTURE", "raw-chunk-length", poke("entry", 8, le(0x1000, 4), (0, 0))
    yield "raw", "STRUCTURE", "raw-chunk-for-two", poke("entry", 14, le(2, 2), (0, 0))
    yield "raw", "CHECKSUM", "raw-chunk-digest", poke("entry", 16, bytes(32), (0, 0))
    yield "raw", "STRUCTURE", "raw-zeros-place", poke("entry", 0, le(ALIGN, 8), (0, 2))
    yield "raw", "STRUCTURE", "raw-zeros-length", poke("entry", 8, le(0x2000, 4), (0, 2))
    yield "raw", "RANGE", "raw-zeros-digest", poke("entry", 20, b"\1", (0, 2))
    yield "raw", "CHECKSUM", "raw-chunk-damaged", flip(ALIGN + 0x123)
    yield "raw", "ENCODING", "raw-zeros-with-a-one", flip(ALIGN + 0x4321)
    yield "raw", "ENCODING", "raw-padding-with-a-one", flip(ALIGN - 0x100)
    yield "raw", "STRUCTURE", "raw-padding-magic", poke("padding", 0, le(0x184D2A56, 4), (1,))
    yield "raw", "STRUCTURE", "raw-padding-length", poke("padding", 4, le(8, 4), (0,))
    yield "raw", "STRUCTURE", "raw-payload-magic", poke("payload", 0, le(0x184D2A57, 4), (0,))
    yield "raw", "STRUCTURE", "raw-payload-length", poke("payload", 4, le(0x7001, 4), (0,))
