#!/usr/bin/env python3
"""Writes the test vectors of TD/1 that lie beside this file.

This is the second of two programs that share no code: Python 3, standard
library, written from docs/spec/td-1.md alone. The Go tests compute every
positive value again. Section numbers in comments refer to that text.

    generate.py [DIRECTORY]      writes the files there, by default beside itself

The output depends on nothing but this file.
"""

import base64
import functools
import hashlib
import hmac
import itertools
import json
import pathlib
import struct
import sys
from fractions import Fraction

# --- section 3: D, H2F, C ---------------------------------------------------

R = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001


def sha256(b):
    return hashlib.sha256(b).digest()


def u8(n):
    return struct.pack(">B", n)


def u16(n):
    return struct.pack(">H", n)


def u32(n):
    return struct.pack(">I", n)


def u64(n):
    return struct.pack(">Q", n)


def D(label, *parts):
    text = label.encode()
    return sha256(u8(len(text)) + text + b"".join(u64(len(m)) + m for m in parts))


def expand_message_xmd(msg, dst, size):
    """RFC 9380 section 5.3.1 with SHA-256."""
    if len(dst) > 255:
        dst = sha256(b"H2C-OVERSIZE-DST-" + dst)
    dst += u8(len(dst))
    blocks = (size + 31) // 32
    assert blocks <= 255
    b0 = sha256(bytes(64) + msg + u16(size) + u8(0) + dst)
    out = [sha256(b0 + u8(1) + dst)]
    for i in range(2, blocks + 1):
        mixed = bytes(x ^ y for x, y in zip(b0, out[-1]))
        out.append(sha256(mixed + u8(i) + dst))
    return b"".join(out)[:size]


SUFFIX = "-BLS12381FR-XMD:SHA-256"


def H2F_int(label, m, suffix=SUFFIX, size=48):
    return int.from_bytes(expand_message_xmd(m, (label + suffix).encode(), size), "big") % R


def enc(n):
    """A field element as its 32 bytes."""
    return (n % R).to_bytes(32, "big")


def H2F(label, m):
    return enc(H2F_int(label, m))


