"""Tags and credentials."""

from __future__ import annotations

from typing import Any

from factory.declarations import Sequence
from factory.django import DjangoModelFactory

from credentials.models import Credential, Tag
from credentials.services import credential_create, tags_ensure


class TagFactory(DjangoModelFactory[Tag]):
    """A tag."""

    class Meta:
        model = Tag

    name = Sequence(lambda number: f"tag{number}")


class CredentialFactory(DjangoModelFactory[Credential]):
    """A credential with sealed secrets; ``tags`` are names."""

    class Meta:
        model = Credential

    name = Sequence(lambda number: f"login{number}")
    username = "netops"
    password = "Zq9-CANARY-password"

    @classmethod
    def _create(cls, model_class: type[Credential], *args: Any, **kwargs: Any) -> Credential:
        tags = tags_ensure(names=kwargs.pop("tags", ()))
        return credential_create(tags=tags, **kwargs)
