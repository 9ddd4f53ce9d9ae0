"""Files carried into an emulated host, as one tar archive.

GNU tar because it keeps holes, modes and nanoseconds; each file is appended
under the name it has in the host, so nothing is copied to a staging folder.
"""

import filecmp
import os
import re
import subprocess
from pathlib import Path

from debian import NATIVE_ARCH

# e_machine of an ELF header.
ELF_MACHINES = {62: "x86_64", 183: "aarch64"}


class PayloadError(Exception):
    """A file cannot be carried into the host; the text says why."""


class Payload:
    def __init__(self, path):
        self.path = path
        self.taken = set()
        # An empty archive to append to: two blocks of zeros.
        Path(path).write_bytes(bytes(1024))

    def add(self, source, dest):
        """Carry the file or folder @source to the absolute path @dest."""
        source = os.path.realpath(source)
        if not os.path.exists(source):
            raise PayloadError(f"{source}: no such file")
        dest = dest.lstrip("/")
        if not dest:
            raise PayloadError(f"{source}: cannot replace the host's /")
        self.taken.add(dest)
        to = re.sub(r"([\\&|])", r"\\\1", dest)
        if os.path.isdir(source):
            where, what, rename = source, ".", rf"s|^\.|{to}|S"
        else:
            where, what = os.path.split(source)
            rename = f"s|.*|{to}|S"
        self._tar("-C", where, "--transform", rename, "--", what)

    def add_text(self, text, dest, mode):
        """Carry a file made here, written beside the archive first."""
        path = Path(self.path).with_suffix(".text")
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        self.add(path, dest)

    def _tar(self, *arguments):
        done = subprocess.run(
            ["tar", "-r", "--format=posix", "--sparse", "-f", self.path,
             "--owner=0", "--group=0", *arguments],
            stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise PayloadError(done.stderr.strip().splitlines()[0])

    def add_libraries(self, program, library_folder, known):
        """Carry the shared libraries that @program, if it is one, needs.

        @known: the host's own folder of libraries; one that is there with
        the same contents stays home.
        """
        for source in shared_libraries(program):
            name = os.path.basename(source)
            dest = f"{library_folder}/{name}"
            own = known / name
            if dest.lstrip("/") in self.taken or (
                    own.exists() and filecmp.cmp(source, own, shallow=False)):
                continue
            self.add(source, dest)


def program_arch(path):
    """Architecture of the ELF file @path; None when it is something else."""
    with open(path, "rb") as file:
        head = file.read(20)
    if head[:4] != b"\x7fELF":
        return None
    return ELF_MACHINES.get(int.from_bytes(head[18:20], "little"), "unknown")


def shared_libraries(program):
    """Paths of the libraries the dynamic linker would load for @program."""
    if program_arch(program) != NATIVE_ARCH:
        return _foreign_libraries(program)
    done = subprocess.run(["ldd", program], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    # A static program.
    if done.returncode:
        return []
    missing = re.search(r"^\s*(\S+) => not found", done.stdout, re.M)
    if missing:
        raise PayloadError(f"{program}: needs {missing[1]}, not found here")
    return re.findall(r"=> (/\S+) \(", done.stdout)


def _foreign_libraries(program):
    """The same from Debian's folder for that architecture. What is not there
    has to do with the host's, which are those this project needs."""
    folder = Path(f"/usr/lib/{program_arch(program)}-linux-gnu")
    found, left = {}, [program]
    while left:
        done = subprocess.run(["readelf", "-dW", left.pop()], check=False,
                              stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.DEVNULL)
        for name in re.findall(r"\(NEEDED\).*\[(.+)\]", done.stdout):
            if name not in found and (folder / name).exists():
                found[name] = str(folder / name)
                left.append(found[name])
    return list(found.values())
