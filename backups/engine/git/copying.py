"""A whole history as one stream, out of one repository and into an empty one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from backups.engine.git.command import GitCommand, OutputSink
from backups.engine.git.failures import damaged, os_errors_named
from backups.engine.git.format import named_references

#: Bounds the memory that comparing objects takes.
_LIMITS = ("-c", "pack.windowMemory=128m", "-c", "pack.threads=1")
_PACK = "netraven-restored"


def references(repository: Path) -> dict[str, str]:
    """The commit or tag that each reference names; none where there is no repository.

    References whose names are no UTF-8 are not ours and are left out. Raises DeviceError when git
    cannot read the repository.
    """
    if not (repository / "HEAD").exists():
        return {}
    git = GitCommand(repository)
    return named_references(git.run(["for-each-ref", "--format=%(objectname) %(refname)"]))


def write_pack(repository: Path, tips: Iterable[str], sink: OutputSink) -> None:
    """Give ``sink`` everything that ``tips`` lead to, as one pack.

    Raises DeviceError when something of it is missing or damaged.
    """
    command = [*_LIMITS, "pack-objects", "--revs", "--stdout", "--delta-base-offset", "--quiet"]
    wanted = "".join(f"{tip}\n" for tip in sorted(set(tips))).encode()
    answer = GitCommand(repository).execute(command, wanted, sink=sink)
    answer.checked("pack-objects")


def read_pack(repository: Path, pieces: Iterable[bytes], wanted: Mapping[str, str]) -> None:
    """Fill the empty ``repository`` with a pack and let each reference of ``wanted`` name its own.

    Every object is checked, and that nothing is missing. Raises DeviceError; the repository is of
    no use then.
    """
    git, folder = GitCommand(repository), repository / "objects" / "pack"
    pack = folder / f"{_PACK}.pack"
    with os_errors_named(repository), pack.open("wb") as file:
        for piece in pieces:
            file.write(piece)
    answer = git.run([*_LIMITS, "index-pack", "--strict", str(pack)]).decode()
    name = f"pack-{answer.split()[-1]}"
    with os_errors_named(repository):
        for suffix in ("rev", "pack", "idx"):  # Git looks for the index
            part = pack.with_suffix(f".{suffix}")
            if part.exists():
                part.rename(folder / f"{name}.{suffix}")
    commands = "".join(f"create {name} {commit}\n" for name, commit in wanted.items())
    git.execute(["update-ref", "--stdin"], commands.encode()).checked("update-ref")
    if references(repository) != dict(wanted):
        raise damaged("its branches are not those that were copied")
    git.run(["fsck", "--connectivity-only", "--no-dangling"])
