"""Starts one server for the supervisor: gives up rights, ties its life to the parent, executes it.

Run as a script, with nothing but the standard library, so that it costs 20 ms:
``python -I -S launch.py PARENT_PID ORPHAN_SIGNAL UID:GID|- PROGRAM ARGUMENT...``
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2), Linux only


def _become(account: str) -> None:
    if account == "-":
        return
    uid, gid = (int(part) for part in account.split(":"))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _die_with(parent: int, signal_number: int) -> None:
    """Have the kernel send the signal when the parent dies, however it dies."""
    if not sys.platform.startswith("linux"):
        return
    # A change of user clears the setting, so this comes after it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:
        sys.exit("the supervisor has gone")


def main(parent: str, orphan_signal: str, account: str, *argv: str) -> None:
    _become(account)
    _die_with(int(parent), int(orphan_signal))
    os.execv(argv[0], argv)  # noqa: S606 - the purpose of this program


if __name__ == "__main__":
    main(*sys.argv[1:])
