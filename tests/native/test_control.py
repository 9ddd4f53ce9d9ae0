#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The control socket against formats/control.md, with clients that mean well and others.

usage: test_control.py BUILD
"""

import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import time

from lib import RING3, VMM, WORK, Case, Control, Vm, main, wait_for

ENDLESS = f"iters=0 {WORK} fill"  # whose snapshot is more than a pipe holds
STATUS = {"name", "state", "loading", "pid", "version", "layout", "layout_sha256", "memory_bytes",
          "page_bytes", "cpus", "disk"}
SNAPSHOT = {"file_bytes", "ram_bytes", "stored_bytes", "zero_chunks", "zstd_chunks", "held_ns",
            "parent_chunks", "raw_chunks", "copied_chunks", "hinted_bytes", "memory"}
BALLOON = {"target_bytes", "actual_bytes", "dropped_bytes", "ready"}
CLIENTS_MAX = 32
LINE_MAX = 64 << 10


class Protocol(Case):
    def setUp(self):
        super().setUp()
        self.vm = self.start("c", ENDLESS).reach(1)

    def tearDown(self):
        """Whatever was done to it: the guest runs, and the socket answers."""
        with self.vm.control() as c:
            c.receive()
            if c.call("status")["result"]["state"] == "paused":
                c.call("resume")
            self.assertEqual(c.call("status")["result"]["state"], "running")
        self.vm.advances()

    def client(self):
        c = self.vm.control()
        self.addCleanup(c.socket.close)
        hello = c.receive()
        self.assertEqual(hello["method"], "hello")
        self.assertEqual(hello["params"]["name"], "c")
        self.assertEqual(hello["params"]["protocol"], 1)
        self.assertEqual(set(hello["params"]), {"name", "version", "protocol"})
        return c

    def refused(self, answer, code, name=None):
        error = answer["error"]
        self.assertEqual(error["code"], code)
        self.assertIsInstance(error["message"], str)
        self.assertNotIn("\n", error["message"])
        if name:
            self.assertEqual(error["data"]["name"], name)

    def states(self, c):
        return [e["params"]["state"] for e in c.events if e["method"] == "state"]

    def test_only_the_owner_connects(self):
        self.assertEqual(stat.S_IMODE(os.stat(self.vm.socket).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(self.runtime).st_mode), 0o700)

    def test_status(self):
        status = self.client().call("status")["result"]
        self.assertEqual(set(status), STATUS)
        self.assertEqual((status["name"], status["state"], status["pid"], status["cpus"],
                          status["memory_bytes"], status["disk"], status["layout"]),
                         ("c", "running", self.vm.pid, 1, 32 << 20, [], "x86_64/linux@2"))
        self.assertRegex(status["layout_sha256"], r"\A[0-9a-f]{64}\Z")

    def test_pause_and_resume(self):
        c, other = self.client(), self.client()
        self.refused(c.call("resume"), 3, "WRONG_STATE")
        self.assertEqual(c.call("pause")["result"], {})
        stopped = self.vm.progress()["iterations"]
        self.refused(c.call("pause"), 3, "WRONG_STATE")
        self.refused(c.call("stop"), 3, "WRONG_STATE")
        time.sleep(0.05)
        self.assertEqual(self.vm.progress()["iterations"], stopped)
        self.assertEqual(c.call("resume")["result"], {})
        self.assertEqual(self.states(c), ["paused", "running"])
        other.call("status")
        self.assertEqual(self.states(other), ["paused", "running"])
        self.vm.advances()

    def snapshot(self, c, file, params):
        fd = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            return c.request("snapshot", params, [fd])
        finally:
            os.close(fd)

    def test_snapshot(self):
        c, other, file = self.client(), self.client(), self.path("x.vmsnap")
        number = self.snapshot(c, file, {"disks": [], "pause": True})
        result = c.answer(number)["result"]
        self.assertEqual(set(result), SNAPSHOT)
        self.assertEqual(result["file_bytes"], os.path.getsize(file))
        self.assertEqual(result["ram_bytes"], 32 << 20)
        self.assertEqual((result["zero_chunks"] + result["zstd_chunks"]) << 16, 32 << 20)
        for event in c.events:
            if event["method"] == "progress":
                self.assertEqual(event["params"]["id"], number)
                self.assertEqual(event["params"]["total"], 32 << 20)
        self.no_debris("x.vmsnap")
        self.assertEqual(c.call("status")["result"]["state"], "paused")
        self.assertEqual(self.states(c), ["saving", "paused"])
        other.call("status")
        self.assertFalse([e for e in other.events if e["method"] == "progress"])

    def test_busy_and_cancel(self):
        c, other = self.client(), self.client()
        r, w = os.pipe()
        number = c.request("snapshot", {"disks": [], "level": 19}, [w])
        os.close(w)
        got = os.read(r, 4096)
        self.refused(c.call("snapshot", {}, [0]), 74, "BUSY")
        self.refused(other.call("pause"), 74, "BUSY")
        self.assertEqual(other.call("status")["result"]["state"], "saving")
        other.send({"jsonrpc": "2.0", "method": "cancel", "params": {"id": number}})
        c.send({"jsonrpc": "2.0", "method": "cancel", "params": {"id": number + 7}})
        self.assertEqual(c.call("status")["result"]["state"], "saving")
        c.send({"jsonrpc": "2.0", "method": "cancel", "params": {"id": number}})
        while got:
            got = os.read(r, 65536)
        os.close(r)
        answer = c.answer(number)
        if "error" in answer:  # it may have been too late
            self.refused(answer, 76, "CANCELLED")

    def test_snapshot_that_cannot_be(self):
        c = self.client()
        self.refused(c.call("snapshot", {"disks": []}), -32602)
        r, w = os.pipe()
        self.refused(c.call("snapshot", {"disks": [{"id": "a", "path": "/x"}]}, [w]), -32602)
        self.refused(c.call("snapshot", {"disks": [{}, 1, None]}, [w, w, w]), -32602)
        os.close(r)
        answer = c.call("snapshot", {"disks": []}, [w])
        os.close(w)
        self.refused(answer, 70, "IO")
        c.call("status")
        self.assertEqual(self.states(c), ["saving", "running"])

    def test_wrong_requests(self):
        c = self.client()
        self.refused(c.call("nonsense"), -32601)
        self.refused(c.call("status", [1, 2]), -32602)
        self.refused(c.call("status", "x"), -32602)
        for bad in ({}, {"id": "x", "method": "pause"}, {"id": -1, "method": "pause"},
                    {"id": None, "method": "pause"}, {"method": "pause"}, {"id": 1.5}):
            c.send(bad)
            answer = c.receive()
            self.assertIsNone(answer["id"])
            self.refused(answer, -32602)
        c.send({"id": 5})
        self.refused(c.answer(5), -32601)
        for params in (None, 7, [], {"id": "x"}, {"id": 2 ** 62}, {}):
            c.send({"method": "cancel", "params": params})
        self.assertEqual(c.call("status")["result"]["state"], "running")

    def test_garbage_closes(self):
        for bad in (b"\n", b"garbage\n", b"[]\n", b"1\n", b"{\n", b'{"id":1}{"id":2}\n',
                    b'{"id":1,"id":2}\n', b"\0\n", b"\xff\xfe{}\n", b"[" * 5000 + b"\n",
                    b'{"a":' * 5000 + b"\n", b"x" * (LINE_MAX + 5000)):
            with self.subTest(bad[:20]):
                c = self.client()
                try:
                    c.send(bad)
                except BrokenPipeError:
                    pass
                answer = c.receive()
                if len(bad) <= LINE_MAX or answer:
                    self.refused(answer, -32700)
                    self.assertIsNone(c.receive())

    def test_half_lines(self):
        c = self.client()
        for byte in b'{"id":1,"method":"status"}\n{"id":2,"method":"status"}\n{"id":3':
            c.send(bytes([byte]))
        self.assertEqual(set(c.answer(1)["result"]), STATUS)
        self.assertEqual(set(c.answer(2)["result"]), STATUS)
        c.socket.close()

    def test_descriptors_nobody_wants(self):
        c = self.client()
        before = len(os.listdir(f"/proc/{self.vm.pid}/fd"))
        r, w = os.pipe()
        for _ in range(20):
            self.assertIn("result", c.call("status", fds=[r, w] * 8))
        self.assertEqual(len(os.listdir(f"/proc/{self.vm.pid}/fd")), before)
        c.send(b'{"id":', [r, w])
        c.send(b'9,', [r] * 17)
        while c.receive():
            pass
        os.close(r)
        os.close(w)
        wait_for("descriptors to be closed",
                 lambda: len(os.listdir(f"/proc/{self.vm.pid}/fd")) == before - 1)

    def test_many_connections(self):
        clients = [self.client() for _ in range(CLIENTS_MAX)]
        more = Control(self.vm.socket)
        self.assertIsNone(more.receive())
        more.socket.close()
        self.assertIn("result", clients[0].call("status"))
        self.assertIn("result", clients[-1].call("status"))
        for c in clients:
            c.socket.close()
        wait_for("room", lambda: self.hello_again())
        for _ in range(200):
            Control(self.vm.socket).socket.close()

    def hello_again(self):
        with self.vm.control() as c:
            try:
                return c.receive()
            except ConnectionError:
                return None

    def test_reader_that_sleeps(self):
        c = self.client()
        c.socket.setblocking(False)
        ask = b'{"id":1,"method":"status"}\n' * 100
        sent = 0
        try:
            while sent < 64 << 20:
                sent += c.socket.send(ask)
                time.sleep(0)
        except (BlockingIOError, ConnectionError):
            pass
        self.assertLess(sent, 64 << 20)

    def test_stop_by_force(self):
        c = self.start("d", ENDLESS).control()
        c.receive()
        self.assertEqual(c.call("stop", {"force": True})["result"], {})
        while c.receive():
            pass
        c.socket.close()


class Balloon(Case):
    """What the socket says of it; no guest here has a driver."""

    def test_asked_for_and_saved(self):
        vm = self.start("b", ENDLESS, "--balloon").reach(1)
        with vm.control() as c:
            self.assertEqual(set(c.call("status")["result"]), STATUS | {"balloon"})
            self.assertEqual(c.call("balloon")["result"],
                             {"target_bytes": 32 << 20, "actual_bytes": 32 << 20,
                              "dropped_bytes": 0, "ready": False})
            result = c.call("balloon", {"memory_bytes": 20 << 20})["result"]
            self.assertEqual(set(result), BALLOON)
            self.assertEqual((result["target_bytes"], result["actual_bytes"]), (20 << 20, 32 << 20))
            for wrong in (0, -1, 4095, (32 << 20) + 1, 1 << 62, "20M", 1.5, None, True, [], {}):
                error = c.call("balloon", {"memory_bytes": wrong})["error"]
                self.assertEqual(error["data"]["name"], "USAGE", wrong)
            self.assertEqual(c.call("balloon")["result"], result)
        self.assertIn("target_bytes         20971520\n", self.vmm("balloon", "b").decode())
        self.assertIn("balloon  target_bytes=20971520 ", self.vmm("status", "b").decode())
        file = self.snapshot(vm)
        vm.kill()
        vm = self.restore("b", file)
        self.assertEqual(json.loads(self.vmm("balloon", "b", "24M", "--json"))["target_bytes"],
                         24 << 20)
        vm.advances()

    def test_machine_without_one(self):
        self.start("c", ENDLESS)
        for size in ([], ["16M"]):
            self.assertIn("c has no balloon", self.vmm("balloon", "c", *size, status=1))

    def test_nobody_who_names_free_pages(self):
        """No driver, or not even a balloon; and a guest that stands still is not asked."""
        vm = self.start("b", ENDLESS, "--balloon").reach(1)
        said = json.loads(self.vmm("snapshot", "b", "-o", self.path("b.vmsnap"), "--json",
                                   "--free-page-hints"))
        self.assertEqual(said["hinted_bytes"], 0)
        self.assertGreater(said["zstd_chunks"], 0)
        vm.advances()
        self.vmm("pause", "b")
        text = self.vmm("snapshot", "b", "-o", self.path("b.vmsnap"), "--free-page-hints").decode()
        self.assertIn(", 0 MiB were left out\n", text)
        self.start("c", ENDLESS).reach(1)
        self.assertIn("c has no balloon", self.vmm("snapshot", "c", "-o", self.path("c.vmsnap"),
                                                   "--free-page-hints", status=1))


class Lifecycle(Case):
    def test_names(self):
        for name in ("", ".", "..", "a/b", "../x", "-x", "a b", "a\nb", "é", "x" * 300, ".hidden"):
            vm = self.start_named(name)
            self.result(vm.wait(), vm.stderr(), 2, name)
            self.vmm("status", "--", name, status=2)

    def start_named(self, name):
        self.count += 1
        console = self.path(f"{self.count}.console")
        return Vm(self, "bad", [VMM, "run", f"--name={name}", "--kernel", RING3, "--console",
                                "none", "--allow-emulated"], self.env, console)

    def test_one_vm_a_name(self):
        vm = self.start("a", ENDLESS).reach(1)
        other = self.start("a", ENDLESS, ready=False)
        self.result(other.wait(), other.stderr(), 1)
        self.vmm("pause", "b", status=1)
        vm.advances()

    def test_socket_of_a_dead_vm(self):
        vm = self.start("a", ENDLESS)
        vm.kill()
        self.assertTrue(os.path.exists(vm.socket))
        self.vmm("status", "a", status=1)
        self.assertFalse(os.path.exists(vm.socket))
        self.start("a", ENDLESS).kill()
        self.start("a", ENDLESS).kill()
        self.assertEqual(json.loads(self.vmm("list", "--json")), [])
        self.assertEqual(os.listdir(self.runtime), [])

    def test_socket_of_a_vm_that_starts(self):
        """Bound but not listened at yet: nobody may take it for one that was left behind."""
        os.makedirs(self.runtime, exist_ok=True)
        directory = os.open(self.runtime, os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, directory)
        fcntl.flock(directory, fcntl.LOCK_EX)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(f"{self.runtime}/a.sock")
            p = subprocess.Popen([VMM, "status", "a"], env=self.env, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE)
            self.addCleanup(p.communicate)
            self.addCleanup(p.kill)
            with self.assertRaises(subprocess.TimeoutExpired):
                p.wait(0.5)
            s.listen()
            fcntl.flock(directory, fcntl.LOCK_UN)
            s.settimeout(30)
            s.accept()[0].close()  # it comes, and the socket is still there
        self.assertTrue(os.path.exists(f"{self.runtime}/a.sock"))
        os.unlink(f"{self.runtime}/a.sock")

    def test_stranger_at_the_socket(self):
        os.mkdir(self.runtime)
        with open(f"{self.runtime}/a.sock", "wb"):
            pass
        vm = self.start("a", ENDLESS, ready=False)
        self.result(vm.wait(), vm.stderr(), 1)
        os.unlink(f"{self.runtime}/a.sock")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(f"{self.runtime}/a.sock")
            s.listen()
            vm = self.start("a", ENDLESS, ready=False)
            self.result(vm.wait(), vm.stderr(), 1)

    def test_signals_end_in_order(self):
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            for paused in (False, True):
                vm = self.start("a", ENDLESS).reach(1)
                if paused:
                    self.vmm("pause", "a")
                vm.process.send_signal(sig)
                self.assertEqual(vm.wait(), 0)
                self.assertEqual(vm.stderr(), "")

    def detached(self, *args):
        return self.vmm(*args, "--detach", "--console", f"file:{self.path('console')}")

    def test_detach(self):
        run = ("run", "--name", "a", "--kernel", RING3, "--memory", "32M", "--allow-emulated",
               "--cmdline", ENDLESS)
        self.detached(*run)
        status = json.loads(self.vmm("status", "a", "--json"))
        try:
            self.assertEqual(status["state"], "running")
            self.vmm(*run, "--detach", status=1)
            file = self.path("x.vmsnap")
            self.vmm("snapshot", "a", "-o", file, "--stop")
            self.detached("restore", file)
            status = json.loads(self.vmm("status", "a", "--json"))
            self.assertEqual(status["state"], "running")
        finally:
            self.vmm("stop", "a", "--force")
        self.vmm("run", "--name", "a", "--kernel", "/nonexistent", "--detach", status=1)
        self.vmm("restore", "/nonexistent", "--detach", status=1)


if __name__ == "__main__":
    main()
