"""From the text of a file to stored devices: which reader reads it, with which options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from inventory.formats import (
    FileUnreadable,
    ForeignPlatforms,
    OxidizedSource,
    Reading,
    read_csv,
    read_netbox,
    read_oxidized,
    read_oxidized_config,
    read_rancid,
)
from inventory.formats.platform_names import NETBOX_SLUGS, OXIDIZED_MODELS, RANCID_TYPES
from inventory.imports.devices import ImportFailed, ImportResult, devices_import
from inventory.platforms import get_platform, platform_names
from inventory.visibility import User

#: Bytes of a request, and devices in it: what is more is for ``manage.py import_devices``, which
#: nobody waits for behind a proxy.
MAX_IMPORT_BYTES: Final = 8 * 1024 * 1024
MAX_IMPORT_DEVICES: Final = 2_000


class ImportFormat(StrEnum):
    """Whose file it is."""

    CSV = "csv"
    OXIDIZED = "oxidized"
    RANCID = "rancid"
    NETBOX = "netbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What stands beside the file itself; the repr shows no secret."""

    #: Oxidized: the text of its configuration, or of the part ``source: csv:``.
    mapping: str | None = field(default=None, repr=False)
    #: RANCID: the text of ``.cloginrc``.
    cloginrc: str | None = field(default=None, repr=False)
    #: RANCID: the user that it ran as.
    default_user: str | None = None
    #: By the other program's name of a platform ours, or ``skip``.
    platforms: Mapping[str, str] = field(default_factory=dict)


def file_import(
    *,
    text: str,
    kind: ImportFormat = ImportFormat.CSV,
    options: ImportOptions | None = None,
    dry_run: bool = False,
    tags: Iterable[str] = (),
    with_logins: bool = False,
    max_devices: int | None = None,
    user: User | None = None,
) -> ImportResult:
    """Import the devices of a file, as ``devices_import`` does with what was read.

    ``with_logins`` makes credentials of its logins. ``max_devices`` limits the length of the file
    (None = as long as it is). Raises ImportFailed.
    """
    try:
        reading = read_devices(text=text, kind=kind, options=options or ImportOptions())
    except FileUnreadable as error:
        raise ImportFailed(error.problems) from None
    if max_devices is not None and len(reading.records) > max_devices:
        count = len(reading.records)
        raise ImportFailed(
            [f"{count} devices are too many at once; at most {max_devices} are taken"]
        )
    return devices_import(
        reading=reading,
        dry_run=dry_run,
        tags=tags,
        logins_from=kind.value if with_logins else None,
        user=user,
    )


def read_devices(*, text: str, kind: ImportFormat, options: ImportOptions) -> Reading:
    """What stands in a file of this format. Raises FileUnreadable."""
    _check_options(kind, options)
    match kind:
        case ImportFormat.CSV:
            return read_csv(text)
        case ImportFormat.NETBOX:
            platforms = _platforms("platform", NETBOX_SLUGS, options)
            return read_netbox(text, platforms=platforms)
        case ImportFormat.OXIDIZED:
            mapping = options.mapping
            source = OxidizedSource() if mapping is None else read_oxidized_config(mapping)
            platforms = _platforms("model", OXIDIZED_MODELS, options)
            return read_oxidized(text, source=source, platforms=platforms)
        case ImportFormat.RANCID:
            return read_rancid(
                text,
                platforms=_platforms("type", RANCID_TYPES, options),
                cloginrc=options.cloginrc,
                default_user=options.default_user,
            )


def _check_options(kind: ImportFormat, options: ImportOptions) -> None:
    belongs = {
        "mapping": (options.mapping is not None, (ImportFormat.OXIDIZED,)),
        "cloginrc": (options.cloginrc is not None, (ImportFormat.RANCID,)),
        "default_user": (options.default_user is not None, (ImportFormat.RANCID,)),
        "platforms": (bool(options.platforms), tuple(one for one in ImportFormat if one != "csv")),
    }
    problems = [
        f"{name}: this belongs to the format {' or '.join(formats)}, not to {kind}"
        for name, (is_given, formats) in belongs.items()
        if is_given and kind not in formats
    ]
    if problems:
        raise FileUnreadable(problems)


def _platforms(noun: str, known: Mapping[str, str], options: ImportOptions) -> ForeignPlatforms:
    aliases = {alias for name in platform_names() for alias in get_platform(name).aliases}
    return ForeignPlatforms(
        noun=noun,
        known=known,
        ours=frozenset({*platform_names(), *aliases}),
        told=options.platforms,
    )
