"""The one error shape of the API."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from common.api.errors import as_api_error, error_fields, error_message


def error_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """An error in the one shape: ``{"error": {"code", "message", "fields"}}``.

    ``fields`` maps a field to its messages and is empty where no field is at fault. None, and so
    Django's plain error 500, for what is nobody's input.
    """
    error = as_api_error(error)
    response = exception_handler(error, context)
    if response is None:
        return None
    response.data = _shape(
        _code(error, response.status_code), error_message(error), error_fields(error)
    )
    return response


@csrf_exempt  # It changes nothing, and clients with a token have no CSRF token.
def not_found(request: HttpRequest) -> JsonResponse:
    """The answer to an address of the API that there is not."""
    return JsonResponse(_shape("not_found", "There is no such address in the API.", {}), status=404)


def _shape(code: str, message: str, fields: dict[str, list[str]]) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "fields": fields}}


def _code(error: Exception, status_code: int) -> str:
    if isinstance(error, exceptions.ValidationError):
        return "invalid"
    return str(getattr(error, "default_code", status_code))
