"""Initial RAM file systems: a newc cpio writer and the modules in them.

Written here rather than with cpio(1), so that device nodes need no root and
the same input gives the same bytes.
"""

import os
import stat


class Initramfs:
    """An archive under construction; folders appear as they are needed."""

    def __init__(self):
        self.out = bytearray()
        self.names = set()

    def _entry(self, name, mode, data=b"", rdev=(0, 0)):
        if name in self.names:
            raise ValueError(f"{name}: twice in the archive")
        parent = os.path.dirname(name)
        if parent and parent not in self.names:
            self._entry(parent, stat.S_IFDIR | 0o755)
        self.names.add(name)
        encoded = name.encode() + b"\0"
        # newc: inode, mode, uid, gid, links, mtime, size, device (2),
        # rdev (2), name size, checksum (unused); each part padded to 4.
        fields = (len(self.names), mode, 0, 0, 1, 0, len(data), 0, 0,
                  *rdev, len(encoded), 0)
        self.out += b"070701" + b"".join(b"%08x" % f for f in fields)
        self._padded(encoded)
        self._padded(data)

    def _padded(self, data):
        self.out += data
        self.out += bytes(-len(self.out) % 4)

    def folder(self, name):
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o644):
        self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name, target):
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def console(self):
        """The kernel opens it for init before anything could make it."""
        self._entry("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1))

    def modules(self, folder, wanted):
        """Add modules from @folder in the order in which insmod can take them.

        They and the list of their names, modules/order, lie in one folder:
        insmod with a list starts sooner than modprobe with a database.
        """
        order = module_order(folder, wanted)
        for path in order:
            self.file(f"modules/{os.path.basename(path)}",
                      (folder / path).read_bytes())
        names = "".join(os.path.basename(path) + "\n" for path in order)
        self.file("modules/order", names.encode())

    def finish(self):
        """The archive's bytes; nothing can be added any more."""
        self._entry("TRAILER!!!", 0)
        return bytes(self.out)


def module_name(path):
    return os.path.basename(path).split(".")[0].replace("-", "_")


def module_order(folder, wanted):
    """Paths of @wanted and all they need, each after what it needs.

    What is built into the kernel is left out; what exists nowhere is an
    error, because a silently missing driver shows much later.
    """
    needs, paths = {}, {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, deps = line.split(":")
        paths[module_name(path)] = path
        # depmod lists a module's needs with the deepest one last.
        needs[path] = list(reversed(deps.split()))
    builtin = {module_name(line) for line in
               (folder / "modules.builtin").read_text().splitlines()}
    order = []
    for name in map(module_name, wanted):
        if name in builtin:
            continue
        if name not in paths:
            raise ValueError(f"{name}: no such kernel module")
        for path in needs[paths[name]] + [paths[name]]:
            if path not in order:
                order.append(path)
    return order
