"""The object that everything hangs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import aiohttp

    from .config_entries import ConfigEntries

_F = TypeVar("_F", bound=Callable[..., Any])


def callback(func: _F) -> _F:
    """Mark what runs in the event loop and does not wait."""
    return func


class HomeAssistant:
    """One Home Assistant."""

    config_entries: ConfigEntries

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Be one with this session for HTTP."""
        self.session = session
        self.data: dict[str, Any] = {}
        self.calls: list[tuple[str, ...]] = []  # of flows, in their order
        self._tasks: set[asyncio.Task[Any]] = set()

    def async_create_task(self, target: Coroutine[Any, Any, Any]) -> None:
        """Run something beside."""
        task = asyncio.ensure_future(target)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def async_block_till_done(self) -> None:
        """Wait until all that was begun is done."""
        while self._tasks:
            await asyncio.gather(*self._tasks)
