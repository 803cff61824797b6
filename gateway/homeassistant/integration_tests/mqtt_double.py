"""The config flow of Home Assistant's MQTT integration, as it was measured.

It really connects to the broker before it is content, and after a failed try its form
comes back without fields.
"""

import asyncio
import secrets
from typing import Any

import voluptuous as vol

from homeassistant._hassio import HassioServiceInfo
from homeassistant.config_entries import ConfigFlow, ConfigFlowResult
from homeassistant.data_entry_flow import AbortFlow

FORM = vol.Schema(
    {
        vol.Required("broker"): str,
        vol.Required("port"): int,
        vol.Optional("username"): str,
        vol.Optional("password"): str,
    }
)


class MQTTFlow(ConfigFlow, domain="mqtt"):
    """The flow of a broker."""

    firewall = False  # nothing is reached behind it

    def __init__(self) -> None:
        """Know nothing yet."""
        self._discovered: dict[str, Any] = {}

    async def async_step_user(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Begin a flow by hand."""
        if self.hass.config_entries.async_entries("mqtt", include_ignore=False):
            raise AbortFlow("single_instance_allowed")
        return await self.async_step_broker(user_input)

    async def async_step_reconfigure(
        self, _user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Begin a flow for an entry that is there."""
        return await self.async_step_broker()

    async def async_step_broker(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask for the broker."""
        if user_input is None:
            return self.async_show_form(step_id="broker", data_schema=FORM)
        if not await self._connects(user_input["broker"], user_input):
            return self.async_show_form(
                step_id="broker",
                data_schema=vol.Schema({}),
                errors={"base": "cannot_connect"},
            )
        if self.source == "reconfigure":
            return self.async_update_reload_and_abort(
                self._get_reconfigure_entry(), data=user_input
            )
        return self.async_create_entry(title=user_input["broker"], data=user_input)

    async def async_step_hassio(self, info: HassioServiceInfo) -> ConfigFlowResult:
        """Take a broker from an add-on."""
        await self._async_handle_discovery_without_unique_id()
        self._discovered = info.config
        return await self.async_step_hassio_confirm()

    async def async_step_hassio_confirm(
        self, user_input: dict[str, Any] | None = None
    ) -> ConfigFlowResult:
        """Ask whether that broker is wanted."""
        errors = {}
        found = self._discovered
        if user_input is not None:
            if await self._connects(found["host"], found):
                data = {key: found[key] for key in ("port", "username", "password")}
                return self.async_create_entry(
                    title=found["addon"],
                    data=data | {"broker": found["host"], "discovery": True},
                )
            errors["base"] = "cannot_connect"
        return self.async_show_form(step_id="hassio_confirm", errors=errors)

    async def _connects(self, host: str, login: dict[str, Any]) -> bool:
        return not self.firewall and await connects(
            host, login["port"], login.get("username", ""), login.get("password", "")
        )


async def connects(host: str, port: int, username: str, password: str) -> bool:
    """Report whether a broker lets a client in, with MQTT 3.1.1.

    Each has an identifier of its own, as in Home Assistant: the broker may still have the
    session of the one before, and that belongs to its user.
    """
    texts = [secrets.token_hex(8).encode(), username.encode(), password.encode()]
    body = b"\x00\x04MQTT\x04\xc2\x00\x3c"  # user name, password, clean session; 60 s
    body += b"".join(len(text).to_bytes(2, "big") + text for text in texts)
    assert len(body) < 128
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    try:
        writer.write(bytes([0x10, len(body)]) + body)
        answer = await asyncio.wait_for(reader.readexactly(4), 30)
        writer.write(b"\xe0\x00")
        return answer[0] == 0x20 and answer[3] == 0
    except (OSError, asyncio.IncompleteReadError, TimeoutError):
        return False
    finally:
        writer.close()
