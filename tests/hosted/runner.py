"""What the drivers of hosted tests share, on the machine that starts the hosts."""

import fcntl
import json
import os
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
HERE = TOP / "tests/hosted"
DID_NOT_BOOT = 76  # as in guestvm.py
# The emulation of a host hung, as testhost says: nothing that ran in it can bring that about.
STOOD_STILL = 123
LONG = bool(os.environ.get("VMM_TEST_LONG"))

# What runs in the host.
SCRIPTS = ("lib.py", "guestvm.py", "elsewhere.py", "scenario.py", "live.py", "pc.py", "raw.py", "unlike.py",
           "unlike64.py")


def into_root(*paths):
    """Files of the host's /root, as testhost's --file wants them."""
    return [f"{path}:/root/{Path(path).name}" for path in paths]


class Runner:
    """Runs scenarios with the programs of one build, in hosts of one architecture."""

    def __init__(self, build, arch, cpus=2):
        """@cpus: of each host."""
        self.build = Path(build)
        self.cpus = cpus
        self.arch = arch
        self.scripts = into_root(*(HERE / name for name in SCRIPTS))
        self.guest = self.make_guest("guest")

    def make_guest(self, folder, *options):
        """Files of a guest, made by guest-image in @folder of the build."""
        guest = self.build / folder
        guest.mkdir(exist_ok=True)
        with open(guest / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            subprocess.run([TOP / "scripts/guest-image", "--arch", self.arch, *options, guest],
                           check=True)
        return into_root(*(guest / name for name in ("vmlinuz", "initrd", "disk.img")))

    def command(self, command, files, *more):
        """Exit status of a command in a host that has @files."""
        words = [TOP / "scripts/testhost", "--arch", self.arch, "--build", self.build,
                 "--timeout", "3000" if LONG else "900", "--cpus", self.cpus]
        for file in files:
            words += ["--file", file]
        # A sandboxed process that looks for leaks when it ends is killed for that.
        command = f"export ASAN_OPTIONS=detect_leaks=0; {command}"
        for _ in range(2):
            status = subprocess.run([*map(str, (*words, *more)), "--", command],
                                    stdin=subprocess.DEVNULL, check=False).returncode
            if status != STOOD_STILL:
                break
            print("trying once more", flush=True)
        return status

    def scenario(self, steps, *more, files=None):
        """Exit status of the steps of a scenario; @files instead of those of the guest."""
        files = self.scripts + (self.guest if files is None else files)
        for _ in range(2):
            status = self.command(f"cd /root && exec python3 -B scenario.py {steps}", files, *more)
            if status != DID_NOT_BOOT:
                break
            print("trying once more", flush=True)
        return status

    def native(self, program):
        """Words that run a program of the build on this machine, whatever it was built for."""
        path = str(self.build / program)
        return [path] if self.arch == os.uname().machine else [f"qemu-{self.arch}-static", path]

    def check(self, *words):
        """Exit status and verdict of snapinspect on this machine."""
        done = subprocess.run([*self.native("tools/snapinspect/snapinspect"), "check", "--json",
                               *map(str, words)], stdout=subprocess.PIPE, text=True, check=False)
        return done.returncode, json.loads(done.stdout)
