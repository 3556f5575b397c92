"""All that is needed to bring a dead device back, in one zip."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath

from backups.engine.config_path import config_path
from backups.engine.errors import DeviceError
from backups.engine.restore_guide import PackedFile, restore_guide
from backups.models import Archive, Snapshot
from backups.selectors.archives import archive_newest, artefacts_of
from backups.selectors.snapshots import SnapshotNotFound, snapshot_text
from backups.services.archives import archive_read
from credentials.cipher import CipherError
from inventory.models import Device
from inventory.platforms import UnknownPlatform, get_platform

#: The first year that a zip can hold.
_FIRST_ZIP_TIME = datetime(1980, 1, 1, tzinfo=UTC)
_UNIX = 3
_FILE_MODE = 0o100600


class RawNotKept(Exception):
    """The raw copy of a revision was pruned; nothing can be restored from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePack:
    """A zip and the name for it, which is safe on every file system."""

    file_name: str
    payload: bytes = field(repr=False)


def restore_pack(
    *, snapshot: Snapshot, reader: str, reason: str, address: str | None = None
) -> RestorePack:
    """The pack of ``snapshot``: raw and redacted configuration, artefacts, facts and steps.

    Each raw copy that goes into it is recorded as a reading before it is opened. The same state
    gives the same bytes. Raises RawNotKept, ReasonMissing, and CipherError when the raw
    configuration cannot be opened; what else cannot be read is named in the pack and left out.
    """
    archive = archive_newest(snapshot=snapshot)
    if archive is None:
        raise RawNotKept(f"{snapshot.device.hostname}: the raw copy of this revision is not kept")

    def read(found: Archive) -> bytes:
        return archive_read(archive=found, reader=reader, reason=reason, address=address)

    raw = read(archive)
    extension = _extension(raw)
    files = {f"raw/running-config.{extension}": raw}
    missing: list[str] = []
    try:
        text = snapshot_text(snapshot=snapshot)
        files[f"redacted/running-config.{extension}"] = text.encode()
    except (DeviceError, SnapshotNotFound) as error:
        missing.append(f"the redacted configuration: {error}")
    for artefact in artefacts_of(device=snapshot.device):
        try:
            files[f"artefacts/{artefact.name}"] = read(artefact)
        except CipherError as error:
            missing.append(f"artefact {artefact.name}: {error}")
    packed = list(_packed(files))
    facts = _facts(snapshot, archive)
    listing = {"files": [asdict(file) for file in packed], "missing": missing}
    files["facts.json"] = (json.dumps(facts | listing, indent=2) + "\n").encode()
    files["RESTORE.md"] = _guide(snapshot, facts, packed, missing).encode()
    return RestorePack(
        file_name=_file_name(snapshot), payload=_zip(files, modified=snapshot.collected_at)
    )


def _extension(raw: bytes) -> str:
    return "xml" if raw.lstrip()[:1] == b"<" else "cfg"


def _packed(files: Mapping[str, bytes]) -> Iterator[PackedFile]:
    for path, payload in files.items():
        digest = hashlib.sha256(payload).hexdigest()
        yield PackedFile(path=path, size_bytes=len(payload), sha256=digest)


def _facts(snapshot: Snapshot, archive: Archive) -> dict[str, object]:
    """What is known of device and revision. Facts of the device are those of its last session."""
    device: Device = snapshot.device
    return {
        "hostname": device.hostname,
        "address": device.ip_address,
        "port": device.port,
        "transport": device.transport,
        "platform": device.platform,
        "model": device.model,
        "serial_number": device.serial_number,
        "os_version": device.os_version,
        "commit": snapshot.commit,
        "collected_at": _time(snapshot.collected_at),
        "raw_collected_at": _time(archive.collected_at),
        "run_id": snapshot.run_id,
        "job_name": snapshot.job_name,
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _guide(
    snapshot: Snapshot,
    facts: Mapping[str, object],
    files: list[PackedFile],
    missing: list[str],
) -> str:
    try:
        platform = get_platform(snapshot.device.platform)
        title, steps = platform.title, platform.restore
    except UnknownPlatform:
        title, steps = snapshot.device.platform, ()
    shown = {
        "device": str(facts["hostname"]),
        "address": str(facts["address"]),
        "platform": title,
        "model": str(facts["model"]),
        "serial number": str(facts["serial_number"]),
        "software version": str(facts["os_version"]),
        "configuration of": str(facts["collected_at"]),
        "commit": str(facts["commit"]),
    }
    return restore_guide(facts=shown, files=files, steps=steps, missing=missing)


def _file_name(snapshot: Snapshot) -> str:
    """Made from the safe name that the device has in Git."""
    stem = PurePosixPath(config_path(snapshot.device.hostname, snapshot.device_id)).stem
    return f"{stem.replace('~', '-')}-{snapshot.commit[:10] or 'pending'}.zip"


def _zip(files: Mapping[str, bytes], *, modified: datetime) -> bytes:
    """``files`` in their order, all of them as old as ``modified`` and for their owner alone."""
    time = max(modified.astimezone(UTC), _FIRST_ZIP_TIME)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, payload in files.items():
            entry = zipfile.ZipInfo(path, date_time=time.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = _UNIX
            entry.external_attr = _FILE_MODE << 16
            archive.writestr(entry, payload)
    return buffer.getvalue()
