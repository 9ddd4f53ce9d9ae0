# SPDX-License-Identifier: Apache-2.0
"""This VMM as a contestant. What the build at hand does not have raises NotBuilt."""

import contextlib
import functools
import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path

from contestant import Contestant, Saved
from proc import (DEADLINE, Failed, NotBuilt, Process, children_cpu, command, cpu_seconds,
                  wait_for)


@functools.cache
def options_of(program, name):
    """The long options that a command's --help lists; none where there is no such command."""
    p = subprocess.run([program, name, "--help"], capture_output=True, text=True, check=False)
    return frozenset(re.findall(r"--[a-z][a-z-]*", p.stdout)) if p.returncode == 0 else None


def is_raw(file):
    """Whether the required feature raw is set (formats/snapshot.md): then the file is mapped."""
    with open(file, "rb") as f:
        return bool(f.read(32)[24] & 2)


class Vmm(Contestant):
    name = "vmm"
    low = 0xd0000000  # END_ADDR_BEFORE_32BITS of its layouts
    suffix = ".vmsnap"

    def __init__(self, folder, kernel, program):
        super().__init__(folder, kernel)
        self.program = program
        self.socket = None
        self.runtime = self.folder / "run"
        self.environ = dict(os.environ, VMM_RUNTIME_DIR=str(self.runtime))

    def needs(self, name, *words):
        known = options_of(self.program, name)
        if known is None:
            raise NotBuilt(f"vmm {name}")
        for word in words:
            if str(word).startswith("--") and word not in known:
                raise NotBuilt(f"vmm {name} {word}")

    def call(self, name, *words):
        self.needs(name, *words)
        return command([self.program, name, *words], self.environ)

    def spawn(self, name, *words):
        self.needs(name, *words)
        self.running = Process([self.program, name, *words], self.folder, self.environ)

    def start_boot(self):
        (self.runtime / "guest.sock").unlink(missing_ok=True)
        self.private = None
        self.spawn("run", "--name", "guest", "--kernel", self.kernel, "--memory",
                   f"{self.memory >> 20}M", "--console", "none", "--allow-emulated")

    def start_restore(self, file, *how):
        (self.runtime / "guest.sock").unlink(missing_ok=True)
        self.private = file if is_raw(file) else None
        self.spawn("restore", file, "--console", "none", *how)

    def close(self):
        super().close()
        if self.socket:
            self.socket.close()
        self.socket = None
        (self.runtime / "guest.sock").unlink(missing_ok=True)

    def pause(self):
        self.call("pause", "guest")

    def go(self):
        self.call("resume", "guest")

    def save(self, file, *how):
        """The guest is paused, or goes on afterwards."""
        cpu, start = cpu_seconds(self.running.pid) + children_cpu(), time.monotonic()
        self.call("snapshot", "guest", "-o", file, *how)
        seconds = time.monotonic() - start
        return Saved(seconds, cpu_seconds(self.running.pid) + children_cpu() - cpu, file)

    def save_to_restore(self, file, *how):
        """Returns where the guest's work stood."""
        self.pause()
        counter = self.guest.counter()
        self.save(file, *how)
        return counter

    def resumer(self, how):
        """What lets it go on: a message at its socket, or the command."""
        if how == "command":
            return self.go
        s = self.socket = socket.socket(socket.AF_UNIX)
        s.connect(str(self.runtime / "guest.sock"))
        return lambda: s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"resume"}\n')

    def paused(self):
        """It waits, restored, for `vmm resume`."""
        def answers():
            self.running.alive()
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as s:
                s.connect(str(self.runtime / "guest.sock"))
                s.settimeout(DEADLINE)
                s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"status"}\n')
                for line in s.makefile("rb"):
                    answer = json.loads(line)
                    if answer.get("id") == 1:
                        return answer.get("result", {}).get("state") == "paused"
            return False
        wait_for("the restored guest", answers)

    def record_working_set(self, file):
        """Waits until what a lazy restore touched lies beside @file."""
        beside = Path(f"{file}.ws")
        with contextlib.suppress(Failed):
            wait_for("the working set", beside.exists, 5)
        if not beside.exists():
            self.call("stop", "guest", "--force")
            with contextlib.suppress(Failed):
                wait_for("the working set", beside.exists, 5)
        self.must(beside.exists(), f"no working set was recorded: {beside.name}")
