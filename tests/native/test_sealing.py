#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Signed and encrypted snapshots of running VMs: who gets in, and that no key stays behind.

usage: test_sealing.py BUILD
"""

import hashlib
import os
import pty
import re
import select
import signal
import subprocess
import sys

from lib import DEADLINE, SNAPINSPECT, VMM, WORK, Case, environment, main, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../snapshot"))
import sealing  # noqa: E402
import snap_crypto  # noqa: E402
import snap_reader  # noqa: E402

# More than a pipe and the writer's buffer hold.
MUCH = "span=0x400000 from=0x1000000 seed=7"
LARGEST = 4 << 30  # of a mapping that is worth reading: a sanitizer's own are larger


def find(pid, needles):
    """Those of @needles, by name, that are in the memory of a process or what /proc says of it."""
    found = set()

    def look(data):
        found.update(name for name, needle in needles.items() if needle in data)
    for name in ("cmdline", "environ"):
        with open(f"/proc/{pid}/{name}", "rb") as f:
            look(f.read())
    with open(f"/proc/{pid}/maps", encoding="ascii") as f:
        maps = [re.match(r"(\w+)-(\w+) (\S+) \S+ \S+ \S+ *(.*)", line) for line in f]
    mem = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    for m in maps:
        at, end = int(m[1], 16), int(m[2], 16)
        if m[3][0] != "r" or end - at > LARGEST or m[4] in ("[vvar]", "[vsyscall]"):
            continue
        tail = b""
        while at < end:
            try:
                block = os.pread(mem, min(1 << 20, end - at), at)
            except OSError:
                break
            if not block:
                break
            look(tail + block)
            tail = block[-64:]
            at += len(block)
    os.close(mem)
    return found


class Sealing(Case):
    def setUp(self):
        super().setUp()
        self.master = os.urandom(32)
        self.seed = os.urandom(32)
        self.key = sealing.write(self.path("key"), self.master)
        self.passphrase = sealing.write(self.path("passphrase"), b"a gramme is better\n")
        self.private = sealing.write(self.path("k.pem"), sealing.private_pem(self.seed).encode())
        public = snap_crypto.public_key(self.seed)
        self.public = sealing.write(self.path("p.pem"), sealing.public_pem(public).encode())
        self.other = sealing.write(self.path("o.pem"), sealing.public_pem(sealing.SIGNER).encode())

    def test_there_and_back(self):
        vm = self.start("a", f"iters=0 {WORK}").reach(5)
        for seal, open_it in (([f"--encrypt=key={self.key}"], [f"--key=key={self.key}"]),
                              ([f"--encrypt=passphrase-file={self.passphrase}"],
                               [f"--key=passphrase-file={self.passphrase}"]),
                              (["--sign", self.private], ["--verify-key", self.public]),
                              ([f"--encrypt=key={self.key}", "--sign", self.private],
                               [f"--key=key={self.key}", "--verify-key", self.public])):
            with self.subTest(seal):
                file = self.snapshot(vm, "x.vmsnap", *seal)
                self.vmm("check", file, *open_it)
                subprocess.run([SNAPINSPECT, "verify", *open_it, file], check=True,
                               stdout=subprocess.DEVNULL)
                for more in ([], ["--lazy"]):
                    copy = self.restore("b", file, *open_it, *more)
                    copy.advances()
                    # And again from there, under another key.
                    again = self.snapshot(copy, "y.vmsnap", f"--encrypt=key={self.key}")
                    self.vmm("check", again, f"--key=key={self.key}")
                    copy.kill()
                os.unlink(self.path("y.vmsnap"))
                os.unlink(file)
        vm.advances()

    def test_while_the_guest_runs(self):
        vm = self.start("a", f"iters=0 {WORK}").reach(5)
        open_it = [f"--key=key={self.key}", "--verify-key", self.public]
        for n in range(3):
            file = self.snapshot(vm, f"{n}.vmsnap", "--live", f"--encrypt=key={self.key}", "--sign",
                                 self.private)
            vm.advances()
            subprocess.run([SNAPINSPECT, "verify", *open_it, file], check=True,
                           stdout=subprocess.DEVNULL)
            self.restore("b", file, *open_it).advances().kill()
        self.assertEqual(find(vm.pid, self.needles(file)), set())

    def refused(self, says, *args):
        self.assertIn(says, self.vmm(*args, status=1))

    def test_refused(self):
        vm = self.start("a", f"iters=0 {WORK}")
        plain = self.snapshot(vm, "plain.vmsnap")
        signed = self.snapshot(vm, "signed.vmsnap", "--sign", self.private)
        closed = self.snapshot(vm, "closed.vmsnap", f"--encrypt=key={self.key}")
        wrong = sealing.write(self.path("wrong"), bytes(32))
        for command in ("check", "restore"):
            self.refused("a key is needed", command, closed)
            self.refused("cannot be opened with this key", command, closed, f"--key=key={wrong}")
            self.refused("with a key, not with a passphrase", command, closed,
                         f"--key=passphrase-file={self.passphrase}")
            self.refused("is not encrypted", command, plain, f"--key=key={self.key}")
            self.refused("not signed", command, plain, "--verify-key", self.public)
            self.refused("not signed", command, closed, f"--key=key={self.key}", "--verify-key",
                         self.public)
            self.refused("by another key", command, signed, "--verify-key", self.other)
        self.vmm("layout", "show", closed, status=1)
        self.vmm("layout", "show", closed, f"--key=key={self.key}")

    def test_keys_that_are_none(self):
        vm = self.start("a", f"iters=0 {WORK}")
        file = self.path("x.vmsnap")

        def refused(says, *args, status=1):
            self.assertIn(says, self.vmm("snapshot", "a", "-o", file, *args, status=status))
            self.assertFalse(os.path.exists(file))
        os.chmod(self.key, 0o640)
        refused("open to others", f"--encrypt=key={self.key}")
        os.chmod(self.private, 0o604)
        refused("open to others", "--sign", self.private)
        for text in ("", "secret", "key", "key=", "key-fd=x", "key-fd=1", "passphrase="):
            refused("a key is given as" if "fd=" not in text else "is no descriptor",
                    f"--encrypt={text}", status=2)
        short = sealing.write(self.path("short"), b"0123")
        refused("is no key", f"--encrypt=key={short}")
        refused("empty passphrase", "--encrypt=passphrase-file=" +
                sealing.write(self.path("empty"), b"\n"))
        refused("is a public key", "--sign", sealing.write(self.path("s.pem"), sealing.public_pem(
            sealing.SIGNER).encode()))
        os.chmod(self.private, 0o600)
        for curve in (["-algorithm", "x25519"], ["-algorithm", "ec", "-pkeyopt",
                                                 "ec_paramgen_curve:P-256"]):
            other = self.path("other.pem")
            subprocess.run(["openssl", "genpkey", *curve, "-out", other], check=True,
                           stderr=subprocess.DEVNULL)
            os.chmod(other, 0o600)
            refused("not ED25519", "--sign", other)
        refused("no terminal", "--encrypt=passphrase")
        vm.advances()

    def test_hexadecimal_and_descriptors(self):
        vm = self.start("a", f"iters=0 {WORK}")
        digits = sealing.write(self.path("hex"), self.master.hex().encode() + b"\n")
        file = self.snapshot(vm, "x.vmsnap", f"--encrypt=key={digits}")
        self.vmm("check", file, f"--key=key={self.key}")
        for option, data in (("key-fd", self.master), ("key-fd", self.master.hex().encode())):
            r, w = os.pipe()
            os.write(w, data)
            os.close(w)
            self.vmm("check", file, f"--key={option}={r}", pass_fds=[r])
            os.close(r)
        with open(self.key, "rb") as f:
            self.vmm("check", file, f"--key=key-fd={f.fileno()}", pass_fds=[f.fileno()])
        self.refused("Bad file descriptor", "check", file, "--key=key-fd=77")

    def asked(self, answers, *args):
        """Runs a command that asks on its terminal; its exit status, and what the terminal showed."""
        pid, tty = pty.fork()
        if not pid:
            os.execve(VMM, [VMM, *args], self.env)
        seen, answers = b"", list(answers)
        while True:
            ready = select.select([tty], [], [], DEADLINE)[0]
            try:
                data = os.read(tty, 4096) if ready else b""
            except OSError:
                data = b""
            if not data:
                break
            seen += data
            if answers and seen.endswith((b"passphrase: ", b"once more: ")):
                os.write(tty, answers.pop(0) + b"\n")
        os.close(tty)
        self.assertEqual(answers, [])
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()

    def test_terminal(self):
        self.start("a", f"iters=0 {WORK}")
        file = self.path("x.vmsnap")
        save = ["snapshot", "a", "-o", file, "--encrypt", "passphrase"]
        status, seen = self.asked([b"one", b"two"], *save)
        self.assertEqual(status, 1)
        self.assertIn("the passphrases differ", seen)
        status, seen = self.asked([b"hush hush", b"hush hush"], *save)
        self.assertEqual(status, 0, seen)
        self.assertNotIn("hush", seen)
        status, seen = self.asked([b"hush hush"], "check", file, "--key", "passphrase")
        self.assertEqual(status, 0, seen)
        status, seen = self.asked([b"hush hash"], "check", file, "--key", "passphrase")
        self.assertEqual(status, 1, seen)
        self.assertNotIn("hash", seen)

    # --- what stays behind ---

    def needles(self, file, key=None):
        """Everything secret about a file."""
        with open(file, "rb") as f:
            header = f.read(128)
        keys = key or snap_reader.Keys(master=self.master)
        file_keys = snap_reader.FileKeys(keys, header)
        return {"master key": self.master, "AES key": file_keys.gcm.keys[0] + file_keys.gcm.keys[1],
                "last round key": file_keys.gcm.keys[14], "HMAC key": file_keys.mac,
                "private key": self.seed, "its hash": hashlib.sha512(self.seed).digest()[32:],
                "its hexadecimal digits": self.seed.hex().encode(),
                "passphrase": b"a gramme is better"}

    def key_pipe(self, data):
        r, w = os.pipe()
        os.write(w, data)
        os.close(w)
        return r

    def test_no_key_stays_in_the_vm(self):
        vm = self.start("a", f"iters=0 {MUCH}").reach(4000)
        r, w = os.pipe()
        fds = [w, self.key_pipe(self.master), self.key_pipe(self.seed)]
        with vm.control() as c:
            number = c.request("snapshot", {"encrypt": {}, "sign": True}, fds)
            for fd in fds:
                os.close(fd)
            head = os.read(r, 4096)
            path = sealing.write(self.path("x.vmsnap"), head)
            secrets = self.needles(path)
            # It stands still in the middle, as nobody reads: now they are there, and are found.
            self.assertLessEqual({"master key", "AES key", "private key"}, find(vm.pid, secrets))
            with open(path, "ab") as f:
                while data := os.read(r, 65536):
                    f.write(data)
            os.close(r)
            self.assertIn("result", c.answer(number))
        self.assertEqual(find(vm.pid, secrets), set())
        self.vmm("check", path, f"--key=key={self.key}", "--verify-key", self.public)
        with open(path, "rb") as f:
            data = f.read()
        self.assertEqual([n for n, s in secrets.items() if s in data], [])
        vm.advances()

    def test_nor_in_a_core_dump(self):
        """Of a VM that was saved and of one that was restored: everything that a core dump can have."""
        file = self.path("x.vmsnap")
        for name in ("a", "b"):
            env = self.env
            self.env = dict(env, ASAN_OPTIONS=env["ASAN_OPTIONS"] + ":handle_abort=0:disable_coredump=0")
            if name == "a":
                vm = self.start("a", f"iters=0 {WORK}").reach(1000)
            else:
                vm = self.restore("b", file, f"--key=key={self.key}").advances()
            self.env = env
            self.snapshot(vm, "x.vmsnap", f"--encrypt=key={self.key}", "--sign", self.private)
            secrets = self.needles(file)
            core = self.core_of(vm)
            self.addCleanup(lambda path=core: os.path.exists(path) and os.unlink(path))
            with open(core, "rb") as f:
                data = f.read()
            self.assertEqual(data[:4], b"\x7fELF")
            self.assertGreater(len(data), 100000)
            self.assertEqual([n for n, s in secrets.items() if s in data], [], name)
            os.unlink(core)

    def core_of(self, vm):
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as f:
            pattern = f.read().strip()
        if pattern.startswith("|") or "/" in pattern or "%" in pattern.replace("%p", ""):
            self.skipTest(f"core dumps go elsewhere: {pattern}")
        cwd = os.readlink(f"/proc/{vm.pid}/cwd")
        before = set(os.listdir(cwd))
        subprocess.run(["prlimit", f"--pid={vm.pid}", "--core=unlimited"], check=True)
        vm.process.send_signal(signal.SIGABRT)
        self.assertLess(vm.wait(), 0)
        made = [n for n in set(os.listdir(cwd)) - before if n.startswith(pattern.split("%")[0])]
        if not made:
            self.skipTest("no core dump was made")
        return os.path.join(cwd, made[0])

    def test_nor_of_one_that_failed(self):
        vm = self.start("a", f"iters=0 {MUCH}").reach(4000)
        r, w = os.pipe()
        fds = [w, self.key_pipe(self.master), self.key_pipe(self.seed)]
        with vm.control() as c:
            number = c.request("snapshot", {"encrypt": {}, "sign": True}, fds)
            for fd in fds:
                os.close(fd)
            secrets = self.needles(sealing.write(self.path("x"), os.read(r, 4096)))
            os.close(r)
            self.assertIn("error", c.answer(number))
        self.assertEqual(find(vm.pid, secrets), set())
        vm.advances()

    def test_nor_where_it_was_restored(self):
        vm = self.start("a", f"iters=0 {WORK}")
        for seal in (f"key={self.key}", f"passphrase-file={self.passphrase}"):
            file = self.snapshot(vm, "x.vmsnap", f"--encrypt={seal}")
            keys = snap_reader.Keys(passphrase=b"a gramme is better") if "pass" in seal else None
            secrets = self.needles(file, keys)
            for more in ([], ["--lazy"]):
                copy = self.restore("b", file, f"--key={seal}", *more)

                def loaded(at=copy):
                    with at.control() as c:
                        c.receive()
                        return not c.call("status")["result"].get("loading")
                wait_for("all of its memory", loaded)
                self.assertEqual(find(copy.pid, secrets), set(), more)
                copy.advances()
                copy.kill()

    def test_command_lines_have_no_keys(self):
        """The command's own, while it waits for somebody to read the file."""
        self.start("a", f"iters=0 {WORK}")
        r, w = os.pipe()
        with subprocess.Popen([VMM, "snapshot", "a", "-o", "-", "--encrypt",
                               f"passphrase-file={self.passphrase}", "--sign", self.private],
                              stdout=w, env=self.env) as p:
            os.close(w)
            os.read(r, 128)
            for name in ("cmdline", "environ"):
                with open(f"/proc/{p.pid}/{name}", "rb") as f:
                    data = f.read()
                self.assertNotIn(b"gramme", data)
                self.assertNotIn(self.seed, data)
            while os.read(r, 65536):
                pass
            os.close(r)

    # --- the control socket ---

    def test_keys_over_the_socket(self):
        vm = self.start("a", f"iters=0 {WORK}")
        salt = "00" * 16
        empty_r, empty_w = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY)
        with vm.control() as c, open(self.path("x"), "wb") as out:
            def refused(params, *fds):
                answer = c.call("snapshot", params, [out.fileno(), *fds])
                self.assertEqual(answer["error"]["code"], -32602, answer)
            refused({"encrypt": {}})
            refused({"encrypt": True}, self.key_pipe(self.master))
            refused({"sign": True})
            refused({"encrypt": {}}, self.key_pipe(bytes(31)))
            refused({"encrypt": {}}, empty_r)  # nobody waits for it
            refused({"encrypt": {}}, null)
            refused({"encrypt": {}, "sign": True}, self.key_pipe(self.master))
            for scrypt in ({}, {"log_n": 17, "r": 8, "p": 1}, {"log_n": 17, "r": 8, "p": 0, "salt": salt},
                           {"log_n": 17, "r": 8, "p": 1, "salt": salt[1:]},
                           {"log_n": 17, "r": 8, "p": 1, "salt": salt[:-1] + "g"},
                           {"log_n": 40, "r": 8, "p": 1, "salt": salt},
                           {"log_n": 2**40, "r": 8, "p": 1, "salt": salt}):
                refused({"encrypt": {"scrypt": scrypt}}, self.key_pipe(self.master))
            self.assertEqual(c.call("status")["result"]["state"], "running")
        for fd in (empty_r, empty_w, null):
            os.close(fd)
        vm.advances()


if __name__ == "__main__":
    main()
