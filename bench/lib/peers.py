# SPDX-License-Identifier: Apache-2.0
"""QEMU as a contestant: microvm, its machine that starts fastest, and its fastest ways to save.

How a guest is saved and started again:
  raw         the migration stream, straight into a file and from it
  zstd -1     through zstd with two threads
  mapped-ram  (from 9.0 on) pages at fixed places of a file, two channels
  template    RAM is a file: the device state alone is migrated (x-ignore-shared), and every start
              maps the file privately
"""

import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

from contestant import Contestant, Saved
from contents import default_path
from proc import DEADLINE, Failed, Process, cpu_seconds, wait_for

BACKPORT = default_path().parent.parent / "qemu-x86_64/usr"
CAPABILITIES = {"mapped-ram": ["mapped-ram", "multifd"], "template": ["x-ignore-shared"],
                "background": ["background-snapshot"]}
DIRECT = "dd bs=4M iflag=fullblock oflag=direct conv=fsync status=none of={}"


def flush(file):
    fd = os.open(file, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Qemu(Contestant):
    low = 0xc0000000  # microvm

    def __init__(self, folder, kernel, program, version):
        super().__init__(folder, kernel)
        self.program, self.version = program, version
        self.name = "QEMU " + ".".join(map(str, version))
        self.qmp = self.socket = self.template = None

    def capabilities(self, how):
        return CAPABILITIES.get(how, [])

    def backend(self, share):
        if not self.template:
            return f"memory-backend-ram,id=ram,size={self.memory}"
        return (f"memory-backend-file,id=ram,size={self.memory},mem-path={self.template},"
                f"share={share}")

    def start(self, *more, share="off", fds=()):
        ours, theirs = socket.socketpair()
        with theirs:
            self.running = Process(
                [*self.program, "-M", "microvm,acpi=off,pit=off,pic=off,rtc=off,isa-serial=off,"
                 "memory-backend=ram", "-accel", "kvm", "-cpu", "host,-arch-capabilities",
                 "-object", self.backend(share), "-m", f"{self.memory >> 20}M", "-kernel",
                 self.kernel, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                 "-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon",
                 "chardev=qmp,mode=control", *more], self.folder, fds=(theirs.fileno(), *fds))
        self.private = self.template
        self.socket = ours
        ours.settimeout(DEADLINE)
        self.connect()

    def connect(self):
        self.qmp = self.socket.makefile("rb")
        self.unanswered = 0
        self.send("qmp_capabilities")

    def start_boot(self):
        self.start(share="on")

    def close(self):
        for s in (self.qmp, self.socket):
            if s:
                s.close()
        self.qmp = self.socket = None
        super().close()

    def send(self, command, fds=(), **arguments):
        """Without waiting for the answer: QEMU takes commands in their order."""
        data = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        try:
            socket.send_fds(self.socket, [data], list(fds))
        except BrokenPipeError:
            self.running.process.wait(DEADLINE)
            self.running.alive()
        self.unanswered += 1

    def ask(self, command, fds=(), **arguments):
        self.send(command, fds, **arguments)
        while True:
            line = self.qmp.readline()
            if not line:
                self.running.process.wait(DEADLINE)
                self.running.alive()
            answer = json.loads(line)
            if "error" in answer:
                raise Failed(answer["error"]["desc"])
            if "return" in answer:
                self.unanswered -= 1
                if not self.unanswered:
                    return answer["return"]

    def pause(self):
        self.ask("stop")

    def go(self):
        self.ask("cont")

    def migrated(self):
        state = self.ask("query-migrate")
        if state.get("status") == "failed":
            raise Failed("saving failed" + (": " + state["error-desc"] if "error-desc" in state
                                            else ""))
        return state.get("status") == "completed"

    def set_capabilities(self, how):
        names = self.capabilities(how)
        if names:
            self.send("migrate-set-capabilities",
                      capabilities=[{"capability": name, "state": True} for name in names])

    def prepare(self, how, direct):
        self.set_capabilities(how)
        parameters = {"max-bandwidth": 1 << 40}
        if how == "mapped-ram":
            parameters.update({"multifd-channels": 2, "direct-io": direct})
        self.ask("migrate-set-parameters", **parameters)

    def target(self, file, how, direct):
        if how == "mapped-ram":
            return f"file:{file}"
        if how == "zstd -1":
            to = "| " + DIRECT.format(file) if direct else f"> {file}"
            return f"exec:zstd -q -1 -T2 {to}"
        if direct:
            return "exec:" + DIRECT.format(file)
        with open(file, "wb") as f:
            self.ask("getfd", fds=[f.fileno()], fdname="out")
        return "fd:out"

    def save(self, file, how, direct=False):
        """The guest stands still afterwards. @how: as above, or background (a live snapshot, which
        QEMU writes from write-protected memory while the guest runs)."""
        Path(file).unlink(missing_ok=True)
        self.prepare(how, direct)
        uri = self.target(file, how, direct)
        cpu, start = cpu_seconds(self.running.pid), time.monotonic()
        self.ask("migrate", uri=uri)
        wait_for("the save", self.migrated)
        if direct:
            flush(file)
        seconds = time.monotonic() - start
        return Saved(seconds, cpu_seconds(self.running.pid) - cpu, file)

    def save_to_restore(self, file, how):
        """Returns where the guest's work stood."""
        self.save(file, how)
        return self.guest.counter()

    def resumer(self, _how):
        return self.go

    def start_restore(self, file, how, *more):
        """Of a guest that was saved running: it runs when all is there."""
        if how == "zstd -1":
            self.start("-incoming", f"exec:zstd -q -dc {file}", *more)
            return
        with open(file, "rb") as f:
            if not self.capabilities(how):
                self.start("-incoming", f"fd:{f.fileno()}", *more, fds=(f.fileno(),))
                return
            uri = f"file:{file}" if how == "mapped-ram" else f"fd:{f.fileno()}"
            self.start("-incoming", "defer", *more, fds=(f.fileno(),))
            self.set_capabilities(how)
            self.send("migrate-incoming", uri=uri)

    def paused(self):
        wait_for("the restored guest",
                 lambda: self.ask("query-status")["status"] != "inmigrate")


def installed(name):
    """Commands of every QEMU here: (words, version). The smaller build of Debian starts faster."""
    small = f"{name}-microvm"
    for program, more in (
            (shutil.which(small) or shutil.which(name), []),
            (next((p for p in (BACKPORT / "bin" / small, BACKPORT / "bin" / name) if p.exists()),
                  None), ["-L", BACKPORT / "share/qemu", "-L", BACKPORT / "share/seabios"])):
        if not program:
            continue
        words = [str(program), *map(str, more)]
        p = subprocess.run([*words, "--version"], capture_output=True, text=True, check=False)
        found = re.search(r"version (\d+)\.(\d+)", p.stdout)
        if found:
            yield words, (int(found[1]), int(found[2]))
