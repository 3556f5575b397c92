"""What each error category is called, means, and asks of a person.

The one place for these words: reports, the API, the commands and the documents repeat them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backups.engine.errors import ErrorCategory


@dataclass(frozen=True, slots=True)
class Advice:
    """The words about one category."""

    #: One failure of this kind, and several of them.
    one: str
    many: str
    meaning: str
    #: What to do about it, one sentence without a full stop.
    what_to_do: str

    def counted(self, count: int) -> str:
        """``count`` with the right form of the noun: ``37 authentication failures``."""
        return f"{count} {self.one if count == 1 else self.many}"


ADVICE: Mapping[ErrorCategory, Advice] = {
    ErrorCategory.DNS_FAILURE: Advice(
        "unresolved name",
        "unresolved names",
        "the name has no address",
        "check the address of the device, and the DNS servers of the worker's host",
    ),
    ErrorCategory.ADDRESS_REFUSED: Advice(
        "address that is not allowed",
        "addresses that are not allowed",
        "the address is loopback, link-local or the like, and not allowed",
        "correct the address of the device, or allow its network with allowed_networks",
    ),
    ErrorCategory.CONNECTION_REFUSED: Advice(
        "refused connection",
        "refused connections",
        "nothing listens on the port",
        "check the port of the device, and that SSH or Telnet is switched on there",
    ),
    ErrorCategory.CONNECTION_TIMEOUT: Advice(
        "connection without an answer",
        "connections without an answer",
        "no answer, or no route",
        "check that the device is up, and that routes and firewalls let the worker reach it",
    ),
    ErrorCategory.JUMP_HOST: Advice(
        "failure at a jump host",
        "failures at a jump host",
        "a host on the way to the device could not be reached or used",
        "mend the jump host that the message names, then retry the group",
    ),
    ErrorCategory.HOST_KEY: Advice(
        "refused host key",
        "refused host keys",
        "the device shows another host key than before; nothing was sent to it",
        "find out why the key differs; if that is right, accept it with 'host_key accept'",
    ),
    ErrorCategory.SSH_NEGOTIATION: Advice(
        "SSH session that was not agreed on",
        "SSH sessions that were not agreed on",
        "no SSH session could be agreed on",
        "check that the port is SSH; for an old device allow legacy_algorithms",
    ),
    ErrorCategory.AUTHENTICATION: Advice(
        "authentication failure",
        "authentication failures",
        "the device refused user name, password or key",
        "correct the credential or the account on the device before a retry: repeated failures "
        "may lock the account",
    ),
    ErrorCategory.ENABLE: Advice(
        "failure to reach the privileged mode",
        "failures to reach the privileged mode",
        "the privileged mode was not reached",
        "correct the enable secret of the credential, or the rights of the account",
    ),
    ErrorCategory.READ_TIMEOUT: Advice(
        "answer that stopped",
        "answers that stopped",
        "the device stopped in the middle of an answer",
        "check the load of the device; a slow one needs a higher command_timeout_seconds",
    ),
    ErrorCategory.DEADLINE: Advice(
        "session that took too long",
        "sessions that took too long",
        "the whole session took longer than allowed",
        "give the device a higher deadline_seconds, or look for what slows it down",
    ),
    ErrorCategory.SESSION_DROPPED: Advice(
        "dropped session",
        "dropped sessions",
        "the device closed the connection",
        "look at the log of the device: limits of sessions, idle times and firewalls cut them off",
    ),
    ErrorCategory.OUTPUT_TOO_LARGE: Advice(
        "output that is too large",
        "outputs that are too large",
        "more output than allowed",
        "raise max_output_bytes if such a configuration is right for the device",
    ),
    ErrorCategory.COMMAND_REJECTED: Advice(
        "rejected command",
        "rejected commands",
        "the device did not know or not allow the command",
        "check the platform of the device, and the rights of the account",
    ),
    ErrorCategory.INCOMPLETE_OUTPUT: Advice(
        "suspect output",
        "suspect outputs",
        "the output is suspect",
        "look at it with 'suspects show', and accept it if it is right",
    ),
    ErrorCategory.UNKNOWN_PLATFORM: Advice(
        "unknown platform",
        "unknown platforms",
        "there is no definition or no driver for the platform",
        "correct the platform of the device, or add a definition of your own",
    ),
    ErrorCategory.CIRCUIT_OPEN: Advice(
        "device left out by its circuit breaker",
        "devices left out by their circuit breakers",
        "the circuit breaker of the device leaves it out",
        "mend the way to the device; 'reset_breaker' takes it up again at once",
    ),
    ErrorCategory.NO_CREDENTIAL: Advice(
        "device without a credential",
        "devices without a credential",
        "no active credential fits the device",
        "give the device a credential, or a tag of one; 'resolve_credentials' explains the choice",
    ),
    ErrorCategory.CREDENTIAL_SET_ASIDE: Advice(
        "device whose credential was set aside",
        "devices whose credential was set aside",
        "other devices of the run refused the credential, so it was not tried any more",
        "check the credential, then run the job again",
    ),
    ErrorCategory.SECRET_UNAVAILABLE: Advice(
        "secret that its provider did not give",
        "secrets that their providers did not give",
        "the provider of the secret did not give it",
        "mend what the message names: Vault, a file or a variable of the worker; then run the job",
    ),
    ErrorCategory.CREDENTIAL_FAILURE: Advice(
        "credential that cannot be opened",
        "credentials that cannot be opened",
        "the secrets of the credential cannot be read",
        "bring back the encryption key that 'check_keys' names, or set the credential anew",
    ),
    ErrorCategory.REDACTION_FAILURE: Advice(
        "output that could not be redacted",
        "outputs that could not be redacted",
        "the output could not be redacted, so nothing was stored",
        "look into the worker's log, and report it as a fault of NetRaven",
    ),
    ErrorCategory.STORE_FAILURE: Advice(
        "failure to write the Git store",
        "failures to write the Git store",
        "the Git store cannot be written",
        "check the disk of the Git store, and run 'verify_store'",
    ),
    ErrorCategory.WORKER_LOST: Advice(
        "device over which workers died",
        "devices over which workers died",
        "three workers died over this device",
        "look into the worker's log and at the memory of its host before a retry",
    ),
    ErrorCategory.RUN_DEADLINE: Advice(
        "device that the run's deadline came before",
        "devices that the run's deadline came before",
        "the run reached its deadline first",
        "start more workers, loosen the limits of sessions, or raise run_deadline_seconds",
    ),
    ErrorCategory.UNEXPECTED: Advice(
        "unexpected error",
        "unexpected errors",
        "an error that NetRaven does not know",
        "look into the worker's log",
    ),
}

_UNNAMED = Advice("failure", "failures", "", "look into the job log of the run")


def advice_for(category: str) -> Advice:
    """The words about ``category``; for an empty or unknown one those that fit every failure."""
    known = {str(one): advice for one, advice in ADVICE.items()}
    return known.get(category, _UNNAMED)
