# SPDX-License-Identifier: Apache-2.0
"""The keys of golden and bad files, which their names ask for: "+key", "+passphrase", "+signer".

They are those of fixture_keys_init(), and never to be used for anything else.
"""

import base64
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import snap_crypto  # noqa: E402
import snap_reader  # noqa: E402

KEY = bytes(range(0x40, 0x60))
PASSPHRASE = b"correct horse"
SEED = bytes(range(0xE0, 0xC0, -1))
SIGNER = snap_crypto.public_key(SEED)


def keys_of(name):
    """For the second reader."""
    return snap_reader.Keys(master=KEY if "+key" in name else None,
                            passphrase=PASSPHRASE if "+passphrase" in name else None,
                            signer=SIGNER if "+signer" in name else None)


def pem(kind, der):
    return f"-----BEGIN {kind} KEY-----\n{base64.b64encode(der).decode()}\n-----END {kind} KEY-----\n"


def public_pem(key):
    return pem("PUBLIC", bytes.fromhex("302a300506032b6570032100") + key)


def private_pem(seed):
    return pem("PRIVATE", bytes.fromhex("302e020100300506032b657004220420") + seed)


def write(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(fd, "wb") as f:
        f.write(data)
    return path


def options_of(name, folder):
    """For the programs; files with the keys are made in @folder."""
    options = []
    if "+key" in name:
        options += ["--key", "key=" + write(f"{folder}/key", KEY)]
    if "+passphrase" in name:
        options += ["--key", "passphrase-file=" + write(f"{folder}/passphrase", PASSPHRASE)]
    if "+signer" in name:
        options += ["--verify-key", write(f"{folder}/signer.pem", public_pem(SIGNER).encode())]
    return options
