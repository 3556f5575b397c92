"""Which lines of devices change by themselves, and what a rule against them would have saved."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from django.db.models import Count

from backups.engine.line_shapes import NoPattern, VolatileRule
from backups.engine.noise import NoisyLine, Revision, distinct_lines, noisy_lines, propose
from backups.engine.normalise import normalise_text
from backups.models import Snapshot, SnapshotState
from backups.selectors.snapshots import snapshot_texts, snapshots_of
from inventory.models import Device
from inventory.platforms import (
    DefinitionError,
    PlatformDefinition,
    get_platform,
    load_directory,
    rule_families,
)

#: Newest revisions of a device that are looked at, unless said otherwise, and at the most.
REVISIONS = 30
MOST_REVISIONS = 100
#: Devices of a platform that are looked at: those with the most revisions.
MOST_DEVICES = 20
#: Bytes of text that are looked at, of one device and of each of many; older ones are left out.
_MOST_BYTES = 50_000_000
_MOST_BYTES_OF_EACH = 5_000_000
#: After that no further device is begun, and no further rule looked for.
_MOST_SECONDS = 20.0
#: Fewest devices that make a line the noise of a platform.
_LEAST_DEVICES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """A line that changes by itself, and what to do about it."""

    section: str
    examples: tuple[str, ...]
    #: Share of the reads in which the line had changed; of several devices the largest.
    share: float
    flips: int
    hostnames: tuple[str, ...]
    #: What to add to the platform's definition; None where ``reason`` says why there is nothing.
    rule: VolatileRule | None
    reason: str
    #: Lines that do not change and that the rule would match too.
    other_lines: tuple[str, ...]
    #: Stored revisions that the rule would have made unnecessary.
    revisions_saved: int

    @property
    def toml(self) -> str:
        """What to write into the platform's definition file; empty without a rule."""
        return f"volatile = [\n    {self.rule.toml()},\n]\n" if self.rule else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseReport:
    """The noise of one device or of several of one platform."""

    platform: str
    devices: int
    #: Revisions that were looked at.
    revisions: int
    reads: int
    #: Of those revisions, how many today's rules would not have made.
    covered: int
    noise: tuple[Noise, ...]
    #: Whether time ran out before all devices were looked at.
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _History:
    """What is known of a device; texts as today's rules leave them, equal neighbours as one."""

    device: Device
    revisions: list[Revision]
    stored: int

    @property
    def texts(self) -> list[str]:
        return [revision.text for revision in self.revisions]


def noise_of_device(*, device: Device, revisions: int = REVISIONS) -> NoiseReport:
    """The noise in the newest ``revisions`` of ``device``.

    Raises UnknownPlatform, SnapshotNotFound when a text is lost, DeviceError when Git cannot be
    read.
    """
    definition = get_platform(device.platform)
    history = _history(definition, device, revisions, _MOST_BYTES)
    lines = [(line, (history.device,)) for line in noisy_lines(history.revisions)]
    return _report(definition, [history], lines, is_cut=False)


def noise_of_platform(*, platform: str, revisions: int = 10) -> NoiseReport:
    """The noise that at least two devices of ``platform`` share.

    Looks at the active devices with the most revisions. Raises as ``noise_of_device`` does.
    """
    definition = get_platform(platform)
    until = time.monotonic() + _MOST_SECONDS
    histories: list[_History] = []
    devices = _restless_devices(definition)
    for device in devices:
        if time.monotonic() > until:
            break
        histories.append(_history(definition, device, revisions, _MOST_BYTES_OF_EACH))
    is_cut = len(histories) < len(devices)
    return _report(definition, histories, _shared(histories), is_cut=is_cut)


def _restless_devices(definition: PlatformDefinition) -> list[Device]:
    names = {definition.name, *definition.aliases}
    devices = Device.objects.filter(platform__in=names, is_active=True)
    counted = devices.annotate(revision_count=Count("snapshots"))
    wanted = counted.filter(revision_count__gt=1).order_by("-revision_count", "hostname")
    return list(wanted[:MOST_DEVICES])


def _history(
    definition: PlatformDefinition, device: Device, limit: int, most_bytes: int
) -> _History:
    rows = snapshots_of(device=device).exclude(state=SnapshotState.LOST)
    snapshots = list(_within(most_bytes, rows[: min(limit, MOST_REVISIONS)]))
    revisions: list[Revision] = []
    for snapshot, text in zip(snapshots, snapshot_texts(snapshots=snapshots), strict=True):
        kept, reads = normalise_text(definition, text), snapshot.read_count
        if revisions and revisions[-1].text == kept:
            reads += revisions.pop().read_count
        revisions.append(Revision(text=kept, read_count=reads))
    revisions.reverse()
    return _History(device=device, revisions=revisions, stored=len(snapshots))


def _within(room: int, snapshots: Iterable[Snapshot]) -> Iterator[Snapshot]:
    for snapshot in snapshots:
        room -= snapshot.size_bytes
        if room < 0:
            return
        yield snapshot


