"""What a provider of secrets raises."""

from __future__ import annotations


class SecretUnavailable(Exception):
    """A provider did not give the secrets of a credential.

    The message is one line in plain words that says what to do next. It holds no secret.
    """
