# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with signed and encrypted files: (golden file, code, name, change) of each.

A name says with which keys the file is opened (sealing.py). The changes are functions of an Image of
make_formats.py, as those there.
"""

import snap_crypto
import snap_reader as sr

import sealing


def le(n, size):
    return n.to_bytes(size, "little")


def nothing(im):
    pass


def poke(part, at, value, want=None):
    """Writes @value into @part at @at; only in the one of @want: number of the leaf, and of the entry
    in it."""
    def run(*parts):
        if want is None or parts[:-1] == want:
            parts[-1][at:at + len(value)] = value
    return lambda im: im.hooks.__setitem__(part, run)


def flip_footer(im):
    def change(out):
        out[im.footer_at + 30] ^= 1
    im.hooks["file"] = change


# --- header and keys ----------------------------------------------------------------------------

def keys():
    yield "encrypted", "KEY", "encrypted-and-no-key", nothing
    yield "small", "KEY", "in-the-clear+key", nothing
    yield "small", "KEY", "in-the-clear+passphrase", nothing
    yield "encrypted", "KEY", "passphrase-for-a-key+passphrase", nothing
    yield "passphrase", "KEY", "key-for-a-passphrase+key", nothing
    yield "encrypted", "KEY", "other-salt+key", poke("header", 64, b"\0")
    yield "passphrase", "KEY", "other-salt-of-scrypt+passphrase", poke("header", 96, b"\0")
    yield "passphrase", "KEY", "other-costs-of-scrypt+passphrase", poke("header", 58, b"\x0b")
    yield "encrypted", "KEY", "encrypted-footer-damaged+key", flip_footer
    yield "encrypted", "FEATURE", "cipher-0+key", poke("header", 56, b"\0")
    yield "encrypted", "FEATURE", "cipher-2+key", poke("header", 56, b"\2")
    yield "encrypted", "FEATURE", "key-derivation-0+key", poke("header", 57, b"\0")
    yield "encrypted", "FEATURE", "key-derivation-3+key", poke("header", 57, b"\3")
    yield "passphrase", "LIMIT", "scrypt-in-512-MiB+passphrase", poke("header", 58, b"\x13\x08\1")
    yield "passphrase", "LIMIT", "scrypt-for-ever+passphrase", poke("header", 58, b"\x11\x08\xff")
    yield "passphrase", "LIMIT", "scrypt-N-2-64+passphrase", poke("header", 58, b"\x40\1\1")
    yield "passphrase", "LIMIT", "scrypt-too-cheap+passphrase", poke("header", 58, b"\x09\x08\1")
    yield "passphrase", "LIMIT", "scrypt-r-0+passphrase", poke("header", 59, b"\0")
    yield "passphrase", "LIMIT", "scrypt-p-0+passphrase", poke("header", 60, b"\0")
    yield "encrypted", "RANGE", "costs-without-scrypt+key", poke("header", 60, b"\1")
    yield "encrypted", "RANGE", "salt-without-scrypt+key", poke("header", 111, b"\1")
    yield "encrypted", "RANGE", "encrypted-header-reserved+key", poke("header", 63, b"\1")
    yield "passphrase", "RANGE", "encrypted-header-end+passphrase", poke("header", 127, b"\1")


# --- ciphertext ---------------------------------------------------------------------------------

def number_as(chunk, kind, number):
    return lambda im: im.nonces.__setitem__(chunk, (kind, number))


def swapped(im):
    im.nonces.update({0: (2, 1), 1: (2, 0)})


def of_another_file(im):
    header = bytearray(im.header)
    header[64:96] = bytes(32)
    im.other_keys[0] = sr.FileKeys(sr.Keys(master=sealing.KEY), header)


def in_the_clear(chunk):
    return lambda im: im.other_keys.__setitem__(chunk, None)


def shorten(part, n):
    def run(*parts):
        if len(parts) == 1 or parts[:2] == (0, 0):
            del parts[-1][n:]
    return lambda im: im.hooks.__setitem__(part, run)


def flip_sealed(part, at, want=None):
    def run(*parts):
        if want is None or parts[:-1] == want:
            parts[-1][at] ^= 1
    return lambda im: im.hooks.__setitem__(part, run)


def ciphertext():
    base = "encrypted"
    chunk = (0, 0)
    yield base, "CHECKSUM", "ciphertext-of-manifest-changed+key", flip_sealed("sealed manifest", 20)
    yield base, "CHECKSUM", "tag-of-manifest-changed+key", flip_sealed("sealed manifest", -1)
    yield base, "STRUCTURE", "manifest-in-the-clear+key", in_the_clear("manifest")
    yield base, "STRUCTURE", "ciphertext-of-manifest-short+key", shorten("sealed manifest", 23)
    yield base, "STRUCTURE", "encrypted-manifest-magic+key", poke("manifest", 0, le(sr.LEAF, 4))
    yield base, "TYPE", "encrypted-manifest-is-a-number+key", poke("cbor", 0, b"\5")
    yield base, "CHECKSUM", "ciphertext-changed+key", flip_sealed("sealed", 9, chunk)
    yield base, "CHECKSUM", "tag-changed+key", flip_sealed("sealed", -16, chunk)
    yield base, "CHECKSUM", "chunks-swapped+key", swapped
    yield base, "CHECKSUM", "chunk-sealed-as-manifest+key", number_as(0, 1, 0)
    yield base, "CHECKSUM", "chunk-of-4-billion+key", number_as(0, 2, 1 << 32)
    yield base, "CHECKSUM", "chunk-of-another-file+key", of_another_file
    yield base, "STRUCTURE", "chunk-in-the-clear+key", in_the_clear(0)
    yield base, "STRUCTURE", "ciphertext-short+key", shorten("sealed", 23)
    yield base, "STRUCTURE", "ciphertext-magic+key", poke("sealed", 0, le(sr.LEAF, 4), chunk)
    yield base, "STRUCTURE", "ciphertext-length+key", poke("sealed", 4, le(5, 4), chunk)
    yield base, "ENCODING", "ciphertext-of-nothing+key", shorten("frame", 0)
    yield base, "ENCODING", "encrypted-chunk-no-zstd+key", poke("frame", 0, b"\0", chunk)
    yield base, "STRUCTURE", "plain-bytes-of-ciphertext+key", poke("table", 28, le(8192, 4))


# --- signatures ---------------------------------------------------------------------------------

def by_another(im):
    im.seed = bytes(32)


def no_signature(im):
    im.seed = None


def too_large(footer):
    """The same point of the curve, said in a way that RFC 8032 does not allow."""
    s = int.from_bytes(footer[304:336], "little") + snap_crypto.ORDER
    footer[304:336] = le(s, 32)


def signatures():
    signed = poke("header", 32, le(1, 8))
    yield "small", "SIGNATURE", "not-signed+signer", nothing
    yield "encrypted", "SIGNATURE", "encrypted-not-signed+key+signer", nothing
    yield "signed", "SIGNATURE", "signed-by-another+signer", by_another
    yield "sealed", "SIGNATURE", "sealed-by-another+key+signer", by_another
    yield "small", "SIGNATURE", "signed-without-signature", signed
    yield "signed", "SIGNATURE", "signature-gone+signer", no_signature
    yield "signed", "SIGNATURE", "signature-changed", poke("signed", 280, b"\0")
    yield "sealed", "SIGNATURE", "signature-changed+key", poke("signed", 280, b"\0")
    yield "signed", "SIGNATURE", "public-key-changed", poke("signed", 241, b"\0")
    yield "signed", "SIGNATURE", "signature-of-other-bytes", poke("signed", 24, le(1 << 20, 8))
    yield "signed", "SIGNATURE", "signature-too-large", \
        lambda im: im.hooks.__setitem__("signed", too_large)
    yield "signed", "CHECKSUM", "signed-footer-damaged+signer", flip_footer
    yield "signed", "RANGE", "signed-footer-reserved", poke("signed", 351, b"\1")
    yield "sealed", "KEY", "sealed-and-no-key+signer", nothing


def cases():
    yield from keys()
    yield from ciphertext()
    yield from signatures()
