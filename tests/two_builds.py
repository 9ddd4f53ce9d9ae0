# SPDX-License-Identifier: Apache-2.0
"""Two builds of snapinspect say the same of any file, byte for byte."""

import subprocess

# Each with what it prints by default and for programs.
COMMANDS = [[command, *form] for command in ("info", "layout", "map", "state", "cpu", "verify", "check")
            for form in ([], ["--json"])]
COMMANDS += [["map", "--svg"], ["map", "--html"], ["map", "--svg", "--against", "x86_64/linux@1"],
             ["check", "--against", "aarch64/linux@2"]]
REFUSED = [["info"], ["state", "--json"], ["verify", "--json"]]
SCHEMA = [["schema"], ["schema", "--cddl"], ["schema", "--markdown"], ["schema", "uart"]]


def outcome(words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode in (0, 1, 3), done
    return done.returncode, done.stdout, done.stderr


def same(one, other, *words):
    first, second = outcome([*one, *words]), outcome([*other, *words])
    assert first == second, (words, first, second)
    return first


def same_of_file(one, other, path, profiles=(), commands=COMMANDS):
    """Exit status and output of each command; @one and @other are lists of words."""
    found = [same(one, other, *command, path) for command in commands]
    for profile in profiles:
        for form in ([], ["--json"]):
            found.append(same(one, other, "check", *form, "--host", profile, path))
    return found


def same_schema(one, other):
    for command in SCHEMA:
        status, text, _ = same(one, other, *command)
        assert status == 0 and text, command
