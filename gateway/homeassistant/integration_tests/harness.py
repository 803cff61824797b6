"""What the tests stand on: a real box, a Home Assistant, and the texts of the flow."""

from ipaddress import ip_address
import json
import os
from pathlib import Path
import re
from typing import Any
import unittest
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import aiohttp

from custom_components.lintel.const import DOMAIN
from homeassistant._zeroconf import ZeroconfServiceInfo
from homeassistant.config_entries import (
    SOURCE_ZEROCONF,
    ConfigEntries,
    ConfigEntry,
    ConfigFlow,
    ConfigFlowContext,
    ConfigFlowResult,
)
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import issue_registry as ir
from mqtt_double import MQTTFlow

INTEGRATION = Path(__file__).parent.parent / "custom_components" / "lintel"
LANGUAGES = ("strings.json", "translations/en.json", "translations/de.json")
TEXTS: list[dict[str, Any]] = [
    json.loads((INTEGRATION / name).read_text("utf-8")) for name in LANGUAGES
]

HOST = "127.0.0.1"


class RealBox:
    """A box that a Go test runs, and whose admin the test is."""

    def __init__(self) -> None:
        """Find out where it is."""
        url = urlsplit(os.environ["LINTEL_URL"])
        self.port = url.port or 80
        state = self.ask("GET", "/api/pair")
        self.id: str = state["id"]
        self.name: str = state["name"]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Call the API as an admin."""
        request = Request(
            os.environ["LINTEL_URL"] + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": "Bearer " + os.environ["LINTEL_TOKEN"],
                "Content-Type": "application/json",
            },
        )
        with urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def show_code(self) -> str:
        """Have it show a code."""
        code: str = self.ask("POST", "/api/pair/code", {})["code"]
        return code

    def forget_logins(self) -> None:
        """Delete the logins that Home Assistants have got."""
        for user in self.ask("GET", "/api/users")["users"]:
            if user["name"].startswith("homeassistant"):
                self.ask("DELETE", "/api/users/" + user["name"])


class HomeAssistantTest(unittest.IsolatedAsyncioTestCase):
    """A Home Assistant that has nothing yet, beside a real box."""

    async def asyncSetUp(self) -> None:
        """Make both."""
        self.box = RealBox()
        self.session = aiohttp.ClientSession()
        self.addAsyncCleanup(self.session.close)
        self.hass = HomeAssistant(self.session)
        self.hass.config_entries = ConfigEntries(self.hass)
        self.addCleanup(self.box.forget_logins)
        self.addCleanup(setattr, MQTTFlow, "firewall", False)

    def card(self, **changes: Any) -> ZeroconfServiceInfo:
        """Return what is heard of the box."""
        properties = {
            "id": self.box.id,
            "name": self.box.name,
            "model": "x",
            "version": "0.1.0",
            "path": "/api/pair",
        }
        host = ip_address(changes.pop("host", HOST))
        others = [ip_address(other) for other in changes.pop("others", [])]
        return ZeroconfServiceInfo(
            ip_address=host,
            ip_addresses=[host, *others],
            port=changes.pop("port", self.box.port),
            hostname=changes.pop("hostname", "lintel-a1b2c3.local."),
            type="_lintel._tcp.local.",
            name="Lintel A1B2C3._lintel._tcp.local.",
            properties={k: v for k, v in (properties | changes).items() if v != ""},
        )

    async def begin(
        self, context: ConfigFlowContext | str, data: Any = None
    ) -> ConfigFlowResult:
        """Begin a flow of the integration."""
        if isinstance(context, str):
            context = {"source": context}
        flows = self.hass.config_entries.flow
        return check(await flows.async_init(DOMAIN, context=context, data=data))

    async def answer(
        self, form: ConfigFlowResult, **user_input: Any
    ) -> ConfigFlowResult:
        """Fill a form in, and wait until all that follows is done."""
        flows = self.hass.config_entries.flow
        result = check(await flows.async_configure(form["flow_id"], user_input))
        await self.hass.async_block_till_done()
        return result

    async def paired(self) -> ConfigEntry:
        """Go the whole way, and return the entry of the integration."""
        form = await self.begin(SOURCE_ZEROCONF, self.card())
        result = await self.answer(form, code=self.box.show_code())
        assert result["type"] is FlowResultType.CREATE_ENTRY, result
        self.hass.calls.clear()
        return result["result"]

    def entries(self, domain: str) -> list[ConfigEntry]:
        """List entries."""
        return self.hass.config_entries.async_entries(domain)

    def flows(self, domain: str) -> list[ConfigFlow]:
        """List open flows."""
        flows = self.hass.config_entries.flow.flows.values()
        return [flow for flow in flows if flow.handler == domain]

    def issues(self) -> dict[str, dict[str, str]]:
        """Return the repairs that are shown, each with what it is filled with."""
        found = {}
        for key, placeholders in ir.issues(self.hass).values():
            for texts in TEXTS:
                for text in texts["issues"][key].values():
                    text.format(**placeholders)
            found[key] = placeholders
        return found


def check(result: ConfigFlowResult) -> ConfigFlowResult:
    """Hold a result against the texts, as the frontend shows it."""
    for texts in TEXTS:
        config = texts["config"]
        if result["type"] is FlowResultType.ABORT:
            assert result["reason"] in config["abort"], result
        if result["type"] is FlowResultType.FORM:
            step = config["step"][result["step_id"]]
            schema = result["data_schema"]
            fields = {str(field) for field in schema.schema} if schema else set()
            assert fields == set(step.get("data", {})), result
            given = set(result["description_placeholders"] or {})
            texts_of_step = step["title"] + step["description"]
            assert set(re.findall(r"{(\w+)}", texts_of_step)) <= given, result
            for field, error in (result["errors"] or {}).items():
                assert field in fields | {"base"}, result
                assert error in config["error"], result
    return result
