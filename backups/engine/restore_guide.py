"""The page that goes with a restore pack: what is in it, and how it gets onto a device.

Everything that a device or an inventory said is hostile here: it stands on one line each, and as
code, so that it is neither markup nor an instruction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_VALUE_LENGTH = 200

#: For platforms whose definition has no steps of its own.
GENERAL_STEPS: Final = (
    "Nobody has written down steps for this platform. These are general ones; the vendor's manual "
    "on backup and restore goes first.",
    "Connect to the console of the new device, with no cable in the ports that carry traffic. Give "
    "it the software version that stands above, or the nearest one that the vendor allows.",
    "If the vendor has an export of its own (an archive, an XML or a binary file) and it lies in "
    "the directory 'artefacts', restore that: it holds more than what a command prints.",
    "Otherwise set a management address and an account by hand, so that you stay connected while "
    "the rest is loaded.",
    "Make a copy of the raw configuration. Take out of it what the device printed around the "
    "configuration: headings with a time or a size, the prompt, the sign for the end.",
    "Load the copy with the command that the vendor names for it, or paste it in the configuration "
    "mode in small parts, and read every message. Users and management access come last.",
    "Save the configuration, restart the device once, and look whether it comes back.",
)

#: True for every platform.
WARNINGS: Final = (
    "The files in 'raw' and 'artefacts' hold passwords, keys and hashes. Keep them on an encrypted "
    "disk, send them to nobody, and delete them when the device runs.",
    "The raw configuration is what commands print. That leaves out what no command prints: private "
    "keys of SSH, TLS and VPN, certificates, licences, software images, files on the flash, and "
    "what is learnt while running.",
    "Most devices end their lines with CR LF on a terminal, and so does the raw file. Where the "
    "target wants LF alone, as Linux does, take the CR out: tr -d '\\r' < FILE > COPY.",
    "Some secrets are encrypted with a master key of the device (for example Cisco type 6, Junos "
    "$8$, the private data encryption of FortiOS, the master key of PAN-OS). They open only where "
    "the same master key is set before the configuration is loaded.",
    "Another model or another software version may refuse lines in silence or name its interfaces "
    "otherwise. Read every message, and compare at the end.",
    "The first session with the new device shows another SSH host key. NetRaven stops there until "
    "somebody accepts it ('manage.py host_key').",
)

_AFTERWARDS = (
    "Run a backup job for the device and look at 'manage.py config diff HOST': what it shows is "
    "what did not come back."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFile:
    """One file of a pack."""

    #: Path inside the pack.
    path: str
    size_bytes: int
    #: SHA-256 in hex.
    sha256: str


def restore_guide(
    *,
    facts: Mapping[str, str],
    files: Sequence[PackedFile],
    steps: Sequence[str],
    missing: Sequence[str] = (),
) -> str:
    """The page, Markdown.

    ``facts`` maps names for people to values of any text, ``steps`` are those of the platform;
    without any, general ones stand in their place. ``missing`` says what could not be read.
    """
    lines = ["# Restore", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_code(value)} |" for name, value in facts.items()]
    lines += ["", "## What is in this pack", "", "| file | bytes | SHA-256 |", "|---|---|---|"]
    lines += [f"| {_code(file.path)} | {file.size_bytes} | `{file.sha256}` |" for file in files]
    lines += [line for what in missing for line in ("", f"**Not in it**: {_code(what)}")]
    lines += ["", "## Before you begin", ""]
    lines += [f"- {warning}" for warning in WARNINGS]
    lines += ["", "## Steps", ""]
    numbered = (*(steps or GENERAL_STEPS), _AFTERWARDS)
    lines += [f"{number}. {step}" for number, step in enumerate(numbered, start=1)]
    return "\n".join(lines) + "\n"


def one_line(text: str) -> str:
    """``text`` on one line, without control characters, bounded."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text[:_VALUE_LENGTH])
    return " ".join(shown.split())


def _code(text: str) -> str:
    """``text`` as code in a cell of a table."""
    plain = one_line(text).replace("`", "'").replace("|", "/")
    return f"`{plain}`" if plain else "unknown"
