"""What a Lintel box is asked over HTTP: who it is, and for a login."""

from dataclasses import dataclass
from ipaddress import ip_address
import json
from typing import Any, Final

import aiohttp

PATH: Final = "/api/pair"
TIMEOUT: Final = aiohttp.ClientTimeout(total=15)
MAX_ANSWER: Final = 4096  # bytes; what is larger does not come from a Lintel

# The reasons that a box gives, and the translation keys of what they mean here.
REASONS: Final = {
    "wrong_code": "invalid_code",
    "no_code": "code_expired",
    "wait": "too_many_tries",
    "unclaimed": "not_claimed",
    "no_listener": "no_listener",
    "no_login": "no_login",
    "far": "too_far",
}


class LintelError(Exception):
    """Something went wrong that the user is told; key is a translation key."""

    def __init__(self, key: str) -> None:
        """Keep the key."""
        super().__init__(key)
        self.key = key


@dataclass(frozen=True)
class Box:
    """What a box tells anybody about itself."""

    id: str
    name: str
    model: str
    version: str


@dataclass(frozen=True)
class Login:
    """A login at the broker of a box."""

    box: Box
    host: str
    port: int
    username: str
    password: str


async def async_get_box(session: aiohttp.ClientSession, host: str, port: int) -> Box:
    """Ask a box who it is."""
    return _box(await _async_request(session, "GET", host, port, None))


async def async_pair(
    session: aiohttp.ClientSession, host: str, port: int, code: str
) -> Login:
    """Get a login for the code that a person has read on the pages of the box."""
    question = {"code": code, "client": "homeassistant"}
    answer = await _async_request(session, "POST", host, port, question)
    broker_port = answer.get("port")
    if isinstance(broker_port, bool) or not isinstance(broker_port, int):
        raise LintelError("not_lintel")
    if not 0 < broker_port < 65536:
        raise LintelError("not_lintel")
    # An address by which the box was reached is one that reaches it, through the network
    # of a container too. A name may be one that only this session can resolve.
    return Login(
        box=_box(answer),
        host=host if is_address(host) else _text(answer, "host"),
        port=broker_port,
        username=_text(answer, "username"),
        password=_text(answer, "password"),
    )


def is_address(host: str) -> bool:
    """Report whether a host is an IP address, which does not follow a box."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def page_url(host: str, port: int) -> str:
    """Return where the pages of a box are."""
    bracketed = f"[{host}]" if ":" in host else host
    return f"http://{bracketed}" if port == 80 else f"http://{bracketed}:{port}"


async def _async_request(
    session: aiohttp.ClientSession,
    method: str,
    host: str,
    port: int,
    question: dict[str, str] | None,
) -> dict[str, Any]:
    """Make a request and return the JSON object that comes back."""
    try:
        async with session.request(
            method,
            page_url(host, port) + PATH,
            json=question,
            timeout=TIMEOUT,
            allow_redirects=False,
        ) as response:
            text = b""
            async for part in response.content.iter_chunked(MAX_ANSWER):
                text += part
                if len(text) > MAX_ANSWER:
                    raise LintelError("not_lintel")
            status = response.status
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as err:
        raise LintelError("cannot_connect") from err
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise LintelError("not_lintel") from err
    if not isinstance(answer, dict):
        raise LintelError("not_lintel")
    if status != 200:
        reason = answer.get("reason")
        if isinstance(reason, str) and reason in REASONS:
            raise LintelError(REASONS[reason])
        raise LintelError("not_lintel")
    return answer


def _box(answer: dict[str, Any]) -> Box:
    return Box(
        id=_text(answer, "id"),
        name=_text(answer, "name"),
        model=_text(answer, "model"),
        version=_text(answer, "version"),
    )


def _text(answer: dict[str, Any], key: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str) or not value or len(value) > 256:
        raise LintelError("not_lintel")
    return value
