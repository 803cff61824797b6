"""Diagnostics."""

from collections.abc import Iterable
from typing import Any

REDACTED = "**REDACTED**"


def async_redact_data(data: Any, to_redact: Iterable[Any]) -> Any:
    """Return a copy without the secrets, at any depth."""
    hidden = set(to_redact)
    if isinstance(data, dict):
        return {
            key: REDACTED if key in hidden and value else async_redact_data(value, hidden)
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [async_redact_data(value, hidden) for value in data]
    return data
