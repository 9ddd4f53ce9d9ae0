#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is drawn of memory maps: test_picture.py DRAW VMM SNAPINSPECT MKSNAP."""
import os
import subprocess
import sys
import tempfile
import unicodedata
import unittest
import xml.etree.ElementTree as ET
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from programs import runnable  # noqa: E402

DRAW = VMM = SNAPINSPECT = MKSNAP = ""
SVG, XHTML = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xhtml}"

# Pixels of each class of text; prose is in a proportional font that is narrower.
FONT = {"n": 12, "s": 12, "k": 11, "a": 11, "b": 10, "t": 14, "h": 12, "p": 10.5}
ADVANCE = 0.6021
KINDS = {"moved", "grew", "shrank", "only here", "other kind", "other line", "other parent"}

SOUND = [("x86:64M",), ("x86:4G",), ("x86:64G",), ("arm:8M",), ("arm:8M", "arm:1G"),
         ("x86:4G", "x86:4G"), ("x86:64M", "x86:64G"), ("x86:4G", "arm:1G"),
         ("x86:64G", "changed:64G")]
HOSTILE = [(f"hostile:{seed}",) for seed in range(40)]
HOSTILE += [(f"hostile:{seed}", f"hostile:{seed + 1}") for seed in range(100, 140)]


def run(*argv):
    return subprocess.run(argv, capture_output=True)


def draw(form, *maps):
    return ET.fromstring(subprocess.run([DRAW, form, *maps], check=True, capture_output=True).stdout)


def regions(svg):
    """(name, badges, whether it has an outline of its own) of every region."""
    for g in svg.iter(SVG + "g"):
        if g.get("class") != "region":
            continue
        texts = [t for t in g.findall(SVG + "text") if t.get("class") == "n"]
        badges = {t.text for t in g.findall(SVG + "text") if t.get("class").split()[0] == "b"}
        marked = any("mark" in r.get("class").split() for r in g.findall(SVG + "rect"))
        yield texts[0].text or "", badges, marked


def box(text):
    words = text.get("class").split()
    font = next(FONT[w] for w in words if w in FONT)
    content = text.text or ""
    cells = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in content)
    width = float(text.get("textLength", cells * font * ADVANCE))
    x, y = float(text.get("x")), float(text.get("y"))
    left = x - width if "e" in words else x
    return left, y - 0.76 * font, left + width, y + 0.24 * font, content


