"""Messages that name the field, the value and the rule; and names that are taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from django.core.exceptions import ValidationError as ModelError
from django.db.models import Model, Value
from django.db.models.functions import Lower
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.serializers import as_serializer_error

from common.api.errors import Duplicate
from common.hidden_text import revealed

_M = TypeVar("_M", bound=Model)
_LONGEST_VALUE = 60


def model_of(serializer: Any) -> type[Model]:
    """The model whose rows a serializer reads and writes."""
    model: type[Model] = serializer.Meta.model
    return model


class NamingSerializer(serializers.ModelSerializer[_M]):
    """Says of every field that is wrong which value it had, unless the value is a secret.

    A name that is taken is no wrong value: where nothing else is wrong it raises Duplicate.
    """

    #: Column by which people know a row; its values differ by more than upper and lower case.
    natural_key = "name"
    #: Fields whose values are not shown although they are no secrets.
    withheld_fields: frozenset[str] = frozenset()

    def start(self, row: _M | None, data: Any) -> None:
        """Begin with another row; None makes one. Its fields are made once for all of them."""
        self.instance, self.initial_data, self.partial = row, data, row is not None
        for kept in ("_validated_data", "_errors", "_data"):
            self.__dict__.pop(kept, None)

    def to_internal_value(self, data: Any) -> Any:
        try:
            return super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise self._refusal(error.detail) from None

    def validate(self, attrs: Any) -> Any:
        """Refuse a name that another row has."""
        self._refuse_duplicate(attrs.get(self.natural_key))
        return attrs

    def save(self, **kwargs: Any) -> _M:
        """Save the row. Raises the API's errors for what only its service can see."""
        try:
            return super().save(**kwargs)
        except ModelError as error:
            raise self._refusal(as_serializer_error(error)) from None

    def _refuse_duplicate(self, value: str | None) -> None:
        key, model = self.natural_key, model_of(self)
        if value is None or getattr(self.instance, key, None) == value:
            return
        # The database lowers both sides, as its unique constraints do.
        same = model._default_manager.alias(lower=Lower(key)).filter(lower=Lower(Value(value)))
        if same.exclude(pk=getattr(self.instance, "pk", None)).exists():
            raise Duplicate({key: [f"'{value}': {self._taken(key)}"]})

    def _taken(self, field: str) -> str:
        return f"There is already a {model_of(self)._meta.verbose_name} with this {field}."

    def _refusal(self, detail: Any) -> Exception:
        """What to raise for ``detail``, the messages by field as the serializer collects them."""
        if not isinstance(detail, dict):
            return serializers.ValidationError(detail)
        named = {field: self._named(field, messages) for field, messages in detail.items()}
        flat = [one for messages in named.values() for one in messages]
        if all(getattr(one, "code", "") == "unique" for one in flat):
            return Duplicate({field: list(map(str, named[field])) for field in named})
        return serializers.ValidationError(named)

    def _named(self, field: str, messages: Any) -> Any:
        value = self._shown_value(field)
        if not value or not isinstance(messages, list):
            return messages
        return [self._naming(text, field, value) for text in messages]

    def _naming(self, text: Any, field: str, value: str) -> Any:
        if not isinstance(text, ErrorDetail) or value in text:
            return text
        rule = self._taken(field) if text.code == "unique" else text
        return ErrorDetail(f"'{value}': {rule}", code=text.code)

    def _shown_value(self, field: str) -> str:
        """What was given for ``field``; empty for a secret, and where nothing can be shown."""
        known = self.fields.get(field)
        given = self.initial_data if hasattr(self, "initial_data") else None
        if known is None or known.write_only or field in self.withheld_fields:
            return ""
        if not isinstance(given, Mapping):
            return ""
        value = given.get(field)
        if not isinstance(value, str | int | float):
            return ""
        text = revealed(str(value))
        return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
