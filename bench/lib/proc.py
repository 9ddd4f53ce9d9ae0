# SPDX-License-Identifier: Apache-2.0
"""Processes: started, waited for, and what they cost."""

import atexit
import contextlib
import mmap
import os
import subprocess
import time
from pathlib import Path

DEADLINE = 120
POLL = 0.00005
POLL_MAX = 0.005
MADV_POPULATE_WRITE = 23  # linux/mman.h
CPUCLOCK_SCHED = 2  # linux/posix-timers.h: the CPU time of a process as a clock


class Failed(Exception):
    """A contestant did not do what it should; the text says what."""


class NotBuilt(Exception):
    """A capability that this build of vmm does not have; the text names it."""


def wait_for(what, condition, deadline=DEADLINE):
    """Looks the more seldom the longer it takes, as looking takes time from the contestant: half a
    percent too late at worst."""
    start = now = time.monotonic()
    while now < start + deadline:
        value = condition()
        if value:
            return value
        time.sleep(min(max(POLL, (now - start) / 200), POLL_MAX))
        now = time.monotonic()
    raise Failed(f"waited in vain for {what}")


def cpu_seconds(pid):
    """Of a process, threads that ended included, and of its children that ended."""
    own = time.clock_gettime(~pid << 3 | CPUCLOCK_SCHED)
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return own + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def children_cpu():
    """Of this process' children that ended."""
    t = os.times()
    return t.children_user + t.children_system


def proportional(pid):
    """Memory of a process in bytes, shared pages by their share: Pss."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    return 0


def touch(gib):
    """Memory that a machine has not used lately costs several times more at its first use: use it,
    so that every sample finds the same. In huge pages, as that is done soonest."""
    if not gib:
        return
    with mmap.mmap(-1, gib << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as m:
        with contextlib.suppress(OSError):  # a kernel without
            m.madvise(mmap.MADV_HUGEPAGE)
        try:
            m.madvise(MADV_POPULATE_WRITE)
        except OSError:  # Linux before 5.14
            for at in range(0, len(m), mmap.PAGESIZE):
                m[at] = 1


def last_line(text, otherwise):
    lines = text.strip().splitlines()
    return lines[-1] if lines else otherwise


running = set()


def end_all():
    """Whatever happened: a guest that nobody ends would spin for ever."""
    for process in list(running):
        process.kill()


atexit.register(end_all)


class Process:
    def __init__(self, argv, folder, env=None, fds=()):
        self.log = Path(folder) / "stderr"
        with open(self.log, "wb") as err:
            self.started = time.monotonic()
            self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=err, env=env,
                                            close_fds=bool(fds), pass_fds=fds)
        self.pid = self.process.pid
        running.add(self)

    def alive(self):
        if self.process.poll() is not None:
            raise Failed(last_line(self.log.read_text(errors="replace"), "ended"))
        return True

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        running.discard(self)


def command(argv, env=None):
    """Runs to its end and returns what it prints."""
    p = subprocess.run([str(a) for a in argv], env=env, check=False, stdin=subprocess.DEVNULL,
                       capture_output=True, timeout=DEADLINE)
    if p.returncode:
        raise Failed(last_line(p.stderr.decode(errors="replace"), f"status {p.returncode}"))
    return p.stdout.decode(errors="replace")


def memory_beyond_guest(pid, ram):
    """Of a process in bytes: anonymous and shared memory but for guest RAM."""
    total, guest, shared = 0, False, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        word = line.split()[0]
        if not word.endswith(":"):
            start = int(word.split("-")[0], 16)
            guest = "/memfd:guest-ram" in line or start == ram.base
            shared = "/memfd:" in line or "/dev/zero" in line
        elif not guest and (word == "Anonymous:" or (word == "Rss:" and shared)):
            total += int(line.split()[1]) << 10
    return total
