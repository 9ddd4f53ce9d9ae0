#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the sources may include (DEPS), where addresses may stand, how long files may be.

Prints one line for each violation; exit status 1 if there are any.
usage: test_deps.py [ROOT]
"""
import pathlib
import re
import sys

# (file, value): why a number that is also the start or end of a region is none there.
NOT_AN_ADDRESS = {
    ("src/arch/aarch64/fdt_pci.c", 0x10000): "functions that a requester's 16 bits can name",
    ("src/arch/aarch64/fdt_pci.c", 0x2000000): "space of 32-bit memory in a PCI address",
    ("src/arch/aarch64/irqchip.c", 0x6000): "offset in the distributor",
    ("src/arch/aarch64/irqchip.c", 0x10000): "offset in a redistributor",
    ("src/state/arm64_registers.c", 0x8000): "op0 2 in the number of a register",
    ("src/arch/aarch64/probe.c", 0x100000): "address in the probe's own memory",
    ("src/devices/acpi_pm.c", 0x2000): "bit of the PM1 control register",
    ("src/devices/pci_host.c", 0x80000000): "bit of CONFIG_ADDRESS",
    ("src/devices/pci_msix.c", 0x4000): "bit of the MSI-X control register",
    ("src/devices/virtio_dev.h", 0x4000): "size of the register BAR",
    ("src/devices/virtio_pci.c", 0x2000): "offset in the register BAR",
    ("src/devices/virtio_pci.c", 0x3000): "offset in the register BAR",
    ("src/layout/check.c", 0x10000): "number of I/O ports",
    ("src/layout/picture_text.c", 0x2000): "first of some characters",
    ("src/state/cbor.c", 0x10000): "first number of 32 bits",
    ("src/devices/pci_fn.c", 0xC000): "bits of the MSI-X control register",
    ("src/devices/pci_msix.c", 0x8000): "bit of the MSI-X control register",
    ("src/devices/virtio_blk.c", 0x200000): "most sectors in a discard",
    ("src/devices/virtio_net.c", 0x20000): "PCI class of Ethernet",
}

# Files of more than MAX_LINES lines: why they are not cut.
MAX_LINES = 500
LONG = {
    "tests/devices/pci_machine.c": "a machine for tests: bus, driver and interrupts belong together",
    "tests/devices/test_disk_fault.c": "one story: what is left of a disk after each kind of failure",
    "tests/devices/test_pci.c": "one case for each rule of PCI",
    "tests/devices/test_virtio_blk.c": "one case for each rule of the device and its transport",
    "tests/snap_reader.py": "a reader of the format in one file, to be taken elsewhere",
    "tests/snapshot/make_formats.py": "most of it is the list of files that it makes",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
HEX = re.compile(r"\b0[xX]([0-9a-fA-F']+)[uUlL]*\b")


def read_deps(root):
    """DEPS as {folder: allowed folders}, its own included."""
    deps = {}
    for line in (root / "DEPS").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            folder, _, allowed = line.partition(":")
            deps[folder.strip()] = {folder.strip(), *allowed.split()}
    return deps


def sources(root):
    """(path, folder in DEPS) of every C source that DEPS speaks about."""
    for top, named in (("src", None), ("tools", None), ("fuzz", "fuzz")):
        for path in sorted((root / top).rglob("*.[chS]")):
            yield path, named or path.relative_to(root / top).parts[0]


def strip_comments(text):
    """Comments and strings blanked, lines kept."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"'

    def blank(m):
        return "\n" * m.group().count("\n") + " "

    return re.sub(pattern, blank, text, flags=re.S)


def folder_of(root, path, name, deps):
    """The folder that the header @name lies in, None when there is no such file."""
    if (path.parent / name).is_file():
        name = (path.parent / name).resolve().relative_to(root).as_posix()
        first = name.split("/")[0]
        return name.split("/")[1] if first in ("src", "tools") else first
    first = name.split("/")[0]
    for top in ("src", "tools", "."):
        if first in deps and (root / top / name).is_file():
            return first
    return None


def check_includes(root, deps):
    for path, folder in sources(root):
        where = path.relative_to(root).as_posix()
        if folder not in deps:
            yield f"{where}:1: folder {folder} is not in DEPS"
            continue
        for n, line in enumerate(path.read_text().splitlines(), 1):
            m = INCLUDE.match(line)
            if not m:
                continue
            if m[1] == "<":
                if m[2] == "linux/kvm.h" and "kvm" not in deps[folder]:
                    yield f"{where}:{n}: {folder} may not include <{m[2]}>"
                continue
            other = folder_of(root, path, m[2], deps)
            if other is None:
                yield f'{where}:{n}: "{m[2]}" is nowhere in the tree'
            elif other not in deps[folder]:
                yield f'{where}:{n}: {folder} may not include "{m[2]}" of {other}'


DEFINITIONS = ("src/layout/aarch64.c", "src/layout/x86_64.c")


def number(text):
    return int(text.replace("'", "").rstrip("uUlL"), 16)


def region_edges(root):
    """Starts and ends of all regions in the layout definitions, as far as they are constant."""
    edges = set()
    for path in (root / where for where in DEFINITIONS):
        text = strip_comments(path.read_text())
        names = dict(re.findall(r"^#define\s+(\w+)\s+(0x[0-9a-fA-F]+)\s*$", text, re.M))
        for name, value in names.items():
            text = re.sub(rf"\b{name}\b", value, text)
        # A row's start and size stand side by side; elsewhere the start is named.
        for start, size in re.findall(r"(0x[0-9a-f]+),\s*(0x[0-9a-f]+|\d+)\b", text):
            edges |= {int(start, 16), int(start, 16) + int(size, 0)}
        edges |= {int(v, 16) for v in re.findall(r"\.start\s*=\s*(0x[0-9a-f]+)", text)}
        edges |= {int(v, 16) for v in names.values()}
    return {e for e in edges if e >= 0x1000}


def check_addresses(root):
    edges = region_edges(root)
    if not edges:
        yield "src/layout: no definitions found"
    used = set()
    for path in sorted((root / "src").rglob("*.[ch]")):
        where = path.relative_to(root).as_posix()
        if where in DEFINITIONS:
            continue
        for n, line in enumerate(strip_comments(path.read_text()).splitlines(), 1):
            for m in HEX.finditer(line):
                v = number(m[1])
                if v not in edges:
                    continue
                if (where, v) in NOT_AN_ADDRESS:
                    used.add((where, v))
                else:
                    yield f"{where}:{n}: 0x{v:x} is the start or end of a region: ask the layout"
    for where, v in sorted(set(NOT_AN_ADDRESS) - used):
        yield f"{where}:1: 0x{v:x} does not stand there any more: take it off the list"


def check_lengths(root):
    long = set()
    for top in ("src", "tools", "fuzz", "tests", "scripts", "bench"):
        for path in sorted((root / top).rglob("*")):
            if not path.is_file() or path.suffix not in ("", ".c", ".h", ".S", ".py", ".sh"):
                continue
            if path.suffix == "" and not path.read_bytes().startswith(b"#!"):
                continue
            where = path.relative_to(root).as_posix()
            lines = path.read_bytes().count(b"\n")
            if lines > MAX_LINES:
                long.add(where)
                if where not in LONG:
                    yield f"{where}:1: {lines} lines, {MAX_LINES} allowed: cut it or say why not"
    for where in sorted(set(LONG) - long):
        yield f"{where}:1: not that long any more: take it off the list"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "..")
    root = root.resolve()
    deps = read_deps(root)
    violations = [*check_includes(root, deps), *check_addresses(root), *check_lengths(root)]
    for v in violations:
        print(v)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
