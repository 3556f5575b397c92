"""Reading tags and credentials."""

from __future__ import annotations

from django.db.models import Value
from django.db.models.functions import Lower

from credentials.models import Credential, Tag


class CredentialNotFound(Exception):
    """No credential has that name. The message says what to do."""


def credential_get(*, name: str) -> Credential:
    """The credential with this name, in any case. Raises CredentialNotFound."""
    credential = Credential.objects.filter(name__iexact=name).first()
    if credential is None:
        names = ", ".join(Credential.objects.order_by("name").values_list("name", flat=True)[:10])
        known = f"the credentials are: {names}" if names else "there are no credentials yet"
        raise CredentialNotFound(f"there is no credential '{name}'; {known}")
    return credential


def tag_get(*, name: str) -> Tag:
    """The tag with this name in upper or lower case. Raises Tag.DoesNotExist.

    The database lowers both sides, as its unique constraint does: Python lowers letters such as
    the Turkish dotted I or the final sigma in another way.
    """
    return Tag.objects.alias(lower=Lower("name")).get(lower=Lower(Value(name)))
