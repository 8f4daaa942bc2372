"""The official Python SDK 2.x against a running `echo` example, over HTTP+SSE or Streamable HTTP.

usage: py2.py sse|http URL

Proves what py1.py proves, and that this client, which asks `server/discover` first, falls back to
`initialize` by itself. It connects twice: once as it comes (`auto`), once told to use `legacy`.
"""
import asyncio
import sys
import uuid

from mcp import Client
from mcp.client.sse import sse_client

PARALLEL = 50


def text(result):
    assert not result.is_error, f"is_error: {result}"
    return result.content[0].text


def connect(kind, url, mode):
    return Client(sse_client(url, timeout=20) if kind == "sse" else url, mode=mode, read_timeout_seconds=60)


async def whole(kind, url):
    async with connect(kind, url, "auto") as client:
        print(f"  initialised: {client.server_info.name} {client.server_info.version}, {client.protocol_version}")
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"echo", "add", "slow"} <= names, f"tools/list gave {names}"
        assert text(await client.call_tool("echo", {"text": "gr\u00fc\u00df \u2028 \U0001f600"})) == "gr\u00fc\u00df \u2028 \U0001f600"
        total = text(await client.call_tool("add", {"a": 20, "b": 22}))
        assert float(total) == 42, f"add gave {total!r}"

        seen = []

        async def note(progress, total, message):
            seen.append(progress)

        said = text(await client.call_tool("slow", {"seconds": 2, "text": "patience"}, progress_callback=note))
        assert "patience" in said, said
        assert seen and all(a < b for a, b in zip(seen, seen[1:])), f"progress must come and rise: {seen}"

        async def one():
            nonce = uuid.uuid4().hex
            got = text(await client.call_tool("echo", {"text": nonce}))
            assert got == nonce, f"asked for {nonce}, got {got}"

        await asyncio.gather(*(one() for _ in range(PARALLEL)))
        print(f"  {len(names)} tools, {len(seen)} progress notes, {PARALLEL} calls in parallel")
    async with connect(kind, url, "legacy") as client:
        assert text(await client.call_tool("echo", {"text": "again"})) == "again"
    print("  reconnected")


kind, url = sys.argv[1:3]
asyncio.run(asyncio.wait_for(whole(kind, url), 120))
print(f"ok: Python SDK 2.x, {kind}, {url}")
