"""Entries and the flows that make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
import importlib
from itertools import count
from types import MappingProxyType
from typing import Any, TypedDict

import voluptuous as vol

from .core import HomeAssistant
from .data_entry_flow import (
    AbortFlow,
    FlowResultType,
    InvalidData,
    UnknownFlow,
    UnknownHandler,
)
from .helpers.dispatcher import async_dispatcher_send

SOURCE_HASSIO = "hassio"
SOURCE_IGNORE = "ignore"
SOURCE_RECONFIGURE = "reconfigure"
SOURCE_USER = "user"
SOURCE_ZEROCONF = "zeroconf"

SIGNAL_CONFIG_ENTRY_CHANGED = "config_entry_changed"

DEFAULT_DISCOVERY_UNIQUE_ID = "default_discovery_unique_id"

HANDLERS: dict[str, type[ConfigFlow]] = {}
_numbers = count(1)


class ConfigEntryState(Enum):
    """What an entry is in."""

    LOADED = "loaded"
    NOT_LOADED = "not_loaded"


class ConfigEntryChange(Enum):
    """What happened to an entry."""

    ADDED = "added"
    REMOVED = "removed"
    UPDATED = "updated"


class ConfigFlowContext(TypedDict, total=False):
    """What a flow is about."""

    source: str
    entry_id: str
    unique_id: str | None
    title_placeholders: Mapping[str, str]


class ConfigFlowResult(TypedDict, total=False):
    """How a step ended."""

    type: FlowResultType
    flow_id: str
    handler: str
    step_id: str
    data_schema: vol.Schema | None
    errors: dict[str, str] | None
    description_placeholders: Mapping[str, str] | None
    reason: str
    title: str
    data: Mapping[str, Any]
    result: ConfigEntry


class ConfigEntry:
    """Something that was set up."""

    # pylint: disable-next=too-many-arguments
    def __init__(
        self,
        *,
        domain: str,
        title: str,
        data: Mapping[str, Any],
        source: str,
        unique_id: str | None = None,
    ) -> None:
        """Hold what a flow has found out."""
        self.entry_id = f"entry{next(_numbers)}"
        self.domain = domain
        self.title = title
        self.data: MappingProxyType[str, Any] = MappingProxyType(dict(data))
        self.source = source
        self.unique_id = unique_id
        self.state = ConfigEntryState.NOT_LOADED
        self.unloading: list[Callable[[], None]] = []

    def async_on_unload(self, func: Callable[[], None]) -> None:
        """Have something called when the entry is unloaded."""
        self.unloading.append(func)


class ConfigFlow:
    """The base of the flow of an integration."""

    hass: HomeAssistant
    flow_id: str
    handler: str
    context: ConfigFlowContext

    def __init_subclass__(cls, *, domain: str) -> None:
        """Have the class handle flows of its domain."""
        HANDLERS[domain] = cls

    @property
    def source(self) -> str:
        """Tell who began the flow."""
        return self.context["source"]

    @property
    def unique_id(self) -> str | None:
        """Tell what the flow is about."""
        return self.context.get("unique_id")

    async def async_set_unique_id(
        self, unique_id: str, *, raise_on_progress: bool = True
    ) -> ConfigEntry | None:
        """Say what the flow is about; one flow is enough for that."""
        if raise_on_progress and any(
            flow.context.get("unique_id") == unique_id for flow in self._others()
        ):
            raise AbortFlow("already_in_progress")
        self.context["unique_id"] = unique_id
        for entry in self.hass.config_entries.async_entries(self.handler):
            if entry.unique_id == unique_id:
                return entry
        return None

    def _abort_if_unique_id_configured(
        self, updates: dict[str, Any] | None = None
    ) -> None:
        for entry in self.hass.config_entries.async_entries(self.handler):
            if entry.unique_id is None or entry.unique_id != self.unique_id:
                continue
            if updates is not None and self.hass.config_entries.async_update_entry(
                entry, data={**entry.data, **updates}
            ):
                self.hass.config_entries.async_schedule_reload(entry.entry_id)
            raise AbortFlow("already_configured")

    async def _async_handle_discovery_without_unique_id(self) -> None:
        if self.hass.config_entries.async_entries(self.handler):
            raise AbortFlow("already_configured")
        await self.async_set_unique_id(DEFAULT_DISCOVERY_UNIQUE_ID)
        if self._others():
            raise AbortFlow("already_in_progress")

    def _others(self) -> list[ConfigFlow]:
        return [
            flow
            for flow in self.hass.config_entries.flow.flows.values()
            if flow.handler == self.handler and flow.flow_id != self.flow_id
        ]

    def _get_reconfigure_entry(self) -> ConfigEntry:
        entry = self.hass.config_entries.async_get_entry(self.context["entry_id"])
        assert entry is not None
        return entry

    def async_show_form(
        self,
        *,
        step_id: str,
        data_schema: vol.Schema | None = None,
        errors: dict[str, str] | None = None,
        description_placeholders: Mapping[str, str] | None = None,
    ) -> ConfigFlowResult:
        """Ask a person."""
        return ConfigFlowResult(
            type=FlowResultType.FORM,
            flow_id=self.flow_id,
            handler=self.handler,
            step_id=step_id,
            data_schema=data_schema,
            errors=errors,
            description_placeholders=description_placeholders,
        )

    def async_create_entry(
        self, *, title: str, data: Mapping[str, Any]
    ) -> ConfigFlowResult:
        """Be done."""
        return ConfigFlowResult(
            type=FlowResultType.CREATE_ENTRY,
            flow_id=self.flow_id,
            handler=self.handler,
            title=title,
            data=data,
        )

    def async_abort(self, *, reason: str) -> ConfigFlowResult:
        """Give up."""
        return ConfigFlowResult(
            type=FlowResultType.ABORT,
            flow_id=self.flow_id,
            handler=self.handler,
            reason=reason,
        )

    def async_update_reload_and_abort(
        self, entry: ConfigEntry, *, data: Mapping[str, Any]
    ) -> ConfigFlowResult:
        """Be done with an entry that was there."""
        if self.hass.config_entries.async_update_entry(entry, data=data):
            self.hass.config_entries.async_schedule_reload(entry.entry_id)
        return self.async_abort(reason="reconfigure_successful")


class ConfigEntriesFlowManager:
    """All flows that are open."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Have none."""
        self.hass = hass
        self.flows: dict[str, ConfigFlow] = {}
        self._forms: dict[str, ConfigFlowResult] = {}

    async def async_init(
        self, handler: str, *, context: ConfigFlowContext, data: Any = None
    ) -> ConfigFlowResult:
        """Begin a flow with the step that its source names."""
        if handler == "lintel":
            importlib.import_module("custom_components.lintel.config_flow")
        if handler not in HANDLERS:
            raise UnknownHandler
        flow = HANDLERS[handler]()
        flow.hass = self.hass
        flow.handler = handler
        flow.flow_id = f"flow{next(_numbers)}"
        flow.context = context.copy()
        self.flows[flow.flow_id] = flow
        self.hass.calls.append(("init", handler, context["source"]))
        return await self._async_step(flow, context["source"], data)

    async def async_configure(
        self, flow_id: str, user_input: dict[str, Any]
    ) -> ConfigFlowResult:
        """Answer the form of a flow."""
        if flow_id not in self.flows:
            raise UnknownFlow
        form = self._forms[flow_id]
        flow = self.flows[flow_id]
        if (schema := form["data_schema"]) is not None:
            try:
                user_input = schema(user_input)
            except vol.Invalid as err:
                raise InvalidData(str(err)) from err
        names = ",".join(sorted(user_input))
        self.hass.calls.append(("configure", flow.handler, form["step_id"], names))
        return await self._async_step(flow, form["step_id"], user_input)

    def async_abort(self, flow_id: str) -> None:
        """End a flow."""
        if self.flows.pop(flow_id, None) is None:
            raise UnknownFlow

    async def _async_step(
        self, flow: ConfigFlow, step: str, data: Any
    ) -> ConfigFlowResult:
        try:
            result: ConfigFlowResult = await getattr(flow, f"async_step_{step}")(data)
        except AbortFlow as err:
            result = flow.async_abort(reason=err.reason)
        if result["type"] is FlowResultType.FORM:
            self._forms[flow.flow_id] = result
            return result
        self.flows.pop(flow.flow_id, None)
        if result["type"] is FlowResultType.CREATE_ENTRY:
            unique_id = flow.unique_id
            for other in list(self.flows.values()):  # cards of what is there now
                if other.handler == flow.handler and other.unique_id == unique_id:
                    self.async_abort(other.flow_id)
            result["result"] = ConfigEntry(
                domain=flow.handler,
                title=result["title"],
                data=result["data"],
                source=flow.source,
                unique_id=None if unique_id == DEFAULT_DISCOVERY_UNIQUE_ID else unique_id,
            )
            await self.hass.config_entries.async_add(result["result"])
        return result