_Found = tuple[NoisyLine, tuple[Device, ...]]


def _shared(histories: Sequence[_History]) -> list[_Found]:
    """Noise of several devices: lines of one kind as one, the most widespread first."""
    found: defaultdict[tuple[str, str], list[tuple[NoisyLine, Device]]] = defaultdict(list)
    for history in histories:
        for line in noisy_lines(history.revisions):
            found[line.key].append((line, history.device))
    shared = [entries for entries in found.values() if len(entries) >= _LEAST_DEVICES]
    shared.sort(key=len, reverse=True)
    return [_as_one(entries) for entries in shared]


def _as_one(entries: Sequence[tuple[NoisyLine, Device]]) -> _Found:
    loudest = max((line for line, _ in entries), key=lambda line: line.share)
    line = NoisyLine(
        section=loudest.section,
        variants=tuple(dict.fromkeys(variant for line, _ in entries for variant in line.variants)),
        flips=loudest.flips,
        chances=loudest.chances,
        comes_and_goes=any(line.comes_and_goes for line, _ in entries),
    )
    return line, tuple(dict.fromkeys(device for _, device in entries))


def _report(
    definition: PlatformDefinition,
    histories: Sequence[_History],
    lines: Sequence[_Found],
    *,
    is_cut: bool,
) -> NoiseReport:
    until = time.monotonic() + _MOST_SECONDS
    known = distinct_lines(text for history in histories for text in history.texts)
    return NoiseReport(
        platform=definition.name,
        devices=len(histories),
        revisions=sum(history.stored for history in histories),
        reads=sum(one.read_count for history in histories for one in history.revisions),
        covered=sum(history.stored - len(history.revisions) for history in histories),
        noise=tuple(
            _noise(definition, histories, known, line, devices, until) for line, devices in lines
        ),
        is_cut=is_cut,
    )


def _noise(
    definition: PlatformDefinition,
    histories: Sequence[_History],
    known: set[str],
    line: NoisyLine,
    devices: Sequence[Device],
    until: float,
) -> Noise:
    rule: VolatileRule | None = None
    reason, saved = "", 0
    others: list[str] = []
    drop = line.comes_and_goes or _is_comment(definition, line)
    try:
        _stay_within(until)
        rule, others = propose(line.variants, known, drop=drop)
        saved = _saved(_with_rule(definition, rule), histories)
    except (NoPattern, DefinitionError) as error:
        rule, reason = None, str(error)
    return Noise(
        section=line.section,
        examples=line.examples,
        share=round(line.share, 3),
        flips=line.flips,
        hostnames=tuple(device.hostname for device in devices),
        rule=rule,
        reason=reason,
        other_lines=tuple(others[:5]),
        revisions_saved=saved,
    )


def _stay_within(until: float) -> None:
    if time.monotonic() > until:
        raise NoPattern("time ran out; look at fewer revisions")


def _is_comment(definition: PlatformDefinition, line: NoisyLine) -> bool:
    prefix = definition.comment_prefix
    return prefix is not None and line.variants[0].lstrip().startswith(prefix)


def _with_rule(definition: PlatformDefinition, rule: VolatileRule) -> PlatformDefinition:
    """The definition with ``rule``, read from a file as an operator would write it.

    Raises DefinitionError when the file would be refused.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{definition.name}.toml"
        file.write_text(
            f'extends = "{definition.name}"\nvolatile = [\n    {rule.toml()},\n]\n',
            encoding="utf-8",
        )
        loaded = load_directory(
            file.parent, families=rule_families(), base={definition.name: definition}
        )
    if loaded.problems:
        raise loaded.problems[0]
    return loaded.definitions[definition.name]


def _saved(definition: PlatformDefinition, histories: Sequence[_History]) -> int:
    saved = 0
    for history in histories:
        texts = (normalise_text(definition, text) for text in history.texts)
        saved += sum(old == new for old, new in pairwise(texts))
    return saved


def noise_row(*, report: NoiseReport) -> dict[str, Any]:
    """The report as commands and the API give it out."""
    return {
        "platform": report.platform,
        "devices": report.devices,
        "revisions": report.revisions,
        "reads": report.reads,
        "covered": report.covered,
        "is_cut": report.is_cut,
        "noise": [_line_row(noise) for noise in report.noise],
    }


def _line_row(noise: Noise) -> dict[str, Any]:
    return {
        "section": noise.section,
        "examples": list(noise.examples),
        "share": noise.share,
        "flips": noise.flips,
        "hostnames": list(noise.hostnames),
        "pattern": noise.rule.pattern if noise.rule else None,
        "treatment": noise.rule.treatment if noise.rule else None,
        "toml": noise.toml,
        "reason": noise.reason,
        "other_lines": list(noise.other_lines),
        "revisions_saved": noise.revisions_saved,
    }
