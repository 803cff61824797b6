"""The way from the card to both entries, against a real box."""

import json
import os
from typing import Any
import unittest
from urllib.parse import urlsplit

from harness import HOST, HomeAssistantTest
from homeassistant.config_entries import (
    SOURCE_HASSIO,
    SOURCE_IGNORE,
    SOURCE_USER,
    SOURCE_ZEROCONF,
    ConfigEntry,
    ConfigEntryState,
    ConfigFlowResult,
)
from homeassistant.data_entry_flow import FlowResultType, InvalidData
from mqtt_double import MQTTFlow, connects


def other(code: str) -> str:
    """Return a code that is not this one."""
    return ("1" if code[0] == "0" else "0") + code[1:]


class Flow(HomeAssistantTest):
    """All ways that a person can go."""

    def want(
        self, result: ConfigFlowResult, step: str, errors: dict[str, str] | None = None
    ) -> None:
        """Check that a form is shown."""
        self.assertEqual(result["type"], FlowResultType.FORM, result)
        self.assertEqual(result["step_id"], step)
        self.assertEqual(result["errors"] or {}, errors or {})

    def want_abort(self, result: ConfigFlowResult, reason: str) -> None:
        """Check that a flow ends without an entry."""
        self.assertEqual(result["type"], FlowResultType.ABORT, result)
        self.assertEqual(result["reason"], reason)

    async def test_the_measured_sequence(self) -> None:
        """A card, a wrong code, the right one: two entries."""
        form = await self.begin(SOURCE_ZEROCONF, self.card())
        self.want(form, "confirm")
        flow = self.flows("lintel")[0]
        self.assertEqual(flow.context["title_placeholders"], {"name": self.box.name})
        self.want(
            await self.answer(form, code="12345678"), "confirm", {"code": "code_expired"}
        )
        code = self.box.show_code()
        self.want(
            await self.answer(form, code=other(code)), "confirm", {"code": "invalid_code"}
        )
        self.assertEqual(self.entries("mqtt") + self.entries("lintel"), [])
        result = await self.answer(form, code=f" {code[:4]} {code[4:]} ")
        self.assertEqual(result["type"], FlowResultType.CREATE_ENTRY, result)
        self.assertEqual(
            self.hass.calls,
            [
                ("init", "lintel", "zeroconf"),
                ("configure", "lintel", "confirm", "code"),
                ("configure", "lintel", "confirm", "code"),
                ("configure", "lintel", "confirm", "code"),
                ("init", "mqtt", "hassio"),
                ("configure", "mqtt", "hassio_confirm", ""),
            ],
        )
        (mqtt,), (lintel,) = self.entries("mqtt"), self.entries("lintel")
        self.assertEqual((mqtt.source, lintel.source), ("hassio", "zeroconf"))
        self.assertEqual({mqtt.state, lintel.state}, {ConfigEntryState.LOADED})
        self.assertEqual((lintel.unique_id, lintel.title), (self.box.id, self.box.name))
        self.assertEqual(mqtt.data["broker"], HOST)
        self.assertTrue(
            await connects(
                HOST, mqtt.data["port"], mqtt.data["username"], mqtt.data["password"]
            )
        )
        self.assertNotIn(mqtt.data["password"], json.dumps(dict(lintel.data)))
        self.assertEqual(
            dict(lintel.data),
            {
                "host": HOST,
                "port": self.box.port,
                "broker": HOST,
                "broker_port": mqtt.data["port"],
                "username": mqtt.data["username"],
            },
        )
        self.assertEqual(self.issues(), {})
        self.assertEqual(self.flows("lintel") + self.flows("mqtt"), [])
        again = await self.begin(SOURCE_ZEROCONF, self.card())
        self.want_abort(again, "already_configured")

    async def test_one_card_for_one_box(self) -> None:
        """An advertisement that comes again makes no second card."""
        self.want(await self.begin(SOURCE_ZEROCONF, self.card()), "confirm")
        second = await self.begin(SOURCE_ZEROCONF, self.card())
        self.want_abort(second, "already_in_progress")

    async def test_hostile_advertisements(self) -> None:
        """Without an id there is no card; other values are not needed."""
        for box_id in ("", None, b"x"):
            result = await self.begin(SOURCE_ZEROCONF, self.card(id=box_id))
            self.want_abort(result, "no_id")
        for name in ("", None, 7):
            form = await self.begin(SOURCE_ZEROCONF, self.card(name=name, port=None))
            self.want(form, "confirm")
            context = self.flows("lintel")[0].context
            self.assertEqual(context["title_placeholders"], {"name": "Lintel"})
            self.hass.config_entries.flow.async_abort(form["flow_id"])

    async def test_typed_address(self) -> None:
        """A box that is not found is typed in; a card of it goes away in the end."""
        card = await self.begin(SOURCE_ZEROCONF, self.card())
        form = await self.begin(SOURCE_USER)
        self.want(form, "user")
        with self.assertRaises(InvalidData):
            await self.answer(form, host=HOST, port="x")
        self.want(
            await self.answer(form, host=HOST, port=1), "user", {"base": "cannot_connect"}
        )
        for host in ("no such host", "http://lintel", "", "a" * 300, "\x00", "[::1"):
            self.want(
                await self.answer(form, host=host, port=self.box.port),
                "user",
                {"base": "cannot_connect"},
            )
        form = await self.answer(form, host=f" {HOST} ", port=self.box.port)
        self.want(form, "confirm")
        result = await self.answer(form, code=self.box.show_code())
        self.assertEqual(result["type"], FlowResultType.CREATE_ENTRY)
        self.assertEqual(result["title"], self.box.name)
        self.assertEqual(self.entries("mqtt")[0].data["broker"], HOST)
        self.assertNotIn(card["flow_id"], self.hass.config_entries.flow.flows)
        form = await self.begin(SOURCE_USER)
        again = await self.answer(form, host="localhost", port=self.box.port)
        self.want_abort(again, "already_configured")

    async def test_typed_name(self) -> None:
        """By a name the box is reached for HTTP; MQTT gets the address."""
        form = await self.begin(SOURCE_USER)
        form = await self.answer(form, host="localhost", port=self.box.port)
        result = await self.answer(form, code=self.box.show_code())
        self.assertEqual(result["type"], FlowResultType.CREATE_ENTRY, result)
        self.assertIn(self.entries("mqtt")[0].data["broker"], (HOST, "::1"))
        self.assertEqual(self.issues(), {})

    async def test_unclaimed(self) -> None:
        """A box without an owner gives nothing away."""
        port = urlsplit(os.environ["LINTEL_UNCLAIMED_URL"]).port
        form = await self.begin(SOURCE_ZEROCONF, self.card(port=port))
        self.want(
            await self.answer(form, code="12345678"), "confirm", {"base": "not_claimed"}
        )
        self.assertEqual(self.entries("mqtt") + self.entries("lintel"), [])

    async def test_wrong_box(self) -> None:
        """At the address of the card there is another box."""
        form = await self.begin(SOURCE_ZEROCONF, self.card(id="0123456789ab"))
        code = self.box.show_code()
        for _ in range(2):
            self.want(
                await self.answer(form, code=code), "confirm", {"base": "wrong_box"}
            )
        self.assertEqual(self.entries("mqtt") + self.entries("lintel"), [])
        self.assertEqual(self.flows("mqtt"), [])

    async def add_mqtt(self, **data: Any) -> ConfigEntry:
        """Have another broker set up."""
        source = data.pop("source", SOURCE_USER)
        entry = ConfigEntry(domain="mqtt", title="Mosquitto", data=data, source=source)
        await self.hass.config_entries.async_add(entry)
        return entry

    async def test_another_broker(self) -> None:
        """With another broker there is no card, and words for who looks for it."""
        mqtt = await self.add_mqtt(broker="core-mosquitto", port=1883)
        result = await self.begin(SOURCE_ZEROCONF, self.card())
        self.want_abort(result, "another_broker")
        form = await self.begin(SOURCE_USER)
        result = await self.answer(form, host=HOST, port=self.box.port)
        self.want_abort(result, "another_broker")
        await self.hass.config_entries.async_remove(mqtt.entry_id)
        form = await self.begin(SOURCE_ZEROCONF, self.card())
        await self.add_mqtt(broker="core-mosquitto", port=1883)
        code = self.box.show_code()
        self.want_abort(await self.answer(form, code=code), "another_broker")
        self.assertEqual(self.entries("lintel"), [])
        paired = {"code": code, "client": "homeassistant"}
        self.box.ask("POST", "/api/pair", paired)  # the code was not used up

    async def test_ignored_broker(self) -> None:
        """MQTT takes no add-on when one was ignored: it is said, and nothing is half."""
        await self.add_mqtt(source=SOURCE_IGNORE)
        form = await self.begin(SOURCE_ZEROCONF, self.card())
        self.want(form, "confirm")
        self.want(
            await self.answer(form, code=self.box.show_code()),
            "confirm",
            {"base": "mqtt_refused"},
        )
        self.assertEqual(self.entries("lintel"), [])

    async def test_adopted(self) -> None:
        """A box whose broker is there already needs no code."""
        for broker in (HOST, "Lintel-A1B2C3.local"):
            mqtt = await self.add_mqtt(broker=broker, port=1883, username="x")
            form = await self.begin(SOURCE_ZEROCONF, self.card())
            self.want(form, "adopt")
            result = await self.answer(form)
            self.assertEqual(result["type"], FlowResultType.CREATE_ENTRY)
            self.assertEqual(result["result"].data["broker"], broker)
            self.assertEqual(self.issues(), {})
            for entry in (mqtt, result["result"]):
                await self.hass.config_entries.async_remove(entry.entry_id)

    async def test_adopted_too_late(self) -> None:
        """The broker goes away while the form is open."""
        mqtt = await self.add_mqtt(broker=HOST, port=1883)
        form = await self.begin(SOURCE_ZEROCONF, self.card())
        await self.hass.config_entries.async_remove(mqtt.entry_id)
        self.want(await self.answer(form), "confirm")

    async def test_firewall(self) -> None:
        """MQTT does not reach the broker: no half entry, and the code is still good."""
        form = await self.begin(SOURCE_ZEROCONF, self.card())
        code = self.box.show_code()
        MQTTFlow.firewall = True
        self.want(
            await self.answer(form, code=code), "confirm", {"base": "mqtt_cannot_connect"}
        )
        self.assertEqual(self.entries("mqtt") + self.entries("lintel"), [])
        self.assertEqual(self.flows("mqtt"), [])
        MQTTFlow.firewall = False
        result = await self.answer(form, code=code)
        self.assertEqual(result["type"], FlowResultType.CREATE_ENTRY, result)
        self.assertEqual(len(self.entries("mqtt")), 1)

    async def test_mqtt_is_being_set_up(self) -> None:
        """Another flow of MQTT is open: that one is left alone."""
        flows = self.hass.config_entries.flow
        by_hand = await flows.async_init("mqtt", context={"source": SOURCE_USER})
        form = await self.begin(SOURCE_ZEROCONF, self.card())
        code = self.box.show_code()
        self.want(await self.answer(form, code=code), "confirm", {"base": "mqtt_refused"})
        self.assertEqual(list(self.flows("mqtt")), [flows.flows[by_hand["flow_id"]]])
        flows.async_abort(by_hand["flow_id"])
        result = await self.answer(form, code=code)
        self.assertEqual(result["type"], FlowResultType.CREATE_ENTRY, result)
        self.assertEqual(self.entries("mqtt")[0].source, SOURCE_HASSIO)


if __name__ == "__main__":
    unittest.main()
