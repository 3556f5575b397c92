"""API tokens for programs: made, listed and revoked; shown once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from knox.auth import TokenAuthentication
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.permissions import SAFE_METHODS, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.api.filters import Filters, filters, lookups, named
from credentials.visibility import is_limited
from netraven_site.models import ApiToken


class NotWithToken(BasePermission):
    """A token makes no other: who has taken one would keep the others after it is revoked."""

    message = "An API token makes no other; log in with a password."

    def has_permission(self, request: Request, view: APIView) -> bool:
        by_token = isinstance(request.successful_authenticator, TokenAuthentication)
        return request.method in {*SAFE_METHODS, "DELETE"} or not by_token


class ApiTokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token without itself: ``id`` is how it begins."""

    id = serializers.CharField(source="token_key", read_only=True)
    user: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = ApiToken
        fields = ["id", "name", "user", "created", "expiry"]
        read_only_fields = ["created", "expiry"]


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "For a program",
            request_only=True,
            value={"name": "ansible", "days": 90},
        )
    ]
)
class TokenRequestSerializer(serializers.Serializer[Any]):
    """What a token is for, and how long it is valid."""

    name = serializers.CharField(max_length=100)
    days = serializers.IntegerField(required=False, min_value=1, max_value=3650)


class MadeTokenSerializer(ApiTokenSerializer):
    """A token that was made just now; ``token`` is shown this once."""

    token = serializers.CharField(read_only=True)

    class Meta(ApiTokenSerializer.Meta):
        fields = [*ApiTokenSerializer.Meta.fields, "token"]


class ApiTokenFilter(Filters):
    """By every column."""

    id = filters.CharFilter("token_key")
    user = named("user__username")

    class Meta:
        model = ApiToken
        fields = {**lookups(ApiToken, "name", "created", "expiry"), "user__username": ["exact"]}


class ApiTokenViewSet(
    mixins.ListModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[ApiToken]
):
    """The caller's API tokens, and for who may revoke them those of everybody."""

    queryset = ApiToken.objects.select_related("user")
    serializer_class = ApiTokenSerializer
    permission_classes = [IsAuthenticated, NotWithToken]
    lookup_field = "token_key"
    lookup_value_regex = "[0-9a-f]{15}"
    filterset_class = ApiTokenFilter
    search_fields = ["name", "user__username"]
    ordering_fields = ["created", "expiry", "name", "user__username"]

    def get_queryset(self) -> QuerySet[ApiToken]:
        """Those that the caller may see and revoke."""
        user: Any = self.request.user
        tokens = super().get_queryset()
        if user.has_perm("netraven_site.delete_apitoken") and not is_limited(user=user):
            return tokens
        return tokens.filter(user_id=user.pk)

    @extend_schema(request=TokenRequestSerializer, responses={201: MadeTokenSerializer})
    def create(self, request: Request) -> Response:
        """Make a token for the caller; the answer is the only place where it is shown."""
        wanted = TokenRequestSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        days = wanted.validated_data.get("days", settings.NETRAVEN.api_token_days)
        made, token = ApiToken.objects.create(
            user=request.user, expiry=timedelta(days=days), name=wanted.validated_data["name"]
        )
        answer = ApiTokenSerializer(made).data | {"token": token}
        return Response(
            answer, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"}
        )
