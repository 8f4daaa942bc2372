"""What the program tells about a real firewall, compared with what the firewall's own commands print.

Run by lab.sh in the lan's namespace:

    lab.py ADDR:PORT BARE_ADDR:PORT FW_NAMESPACE SERVER_PID

BARE is a second program that runs as nobody, without capabilities and without new privileges.
One line a proof; exit 1 if one does not hold.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time

from mcp import ClientSession, types
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client

FAILED = []
# Lifetimes count down; every other field must be equal.
VOLATILE = {"valid_life_time", "preferred_life_time"}


def prove(what, holds, seen=""):
    print(f"ok {what}" if holds else f"FAILED {what}: {seen}", flush=True)
    if not holds:
        FAILED.append(what)


def fw_prints(namespace, *command):
    """JSON that a command prints in the firewall's namespace."""
    done = subprocess.run(["ip", "netns", "exec", namespace, *command], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def steady(value):
    """The value without what changes by itself."""
    if isinstance(value, dict):
        return {key: steady(item) for key, item in value.items() if key not in VOLATILE}
    return [steady(item) for item in value] if isinstance(value, list) else value


def children(parent):
    """Names and states of all child processes, zombies too."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                stat = file.read()
            name, rest = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
            if int(rest[1]) == parent:
                found.append((name, rest[0]))
    return found


@contextlib.asynccontextmanager
async def client(address, transport):
    """An initialised session of the official SDK."""
    opened = sse_client(f"http://{address}/sse") if transport == "sse" else streamablehttp_client(f"http://{address}/mcp")
    async with opened as streams:
        async with ClientSession(streams[0], streams[1]) as session:
            await session.initialize()
            yield session


def words(result):
    return " ".join(content.text for content in result.content if content.type == "text")


async def looks(session, transport, namespace):
    """Interfaces and rules are what the commands print."""
    tools = {tool.name: tool for tool in (await session.list_tools()).tools}
    expected = {"system_info", "interfaces", "firewall_ruleset", "ping_host"}
    # One adds a table for the time of its call; lab_fw.py proves that it does not stay.
    annotated = all(tool.annotations and tool.annotations.readOnlyHint for tool in tools.values() if tool.name != "firewall_trace")
    prove(f"{transport}: the tools are there, annotated as read-only", expected <= set(tools) and annotated, sorted(tools))

    result = await session.call_tool("system_info", {})
    info = result.structuredContent or {}
    same = info.get("kernel") == os.uname().release and info.get("hostname") == os.uname().nodename
    prove(f"{transport}: system_info tells kernel and host name of uname", same, words(result))

    result = await session.call_tool("interfaces", {})
    printed = fw_prints(namespace, "ip", "-j", "addr")
    same = steady((result.structuredContent or {}).get("interfaces")) == steady(printed)
    prove(f"{transport}: interfaces equal `ip -j addr` ({len(printed)} interfaces)", same, words(result)[:500])
    result = await session.call_tool("interfaces", {"name": "wan0"})
    names = [row.get("ifname") for row in (result.structuredContent or {}).get("interfaces", [])]
    prove(f"{transport}: one interface by its name", names == ["wan0"], words(result)[:500])

    result = await session.call_tool("firewall_ruleset", {})
    printed = fw_prints(namespace, "nft", "-j", "-t", "list", "ruleset")
    rules = len(printed["nftables"])
    prove(f"{transport}: firewall_ruleset equals `nft -j -t list ruleset` ({rules} entries)", result.structuredContent == printed, words(result)[:500])
    result = await session.call_tool("firewall_ruleset", {"family": "ip", "table": "nat"})
    printed = fw_prints(namespace, "nft", "-j", "-t", "list", "table", "ip", "nat")
    prove(f"{transport}: one table equals `nft -j -t list table ip nat`", result.structuredContent == printed, words(result)[:500])

    result = await session.call_tool("firewall_ruleset", {"family": "inet", "table": "x; flush ruleset"})
    left = fw_prints(namespace, "nft", "-j", "-t", "list", "ruleset")
    safe = result.isError and "`table`" in words(result) and len(left["nftables"]) == rules
    prove(f"{transport}: a table's name cannot smuggle a command", safe, words(result))


async def pings(session, transport):
    """Pings with progress; no reply is an answer, no host is a fault."""
    seen = []

    async def on_progress(progress, total, message):
        seen.append((progress, total, message or ""))

    result = await session.call_tool("ping_host", {"host": "198.51.100.2", "interval": 0.3}, progress_callback=on_progress)
    found = result.structuredContent or {}
    prove(f"{transport}: ping_host reaches the wan without loss", (found.get("sent"), found.get("received"), found.get("loss_percent")) == (3, 3, 0), words(result))
    # Progress may be replaced by newer progress; it rises, and what is told are ping's own lines.
    values = [value for value, _, _ in seen]
    told = bool(seen) and values == sorted(set(values)) and values[-1] <= 3 and all("icmp_seq=" in line for _, _, line in seen)
    prove(f"{transport}: ping_host reports its replies as progress ({values})", told, seen)

    result = await session.call_tool("ping_host", {"host": "198.51.100.77", "count": 1, "timeout": 1})
    found = result.structuredContent or {}
    prove(f"{transport}: no reply is an answer", not result.isError and found.get("received") == 0 and found.get("rtt_ms") is None, words(result))
    result = await session.call_tool("ping_host", {"host": "no-such-host.invalid", "count": 1})
    prove(f"{transport}: an unknown host is a fault in ping's words", result.isError and "no-such-host.invalid" in words(result), words(result))
    result = await session.call_tool("ping_host", {"host": "-f"})
    prove(f"{transport}: an option in place of a host is refused by name", result.isError and "`host`" in words(result), words(result))


async def cancels(session, transport, server):
    """A cancelled ping leaves no process, not even a zombie, and the session lives on."""
    # The first reply comes at once and the next after 10 s: until then a forgotten ping would not even notice that
    # nobody reads it any more, and live.
    under_way = asyncio.Event()

    async def on_progress(progress, total, message):
        under_way.set()

    request_id = session._request_id  # The SDK's next id; it has no public name.
    call = asyncio.create_task(session.call_tool("ping_host", {"host": "198.51.100.2", "count": 20, "interval": 10}, progress_callback=on_progress))
    await asyncio.wait_for(under_way.wait(), 10)
    prove(f"{transport}: a running ping_host has its ping", ("ping", "S") in children(server), children(server))

    params = types.CancelledNotificationParams(requestId=request_id, reason="the lab wants to know")
    start = time.monotonic()
    await session.send_notification(types.ClientNotification(types.CancelledNotification(method="notifications/cancelled", params=params)))
    while children(server) and time.monotonic() - start < 5:
        await asyncio.sleep(0.01)
    took = time.monotonic() - start
    prove(f"{transport}: a cancelled ping_host leaves no process and no zombie ({took * 1000:.0f} ms)", not children(server) and took < 1, children(server))
    # No answer follows a cancel, so the SDK would wait for one for ever.
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await call
    result = await session.call_tool("interfaces", {"name": "lo"})
    prove(f"{transport}: the session lives on after a cancel", not result.isError, words(result))


async def lacks_rights(address):
    """Without a right the tools say which one is missing and how to give it."""
    async with client(address, "http") as session:
        result = await session.call_tool("firewall_ruleset", {})
        prove("as nobody firewall_ruleset names the right it lacks", result.isError and "AmbientCapabilities=CAP_NET_ADMIN" in words(result), words(result))
        result = await session.call_tool("ping_host", {"host": "198.51.100.2", "count": 1})
        prove("as nobody ping_host names the right it lacks", result.isError and "AmbientCapabilities=CAP_NET_RAW" in words(result), words(result))
        result = await session.call_tool("interfaces", {})
        prove("as nobody interfaces works", not result.isError, words(result))


async def main():
    address, bare, namespace, server = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    # Duplicate address detection changes flags for a second or two.
    for _ in range(100):
        if not fw_prints(namespace, "ip", "-j", "-6", "addr", "show", "tentative"):
            break
        await asyncio.sleep(0.1)
    for transport in ("http", "sse"):
        async with client(address, transport) as session:
            await looks(session, transport, namespace)
            await pings(session, transport)
            await cancels(session, transport, server)
    await lacks_rights(bare)


asyncio.run(asyncio.wait_for(main(), 120))
sys.exit(1 if FAILED else 0)
