# SPDX-License-Identifier: Apache-2.0
"""The disk that tests/guest/bios.c wants, and what it says when it finds it to be right."""

import struct

RAM32 = 0xD0000000  # where RAM below 4 GiB ends
TASK = struct.Struct("<5Q")
TASK_MAGIC = 0x304B53415453494B
SECTORS = 128
MASK = (1 << 64) - 1
REPORT = 128  # sectors between two lines


def sector_words(sector):
    first = sector * 0x9E3779B97F4A7C15
    return [first + i & MASK for i in range(64)]


def make_disk(path, passes, resets=0):
    with open(path, "wb") as f:
        f.write(TASK.pack(TASK_MAGIC, SECTORS, passes, resets, 0).ljust(512, b"\0"))
        for s in range(1, SECTORS + 1):
            f.write(struct.pack("<64Q", *sector_words(s)))
    return path


def reads(passes):
    """What is said about them."""
    lines, total, done = "", 0, 0
    for _ in range(passes):
        for s in range(1, SECTORS + 1):
            for word in sector_words(s):
                total = total * 31 + word & MASK
            done += 1
            if done % REPORT == 0:
                lines += f"READ sectors={done} sum={total:#x}\n"
    return lines + f"PASSED sectors={done} sum={total:#x}\n"


def start_lines(memory_mib, cpus, boots=0):
    size = memory_mib << 20
    below = min(size, RAM32)
    registers = max(size - RAM32, 0) + (1 << 32)
    return (f"BIOS cpus={cpus} ram_above_16m={below - (16 << 20)} ram_above_4g={size - below}\n"
            f"DISK slot=1 registers={registers:#x}\nTASK boots={boots}\n")
