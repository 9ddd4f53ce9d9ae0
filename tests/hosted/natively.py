"""Runs tests of tests/native in an emulated host: natively.py NAME..., where build/ and tests/ are."""

import subprocess
import sys
import time


def main():
    failed = []
    for name in sys.argv[1:]:
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-B", f"tests/native/test_{name}.py", "build"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        print(f"{name}: exit status {done.returncode}, {time.monotonic() - started:.0f} s", flush=True)
        if done.returncode:
            failed.append(name)
            print(done.stdout, flush=True)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


main()
