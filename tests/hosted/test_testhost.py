"""scripts/testhost itself: status, output, files in and out, network, ends."""

import os
import signal
import subprocess
import time

import pytest

from lib import TOP, in_host


@pytest.mark.parametrize("status", [0, 1, 7])
def test_exit_status_and_output(status):
    out = in_host(f"echo one; echo two >&2; exit {status}", status=status)
    assert out == "one\ntwo\n"


def test_has_kvm():
    assert in_host("grep -o -m1 svm /proc/cpuinfo; ls /dev/kvm /dev/net/tun") \
        == "svm\n/dev/kvm\n/dev/net/tun\n"


def test_files_keep_time_mode_and_holes(tmp_path):
    sparse = tmp_path / "sparse"
    with open(sparse, "wb") as file:
        file.truncate(6 << 30)
        file.seek(5 << 30)
        file.write(b"deep")
    sparse.chmod(0o640)
    os.utime(sparse, ns=(0, 1580702706_123456789))
    in_host("cp -p /in/sparse /out/", "--file", f"{sparse}:/in/sparse",
             "--out", tmp_path / "out")
    there = (tmp_path / "out/sparse").stat()
    assert there.st_size == 6 << 30
    assert there.st_blocks * 512 < 1 << 20
    assert there.st_mode & 0o777 == 0o640
    assert there.st_mtime_ns == 1580702706_123456789


def test_hosts_reach_each_other():
    out = in_host(
        "until ping -q -c 1 -W 1 host$((3 - HOST_INDEX)); do :; done >/dev/null;"
        " echo up; sleep 3; exit $((HOST_INDEX + 3))", "--hosts", "2", status=4)
    assert sorted(out.splitlines()) == ["host1| up", "host2| up"]


def test_timeout():
    in_host("sleep 1000", "--timeout", "1", status=124)


def emulators(folder):
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and
            str(folder).encode() in read_or_empty(f"/proc/{pid}/cmdline")]


def test_stands_still(tmp_path):
    with subprocess.Popen([TOP / "scripts/testhost", "--silence", "20", "echo up; sleep 1000"],
                          stdout=subprocess.PIPE,
                          env={**os.environ, "TMPDIR": str(tmp_path)}) as run:
        assert run.stdout.readline() == b"up\n"
        # Longer than the silence: a command that says nothing is not a host that stands still.
        time.sleep(25)
        assert run.poll() is None
        for pid in emulators(tmp_path):
            os.kill(pid, signal.SIGSTOP)
        assert run.wait(60) == 123
    assert not emulators(tmp_path)


@pytest.mark.parametrize("number, status", [
    (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_signal_ends_the_emulator(tmp_path, number, status):
    with subprocess.Popen([TOP / "scripts/testhost", "sleep 1000"],
                          env={**os.environ, "TMPDIR": str(tmp_path)}) as run:
        end = time.monotonic() + 120
        while not emulators(tmp_path) and time.monotonic() < end:
            time.sleep(0.1)
        assert emulators(tmp_path)
        run.send_signal(number)
        assert run.wait(30) == status
    time.sleep(0.5)
    assert not emulators(tmp_path)


def read_or_empty(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
