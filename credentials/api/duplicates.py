"""Names that are taken."""

from __future__ import annotations

from django.db.models import Model
from rest_framework import exceptions, status


class Duplicate(exceptions.APIException):
    """There is one with this name already."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


def refuse_duplicate(*, model: type[Model], name: str | None, instance: Model | None) -> None:
    """Raise Duplicate if another row than ``instance`` has this name, in upper or lower case."""
    if name is None:
        return
    others = model._default_manager.filter(name__iexact=name)
    if others.exclude(pk=instance.pk if instance else None).exists():
        noun = model._meta.verbose_name
        raise Duplicate(f"name: there is already a {noun} with the name '{name}'.")
