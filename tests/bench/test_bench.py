#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The pure parts of the benchmarks, and that their programs start: test_bench.py."""
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "bench/lib"))
import contents  # noqa: E402
import guest     # noqa: E402
import stats     # noqa: E402
import svg       # noqa: E402

PAGE = contents.PAGE
MIB = contents.MIB
GIB = 1 << 30


def sample_results():
    results = stats.Results()
    for name, values in (("vmm", [0.4, 0.2, 0.3]), ("vmm, lazy", [0.01, 0.02, 0.03]),
                         ("QEMU 7.2, raw", [0.2, 0.2, 0.2])):
        for value in values:
            results.add("B1", "1 GiB", "start", "ms", name, value)
    for pages, seconds in ((1, 0.01), (16, 0.05)):
        results.add("B2", f"{pages}k", "touched", "ms", "QEMU <&> co", seconds)
    return results


class Statistics(unittest.TestCase):
    def test_percentile(self):
        self.assertEqual(stats.percentile95(range(1, 101)), 95)
        self.assertEqual(stats.percentile95([7]), 7)
        self.assertEqual(stats.percentile95([3, 1, 2]), 3)
        self.assertEqual(stats.percentile95(list(range(20, 0, -1))), 19)

    def test_figure(self):
        for value, text in ((0, "0"), (0.0123, "0.012"), (1.234, "1.23"), (12.34, "12.3"),
                            (123.4, "123"), (1234.5, "1234")):
            self.assertEqual(stats.figure(value), text)

    def test_rows(self):
        rows = {(r["benchmark"], r["contestant"]): r for r in sample_results().rows()}
        vmm, peer = rows["B1", "vmm"], rows["B1", "QEMU 7.2, raw"]
        self.assertAlmostEqual(vmm["median"], 300)
        self.assertAlmostEqual(vmm["p95"], 400)
        self.assertEqual(vmm["samples"], 3)
        # Against the best of ours, which is the lazy one.
        self.assertAlmostEqual(peer["ratio"], 10)
        self.assertIsNone(rows["B2", "QEMU <&> co"]["ratio"])

    def test_ours(self):
        self.assertTrue(stats.is_ours("vmm, level 3"))
        self.assertFalse(stats.is_ours("QEMU 10.0"))
        self.assertFalse(stats.is_ours("vmmish"))

    def test_reasons_are_named_once(self):
        results = stats.Results()
        for _ in range(2):
            results.fail("B1", "QEMU", "ended")
            results.leave_out("B1", "vmm", "not built yet")
        document = json.loads(json.dumps(results.document({})))
        self.assertEqual(document["failures"], [["B1", "QEMU", "ended"]])
        self.assertEqual(len(document["absent"]), 1)


class Tables(unittest.TestCase):
    def test_markdown(self):
        rows = [r for r in sample_results().rows() if r["benchmark"] == "B1"]
        self.assertEqual(stats.markdown_table(rows).splitlines(), [
            "| | 1 GiB |", "|---|---:|", "| vmm | 300 / 400 (15.0x) |",
            "| vmm, lazy | 20.0 / 30.0 (1.00x) |", "| QEMU 7.2, raw | 200 / 200 (10.0x) |"])

    def test_holes(self):
        results = stats.Results()
        results.add("B", "a", "m", "ms", "one", 1)
        results.add("B", "b", "m", "ms", "two", 2)
        self.assertIn("| one | 1000 / 1000 | – |", stats.markdown_table(list(results.rows())))

    def test_text(self):
        text = stats.text_table(sample_results().rows())
        self.assertIn("B1 1 GiB, start, ms", text)
        self.assertRegex(text, r"vmm, lazy +20.0 +30.0 +1.00 +3")


class Pictures(unittest.TestCase):
    def parse(self, text):
        root = ET.fromstring(text)
        width, height = map(float, root.get("viewBox").split()[2:])
        for e in root.iter():
            for x, y in (("x", "y"), ("cx", "cy"), ("x1", "y1"), ("x2", "y2")):
                if e.get(x):
                    self.assertTrue(0 <= float(e.get(x)) <= width, ET.tostring(e))
                    self.assertTrue(0 <= float(e.get(y)) <= height, ET.tostring(e))
        self.assertIn("prefers-color-scheme:dark", text)
        return root, [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]

    def test_dots(self):
        root, words = self.parse(svg.dots("A title", "ms", [
            ("1 GiB", [("vmm", 3, 5, True), ("<QEMU>", 40, 2000, False), ("none", 0, 0, False)])]))
        self.assertIn("<QEMU>", words)
        self.assertIn("1 GiB", words)
        dots = root.findall(".//{http://www.w3.org/2000/svg}circle")
        self.assertEqual(len(dots), 3)
        self.assertLess(float(dots[0].get("cx")), float(dots[1].get("cx")))

    def test_lines(self):
        root, words = self.parse(svg.lines("T", "pages", "ms", [
            ("vmm", [(1000, 1), (55000, 40)]), ("QEMU", [(1000, 100), (55000, 120)])]))
        self.assertIn("55,000", words)
        self.assertEqual(len(root.findall(".//{http://www.w3.org/2000/svg}polyline")), 2)

    def test_scale(self):
        scale = svg.Scale(3, 200, 0, 300)
        self.assertEqual((scale.low, scale.high), (1, 1000))
        self.assertEqual([round(scale(v)) for v in (1, 10, 1000, 0.1)], [0, 100, 300, 0])
        self.assertEqual(svg.Scale(10, 10, 0, 1).ticks(), [10, 100])


