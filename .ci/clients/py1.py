"""The official Python SDK 1.x against a running `echo` example, over HTTP+SSE or Streamable HTTP.

usage: py1.py sse|http URL [--silent SECONDS]

Proves that the client initialises, lists, calls, receives progress, runs 50 calls in parallel (each
answer is its own), disconnects and reconnects. `--silent N` instead makes one call of N seconds that
asks for no progress: the line is silent but for the server's keep-alives.
"""
import asyncio
import contextlib
import sys
import uuid
from datetime import timedelta

from mcp import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client

PARALLEL = 50


def text(result):
    assert not result.isError, f"isError: {result}"
    return result.content[0].text


@contextlib.asynccontextmanager
async def connect(kind, url):
    opened = sse_client(url, timeout=20) if kind == "sse" else streamablehttp_client(url, timeout=20)
    async with opened as streams:
        async with ClientSession(streams[0], streams[1], read_timeout_seconds=timedelta(seconds=60)) as session:
            hello = await session.initialize()
            yield session, hello


async def whole(kind, url):
    async with connect(kind, url) as (session, hello):
        assert hello.serverInfo.name, hello
        print(f"  initialised: {hello.serverInfo.name} {hello.serverInfo.version}, {hello.protocolVersion}")
        names = {tool.name for tool in (await session.list_tools()).tools}
        assert {"echo", "add", "slow"} <= names, f"tools/list gave {names}"
        assert text(await session.call_tool("echo", {"text": "gr\u00fc\u00df \u2028 \U0001f600"})) == "gr\u00fc\u00df \u2028 \U0001f600"
        total = text(await session.call_tool("add", {"a": 20, "b": 22}))
        assert float(total) == 42, f"add gave {total!r}"
        await session.send_ping()

        seen = []

        async def note(progress, total, message):
            seen.append(progress)

        said = text(await session.call_tool("slow", {"seconds": 2, "text": "patience"}, progress_callback=note))
        assert "patience" in said, said
        assert seen and all(a < b for a, b in zip(seen, seen[1:])), f"progress must come and rise: {seen}"

        async def one():
            nonce = uuid.uuid4().hex
            got = text(await session.call_tool("echo", {"text": nonce}))
            assert got == nonce, f"asked for {nonce}, got {got}"

        await asyncio.gather(*(one() for _ in range(PARALLEL)))
        print(f"  {len(names)} tools, {len(seen)} progress notes, {PARALLEL} calls in parallel")
    async with connect(kind, url) as (session, _):
        assert text(await session.call_tool("echo", {"text": "again"})) == "again"
    print("  reconnected")


async def silent(kind, url, seconds):
    async with connect(kind, url) as (session, _):
        said = text(await session.call_tool("slow", {"seconds": seconds, "text": "quiet"}))
        assert "quiet" in said, said
        print(f"  {seconds} s of silence survived")


async def main():
    kind, url, rest = sys.argv[1], sys.argv[2], sys.argv[3:]
    job = silent(kind, url, float(rest[1])) if rest[:1] == ["--silent"] else whole(kind, url)
    await asyncio.wait_for(job, 120)
    print(f"ok: Python SDK 1.x, {kind}, {url}")


asyncio.run(main())
