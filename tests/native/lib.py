# SPDX-License-Identifier: Apache-2.0
"""What the native tests share: virtual machines that run tests/guest/ring3 on this machine's KVM.

Every test is a program: test_X.py BUILD [unittest arguments]. Without a usable /dev/kvm it says so
and ends with status 77. VMM_TEST_LONG=1 runs the full repetitions. Nothing here measures time: what
is waited for has a deadline only so that a hang becomes a failure.
"""

import contextlib
import hashlib
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
VMM = f"{BUILD}/src/vmm/vmm"
SNAPINSPECT = f"{BUILD}/tools/snapinspect/snapinspect"
RING3 = f"{BUILD}/tests/guest/ring3"
FAULT = f"{BUILD}/tests/fault.so"
INTRUDE = f"{BUILD}/tests/intrude"
LONG = os.environ.get("VMM_TEST_LONG") == "1"
SEED = 20
DEADLINE = 60
PAGE = 4096
GENERATION = 0xFF000  # the page of the identifier that each restore makes anew
IMAGE = 2 << 20  # where tests/guest/ring3.ld puts the image
WORK = "span=0x100000 from=0x1000000 seed=7"  # 1 MiB at 16 MiB

# struct guest_progress of tests/guest/work.h
PROGRESS_MAGIC = 0x305453455547334B
PROGRESS = struct.Struct("<16Q")
PROGRESS_NAMES = ("magic state iterations checksum rng busy tsc_start tsc_now gap_ticks gaps "
                  "gap_sum gap_max interrupts span_bytes span_start requests").split()
DONE = 3


def environment(**more):
    """The leak checker forks and traces its parent, which the sandbox does not allow; and faults
    are injected by a preloaded library, in front of the sanitizer's."""
    env = dict(os.environ, LC_ALL="C")
    given = env.get("ASAN_OPTIONS")
    env["ASAN_OPTIONS"] = (given + ":" if given else "") + \
        "detect_leaks=0:verify_asan_link_order=0"
    env.update(more)
    return env


def sanitized():
    """Whether the programs were built with a sanitizer, which has memory of its own."""
    with open(VMM, "rb") as f:
        return b"__asan_init" in f.read()


def wait_for(what, condition):
    end = time.monotonic() + DEADLINE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.01)


def pages_of(fd, size):
    """Digest of each page that is not all zero, by its offset; holes are not read."""
    found, zero, at = {}, bytes(PAGE), 0
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
            end = os.lseek(fd, at, os.SEEK_HOLE)
        except OSError:
            break  # nothing but a hole is left
        at -= at % PAGE
        while at < end:
            block = os.pread(fd, 1 << 20, at)
            for i in range(0, len(block), PAGE):
                page = block[i:i + PAGE]
                if page != zero:
                    found[at + i] = hashlib.sha256(page).digest()
            at += len(block)
    return found


def time_pages():
    """Where the guest keeps time: the page of struct guest_progress (TSC at start and now, gaps), and
    its stacks: in ring 0, where ring 3's registers are saved, with the TSC in one of them, and in ring 3."""
    symbols = dict(reversed(line.split()[0::2]) for line in subprocess.run(
        ["nm", "--defined-only", RING3], stdout=subprocess.PIPE, check=True,
        text=True).stdout.splitlines())
    stacks = [int(symbols[name], 16) for name in ("stacks0", "stacks3")]
    return {int(symbols["progress"], 16),
            *(at for first in stacks for at in range(first, first + 16 * PAGE, PAGE))}


