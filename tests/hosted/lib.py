"""What hosted tests share; for Python on the machine and in the emulated host.

Only the standard library: the emulated host has nothing else.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent


class GuestError(Exception):
    """The guest did not answer, or answered with an error."""


class GuestAgent:
    """Client of guest-agent, over a console, a virtio port or TCP.

    The channel may carry other text, such as kernel messages and answers to
    a client before this one: tags tell ours apart, the rest is kept in .log.
    """

    def __init__(self, connection):
        self.connection = connection
        self.pending = b""
        self.log = []
        # Not from 1: a client before us may have left answers in the channel.
        self.tag = int.from_bytes(os.urandom(3), "big") << 8

    @classmethod
    def connect(cls, address, timeout=30):
        """@address: path of a Unix socket, or (host, port) for TCP.

        Tries until something listens there.
        """
        deadline = time.monotonic() + timeout
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        while True:
            connection = socket.socket(family, socket.SOCK_STREAM)
            connection.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                connection.connect(address)
                return cls(connection)
            except OSError as error:
                connection.close()
                if time.monotonic() >= deadline:
                    raise GuestError(f"{address}: {error}") from error
                time.sleep(0.05)

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _line(self, deadline):
        while b"\n" not in self.pending:
            left = deadline - time.monotonic()
            if left <= 0:
                raise GuestError(f"no answer; last lines: {self.log[-5:]}")
            self.connection.settimeout(left)
            try:
                data = self.connection.recv(65536)
            except socket.timeout:
                continue
            if not data:
                raise GuestError("the channel was closed")
            self.pending += data
        line, _, self.pending = self.pending.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")

    def wait_ready(self, timeout=120):
        """Facts of the guest, when this channel is its console."""
        deadline = time.monotonic() + timeout
        while True:
            line = self._line(deadline)
            self.log.append(line)
            facts = ready_facts(line)
            if facts is not None:
                return facts

    def cmd(self, *words, timeout=30):
        """Answer to one command as a dict; GuestError when it is an error."""
        deadline = time.monotonic() + timeout
        self.tag += 1
        text = f"#{self.tag} {' '.join(map(str, words))}\n"
        self.connection.settimeout(timeout)
        self.connection.sendall(text.encode())
        mark = f'{{"tag":{self.tag},'
        while True:
            line = self._line(deadline)
            start = line.find(mark)
            if start < 0:
                self.log.append(line)
                continue
            answer = json.loads(line[start:])
            if "error" in answer:
                raise GuestError(f"{words[0]}: {answer['error']}")
            return answer

    def status(self, timeout=30):
        return self.cmd("status", timeout=timeout)

    def verify(self, timeout=60):
        return self.cmd("verify", timeout=timeout)

    def dmesg(self, timeout=60):
        return self.cmd("dmesg", timeout=timeout)["dmesg"]

    def check(self, timeout=60):
        """Everything the guest can vouch for; AssertionError when it cannot.

        Returns the status. All CPUs must tick and the sequence must go on
        before @timeout.
        """
        before = self.status(timeout)
        deadline = time.monotonic() + timeout
        while True:
            time.sleep(0.2)
            after = self.status(timeout)
            still = [cpu for cpu, (old, new) in enumerate(zip(before["ticks"], after["ticks"]))
                     if new <= old]
            if not still and after["seq"] > before["seq"]:
                break
            # However slow the machine: one that works gets there.
            assert time.monotonic() < deadline, f"CPUs {still} stand still: {before} {after}"
        assert after["gaps"] == 0, after
        assert after["mono_back"] == 0, after
        assert after["files_bad"] == 0, after
        assert after["write_errors"] == 0, after
        verified = self.verify(timeout)
        assert verified["bad"] == 0 and verified["ram_bad"] == 0, verified
        return after


def ready_facts(line):
    """The facts in a line with GUEST READY, else None."""
    _, found, facts = line.partition("GUEST READY ")
    return json.loads(facts) if found else None


def wait_until(what, condition, timeout=60, every=0.05):
    """First true value of condition(); TimeoutError names @what."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {timeout} s")
        time.sleep(every)


def wait_ready_file(path, process=None, timeout=120):
    """Facts of a guest whose console is written to the file @path.

    @process: the Process it runs in, to notice its end at once.
    """
    def look():
        with contextlib.suppress(FileNotFoundError), \
                open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                # The last line may not be whole yet.
                if line.endswith("\n") and "GUEST READY" in line:
                    return ready_facts(line)
        if process and process.popen.poll() is not None:
            raise GuestError(f"ended before GUEST READY: {process.last_words()}")
        return None
    return wait_until("GUEST READY", look, timeout)


class Process:
    """A program in the background; its output goes to a file.

    Use with `with`, so that it ends with the test.
    """

    def __init__(self, argv, log):
        self.log = log
        with open(log, "ab") as output:
            self.popen = subprocess.Popen(
                list(map(str, argv)), stdin=subprocess.DEVNULL,
                stdout=output, stderr=output)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.popen.poll() is None:
            self.kill()

    def kill(self):
        """As kill -9 does it: the process cannot tidy up."""
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()

    def last_words(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            words = "".join(file.readlines()[-10:])
        return f"{words}(exit status {self.popen.poll()})"

    def wait(self, timeout=60):
        """Exit status; subprocess.TimeoutExpired when it goes on."""
        return self.popen.wait(timeout)


def run(*argv, timeout=120, status=0):
    """Output of a command; AssertionError when its exit status is another."""
    done = subprocess.run(list(map(str, argv)), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=timeout, check=False)
    assert done.returncode == status, \
        f"{argv}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def in_host(command, *options, status=0, timeout=900):
    """Output of a command in an emulated host, when called on the machine."""
    return run(TOP / "scripts/testhost", *options, "--", command,
               status=status, timeout=timeout)


@contextlib.contextmanager
def multiqueue_tap(name):
    """A TAP interface of several queues, which a device with one cannot use."""
    tunsetiff, flags = 0x400454CA, 0x2 | 0x1000 | 0x100  # IFF_TAP, IFF_NO_PI, IFF_MULTI_QUEUE
    with open("/dev/net/tun", "r+b", buffering=0) as tun:
        fcntl.ioctl(tun, tunsetiff, struct.pack("16sH22x", name.encode(), flags))
        yield


def make_tap(name, address):
    """A TAP interface with @address (ADDRESS/LENGTH), as root."""
    run("tunctl", "-t", name)
    run("ip", "address", "add", address, "dev", name)
    run("ip", "link", "set", name, "up")