class ConfigEntries:
    """All entries."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Have none."""
        self.hass = hass
        self.flow = ConfigEntriesFlowManager(hass)
        self._entries: list[ConfigEntry] = []

    def async_entries(
        self, domain: str, include_ignore: bool = True
    ) -> list[ConfigEntry]:
        """List those of an integration."""
        return [
            entry
            for entry in self._entries
            if entry.domain == domain
            and (include_ignore or entry.source != SOURCE_IGNORE)
        ]

    def async_get_entry(self, entry_id: str) -> ConfigEntry | None:
        """Find one."""
        return next((e for e in self._entries if e.entry_id == entry_id), None)

    async def async_add(self, entry: ConfigEntry) -> None:
        """Take one in and set it up."""
        self._entries.append(entry)
        await self._async_setup(entry)
        self._tell(ConfigEntryChange.ADDED, entry)

    async def async_remove(self, entry_id: str) -> None:
        """Unload one and drop it."""
        entry = self.async_get_entry(entry_id)
        assert entry is not None
        await self._async_unload(entry)
        self._entries.remove(entry)
        self._tell(ConfigEntryChange.REMOVED, entry)

    def async_update_entry(self, entry: ConfigEntry, *, data: Mapping[str, Any]) -> bool:
        """Change one; report whether there was anything to change."""
        if dict(entry.data) == dict(data):
            return False
        entry.data = MappingProxyType(dict(data))
        self._tell(ConfigEntryChange.UPDATED, entry)
        return True

    def async_schedule_reload(self, entry_id: str) -> None:
        """Unload one and set it up again, beside."""
        self.hass.async_create_task(self._async_reload(entry_id))

    async def _async_reload(self, entry_id: str) -> None:
        if entry := self.async_get_entry(entry_id):
            await self._async_unload(entry)
            await self._async_setup(entry)

    async def _async_setup(self, entry: ConfigEntry) -> None:
        if entry.source == SOURCE_IGNORE:
            return
        if module := _component(entry.domain):
            assert await module.async_setup_entry(self.hass, entry) is True
        entry.state = ConfigEntryState.LOADED

    async def _async_unload(self, entry: ConfigEntry) -> None:
        if module := _component(entry.domain):
            assert await module.async_unload_entry(self.hass, entry) is True
        while entry.unloading:
            entry.unloading.pop()()
        entry.state = ConfigEntryState.NOT_LOADED

    def _tell(self, change: ConfigEntryChange, entry: ConfigEntry) -> None:
        async_dispatcher_send(self.hass, SIGNAL_CONFIG_ENTRY_CHANGED, change, entry)


def _component(domain: str) -> Any:
    if domain != "lintel":
        return None
    return importlib.import_module("custom_components.lintel")
