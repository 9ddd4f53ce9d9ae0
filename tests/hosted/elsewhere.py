"""A guest that moves: saved on one host, with all that it needs left in /out, restored on another."""

import json
import os
import shutil
import stat

from guestvm import WORK, Vm, check_alive


def save(name, disk=f"{WORK}/disk.img", options=(), memory="256M"):
    vm = Vm(memory=memory, disk=disk, options=options)
    vm.boot()
    vm.agent.cmd("write", "home", name)
    before = vm.agent.check()
    vm.snapshot(f"/out/{name}.vmsnap")
    vm.kill()
    shutil.copy2(vm.disk, f"/out/{name}.img")
    with open(f"/out/{name}.json", "w", encoding="utf-8") as file:
        json.dump({**before, "rtc": vm.rtc, "behind_s": vm.behind_s}, file)
    return vm


def restore(name, *more):
    """The VM, alive and well, where nobody knew the guest: what was saved is in /root."""
    with open(f"/root/{name}.json", encoding="utf-8") as file:
        before = json.load(file)
    disk = f"/root/{name}.img"
    assert not os.stat(disk).st_mode & stat.S_IWUSR
    vm = Vm(disk=disk)
    vm.rtc, vm.behind_s = before["rtc"], before["behind_s"]
    vm.restore(f"/root/{name}.vmsnap", "--disk", f"data={disk}", *more)
    check_alive(vm, before)
    assert vm.agent.cmd("read", "home")["text"] == name
    return vm
