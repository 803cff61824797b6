"""What a user downloads to show it to somebody who helps."""

from typing import Any

from homeassistant.components.diagnostics import async_redact_data
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers.aiohttp_client import async_get_clientsession

from .api import LintelError, async_get_box
from .broker import is_broker_of, mqtt_entry
from .const import CONF_HOST, CONF_PASSWORD, CONF_PORT, CONF_USERNAME

TO_REDACT = {CONF_PASSWORD, CONF_USERNAME}


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: ConfigEntry
) -> dict[str, Any]:
    """Return the entries without their secrets, and what the box says of itself."""
    box: dict[str, Any]
    try:
        found = await async_get_box(
            async_get_clientsession(hass), entry.data[CONF_HOST], entry.data[CONF_PORT]
        )
        box = {
            "model": found.model,
            "version": found.version,
            "same": found.id == entry.unique_id,
        }
    except LintelError as err:
        box = {"error": err.key}
    mqtt = mqtt_entry(hass)
    return {
        "entry": async_redact_data(dict(entry.data), TO_REDACT),
        "box": box,
        "mqtt": mqtt
        and {
            "source": mqtt.source,
            "state": mqtt.state.value,
            "broker_of_this_box": is_broker_of(mqtt, entry),
            "data": async_redact_data(dict(mqtt.data), TO_REDACT),
        },
    }
