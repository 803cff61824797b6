"""What flows of all kinds have in common."""

from enum import StrEnum

import voluptuous as vol

from .exceptions import HomeAssistantError


class FlowResultType(StrEnum):
    """How a step ends."""

    FORM = "form"
    CREATE_ENTRY = "create_entry"
    ABORT = "abort"


class FlowError(HomeAssistantError):
    """A flow does not do what it was told."""


class UnknownHandler(FlowError):
    """There is no such integration, or it has no flow."""


class UnknownFlow(FlowError):
    """There is no such flow, or not any more."""


class InvalidData(vol.Invalid):
    """The answer to a form does not fit its schema."""


class AbortFlow(FlowError):
    """A step gives up."""

    def __init__(self, reason: str) -> None:
        """Say why."""
        super().__init__(f"Flow aborted: {reason}")
        self.reason = reason


class BaseServiceInfo:
    """The root of what discovery tells."""
