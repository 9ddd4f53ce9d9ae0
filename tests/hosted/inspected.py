"""snapinspect of both architectures on snapshots of real machines of both."""

import subprocess
import sys

from lib import Process, run, wait_until
from runner import TOP

sys.path.insert(0, str(TOP / "tests"))
import two_builds  # noqa: E402


def save_on_this_machine(build, folder):
    """Snapshot of tests/guest/ring3 and profile of this machine; False without a KVM for it."""
    vmm = [f"{build}/src/vmm/vmm"]
    if subprocess.run([*vmm, "host", "--export", f"{folder}/this.profile"], check=False,
                      capture_output=True).returncode:
        return False
    run_vm = [*vmm, "run", "--name", "inspected", "--kernel", f"{build}/tests/guest/ring3",
              "--cmdline", "iters=0 span=0x100000 from=0x1000000 seed=7", "--memory", "32M", "--cpus", "2",
              "--console", f"file:{folder}/console", "--allow-emulated"]
    snapshot = [*vmm, "snapshot", "inspected", "-o", f"{folder}/this.vmsnap"]
    with Process(["env", f"VMM_RUNTIME_DIR={folder}/run", *run_vm], f"{folder}/log") as vm:
        def saved():
            assert vm.popen.poll() is None, vm.last_words()
            return not subprocess.run(["env", f"VMM_RUNTIME_DIR={folder}/run", *snapshot],
                                      check=False, capture_output=True).returncode
        wait_until("a snapshot", saved)
    return True


def inspect(runner, out, name):
    """All that both say of the snapshot @name in @out, and of one of this machine."""
    other = TOP / "build"  # scripts/check builds it for this machine
    program = other / "tools/snapinspect/snapinspect"
    if not program.exists() or len(runner.native("")) == 1:
        print("not inspected: needs a build for this machine in build/ and one for another")
        return 0
    names, profiles = [name], [out / f"{name}.profile"]
    if save_on_this_machine(other, out):
        names.append("this")
        profiles.append(out / "this.profile")
    both = [[str(program)], runner.native("tools/snapinspect/snapinspect")]
    for each in names:
        found = two_builds.same_of_file(*both, out / f"{each}.vmsnap", profiles)
        print(f"{each}.vmsnap: {len(found)} outputs are the same")
        assert run(program, "verify", out / f"{each}.vmsnap")
    return 0