class Contents(unittest.TestCase):
    def make(self, pages):
        f = tempfile.NamedTemporaryFile()
        self.addCleanup(f.close)
        os.truncate(f.name, 64 * MIB)
        for number in pages:
            os.pwrite(f.fileno(), struct.pack("<2Q", number, number * 3) + b"x", number * PAGE)
        return f.name

    def test_pages(self):
        # Zeros that are written are no contents; nor is what lies where the guest itself does.
        path = self.make([5, 2048, 2049, 9000])
        with open(path, "r+b") as f:
            f.seek(3000 * PAGE)
            f.write(bytes(PAGE))
        found = contents.Contents(path)
        self.assertEqual([at // PAGE for at, _ in found.pages], [2048, 2049, 9000])
        self.assertEqual([at for at, _ in found.runs(64 * MIB)], [2048 * PAGE, 9000 * PAGE])
        self.assertEqual(found.word(2), 27000)
        self.assertEqual(sorted(found.shuffled()), [0, 1, 2])
        self.assertEqual(found.fingerprint()[0], 3)

    def test_place(self):
        offsets = random.Random(2).sample(range(0, GIB, PAGE), 1000) + [0, GIB - PAGE]
        for larger in (GIB, 4 * GIB, 16 * GIB):
            with self.subTest(larger=larger):
                placed = [contents.place(at, GIB, larger) for at in sorted(offsets)]
                self.assertEqual(len(set(placed)), len(placed))
                self.assertEqual(placed, sorted(placed))
                for at, gpa in zip(sorted(offsets), placed):
                    self.assertEqual(at % contents.BLOCK, gpa % contents.BLOCK)
                    self.assertFalse(3 * GIB <= gpa < 4 * GIB)
                # vmm has the least above 4 GiB.
                self.assertLess(placed[-1], larger if larger <= 3 * GIB
                                else (4 << 30) + larger - 0xd0000000)
        self.assertEqual(contents.place(12345 * PAGE, GIB, GIB), 12345 * PAGE)


class Ram(unittest.TestCase):
    def test_memory(self):
        fd = os.memfd_create("guest-ram")
        os.truncate(fd, 64 * MIB)
        ram = guest.Ram(fd, 0, 64 * MIB, 0xc0000000)
        g = guest.Guest(ram)
        self.assertFalse(g.started())
        values = {name: n + 1 for n, name in enumerate(guest.NAMES)} | {"magic": guest.MAGIC}
        ram.write(guest.BASE, guest.RESULTS.pack(*values.values()))
        self.assertTrue(g.started())
        self.assertEqual(g.results(), values)
        self.assertEqual(g.counter(), 2)
        number = g.tell(guest.WRITE, count=7, order=1, first=9)
        self.assertEqual(struct.unpack("<5Q", ram.read(guest.ORDERS, 40)),
                         (number, guest.WRITE, 1, 9, 7))
        self.assertEqual(ram.at(5 << 30), (1 << 30) + 0xc0000000)
        self.assertEqual(os.lseek(fd, 0, os.SEEK_DATA), guest.BASE)  # looking made no pages
        ram.close()

    def test_header(self):
        """bench/worker.h says the same."""
        text = (ROOT / "bench/worker.h").read_text()
        self.assertIn(f"{guest.MAGIC:#x}ull", text)
        self.assertIn(f"PAGES_MAX {guest.PAGES_MAX}\n", text)
        start = text.index("struct worker_page {")
        body = text[start:text.index("};", start)]
        places = [re.search(rf"\b{name}\b[^\n]*;", body).start() for name in guest.NAMES]
        self.assertEqual(places, sorted(places))


class Programs(unittest.TestCase):
    def test_help(self):
        for name in ("run", "plot", "contents"):
            p = subprocess.run([ROOT / "bench" / name, "--help"], capture_output=True, text=True,
                               check=False)
            self.assertEqual((p.returncode, p.stderr), (0, ""), name)
            self.assertIn(f"usage: {name}", p.stdout)

    def test_plot(self):
        with tempfile.TemporaryDirectory() as folder:
            results = sample_results()
            results.fail("B1", "QEMU 10.0", "it ended")
            machine = {"taken": "2026-01-01", "cpus": 2, "cpu": "one", "memory_bytes": GIB,
                       "linux": "6.1", "peers": ["7.2"], "load": 0.5, "contents": "some"}
            file = Path(folder) / "x.json"
            file.write_text(json.dumps(results.document(machine)))
            subprocess.run([ROOT / "bench/plot", file, "--output", folder], check=True)
            text = (Path(folder) / "performance.md").read_text()
            self.assertIn("- B1, QEMU 10.0: it ended", text)
            pictures = sorted(p.name for p in (Path(folder) / "performance").iterdir())
            self.assertEqual(pictures, ["b1-start.svg", "b2-touched.svg"])
            for name in pictures:
                self.assertIn(f"](performance/{name})", text)
                ET.parse(Path(folder) / "performance" / name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
