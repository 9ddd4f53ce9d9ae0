#!/usr/bin/env python3
"""What is tried with the test guests of tests/guest/aarch64, inside an emulated host: rows.py NAME.

Runs there as root, in /root with lib.py, rowsvm.py, guest-kernel, guest-bios and guest-firmware;
vmm is in /usr/bin. Ends with an AssertionError if what a guest says is wrong.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from lib import run, wait_until
from rowsvm import (BIOS, FIRMWARE, FIRMWARE_ROW, GOLDEN, KERNEL, LAYOUTS, MIB, POOL, PPI, SECTOR,
                    SPI, Vm, checksum, gic_version, inside, layout_of, make_disk, pattern,
                    ram_bytes, say, size_of)

# --- rows -------------------------------------------------------------------------------------

ROW = re.compile(r"ROW (\S+) (0x[0-9a-f]+)((?: [a-z]+=\S+)*)")
CPU = re.compile(r"CPU (\d+) redist=(\S+) stolen=(\S+) detector=(\S+)")
PCI = re.compile(r"PCI fn=(\S+) id=(\S+)(?: line=(\d+) queues=\d+ vectors=\d+ low=(\S+) "
                 r"high=(\S+))?")
OUTSIDE = "AARCH64_AXI_BASE"  # of the device tree


def row_facts(rows, functions, turn, initrd):
    """What must be said of each row, besides its address."""
    def line(name, first=SPI):
        return {"line": str(first + rows[name]["line"])}

    facts = {name: {} for name in rows}
    for i in range(4):
        mark = ((i + 1) * GOLDEN + turn) & 0xFF
        facts[f"SERIAL_ADDR[{i}]"] = {**line(f"SERIAL_ADDR[{i}]"), "scratch": f"{mark:#x}"}
    for name in ("AARCH64_PHYS_MEM_START", "AARCH64_MMIO_BASE", "high_mmio_base", POOL,
                 "AARCH64_GIC_REDIST_BASE", "AARCH64_GIC_CPUI_BASE"):
        if name in rows:
            facts[name] = {"bytes": str(size_of(rows[name]))}
    facts["AARCH64_RTC_ADDR"] = line("AARCH64_RTC_ADDR")
    facts["VMGENID_PAGE"] = line("VMGENID_PAGE")
    facts["AARCH64_VMWDT_ADDR"] = {**line("AARCH64_VMWDT_ADDR", PPI), "hz": "10"}
    facts["AARCH64_PCI_CFG_BASE"] = {
        "buses": str(size_of(rows["AARCH64_PCI_CFG_BASE"]) >> 16), "functions": str(functions)}
    facts["AARCH64_GIC_DIST_BASE"] = {"lines": "64"}
    facts["plat_mmio_base"] = {"code": "0"}
    if initrd:
        data = Path(initrd).read_bytes()
        facts["initrd_addr"] = {"bytes": str(len(data)), "sum": f"{checksum(data):#x}"}
    return facts


def check_row(name, at, said, rows, facts, turn):
    assert at == rows[name]["start"], (name, hex(at), rows[name])
    for key, value in facts[name].items():
        assert said.get(key) == value, (name, said, facts[name])
    more = {k: v for k, v in said.items() if k not in facts[name]}
    if name == "AARCH64_RTC_ADDR":
        seconds = int(more.pop("seconds"))
        assert abs(seconds - time.time()) < 600, seconds
    elif name == "AARCH64_VIRTFREQ_BASE":
        assert int(more.pop("entries")) >= 1, said
        assert int(more.pop("now")) == int(more.pop("most")) // (2 + turn), said
    elif name == "AARCH64_GIC_ITS_BASE":
        assert int(more.pop("typer"), 0) & 1, said
    elif name == "AARCH64_GIC_CPUI_BASE":
        assert int(more.pop("iidr"), 0) & 0xFFF == 0x43B, said  # Arm
    elif name == "VMGENID_PAGE":
        assert more.pop("id") != "0x0,0x0", said
        more.pop("told")
    elif name.lower().startswith(("fdt_", "aarch64_fdt_")):
        assert 0 < int(more.pop("bytes")) <= size_of(rows[name]), (name, said, rows[name])
    assert not more, (name, more)


def check_pass(text, rows, functions, turn, initrd=None):
    """Every row of the map was touched where it is, and nothing but rows of the map."""
    facts = row_facts(rows, functions, turn, initrd)
    missing, cpus, found = set(rows), 0, 0
    for text_line in text.splitlines():
        if m := ROW.fullmatch(text_line):
            said = dict(pair.split("=") for pair in m[3].split())
            check_row(m[1], int(m[2], 0), said, rows, facts, turn)
            missing.remove(m[1])
        elif m := CPU.fullmatch(text_line):
            assert int(m[1]) == cpus, text_line
            redist = rows.get("AARCH64_GIC_REDIST_BASE")
            assert int(m[2], 0) == (redist["start"] + cpus * 0x20000 if redist else 0), text_line
            assert int(m[3], 0) == rows["AARCH64_PVTIME_IPA_START"]["start"] + cpus * 64, text_line
            assert int(m[4], 0) == rows["AARCH64_VMWDT_ADDR"]["start"] + cpus * 16, text_line
            cpus += 1
        elif m := PCI.fullmatch(text_line):
            found += 1
            if m[3]:
                slot = int(m[1], 0) >> 3
                first = rows["AARCH64_PCI_CFG_BASE"]["line"] + SPI
                assert int(m[3]) - first == slot - 1, text_line
                assert inside(int(m[4], 0), rows["AARCH64_MMIO_BASE"]), text_line
                assert inside(int(m[5], 0), rows["high_mmio_base"]), text_line
        elif m := re.fullmatch(r"ABSENT (\S+)", text_line):
            assert int(m[1], 0) == rows[OUTSIDE]["start"], text_line
            missing.remove(OUTSIDE)
        else:
            assert text_line == f"UART 0 pass {turn}", text_line
    assert found == functions, (found, functions)
    assert not missing, f"not touched: {sorted(missing)}\n{text}"
    return cpus


def pass_text(text, turn, last):
    """Between the line that begins a pass and @last."""
    start = text.index(f"PASS {turn}\n") + len(f"PASS {turn}\n")
    return text[start:text.index(last, start)]


def changed_and_told(first, second):
    """A restored guest has another generation identifier, and was told once."""
    (a, before), (b, told) = (re.search(r" id=(\S+) told=(\d+)", text).groups()
                              for text in (first, second))
    assert a != b and (before, told) == ("0", "1"), (a, b, before, told)


def rows_of(version, cpus):
    disk = make_disk(f"/tmp/rows{version}.img", bytes(MIB))
    layout = f"aarch64/linux@{version}"
    absent = " absent=0x40000000" if version == 1 else ""
    with Vm("--disk", f"path={disk}", "--swiotlb", 4 * MIB, "--pvm-firmware", FIRMWARE, "--initrd",
            BIOS, layout=layout, cpus=cpus, words="rows hold" + absent) as vm:
        rows = layout_of(vm, swiotlb=4 * MIB, initrd=BIOS, firmware=FIRMWARE)
        vm.await_text("HOLD\n")
        first = vm.text()
        with vm.peer() as s:
            wait_until("second port", lambda: b"UART 1 pass 0\n" in s.recv(4096))
        for i in (2, 3):
            assert Path(vm.files[i]).read_text() == f"UART {i} pass 0\n", i
        assert check_pass(pass_text(first, 0, "HOLD\n"), rows, 3, 0, BIOS) == cpus
        vm.snapshot("/root/rows.vmsnap")
        run("snapinspect", "verify", "/root/rows.vmsnap")
        vm.restore("/root/rows.vmsnap")
        assert "UART 1 pass 1\n" in vm.go_on()
        second = vm.text()
        assert check_pass(pass_text(second, 1, "PASSED\n"), rows, 3, 1, BIOS) == cpus
        for i in (2, 3):
            assert Path(vm.files[i]).read_text() == f"UART {i} pass 1\n", i
        changed_and_told(first, second)
        say(layout, cpus, "vCPUs:", len(rows), "rows, touched twice")


def scenario_rows():
    for version in LAYOUTS:
        rows_of(version, 1 + version)


# --- equal ------------------------------------------------------------------------------------

def stop_and_save(vm, path):
    vm.snapshot(path, "--stop")
    assert vm.process.wait(60) == 0


def pause_and_save(vm, path):
    run("vmm", "pause", "guest")
    vm.snapshot(path)


def times_longer(lasted):
    """How many times as long the work has to be to be met in the middle by a command."""
    began = time.monotonic()
    run("vmm", "list")
    return int(5 * (time.monotonic() - began) / lasted) + 1


def equal_of(version, cpus, iters, memory="128M", start="64M",
             saves=(pause_and_save, stop_and_save, Vm.snapshot)):
    def options():
        return {"layout": f"aarch64/linux@{version}", "cpus": cpus, "memory": memory,
                "words": f"work fill iters={iters} span=4M from={start} seed={7 + cpus}"}
    with Vm(**options()) as vm:
        vm.await_text(f"AT {iters // 16}\n")
        began = time.monotonic()
        whole = vm.end()
        longer = times_longer(time.monotonic() - began)
    if longer > 1:
        iters *= longer
        with Vm(**options()) as vm:
            whole = vm.end()
    points = sorted(random.Random(20 + cpus).sample(range(1, 10), len(saves)))
    with Vm(**options()) as vm:
        for point, save in zip(points, saves):
            vm.await_text(f"AT {point * iters // 16}\n")
            path = f"/root/{point}.vmsnap"
            save(vm, path)
            run("snapinspect", "verify", path)
            # The last one goes on while it is saved: what it says then is said once more.
            said = vm.restore(path, keep=save != Vm.snapshot)
            say(f"layout @{version}, {cpus} vCPUs: lost and restored at {point} of 16")
        rest = vm.end()
    assert whole.startswith(said) and whole.endswith(rest), (whole, said, rest)
    assert len(rest) >= len(whole) - len(said), (whole, said, rest)
    results = re.findall(r"^(?:WORK|DONE|MEMORY) .*$", whole, re.M)
    assert len(results) == cpus + 2, whole
    say(results[0], results[-1])


def scenario_equal():
    equal_of(2, 1, 40000)
    # RAM starts at 2 GiB: half of what is worked on lies below 4 GiB.
    equal_of(2, 1, 16000, "3G", "2046M", [stop_and_save])
    equal_of(1, 4, 6400)


# --- watchdog ---------------------------------------------------------------------------------

STALLED = "vmm: vCPU 1 has stalled"


def stalls(vm, how, times):
    """@times: it is said that it will; more than once after a reset, so a reset machine has a watchdog too."""
    if how == "reset":
        vm.await_text("STALL cpu=1\n", times)
    else:
        assert vm.process.wait(60) == 1, vm.words()
    assert STALLED in vm.process.last_words(), vm.words()


def scenario_watchdog():
    """It fires, before and after a restore: the machine is reset, or ends."""
    for how in ("reset", "stop"):
        with Vm("--watchdog", how, cpus=2, words="stall", memory="128M") as vm:
            vm.await_text("STALL cpu=1\n")
            vm.snapshot("/root/stall.vmsnap")
            stalls(vm, how, 3)
            vm.restore("/root/stall.vmsnap")
            stalls(vm, how, 2)
            say(how, "seen, before a restore and after")


# --- steal ------------------------------------------------------------------------------------

STEAL_LINES, STEAL_NS = 60, 20000000


def scenario_steal():
    """Everything on one CPU of the host, with two programs that never wait."""
    os.sched_setaffinity(0, {0})
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(2)]
    try:
        with Vm(words=f"steal lines={STEAL_LINES} each={STEAL_NS}", memory="128M") as vm:
            vm.await_text("STOLEN", 3)
            vm.snapshot("/root/steal.vmsnap", "--stop")
            assert vm.process.wait(60) == 0
            # Every word is said once, though maybe in two halves.
            n = vm.text().count("\n")
            vm.restore("/root/steal.vmsnap", keep=True)
            said = [int(v) for v in re.findall(r"^STOLEN (\d+)$", vm.end(), re.M)]
    finally:
        for process in busy:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert len(said) == STEAL_LINES + 1 > n > 2, (said, n)
    assert all(a + STEAL_NS <= b for a, b in zip(said, said[1:])), said
    say("stolen ns:", *said[:n], "| restored |", *said[n:])


# --- bounce -----------------------------------------------------------------------------------

def bounce_of(version, way, sectors=64):
    data = random.Random(version).randbytes(MIB)
    disk = make_disk(f"/tmp/bounce{version}{way}.img", data)
    with Vm("--disk", f"path={disk}", "--swiotlb", 2 * MIB, layout=f"aarch64/linux@{version}",
            memory="128M", words=f"bounce hold sectors={sectors} {way}") as vm:
        rows = layout_of(vm, swiotlb=2 * MIB)
        vm.await_text("HOLD\n")
        vm.snapshot("/root/bounce.vmsnap")
        pool = ram_bytes("/root/bounce.vmsnap", rows, POOL)
        # The last eight sectors that were written, as the device has read them.
        assert pattern(2 * sectors - 8, 8) in pool, "the pool does not have what was written"
        vm.restore("/root/bounce.vmsnap", keep=True)
        vm.go_on()
        said = vm.text()
    read = f"READ sectors={sectors} sum={checksum(data[:sectors * SECTOR]):#x}\n"
    back = checksum(pattern(sectors, sectors))
    assert said == (f"BOUNCE pool={rows[POOL]['start']:#x}\n{read}WROTE sectors={sectors}\nHOLD\n"
                    f"BACK sectors={sectors} sum={back:#x}\n{read}PASSED\n"), said
    say(f"layout @{version}, {way}: pool at {rows[POOL]['start']:#x}")


def scenario_bounce():
    bounce_of(1, "poll")
    bounce_of(1, "intx")
    bounce_of(2, "intx")
    if gic_version() == 3:
        bounce_of(2, "msix")


# --- firmware ---------------------------------------------------------------------------------

def firmware_lines(at, fdt, entry, size, next_is):
    return (f"FIRMWARE at={at:#x} x0={fdt:#x} x1={entry:#x} x2={size}\n"
            f"{next_is} through={at:#x}\n")


def bios_of(version, memory, firmware):
    data = random.Random(version).randbytes(MIB)
    disk = make_disk(f"/tmp/bios{version}.img", data)
    more = ["--pvm-firmware", FIRMWARE] if firmware else []
    with Vm("--disk", f"path={disk}", *more, layout=f"aarch64/bios@{version}", memory=memory,
            cpus=2, bios=True) as vm:
        rows = layout_of(vm, bios=True, firmware=FIRMWARE if firmware else None)
        said = vm.end(status=0)
    at, fdt = (rows[name]["start"]
               for name in ("AARCH64_BIOS_OFFSET", "AARCH64_FDT_OFFSET_IN_BIOS_MODE"))
    head = f"BIOS at={at:#x} fdt={fdt:#x} cpus=2\n"
    if firmware:
        first, then = firmware_lines(rows[FIRMWARE_ROW]["start"], fdt, at, os.path.getsize(BIOS),
                                     "BIOS").splitlines(keepends=True)
        head = first + head + then
    assert said.startswith(head + "PASS 0\n"), said
    text = pass_text(said, 0, "DISK")
    rows.pop(OUTSIDE, None)  # only where a command line names it
    assert check_pass(text, rows, 3, 0) == 2
    assert said.endswith(f"DISK sum={checksum(data[:SECTOR]):#x}\nPASSED\n"), said
    say(f"aarch64/bios@{version}", memory, "firmware first" if firmware else "")


def kernel_behind_firmware(version, memory):
    with Vm("--pvm-firmware", FIRMWARE, layout=f"aarch64/linux@{version}", memory=memory,
            words="off") as vm:
        rows = layout_of(vm, firmware=FIRMWARE)
        said = vm.end(status=0)
    wanted = firmware_lines(rows[FIRMWARE_ROW]["start"], rows["fdt_address"]["start"],
                            rows["AARCH64_KERNEL_OFFSET"]["start"], os.path.getsize(KERNEL),
                            f"KERNEL at={rows['AARCH64_KERNEL_OFFSET']['start']:#x}")
    assert said == wanted + "PASSED\n", (said, wanted)
    say(f"aarch64/linux@{version}", memory, "firmware first")


def scenario_firmware():
    for version in LAYOUTS:
        bios_of(version, "64M", firmware=False)
        bios_of(version, "6G", firmware=True)
        kernel_behind_firmware(version, "6G" if version == 2 else "64M")


SCENARIOS = {name.partition("_")[2]: f for name, f in globals().items()
             if name.startswith("scenario_")}


def main():
    os.environ["VMM_RUNTIME_DIR"] = "/tmp/vmm"
    SCENARIOS[sys.argv[1]]()
    say("passed")


main()