class Drawn(unittest.TestCase):
    def check_texts(self, maps):
        svg = draw("svg", *maps)
        boxes = sorted(b for b in map(box, svg.iter(SVG + "text")) if b[4])
        self.assertGreater(len(boxes), 5)
        width, height = int(svg.get("width")), int(svg.get("height"))
        for left, top, right, bottom, text in boxes:
            self.assertTrue(left >= 0 and top >= 0 and right <= width and bottom <= height, text)
        for i, a in enumerate(boxes):
            for b in boxes[i + 1:]:
                if b[0] >= a[2]:
                    break
                self.assertTrue(a[1] >= b[3] or b[1] >= a[3], f"{a} overlaps {b}")

    def test_texts(self):
        for maps in SOUND + HOSTILE:
            with self.subTest(maps):
                self.check_texts(maps)

    def test_inside(self):
        """Name and badges of a region stand within its box, left of kind and size."""
        for maps in SOUND + HOSTILE:
            for g in draw("svg", *maps).iter(SVG + "g"):
                rects = [r for r in g.findall(SVG + "rect") if r.get("class").startswith("box")]
                if g.get("class") != "region" or not rects:
                    continue
                left, top = (int(rects[0].get(k)) for k in "xy")
                right, bottom = (int(rects[0].get(k)) + o for k, o in zip("xy", (
                    int(rects[0].get("width")), int(rects[0].get("height")))))
                for text in g.findall(SVG + "text"):
                    b = box(text)
                    self.assertTrue(b[0] > left and b[1] > top and b[2] < right and b[3] < bottom,
                                    f"{maps}: {b}")

    def test_self_contained(self):
        for form in ("svg", "html"):
            raw = run(DRAW, form, "x86:4G", "changed:4G").stdout.decode()
            rest = raw.replace("http://www.w3.org/2000/svg", "").replace(XHTML[1:-1], "")
            for word in ("http:", "https:", "href", "src=", "<script", "@import"):
                self.assertNotIn(word, rest)
            self.assertIn("prefers-color-scheme:dark", raw)
            self.assertIn("Not to scale", raw)
            self.assertIn("Low addresses at the top", raw)

    def test_differences(self):
        expected = {
            "ZERO_PAGE_OFFSET": {"shrank"}, "CMDLINE_OFFSET": {"moved", "grew"},
            "initrd_start": {"moved"}, "HPET_ADDR": {"other kind"},
            "PCIE_CFG_MMIO_START": {"other line"}, "VMGENID_PAGE": {"other parent"},
            "SERIAL_ADDR[0]": {"moved"}, "PIC_ELCR": {"only here"}, "PIC_OTHER": {"only here"},
        }
        svg = draw("svg", "x86:4G", "changed:4G")
        seen = {}
        for name, badges, marked in regions(svg):
            self.assertEqual(bool(badges & KINDS), name in expected, name)
            self.assertEqual(badges & KINDS, expected.get(name, set()), name)
            self.assertTrue(marked or name not in expected, name)
            seen[name] = seen.get(name, 0) + 1
        self.assertEqual({seen[n] for n in expected if not n.startswith("PIC_")}, {2})
        links = [p.find(SVG + "title").text for p in svg.iter(SVG + "path")
                 if p.get("class").startswith("link")]
        self.assertEqual({t.split(":")[0] for t in links},
                         {n for n, b in expected.items() if b & {"moved", "grew", "shrank"}})

    def test_same_addresses_beside_each_other(self):
        """What did not move stands at the same height in both maps."""
        svg = draw("svg", "x86:4G", "changed:4G")
        places = {}
        for g in svg.iter(SVG + "g"):
            if g.get("class") == "region":
                text = next(t for t in g.findall(SVG + "text") if t.get("class") == "n")
                badges = {t.text for t in g.findall(SVG + "text")}
                if "moved" not in badges and "other parent" not in badges:
                    places.setdefault(text.text, set()).add(text.get("y"))
        self.assertEqual({n: y for n, y in places.items() if len(y) > 1}, {})

    def test_page(self):
        for maps in SOUND + HOSTILE:
            with self.subTest(maps):
                page = draw("html", *maps)
                names = [n for n, _, _ in regions(page)]
                self.assertTrue(page.find(f".//{XHTML}svg") is None)
                rows = page.findall(f".//{XHTML}tbody/{XHTML}tr")
                listed = [r.find(XHTML + "td").text or "" for r in rows]
                self.assertEqual(set(listed), set(names))
                if len(maps) == 1:
                    self.assertEqual(len(listed), len(names))

    def test_page_says_what_differs(self):
        page = draw("html", "x86:4G", "changed:4G")
        text = {r[0].text: "".join(r[-2].itertext())
                for r in page.findall(f".//{XHTML}tbody/{XHTML}tr")}
        self.assertEqual(text["CMDLINE_OFFSET"], "moved by \u22128 KiB; grew, 2 KiB \u2192 8 KiB")
        self.assertEqual(text["PCIE_CFG_MMIO_START"], "line 9 \u2192 10")
        self.assertEqual(text["HPET_ADDR"], "kind reserved \u2192 mmio")
        self.assertEqual(text["PIC_ELCR"], "only in saved")
        self.assertEqual(text["PIC_OTHER"], "only in wanted")
        self.assertEqual(text["PIT"], "")


class Commands(unittest.TestCase):
    def test_vmm(self):
        for form, tag in (("--svg", SVG + "svg"), ("--html", XHTML + "html")):
            done = run(VMM, "layout", "show", "x86_64/linux@1", "-m", "4G", form)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual(ET.fromstring(done.stdout).tag, tag)
        for wrong in (["show", "x86_64/linux@1", "--svg", "--html"], ["list", "--svg"],
                      ["show", "x86_64/linux@1", "--svg", "--json"]):
            self.check_usage(run(VMM, "layout", *wrong))

    def check_usage(self, done):
        self.assertEqual((done.returncode, done.stdout), (2, b""))
        self.assertEqual(done.stderr.count(b"\n"), 1)

    def test_snapinspect(self):
        with tempfile.TemporaryDirectory() as name:
            a, b = f"{name}/a & <b>.vmsnap", f"{name}/c.vmsnap"
            for path, recipe in ((a, "small"), (b, "sparse")):
                subprocess.run([MKSNAP, recipe, path], check=True, capture_output=True)
            self.assertEqual(run(SNAPINSPECT, "map", a).stdout,
                             run(SNAPINSPECT, "layout", a).stdout)
            svg = ET.fromstring(run(SNAPINSPECT, "map", a, "--svg").stdout)
            self.assertIn(a, svg.find(SVG + "title").text)
            svg = ET.fromstring(run(SNAPINSPECT, "map", a, "--svg", "--against", b).stdout)
            self.assertIn(f"{a} and {b}", svg.find(SVG + "title").text)
            ET.fromstring(run(SNAPINSPECT, "map", a, "--html", "--against", b).stdout)
            for wrong in (["map", a, "--svg", "--html"], ["map", a, "--against", b],
                          ["info", a, "--svg"], ["map", a, "--json", "--svg"], ["map", "--svg"]):
                self.check_usage(run(SNAPINSPECT, *wrong))
            Path(b).write_bytes(b"no")
            done = run(SNAPINSPECT, "map", a, "--svg", "--against", b)
            self.assertEqual((done.returncode, done.stdout), (1, b""))
            self.assertIn(b.encode(), done.stderr)


if __name__ == "__main__":
    DRAW, VMM, SNAPINSPECT, MKSNAP = map(runnable, sys.argv[1:5])
    unittest.main(argv=sys.argv[:1])
