"""Sealing values anew under the current key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import transaction

from credentials.cipher import Cipher, CipherError
from credentials.sealed import SealedColumn
from credentials.services import installation_cipher

DEFAULT_BATCH: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A value that cannot be opened and was left as it is."""

    noun: str
    #: Primary key of its row, and the name of what the row belongs to.
    row: int
    name: str
    column: str
    reason: str


@dataclass(slots=True, kw_only=True)
class Rotation:
    """What became of the values that another key than the current one had sealed."""

    #: Number of values that were sealed anew, by their noun.
    rotated: dict[str, int] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)


def rotate(
    columns: Sequence[SealedColumn],
    *,
    batch: int = DEFAULT_BATCH,
    progress: Callable[[str, int], None] = lambda noun, count: None,
) -> Rotation:
    """Seal the values of ``columns`` anew under the current key, those of older keys only.

    Each batch is a transaction of its own, so that a rotation that was cut off goes on where it
    was. The rows of a batch are locked: what is written is what was read, and several rotations
    share the work. ``progress`` gets the noun and how many such values are done, after each batch.
    Raises CipherError when the configured keys are unusable.
    """
    cipher, result = installation_cipher(), Rotation()
    for column in columns:
        # First whatever nobody holds; then wait for the rest, which others may have done by then.
        for wait in (False, True):
            _Pass(column, cipher, result, wait=wait).run(batch, progress)
    return result


class _Pass:
    """One way through a column, in the order of the primary keys."""

    def __init__(
        self, column: SealedColumn, cipher: Cipher, result: Rotation, *, wait: bool
    ) -> None:
        self._column = column
        self._cipher = cipher
        self._result = result
        self._wait = wait
        self._known = {(found.column, found.row) for found in result.unreadable}
        self._after = 0

    def run(self, batch: int, progress: Callable[[str, int], None]) -> None:
        noun = self._column.noun
        while self._batch(batch):
            progress(noun, self._result.rotated.get(noun, 0))

    def _batch(self, size: int) -> bool:
        """Do the next rows; whether there were any."""
        with transaction.atomic():
            rows = list(self._locked(size))
            done = sum(self._seal_anew(row, seal_id) for row, seal_id in rows)
        noun = self._column.noun
        self._result.rotated[noun] = self._result.rotated.get(noun, 0) + done
        if rows:
            self._after = rows[-1][0]
        return bool(rows)

    def _locked(self, size: int) -> Any:
        rows = self._column.values().filter(pk__gt=self._after).order_by("pk")
        rows = rows.exclude(needs_key=self._cipher.current_key_id)
        # No key of another table changes, so rows that refer to these may still be written.
        rows = rows.select_for_update(skip_locked=not self._wait, no_key=True)
        return rows.values_list("pk", "seal_id")[:size]

    def _seal_anew(self, row: int, seal_id: Any) -> bool:
        """Do one row; whether its value could be opened. One value at a time is in memory."""
        column = self._column
        if (column.column, row) in self._known:
            return False
        rows = column.model._default_manager.filter(pk=row)
        sealed = bytes(rows.values_list(column.column, flat=True).get())
        context = column.context(seal_id)
        try:
            plaintext = self._cipher.open(sealed, context=context)
        except CipherError as error:
            self._note(row, str(error))
            return False
        values: dict[str, Any] = {column.column: self._cipher.seal(plaintext, context=context)}
        if column.key_column is not None:
            values[column.key_column] = self._cipher.current_key_id
        rows.update(**values)
        return True

    def _note(self, row: int, reason: str) -> None:
        column = self._column
        name = column.model._default_manager.values_list(column.name_path, flat=True).get(pk=row)
        self._result.unreadable.append(
            Unreadable(
                noun=column.noun, row=row, name=str(name), column=column.column, reason=reason
            )
        )
