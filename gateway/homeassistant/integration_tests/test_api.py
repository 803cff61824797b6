"""What answers may not be a box: nothing of it gets further than a sentence."""

import ast
import json
import unittest

import aiohttp
from aiohttp import web

from custom_components.lintel import ISSUES
from custom_components.lintel.api import (
    MAX_ANSWER,
    REASONS,
    LintelError,
    async_get_box,
    async_pair,
    page_url,
)
from harness import HOST, INTEGRATION, TEXTS

GOOD: dict[str, object] = {
    "id": "a1b2c3",
    "name": "Lintel",
    "model": "x",
    "version": "1",
    "host": "192.0.2.1",
    "port": 1883,
    "username": "homeassistant",
    "password": "secret",
}


class API(unittest.IsolatedAsyncioTestCase):
    """A server that says what a test wants."""

    async def asyncSetUp(self) -> None:
        """Start it."""
        self.answer: object = web.Response(text="")
        self.asked: list[object] = []

        async def serve(request: web.Request) -> web.Response:
            self.asked.append(await request.text())
            answer = self.answer
            if isinstance(answer, web.Response):
                return answer
            return web.json_response(answer)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", serve)
        runner = web.AppRunner(app)
        await runner.setup()
        self.addAsyncCleanup(runner.cleanup)
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        self.port: int = runner.addresses[0][1]
        self.session = aiohttp.ClientSession()
        self.addAsyncCleanup(self.session.close)

    async def refused(self, answer: object, key: str) -> None:
        """Check what an answer is taken for."""
        self.answer = answer
        with self.assertRaises(LintelError) as caught:
            await async_pair(self.session, HOST, self.port, "12345678")
        self.assertEqual(caught.exception.key, key, answer)

    async def test_good(self) -> None:
        """This is one."""
        self.answer = GOOD
        login = await async_pair(self.session, HOST, self.port, "12345678")
        self.assertEqual((login.host, login.port), (HOST, 1883))
        self.assertEqual(login.box.id, "a1b2c3")
        box = await async_get_box(self.session, "localhost", self.port)
        self.assertEqual(box, login.box)
        login = await async_pair(self.session, "localhost", self.port, "12345678")
        self.assertEqual(login.host, "192.0.2.1")

    async def test_no_box(self) -> None:
        """These are none."""
        changes: list[dict[str, object]] = [
            {"port": "1883"},
            {"port": 0},
            {"port": 65536},
            {"port": True},
            {"port": None},
            {"id": ""},
            {"id": 7},
            {"name": None},
            {"password": "x" * 257},
            {"username": ["x"]},
            {"version": {}},
        ]
        for change in changes:
            await self.refused(GOOD | change, "not_lintel")
        for text in ("", "<html>", "null", "[]", "7", '"x"', "[" * 4000, '{"id":'):
            response = web.Response(text=text, content_type="application/json")
            await self.refused(response, "not_lintel")
        await self.refused(web.Response(body=b"\xff\xfe"), "not_lintel")
        large = json.dumps(GOOD | {"more": "x" * MAX_ANSWER})
        await self.refused(web.Response(text=large), "not_lintel")
        await self.refused(web.Response(status=500, text="{}"), "not_lintel")
        elsewhere = web.Response(status=302, headers={"Location": "/other"})
        self.asked.clear()
        await self.refused(elsewhere, "not_lintel")
        self.assertEqual(len(self.asked), 1)  # a code goes nowhere else

    async def test_reasons(self) -> None:
        """What a box says is told in the user's words."""
        for reason, key in REASONS.items():
            text = json.dumps({"title": "x", "detail": "x", "reason": reason})
            await self.refused(web.Response(status=403, text=text), key)
        for unknown in ("new", 7, None, ["wrong_code"]):
            text = json.dumps({"title": "x", "detail": "x", "reason": unknown})
            await self.refused(web.Response(status=403, text=text), "not_lintel")

    async def test_urls(self) -> None:
        """Addresses of IPv6 stand in brackets, and 80 is not said."""
        self.assertEqual(page_url("lintel.local", 80), "http://lintel.local")
        self.assertEqual(page_url("fd00::1", 8080), "http://[fd00::1]:8080")

    async def test_texts(self) -> None:
        """Each text can be shown, and each that can be shown is there."""
        errors = set(REASONS.values())
        aborts = {"already_configured", "already_in_progress", "reconfigure_successful"}
        steps = set()
        for file in INTEGRATION.glob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                for keyword in node.keywords:
                    if keyword.arg == "reason":
                        aborts.add(ast.literal_eval(keyword.value))
                    if keyword.arg == "step_id":
                        steps.add(ast.literal_eval(keyword.value))
                if ast.unparse(node).startswith("LintelError('"):
                    errors.add(ast.literal_eval(node.args[0]))
        for texts in TEXTS:
            self.assertEqual(set(texts["config"]["error"]), errors)
            self.assertEqual(set(texts["config"]["abort"]), aborts)
            self.assertEqual(set(texts["config"]["step"]), steps)
            self.assertEqual(set(texts["issues"]), set(ISSUES))


if __name__ == "__main__":
    unittest.main()
