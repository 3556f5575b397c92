"""How the API describes itself: errors, lists of many entries, and conditions."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_BULK = frozenset({"bulk_create", "bulk_update"})
_CONDITIONAL = frozenset({"update", "partial_update", "destroy"})
_DESCRIPTIONS = {
    400: "The request is wrong; `fields` says where.",
    401: "No token, or one that is not valid any more.",
    403: "The permission is missing.",
    404: "There is no such thing, or no such page.",
    406: "The answer has another form than the request accepts.",
    409: "A name is taken, it is still in use, or it contradicts what is stored.",
    412: "It is not any more what If-Match names.",
    415: "The body is no JSON.",
    429: "There were too many attempts.",
    503: "An archive or the Git store cannot be read; nothing was stored.",
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "fields"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "fields": {
                    "type": "object",
                    "additionalProperties": {"type": "array", "items": {"type": "string"}},
                },
            },
        }
    },
    "example": {
        "error": {
            "code": "invalid",
            "message": "port: '70000': Ensure this value is less than or equal to 65535.",
            "fields": {
                "port": ["'70000': Ensure this value is less than or equal to 65535."],
            },
        }
    },
}
#: Parts of the description that operations refer to.
_COMPONENTS: dict[str, Any] = {
    "schemas": {"Error": _ERROR},
    "responses": {
        f"Error{code}": {
            "description": text,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for code, text in _DESCRIPTIONS.items()
    },
}


def add_components(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """``result``, the whole description, with what its operations refer to."""
    for kind, parts in _COMPONENTS.items():
        result["components"].setdefault(kind, {}).update(parts)
    return result


class Schema(AutoSchema):
    """Describes one operation."""

    #: With the attributes of its class, which differ.
    view: Any

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """The operation with its errors, or None for one that is left out."""
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        for code in self._error_codes():
            reference = {"$ref": f"#/components/responses/Error{code}"}
            operation["responses"].setdefault(str(code), reference)
        if self._action in _BULK:
            for content in operation["requestBody"]["content"].values():
                content["schema"] = self._entries(content["schema"])
                for example in content.get("examples", {}).values():
                    example["value"] = [self._named(entry) for entry in example["value"]]
        return operation

    def get_override_parameters(self) -> list[Any]:
        """What is asked for beside path, filters and body."""
        parameters = list(super().get_override_parameters())
        if not self._is_resource:
            return parameters
        if self._action in {"create", "bulk_create"}:
            parameters.append(self.view.bulk_query_class)
        if self._action in _CONDITIONAL:
            condition = OpenApiParameter(
                "If-Match",
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                description="The ETag that it has to have still.",
            )
            parameters.append(condition)
        return parameters

    def get_request_serializer(self) -> Any:
        return self.view.get_serializer(many=True) if self._action in _BULK else self._request()

    def get_response_serializers(self) -> Any:
        if self._action == "create" and self._is_resource:
            return dict.fromkeys((200, 201), self.view.get_serializer())
        if self._action not in _BULK:
            return super().get_response_serializers()
        codes = (200, 201) if self._action == "bulk_create" else (200,)
        return {code: self.view.get_serializer(many=True) for code in codes}

    def get_filter_backends(self) -> list[Any]:
        return [] if self._action in _BULK else list(super().get_filter_backends())

    def _get_paginator(self) -> Any:
        return None if self._action in _BULK else super()._get_paginator()

    @property
    def _is_resource(self) -> bool:
        """Whether it is a view of ``common.api.resources``, which cannot be imported here."""
        return hasattr(self.view, "bulk_query_class")

    @property
    def _action(self) -> str:
        return getattr(self.view, "action", None) or ""

    def _request(self) -> Any:
        return super().get_request_serializer()

    def _entries(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A list of entries; those that change rows name them."""
        entry = schema["items"]
        if self._action == "bulk_update":
            name: dict[str, Any] = {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": {"type": "integer", "minimum": 1},
                    "etag": {"type": "string", "maxLength": 64},
                },
            }
            entry = {"allOf": [name, entry]}
        return {**schema, "items": entry, "minItems": 1, "maxItems": self.view.most_entries}

    def _named(self, entry: dict[str, Any]) -> dict[str, Any]:
        return {"id": 1, **entry} if self._action == "bulk_update" else entry

    def _error_codes(self) -> list[int]:
        codes = [400, 401, 403, 404, 406, 503]
        if self.method in _WRITES:
            codes += [409, 415]
        if self._action in _CONDITIONAL | {"bulk_update"} and self._is_resource:
            codes.append(412)
        if self.view.throttle_classes:
            codes.append(429)
        return sorted(codes)
