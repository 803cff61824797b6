"""How a Lintel box gets into Home Assistant: a card, a code, two entries."""

from typing import TYPE_CHECKING, Any

import voluptuous as vol

from homeassistant.config_entries import ConfigEntry, ConfigFlow, ConfigFlowResult
from homeassistant.helpers.aiohttp_client import async_get_clientsession

from .api import Box, Login, LintelError, async_get_box, async_pair, page_url
from .broker import async_add_broker, async_change_broker, is_broker_of, mqtt_entry
from .const import (
    CONF_BROKER,
    CONF_BROKER_PORT,
    CONF_CODE,
    CONF_HOST,
    CONF_PORT,
    CONF_USERNAME,
    DEFAULT_PORT,
    DOMAIN,
)

if TYPE_CHECKING:
    from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo

FIELD_OF_ERROR = {
    "invalid_code": CONF_CODE,
    "code_expired": CONF_CODE,
}


class LintelConfigFlow(ConfigFlow, domain=DOMAIN):
    """The flow of one box."""

    VERSION = 1

    def __init__(self) -> None:
        """Know nothing yet."""
        self._name = ""
        self._host = ""
        self._port = DEFAULT_PORT
        self._addresses: set[str] = set()  # all under which the box is known
        self._code = ""
        self._login: Login | None = None  # that the code was worth

    async def async_step_zeroconf(
        self, discovery_info: "ZeroconfServiceInfo"
    ) -> ConfigFlowResult:
        """Take note of a box that announces itself on the network."""
        box_id = discovery_info.properties.get("id")
        if not isinstance(box_id, str) or not box_id:
            return self.async_abort(reason="no_id")
        self._host = discovery_info.host
        self._port = discovery_info.port or DEFAULT_PORT
        self._addresses = {str(address) for address in discovery_info.ip_addresses}
        self._addresses |= {self._host, discovery_info.hostname.rstrip(".").lower()}
        entry = await self.async_set_unique_id(box_id)
        if entry and entry.data.get(CONF_HOST) in self._addresses:
            self._host = entry.data[CONF_HOST]  # one of several, and still good
        self._abort_if_unique_id_configured(
            updates={CONF_HOST: self._host, CONF_PORT: self._port}
        )
        name = discovery_info.properties.get("name")
        self._name = name if isinstance(name, str) and name else "Lintel"
        return await self._async_greet()

    async def async_step_user(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for the address of a box that was not found."""
        errors: dict[str, str] = {}
        if user_input is not None:
            self._host = user_input[CONF_HOST].strip()
            self._port = user_input[CONF_PORT]
            try:
                box = await self._async_box()
            except LintelError as err:
                errors["base"] = err.key
            else:
                await self.async_set_unique_id(box.id, raise_on_progress=False)
                self._abort_if_unique_id_configured()
                self._addresses = {self._host.lower()}
                self._name = box.name
                return await self._async_greet()
        return self.async_show_form(
            step_id="user",
            data_schema=vol.Schema(
                {
                    vol.Required(CONF_HOST, default=self._host): str,
                    vol.Required(CONF_PORT, default=self._port): int,
                }
            ),
            errors=errors,
        )

    async def async_step_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for the code, and make both entries."""
        if mqtt_entry(self.hass):  # made while the form was open
            return await self._async_greet()
        errors: dict[str, str] = {}
        if user_input is not None:
            try:
                login = await self._async_pair(user_input[CONF_CODE])
                await async_add_broker(self.hass, login)
            except LintelError as err:
                errors[FIELD_OF_ERROR.get(err.key, "base")] = err.key
            else:
                return self.async_create_entry(
                    title=login.box.name, data=self._data(login)
                )
        return self.async_show_form(
            step_id="confirm",
            data_schema=vol.Schema({vol.Required(CONF_CODE): str}),
            errors=errors,
            description_placeholders=self._placeholders(),
        )

    async def async_step_adopt(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Make the entry of a box whose broker Home Assistant has already."""
        mqtt = mqtt_entry(self.hass)
        if mqtt is None or not self._has_broker(mqtt):
            return await self._async_greet()
        if user_input is None:
            return self.async_show_form(
                step_id="adopt",
                data_schema=vol.Schema({}),
                description_placeholders=self._placeholders(),
            )
        return self.async_create_entry(
            title=self._name,
            data={
                CONF_HOST: self._host,
                CONF_PORT: self._port,
                CONF_BROKER: mqtt.data[CONF_BROKER],
                CONF_BROKER_PORT: mqtt.data[CONF_PORT],
                CONF_USERNAME: mqtt.data.get(CONF_USERNAME),
            },
        )

    async def async_step_reconfigure(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Follow a box to another address, or get a new login; MQTT comes along."""
        entry = self._get_reconfigure_entry()
        mqtt = mqtt_entry(self.hass)
        if mqtt and not is_broker_of(mqtt, entry):
            return self.async_abort(reason="another_broker")
        self._name = entry.title
        errors: dict[str, str] = {}
        if user_input is None:
            self._host = entry.data[CONF_HOST]
            self._port = entry.data[CONF_PORT]
        else:
            self._host = user_input[CONF_HOST].strip()
            self._port = user_input[CONF_PORT]
            try:
                # Asked first: the code of another box is not to be used up.
                if (await self._async_box()).id != entry.unique_id:
                    raise LintelError("wrong_box")
                login = await self._async_pair(user_input[CONF_CODE], entry.unique_id)
                if mqtt:
                    await async_change_broker(self.hass, mqtt, login)
                else:
                    await async_add_broker(self.hass, login)
            except LintelError as err:
                errors[FIELD_OF_ERROR.get(err.key, "base")] = err.key
            else:
                return self.async_update_reload_and_abort(
                    entry, data=self._data(login)
                )
        return self.async_show_form(
            step_id="reconfigure",
            data_schema=vol.Schema(
                {
                    vol.Required(CONF_HOST, default=self._host): str,
                    vol.Required(CONF_PORT, default=self._port): int,
                    vol.Required(CONF_CODE): str,
                }
            ),
            errors=errors,
            description_placeholders=self._placeholders(),
        )

    async def _async_greet(self) -> ConfigFlowResult:
        """Go to the step that suits the broker which Home Assistant has."""
        self.context["title_placeholders"] = {"name": self._name}
        mqtt = mqtt_entry(self.hass)
        if mqtt is None:
            return await self.async_step_confirm()
        if self._has_broker(mqtt):
            return await self.async_step_adopt()
        # MQTT takes one broker. A card that leads nowhere is not shown at all.
        return self.async_abort(reason="another_broker")

    def _has_broker(self, mqtt: ConfigEntry) -> bool:
        """Report whether the broker of Home Assistant is that of the box."""
        return str(mqtt.data.get(CONF_BROKER)).lower() in self._addresses

    async def _async_box(self) -> Box:
        session = async_get_clientsession(self.hass)
        return await async_get_box(session, self._host, self._port)

    async def _async_pair(self, code: str, box_id: str | None = None) -> Login:
        """Return the login that a code is worth.

        A code is good for one use. When MQTT did not reach the broker the same code is
        sent again, and what it was worth is still known.
        """
        if self._login is None or code != self._code:
            session = async_get_clientsession(self.hass)
            self._login = await async_pair(session, self._host, self._port, code)
            self._code = code
        if self._login.box.id != (box_id or self.unique_id):
            raise LintelError("wrong_box")
        return self._login

    def _data(self, login: Login) -> dict[str, Any]:
        return {
            CONF_HOST: self._host,
            CONF_PORT: self._port,
            CONF_BROKER: login.host,
            CONF_BROKER_PORT: login.port,
            CONF_USERNAME: login.username,
        }

    def _placeholders(self) -> dict[str, str]:
        url = page_url(self._host, self._port)
        return {"name": self._name, "url": url + "/homeassistant"}
