"""One emulated host: its QEMU process and the streams that lead out of it."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

# -M, the console of its kernel, and what its kernel must be told. QEMU's
# emulated TSC fails the kernel's watchdog; marked unstable, KVM would have
# no master clock and guests no kvmclock.
MACHINES = {
    "x86_64": {
        "machine": "q35",
        "cpu": "max",
        "console": "ttyS0",
        "cmdline": "tsc=reliable clocksource=tsc",
        "libraries": "/usr/lib/x86_64-linux-gnu",
    },
    "aarch64": {
        "machine": "virt,virtualization=on,gic-version=3",
        "cpu": "max,pauth-impdef=on",
        "console": "ttyAMA0",
        "cmdline": "",
        "libraries": "/usr/lib/aarch64-linux-gnu",
    },
}

OUT_BYTES = 64 << 30

# Writes go to an unlinked file in $TMPDIR.
THROW_AWAY = "snapshot=on"


class TransportError(Exception):
    """The host did not come up or did not report; the text says why."""


class Host:
    """Host number @index of options.hosts, built from HostImage @image.

    @qemu: the emulator and its first arguments.
    @links: sockets of the network segment, to the neighbours on either side.
    """

    def __init__(self, index, options, image, qemu, folder, links):
        self.index = index
        self.options = options
        self.image = image
        self.qemu = qemu
        self.folder = Path(folder)
        self.links = links
        self.output = None
        self.process = None
        self.log = self.folder / f"console{index}.log"
        self.status_file = self.folder / f"status{index}"
        self.out_disk = self.folder / f"out{index}.tar"
        self.signs = 0
        self.heard = None

    def _kernel_arguments(self, terminal):
        machine = MACHINES[self.options.arch]
        words = [f"console={machine['console']}", machine["cmdline"],
                 "panic=-1", f"testhost.index={self.index}",
                 f"testhost.count={self.options.hosts}"]
        if not self.options.verbose:
            words.append("quiet")
        if self.options.out:
            words.append("testhost.out=1")
        if terminal:
            size = shutil.get_terminal_size()
            words += [f"testhost.terminal={os.environ.get('TERM', 'linux')}",
                      f"testhost.rows={size.lines}",
                      f"testhost.columns={size.columns}"]
        return " ".join(words + self.options.append)

    @staticmethod
    def _disk(name, path, how):
        return ["-drive", f"if=none,id={name},format=raw,cache=unsafe,"
                          f"discard=unmap,{how},file={_escape(path)}",
                "-device", f"virtio-blk-pci,drive={name},serial={name}"]

    def _network(self):
        """A line of hubs inside the QEMUs: no process and no port to share."""
        if not self.links:
            return []
        argv = ["-netdev", "hubport,id=nic,hubid=0", "-device",
                "virtio-net-pci,netdev=nic,romfile=,"
                f"mac=52:54:00:99:00:{self.index:02x}"]
        for link in self.links:
            name = f"link{link.fileno()}"
            argv += ["-netdev", f"socket,id={name},fd={link.fileno()}",
                     "-netdev", f"hubport,id=hub-{name},hubid=0,netdev={name}"]
        return argv

    def start(self, payload, terminal):
        options, machine = self.options, MACHINES[self.options.arch]
        self.output, theirs = socket.socketpair()
        hvc0, out = ("socket,fd=%d" % theirs.fileno(), "null")
        if not terminal:
            hvc0, out = out, hvc0
        extra = "," + options.machine if options.machine else ""
        argv = [
            # The host dies with this process, however that ends.
            "setpriv", "--pdeathsig", "KILL",
            *self.qemu, "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot",
            "-name", f"testhost{self.index}",
            "-accel", "tcg,thread=multi", "-M", machine["machine"] + extra,
            "-cpu", options.cpu or machine["cpu"],
            "-smp", str(options.cpus), "-m", options.memory,
            "-kernel", str(self.image.kernel.vmlinuz),
            "-initrd", str(self.folder / "initramfs"),
            "-append", self._kernel_arguments(terminal),
            "-chardev", f"file,id=log,path={_escape(self.log)}",
            "-serial", "chardev:log",
            "-device", "virtio-rng-pci",
            "-device", "virtio-serial-pci",
            "-chardev", f"{hvc0},id=hvc0",
            "-device", "virtconsole,chardev=hvc0,nr=0",
            "-chardev", f"{out},id=output",
            "-device", "virtserialport,chardev=output,nr=1,name=output",
            "-chardev", f"file,id=status,path={_escape(self.status_file)}",
            "-device", "virtserialport,chardev=status,nr=2,name=status",
            *self._disk("root", self.image.root, THROW_AWAY),
            *self._disk("payload", payload, "readonly=on"),
            *self._network(),
        ]
        if options.out:
            with open(self.out_disk, "wb") as disk:
                disk.truncate(OUT_BYTES)
            argv += self._disk("out", self.out_disk, "readonly=off")
        for i, path in enumerate(options.disk_from):
            argv += self._disk(f"disk{i}", path, THROW_AWAY)
        with open(self.folder / f"qemu{self.index}.log", "wb") as errors:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                pass_fds=[theirs.fileno(), *(l.fileno() for l in self.links)],
                env={**os.environ, "TMPDIR": str(self.folder)},
                # Ctrl-C is for this process to act on, in its own order.
                start_new_session=True)
        for mine in (theirs, *self.links):
            mine.close()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def silent_for(self):
        """Seconds since its kernel and its init last showed signs of life."""
        signs = sum(path.stat().st_size for path in (self.log, self.status_file) if path.exists())
        if self.heard is None or signs != self.signs:
            self.signs, self.heard = signs, time.monotonic()
        return time.monotonic() - self.heard

    def result(self):
        """The command's exit status, once the output has ended."""
        self.process.wait()
        try:
            status = int(self.status_file.read_text())
        except (OSError, ValueError):
            status = None
        if status is None:
            raise TransportError(
                f"host {self.index} ended before its command; its last words:\n"
                + self._last_words())
        return status

    def _last_words(self):
        texts = [(self.folder / f"qemu{self.index}.log"), self.log]
        lines = [line for path in texts if path.exists()
                 for line in path.read_text(errors="replace").splitlines()
                 if line.strip()]
        # What follows a panic is a dump of registers.
        for i, line in enumerate(lines):
            if "Kernel panic" in line:
                lines = lines[:i + 1]
                break
        return "\n".join("  " + line for line in lines[-20:] or ["(none)"])

    def unpack_out(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["tar", "-x", "--sparse", "-p",
                               "-f", self.out_disk, "-C", folder], check=False)
        if done.returncode:
            raise TransportError(f"host {self.index}: /out cannot be unpacked")


def _escape(path):
    """QEMU's option lists end a value at a comma unless it is doubled."""
    return os.path.abspath(path).replace(",", ",,")
