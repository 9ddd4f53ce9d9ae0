#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Commands: help, usage, exit statuses, and the keys of what they print as JSON.

usage: test_cli.py BUILD
"""

import json
import os
import stat
import subprocess

from lib import RING3, SNAPINSPECT, VMM, WORK, Case, main

COMMANDS = ("run snapshot restore check pause resume stop status list balloon disk layout cpu host").split()


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
                     ["snapshot"], ["restore"], ["check"], ["pause"], ["status"], ["balloon"], ["balloon", "a", "x"], ["layout"],
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
                     ["resume", "nobody"], ["stop", "nobody"], ["balloon", "nobody"], ["status", "nobody"],
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

    def said(self, *argv, status):
        """Output of a command that may end with a verdict: 3 is no failure then."""
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, status, done)
        return done.stdout

    def test_cpu(self):
        self.assertEqual(self.json("cpu", "show")["record"], "cpu-policy")
        self.assertIn(b"avx2", self.vmm("cpu", "show", "x86_64-v3"))
        self.vmm("cpu", "show", "x86_64-v9", status=2)
        self.vmm("cpu", "show", "./none.json", status=1)
        self.vmm("cpu", "baseline", status=2)
        self.vmm("run", "--name", "a", "--kernel", RING3, "--cpu", "nobody", status=2)
        host, fleet = self.path("host.json"), self.path("fleet.json")
        self.vmm("host", "--export", host)
        os.mkdir(self.path("folder"))
        for target in (self.path("folder"), self.path("none/host.json"), "/dev/null"):
            self.vmm("host", "--export", target, status=1)
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))
        self.assertEqual(self.vmm("host", "--export", "-")[:1], b"{")
        self.vmm("cpu", "baseline", fleet, status=1)
        with open(fleet, "wb") as file:
            file.write(self.vmm("cpu", "baseline", "--name", "fleet", host, host))
        vm = self.start("a", f"iters=0 {WORK}", "--cpu", fleet)
        file = self.snapshot(vm, "x.vmsnap", "--stop")
        self.assertEqual(self.json("check", file, "--host", host)["verdict"], "identical")

        # A processor that has one feature more than this one, and one that has one less.
        with open(fleet, encoding="utf-8") as read:
            policy = json.load(read)
        leaf = next(c for c in policy["cpu-policy"]["cpuid"] if int(c["function"], 0) == 7)
        leaf["ebx"] = "0xffffffff"
        with open(fleet, "w", encoding="utf-8") as write:
            json.dump(policy, write)
        self.vmm("run", "--name", "b", "--kernel", RING3, "--cpu", fleet, "--allow-emulated",
                 status=3)
        with open(host, encoding="utf-8") as read:
            profile = json.load(read)
        for c in profile["host"]["cpuid"]:
            if int(c["function"], 0) == 1:
                c["ecx"] = "0x0"
        with open(host, "w", encoding="utf-8") as write:
            json.dump(profile, write)
        verdict = json.loads(self.said(VMM, "check", file, "--host", host, "--json", status=3))
        self.assertEqual({f["rule"] for f in verdict["findings"] if f["severity"] == "refusal"},
                         {"C002"})

    def test_other_architecture(self):
        self.vmm("run", "--name", "a", "--kernel", RING3, "--layout", "aarch64/linux",
                 "--allow-emulated", status=3)
        self.vmm("run", "--name", "a", "--kernel", RING3, "--layout", "x86_64/linux@9",
                 "--allow-emulated", status=1)

    def test_address_bits(self):
        self.vmm("run", "--name", "a", "--kernel", RING3, "--phys-bits", "many", "--allow-emulated",
                 status=2)
        self.vmm("run", "--name", "a", "--kernel", RING3, "--phys-bits", "47", "--allow-emulated",
                 status=1)
        vm = self.start("a", f"iters=0 {WORK}", "--phys-bits", "host")
        file = self.snapshot(vm, "x.vmsnap", "--stop")
        saved = self.json("layout", "show", file)["params"]["phys_bits"]
        self.assertEqual(saved, min(46, self.json("host")["phys_bits"]))

    def test_snapinspect_check(self):
        vm = self.start("a", f"iters=0 {WORK}")
        file = self.snapshot(vm, "x.vmsnap", "--stop")

        def check(*words, status):
            return self.said(SNAPINSPECT, "check", *words, status=status)
        self.assertIn("H010", check(file, status=0))
        self.assertIn("verdict: identical", check("--against", file, file, status=0))
        self.assertIn("verdict: identical", check("--against", "x86_64/linux@2", file, status=0))
        self.assertIn("L032", check("--against", "x86_64/linux@1", file, status=3))
        self.assertIn("L030", check("--against", "aarch64/linux", file, status=3))
        check("--against", "nothing", file, status=1)
        check("--host", file, file, status=1)
        check("--svg", file, status=2)
        check("--host", status=2)
        self.assertIn("L032", self.said(VMM, "layout", "diff", file, "x86_64/bios", "-m", "32M",
                                        status=3))
        self.vmm("layout", "diff", file, status=2)
        self.vmm("layout", "show", "nothing", status=1)
        self.assertIn(b"| L001 |", self.vmm("check", "--rules"))
        self.vmm("check", status=2)

    def test_check(self):
        vm = self.start("a", f"iters=0 {WORK}")
        file = self.snapshot(vm, "x.vmsnap", "--stop")
        verdict = self.json("check", file)
        self.assertIn(verdict["verdict"], ("identical", "compatible"))
        self.assertIsInstance(verdict["findings"], list)
        self.vmm("check", file)

    def test_check_incompatible(self):
        image = self.new_image("d.img")
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
