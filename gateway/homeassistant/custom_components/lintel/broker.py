"""The entry of Home Assistant's MQTT integration, which the box's broker goes into.

MQTT checks and keeps its broker itself: its own config flow is started here, and its
forms are answered.
"""

from contextlib import suppress
from typing import Any

import voluptuous as vol

from homeassistant.config_entries import (
    SOURCE_HASSIO,
    SOURCE_RECONFIGURE,
    ConfigEntry,
    ConfigFlowContext,
    ConfigFlowResult,
)
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowError, FlowResultType, UnknownFlow

from .api import Login, LintelError
from .const import (
    CONF_BROKER,
    CONF_BROKER_PORT,
    CONF_HOST,
    CONF_PASSWORD,
    CONF_PORT,
    CONF_USERNAME,
    DOMAIN,
    MQTT_DOMAIN,
)

try:
    from homeassistant.helpers.service_info.hassio import HassioServiceInfo
except ImportError:  # before Home Assistant 2025.2
    from homeassistant.components.hassio import HassioServiceInfo


def mqtt_entry(hass: HomeAssistant) -> ConfigEntry | None:
    """Return the entry of the MQTT integration, of which there is one at most."""
    entries = hass.config_entries.async_entries(MQTT_DOMAIN, include_ignore=False)
    return entries[0] if entries else None


def is_broker_of(mqtt: ConfigEntry, entry: ConfigEntry) -> bool:
    """Report whether an MQTT entry has the broker of a box, where it was or is."""
    return (
        mqtt.data.get(CONF_BROKER) in (entry.data[CONF_BROKER], entry.data[CONF_HOST])
        and mqtt.data.get(CONF_PORT) == entry.data[CONF_BROKER_PORT]
    )


async def async_add_broker(hass: HomeAssistant, login: Login) -> None:
    """Have the MQTT integration make its entry, as add-ons do that are a broker."""
    result = await _async_run(
        hass,
        {"source": SOURCE_HASSIO},
        HassioServiceInfo(
            config={
                "addon": login.box.name,
                CONF_HOST: login.host,
                CONF_PORT: login.port,
                CONF_USERNAME: login.username,
                CONF_PASSWORD: login.password,
            },
            name=login.box.name,
            slug=DOMAIN,
            uuid=login.box.id,
        ),
        {},
    )
    if result["type"] is not FlowResultType.CREATE_ENTRY:
        raise LintelError("mqtt_refused")


async def async_change_broker(
    hass: HomeAssistant, mqtt: ConfigEntry, login: Login
) -> None:
    """Give the entry of the MQTT integration another address and login."""
    result = await _async_run(
        hass,
        {"source": SOURCE_RECONFIGURE, "entry_id": mqtt.entry_id},
        None,
        {
            CONF_BROKER: login.host,
            CONF_PORT: login.port,
            CONF_USERNAME: login.username,
            CONF_PASSWORD: login.password,
        },
    )
    if (
        result["type"] is not FlowResultType.ABORT
        or result["reason"] != "reconfigure_successful"
    ):
        raise LintelError("mqtt_refused")


async def _async_run(
    hass: HomeAssistant,
    context: ConfigFlowContext,
    data: HassioServiceInfo | None,
    answer: dict[str, Any],
) -> ConfigFlowResult:
    """Start a flow of the MQTT integration and answer its one form.

    MQTT tries the broker before it is content; else it asks again. Such a flow is ended
    here: it would stay behind as a card of its own.
    """
    flows = hass.config_entries.flow
    try:
        result = await flows.async_init(MQTT_DOMAIN, context=context, data=data)
        if result["type"] is not FlowResultType.FORM:
            return result
        flow_id = result["flow_id"]
        try:
            result = await flows.async_configure(flow_id, answer)
            if result["type"] is FlowResultType.FORM:
                raise LintelError("mqtt_cannot_connect")
        except BaseException:
            with suppress(UnknownFlow):
                flows.async_abort(flow_id)
            raise
    except (FlowError, vol.Invalid) as err:
        raise LintelError("mqtt_refused") from err
    return result
