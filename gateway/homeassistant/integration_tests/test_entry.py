"""What becomes of the entry: the box moves, MQTT changes, somebody asks for help."""

import asyncio
from contextlib import suppress
import json
from typing import Any
import unittest

from custom_components.lintel.diagnostics import async_get_config_entry_diagnostics
from harness import HOST, HomeAssistantTest
from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    SOURCE_USER,
    SOURCE_ZEROCONF,
    ConfigEntry,
    ConfigFlowResult,
)
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import device_registry as dr
from mqtt_double import MQTTFlow, connects

ELSEWHERE = "127.0.0.2"


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes."""
    with suppress(OSError):
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()


class Entry(HomeAssistantTest):
    """An entry that is there."""

    async def move(self, *ports: int) -> None:
        """Have the box answer at another address too."""

        async def serve(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            port = writer.get_extra_info("sockname")[1]
            inner, out = await asyncio.open_connection(HOST, port)
            passing.append(asyncio.gather(copy(reader, out), copy(inner, writer)))
            await passing[-1]

        async def stop(server: asyncio.Server) -> None:
            await self.session.close()
            server.close()
            await asyncio.gather(*passing)

        passing: list[asyncio.Future[Any]] = []
        for port in ports:
            server = await asyncio.start_server(serve, ELSEWHERE, port)
            self.addAsyncCleanup(stop, server)

    async def reconfigure(self, entry: ConfigEntry) -> ConfigFlowResult:
        """Begin what the menu of the entry offers."""
        return await self.begin(
            {"source": SOURCE_RECONFIGURE, "entry_id": entry.entry_id}
        )

    async def test_device(self) -> None:
        """The entry is linked to the device that comes by MQTT."""
        entry = await self.paired()
        (device,) = dr.async_get(self.hass).devices
        self.assertEqual(device.identifiers, {("mqtt", f"lintel_{self.box.id}")})
        self.assertEqual(device.config_entries, {entry.entry_id})
        self.assertEqual(device.configuration_url, f"http://{HOST}:{self.box.port}")

    async def test_the_box_moves(self) -> None:
        """A repair says so, and reconfigure takes MQTT along."""
        entry = await self.paired()
        mqtt = self.entries("mqtt")[0]
        old = dict(mqtt.data)
        await self.move(self.box.port, old["port"])
        result = await self.begin(SOURCE_ZEROCONF, self.card(host=ELSEWHERE))
        self.assertEqual(result["reason"], "already_configured")
        await self.hass.async_block_till_done()
        self.assertEqual(entry.data["host"], ELSEWHERE)
        self.assertEqual(dict(mqtt.data), old)  # not for an advertisement alone
        wanted = {"name": self.box.name, "host": ELSEWHERE, "broker": HOST}
        self.assertEqual(self.issues(), {"address_changed": wanted})
        self.hass.calls.clear()
        form = await self.reconfigure(entry)
        self.assertEqual(form["step_id"], "reconfigure")
        assert form["data_schema"] is not None
        defaults = form["data_schema"]({"code": "x"})
        self.assertEqual((defaults["host"], defaults["port"]), (ELSEWHERE, self.box.port))
        code = self.box.show_code()
        result = await self.answer(form, host=ELSEWHERE, port=self.box.port, code=code)
        self.assertEqual(result["reason"], "reconfigure_successful")
        self.assertEqual(
            self.hass.calls,
            [
                ("init", "lintel", "reconfigure"),
                ("configure", "lintel", "reconfigure", "code,host,port"),
                ("init", "mqtt", "reconfigure"),
                ("configure", "mqtt", "broker", "broker,password,port,username"),
            ],
        )
        self.assertEqual(mqtt.data["broker"], ELSEWHERE)
        self.assertNotEqual(mqtt.data["password"], old["password"])
        self.assertTrue(
            await connects(HOST, old["port"], old["username"], old["password"]),
            "the login before is not good any more",
        )
        self.assertEqual(entry.data["broker"], ELSEWHERE)
        self.assertEqual(self.issues(), {})
        self.assertEqual(len(self.entries("mqtt") + self.entries("lintel")), 2)

    async def test_one_of_several_addresses(self) -> None:
        """A box with two addresses has not moved."""
        entry = await self.paired()
        card = self.card(host=ELSEWHERE, others=[HOST, "fe80::1"])
        result = await self.begin(SOURCE_ZEROCONF, card)
        self.assertEqual(result["reason"], "already_configured")
        await self.hass.async_block_till_done()
        self.assertEqual(entry.data["host"], HOST)
        self.assertEqual(self.issues(), {})

    async def test_reconfigure_goes_wrong(self) -> None:
        """Nothing changes before all of it has worked."""
        entry = await self.paired()
        mqtt = self.entries("mqtt")[0]
        before = dict(mqtt.data), dict(entry.data)
        form = await self.reconfigure(entry)
        where: dict[str, Any] = {"host": HOST, "port": self.box.port}
        code = self.box.show_code()
        result = await self.answer(form, host=HOST, port=1, code=code)
        self.assertEqual(result["errors"], {"base": "cannot_connect"})
        result = await self.answer(form, **where, code="x")
        self.assertEqual(result["errors"], {"code": "invalid_code"})
        MQTTFlow.firewall = True
        result = await self.answer(form, **where, code=code)
        self.assertEqual(result["errors"], {"base": "mqtt_cannot_connect"})
        self.assertEqual((dict(mqtt.data), dict(entry.data)), before)
        self.assertEqual(self.flows("mqtt"), [])
        MQTTFlow.firewall = False
        result = await self.answer(form, **where, code=code)
        self.assertEqual(result["reason"], "reconfigure_successful")

    async def test_reconfigure_to_another_box(self) -> None:
        """The code of another box is not used up."""
        entry = await self.paired()
        entry.unique_id = "0123456789ab"
        form = await self.reconfigure(entry)
        code = self.box.show_code()
        result = await self.answer(form, host=HOST, port=self.box.port, code=code)
        self.assertEqual(result["errors"], {"base": "wrong_box"})
        self.box.ask("POST", "/api/pair", {"code": code, "client": "homeassistant"})

    async def test_mqtt_is_removed(self) -> None:
        """A repair says so, and reconfigure adds it again."""
        entry = await self.paired()
        mqtt = self.entries("mqtt")[0]
        await self.hass.config_entries.async_remove(mqtt.entry_id)
        self.assertEqual(list(self.issues()), ["no_broker"])
        form = await self.reconfigure(entry)
        code = self.box.show_code()
        result = await self.answer(form, host=HOST, port=self.box.port, code=code)
        self.assertEqual(result["reason"], "reconfigure_successful")
        self.assertEqual(len(self.entries("mqtt")), 1)
        self.assertEqual(self.issues(), {})

    async def test_mqtt_changes_its_broker(self) -> None:
        """That is the user's will: it is said, and not undone."""
        entry = await self.paired()
        mqtt = self.entries("mqtt")[0]
        data = dict(mqtt.data) | {"broker": "core-mosquitto"}
        self.hass.config_entries.async_update_entry(mqtt, data=data)
        self.assertEqual(list(self.issues()), ["another_broker"])
        result = await self.reconfigure(entry)
        self.assertEqual(result["reason"], "another_broker")
        self.assertEqual(mqtt.data["broker"], "core-mosquitto")

    async def test_mqtt_is_moved_by_hand(self) -> None:
        """The user has given MQTT the new address: there is nothing to repair."""
        await self.paired()
        mqtt = self.entries("mqtt")[0]
        await self.begin(SOURCE_ZEROCONF, self.card(host=ELSEWHERE))
        await self.hass.async_block_till_done()
        self.assertEqual(list(self.issues()), ["address_changed"])
        data = dict(mqtt.data) | {"broker": ELSEWHERE}
        self.hass.config_entries.async_update_entry(mqtt, data=data)
        self.assertEqual(self.issues(), {})

    async def test_removed(self) -> None:
        """With the entry its repairs go, and what is heard of MQTT does nothing."""
        entry = await self.paired()
        mqtt = self.entries("mqtt")[0]
        await self.hass.config_entries.async_remove(mqtt.entry_id)
        self.assertEqual(list(self.issues()), ["no_broker"])
        await self.hass.config_entries.async_remove(entry.entry_id)
        self.assertEqual(self.issues(), {})
        other = ConfigEntry(
            domain="mqtt", title="Mosquitto", data={"broker": "x"}, source=SOURCE_USER
        )
        await self.hass.config_entries.async_add(other)
        self.assertEqual(self.issues(), {})
        await self.hass.config_entries.async_remove(other.entry_id)
        form = await self.begin(SOURCE_ZEROCONF, self.card())  # the card is back
        self.assertEqual(form["type"], FlowResultType.FORM)

    async def test_diagnostics(self) -> None:
        """They tell what helps, and no secret."""
        entry = await self.paired()
        mqtt = self.entries("mqtt")[0]
        found = await async_get_config_entry_diagnostics(self.hass, entry)
        text = json.dumps(found)
        for key in ("username", "password"):
            self.assertNotIn(mqtt.data[key], text)
        self.assertEqual(found["box"]["same"], True)
        self.assertEqual(found["mqtt"]["broker_of_this_box"], True)
        self.assertEqual(found["mqtt"]["data"]["broker"], HOST)
        await self.hass.config_entries.async_remove(mqtt.entry_id)
        data = dict(entry.data) | {"port": 1}
        self.hass.config_entries.async_update_entry(entry, data=data)
        found = await async_get_config_entry_diagnostics(self.hass, entry)
        self.assertEqual(found["box"], {"error": "cannot_connect"})
        self.assertIsNone(found["mqtt"])


if __name__ == "__main__":
    unittest.main()
