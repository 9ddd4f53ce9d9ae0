# SPDX-License-Identifier: Apache-2.0
"""The virtual machine monitors that bench/run compares, behind one interface.

A contestant boots the test guest, saves it stopped and restores it. Times are of the monotonic
clock, CPU seconds are those of every process that took part, memory is what /proc tells.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

DEADLINE = 120
QEMU_BACKPORT = Path.home() / ".cache/vmm/qemu-x86_64/usr"
SLOWEST_POLL = 0.0005
CPUCLOCK_SCHED = 2  # linux/posix-timers.h: the CPU time of a process as a clock


class Failed(Exception):
    """A contestant did not do what it should; the text says what."""


def wait_for(what, condition):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(SLOWEST_POLL)
    raise Failed(f"waited in vain for {what}")


def cpu_seconds(pid):
    """Of a process, threads that ended included, and of its children that ended."""
    own = time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return own + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def children_cpu():
    t = os.times()
    return t.children_user + t.children_system


def memory_beyond_guest(pid):
    """RssAnon and RssShmem but for the mapping of guest RAM, in bytes."""
    total, guest = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            guest = "/memfd:guest-ram" in line or "/memfd:memory-backend-memfd" in line
            shared_file = "/memfd:" in line or "/dev/shm" in line or "/dev/zero" in line
        elif not guest:
            key, _, value = line.partition(":")
            if key == "Anonymous" or (key == "Rss" and shared_file):
                total += int(value.split()[0]) * 1024
    return total


class Process:
    def __init__(self, argv, folder, env=None):
        self.log = Path(folder) / "stderr"
        with open(self.log, "wb") as err:
            self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=err, env=env)
        self.pid = self.process.pid

    def alive(self):
        if self.process.poll() is not None:
            raise Failed(self.log.read_text(errors="replace").strip() or "ended")
        return True

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Contestant:
    """@name: in reports. @folder: where its sockets, logs and files go."""

    suffix = ""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.console = self.folder / "console"
        self.file = self.folder / f"saved{self.suffix}"
        self.running = None

    def close(self):
        if self.running:
            self.running.kill()
        self.running = None

    def clear(self):
        """What an earlier round left must not look like what this one did."""
        for file in (self.console, self.file):
            file.unlink(missing_ok=True)

    def said(self, text):
        self.running.alive()
        with contextlib.suppress(FileNotFoundError):
            return text in self.console.read_bytes()
        return False

    def first_instruction(self, kernel, memory):
        """Seconds from the start of the process to its end, which the guest's first instructions
        ask for: no less than what a guest waits for its first instruction."""
        start = time.monotonic()
        status = subprocess.run([str(a) for a in self.first_argv(kernel, memory)], check=False,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, env=self.env(), timeout=DEADLINE)
        if status.returncode != 1:  # isa-debug-exit of 0
            raise Failed(status.stderr.decode(errors="replace"))
        return time.monotonic() - start

    def env(self):
        return None


class Vmm(Contestant):
    suffix = ".vmsnap"
    name = "vmm"

    def __init__(self, folder, build):
        super().__init__(folder)
        self.program = Path(build) / "src/vmm/vmm"

    def env(self):
        return dict(os.environ, VMM_RUNTIME_DIR=str(self.folder / "run"))

    def first_argv(self, kernel, memory):
        return [self.program, "run", "-n", "first", "-k", kernel, "-m", memory, "--console", "none",
                "--debug-exit", "--allow-emulated"]

    def boot(self, kernel, memory, cmdline):
        self.running = Process(
            [self.program, "run", "-n", "guest", "-k", kernel, "-m", memory, "-c", cmdline,
             "--console", f"file:{self.console}", "--allow-emulated"], self.folder, self.env())

    def command(self, *words):
        p = subprocess.run([str(w) for w in (self.program, *words)], env=self.env(), check=False,
                           stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE)
        if p.returncode:
            raise Failed(p.stderr.decode(errors="replace").strip())

    def stop(self):
        self.command("pause", "guest")

    def save(self):
        cpu = cpu_seconds(self.running.pid) + children_cpu()
        start = time.monotonic()
        self.command("snapshot", "guest", "-o", self.file)
        took = time.monotonic() - start
        return took, cpu_seconds(self.running.pid) + children_cpu() - cpu

    def restore(self):
        """From a paused save: resumed by the command line's default, so running at its end."""
        (self.folder / "run/guest.sock").unlink(missing_ok=True)
        start = time.monotonic()
        self.running = Process([self.program, "restore", self.file, "--console", "none"],
                               self.folder, self.env())

        def answers():
            self.running.alive()
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as s:
                s.connect(str(self.folder / "run/guest.sock"))
                s.settimeout(DEADLINE)
                s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"status"}\n')
                for line in s.makefile("rb"):
                    answer = json.loads(line)
                    if answer.get("id") == 1:
                        return answer.get("result", {}).get("state") == "running"
            return False
        wait_for("the restored guest", answers)
        took = time.monotonic() - start
        return took, cpu_seconds(self.running.pid)


