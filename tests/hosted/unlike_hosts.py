"""x86-64 hosts that differ; unlike.py has what is done on each of them."""

import json
import subprocess
import tempfile
from pathlib import Path

from runner import LONG

# A newer host with all features; and with an older kernel one with fewer, one with fewer address bits,
# and one with fewer of both, which is enough for a short run.
FIRST = ("--cpu", "max", "--kernel", "6.12")
UNLIKE = {
    "first": FIRST,
    "epyc": ("--cpu", "EPYC,+svm", "--kernel", "6.1"),
    "narrow": ("--cpu", "max,phys-bits=36", "--kernel", "6.1"),
} if LONG else {"less": ("--cpu", "EPYC,+svm,phys-bits=36", "--kernel", "6.1")}
# Of the snapshot with all features: rules that must be there, and a word about each.
REFUSALS = {
    "first": {},
    "epyc": {"C002": "pku"},
    "narrow": {"H002": "36", "C002": "fsrs"},
    "less": {"H002": "36", "C002": "pku"},
}
NAMES = ("all", "level", "fleet")


def compare_verdicts(runner, out, host):
    """What a host said of each snapshot, and what its profile says elsewhere, are the same."""
    for name in NAMES:
        said = json.loads((out / host / f"{name}.json").read_text())
        status, elsewhere = runner.check("--host", f"{out}/{host}.json",
                                         f"{out}/saved/{name}.vmsnap")
        assert said == elsewhere, (host, name, said, elsewhere)
        assert status == (3 if said["verdict"] == "incompatible" else 0), (host, name, status)
        wanted = REFUSALS[host] if name == "all" else {}
        refusals = [f for f in said["findings"] if f["severity"] == "refusal"]
        assert {f["rule"] for f in refusals} == set(wanted), (host, name, refusals)
        for rule, word in wanted.items():
            assert any(word in f["saved"] + f["found"] for f in refusals if f["rule"] == rule), \
                (host, name, rule, word, refusals)


def unlike(runner):
    """Snapshots of one host on others: refused with what is missing, or restored."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        for host, options in {"first": FIRST, **UNLIKE}.items():
            status = runner.scenario("profile", *options, "--out", out / host)
            if status:
                return status
            (out / host / "host.json").rename(out / f"{host}.json")
        with open(out / "fleet.json", "w", encoding="utf-8") as file:
            subprocess.run([*runner.native("src/vmm/vmm"), "cpu", "baseline", "--name", "fleet",
                            *(f"{out}/{host}.json" for host in {"first", *UNLIKE})], stdout=file,
                           check=True)
        status = runner.scenario("save-for-unlike", *FIRST, "--out", out / "saved",
                                 files=[*runner.guest, f"{out}/fleet.json:/root/fleet.json"])
        files = runner.guest + [f"{out}/saved/{name}.{suffix}:/root/{name}.{suffix}"
                                for name in NAMES for suffix in ("vmsnap", "json")]
        for host, options in UNLIKE.items():
            if status:
                return status
            status = runner.scenario("restore-unlike", *options, "--out", out / host, files=files)
            if not status:
                compare_verdicts(runner, out, host)
        return status
