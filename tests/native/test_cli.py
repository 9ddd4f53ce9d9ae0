#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Commands: help, usage, exit statuses, and the keys of what they print as JSON.

usage: test_cli.py BUILD
"""

import json
import subprocess

from lib import RING3, VMM, WORK, Case, main

COMMANDS = ("run snapshot restore check pause resume stop status list disk layout cpu host").split()


class Usage(Case):
    def test_help(self):
        self.assertEqual(self.vmm("--help"), self.vmm("-h"))
        every = self.vmm("help").decode()
        for name in COMMANDS:
            self.assertIn(f"\n  {name} ", every)
            text = self.vmm(name, "--help").decode()
            self.assertTrue(text.startswith(f"usage: vmm {name}"), text)
        self.assertRegex(self.vmm("--version"), rb"\Avmm \d+\.\d+\.\d+\n\Z")

    def test_usage_errors(self):
        self.vmm(status=2)
        self.vmm("nonsense", status=2)
        self.vmm("--nonsense", status=2)
        for name in COMMANDS:
            self.vmm(name, "--nonsense", status=2)
            self.vmm(name, *["x"] * 20, status=2)
        for args in (["run"], ["run", "--name", "a"], ["run", "--kernel", RING3], ["snapshot", "a"],
                     ["snapshot"], ["restore"], ["check"], ["pause"], ["status"], ["layout"],
                     ["layout", "show"], ["layout", "nonsense"], ["disk"], ["run", "--name"],
                     ["run", "--name", "a", "--kernel", RING3, "--memory", "x"],
                     ["run", "--name", "a", "--kernel", RING3, "--cpus", "-1"],
                     ["run", "--name", "a", "--kernel", RING3, "--console", "nonsense",
                      "--allow-emulated"],
                     ["run", "--name", "a", "--kernel", RING3, "--disk", "nonsense",
                      "--allow-emulated"],
                     ["run", "--name", "a", "--kernel", RING3, "--detach", "--console", "stdio"],
                     ["restore", "x", "--clock", "nonsense"]):
            self.vmm(*args, status=2)

    def test_failures(self):
        for args in (["run", "--name", "a", "--kernel", "/nonexistent"],
                     ["run", "--name", "a", "--kernel", "/dev/null"],
                     ["check", "/nonexistent"], ["check", "/dev/null"], ["pause", "nobody"],
                     ["resume", "nobody"], ["stop", "nobody"], ["status", "nobody"],
                     ["snapshot", "nobody", "-o", self.path("x")], ["layout", "show", "none"]):
            self.vmm(*args, status=1)
        for args in (["--memory", "1"], ["--memory", "3K"], ["--memory", "10000000T"],
                     ["--cpus", "0"], ["--cpus", "4000000000"], ["--phys-bits", "99"],
                     ["--layout", "none"]):
            said = self.vmm("run", "--name", "a", "--kernel", RING3, "--allow-emulated", "--console",
                            "none", *args, status=None)
            self.assertRegex(said, r"\Avmm: [^\n]+\n\Z")


class Json(Case):
    def json(self, *args, status=0):
        return json.loads(self.vmm(*args, "--json", status=status))

    def test_host(self):
        host = self.json("host")
        self.assertLessEqual({"arch", "kernel", "cpu_model", "vcpus", "memslots", "phys_bits",
                              "tsc_khz", "kernel_mips", "native"}, set(host))
        self.assertIn(b"capabilities", self.vmm("host"))

    def test_layout(self):
        listed = self.json("layout", "list")
        self.assertEqual([d["id"] for d in listed],
                         [f"{arch}/{boot}@{version}" for arch in ("x86_64", "aarch64")
                          for boot in ("linux", "bios") for version in (1, 2)])
        for d in listed:
            self.assertEqual(self.json("layout", "show", d["id"], "-m", "1G")["id"], d["id"])
            self.vmm("layout", "diff", d["id"], d["id"], "-m", "1G")
        layout = self.json("layout", "show", "x86_64/linux", "--memory", "5G")
        names = [r["name"] for r in layout["regions"]]
        self.assertIn("RAM_ABOVE_4G", names)
        self.assertIn(b"RAM_ABOVE_4G", self.vmm("layout", "show", "x86_64/linux", "-m", "5G"))

    def test_check(self):
        vm = self.start("a", f"iters=0 {WORK}")
        file = self.snapshot(vm, "x.vmsnap", "--stop")
        verdict = self.json("check", file)
        self.assertIn(verdict["verdict"], ("identical", "compatible"))
        self.assertIsInstance(verdict["findings"], list)
        self.vmm("check", file)

    def test_check_incompatible(self):
        image = self.path("d.img")
        with open(image, "wb") as f:
            f.truncate(1 << 20)
        vm = self.start("a", f"iters=0 {WORK}", "--disk", f"path={image}")
        file = self.snapshot(vm, "x.vmsnap", "--stop")
        self.assertNotEqual(self.json("check", file)["verdict"], "incompatible")
        with open(image, "r+b") as f:
            f.truncate(2 << 20)
        p = self.run_json("check", file)
        self.assertEqual(p.returncode, 3)
        verdict = json.loads(p.stdout)
        self.assertEqual(verdict["verdict"], "incompatible")
        for finding in verdict["findings"]:
            self.assertLessEqual({"rule", "severity"}, set(finding))

    def run_json(self, *args):
        return subprocess.run([VMM, *args, "--json"], env=self.env, capture_output=True, check=False)

    def test_running(self):
        self.assertEqual(self.json("list"), [])
        self.start("a", f"iters=0 {WORK}")
        self.start("b", f"iters=0 {WORK}", "--paused")
        self.assertEqual([(v["name"], v["state"]) for v in self.json("list")],
                         [("a", "running"), ("b", "paused")])
        self.assertEqual(self.json("status", "b")["state"], "paused")
        taken = self.json("snapshot", "a", "-o", self.path("x.vmsnap"))
        self.assertEqual(taken["ram_bytes"], 32 << 20)


if __name__ == "__main__":
    main()
