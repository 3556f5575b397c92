"""Keys and digests around which neither a mark nor a word of the rules stands."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)

from backups.engine.redaction import CONSTANT_TOKEN, TOKEN, Redactor

REDACTOR = Redactor(b"a-key-for-the-tests-of-redaction")
OPEN = NoEncryption()
LOCKED = BestAvailableEncryption(b"a pass phrase")
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEYS: dict[str, tuple[PrivateKeyTypes, PrivateFormat, KeySerializationEncryption]] = {
    "PKCS#1": (RSA, PrivateFormat.TraditionalOpenSSL, OPEN),
    "PKCS#8": (RSA, PrivateFormat.PKCS8, OPEN),
    "PKCS#8 encrypted": (RSA, PrivateFormat.PKCS8, LOCKED),
    "SEC 1, P-256": (
        ec.generate_private_key(ec.SECP256R1()),
        PrivateFormat.TraditionalOpenSSL,
        OPEN,
    ),
    "SEC 1, P-384": (
        ec.generate_private_key(ec.SECP384R1()),
        PrivateFormat.TraditionalOpenSSL,
        OPEN,
    ),
    "PKCS#8, P-256": (ec.generate_private_key(ec.SECP256R1()), PrivateFormat.PKCS8, OPEN),
    "PKCS#8, P-521": (ec.generate_private_key(ec.SECP521R1()), PrivateFormat.PKCS8, OPEN),
    "PKCS#8, Ed25519": (ed25519.Ed25519PrivateKey.generate(), PrivateFormat.PKCS8, OPEN),
}
PUTTY = """\
PuTTY-User-Key-File-3: ssh-ed25519
Encryption: {encryption}
Comment: bob
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9O
IeZJ
Private-Lines: 2
AAAAIEy3dsDgmKHmuNRLJqvmFcPdLtqQMcmGXyLzbDpuIHQX
SECRETSECRETSECRETSECRETSECRETSECRETSECRETSE
Private-MAC: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
"""


def redact(text: str) -> str:
    return REDACTOR.redact(None, text).text


def lines_of(der: bytes, width: int) -> list[str]:
    encoded = base64.b64encode(der).decode()
    return [encoded[start : start + width] for start in range(0, len(encoded), width)]


@pytest.mark.parametrize("width", [64, 76, 10_000])
@pytest.mark.parametrize("kind", KEYS)
def test_a_key_as_base64_without_pem(kind: str, width: int) -> None:
    key, form, encryption = KEYS[kind]
    lines = lines_of(key.private_bytes(Encoding.DER, form, encryption), width)
    result = redact("\n".join(["crypto material", *(f"  {line}" for line in lines), "end"]))
    assert [line.strip() for line in result.split("\n")][:: len(lines) + 1] == [
        "crypto material",
        "end",
    ]
    assert len(TOKEN.findall(result)) == len(lines)
    assert not any(line in result for line in lines)
    assert (CONSTANT_TOKEN in result) is (encryption is LOCKED)


def test_a_pkcs12_store() -> None:
    store = pkcs12.serialize_key_and_certificates(b"bob", RSA, None, None, OPEN)
    lines = lines_of(store, 64)
    result = redact("\n".join(lines))
    assert len(TOKEN.findall(result)) == len(lines)


def test_a_public_key_stays() -> None:
    public = RSA.public_key()
    for form in (PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1):
        text = "\n".join(lines_of(public.public_bytes(Encoding.DER, form), 64))
        assert redact(text) == text


def test_two_keys_in_one_line() -> None:
    first, second = (
        base64.b64encode(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                Encoding.DER, PrivateFormat.PKCS8, OPEN
            )
        ).decode()
        for _ in range(2)
    )
    result = redact(f"{first} and {second};")
    assert len(TOKEN.findall(result)) == 2
    assert result.endswith(">;") and " and <" in result


@pytest.mark.parametrize(("encryption", "constant"), [("none", False), ("aes256-cbc", True)])
def test_a_file_of_putty(encryption: str, constant: bool) -> None:
    text = PUTTY.format(encryption=encryption)
    result = redact(text)
    kept = [number for number in range(11) if number not in (7, 8)]
    assert [result.split("\n")[n] for n in kept] == [text.split("\n")[n] for n in kept]
    assert len(TOKEN.findall(result)) == 2
    assert (CONSTANT_TOKEN in result) is constant


def test_numbers_that_openssl_prints() -> None:
    text = (
        "modulus:\n    00:aa:bb:cc:\n    dd\npublicExponent: 65537 (0x10001)\n"
        "privateExponent:\n    01:23:45:67:\n    89:ab\nprime1:\n    00:f1:f2\n"
    )
    assert TOKEN.sub("-", redact(text)) == (
        "modulus:\n    00:aa:bb:cc:\n    dd\npublicExponent: 65537 (0x10001)\n"
        "privateExponent:\n    -\n    -\nprime1:\n    -\n"
    )


def test_a_line_of_htdigest() -> None:
    digest = "0123456789abcdef0123456789abcdef"
    assert TOKEN.sub("-", redact(f"bob:my realm:{digest}\n")) == "bob:my realm:-\n"
    innocent = f"sum of the image: flash:{digest}\n"
    assert redact(innocent) == innocent


@pytest.mark.parametrize("width", [64, 76, 1000])
def test_ssh2_key_without_marks_is_replaced_to_its_end(width: int) -> None:
    """ExtremeWare prints the key of the switch as its SSH server keeps it."""
    key = bytes.fromhex("3f6ff9eb") + (514).to_bytes(4) + bytes(range(7, 260 - 7)) * 2
    text = base64.b64encode(key[:514].ljust(514, b"q")).decode()
    lines = [text[start : start + width] for start in range(0, len(text), width)]
    before = ["configure ssh2 key pregenerated", *lines, "", "enable ssh2"]

    after = REDACTOR.redact(None, "\n".join(before)).text.split("\n")

    assert len(after) == len(before)
    assert (after[0], *after[-2:]) == (before[0], "", "enable ssh2")
    assert not [line for line in lines if line[-20:] in "\n".join(after)]
