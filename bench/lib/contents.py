# SPDX-License-Identifier: Apache-2.0
"""RAM contents of a real Linux guest, put into a benchmark's guest, and counted again there.

Pages keep their neighbours: in a guest of more RAM the 2 MiB blocks that have any lie further
apart.
"""

import hashlib
import os
import random
from pathlib import Path

PAGE = 4096
MIB = 1 << 20
BLOCK = 2 * MIB
ZERO = bytes(PAGE)
READ = 4 * MIB
# Below lie the guest's own image, its page tables and what firmware and VMM put there.
FIRST = 4 * MIB
# Of both programs' RAM below 4 GiB, what both have there.
LOW_END = 3 << 30
# QEMU's RAM above 4 GiB is larger than vmm's by this.
HIGH_LESS = 256 * MIB


def data_runs(fd, size):
    """(start, end) of what is no hole, in whole pages."""
    at = 0
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
            end = os.lseek(fd, at, os.SEEK_HOLE)
        except OSError:
            return
        yield at - at % PAGE, min(end + -end % PAGE, size)
        at = end


def nonzero_pages(read, runs):
    """(offset, bytes) of every page in @runs that is not all zero. @read: from (offset, size)."""
    for start, end in runs:
        for at in range(start, end, READ):
            block = read(at, min(READ, end - at))
            for i in range(0, len(block), PAGE):
                page = block[i:i + PAGE]
                if page != ZERO:
                    yield at + i, page


def place(offset, size, larger):
    """Where @offset of @size bytes of RAM lies in a guest of @larger bytes: its address."""
    if larger > LOW_END:
        larger -= HIGH_LESS
    blocks, room = size // BLOCK, larger // BLOCK
    linear = offset // BLOCK * room // blocks * BLOCK + offset % BLOCK
    return linear if linear < LOW_END else linear + (1 << 32) - LOW_END


class Contents:
    """@path: bytes of RAM, sparse; what `zstd -dc` makes of a snapshot."""

    def __init__(self, path):
        self.bytes = os.stat(path).st_size
        with open(path, "rb") as f:
            self.pages = [(at, page) for at, page in nonzero_pages(
                lambda at, n: os.pread(f.fileno(), n, at), data_runs(f.fileno(), self.bytes))
                if at >= FIRST]
        if not self.pages:
            raise ValueError(f"{path}: no contents")

    def __str__(self):
        return (f"{len(self.pages) * PAGE / MIB:.1f} MiB in {len(self.pages)} pages of "
                f"{self.bytes / MIB:.0f} MiB not zero")

    def runs(self, memory):
        """(address, bytes) of neighbouring pages, for a guest of @memory bytes."""
        start, parts = None, []
        for at, page in self.pages:
            at = place(at, self.bytes, memory)
            if parts and at == start + len(parts) * PAGE:
                parts.append(page)
                continue
            if parts:
                yield start, b"".join(parts)
            start, parts = at, [page]
        yield start, b"".join(parts)

    def addresses(self, memory):
        return [place(at, self.bytes, memory) for at, _ in self.pages]

    def shuffled(self):
        """An order in which neither neighbours nor distances help to guess the next."""
        order = list(range(len(self.pages)))
        random.Random(1).shuffle(order)
        return order

    def fingerprint(self):
        return fingerprint(self.pages)

    def word(self, index):
        """That the guest adds up from each page it touches: it proves that the page was right."""
        return int.from_bytes(self.pages[index][1][8:16], "little")


def fingerprint(pages):
    """Count and digest of pages that are not the guest's own."""
    count, digest = 0, hashlib.sha256()
    for at, page in pages:
        if at >= FIRST:
            count += 1
            digest.update(page)
    return count, digest.hexdigest()


def default_path():
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "vmm/bench/contents.ram"
