"""What failures have in common: one cause behind many messages, and where it strikes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from jobs.policy.advice import advice_for


class GroupBy(StrEnum):
    """What failures are grouped by. The values are part of the API."""

    CAUSE = "cause"
    CREDENTIAL = "credential"
    ZONE = "zone"
    TAG = "tag"
    PLATFORM = "platform"
    JUMP_HOST = "jump_host"


#: What devices share, in the order in which it explains a failure best.
TRAITS = (
    GroupBy.CREDENTIAL,
    GroupBy.ZONE,
    GroupBy.JUMP_HOST,
    GroupBy.TAG,
    GroupBy.PLATFORM,
)
_WITH = {
    GroupBy.CREDENTIAL: "with credential '{}'",
    GroupBy.ZONE: "in zone '{}'",
    GroupBy.JUMP_HOST: "behind jump host '{}'",
    GroupBy.TAG: "with tag '{}'",
    GroupBy.PLATFORM: "of platform '{}'",
}
_WITHOUT = {
    GroupBy.CREDENTIAL: "without a credential",
    GroupBy.ZONE: "without a zone",
    GroupBy.JUMP_HOST: "without a jump host",
    GroupBy.TAG: "without a tag",
    GroupBy.PLATFORM: "without a platform",
}

#: Stands for what differs between messages of one cause.
VARYING = "…"
_SEPARATE = r"(?<![\w.:'-])"
_PARTICULARS = re.compile(
    # An IPv6 address has two colons at the least, a time of day only digits between its own.
    rf"{_SEPARATE}(?=[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*:)[0-9A-Fa-f:.]*[0-9A-Fa-f](?:%\w+)?(?!\w)"
    rf"|{_SEPARATE}\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?!\w)"
    r"|\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?"
    r"|(?:SHA256|MD5):[\w+/:=]+"
    # A port says more about the cause than about the device.
    r"|(?<!port )(?<![\w.-])\d+(?:[.,]\d+)*(?!\.?\w|-)"
)

_AT_LEAST_SHARED = 0.75


@dataclass(frozen=True, slots=True)
class Cause:
    """Why devices failed: an error category and a message without what is particular to one."""

    category: str
    message: str

    @property
    def key(self) -> str:
        """A short name that is the same in every run: ``authentication:1f0c9a77``."""
        digest = hashlib.sha256(self.message.encode()).hexdigest()[:8]
        return f"{self.category or 'none'}:{digest}"


def cause_of(*, category: str, message: str, names: Iterable[str]) -> Cause:
    """The cause behind the ``message`` of one device that goes by ``names`` (hostname, address).

    Its names, addresses, times and numbers give way to ``VARYING``; ports stay.
    """
    message = _PARTICULARS.sub(VARYING, message)
    # The longest first: a name may begin with the hostname.
    for name in sorted(filter(None, names), key=len, reverse=True):
        message = _without(message, name)
    return Cause(category, message)


def _without(message: str, name: str) -> str:
    """``message`` without ``name`` as a word; a pattern per device would have to be compiled."""
    start = 0
    while (at := message.find(name, start)) >= 0:
        end = at + len(name)
        if _in_word(message[at - 1 : at]) or _in_word(message[end : end + 1]):
            start = end
            continue
        message = message[:at] + VARYING + message[end:]
        start = at + len(VARYING)
    return message


def _in_word(sign: str) -> bool:
    return sign.isalnum() or sign in {"_", "-"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many of a group's failures have one trait, and how far that is beyond chance."""

    trait: GroupBy
    name: str
    count: int
    #: Devices of the whole run that have the trait.
    run_count: int


def telling_shares(*, shares: Collection[Share], group_count: int, run_total: int) -> list[Share]:
    """Per trait the one that most failures of a group share and the run as a whole does not.

    A trait tells something when at least three quarters of two or more failures have it, and more
    of them than of all devices of the run.
    """
    telling = []
    for trait in TRAITS:
        found = [
            share
            for share in shares
            if share.trait is trait and _tells(share, group_count, run_total)
        ]
        if found:
            telling.append(min(found, key=lambda one: (-one.count, one.run_count, one.name)))
    return telling


def _tells(share: Share, group_count: int, run_total: int) -> bool:
    if group_count < 2 or not share.name:
        return False
    in_group = share.count / group_count
    return in_group >= _AT_LEAST_SHARED and in_group > share.run_count / run_total


def cause_in_words(*, category: str, count: int, shares: Sequence[Share]) -> str:
    """``37 authentication failures, all with credential 'site-b', 31 of them in zone 'b'``."""
    parts = [advice_for(category).counted(count)]
    for share in shares:
        how_many = "all" if share.count == count else f"{share.count} of them"
        parts.append(f"{how_many} {trait_in_words(trait=share.trait, name=share.name)}")
    return ", ".join(parts)


def trait_in_words(*, trait: GroupBy, name: str) -> str:
    """``in zone 'b'``, or ``without a zone`` for an empty ``name``."""
    return _WITH[trait].format(name) if name else _WITHOUT[trait]


def trait_group_in_words(
    *, trait: GroupBy, name: str, count: int, run_count: int, categories: dict[str, int]
) -> str:
    """``31 of 40 devices in zone 'b' failed: 30 authentication failures, 1 dropped session``."""
    kinds = ", ".join(advice_for(category).counted(many) for category, many in categories.items())
    devices = "device" if run_count == 1 else "devices"
    where = trait_in_words(trait=trait, name=name)
    return f"{count} of {run_count} {devices} {where} failed: {kinds}"
