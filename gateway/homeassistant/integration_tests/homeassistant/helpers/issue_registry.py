"""Repairs: what a user is told to look after."""

from enum import StrEnum

from ..core import HomeAssistant


class IssueSeverity(StrEnum):
    """How bad it is."""

    WARNING = "warning"


# pylint: disable-next=too-many-arguments
def async_create_issue(
    hass: HomeAssistant,
    domain: str,
    issue_id: str,
    *,
    is_fixable: bool,
    severity: IssueSeverity,
    translation_key: str,
    translation_placeholders: dict[str, str] | None = None,
) -> None:
    """Tell the user, once."""
    assert not is_fixable and severity in IssueSeverity
    issues(hass)[(domain, issue_id)] = (translation_key, translation_placeholders or {})


def async_delete_issue(hass: HomeAssistant, domain: str, issue_id: str) -> None:
    """Tell them no more."""
    issues(hass).pop((domain, issue_id), None)


def issues(hass: HomeAssistant) -> dict[tuple[str, str], tuple[str, dict[str, str]]]:
    """Return what users are told; a test looks at it."""
    told: dict[tuple[str, str], tuple[str, dict[str, str]]]
    told = hass.data.setdefault("issues", {})
    return told