class Control:
    """One connection to a control socket, JSON by JSON."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(DEADLINE)
        try:
            wait_for("room in the queue", lambda: self.connect(path))
        except OSError:
            self.socket.close()
            raise
        self.buffer = b""
        self.last_id = 0
        self.events = []

    def connect(self, path):
        with contextlib.suppress(BlockingIOError):
            self.socket.connect(path)
            return True
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data, fds=()):
        if isinstance(data, dict):
            data = json.dumps(data).encode() + b"\n"
        if fds:
            socket.send_fds(self.socket, [data], fds)
        else:
            self.socket.sendall(data)

    def receive(self):
        """The next message, or None at the end."""
        while b"\n" not in self.buffer:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def request(self, method, params=None, fds=()):
        self.last_id += 1
        message = {"jsonrpc": "2.0", "id": self.last_id, "method": method}
        if params is not None:
            message["params"] = params
        self.send(message, fds)
        return self.last_id

    def answer(self, number):
        while True:
            message = self.receive()
            if message is None:
                raise AssertionError("the connection ended before an answer")
            if "method" in message:
                self.events.append(message)
            elif message["id"] == number:
                return message

    def call(self, method, params=None, fds=()):
        return self.answer(self.request(method, params, fds))


class Vm:
    """A running VM: `vmm run` or `vmm restore` in the foreground, its files in the test's folder."""

    def __init__(self, case, name, argv, env, console):
        self.case, self.name, self.console = case, name, console
        self.before = b""  # on the console of those that it goes on from
        self.socket = f"{case.runtime}/{name}.sock"
        self.stderr_path = f"{console}.stderr"
        with open(self.stderr_path, "wb") as err:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=err,
                                            stdout=subprocess.DEVNULL, env=env)
        self.pid = self.process.pid
        self.ram_fd = self.progress_at = None
        case.addCleanup(self.kill)

    def stderr(self):
        with open(self.stderr_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def output(self):
        try:
            with open(self.console, "rb") as f:
                return f.read()
        except FileNotFoundError:
            return b""

    def running(self):
        if self.process.poll() is None:
            return True
        raise AssertionError(f"{self.name} ended: {self.process.returncode}: {self.stderr()}")

    def ready(self):
        """Waits until it answers at its socket."""
        def answers():
            self.running()
            with contextlib.suppress(OSError):
                with self.control() as c:
                    c.receive()
                    return c.call("status")["result"]["state"]
            return None
        wait_for("the control socket", answers)
        return self

    def control(self):
        return Control(self.socket)

    def ram(self):
        """Guest RAM, as the RAM stream: a descriptor of the memfd."""
        if self.ram_fd is None:
            for fd in os.listdir(f"/proc/{self.pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{self.pid}/fd/{fd}").startswith("/memfd:guest-ram"):
                        self.ram_fd = os.open(f"/proc/{self.pid}/fd/{fd}", os.O_RDONLY)
        return self.ram_fd

    def progress(self, cpu=0):
        """The guest's own account, or None before it gave one."""
        fd = self.ram()
        # Where the image of ring3 begins.
        values = PROGRESS.unpack(os.pread(fd, PROGRESS.size, IMAGE + 256 * cpu))
        p = dict(zip(PROGRESS_NAMES, values))
        return p if p["magic"] == PROGRESS_MAGIC else None

    def reach(self, iterations):
        """Waits until the guest's first CPU has done that many, or all."""
        def there():
            self.running()
            if "starts again" in self.stderr():
                raise AssertionError(f"{self.name}: {self.stderr()}")
            p = self.progress()
            return p and (p["iterations"] >= iterations or p["state"] == DONE)
        wait_for(f"iteration {iterations}", there)
        return self

    def advances(self):
        """The guest goes on: it makes progress from now on, or has finished."""
        p = self.progress()
        return self.reach(p["iterations"] + 1 if p else 1)

    def done(self):
        """The DONE lines, once all are there, without what depends on time."""
        def lines():
            # What it goes on from may have said them too, after it was saved.
            for said in (self.output(), self.before + self.output()):
                found = re.findall(rb"DONE cpu=\d+ iters=\d+ checksum=0x[0-9a-f]+(?= gaps=\d+ "
                                   rb"interrupts=\d+\n)", said)
                if len(found) == self.cpus():
                    return found
            self.running()
            return None
        return wait_for("the guest to finish", lines)

    def cpus(self):
        m = re.search(rb"cpus=(\d+)", self.case.cmdlines.get(self.name, b""))
        return int(m.group(1)) if m else 1

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.ram_fd is not None:
            os.close(self.ram_fd)
            self.ram_fd = None

    def wait(self):
        return self.process.wait(DEADLINE)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vmm-native-")
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        self.runtime = f"{self.dir}/run"
        self.env = environment(VMM_RUNTIME_DIR=self.runtime)
        self.cmdlines = {}
        self.count = 0

    def path(self, name):
        return os.path.join(self.dir, name)

    def new_image(self, name="root.img", size=1 << 20):
        """The path of a new empty image."""
        with open(self.path(name), "wb") as f:
            f.truncate(size)
        return self.path(name)

    def new_console(self, name):
        self.count += 1
        return self.path(f"{name}.{self.count}.console")

    def start(self, name, cmdline, *more, memory="32M", env=None, ready=True, program=VMM):
        console = self.new_console(name)
        self.cmdlines[name] = cmdline.encode()
        vm = Vm(self, name, [program, "run", "--name", name, "--kernel", RING3, "--cmdline", cmdline,
                             "--memory", memory, "--allow-emulated", "--console",
                             f"file:{console}", *more], env or self.env, console)
        return vm.ready() if ready else vm

    def restore(self, name, file, *more, env=None, ready=True):
        console = self.new_console(name)
        vm = Vm(self, name, [VMM, "restore", file, "--name", name, "--console",
                             f"file:{console}", *more], env or self.env, console)
        return vm.ready() if ready else vm

    def vmm(self, *args, status=0, **kw):
        """Runs a command that must end with @status: if that is a failure with one line on standard
        error and nothing else there, if it is none with nothing at all. Returns the output, of a
        failure that line."""
        kw.setdefault("env", self.env)
        kw.setdefault("stdout", subprocess.PIPE)
        p = subprocess.run([VMM, *args], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                           timeout=DEADLINE, check=False, **kw)
        if status is not None:
            self.result(p.returncode, p.stderr.decode("utf-8", "replace"), status, args)
        return p.stdout if status == 0 else p.stderr.decode("utf-8", "replace")

    def result(self, got, stderr, status, what=""):
        self.assertEqual(got, status, f"{what}: {stderr}")
        if status == 0:
            self.assertEqual(stderr, "", what)
        else:
            self.assertRegex(stderr, r"\Avmm: [^\n]+\n\Z", what)

    def snapshot(self, vm, name="x.vmsnap", *more):
        file = self.path(name)
        self.vmm("snapshot", vm.name, "-o", file, *more)
        return file

    def end(self, vm):
        """What is left in the end: DONE lines, and RAM by way of a snapshot of the halted guest."""
        lines = vm.done()
        pages = self.stored_pages(self.snapshot(vm, "end.vmsnap"))
        vm.kill()
        excepted = {*time_pages(), GENERATION}
        return lines, {at: d for at, d in pages.items() if at not in excepted}

    def stored_pages(self, file):
        """What `zstd -d` makes of a snapshot, as pages_of()."""
        plain = file + ".ram"
        subprocess.run(["zstd", "-dqf", "--sparse", file, "-o", plain], check=True)
        fd = os.open(plain, os.O_RDONLY)
        try:
            return pages_of(fd, os.fstat(fd).st_size)
        finally:
            os.close(fd)
            os.unlink(plain)

    def no_debris(self, *expected):
        """Of snapshots there are whole ones of these names in the folder, and nothing else."""
        found = sorted(n for n in os.listdir(self.dir) if ".vmsnap" in n)
        self.assertEqual(found, sorted(expected))
        for name in expected:
            subprocess.run([SNAPINSPECT, "verify", self.path(name)], check=True,
                           stdout=subprocess.DEVNULL)


def usable_kvm():
    try:
        p = subprocess.run([VMM, "host", "--json"], capture_output=True, env=environment(),
                           timeout=DEADLINE, check=False)
    except OSError as e:
        return str(e)
    return "" if p.returncode == 0 else p.stderr.decode("utf-8", "replace").strip()


def main():
    if not os.access(VMM, os.X_OK):
        sys.exit(f"{VMM}: not built (usage: {sys.argv[0]} BUILD [unittest arguments])")
    why = usable_kvm()
    if why:
        print(f"skipped: {why}")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
