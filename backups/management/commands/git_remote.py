"""``manage.py git_remote``: Git repositories elsewhere that get the history."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from backups.engine.errors import DeviceError
from backups.models import GitRemote, RemoteState
from backups.selectors.remotes import RemoteNotFound, remote_get, remote_lag
from backups.services.remotes import RemoteBusy, remote_push, remote_save
from common.commands import StackCommand, command_line_user, one_line
from credentials.selectors import CredentialNotFound, credential_get
from inventory.models import Zone
from inventory.services import HostKeyNotAccepted, host_key_accept


class Command(StackCommand):
    help = "List, add, show, remove and push to Git remotes, or accept the host key of one."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
        listed = what.add_parser("list", help="all remotes and how far they are")
        add = what.add_parser("add", help="push the history to one more place from now on")
        add.add_argument("name")
        add.add_argument("url", help="https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH")
        add.add_argument("--zone", help="only the devices of this zone")
        add.add_argument("--credential", help="name of a stored credential")
        add.add_argument("--disabled", action="store_true", help="do not push by itself yet")
        accept = what.add_parser("accept-host-key", help="accept the host key that was refused")
        accept.add_argument("name")
        accept.add_argument("fingerprint", help="the one that you have compared (SHA256:...)")
        show = what.add_parser("show", help="one remote")
        push = what.add_parser("push", help="push now, here, and say how it went")
        remove = what.add_parser("remove", help="forget a remote; the repository there stays")
        for parser_of_one in (show, push, remove):
            parser_of_one.add_argument("name")
        for parser_of_any in (listed, add, accept, show, push, remove):
            parser_of_any.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        actions = {
            "list": self._list,
            "add": self._add,
            "show": self._show,
            "push": self._push,
            "remove": self._remove,
            "accept-host-key": self._accept_host_key,
        }
        try:
            actions[options["what"]](options)
        except (RemoteNotFound, RemoteBusy, CredentialNotFound, HostKeyNotAccepted) as error:
            raise CommandError(str(error)) from None
        except ValidationError as error:
            raise CommandError(one_line(error)) from None
        except DeviceError as error:
            raise CommandError(error.message) from None

    def _list(self, options: dict[str, Any]) -> None:
        remotes = list(GitRemote.objects.select_related("zone", "credential"))
        if options["json"]:
            self._json({"remotes": [_row(remote) for remote in remotes]})
            return
        if not remotes:
            self.stdout.write("There is no Git remote; add one with 'git_remote add'.")
        for remote in remotes:
            self.stdout.write(_line(remote))

    def _add(self, options: dict[str, Any]) -> None:
        remote = GitRemote(
            name=options["name"], url=options["url"], is_enabled=not options["disabled"]
        )
        if options["zone"]:
            remote.zone = _zone(options["zone"])
        if options["credential"]:
            remote.credential = credential_get(name=options["credential"])
        remote_save(remote=remote)
        self._say(remote, f"{remote.name} is added; 'git_remote push' tries it", options)

    def _show(self, options: dict[str, Any]) -> None:
        remote = remote_get(name=options["name"])
        if options["json"]:
            self._json(_row(remote))
            return
        for name, value in _row(remote).items():
            self.stdout.write(f"{name.replace('_', ' ')}: {'-' if value in (None, '') else value}")

    def _push(self, options: dict[str, Any]) -> None:
        remote = remote_get(name=options["name"])
        had_key = bool(remote.host_key)
        outcome = remote_push(remote=remote)
        if options["json"]:
            self._json(_row(remote))
        if outcome.is_key_refused and remote.offered_host_key:
            raise CommandError(f"{outcome.error} It shows {remote.offered_fingerprint}.")
        if outcome.state in (RemoteState.FAILED, RemoteState.DIVERGED):
            raise CommandError(outcome.error)
        if options["json"]:
            return
        if remote.host_key and not had_key:
            self.stdout.write(f"{remote.name}: kept host key {remote.host_key_fingerprint}")
        done = outcome.error or f"pushed, the newest commit there is {outcome.commit}"
        self.stdout.write(f"{remote.name}: {done}")

    def _remove(self, options: dict[str, Any]) -> None:
        remote = remote_get(name=options["name"])
        remote.delete()
        self._say(remote, f"{remote.name} is removed; the repository there stays", options)

    def _accept_host_key(self, options: dict[str, Any]) -> None:
        remote = host_key_accept(
            owner=remote_get(name=options["name"]),
            fingerprint=options["fingerprint"],
            changed_by=command_line_user(),
        )
        self._say(remote, f"{remote.name}: {remote.host_key_fingerprint} is accepted", options)

    def _say(self, remote: GitRemote, text: str, options: dict[str, Any]) -> None:
        if options["json"]:
            self._json(_row(remote))
        else:
            self.stdout.write(text)

    def _json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, ensure_ascii=False, indent=2))


def _zone(name: str) -> Zone:
    zone = Zone.objects.filter(name=name).first()
    if zone is None:
        known = ", ".join(Zone.objects.order_by("name").values_list("name", flat=True)[:10])
        raise CommandError(f"there is no zone '{name}'; the zones are: {known or 'none yet'}")
    return zone


def _line(remote: GitRemote) -> str:
    lag = remote_lag(remote=remote)
    behind = f"{lag.snapshots} behind" if lag.snapshots else "up to date"
    scope = f"zone {remote.zone.name}" if remote.zone else "all devices"
    state = remote.state if remote.is_enabled else "DISABLED"
    return "  ".join(filter(None, (remote.name, state, behind, scope, remote.url, remote.error)))


def _row(remote: GitRemote) -> dict[str, Any]:
    """What ``--json`` prints of one remote; times are ISO 8601 in UTC."""
    lag = remote_lag(remote=remote)
    return {
        "name": remote.name,
        "url": remote.url,
        "zone": remote.zone.name if remote.zone else None,
        "credential": remote.credential.name if remote.credential else None,
        "is_enabled": remote.is_enabled,
        "state": str(remote.state),
        "error": remote.error,
        "snapshots_behind": lag.snapshots,
        "seconds_behind": lag.seconds,
        "pushed_commit": remote.pushed_commit,
        "pushed_at": _time(remote.pushed_at),
        "attempted_at": _time(remote.attempted_at),
        "failures": remote.failures,
        "next_attempt_at": _time(remote.next_attempt_at),
        "host_key": remote.host_key_fingerprint,
        "offered_host_key": remote.offered_fingerprint,
    }


def _time(value: Any) -> str | None:
    return value.isoformat() if value is not None else None
