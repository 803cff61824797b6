"""HTTP."""

import aiohttp

from ..core import HomeAssistant


def async_get_clientsession(hass: HomeAssistant) -> aiohttp.ClientSession:
    """Return the session that all integrations share."""
    return hass.session
