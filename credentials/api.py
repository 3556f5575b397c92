"""Tags and credentials in the API. Secrets go in, and never out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError as ModelError
from django.db import transaction
from django.db.models import Model, QuerySet
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.validators import UniqueValidator

from credentials.models import (
    MAX_FRESHNESS_HOURS,
    MAX_TAG_LENGTH,
    Credential,
    Tag,
    validate_name,
    validate_username,
)
from credentials.permissions import IsNotLimitedToWrite
from credentials.services import SECRET_FIELDS, credential_save, tags_ensure
from credentials.visibility import credentials_visible_to, tags_visible_to


def whole_number(*, low: int, high: int, **options: Any) -> serializers.IntegerField:
    """A field whose message names the value and the range."""

    def check(value: int) -> None:
        if not low <= value <= high:
            raise serializers.ValidationError(f"{value} is not between {low} and {high}.")

    return serializers.IntegerField(validators=[check], **options)


class TagSerializer(serializers.ModelSerializer[Tag]):
    """A tag as it comes and goes."""

    name = serializers.CharField(
        max_length=MAX_TAG_LENGTH,
        validators=[
            validate_name,
            UniqueValidator(
                queryset=Tag.objects.all(),
                lookup="iexact",
                message="There is already a tag with this name.",
            ),
        ],
    )
    freshness_hours = whole_number(
        low=1,
        high=MAX_FRESHNESS_HOURS,
        required=False,
        allow_null=True,
        help_text="Hours that the last backup of a device may be old; null asks for nothing.",
    )

    class Meta:
        model = Tag
        fields = ["id", "name", "description", "max_sessions", "freshness_hours"]


class TagNamesField(serializers.ListField):
    """Tags by name or id, in; by name, out. Who saves the object makes the names that are missing.

    The value is the list of names.
    """

    child = serializers.CharField(max_length=MAX_TAG_LENGTH, validators=[validate_name])

    def to_internal_value(self, data: Any) -> list[str]:
        ids = [one for one in data if _is_id(one)] if isinstance(data, list) else []
        # The database knows no larger ids, and would say so by an error.
        found = Tag.objects.filter(pk__in=[pk for pk in ids if 0 < pk < 2**63])
        known = dict(found.values_list("pk", "name"))
        for pk in ids:
            if pk not in known:
                raise serializers.ValidationError(f"There is no tag with the id {pk}.")
        return super().to_internal_value(
            [known[one] if _is_id(one) else one for one in data] if ids else data
        )

    def to_representation(self, data: Any) -> list[str]:
        return sorted(tag.name for tag in data.all())


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


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


class Quoting:
    """A validator of a model that names the value in its message."""

    def __init__(self, validator: Callable[[Any], None]) -> None:
        self._validator = validator

    def __call__(self, value: Any) -> None:
        try:
            self._validator(value)
        except ModelError as error:
            raise serializers.ValidationError(
                [f"'{value}': {message}" for message in error.messages]
            ) from None


def max_sessions_field() -> serializers.IntegerField:
    """Sessions at once; null for no limit."""
    return whole_number(low=1, high=2**31 - 1, required=False, allow_null=True)


def _secret_field(help_text: str) -> serializers.CharField:
    return serializers.CharField(
        write_only=True,
        required=False,
        allow_blank=True,
        allow_null=True,
        trim_whitespace=False,
        style={"input_type": "password"},
        help_text=f"{help_text} Never shown. Left out or null keeps what is stored, an empty text "
        "removes it.",
    )


class CredentialSerializer(serializers.ModelSerializer[Credential]):
    """A credential; of its secrets only whether there is one."""

    name = serializers.CharField(max_length=100, validators=[Quoting(validate_name)])
    username = serializers.CharField(max_length=128, validators=[Quoting(validate_username)])
    priority = whole_number(
        low=Credential.MIN_PRIORITY, high=Credential.MAX_PRIORITY, required=False
    )
    max_sessions = max_sessions_field()
    tags = TagNamesField(required=False)
    password = _secret_field("Password of the log-in.")
    enable_secret = _secret_field("Secret of the privileged mode.")
    ssh_key = _secret_field("Private key in OpenSSH or PEM form.")
    ssh_key_passphrase = _secret_field("Passphrase of the SSH key.")

    class Meta:
        model = Credential
        read_only_fields = [
            "has_password",
            "has_enable_secret",
            "has_ssh_key",
            "has_passphrase",
            "created_at",
            "updated_at",
        ]
        fields = [
            "id",
            "name",
            "username",
            "priority",
            "is_active",
            "tags",
            "description",
            "max_sessions",
            "provider",
            "reference",
            *SECRET_FIELDS,
            *read_only_fields,
        ]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        refuse_duplicate(model=Credential, name=attrs.get("name"), instance=self.instance)
        return attrs

    def create(self, validated_data: dict[str, Any]) -> Credential:
        return self.update(Credential(), validated_data)

    @transaction.atomic
    def update(self, instance: Credential, validated_data: dict[str, Any]) -> Credential:
        names = validated_data.pop("tags", None)
        tags = None if names is None else tags_ensure(names=names)
        secrets = {field: validated_data.pop(field, None) for field in SECRET_FIELDS}
        for field, value in validated_data.items():
            setattr(instance, field, value)
        return credential_save(credential=instance, secrets=secrets, tags=tags)


class CredentialViewSet(viewsets.ModelViewSet[Credential]):
    """What devices are logged in to with, without secrets; limited users see their tags' ones."""

    queryset = Credential.objects.prefetch_related("tags")
    serializer_class = CredentialSerializer
    filterset_fields = {
        "name": ["exact", "icontains"],
        "username": ["exact"],
        "priority": ["exact"],
        "is_active": ["exact"],
        "provider": ["exact"],
        "tags__name": ["exact"],
    }
    search_fields = ["name", "username", "description"]
    ordering_fields = ["id", "name", "username", "priority", "updated_at"]

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimitedToWrite()]

    def get_queryset(self) -> QuerySet[Credential]:
        """Those that the caller may see."""
        visible = credentials_visible_to(user=self.request.user)
        return super().get_queryset().filter(pk__in=visible.values("pk"))


class TagViewSet(viewsets.ModelViewSet[Tag]):
    """Labels on devices, jobs and credentials; limited users see their own."""

    queryset = Tag.objects.all()
    serializer_class = TagSerializer
    filterset_fields = ["name"]
    search_fields = ["name", "description"]
    ordering_fields = ["id", "name"]

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimitedToWrite()]

    def get_queryset(self) -> QuerySet[Tag]:
        """Those that the caller may see."""
        return tags_visible_to(user=self.request.user)
