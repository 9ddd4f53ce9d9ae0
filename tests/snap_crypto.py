# SPDX-License-Identifier: Apache-2.0
"""AES-256-GCM, HKDF and Ed25519 in plain Python, from FIPS 197, SP 800-38D, RFC 5869 and RFC 8032,
for the second reader. Slow, and not meant to keep a secret: it has nothing to do with the library
that the programs use, and that is its point.
"""

import hashlib
import hmac
import struct


def hkdf(key, salt, info, n):
    prk = hmac.digest(salt, key, "sha256")
    out, t, i = b"", b"", 0
    while len(out) < n:
        i += 1
        t = hmac.digest(prk, t + info + bytes([i]), "sha256")
        out += t
    return out[:n]


# --- AES-256 ------------------------------------------------------------------------------------

def xtime(a):
    return (a << 1 ^ (0x11B if a & 0x80 else 0)) & 0xFF


def make_sbox():
    exp, log, a = [0] * 256, [0] * 256, 1
    for i in range(255):
        exp[i], log[a] = a, i
        a ^= xtime(a)  # times 3, a generator
    box = []
    for v in range(256):
        inverse = exp[(255 - log[v]) % 255] if v else 0
        s = 0x63
        for shift in range(5):
            s ^= (inverse << shift | inverse >> (8 - shift)) & 0xFF
        box.append(s)
    return box


SBOX = make_sbox()
TWICE = [xtime(v) for v in range(256)]
SHIFTED = [i + 4 * (i % 4) & 15 for i in range(16)]


def expand_key(key):
    words = [key[i:i + 4] for i in range(0, 32, 4)]
    round_constant = 1
    for i in range(8, 60):
        w = words[i - 1]
        if i % 8 == 0:
            w = bytes(SBOX[b] for b in w[1:] + w[:1])
            w = bytes([w[0] ^ round_constant]) + w[1:]
            round_constant = xtime(round_constant)
        elif i % 8 == 4:
            w = bytes(SBOX[b] for b in w)
        words.append(bytes(a ^ b for a, b in zip(w, words[i - 8])))
    return [b"".join(words[i:i + 4]) for i in range(0, 60, 4)]


def encrypt_block(keys, block):
    s = [a ^ b for a, b in zip(block, keys[0])]
    for n in range(1, 15):
        s = [SBOX[s[i]] for i in SHIFTED]
        if n < 14:
            mixed = []
            for c in range(0, 16, 4):
                a, b, d, e = s[c:c + 4]
                every = a ^ b ^ d ^ e
                mixed += [a ^ every ^ TWICE[a ^ b], b ^ every ^ TWICE[b ^ d],
                          d ^ every ^ TWICE[d ^ e], e ^ every ^ TWICE[e ^ a]]
            s = mixed
        s = [a ^ b for a, b in zip(s, keys[n])]
    return bytes(s)


# --- GCM ----------------------------------------------------------------------------------------

class Gcm:
    def __init__(self, key):
        self.keys = expand_key(key)
        h = int.from_bytes(encrypt_block(self.keys, bytes(16)), "big")
        self.powers = []  # of x, times H
        for _ in range(128):
            self.powers.append(h)
            h = h >> 1 ^ (0xE1 << 120 if h & 1 else 0)

    def multiply(self, x):
        z = 0
        for i in range(128):
            if x >> (127 - i) & 1:
                z ^= self.powers[i]
        return z

    def tag(self, nonce, aad, sealed):
        padded = aad + bytes(-len(aad) % 16) + sealed + bytes(-len(sealed) % 16)
        padded += struct.pack(">QQ", 8 * len(aad), 8 * len(sealed))
        y = 0
        for i in range(0, len(padded), 16):
            y = self.multiply(y ^ int.from_bytes(padded[i:i + 16], "big"))
        return self.xor(y.to_bytes(16, "big"), nonce, 1)

    def xor(self, data, nonce, counter):
        out = b""
        for i in range(0, len(data), 16):
            pad = encrypt_block(self.keys, nonce + struct.pack(">I", counter))
            out += bytes(a ^ b for a, b in zip(data[i:i + 16], pad))
            counter += 1
        return out

    def seal(self, nonce, aad, plain):
        sealed = self.xor(plain, nonce, 2)
        return sealed + self.tag(nonce, aad, sealed)

    def open(self, nonce, aad, sealed):
        """The plain bytes, or None."""
        if self.tag(nonce, aad, sealed[:-16]) != sealed[-16:]:
            return None
        return self.xor(sealed[:-16], nonce, 2)


# --- Ed25519 ------------------------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(a, b):
    """Extended homogeneous coordinates: RFC 8032, section 5.1.4."""
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    e, f = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = f - e, d - c, d + c, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, point):
    out = (0, 1, 1, 0)
    while n:
        if n & 1:
            out = add(out, point)
        point = add(point, point)
        n >>= 1
    return out


def decode_point(raw):
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        return None
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - xx) % P or (not x and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def encode_point(point):
    x, y, z, _ = point
    inverse = pow(z, -1, P)
    return (y * inverse % P | (x * inverse % P & 1) << 255).to_bytes(32, "little")


BASE = decode_point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def hash_number(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ORDER


def secret_scalar(seed):
    h = bytearray(hashlib.sha512(seed).digest())
    h[0] &= 248
    h[31] = h[31] & 127 | 64
    return int.from_bytes(h[:32], "little"), bytes(h[32:])


def public_key(seed):
    return encode_point(times(secret_scalar(seed)[0], BASE))


def sign(seed, message):
    a, prefix = secret_scalar(seed)
    key = public_key(seed)
    r = hash_number(prefix, message)
    point = encode_point(times(r, BASE))
    s = (r + hash_number(point, key, message) * a) % ORDER
    return point + s.to_bytes(32, "little")


def verify(key, message, signature):
    a, r = decode_point(key), decode_point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER:
        return False
    k = hash_number(signature[:32], key, message)
    return encode_point(times(s, BASE)) == encode_point(add(r, times(k, a)))