def keccak_f(a):
    """Keccak-f[1600] on a list of 25 lanes, lane (x, y) at x + 5y."""
    mask = (1 << 64) - 1

    def rot(v, n):
        return ((v << n) | (v >> (64 - n))) & mask if n else v

    lfsr = 1
    for _ in range(24):
        c = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        d = [c[(x + 4) % 5] ^ rot(c[(x + 1) % 5], 1) for x in range(5)]
        a = [a[i] ^ d[i % 5] for i in range(25)]
        x, y, lane = 1, 0, a[1]
        for t in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            lane, a[x + 5 * y] = a[x + 5 * y], rot(lane, ((t + 1) * (t + 2) // 2) % 64)
        for y in range(5):
            row = a[5 * y : 5 * y + 5]
            for x in range(5):
                a[5 * y + x] = row[x] ^ (~row[(x + 1) % 5] & mask & row[(x + 2) % 5])
        for j in range(7):
            if lfsr & 1:
                a[0] ^= 1 << ((1 << j) - 1)
            lfsr = (lfsr << 1) ^ (0x171 if lfsr & 0x80 else 0)
    return a


def keccak256(msg):
    """Keccak-256 with the padding from before FIPS 202."""
    rate = 136
    padded = bytearray(msg + b"\x01" + bytes(-(len(msg) + 1) % rate))
    padded[-1] |= 0x80
    state = [0] * 25
    for at in range(0, len(padded), rate):
        for i in range(rate // 8):
            state[i] ^= int.from_bytes(padded[at + 8 * i : at + 8 * i + 8], "little")
        state = keccak_f(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[:4])


def round_keys(full, partial):
    seed = f"Poseidon2-BLS12_381[t=2,rF={full},rP={partial},d=5]".encode()
    key = keccak256(keccak256(seed))
    while True:
        yield int.from_bytes(key, "big") % R
        key = keccak256(key)


@functools.cache
def all_keys(full, partial):
    return list(itertools.islice(round_keys(full, partial), 2 * full + partial))


def poseidon2(x, y, full=8, partial=56):
    keys = iter(all_keys(full, partial))

    def external(x, y):
        return (2 * x + y) % R, (x + 2 * y) % R

    def full_rounds(x, y, n):
        for _ in range(n):
            x, y = x + next(keys), y + next(keys)
            x, y = external(pow(x, 5, R), pow(y, 5, R))
        return x, y

    x, y = full_rounds(*external(x, y), full // 2)
    for _ in range(partial):
        x = pow(x + next(keys), 5, R)
        x, y = (2 * x + y) % R, (x + 3 * y) % R
    return full_rounds(x, y, full // 2)


def C(x, y):
    return (poseidon2(x, y)[1] + y) % R


# --- section 4: RFC 8785 ----------------------------------------------------


class Number:
    """A JSON number, with its text."""

    def __init__(self, text):
        self.text = text
        if text.lower().split("e")[0].strip("-0."):  # zero is exact whatever its exponent
            assert Fraction(es6(float(text))) == Fraction(text), text


def es6(f):
    """ECMAScript's Number::toString."""
    if f == 0:
        return "0"
    mantissa, _, exponent = repr(f).partition("e")
    sign = "-" if mantissa[0] == "-" else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    n = len(whole) + int(exponent or 0)
    digits = whole + fraction
    while digits[0] == "0":
        digits, n = digits[1:], n - 1
    digits = digits.rstrip("0")
    k = len(digits)
    if k <= n <= 21:
        return sign + digits + "0" * (n - k)
    if 0 < n <= 21:
        return sign + digits[:n] + "." + digits[n:]
    if -6 < n <= 0:
        return sign + "0." + "0" * -n + digits
    e = f"e{'+' if n > 0 else '-'}{abs(n - 1)}"
    return sign + digits[0] + ("." + digits[1:] if k > 1 else "") + e


SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def jcs(v):
    if v is None or v is True or v is False:
        return {None: "null", True: "true", False: "false"}[v]
    if isinstance(v, Number):
        return es6(float(v.text))
    if isinstance(v, int):
        return jcs(Number(str(v)))
    if isinstance(v, str):
        return '"' + "".join(SHORT.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in v) + '"'
    if isinstance(v, list):
        return "[" + ",".join(map(jcs, v)) + "]"
    names = sorted(v, key=lambda name: name.encode("utf-16-be"))
    return "{" + ",".join(jcs(n) + ":" + jcs(v[n]) for n in names) + "}"


def parse(text):
    return json.loads(text, parse_int=Number, parse_float=Number)


def canonical(text):
    return jcs(parse(text))


# --- inputs that are neither zero nor meaningful ----------------------------


def noise(name, size):
    """SHA-256(name ‖ u32 counter), cut to size."""
    out = b""
    while len(out) < size:
        out += sha256(name.encode() + u32(len(out) // 32))
    return out[:size]


def element(name):
    return int.from_bytes(noise(name, 48), "big") % R


def runs(b):
    """Bytes as [hex, count] pairs, so that long runs of one byte stay short."""
    out, plain = [], b""
    for value, group in itertools.groupby(b):
        n = len(list(group))
        if n <= 64:
            plain += bytes([value]) * n
            continue
        if plain:
            out.append([plain.hex(), 1])
        out.append([f"{value:02x}", n])
        plain = b""
    return out + ([[plain.hex(), 1]] if plain else [])


# --- RFC 8032: Ed25519 ------------------------------------------------------

P25519 = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
EDWARDS_D = -121665 * pow(121666, -1, P25519) % P25519


def edwards_add(p, q):
    """Addition in extended coordinates (X, Y, Z, T), section 5.1.4."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0])
    c, d = 2 * p[3] * q[3] * EDWARDS_D, 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return tuple(v % P25519 for v in (e * f, g * h, f * g, e * h))


def edwards_mul(n, p):
    q = (0, 1, 1, 0)
    while n:
        if n & 1:
            q = edwards_add(q, p)
        p, n = edwards_add(p, p), n >> 1
    return q


def edwards_base():
    y = 4 * pow(5, -1, P25519) % P25519
    square = (y * y - 1) * pow(EDWARDS_D * y * y + 1, -1, P25519) % P25519
    x = pow(square, (P25519 + 3) // 8, P25519)
    if (x * x - square) % P25519:
        x = x * pow(2, (P25519 - 1) // 4, P25519) % P25519
    assert (x * x - square) % P25519 == 0
    x = P25519 - x if x & 1 else x
    return x, y, 1, x * y % P25519


BASE = edwards_base()


def edwards_encode(p):
    z = pow(p[2], -1, P25519)
    return (p[1] * z % P25519 | (p[0] * z % P25519 & 1) << 255).to_bytes(32, "little")


def ed25519_expand(seed):
    h = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(h[:32], "little") & ((1 << 254) - 8) | 1 << 254
    return scalar, h[32:], edwards_encode(edwards_mul(scalar, BASE))


def ed25519_key(seed):
    return ed25519_expand(seed)[2]


def ed25519_sign(seed, message):
    scalar, prefix, key = ed25519_expand(seed)

    def number(*parts):
        return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ORDER

    r = number(prefix, message)
    point = edwards_encode(edwards_mul(r, BASE))
    return point + ((r + number(point, key, message) * scalar) % ORDER).to_bytes(32, "little")


def check_ed25519():
    """TEST 1 and TEST 3 of RFC 8032 section 7.1."""
    for seed, key, message, signature in [
        ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
        ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
    ]:  # fmt: skip
        seed = bytes.fromhex(seed)
        assert ed25519_key(seed).hex() == key
        assert ed25519_sign(seed, bytes.fromhex(message)).hex() == signature


# --- RFC 6962: trees --------------------------------------------------------


def split(n):
    """The largest power of two below n."""
    return 1 << (n - 1).bit_length() - 1


def tree_root(leaves, zero=b"\0", one=b"\1"):
    """MTH of section 2.1; other prefixes make another tree."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(zero + leaves[0])
    k = split(len(leaves))
    return sha256(one + tree_root(leaves[:k], zero, one) + tree_root(leaves[k:], zero, one))


def tree_path(i, leaves):
    """PATH of section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if i < k:
        return tree_path(i, leaves[:k]) + [tree_root(leaves[k:])]
    return tree_path(i - k, leaves[k:]) + [tree_root(leaves[:k])]


# --- section 7: payload -----------------------------------------------------

FIELDS = [  # name, offset, size
    ("magic", 0, 8), ("version", 8, 2), ("suite", 10, 2), ("mode", 12, 1), ("zero", 13, 3),
    ("request_id", 16, 16), ("nonce", 32, 32), ("epoch_id", 64, 16), ("epoch_number", 80, 8),
    ("seq", 88, 8), ("issued_at", 96, 8), ("ttl", 104, 4), ("policy", 108, 4),
    ("commitment", 112, 32), ("client", 144, 32), ("vkfp", 176, 32), ("statement", 208, 32),
    ("instance_id", 240, 16),
]  # fmt: skip
NUMBERS = {"version", "suite", "mode", "epoch_number", "seq", "issued_at", "ttl", "policy"}


def payload(**fields):
    out = b""
    for name, offset, size in FIELDS:
        assert len(out) == offset
        value = fields[name]
        out += value.to_bytes(size, "big") if isinstance(value, int) else value
        assert len(out) == offset + size
    return out


def payload_fields(name, **changes):
    fields = {
        "magic": b"TDPAYLD1", "version": 1, "suite": 1, "mode": 2, "zero": bytes(3),
        "request_id": noise(name + " request", 16), "nonce": noise(name + " nonce", 32),
        "epoch_id": noise(name + " epoch", 16), "epoch_number": 7, "seq": 1,
        "issued_at": 1_790_000_000_000, "ttl": 120_000, "policy": 3,
        "commitment": enc(element(name + " cm")), "client": noise(name + " client", 32),
        "vkfp": noise(name + " vk", 32), "statement": noise(name + " statement", 32),
        "instance_id": noise(name + " instance", 16),
    }  # fmt: skip
    fields.update(changes)
    return fields


def shown(fields):
    return {k: fields[k] if k in NUMBERS else fields[k].hex() for k, _, _ in FIELDS if k not in ("magic", "zero")}


def payload_vectors():
    valid = []
    top = (1 << 64) - 1
    for name, changes in [
        ("pull", {}),
        ("push", {"mode": 1}),
        ("smallest numbers", {"epoch_number": 0, "issued_at": 0, "ttl": 1000, "policy": 0, "commitment": bytes(32)}),
        ("largest numbers", {"epoch_number": top, "seq": top, "issued_at": top, "ttl": 600_000,
                             "policy": (1 << 32) - 1, "commitment": enc(R - 1)}),
    ]:  # fmt: skip
        fields = payload_fields(name, **changes)
        valid.append({"name": name, "fields": shown(fields), "bytes": payload(**fields).hex()})
    good = payload(**payload_fields("pull"))
    invalid = [
        {"name": "empty", "bytes": ""},
        {"name": "one byte short", "bytes": good[:-1].hex()},
        {"name": "one byte long", "bytes": (good + b"\0").hex()},
        {"name": "twice", "bytes": (good + good).hex()},
    ]
    for i in range(8):
        bad = bytearray(good)
        bad[i] ^= 1
        invalid.append({"name": f"constant, byte {i}", "bytes": bad.hex()})
    for i in range(13, 16):
        for value in (1, 0x80):
            bad = bytearray(good)
            bad[i] = value
            invalid.append({"name": f"reserved byte {i} = {value}", "bytes": bad.hex()})
    for name, changes in [
        ("version 0", {"version": 0}), ("version 2", {"version": 2}), ("version 256", {"version": 256}),
        ("suite 0", {"suite": 0}), ("suite 2", {"suite": 2}), ("suite 256", {"suite": 256}),
        ("mode 0", {"mode": 0}), ("mode 3", {"mode": 3}), ("mode 255", {"mode": 255}),
        ("seq 0", {"seq": 0}),
        ("ttl 0", {"ttl": 0}), ("ttl 999", {"ttl": 999}), ("ttl 600001", {"ttl": 600_001}),
        ("ttl 2^32 - 1", {"ttl": (1 << 32) - 1}),
        ("cm = r", {"commitment": R.to_bytes(32, "big")}),
        ("cm = r + 1", {"commitment": (R + 1).to_bytes(32, "big")}),
        ("cm = 2^256 - 1", {"commitment": b"\xff" * 32}),
    ]:  # fmt: skip
        invalid.append({"name": name, "bytes": payload(**payload_fields("pull", **changes)).hex()})
    draft = payload(**payload_fields("pull", seq=0))
    return {"valid": valid, "draft": draft.hex(), "invalid": invalid}


# --- sections 3 and 8 -------------------------------------------------------


def hash_vectors():
    d = []
    for label, parts in [
        ("", []), ("TD-V1-pk", []), ("TD-V1-pk", [b""]), ("TD-V1-pk", [b"", b""]),
        ("TD-V1-scope", [b"ab", b"c"]), ("TD-V1-scope", [b"a", b"bc"]), ("TD-V1-scope", [b"abc"]),
        ("TD-V1-pk", [noise("d", 1952)]), ("x" * 255, [b"\0" * 64]),
    ]:  # fmt: skip
        d.append({"label": label, "parts": [p.hex() for p in parts], "digest": D(label, *parts).hex()})
    h = []
    for size in (0, 1, 32, 55, 56, 63, 64, 65, 256, 3373):
        m = noise("h2f", size)
        h.append(h2f_vector("TD-V1-context", m))
    for label in ("", "TD-V1-tag", "TD-V1-anchor", "TD-V1-event", "TD-V1-claim", "y" * 232):
        h.append(h2f_vector(label, b"the same message"))
    return {"d": d, "h2f": h}


def h2f_vector(label, m):
    dst = (label + SUFFIX).encode()
    return {
        "label": label,
        "message": m.hex(),
        "uniform": expand_message_xmd(m, dst, 48).hex(),
        "element": H2F(label, m).hex(),
    }


def poseidon_vectors():
    keys = [enc(k).hex() for k in all_keys(8, 56)]
    pairs = [(0, 0), (0, 1), (1, 0), (1, 1), (R - 1, R - 1), (R - 1, 1), (1 << 64, (1 << 128) + 1)]
    pairs += [(element(f"x{i}"), element(f"y{i}")) for i in range(5)]
    out = []
    for x, y in pairs:
        p = poseidon2(x, y)
        out.append({
            "x": enc(x).hex(), "y": enc(y).hex(),
            "permutation": [enc(p[0]).hex(), enc(p[1]).hex()], "c": enc(C(x, y)).hex(),
        })  # fmt: skip
    x, y = pairs[-1]
    wrong = [
        {"name": "arguments exchanged", "c": enc(C(y, x)).hex()},
        {"name": "x added instead of y", "c": enc(poseidon2(x, y)[1] + x).hex()},
        {"name": "first output instead of second", "c": enc(poseidon2(x, y)[0] + y).hex()},
        {"name": "nothing added", "c": enc(poseidon2(x, y)[1]).hex()},
        {"name": "6 full and 50 partial rounds", "c": enc(poseidon2(x, y, 6, 50)[1] + y).hex()},
    ]
    return {"round_keys": keys, "c": out, "wrong": {"x": enc(x).hex(), "y": enc(y).hex(), "values": wrong}}


def anchor_of(pk, p, signature):
    return H2F("TD-V1-anchor", D("TD-V1-pk", pk) + D("TD-V1-payload", p) + signature)


def derivation_vectors():
    pk, sig = noise("ML-DSA public key", 1952), noise("ML-DSA signature", 3309)
    key = noise("HMAC key", 32)
    p = payload(**payload_fields("pull"))
    tag = hmac.new(key, p, "sha256").digest()
    salt, rid, a = noise("salt", 32), p[16:32], anchor_of(pk, p, sig)
    cm = p[112:144]
    params = b'{"at":["/a","/b"],"hi":9,"lo":1,"scale":0}'
    vk = noise("verifying key", 404)
    srs = bytes.fromhex("bfe6bde32861347be66bd8af2f1be07c541971b46eb485cfa403eb1a2e846695")
    members = sorted(enc(C(element(f"secret {i}"), 1)) for i in range(3))
    listid = D("TD-V1-list", b"board", *members)
    sum256 = sha256(p)
    handover = {
        "origin": "terradourada/0123456789abcdef", "previous": noise("previous epoch", 16), "next": p[64:80],
        "number": 8, "key": noise("checkpoint key", 32), "size": 1234, "root": noise("root", 32),
    }  # fmt: skip
    digest = D("TD-V1-handover", handover["origin"].encode(), handover["previous"], handover["next"],
               u64(8), handover["key"], u64(1234), handover["root"])  # fmt: skip
    pkd, pd = D("TD-V1-pk", pk), D("TD-V1-payload", p)
    wrong = {
        "anchor": {
            "public key and payload exchanged": H2F("TD-V1-anchor", pd + pkd + sig),
            "no public key": H2F("TD-V1-anchor", pd + sig),
            "no payload": H2F("TD-V1-anchor", pkd + sig),
            "public key not hashed": H2F("TD-V1-anchor", pk + pd + sig),
            "SHA-256 instead of D": H2F("TD-V1-anchor", sha256(pk) + sum256 + sig),
            "signature one byte short": H2F("TD-V1-anchor", pkd + pd + sig[:-1]),
            "label of the context": H2F("TD-V1-context", pkd + pd + sig),
            "no suffix": enc(H2F_int("TD-V1-anchor", pkd + pd + sig, suffix="")),
            "L = 32": enc(H2F_int("TD-V1-anchor", pkd + pd + sig, size=32)),
            "another payload": anchor_of(pk, payload(**payload_fields("push", mode=1)), sig),
        },
        "tag": {
            "plain SHA-256": sha256(key + p),
            "key and payload exchanged": hmac.new(p, key, "sha256").digest(),
            "another payload": hmac.new(key, payload(**payload_fields("push", mode=1)), "sha256").digest(),
        },
        "t": {
            "label of the context": H2F("TD-V1-context", tag),
            "tag truncated to 16 bytes": H2F("TD-V1-tag", tag[:16]),
            "tag reduced, not hashed": enc(int.from_bytes(tag, "big")),
        },
        "epoch": {
            "keys exchanged": D("TD-V1-epoch", handover["key"], pk)[:16],
            "no checkpoint key": D("TD-V1-epoch", pk)[:16],
            "keys in one part": D("TD-V1-epoch", pk + handover["key"])[:16],
            "the last 16 bytes": D("TD-V1-epoch", pk, handover["key"])[16:],
        },
        "c": {
            "label of the tag": H2F("TD-V1-tag", p),
            "digest of the payload": H2F("TD-V1-context", D("TD-V1-payload", p)),
        },
    }
    return {
        "public_key": pk.hex(), "signature": sig.hex(), "signature_context": "TD-V1-origin",
        "payload": p.hex(), "public_key_digest": pkd.hex(), "payload_digest": pd.hex(), "anchor": a.hex(),
        "key": key.hex(), "tag": tag.hex(), "t": H2F("TD-V1-tag", tag).hex(), "c": H2F("TD-V1-context", p).hex(),
        "issued": D("TD-V1-issued", rid, sum256, a).hex(),
        "client": {"salt": salt.hex(), "id": "local", "commitment": D("TD-V1-client", salt, b"local").hex()},
        "statement": {"claim": "sum/1", "params": params.decode(), "commitment": cm.hex(),
                      "digest": D("TD-V1-statement", b"sum/1", params, cm).hex()},
        "vk": {"encoding": vk.hex(), "srs": srs.hex(), "claim": "open/1", "list": bytes(32).hex(),
               "fingerprint": D("TD-V1-vk", b"open/1", bytes(32), srs, vk).hex(),
               "group_list": listid.hex(), "group_fingerprint": D("TD-V1-vk", b"group/1", listid, srs, vk).hex()},
        "list": {"name": "board", "members": [m.hex() for m in members], "id": listid.hex(),
                 "scope_text": "2026-11/budget", "scope": scope("board", "2026-11/budget").hex()},
        "reason": {"salt": salt.hex(), "text": "key rotation", "digest": D("TD-V1-reason", salt, b"key rotation").hex()},
        "actor": {"salt": salt.hex(), "text": "uid 1000", "digest": D("TD-V1-actor", salt, b"uid 1000").hex()},
        "incident": {"salt": salt.hex(), "actor": "uid 1000", "target": "3", "text": "key rotation",
                     "digest": D("TD-V1-incident", salt, b"uid 1000", b"3", b"key rotation").hex()},
        "handover": {**{k: v.hex() if isinstance(v, bytes) else v for k, v in handover.items()}, "digest": digest.hex()},
        "epoch": {"checkpoint_key": handover["key"].hex(), "id": D("TD-V1-epoch", pk, handover["key"])[:16].hex()},
        "wrong": {k: [{"name": n, "value": v.hex()} for n, v in w.items()] for k, w in wrong.items()},
    }  # fmt: skip


def scope(name, text):
    return H2F("TD-V1-scope", D("TD-V1-scope", name.encode(), text.encode()))


# --- section 4 --------------------------------------------------------------


def jcs_vectors():
    good = [
        "{}", " \t\r\n{ } \n", '{"b":1,"a":2}', '{"a":{"d":[1,{"z":0,"y":null}],"c":true}}',
        '{"n":[0,-0,0.0,-0.0e5,0e999999999999999999,1.0,0.1,1E3,1e21,1e20,123e-7,1e-6,1e-7]}',
        '{"n":[5e-324,2.2250738585072014e-308,1.7976931348623157e308,-1.5,9007199254740992,9007199254740994]}',
        '{"n":[4.50,2e-3,1E30,0.000000000000000000000000001,333333333.3333333,1000000000000000000000]}',
        '{"s":"\\u20ac$\\u000f\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/\\u007f\\b\\f\\t"}',
        '{"\\ufb33":1,"\\ud83d\\ude02":2,"\\u20ac":3,"\\r":4,"1":5,"\\u0080":6,"\\u00f6":7,"":8}',
        '{"\\uffff":1,"\\ud800\\udc00":2,"\\ue000":3}',
        '{"a":"\\u0000","A":"e\\u0301","\\u00e9":"\\u00e9"}',
        '{"n":0.' + "0" * 1000 + "1e1001}", '{"n":1' + "0" * 1000 + "e-1000}", '{"n":1e' + "0" * 500 + "2}",
    ]  # fmt: skip
    deep = '{"a":' + "[" * 31 + "]" * 31 + "}"
    wide = "{" + ",".join(f'"{i}":{i}' for i in range(1024)) + "}"
    long = '{"a":"' + "x" * (65536 - 8) + '"}'
    canon = [{"raw": t, "canonical": canonical(t)} for t in good + [deep]]
    refused = [
        ("too_large", 65536, long[:-2] + 'x"}'),
        ("too_large", 65536, "{}" + " " * 65535),
        ("bom", 0, b"\xef\xbb\xbf{}"),
        ("not_utf8", 6, b'{"a":"\xff"}'), ("not_utf8", 6, b'{"a":"\xc0\x80"}'), ("not_utf8", 2, b'{"\xe2\x82":1}'),
        ("not_utf8", 6, b'{"a":"\xf4\x90\x80\x80"}'), ("not_utf8", 0, b"\xff\xfe{\0}\0"), ("not_utf8", 7, b'{"a":1}\x80'),
        ("surrogate", 6, b'{"a":"\xed\xa0\x80"}'), ("surrogate", 6, b'{"a":"\xed\xa0\xbd\xed\xb8\x82"}'),
        ("surrogate", 6, '{"a":"\\ud800"}'), ("surrogate", 7, '{"a":"x\\uDFFF"}'), ("surrogate", 6, '{"a":"\\ud83d\\u0041"}'),
        ("surrogate", 2, '{"\\udc00\\ud800":1}'), ("surrogate", 6, '{"a":"\\ud800\\ud800"}'),
        ("syntax", None, ""), ("syntax", None, " "), ("syntax", None, "{"), ("syntax", None, ",{}"), ("syntax", None, "}"), ("syntax", None, '{"a"}'),
        ("syntax", None, '{"a":}'), ("syntax", None, '{"a":1,}'), ("syntax", None, "{,}"), ("syntax", None, '{1:2}'), ("syntax", None, "{'a':1}"),
        ("syntax", None, '{"a":+1}'), ("syntax", None, '{"a":01}'), ("syntax", None, '{"a":-01}'), ("syntax", None, '{"a":.1}'),
        ("syntax", None, '{"a":1.}'), ("syntax", None, '{"a":1e}'), ("syntax", None, '{"a":0x1}'), ("syntax", None, '{"a":NaN}'),
        ("syntax", None, '{"a":Infinity}'), ("syntax", None, '{"a":-Infinity}'), ("syntax", None, '{"a":True}'),
        ("syntax", None, '{"a":"\t"}'), ("syntax", None, '{"a":"\0"}'), ("syntax", None, '{"a":"\\x41"}'), ("syntax", None, '{"a":"\\u12"}'),
        ("syntax", None, '{"a":1 /* b */}'), ("syntax", None, '{"a":[1 2]}'), ("syntax", None, '{"a":[1,]}'), ("syntax", None, '{"a":1]'),
        ("not_an_object", 0, "[]"), ("not_an_object", 1, " [{}]"), ("not_an_object", 0, "null"), ("not_an_object", 0, '"{}"'),
        ("not_an_object", 0, "1"), ("not_an_object", 0, "true"),
        ("trailing_data", 2, "{}{}"), ("trailing_data", 3, "{} x"), ("trailing_data", 2, "{},"), ("trailing_data", 2, "{}\0"),
        ("trailing_data", 2, "{}}"),
        ("duplicate_name", 7, '{"a":1,"a":1}'), ("duplicate_name", 7, '{"a":1,"\\u0061":2}'),
        ("duplicate_name", 12, '{"b":{"a":1,"a":2}}'), ("duplicate_name", 6, '{"":1,"":2}'),
        ("too_deep", 36, '{"a":' + "[" * 32 + "]" * 32 + "}"), ("too_deep", 160, '{"a":' * 33 + "1" + "}" * 33),
        ("too_many_members", len(wide), wide[:-1] + ',"x":0}'),
        ("too_many_members", 6 + wide.index('"1023"'), '{"a":[' + wide + "]}"),
        ("inexact_number", 5, '{"a":9007199254740993}'), ("inexact_number", 5, '{"a":1e400}'), ("inexact_number", 5, '{"a":-1e400}'),
        ("inexact_number", 5, '{"a":1e-400}'), ("inexact_number", 5, '{"a":333333333.33333329}'),
        ("inexact_number", 5, '{"a":4.9e-324}'), ("inexact_number", 5, '{"a":1.7976931348623159e308}'),
        ("inexact_number", 5, '{"a":1e999999999999999999999999}'), ("inexact_number", 5, '{"a":1e-999999999999999999999999}'),
        ("inexact_number", 5, '{"a":0.30000000000000000001}'), ("inexact_number", 6, '{"a":[123456789012345678]}'),
        ("inexact_number", 5, '{"a":18446744073709551615}'), ("inexact_number", 5, '{"a":1' + "0" * 1000 + "}"),
    ]  # fmt: skip
    out = []
    for reason, offset, raw in refused:
        raw = raw if isinstance(raw, bytes) else raw.encode()
        out.append({"reason": reason, "offset": offset, "raw": runs(raw)})
    return {"canonical": canon, "limits": [runs(long.encode()), runs(wide.encode())], "refused": out}


# --- sections 5 and 6 -------------------------------------------------------


class Refused(Exception):
    pass


def resolve(doc, pointer):
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        doc = doc[int(token)] if isinstance(doc, list) else doc[token]
    return doc


def integer(number, scale, offset=0):
    text = number.text if isinstance(number, Number) else str(number)
    value = Fraction(text) * 10**scale + offset
    assert value.denominator == 1 and value >= 0
    return int(value)


def pack(values):
    return sum(v << (32 * i) for i, v in enumerate(values))


def claimed(v, p):
    """A claimed field, or a value that it is compared with."""
    if isinstance(v, str):
        return H2F_int("TD-V1-text", v.encode())
    if v is None or isinstance(v, bool):
        return H2F_int("TD-V1-literal", jcs(v).encode())
    return integer(v, p["scale"], p["offset"])


def said(text):
    """Whether a JSON number that section 4 admits has the value of a plain decimal."""
    return Fraction(es6(float(text))) == Fraction(text)


def record(p, event, r):
    """Merkle root of the eight salted fields, and the opening of the claimed one."""
    values = [0] * 8
    for i, pointer in enumerate(p["schema"]):
        field = resolve(event, pointer)
        if i == p["field"]:
            values[i] = claimed(field, p)
        else:
            values[i] = H2F_int("TD-V1-value", jcs(field).encode())
    salts = [H2F_int("TD-V1-salt", enc(r) + u8(i)) for i in range(8)]
    level = [C(v, s) for v, s in zip(values, salts)]
    path, i = [], p["field"]
    while len(level) > 1:
        path.append(level[i ^ 1])
        level = [C(level[j], level[j + 1]) for j in range(0, len(level), 2)]
        i >>= 1
    return level[0], values, salts, path


def statement(claim, params, event, r, secret=None, members=None):
    """Everything sections 5 and 6 say about one request."""
    p = plain(parse(params))
    ev = parse(event)
    e = H2F_int("TD-V1-event", event.encode())
    h = C(e, r)
    t = H2F_int("TD-V1-claim", claim.encode())
    f, extra = 0, {}
    if claim == "range/1":
        v = [integer(resolve(ev, x["at"]), p["scale"], p["offset"]) for x in p["values"]]
        lo = [integer(x["lo"], p["scale"], p["offset"]) for x in p["values"]]
        hi = [integer(x["hi"], p["scale"], p["offset"]) for x in p["values"]]
        assert all(a <= x <= b < 1 << 32 for a, x, b in zip(lo, v, hi))
        pad = [0] * (7 - len(v))
        f, public = pack(v), lo + pad + hi + pad
        extra["values"] = v
    elif claim == "sum/1":
        v = [integer(resolve(ev, at), p["scale"]) for at in p["at"]]
        lo, hi = integer(p["lo"], p["scale"]), integer(p["hi"], p["scale"])
        assert lo <= sum(v) <= hi < 1 << 36 and max(v) < 1 << 32
        extra["values"] = v
        n = len(v)
        v = v + [0] * (14 - n)
        f = C(pack(v[:7]), pack(v[7:]))
        public = [1] * n + [0] * (14 - n) + [lo, hi]
    elif claim.startswith("record-"):
        f, values, salts, path = record(p, ev, r)
        bits = [p["field"] >> i & 1 for i in range(3)]
        if claim == "record-range/1":
            assert not any(isinstance(p[k], str) and said(p[k]) for k in ("lo", "hi"))
            public = bits + [integer(p[k], p["scale"], p["offset"]) for k in ("lo", "hi")]
            assert public[3] <= values[p["field"]] <= public[4] < 1 << 64
        elif claim == "record-equals/1":
            public = bits + [claimed(p["value"], p)]
            assert values[p["field"]] == public[3]
        else:
            w = [claimed(x, p) for x in p["values"]]
            public = bits + w + [w[-1]] * (8 - len(w))
            assert values[p["field"]] in w
        extra["field_values"] = [enc(x).hex() for x in values]
        extra["salts"] = [enc(x).hex() for x in salts]
        extra["siblings"] = [enc(x).hex() for x in path]
    elif claim == "group/1":
        s = int.from_bytes(scope(p["name"], p["scope"]), "big")
        public = [s, C(secret, s)]
        assert enc(public[1]).hex() == p["nullifier"]
        assert D("TD-V1-list", p["name"].encode(), *members).hex() == p["list"]
        assert enc(C(secret, 1)) in members
        extra = {"secret": enc(secret).hex(), "member": enc(C(secret, 1)).hex(), "members": [m.hex() for m in members]}
    else:
        public = []
    cm = C(h, (f + t) % R)
    return {
        "claim": claim, "params": params, "event": event, "blind": enc(r).hex(), "e": enc(e).hex(), "h": enc(h).hex(),
        "t_claim": enc(t).hex(), "f": enc(f).hex(), "cm": enc(cm).hex(), "s": [enc(x).hex() for x in [cm] + public],
        "statement": D("TD-V1-statement", claim.encode(), params.encode(), enc(cm)).hex(), **extra,
    }  # fmt: skip


def plain(v):
    """Integers as ints, where params are read as structure."""
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, list):
        return [plain(x) for x in v]
    if isinstance(v, Number) and Fraction(v.text).denominator == 1:
        return int(Fraction(v.text))
    return v


LOT = canonical(
    '{"lot":"A-17","readings":[64.25,70,78.5],"low":-5.5,"zero":-0,"big":42949672.95,"note":"caf\\u00e9",'
    '"ok":true,"grade":2,"tags":["x",{"y":1.50}],"serial":18446744073700000000,"a/b":{"m~n":7},"empty":null}'
)
SALES = canonical('{"m":[10,20,30,40,50,60,70,80,90,100,110,120,130,140],"half":0.5,"max":4294967295}')
SCHEMA = ["/lot", "/grade", "/low", "/tags", "/ok", "/empty", "/a~1b/m~0n", "/serial"]


def claims_positive():
    def values(*rows):
        return [dict(zip(("at", "lo", "hi"), row)) for row in rows]

    members = sorted(enc(C(element(f"secret {i}"), 1)) for i in range(5))
    one = [enc(C(element("secret 0"), 1))]

    def group(name, text, secret, members):
        s = int.from_bytes(scope(name, text), "big")
        listid = D("TD-V1-list", name.encode(), *members).hex()
        return {"list": listid, "name": name, "scope": text, "nullifier": enc(C(secret, s)).hex()}

    rec = {"schema": SCHEMA, "scale": 1, "offset": 0}
    number = Number
    cases = [
        ("open/1", {}, LOT),
        ("open/1", {}, "{}"),
        ("range/1", {"values": values(("/readings/0", 60, 80), ("/readings/1", 70, 70), ("/readings/2", number("78.01"), 80)),
                     "scale": 2, "offset": 0}, LOT),
        ("range/1", {"values": values(("/low", -10, 0), ("/zero", -1, 1)), "scale": 1, "offset": 400}, LOT),
        ("range/1", {"values": values(("/big", 0, number("42949672.95"))), "scale": 2, "offset": 0}, LOT),
        ("range/1", {"values": values(*((f"/m/{i}", 10 * i, 200 + i) for i in range(7))), "scale": 0, "offset": 0}, SALES),
        ("sum/1", {"at": ["/m/0", "/m/1", "/m/2"], "lo": 60, "hi": 60, "scale": 0}, SALES),
        ("sum/1", {"at": [f"/m/{i}" for i in range(14)], "lo": 0, "hi": 68719476735, "scale": 0}, SALES),
        ("sum/1", {"at": ["/half", "/m/13"], "lo": 140, "hi": number("140.5"), "scale": 1}, SALES),
        ("sum/1", {"at": ["/max"], "lo": 4294967295, "hi": 4294967296, "scale": 0}, SALES),
        ("record-range/1", {**rec, "field": 1, "lo": 1, "hi": number("9.5")}, LOT),
        ("record-range/1", {**rec, "offset": 100, "field": 2, "lo": -10, "hi": 0}, LOT),
        ("record-range/1", {**rec, "scale": 0, "offset": 9551615, "field": 7, "lo": 0, "hi": 18446744073700000000}, LOT),
        ("record-range/1", {"schema": ["/grade"], "field": 0, "lo": 2, "hi": 2, "scale": 18, "offset": 0}, LOT),
        ("record-equals/1", {**rec, "field": 0, "value": "A-17"}, LOT),
        ("record-equals/1", {**rec, "field": 6, "value": 7}, LOT),
        ("record-equals/1", {"schema": ["/lot", "/note"], "field": 1, "value": "caf\u00e9", "scale": 0, "offset": 0}, LOT),
        ("record-oneof/1", {**rec, "field": 0, "values": ["A-16", "A-17", "A-18"]}, LOT),
        ("record-oneof/1", {**rec, "field": 1, "values": [1, 2, 3, 4, 5, 6, 7, "two"]}, LOT),
        ("record-oneof/1", {**rec, "field": 1, "values": [2]}, LOT),
        ("group/1", group("board", "2026-11/budget", element("secret 3"), members), canonical('{"vote":"yes"}')),
        ("group/1", group("board", "2026-11/budget", element("secret 0"), one), canonical('{"vote":"no"}')),
        # Bounds that no JSON number says.
        ("record-range/1", {**rec, "scale": 0, "field": 7, "lo": 0, "hi": "18446744073709551615"}, LOT),
        ("record-range/1", {**rec, "scale": 0, "field": 7, "lo": "18446744073699999999", "hi": "18446744073700000001"}, LOT),
        ("record-range/1", {**rec, "scale": 0, "offset": 1, "field": 7, "lo": 1, "hi": "18446744073709551614"}, LOT),
        ("record-range/1", {**rec, "scale": 0, "offset": -9007199254740991, "field": 7, "lo": "9007199254740993", "hi": "18446744073709551615"}, LOT),
        ("record-range/1", {"schema": ["/big"], "field": 0, "lo": 0, "hi": "184467440737095516.15", "scale": 2, "offset": 0}, LOT),
        ("record-range/1", {"schema": ["/grade"], "field": 0, "lo": "1.000000000000000001", "hi": "18.446744073709551615",
                            "scale": 18, "offset": 0}, LOT),
        ("record-range/1", {"schema": ["/low"], "field": 0, "lo": "-90.07199254740991", "hi": -5, "scale": 14,
                            "offset": 9007199254740991}, LOT),
        ("record-equals/1", {**rec, "field": 4, "value": True}, LOT),
        ("record-equals/1", {**rec, "field": 5, "value": None}, LOT),
        ("record-equals/1", {"schema": ["/x"], "field": 0, "value": False, "scale": 0, "offset": 0}, '{"x":false}'),
        ("record-equals/1", {"schema": ["/x"], "field": 0, "value": "true", "scale": 0, "offset": 0}, '{"x":"true"}'),
        ("record-equals/1", {"schema": ["/x"], "field": 0, "value": "18446744073709551615", "scale": 0, "offset": 0},
         '{"x":"18446744073709551615"}'),
        ("record-oneof/1", {**rec, "field": 4, "values": [None, False, "x", 1, True]}, LOT),
        ("record-oneof/1", {**rec, "field": 5, "values": [None]}, LOT),
    ]  # fmt: skip
    out = []
    for i, (claim, params, event) in enumerate(cases):
        kw = {}
        if claim == "group/1":
            kw = {"secret": element("secret 3"), "members": members}
            if params["list"] == D("TD-V1-list", b"board", *one).hex():
                kw = {"secret": element("secret 0"), "members": one}
        out.append(statement(claim, jcs(params), event, element(f"blind {i}"), **kw))
    return out


def claims_negative():
    """Parameters that section 6 refuses as malformed, and events it cannot encode."""
    def values(n=1, at="/m/%d", lo=0, hi=1):
        return [{"at": at % i if "%" in at else at, "lo": lo, "hi": hi} for i in range(n)]

    def rng(v, scale=0, offset=0):
        return {"values": v, "scale": scale, "offset": offset}

    def summed(**kw):
        return {"at": ["/m/0", "/m/1"], "lo": 0, "hi": 9, "scale": 0, **kw}

    def rec(**kw):
        return {"schema": ["/a", "/b"], "field": 0, "scale": 0, "offset": 0, **kw}

    def grp(**kw):
        g = {"list": "ab" * 32, "name": "board", "scope": "s", "nullifier": enc(element("n")).hex()}
        return {k: v for k, v in {**g, **kw}.items() if v is not None}

    def without(d, name):
        return {k: v for k, v in d.items() if k != name}

    number = Number
    params = []

    def bad(rule, claim, p):
        params.append({"rule": rule, "claim": claim, "params": p if isinstance(p, str) else jcs(p), "code": "malformed_request"})

    for c, good in [
        ("open/1", {}), ("range/1", rng(values())), ("sum/1", summed()), ("record-range/1", rec(lo=0, hi=1)),
        ("record-equals/1", rec(value=1)), ("record-oneof/1", rec(values=[1])), ("group/1", grp()),
    ]:  # fmt: skip
        text = jcs(good)
        bad("white space", c, text.replace("{", "{ ", 1))
        bad("unknown member", c, {**good, "zz": 1})
        bad("trailing data", c, text + " ")
        bad("not an object", c, "[" + text + "]")
        bad("longer than 2 KiB", c, {**good, "zz": "x" * 2048})
        if good:
            first = sorted(good)[0]
            bad("duplicate member", c, text[:-1] + "," + jcs(first) + ":" + jcs(good[first]) + "}")
            bad("members not in order", c, "{" + ",".join(jcs(k) + ":" + jcs(good[k]) for k in sorted(good, reverse=True)) + "}")
        for name in good:
            bad("member missing: " + name, c, without(good, name))
            if (c, name) != ("record-equals/1", "value"):
                bad("member null: " + name, c, {**good, name: None})
    for pointer in ["", "m", "m/0", "/m~2", "/m~", "/m/01", "/m/00", "/m/-", "/~3/a"]:
        bad("pointer " + json.dumps(pointer), "range/1", rng(values(at=pointer)))
        bad("pointer " + json.dumps(pointer), "sum/1", summed(at=[pointer]))
        bad("pointer " + json.dumps(pointer), "record-equals/1", rec(schema=[pointer], value=1))
    bad("pointer is a number", "sum/1", summed(at=[1]))
    for name in ("scale", "offset"):
        limits = {"scale": ["19", "-1", "0.5", "1e+21"], "offset": ["9007199254740992", "-9007199254740992", "0.5", "1e+21"]}[name]
        for v in [number(x) for x in limits] + ["0", True]:
            what = f"{name} {jcs(v)}"
            bad(what, "range/1", {**rng(values()), name: v})
            bad(what, "record-range/1", {**rec(lo=0, hi=1), name: v})
            if name == "scale":
                bad(what, "sum/1", summed(scale=v))
    bad("number not in canonical form", "range/1", jcs(rng(values())).replace('"scale":0', '"scale":0.0'))
    bad("pointer twice", "range/1", rng(values(2, at="/m")))
    bad("pointer twice", "sum/1", summed(at=["/a", "/b", "/a"]))
    bad("pointer twice", "record-range/1", rec(schema=["/a", "/a"], lo=0, hi=1))
    bad("no values", "range/1", rng([]))
    bad("eight values", "range/1", rng(values(8)))
    bad("no pointers", "sum/1", summed(at=[]))
    bad("fifteen pointers", "sum/1", summed(at=[f"/m/{i}" for i in range(15)]))
    bad("no schema", "record-range/1", rec(schema=[], lo=0, hi=1))
    bad("nine pointers", "record-range/1", rec(schema=[f"/{c}" for c in "abcdefghi"], lo=0, hi=1))
    bad("no values", "record-oneof/1", rec(values=[]))
    bad("nine values", "record-oneof/1", rec(values=list(range(9))))
    for claim, make, bits in [
        ("range/1", lambda lo, hi, s=0: rng(values(lo=lo, hi=hi), scale=s), 32),
        ("sum/1", lambda lo, hi, s=0: summed(lo=lo, hi=hi, scale=s), 36),
        ("record-range/1", lambda lo, hi, s=0: rec(lo=lo, hi=hi, scale=s), 64),
    ]:
        top = {32: number("4294967296"), 36: number("68719476736"), 64: number("18446744073709552000")}[bits]
        bad("lo above hi", claim, make(2, 1))
        bad("lo below 0", claim, make(-1, 1))
        bad("hi = 2^%d" % bits, claim, make(0, top))
        bad("hi too large by its exponent", claim, make(0, number("1e300")))
        bad("bound not exact", claim, make(0, number("0.001"), 2))
        bad("bound is a text", claim, make("0", 1))
        bad("bound is an array", claim, make(0, [1]))
    bad("bound below 0 after the offset", "range/1", rng(values(lo=4, hi=9), offset=-5))
    for v in [-1, 2, number("0.5"), "0", True, 8]:
        bad(f"field {jcs(v)}", "record-range/1", rec(lo=0, hi=1, field=v))
    for v in [[1], [], {}, [True], -1, number("0.5"), number("18446744073709552000")]:
        bad(f"value {jcs(v)}", "record-equals/1", rec(value=v))
        bad(f"value {jcs(v)}", "record-oneof/1", rec(values=[1, v]))
    low = "-90.07199254740991"  # 0 after scale 14 and offset 2^53 - 1
    bad("bounds are texts, though no number says them", "range/1", rng(values(lo=low, hi=low), 14, 9007199254740991))
    bad("bound is a text, though no number says it", "sum/1", summed(hi="18446744073709551615"))
    for what, text in [
        ("a number says it", "1"), ("a number says it", "0"), ("a number says it", "9007199254740992"), ("a number says it", "18446744073709550000"),
        ("a number says it", "0.5"), ("2^64", "18446744073709551616"), ("above 2^64", "99999999999999999999999"), ("negative", "-18446744073709551615"),
        ("minus zero", "-0"), ("minus zero", "-0.0"), ("leading zero", "018446744073709551615"), ("leading zero", "00"), ("plus", "+18446744073709551615"),
        ("exponent", "18446744073709551615e0"), ("exponent", "1.8446744073709551615e19"), ("exponent", "18446744073709551615E0"),
        ("trailing zero", "18446744073709551615.0"), ("trailing zero", "9007199254740993.50"), ("no fraction", "18446744073709551615."),
        ("no whole part", ".18446744073709551615"), ("not exact", "18446744073709551614.5"), ("not exact", "0.18446744073709551615"),
        ("white space", "18446744073709551615 "), ("white space", " 18446744073709551615"), ("white space", "18446744073709551615\n"),
        ("two numbers", "18446744073709551615,1"), ("two numbers", "18446744073709551615-1"), ("two points", "1844674407.370955.1615"),
        ("two signs", "--18446744073709551615"), ("hexadecimal", "0xffffffffffffffff"), ("grouped", "18_446_744_073_709_551_615"),
        ("other digits", "\u0661\u0668446744073709551615"), ("no number", ""), ("no number", "-"), ("no number", "."), ("no number", "NaN"),
        ("no number", "Infinity"), ("no number", "true"), ("no number", '"18446744073709551615"'), ("no number", "[18446744073709551615]"),
    ]:  # fmt: skip
        bad("bound is a text: " + what, "record-range/1", rec(lo=0, hi=text))
        bad("bound is a text: " + what, "record-range/1", rec(lo=text, hi="18446744073709551615"))
    bad("bound is a text: trailing zero", "record-range/1", rec(lo=0, hi="184467440737095516.150", scale=3))
    bad("bound is a text: not exact", "record-range/1", rec(lo=0, hi="184467440737095516.15", scale=1))
    bad("bound is a text: above 2^64 by the scale", "record-range/1", rec(lo=0, hi="184467440737095516.16", scale=2))
    bad("bound is a text: above 2^64 by the offset", "record-range/1", rec(lo=0, hi="18446744073709551615", offset=1))
    bad("bound is a text: below 0", "record-range/1", rec(lo="-90.07199254740991", hi=0, scale=14, offset=9007199254740990))
    bad("bound is a text: lo above hi", "record-range/1", rec(lo="18446744073709551615", hi="18446744073709551614"))
    for v in [True, False, None, [], {}]:
        bad("bound is " + jcs(v), "record-range/1", rec(lo=v, hi=9))
        bad("bound is " + jcs(v), "record-range/1", rec(lo=0, hi=v))
    for v in [True, False, None, "a"]:
        bad("values are " + jcs(v), "record-oneof/1", rec(values=v))
    bad("entry with an unknown member", "range/1", rng([{"at": "/m", "lo": 0, "hi": 1, "x": 1}]))
    bad("entry without hi", "range/1", rng([{"at": "/m", "lo": 0}]))
    bad("values not a list", "range/1", rng({"at": "/m", "lo": 0, "hi": 1}))
    for v in ["", "ab" * 31, "ab" * 33, "AB" * 32, "zz" * 32]:
        bad("list " + json.dumps(v), "group/1", grp(list=v))
    for v in ["", "ab" * 31, "AB" * 32, R.to_bytes(32, "big").hex(), "ff" * 32]:
        bad("nullifier " + json.dumps(v), "group/1", grp(nullifier=v))
    for v in ["", "x" * 129, "A", "a b", "a\n", "\u00e9", "a%2f"]:
        bad("scope " + json.dumps(v)[:20], "group/1", grp(scope=v))
    for c in ["", "open", "open/2", "OPEN/1", "open/1 ", "range"]:
        params.append({"rule": f"claim {json.dumps(c)}", "claim": c, "params": "{}", "code": "unknown_claim"})

    events = []

    def unencodable(rule, claim, p, event):
        events.append({"rule": rule, "claim": claim, "params": jcs(p), "event": canonical(event), "code": "event_not_encodable"})

    r1 = lambda at, scale=0, offset=0: rng([{"at": at, "lo": 0, "hi": 4294967295 if scale == 0 else 1}], scale, offset)
    for rule, at, event in [
        ("member missing", "/a", '{"b":1}'), ("item missing", "/a/2", '{"a":[0,1]}'), ("through a number", "/a/b", '{"a":1}'),
        ("through a text", "/a/0", '{"a":"xyz"}'), ("other case", "/A", '{"a":1}'),
        ("text", "/a", '{"a":"1"}'), ("true", "/a", '{"a":true}'), ("null", "/a", '{"a":null}'), ("array", "/a", '{"a":[1]}'),
        ("object", "/a", '{"a":{"b":1}}'), ("not an integer", "/a", '{"a":0.5}'), ("negative", "/a", '{"a":-1}'),
        ("2^32", "/a", '{"a":4294967296}'), ("huge", "/a", '{"a":1e300}'), ("tiny", "/a", '{"a":1e-300}'),
    ]:  # fmt: skip
        unencodable(rule, "range/1", r1(at), event)
        unencodable(rule, "sum/1", {"at": [at], "lo": 0, "hi": 1, "scale": 0}, event)
    unencodable("one digit too many", "range/1", r1("/a", 2), '{"a":0.001}')
    unencodable("too large after scale", "range/1", r1("/a", 2), '{"a":42949672.96}')
    unencodable("negative after offset", "range/1", {"values": [{"at": "/a", "lo": 10, "hi": 11}], "scale": 0, "offset": -10}, '{"a":9}')
    for claim, rest in [("record-range/1", {"lo": 0, "hi": 1}), ("record-equals/1", {"value": 1}), ("record-oneof/1", {"values": [1]})]:
        for rule, event in [
            ("claimed field missing", '{"b":1}'), ("another listed field missing", '{"a":1}'),
            ("claimed field an array", '{"a":[1],"b":1}'), ("claimed field an empty array", '{"a":[],"b":1}'),
            ("claimed field an object", '{"a":{"b":1},"b":1}'), ("claimed field an empty object", '{"a":{},"b":1}'),
            ("not an integer", '{"a":0.5,"b":1}'), ("negative", '{"a":-1,"b":1}'), ("2^64", '{"a":18446744073709552000,"b":1}'),
        ]:  # fmt: skip
            unencodable(rule, claim, rec(**rest), event)

    false = []

    def untrue(rule, claim, p, event):
        false.append({"rule": rule, "claim": claim, "params": jcs(p), "event": canonical(event), "code": "statement_false"})

    three = '{"m":[5,6,7],"t":"x"}'
    untrue("below lo", "range/1", rng([{"at": "/m/0", "lo": 6, "hi": 9}]), three)
    untrue("above hi", "range/1", rng([{"at": "/m/0", "lo": 5, "hi": 5}, {"at": "/m/2", "lo": 0, "hi": 6}]), three)
    untrue("sum below lo", "sum/1", summed(at=["/m/0", "/m/1"], lo=12, hi=20), three)
    untrue("sum above hi", "sum/1", summed(at=["/m/0", "/m/1"], lo=0, hi=10), three)
    untrue("below lo", "record-range/1", rec(schema=["/m/0", "/t"], lo=6, hi=9), three)
    untrue("above hi", "record-range/1", rec(schema=["/m/0", "/t"], lo=0, hi=4), three)
    untrue("a text is in no range", "record-range/1", rec(schema=["/m/0", "/t"], field=1, lo=0, hi=9), three)
    for v in ("true", "false", "null"):
        untrue(v + " is in no range", "record-range/1", rec(lo=0, hi="18446744073709551615"), '{"a":%s,"b":1}' % v)
    untrue("below a lo that no number says", "record-range/1", rec(lo="9007199254740993", hi="18446744073709551615"), '{"a":9007199254740992,"b":1}')
    untrue("above a hi that no number says", "record-range/1", rec(lo=0, hi="9007199254740993"), '{"a":9007199254740994,"b":1}')
    for name, value, event in [
        ("the text true", "true", "true"), ("the literal true", True, '"true"'), ("1", 1, "true"), ("the literal true", True, "1"),
        ("true", True, "false"), ("false", False, "true"), ("0", 0, "false"), ("the literal false", False, "0"), ("the text false", "false", "false"),
        ("the text null", "null", "null"), ("the literal null", None, '"null"'), ("0", 0, "null"), ("the literal null", None, "0"),
        ("the empty text", "", "null"), ("the literal null", None, '""'), ("false", False, "null"), ("null", None, "false"),
        ("the text of a number", "18446744073709552000", "18446744073709550000"),
    ]:  # fmt: skip
        untrue(f"{name} is not {event}", "record-equals/1", rec(value=value), '{"a":%s,"b":1}' % event)
        untrue(f"{name} is not {event}", "record-oneof/1", rec(values=[value, "x"]), '{"a":%s,"b":1}' % event)
    untrue("another number", "record-equals/1", rec(schema=["/m/0", "/t"], value=6), three)
    untrue("another text", "record-equals/1", rec(schema=["/m/0", "/t"], field=1, value="y"), three)
    untrue("a text that looks like the number", "record-equals/1", rec(schema=["/m/0", "/t"], value="5"), three)
    untrue("none of them", "record-oneof/1", rec(schema=["/m/0", "/t"], values=[1, 2, 3, "x"]), three)
    return {"params": params, "events": events, "false": false}


def literal_vectors():
    """The elements of true, false and null as claimed values, and mistakes."""
    out = []
    for name, number in ("true", 1), ("false", 0), ("null", 0):
        out.append({"literal": name, "element": H2F("TD-V1-literal", name.encode()).hex(), "wrong": [
            H2F("TD-V1-text", name.encode()).hex(), H2F("TD-V1-value", name.encode()).hex(), enc(number).hex(),
            H2F("TD-V1-literal", json.dumps(name).encode()).hex(), H2F("TD-V1-literal", name.title().encode()).hex(),
            H2F("TD-V1-literal", u8(number)).hex(),
        ]})  # fmt: skip
    return out


def claim_vectors():
    return {"statements": claims_positive(), **claims_negative(), "literals": literal_vectors()}


# --- section 12 -------------------------------------------------------------

ORIGIN = "terradourada/0123456789abcdef"


def issued_leaves(n):
    """What an epoch issued: request id, payload, anchor and digest of each."""
    out = []
    for i in range(n):
        p, a = payload(**payload_fields(f"issued {i}", epoch_id=noise("epoch", 16), seq=i + 1)), enc(element(f"anchor {i}"))
        out.append((p[16:32], p, a, D("TD-V1-issued", p[16:32], sha256(p), a)))
    return out


def issued_message(size, root, origin=ORIGIN, epoch=None, label="TD-V1-issued-root"):
    return D(label, origin.encode(), noise("epoch", 16) if epoch is None else epoch, u64(size), root)


def issued_vectors():
    seed, epoch, leaves = noise("checkpoint seed", 32), noise("epoch", 16), issued_leaves(9)
    digests = [x[3] for x in leaves]

    def wrongs(rows):
        return [{"name": name, "message": m.hex(), "signature": ed25519_sign(seed, m).hex()} for name, m in rows]

    trees = []
    for size in (0, 1, 2, 3, 4, 5, 7, 8, 9):
        root = tree_root(digests[:size])
        message = issued_message(size, root)
        trees.append({
            "size": size, "root": root.hex(), "message": message.hex(), "signature": ed25519_sign(seed, message).hex(),
            "paths": [[h.hex() for h in tree_path(i, digests[:size])] for i in range(size)],
        })  # fmt: skip
    rid, p, a, _ = leaves[6]
    some, root = digests[:7], tree_root(digests[:7])
    parts = (ORIGIN.encode(), epoch, u64(7), root)
    new = {
        "previous": epoch, "id": noise("next epoch", 16), "number": 8, "key": ed25519_key(noise("next checkpoint seed", 32)),
        "size": 1234, "root": noise("log root", 32),
    }  # fmt: skip

    def handover(origin=ORIGIN, label="TD-V1-handover", order="previous id number key size root", **changes):
        fields = {**new, **changes}
        return D(label, origin.encode(), *(u64(v) if isinstance(v, int) else v for v in (fields[k] for k in order.split())))

    message = handover()
    assert message == D("TD-V1-handover", ORIGIN.encode(), new["previous"], new["id"], u64(8), new["key"], u64(1234), new["root"])
    return {
        "seed": seed.hex(), "key": ed25519_key(seed).hex(), "origin": ORIGIN, "epoch": epoch.hex(),
        "leaves": [dict(zip(("request_id", "payload", "anchor", "digest"), (x.hex() for x in row))) for row in leaves],
        "trees": trees,
        "handover": {**{k: v.hex() if isinstance(v, bytes) else v for k, v in new.items()},
                     "message": message.hex(), "signature": ed25519_sign(seed, message).hex()},
        "wrong": {
            "digests": [{"name": name, "value": v.hex()} for name, v in [
                ("label of the root", D("TD-V1-issued-root", rid, sha256(p), a)),
                ("payload not hashed", D("TD-V1-issued", rid, p, a)),
                ("payload under its own label", D("TD-V1-issued", rid, D("TD-V1-payload", p), a)),
                ("anchor before payload", D("TD-V1-issued", rid, a, sha256(p))),
                ("no request id", D("TD-V1-issued", sha256(p), a)),
                ("anchor of another payload", D("TD-V1-issued", rid, sha256(p), leaves[5][2])),
            ]],
            "roots": [{"name": name, "value": v.hex()} for name, v in [
                ("leaves without prefix", tree_root(some, zero=b"")),
                ("nodes without prefix", tree_root(some, one=b"")),
                ("prefixes exchanged", tree_root(some, b"\1", b"\0")),
                ("one leaf less", tree_root(some[:6])),
                ("leaves backwards", tree_root(some[::-1])),
                ("last leaf repeated to a power of two", tree_root(some + some[6:])),
            ]],
            "signed": wrongs([
                ("label of a leaf", issued_message(7, root, label="TD-V1-issued")),
                ("another origin", issued_message(7, root, origin="terradourada/0123456789abcdee")),
                ("no origin", D("TD-V1-issued-root", *parts[1:])),
                ("another epoch", issued_message(7, root, epoch=noise("another epoch", 16))),
                ("no epoch", D("TD-V1-issued-root", ORIGIN.encode(), u64(7), root)),
                ("epoch before origin", D("TD-V1-issued-root", epoch, ORIGIN.encode(), u64(7), root)),
                ("another size", issued_message(8, root)),
                ("size missing", D("TD-V1-issued-root", ORIGIN.encode(), epoch, root)),
                ("size in 4 bytes", D("TD-V1-issued-root", ORIGIN.encode(), epoch, u32(7), root)),
                ("size little-endian", D("TD-V1-issued-root", ORIGIN.encode(), epoch, u64(7)[::-1], root)),
                ("root before size", D("TD-V1-issued-root", ORIGIN.encode(), epoch, root, u64(7))),
                ("root of one leaf less", issued_message(7, tree_root(some[:6]))),
                ("no lengths", sha256(b"TD-V1-issued-root" + b"".join(parts))),
                ("the root itself", root),
            ]),
            "handover": wrongs([
                ("label of an issued root", handover(label="TD-V1-issued-root")),
                ("another origin", handover(origin="terradourada/0123456789abcdee")),
                ("epochs exchanged", handover(order="id previous number key size root")),
                ("number missing", handover(order="previous id key size root")),
                ("key missing", handover(order="previous id number size root")),
                ("size missing", handover(order="previous id number key root")),
                ("root missing", handover(order="previous id number key size")),
                ("root before size", handover(order="previous id number key root size")),
                ("number of the previous epoch", handover(number=7)),
                ("the previous key itself", handover(key=ed25519_key(seed))),
                ("another size", handover(size=1235)),
            ]),
        },
    }  # fmt: skip


def header(kind, seq, ms, withdrawals):
    return b"TDLEAF01" + u16(kind) + u64(seq) + u64(ms) + u32(withdrawals)


def leaf(kind, seq, ms, body, withdrawals=0):
    return header(kind, seq, ms, withdrawals) + body


def leaf_vectors():
    p = payload(**payload_fields("pull"))
    a, t = enc(element("anchor")), enc(element("t"))
    params, proof, vk = b'{"at":["/a"],"hi":9,"lo":1,"scale":0}', noise("proof", 664), noise("verifying key", 404)
    srs, listid = noise("srs", 32), noise("list", 32)
    pk, key = noise("ML-DSA public key", 1952), noise("checkpoint key", 32)
    eid, inst, prev = noise("epoch", 16), noise("instance", 16), noise("previous epoch", 16)
    build, posture, hand = noise("build", 32), noise("posture", 32), noise("hand-over", 64)
    root, sig, actor, text, target = noise("root", 32), noise("signature", 64), noise("actor", 32), noise("reason", 32), noise("target", 32)
    nodes = [noise(f"node {i}", 32) for i in range(255)]
    top = (1 << 64) - 1

    def issued(position=6, size=7, root=root, sig=sig, path=nodes[:2], n=None):
        return u64(position) + u64(size) + root + sig + u8(len(path) if n is None else n) + b"".join(path)

    def accepted(payload=p, a=a, t=t, place=issued(), params=params, cut=None, extra=b""):
        return payload + a + t + place + u16(len(params)) + params + u16(len((proof + extra)[:cut])) + (proof + extra)[:cut]

    def epoch_open(suite=1, prev=prev, index=40, size=1234, root=root, hand=hand):
        return (u64(7) + eid + inst + u16(suite) + pk + build + u8(2) + u8(3) + posture + key
                + prev + u64(index) + u64(size) + root + hand)  # fmt: skip

    def epoch_close(reason=2, size=10, root=root, sig=sig):
        return eid + u64(7) + u8(reason) + u64(size) + u64(6) + u64(1) + u64(2) + u64(1) + root + sig

    def claim(name=b"group/1", listid=listid, vk=vk):
        return u8(len(name)) + name + listid + srs + u16(len(vk)) + vk

    def control(action=3):
        return u8(action) + actor + u16(513) + text + u8(2) + target

    incident = u8(1) + noise("incident", 32)
    valid = []

    def good(kind, seq, ms, fields, body, withdrawals=0):
        valid.append({"type": kind, "seq": seq, "time": ms, "withdrawals": withdrawals, "body": fields,
                      "bytes": leaf(kind, seq, ms, body, withdrawals).hex()})  # fmt: skip

    def good_accepted(seq, ms, withdrawals=0, p=p, a=a, t=t, params=params, position=6, size=7, path=nodes[:2], root=root, sig=sig):
        good(1, seq, ms, {
            "payload": p.hex(), "anchor": a.hex(), "t": t.hex(), "position": position, "size": size, "root": root.hex(),
            "signature": sig.hex(), "path": [h.hex() for h in path], "params": params.decode(), "proof": proof.hex(),
        }, accepted(p, a, t, issued(position, size, root, sig, path), params), withdrawals)  # fmt: skip

    good_accepted(41, 1_790_000_000_123, 3)
    good_accepted(top, top, (1 << 32) - 1, a=enc(R - 1), t=bytes(32), params=b"p" * 2048)
    good_accepted(42, 9, position=0, size=1, path=[])
    good_accepted(42, 9, position=0, size=2, path=nodes[:1])
    good_accepted(42, 9, position=1, size=2, path=nodes[:1])
    good_accepted(42, 9, position=0, size=(1 << 61) + 1, path=nodes[:62])
    good_accepted(42, 9, position=(1 << 62) - 1, size=1 << 62, path=nodes[:62], params=b"p" * 2048)
    # A place that can be verified, with the key and the origin of issued.json.
    seed, tree = noise("checkpoint seed", 32), issued_leaves(9)
    digests = [x[3] for x in tree]
    some = tree_root(digests[:7])
    good_accepted(43, 10, 2, tree[5][1], tree[5][2], position=5, path=tree_path(5, digests[:7]), root=some,
                  sig=ed25519_sign(seed, issued_message(7, some)))  # fmt: skip

    fields = {
        "number": 7, "id": eid.hex(), "instance": inst.hex(), "public_key": pk.hex(), "build": build.hex(), "signer_grade": 2,
        "tagger_grade": 3, "posture": posture.hex(), "checkpoint_key": key.hex(), "previous": prev.hex(), "index": 40,
        "size": 1234, "root": root.hex(), "handover": hand.hex(),
    }  # fmt: skip
    none = {"size": 0, "root": "00" * 32, "handover": "00" * 64}
    no_root = {"size": 0, "root": bytes(32)}
    empty = sha256(b"")
    good(2, 41, 0, fields, epoch_open(), 1)
    good(2, 1, 5, {**fields, **none, "index": 0}, epoch_open(index=0, **no_root, hand=bytes(64)))
    good(2, 1, 5, {**fields, "index": 0, "size": 0, "root": empty.hex()}, epoch_open(index=0, size=0, root=empty))
    good(2, top, 5, {**fields, "index": top - 1, "size": 1 << 62}, epoch_open(index=top - 1, size=1 << 62))
    good(2, 0, 5, {**fields, **none, "index": 0, "previous": "00" * 16},
         epoch_open(prev=bytes(16), index=0, **no_root, hand=bytes(64)))  # fmt: skip
    fields = {
        "id": eid.hex(), "number": 7, "reason": 2, "size": 10, "accepted": 6, "rejected": 1, "expired": 2, "invalidated": 1,
        "root": root.hex(), "signature": sig.hex(),
    }  # fmt: skip
    good(3, 2, 6, fields, epoch_close(), 7)
    good(3, 2, 6, {**fields, "size": 0, "root": empty.hex()}, epoch_close(size=0, root=empty))
    for reason in (3, 4, 5):
        good(3, 2, 6, {**fields, "reason": reason, "size": 0, "root": "00" * 32, "signature": "00" * 64},
             epoch_close(reason, **no_root, sig=bytes(64)))  # fmt: skip
    good(3, 2, 6, {**fields, "reason": 5}, epoch_close(5))
    good(4, 3, 7, {"claim": "group/1", "list": listid.hex(), "srs": srs.hex(), "vk": vk.hex()}, claim())
    good(4, 3, 7, {"claim": "open/1", "list": "00" * 32, "srs": srs.hex(), "vk": vk.hex()}, claim(b"open/1", bytes(32)))
    good(6, 5, 9, {"kind": 1, "digest": incident[1:].hex()}, incident)
    for action in range(1, 10):
        good(5, 4, 8, {"action": action, "actor": actor.hex(), "reason": 513, "text": text.hex(), "previous": 2, "target": target.hex()},
             control(action), action)  # fmt: skip
    invalid = []
    pk, proof = bytes(1952), bytes(664)  # short as runs

    def bad(name, b):
        invalid.append({"name": name, "bytes": runs(b)})

    bad("empty", b"")
    bad("header alone", leaf(1, 41, 1, b""))
    bad("constant TDLEAF02", b"TDLEAF02" + leaf(6, 5, 9, incident)[8:])
    for kind in (0, 7, 8, 0x0106, 0xFFFF):
        bad(f"type {kind}", leaf(kind, 5, 9, incident))
    bad("body of another type", leaf(3, 5, 9, incident))
    bodies = {1: accepted(), 2: epoch_open(), 3: epoch_close(), 4: claim(), 5: control(), 6: incident}
    for kind, body in bodies.items():
        bad(f"type {kind}, one byte short", leaf(kind, 5, 9, body[:-1]))
        bad(f"type {kind}, one byte long", leaf(kind, 5, 9, body + b"\0"))
        bad(f"type {kind}, header one byte short", leaf(kind, 5, 9, body)[1:])
        bad(f"type {kind}, header of 26 bytes, without withdrawals", header(kind, 5, 9, 0)[:26] + body)
        bad(f"type {kind}, withdrawals of 3 bytes", header(kind, 5, 9, 0)[:29] + body)
        bad(f"type {kind}, withdrawals of 8 bytes", header(kind, 5, 9, 0) + bytes(4) + body)
    over = R.to_bytes(32, "big")
    bad("accepted: seq 0 in the payload", leaf(1, 5, 9, accepted(payload=payload(**payload_fields("pull", seq=0)))))
    bad("accepted: reserved byte in the payload", leaf(1, 5, 9, accepted(payload=p[:14] + b"\1" + p[15:])))
    bad("accepted: anchor = r", leaf(1, 5, 9, accepted(a=over)))
    bad("accepted: t = r", leaf(1, 5, 9, accepted(t=over)))
    bad("accepted: params of 2049 bytes", leaf(1, 5, 9, accepted(params=b"p" * 2049)))
    bad("accepted: proof of 663 bytes", leaf(1, 5, 9, accepted(cut=-1)))
    bad("accepted: proof of 665 bytes", leaf(1, 5, 9, accepted(extra=b"\0")))
    bad("accepted: no proof", leaf(1, 5, 9, accepted(cut=0)))
    bad("accepted: length of params one too large",
        leaf(1, 5, 9, p + a + t + issued() + u16(len(params) + 1) + params + u16(664) + proof))  # fmt: skip
    bad("accepted: longer than a leaf can be", leaf(1, 5, 9, accepted(params=b"p" * 65535)))
    for name, place in [
        ("no place in the issued tree", b""), ("position = size", issued(position=7)), ("position above size", issued(position=8)),
        ("position 2^64 - 1", issued(position=top)), ("an empty tree", issued(position=0, size=0, path=[])),
        ("size 2^62 + 1", issued(size=(1 << 62) + 1)), ("size 2^63", issued(size=1 << 63)), ("size 2^64 - 1", issued(size=top)),
        ("path of 63", issued(path=nodes[:63])), ("path of 64", issued(path=nodes[:64])), ("path of 255", issued(path=nodes)),
        ("path count one too small", issued(n=1)), ("path count one too large", issued(n=3)), ("path count 0", issued(n=0)),
        ("path count 255", issued(n=255)), ("no path count", issued()[:-65] + b"".join(nodes[:2])),
        ("path count in 2 bytes", issued()[:-65] + u16(2) + b"".join(nodes[:2])),
        ("signature of 63 bytes", issued(sig=sig[:-1])), ("signature of 65 bytes", issued(sig=sig + b"\0")),
        ("root of 31 bytes", issued(root=root[:-1])), ("position of 4 bytes", issued()[4:]), ("no position", issued()[8:]),
        ("node of 31 bytes", issued()[:-1]), ("node of 33 bytes", issued() + b"\0"),
    ]:  # fmt: skip
        bad("accepted: " + name, leaf(1, 5, 9, accepted(place=place)))
    bad("epoch-open: suite 0", leaf(2, 5, 9, epoch_open(suite=0)))
    bad("epoch-open: suite 2", leaf(2, 5, 9, epoch_open(suite=2)))
    none = {"prev": bytes(16), "index": 0, **no_root, "hand": bytes(64)}
    for name, body in [
        ("hand-over from no epoch", epoch_open(**{**none, "size": 1234, "root": root, "hand": hand})),
        ("signature from no epoch", epoch_open(**{**none, "hand": hand})),
        ("index of no epoch", epoch_open(**{**none, "index": 1})),
        ("size from no epoch", epoch_open(**{**none, "size": 1})),
        ("root from no epoch", epoch_open(**{**none, "root": root})),
        ("size and root without signature", epoch_open(hand=bytes(64))),
        ("size without signature", epoch_open(root=bytes(32), hand=bytes(64))),
        ("root without signature", epoch_open(size=0, hand=bytes(64))),
        ("size 2^62 + 1", epoch_open(size=(1 << 62) + 1)),
        ("old body, without index, size and root", epoch_open()[:-112] + hand),
        ("no index", epoch_open()[:-112] + epoch_open()[-104:]),
        ("hand-over of 63 bytes", epoch_open(hand=hand[:-1])),
    ]:
        bad("epoch-open: " + name, leaf(2, 5, 9, body))
    for reason in (0, 6, 255):
        bad(f"epoch-close: reason {reason}", leaf(3, 5, 9, epoch_close(reason)))
    for name, body in [
        ("size and root without signature", epoch_close(sig=bytes(64))),
        ("size without signature", epoch_close(root=bytes(32), sig=bytes(64))),
        ("root without signature", epoch_close(size=0, sig=bytes(64))),
        ("size 2^62 + 1", epoch_close(size=(1 << 62) + 1)),
        ("root of the empty tree without signature", epoch_close(size=0, root=empty, sig=bytes(64))),
        ("old body, without signature", epoch_close(sig=b"")),
        ("signature of 63 bytes", epoch_close(sig=sig[:-1])),
        ("signature of 65 bytes", epoch_close(sig=sig + b"\0")),
    ]:
        bad("epoch-close: " + name, leaf(3, 5, 9, body))
    bad("claim: empty id", leaf(4, 5, 9, claim(b"")))
    bad("claim: verifying key of 403 bytes", leaf(4, 5, 9, claim(vk=vk[:-1])))
    bad("claim: verifying key of 405 bytes", leaf(4, 5, 9, claim(vk=vk + b"\0")))
    for action in (0, 10, 255):
        bad(f"control: action {action}", leaf(5, 5, 9, control(action)))
    return {"valid": valid, "invalid": invalid}


# --- section 13: openings ---------------------------------------------------


def b64(b):
    return base64.urlsafe_b64encode(b).rstrip(b"=").decode()


def opening_vectors(statements):
    """One opening per claim, and for records the opening of the one field."""
    out = []
    for s in statements:
        if s["claim"] == "group/1":
            continue
        rid, salt = noise("opening " + s["cm"], 16), noise("salt " + s["cm"], 32)
        text = jcs({
            "version": 1, "request_id": rid.hex(), "event": s["event"], "blind": b64(bytes.fromhex(s["blind"])),
            "client_salt": b64(salt),
        })  # fmt: skip
        o = {"claim": s["claim"], "params": s["params"], "cm": s["cm"], "opening": text,
             "client": "local", "client_commitment": D("TD-V1-client", salt, b"local").hex()}  # fmt: skip
        if "salts" in s:
            i = json.loads(s["params"])["field"]
            value, fieldsalt = (bytes.fromhex(s[k][i]) for k in ("field_values", "salts"))
            node = C(int.from_bytes(value, "big"), int.from_bytes(fieldsalt, "big"))
            for depth, sibling in enumerate(s["siblings"]):
                other = int(sibling, 16)
                node = C(other, node) if i >> depth & 1 else C(node, other)
            assert enc(node).hex() == s["f"]
            o["field"] = jcs({
                "i": i, "value": b64(value), "salt": b64(fieldsalt),
                "siblings": [b64(bytes.fromhex(x)) for x in s["siblings"]], "h": b64(bytes.fromhex(s["h"])),
            })  # fmt: skip
        out.append(o)
    return {"openings": out}


# --- text forms (section 3) -------------------------------------------------


def text_vectors():
    id16, d32, e32 = noise("id", 16), noise("digest", 32), enc(element("text"))
    last = {c: i for i, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")}

    def trailing(text):
        """The same value with one of the unused bits of the last character set."""
        flipped = {i: c for c, i in last.items()}[last[text[-1]] | 1]
        assert flipped != text[-1]
        return text[:-1] + flipped

    h, b, e = id16.hex(), b64(d32), b64(e32)
    plus = b64(b"\xfb\xef\xff" + d32[3:])
    over = R.to_bytes(32, "big")
    rows = [
        {"kind": "id", "bytes": h, "text": h,
         "refused": ["", h[:-1], h[:-2], h + "0", h + "00", h.upper(), "0x" + h[2:], " " + h[1:], h[:-1] + "\n", h[:-1] + "g", b64(id16)]},
        {"kind": "digest", "bytes": d32.hex(), "text": b,
         "refused": ["", b[:-1], b + "A", b + "=", trailing(b), b[:-1] + "=", b[:-1] + "\n", b[:20] + "\r\n" + b[20:], b[:20] + "\n" + b[21:],
                     b[:-1] + " ", d32.hex(), plus.replace("-", "+"), plus.replace("_", "/"), b64(d32[:-1]), b64(d32 + b"\0")]},
        {"kind": "element", "bytes": e32.hex(), "text": e,
         "refused": [b64(over), b64(b"\xff" * 32), e + "=", trailing(e), e32.hex(), b64(b"\0" + e32), b64(e32[1:])]},
        {"kind": "element", "bytes": enc(R - 1).hex(), "text": b64(enc(R - 1)), "refused": []},
        {"kind": "element", "bytes": bytes(32).hex(), "text": "A" * 43, "refused": ["A" * 42 + "B", "A" * 42 + "C"]},
        {"kind": "list", "bytes": d32.hex(), "text": d32.hex(),
         "refused": ["", d32.hex()[:-1], d32.hex() + "00", d32.hex().upper(), d32.hex()[:-1] + "\n", h, b]},
        {"kind": "member", "bytes": e32.hex(), "text": e32.hex(),
         "refused": [over.hex(), "ff" * 32, e32.hex().upper(), e32.hex()[:-1], e32.hex() + "00", e]},
    ]  # fmt: skip
    return {"texts": rows}


def main():
    check_ed25519()
    where = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    claims = claim_vectors()
    files = {
        "hash.json": hash_vectors(),
        "poseidon2.json": poseidon_vectors(),
        "text.json": text_vectors(),
        "jcs.json": jcs_vectors(),
        "claims.json": claims,
        "payload.json": payload_vectors(),
        "derivations.json": derivation_vectors(),
        "leaf.json": leaf_vectors(),
        "issued.json": issued_vectors(),
        "opening.json": opening_vectors(claims["statements"]),
    }
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    for name, content in files.items():
        text = json.dumps(content, indent=1, ensure_ascii=True) + "\n"
        (where / name).write_bytes(text.encode())


if __name__ == "__main__":
    main()