class Qemu(Contestant):
    """QEMU's microvm, the machine that starts fastest. @how: how it saves."""

    HOW = {"raw": ("exec:cat > {}", "exec:cat {}"),
           "zstd -1": ("exec:zstd -q -1 -T2 > {}", "exec:zstd -q -dc {}"),
           "mapped-ram": ("file:{}", "file:{}")}

    def __init__(self, folder, program, label, how):
        super().__init__(folder)
        self.program, self.how = program, how
        self.name = f"{label}, {how}"
        self.qmp = None

    def argv(self, kernel, memory):
        return [*self.program, "-M", "microvm,acpi=off", "-accel", "kvm", "-cpu",
                "host,-arch-capabilities", "-object",
                f"memory-backend-memfd,id=ram,size={memory}", "-machine", "memory-backend=ram",
                "-m", memory, "-kernel", kernel, "-nodefaults", "-no-user-config", "-display",
                "none", "-no-reboot"]

    def first_argv(self, kernel, memory):
        return [*self.argv(kernel, memory), "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]

    def boot(self, kernel, memory, cmdline, *more):
        self.kernel, self.memory, self.cmdline = kernel, memory, cmdline
        path = self.folder / "qmp"
        path.unlink(missing_ok=True)
        self.running = Process([*self.argv(kernel, memory), "-append", cmdline, "-serial",
                                f"file:{self.console}", "-qmp",
                                f"unix:{path},server=on,wait=off", *more], self.folder)

        def connected():
            self.running.alive()
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(str(path))
                return s
            except OSError:
                s.close()
                return None
        s = wait_for("QMP", connected)
        s.settimeout(DEADLINE)
        self.qmp = s.makefile("rwb")
        self.qmp.readline()
        self.ask("qmp_capabilities")

    def close(self):
        if self.qmp:
            self.qmp.close()
        self.qmp = None
        super().close()

    def ask(self, command, **arguments):
        self.qmp.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        self.qmp.flush()
        while True:
            line = self.qmp.readline()
            if not line:
                raise Failed(f"{command}: QEMU ended")
            answer = json.loads(line)
            if "error" in answer:
                raise Failed(answer["error"]["desc"])
            if "return" in answer:
                return answer["return"]

    def capabilities(self):
        if self.how == "mapped-ram":
            self.ask("migrate-set-capabilities", capabilities=[
                {"capability": c, "state": True} for c in ("mapped-ram", "multifd")])

    def stop(self):
        self.ask("stop")

    def migrated(self):
        status = self.ask("query-migrate").get("status")
        if status == "failed":
            raise Failed("migration failed")
        return status == "completed"

    def save(self):
        self.capabilities()
        self.ask("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
        cpu, start = cpu_seconds(self.running.pid), time.monotonic()
        self.ask("migrate", uri=self.HOW[self.how][0].format(self.file))
        wait_for("the migration", self.migrated)
        return time.monotonic() - start, cpu_seconds(self.running.pid) - cpu

    def restore(self):
        start = time.monotonic()
        self.boot(self.kernel, self.memory, self.cmdline, "-incoming", "defer")
        self.capabilities()
        self.ask("migrate-incoming", uri=self.HOW[self.how][1].format(self.file))

        def arrived():
            self.running.alive()
            return self.ask("query-status")["status"] != "inmigrate"
        wait_for("the incoming migration", arrived)
        self.ask("cont")
        return time.monotonic() - start, cpu_seconds(self.running.pid)


def contestants(folder, build):
    """All that this machine has, each with a folder of its own below @folder."""
    made = []

    def add(kind, *args):
        home = Path(folder) / str(len(made))
        home.mkdir()
        made.append(kind(home, *args))

    add(Vmm, build)
    seen = []
    if shutil.which("qemu-system-x86_64"):
        seen.append(["qemu-system-x86_64"])
    backport = QEMU_BACKPORT / "bin/qemu-system-x86_64"
    if backport.exists():
        seen.append([str(backport), "-L", str(QEMU_BACKPORT / "share/qemu")])
    for program in seen:
        text = subprocess.run([*program, "--version"], capture_output=True, text=True, check=True)
        version = re.search(r"version (\d+)\.(\d+)", text.stdout)
        label = "QEMU " + ".".join(version.groups())
        add(Qemu, program, label, "raw")
        add(Qemu, program, label, "zstd -1")
        if int(version[1]) >= 10:
            add(Qemu, program, label, "mapped-ram")
    return made
