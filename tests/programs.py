# SPDX-License-Identifier: Apache-2.0
"""Programs of a build as tests run them, also those of a cross build.

Meson runs a cross build's own programs with its exe_wrapper and names that to tests that are no
programs of the build; for them a script stands in for each program.
"""

import atexit
import os
import shutil
import tempfile

WRAPPER = os.environ.get("MESON_EXE_WRAPPER", "")
_folders = []


def runnable(program):
    """A path that runs @program on this machine, of the same name."""
    program = os.path.abspath(program)
    if not WRAPPER:
        return program
    if not _folders:
        _folders.append(tempfile.mkdtemp(prefix="programs-"))
        atexit.register(shutil.rmtree, _folders[0])
    path = os.path.join(_folders[0], os.path.basename(program))
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec {WRAPPER} "{program}" "$@"\n')
    os.chmod(path, 0o755)
    return path
