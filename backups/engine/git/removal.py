"""Taking a configuration out of the newest state of the store; its history stays."""

from __future__ import annotations

import time
from pathlib import Path

from backups.engine.config_path import is_config_path
from backups.engine.git.branch import Branch
from backups.engine.git.command import GitCommand
from backups.engine.git.commits import Commits, Sign
from backups.engine.git.failures import os_errors_named
from backups.engine.git.format import NETRAVEN, clean_name, format_commit
from backups.engine.git.objects import Objects
from backups.engine.git.turn import writing_turn


def remove_config(
    repository: Path, path: str, *, hostname: str, device_id: int, sign: Sign | None = None
) -> str | None:
    """Commit that nothing stands at ``path`` any more; the commit's id, None where nothing stood.

    Raises DeviceError when it could not be committed, ValueError for a path that ``config_path``
    did not make.
    """
    if not is_config_path(path):
        raise ValueError("The path of a configuration must come from config_path().")
    commits = Commits(Objects(repository / "objects", GitCommand(repository).run), sign)
    branch = Branch(repository)
    with os_errors_named(repository), writing_turn(repository), branch.locked():
        tip = branch.tip()
        if commits.place(tip, path).blob is None:
            return None
        now = int(time.time())
        name = clean_name(hostname) or f"device {device_id}"
        commit = commits.write(
            format_commit(
                tree=commits.write_changes(tip, {path: None}),
                parent=tip,
                author=NETRAVEN,
                authored_at=now,
                committed_at=now,
                message=f"{name}: history deleted\n\nNetRaven-Device: {device_id}\n",
            )
        )
        branch.move_to(commit)
        return commit
