"""Generated secrets in the forms in which devices print them.

Every value comes from the seed, so that a device can be rendered again, and every value that was
handed out is remembered, so that a test can look for it where it must not be.

Hashes have the right shape and alphabet but belong to no password. Reversible forms are real:
Cisco type 7 and Junos $9$ decode to the clear text of the same name.
"""

from __future__ import annotations

import base64
import random
import string

from netraven_site.demo.simulator.seeds import seeded

_LETTERS_DIGITS = string.ascii_letters + string.digits
_CRYPT = "./" + string.digits + string.ascii_uppercase + string.ascii_lowercase

# Key stream of Cisco's type 7, public since 1995: a byte is combined with the stream by
# exclusive or, starting at an offset that is printed as two decimal digits.
_TYPE7_STREAM = b"dsfd;kfoA,.iyewrkldJKDHSUBsgvca69834ncxv9873254k;fg87"

# Tables of Junos $9$: characters come in four families; a character's family says how many filler
# characters follow the first one; each clear character is written as differences in this alphabet.
_JUNOS_FAMILIES = ("QzF3n6/9CAtpu0O", "B1IREhcSyrleKvMW8LXx", "7N-dVbwsY2g4oaJZGUDj", "iHkq.mPf5T")
_JUNOS_ALPHABET = "".join(_JUNOS_FAMILIES)
_JUNOS_WEIGHTS = (
    (1, 4, 32),
    (1, 16, 32),
    (1, 8, 32),
    (1, 64),
    (1, 32),
    (1, 4, 16, 128),
    (1, 32, 64),
)

SHARED_NAMES = frozenset({"snmp.ro", "snmp.rw", "radius", "tacacs", "ntp"})
"""Secrets that all devices of one seed share, as the devices of one site do."""


def encode_type7(clear: str, offset: int) -> str:
    """Cisco type 7 of `clear`; `offset` (0 to 15) selects where the key stream starts."""
    stream = _TYPE7_STREAM
    mixed = (
        byte ^ stream[(offset + index) % len(stream)]
        for index, byte in enumerate(clear.encode("ascii"))
    )
    return f"{offset:02d}" + "".join(f"{byte:02X}" for byte in mixed)


def encode_junos9(clear: str, source: random.Random) -> str:
    """Junos $9$ of `clear`; `source` picks the salt and the filler characters."""
    salt = source.choice(_JUNOS_ALPHABET)
    family = next(number for number, text in enumerate(_JUNOS_FAMILIES) if salt in text)
    encoded = [salt, *source.choices(_JUNOS_ALPHABET, k=3 - family)]
    previous = salt
    for index, character in enumerate(clear):
        for gap in _junos_gaps(ord(character), _JUNOS_WEIGHTS[index % len(_JUNOS_WEIGHTS)]):
            position = _JUNOS_ALPHABET.index(previous) + gap + 1
            previous = _JUNOS_ALPHABET[position % len(_JUNOS_ALPHABET)]
            encoded.append(previous)
    return "$9$" + "".join(encoded)


def _junos_gaps(code: int, weights: tuple[int, ...]) -> list[int]:
    gaps: list[int] = []
    for weight in reversed(weights):
        gaps.insert(0, code // weight)
        code %= weight
    return gaps


class SecretBook:
    """The secrets of one device, by name.

    Args:
        seed: the site; secrets in `SHARED_NAMES` depend on it alone.
        owner: the device; all other secrets depend on it, too.
    """

    def __init__(self, seed: str, owner: str) -> None:
        self._seed = seed
        self._owner = owner
        self._generations: dict[str, int] = {}
        self._handed_out: set[str] = set()
        self._names: set[str] = set()

    def __repr__(self) -> str:
        return f"SecretBook({self._owner!r})"

    @property
    def handed_out(self) -> frozenset[str]:
        """Every secret given so far, old ones included: clear text and encoded forms."""
        return frozenset(self._handed_out)

    @property
    def names(self) -> frozenset[str]:
        """Names of the secrets that were asked for so far."""
        return frozenset(self._names)

    def rotate(self, name: str) -> None:
        """From now on the secret `name` has another value."""
        self._generations[name] = self._generations.get(name, 0) + 1

    def clear(self, name: str, length: int = 14) -> str:
        """Letters and digits, at least one of each."""
        source = self._source(name, "clear")
        body = source.choices(_LETTERS_DIGITS, k=length - 2)
        text = source.choice(string.ascii_letters) + "".join(body) + source.choice(string.digits)
        return self._give(text)

    def type7(self, name: str) -> str:
        """Cisco type 7, decodes to `clear(name)`."""
        offset = self._source(name, "type7").randrange(16)
        return self._give(encode_type7(self.clear(name), offset))

    def junos9(self, name: str) -> str:
        """Junos $9$, decodes to `clear(name)`."""
        return self._give(encode_junos9(self.clear(name), self._source(name, "junos9")))

    def ios_type5(self, name: str) -> str:
        """MD5-crypt shape: $1$, 4 characters of salt, 22 of hash."""
        return self._crypt(name, "1", 4, 22)

    def ios_type8(self, name: str) -> str:
        """PBKDF2 shape of IOS type 8."""
        return self._crypt(name, "8", 14, 43)

    def ios_type9(self, name: str) -> str:
        """scrypt shape of IOS type 9."""
        return self._crypt(name, "9", 14, 43)

    def sha256_crypt(self, name: str) -> str:
        """SHA-256-crypt shape, as NX-OS prints it."""
        return self._crypt(name, "5", 6, 43)

    def sha512_crypt(self, name: str) -> str:
        """SHA-512-crypt shape, as EOS, Junos, VyOS and Linux print it."""
        return self._crypt(name, "6", 16, 86)

    def hexadecimal(self, name: str, digits: int) -> str:
        """Lower-case hexadecimal digits, for localised keys."""
        source = self._source(name, f"hex{digits}")
        return self._give("".join(source.choices("0123456789abcdef", k=digits)))

    def base64_key(self, name: str, size: int = 32) -> str:
        """A key of `size` bytes in base64."""
        raw = self._source(name, f"key{size}").randbytes(size)
        return self._give(base64.b64encode(raw).decode("ascii"))

    def _crypt(self, name: str, scheme: str, salt: int, digest: int) -> str:
        source = self._source(name, f"crypt{scheme}")
        parts = ("".join(source.choices(_CRYPT, k=count)) for count in (salt, digest))
        return self._give(f"${scheme}$" + "$".join(parts))

    def _source(self, name: str, form: str) -> random.Random:
        self._names.add(name)
        owner = "*" if name in SHARED_NAMES else self._owner
        return seeded(self._seed, owner, name, self._generations.get(name, 0), form)

    def _give(self, value: str) -> str:
        self._handed_out.add(value)
        return value
