"""What can go wrong with one device, as a closed set of categories.

``DeviceError`` is the only exception that the engine lets out. Its message is safe to store and
show: it never quotes a secret.
"""

from __future__ import annotations

from enum import StrEnum


class ErrorCategory(StrEnum):
    """Why a device could not be backed up. The values are part of the API."""

    DNS_FAILURE = "dns_failure"
    #: The address is one that the configuration does not allow (loopback, link-local, ...).
    ADDRESS_REFUSED = "address_refused"
    CONNECTION_REFUSED = "connection_refused"
    CONNECTION_TIMEOUT = "connection_timeout"
    HOST_KEY = "host_key"
    #: A host on the way to the device could not be reached or used.
    JUMP_HOST = "jump_host"
    SSH_NEGOTIATION = "ssh_negotiation"
    AUTHENTICATION = "authentication"
    ENABLE = "enable"
    #: The device did not come back with its prompt in time.
    READ_TIMEOUT = "read_timeout"
    #: The whole session took longer than its deadline.
    DEADLINE = "deadline"
    SESSION_DROPPED = "session_dropped"
    #: The device printed more than the configuration allows.
    OUTPUT_TOO_LARGE = "output_too_large"
    COMMAND_REJECTED = "command_rejected"
    INCOMPLETE_OUTPUT = "incomplete_output"
    UNKNOWN_PLATFORM = "unknown_platform"
    #: Left out by its circuit breaker.
    CIRCUIT_OPEN = "circuit_open"
    NO_CREDENTIAL = "no_credential"
    CREDENTIAL_FAILURE = "credential_failure"
    #: The provider of its secrets (Vault, a file, the environment) did not give them.
    SECRET_UNAVAILABLE = "secret_unavailable"  # noqa: S105 - a category
    #: Other devices of the run refused the credential; it was not tried any more.
    CREDENTIAL_SET_ASIDE = "credential_set_aside"
    REDACTION_FAILURE = "redaction_failure"
    STORE_FAILURE = "store_failure"
    #: The worker that held the device died, more often than is retried.
    WORKER_LOST = "worker_lost"
    #: The run reached its deadline before this device was read.
    RUN_DEADLINE = "run_deadline"
    UNEXPECTED = "unexpected"


#: Categories that are our side's fault: the device result becomes ERRORED, not FAILED.
OUR_SIDE = frozenset(
    {
        ErrorCategory.UNKNOWN_PLATFORM,
        ErrorCategory.CREDENTIAL_FAILURE,
        ErrorCategory.SECRET_UNAVAILABLE,
        ErrorCategory.REDACTION_FAILURE,
        ErrorCategory.STORE_FAILURE,
        ErrorCategory.WORKER_LOST,
        ErrorCategory.RUN_DEADLINE,
        ErrorCategory.UNEXPECTED,
    }
)


class DeviceError(Exception):
    """A device could not be backed up.

    ``message`` is one line in plain words that says what to do next; it holds no secret.
    ``jump_host`` names the jump host at which it happened; None for the device itself.
    """

    def __init__(
        self, category: ErrorCategory, message: str, *, jump_host: str | None = None
    ) -> None:
        super().__init__(message)
        self.category = category
        self.message = message
        self.jump_host = jump_host


class LogInWithheld(DeviceError):
    """The guard of the log-in let nothing be sent to the device; its session may come later."""

    def __init__(self) -> None:
        super().__init__(
            ErrorCategory.CREDENTIAL_SET_ASIDE, "the log-in was withheld; it is tried later"
        )


class HostKeyRefused(DeviceError):
    """A host shows a key that may not be trusted; nothing secret was sent to it."""

    def __init__(self, message: str, *, shown: str, jump_host: str | None = None) -> None:
        super().__init__(ErrorCategory.HOST_KEY, message, jump_host=jump_host)
        #: The key that was shown, as ``"type base64"``.
        self.shown = shown
