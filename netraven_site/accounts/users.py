"""Users in the API, for the admin; and everybody about themselves."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import User
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import exceptions, serializers, viewsets
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.api.errors import Conflict
from common.api.filters import Filters, lookups, named
from common.api.naming import NamingSerializer
from credentials.api.fields import TagNamesField
from credentials.models import TagLimit
from credentials.permissions import IsNotLimited
from credentials.services import tags_ensure
from netraven_site.accounts.roles import Role
from netraven_site.accounts.services import LastAdmin, user_delete, user_save

_ROLES = [role.value for role in Role]


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "An operator",
            request_only=True,
            value={
                "username": "anna",
                "password": "correct-horse-battery",
                "roles": ["operator"],
                "tag_limit": ["berlin"],
            },
        )
    ]
)
class UserSerializer(NamingSerializer[User]):
    """A user; the password goes in and never out."""

    natural_key = "username"

    password = serializers.CharField(
        write_only=True, required=False, max_length=128, trim_whitespace=False
    )
    roles = serializers.ListField(
        child=serializers.ChoiceField(choices=_ROLES), required=False, source="role_names"
    )
    tag_limit = TagNamesField(
        required=False,
        allow_null=True,
        source="limit_tags",
        help_text="Tags of the devices that the user sees; null for all devices.",
    )

    class Meta:
        model = User
        fields = [
            "id",
            "username",
            "password",
            "first_name",
            "last_name",
            "email",
            "is_active",
            "is_staff",
            "is_superuser",
            "roles",
            "tag_limit",
            "last_login",
            "date_joined",
        ]
        read_only_fields = ["is_superuser", "last_login", "date_joined"]

    def to_representation(self, instance: User) -> dict[str, Any]:
        instance.role_names = sorted(  # type: ignore[attr-defined]  # for the field of that name
            group.name for group in instance.groups.all() if group.name in _ROLES
        )
        try:
            instance.limit_tags = instance.tag_limit.tags  # type: ignore[attr-defined]  # the same
        except TagLimit.DoesNotExist:
            instance.limit_tags = None  # type: ignore[attr-defined]  # the same
        return super().to_representation(instance)

    def create(self, validated_data: dict[str, Any]) -> User:
        # Who is made here is to use the pages, unless it says otherwise.
        return self.update(User(is_staff=True), validated_data)

    def update(self, instance: User, validated_data: dict[str, Any]) -> User:
        password = validated_data.pop("password", None)
        roles = validated_data.pop("role_names", None)
        is_limit_given = "limit_tags" in validated_data
        names = validated_data.pop("limit_tags", None)
        for field, value in validated_data.items():
            setattr(instance, field, value)
        user = user_save(
            user=instance,
            password=password,
            roles=None if roles is None else [Role(role) for role in roles],
            limit=None if names is None else tags_ensure(names=names),
            is_limit_given=is_limit_given,
        )
        return User.objects.get(pk=user.pk)


class UserFilter(Filters):
    """By every column."""

    roles = named("groups__name")
    tag_limit = named("tag_limit__tags__name")

    class Meta:
        model = User
        fields = {
            **lookups(User, "id", "username", "first_name", "last_name", "email", "is_active"),
            **lookups(User, "is_staff", "is_superuser", "last_login", "date_joined"),
            "groups__name": ["exact"],
        }


class UserViewSet(viewsets.ModelViewSet[User]):
    """The users, their roles and their limits. A superuser is changed by a superuser only."""

    queryset = User.objects.prefetch_related("groups", "tag_limit__tags").order_by("username")
    serializer_class = UserSerializer
    filterset_class = UserFilter
    search_fields = ["username", "first_name", "last_name", "email"]
    ordering_fields = [
        *("id", "username", "first_name", "last_name", "email", "is_active", "is_staff"),
        *("is_superuser", "last_login", "date_joined"),
    ]

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimited()]

    def perform_create(self, serializer: serializers.BaseSerializer[User]) -> None:
        self._save(serializer)

    def perform_update(self, serializer: serializers.BaseSerializer[User]) -> None:
        self._refuse_superuser(serializer.instance)
        self._save(serializer)

    def perform_destroy(self, instance: User) -> None:
        self._refuse_superuser(instance)
        if instance == self.request.user:
            # Nor could the audit log say who did it.
            raise Conflict("nobody deletes themselves; ask another admin")
        try:
            user_delete(user=instance)
        except LastAdmin as error:
            raise Conflict(str(error)) from error

    def _save(self, serializer: serializers.BaseSerializer[User]) -> None:
        try:
            serializer.save()
        except LastAdmin as error:
            raise Conflict(str(error)) from error

    def _refuse_superuser(self, user: Any) -> None:
        if user.is_superuser and not self.request.user.is_superuser:
            raise exceptions.PermissionDenied("A superuser is changed by a superuser only.")


class MeView(APIView):
    """The caller."""

    permission_classes = [IsAuthenticated]

    @extend_schema(responses={200: UserSerializer})
    def get(self, request: Request) -> Response:
        """Name, roles and limit of whoever asks."""
        return Response(UserSerializer(cast("User", request.user)).data)
