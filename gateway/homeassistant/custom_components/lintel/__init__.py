"""Lintel: an MQTT broker with bridges for serial and Zigbee sticks.

What a box has comes by MQTT. This integration brings the box and the MQTT integration
together, and says when they have lost each other.
"""

from homeassistant.config_entries import SIGNAL_CONFIG_ENTRY_CHANGED, ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.dispatcher import async_dispatcher_connect

from .api import is_address, page_url
from .broker import is_broker_of, mqtt_entry
from .const import CONF_BROKER, CONF_HOST, CONF_PORT, DOMAIN, MQTT_DOMAIN

ISSUES = ("no_broker", "another_broker", "address_changed")


async def async_setup_entry(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Link the entry to the device that comes by MQTT, and watch over the broker."""
    dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id,
        identifiers={(MQTT_DOMAIN, f"lintel_{entry.unique_id}")},
        configuration_url=page_url(entry.data[CONF_HOST], entry.data[CONF_PORT]),
        default_manufacturer="Lintel",
        default_name=entry.title,
    )

    @callback
    def check(_change: object = None, changed: ConfigEntry | None = None) -> None:
        if changed is None or changed.domain == MQTT_DOMAIN:
            check_broker(hass, entry)

    entry.async_on_unload(
        async_dispatcher_connect(hass, SIGNAL_CONFIG_ENTRY_CHANGED, check)
    )
    check()
    return True


async def async_unload_entry(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Take back what was said of the entry."""
    for issue in ISSUES:
        ir.async_delete_issue(hass, DOMAIN, f"{issue}_{entry.entry_id}")
    return True


@callback
def check_broker(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Say as a repair what is wrong between the box and the MQTT integration."""
    mqtt = mqtt_entry(hass)
    host, broker = entry.data[CONF_HOST], entry.data[CONF_BROKER]
    problem = None
    if mqtt is None:
        problem = "no_broker"
    elif not is_broker_of(mqtt, entry):
        problem = "another_broker"
    elif is_address(host) and is_address(broker) and mqtt.data[CONF_BROKER] != host:
        problem = "address_changed"
    for issue in ISSUES:
        issue_id = f"{issue}_{entry.entry_id}"
        if issue != problem:
            ir.async_delete_issue(hass, DOMAIN, issue_id)
            continue
        ir.async_create_issue(
            hass,
            DOMAIN,
            issue_id,
            is_fixable=False,
            severity=ir.IssueSeverity.WARNING,
            translation_key=issue,
            translation_placeholders={
                "name": entry.title,
                "host": host,
                "broker": broker,
            },
        )
