"""Logins of a file become credentials, each once however many devices have it."""

from __future__ import annotations

from django.core.exceptions import ValidationError

from credentials.models import Credential, Provider
from credentials.secret import DeviceCredential
from credentials.services import CredentialError, credential_create, credential_open
from inventory.formats import Login

#: Leaves room for the program in front and a number behind.
_MAX_USERNAME = 70


class Logins:
    """The credentials of one import. What an earlier one made of the same login is used again."""

    def __init__(self, *, program: str) -> None:
        self._program = program
        self._known: dict[tuple[str, str, str | None], Credential] = {}
        #: Names of those that were made.
        self.made: list[str] = []

    def credential(self, login: Login) -> Credential:
        """The one with this login. Raises ValidationError, whose messages hold no secret."""
        key = (login.username, login.password, login.enable_secret)
        if key not in self._known:
            self._known[key] = self._stored(login) or self._create(login)
        return self._known[key]

    def _stored(self, login: Login) -> Credential | None:
        """One that an import made: others may hold more, or be changed for other reasons."""
        rows = Credential.objects.filter(
            name__startswith=f"{self._program}-",
            username=login.username,
            provider=Provider.STORED,
            sealed_ssh_key=None,
        )
        return next((row for row in rows if _is_same(row, login)), None)

    def _create(self, login: Login) -> Credential:
        try:
            credential = credential_create(
                name=self._free_name(login.username),
                username=login.username,
                password=login.password,
                enable_secret=login.enable_secret,
                description=f"Imported from {self._program}",
            )
        except ValidationError as error:
            raise ValidationError(f"its login: {'; '.join(error.messages)}") from error
        self.made.append(credential.name)
        return credential

    def _free_name(self, username: str) -> str:
        shown = "".join(sign for sign in username if sign.isprintable() and sign != ";")
        base = f"{self._program}-{shown.strip()[:_MAX_USERNAME]}".rstrip()
        taken = set(
            Credential.objects.filter(name__istartswith=base).values_list("name", flat=True)
        )
        lower = {name.lower() for name in taken}
        number, name = 1, base
        while name.lower() in lower:
            number += 1
            name = f"{base}-{number}"
        return name


def _is_same(credential: Credential, login: Login) -> bool:
    try:
        opened: DeviceCredential = credential_open(credential=credential)
    except CredentialError:  # its key is gone: it is of no use to the device either
        return False
    return (opened.password, opened.enable_secret) == (login.password, login.enable_secret)
