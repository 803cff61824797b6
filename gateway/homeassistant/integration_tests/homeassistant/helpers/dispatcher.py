"""Signals between parts."""

from collections.abc import Callable
from typing import Any

from ..core import HomeAssistant


def async_dispatcher_connect(
    hass: HomeAssistant, signal: str, target: Callable[..., Any]
) -> Callable[[], None]:
    """Have something called with each signal; what is returned ends that."""
    targets = hass.data.setdefault("dispatcher", {}).setdefault(signal, [])
    targets.append(target)

    def remove() -> None:
        targets.remove(target)

    return remove


def async_dispatcher_send(hass: HomeAssistant, signal: str, *args: Any) -> None:
    """Call who wants the signal."""
    for target in list(hass.data.get("dispatcher", {}).get(signal, [])):
        target(*args)
