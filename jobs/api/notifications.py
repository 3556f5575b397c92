"""Notifications in the API: targets, rules, messages. Addresses go in, and never out."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as ModelError
from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.permissions import HasPermission, MayChangeModel
from credentials.api.fields import NameField
from credentials.api.tagged import TaggedSerializer
from credentials.models import Tag
from credentials.permissions import IsNotLimited
from jobs.choices import EventKind
from jobs.models import (
    NotificationAttempt,
    NotificationMessage,
    NotificationRule,
    NotificationTarget,
)
from jobs.notifications.delivery import message_replay, send_test_message
from jobs.notifications.rules import notification_rule_save
from jobs.notifications.targets import target_save

_KEPT = "Never shown. Left out or null keeps what is stored."


class _Whole:
    """Messages are about all devices: nothing for users who are limited to some."""

    def get_permissions(self) -> list[Any]:
        return [*super().get_permissions(), IsNotLimited()]  # type: ignore[misc]  # of the view


class NotificationTargetSerializer(serializers.ModelSerializer[NotificationTarget]):
    """Where messages go; of its address the scheme and, where it is no secret, the host."""

    url = serializers.CharField(
        write_only=True, required=False, allow_null=True, max_length=2000, help_text=_KEPT
    )
    signing_secret = serializers.CharField(
        write_only=True,
        required=False,
        allow_null=True,
        trim_whitespace=False,
        max_length=500,
        style={"input_type": "password"},
        help_text=f"Signs the messages of a webhook. {_KEPT}",
    )

    class Meta:
        model = NotificationTarget
        read_only_fields = ["address", "failures", "retry_at", "error", "sent_at"]
        fields = [
            "id",
            "name",
            "kind",
            "is_enabled",
            "url",
            "signing_secret",
            *read_only_fields,
        ]

    def create(self, validated_data: dict[str, Any]) -> NotificationTarget:
        return self.update(NotificationTarget(), validated_data)

    @transaction.atomic
    def update(
        self, instance: NotificationTarget, validated_data: dict[str, Any]
    ) -> NotificationTarget:
        secrets = {name: validated_data.pop(name, None) for name in ("url", "signing_secret")}
        for field, value in validated_data.items():
            setattr(instance, field, value)
        try:
            return target_save(target=instance, **secrets)
        except ModelError as error:
            raise serializers.ValidationError(error.message_dict) from None


class OutcomeSerializer(serializers.Serializer[Any]):
    """How a test message went; ``error`` is empty when it was taken."""

    is_delivered = serializers.BooleanField()
    status_code = serializers.IntegerField(allow_null=True)
    error = serializers.CharField()


class NotificationTargetViewSet(_Whole, viewsets.ModelViewSet[NotificationTarget]):
    """Where messages go; ``POST {id}/test/`` sends one."""

    queryset = NotificationTarget.objects.all()
    serializer_class = NotificationTargetSerializer
    filterset_fields = ["name", "kind", "is_enabled"]
    search_fields = ["name", "address"]
    ordering_fields = ["id", "name", "sent_at"]

    @extend_schema(request=None, responses={200: OutcomeSerializer})
    @action(detail=True, methods=["post"], permission_classes=[MayChangeModel])
    def test(self, request: Request, pk: str | None = None) -> Response:
        """Send a test message at once, and say how that went."""
        outcome = send_test_message(target=self.get_object())
        return Response(
            {
                "is_delivered": not outcome.error,
                "status_code": outcome.status_code,
                "error": outcome.error,
            }
        )


class NotificationRuleSerializer(TaggedSerializer[NotificationRule]):
    """Which events are told to which targets; tags and targets go by name."""

    beside_columns = ("targets",)

    events = serializers.ListField(
        child=serializers.ChoiceField(choices=[kind.value for kind in EventKind]),
        allow_empty=False,
    )
    targets = NameField(slug_field="name", many=True, queryset=NotificationTarget.objects.all())

    class Meta:
        model = NotificationRule
        fields = [
            "id",
            "name",
            "is_enabled",
            "events",
            "minimum_severity",
            "tags",
            "targets",
            "is_digest",
            "repeat_failures",
            "attach_diff",
            "quiet_hours",
            "time_zone",
            "critical_breaks_quiet",
        ]

    def save_row(
        self, row: NotificationRule, tags: list[Tag] | None, **beside: Any
    ) -> NotificationRule:
        return notification_rule_save(rule=row, tags=tags, **beside)


class NotificationRuleViewSet(_Whole, viewsets.ModelViewSet[NotificationRule]):
    """Who is told of what, and when."""

    queryset = NotificationRule.objects.prefetch_related("tags", "targets")
    serializer_class = NotificationRuleSerializer
    filterset_fields = ["name", "is_enabled", "targets__name"]
    search_fields = ["name"]
    ordering_fields = ["id", "name"]


class NotificationAttemptSerializer(serializers.ModelSerializer[NotificationAttempt]):
    """One attempt to deliver a message."""

    class Meta:
        model = NotificationAttempt
        fields = ["at", "is_delivered", "status_code", "seconds", "error"]


class NotificationMessageSerializer(serializers.ModelSerializer[NotificationMessage]):
    """A message, and every attempt to deliver it."""

    rule = serializers.SlugRelatedField[Any](slug_field="name", read_only=True)
    target = serializers.SlugRelatedField[Any](slug_field="name", read_only=True)
    deliveries = NotificationAttemptSerializer(many=True, read_only=True)

    class Meta:
        model = NotificationMessage
        fields = [
            "id",
            "delivery_id",
            "rule",
            "target",
            "run",
            "subject",
            "state",
            "attempts",
            "created_at",
            "due_at",
            "sent_at",
            "error",
            "deliveries",
        ]
        read_only_fields = fields


class StillWaiting(exceptions.APIException):
    """The message was not sent yet."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"
    default_detail = "The message waits to be sent; nothing has to be done again."


class MayReplayMessages(HasPermission):
    """Users with the right to have messages sent again."""

    permission = "jobs.replay_message"
    message = "You may not send messages again; ask for the admin role."


class NotificationMessageViewSet(_Whole, viewsets.ReadOnlyModelViewSet[NotificationMessage]):
    """The messages and their deliveries, newest first; ``POST {id}/replay/`` sends one again."""

    queryset = NotificationMessage.objects.select_related("rule", "target").prefetch_related(
        "deliveries"
    )
    serializer_class = NotificationMessageSerializer
    filterset_fields = ["rule__name", "target__name", "state", "run"]
    search_fields = ["subject"]
    ordering_fields = ["id", "created_at", "sent_at"]

    @extend_schema(request=None, responses={202: NotificationMessageSerializer})
    @action(detail=True, methods=["post"], permission_classes=[MayReplayMessages, IsNotLimited])
    def replay(self, request: Request, pk: str | None = None) -> Response:
        """Have the message sent again, with the same ``delivery_id``."""
        if not message_replay(message=self.get_object()):
            raise StillWaiting
        return Response(self.get_serializer(self.get_object()).data, status.HTTP_202_ACCEPTED)
