"""Columns with sealed values, and which key each value needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db.models import CharField, Count, F, Func, Model, QuerySet

from credentials.models import Credential
from credentials.services import SECRET_FIELDS, credential_context


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedColumn:
    """Where values lie that ``credentials.cipher`` sealed; their rows have a ``seal_id``."""

    #: What one value is called in messages; several have an ``s``.
    noun: str
    model: type[Model]
    column: str
    #: Column that repeats the id of the key; None where only the sealed value has it.
    key_column: str | None = None
    #: Path to the name by which people know the row.
    name_path: str
    #: What the value in the row with this ``seal_id`` is bound to.
    context: Callable[[UUID], str]

    def values(self) -> QuerySet[Any]:
        """The rows that hold a value, with ``needs_key``: the id of the key it needs.

        ``needs_key`` is empty or no id of a key where the value is damaged.
        """
        rows = self.model._default_manager.filter(**{f"{self.column}__isnull": False})
        needs_key = F(self.key_column) if self.key_column else _SealedKeyId(F(self.column))
        return rows.annotate(needs_key=needs_key)


class _SealedKeyId(Func):
    """The id of the key in a sealed value, where ``credentials.cipher`` puts it."""

    template = (
        "CASE WHEN octet_length(%(expressions)s) > 2 THEN encode(substring(%(expressions)s "
        "from 3 for get_byte(%(expressions)s, 1)), 'escape') ELSE '' END"
    )
    output_field = CharField()


def _context_of(field: str, seal_id: UUID) -> str:
    return credential_context(seal_id=seal_id, field=field)


#: The secrets of all credentials.
CREDENTIAL_COLUMNS: Final = tuple(
    SealedColumn(
        noun="credential secret",
        model=Credential,
        column=column,
        name_path="name",
        context=partial(_context_of, field),
    )
    for field, column in SECRET_FIELDS.items()
)

_OTHERS: list[SealedColumn] = []


def register_sealed(*columns: SealedColumn) -> None:
    """Have the keys that ``columns`` need checked at the start, and their values sealed anew.

    For apps to the left of whoever does that.
    """
    _OTHERS.extend(column for column in columns if column not in _OTHERS)


def registered_columns() -> tuple[SealedColumn, ...]:
    """What was registered."""
    return tuple(_OTHERS)


#: How many values need a key, by their noun; by the id of the key.
KeyUses = Mapping[str, Mapping[str, int]]


def key_uses(columns: Sequence[SealedColumn]) -> KeyUses:
    """Which keys the values of ``columns`` need, and how many values each."""
    uses: dict[str, dict[str, int]] = {}
    for column in columns:
        rows = column.values().order_by().values("needs_key").annotate(count=Count("pk"))
        for row in rows:
            of_key = uses.setdefault(row["needs_key"], {})
            of_key[column.noun] = of_key.get(column.noun, 0) + row["count"]
    return dict(sorted(uses.items()))


def counted(counts: Mapping[str, int]) -> str:
    """``{"archive": 12, "credential secret": 1}`` as ``12 archives and 1 credential secret``."""
    return " and ".join(
        f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items()
    )
