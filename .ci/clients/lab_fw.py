"""What the program tells about nftables and connection tracking, compared with what `nft` and `conntrack` print; and
what is left of a trace when its call, its client or the program itself goes: nothing.

Run by lab.sh in the firewall's namespace, after lab_net.py:

    lab_fw.py WORK LAN WAN

WORK holds the program `portcullis`; LAN and WAN are the other two namespaces, from which real packets come. All is
asked of a server that runs as root, of one as nobody with CAP_NET_ADMIN in the ambient set, and of one with no right.
One line a proof; exit 1 if one does not hold.
"""

import asyncio
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from mcp import ClientSession, types
from mcp.client.streamable_http import streamablehttp_client

WORK, LAN, WAN = sys.argv[1:4]
BARE = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --no-new-privs".split()
NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all,+net_admin --ambient-caps=+net_admin --no-new-privs".split()
NFT = os.path.realpath(shutil.which("nft"))
FAILED = []
CHILDREN = []

RULES = """
table inet lab_fw {
    counter counted { packets 3 bytes 7 }
    set spans { type ipv4_addr; flags interval, timeout; elements = { 203.0.113.0/24 timeout 1h, 10.1.0.1-10.1.0.9 }; }
    set pairs { type ipv4_addr . inet_service; elements = { 192.0.2.9 . 22 }; }
    set sixes { type ipv6_addr; flags interval; elements = { 2001:db8:5::/48 }; }
    map verdicts { type ipv4_addr : verdict; elements = { 192.0.2.66 : drop }; }
    chain dropping {
        udp dport 9999 counter drop comment "lab drops this"
    }
    chain forward {
        type filter hook forward priority filter + 5;
        iifname "lan0" ct mark 0 counter packets 5 bytes 500 comment "seen from lan"
        iifname "lan0" jump dropping
    }
}
"""


def prove(what, holds, seen=""):
    print(f"ok {what}" if holds else f"FAILED {what}: {str(seen)[:1500]}", flush=True)
    if not holds:
        FAILED.append(what)


def run(*command, check=True, text=None):
    return subprocess.run(command, check=check, capture_output=True, text=True, input=text).stdout


def in_ns(namespace, *command):
    return ["ip", "netns", "exec", namespace, *command]


def words(result):
    return " ".join(content.text for content in result.content if content.type == "text")


def start(log, *command):
    """A child that ends with this script."""
    with open(f"{WORK}/{log}", "w", encoding="utf-8") as file:
        child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    CHILDREN.append(child)
    return child


async def until(what, holds, seconds=10.0):
    """Waits for something that a real component does in its own time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(what)
        await asyncio.sleep(0.02)


def read(log):
    with open(f"{WORK}/{log}", encoding="utf-8", errors="replace") as file:
        return file.read()


@contextlib.asynccontextmanager
async def client(port):
    async with streamablehttp_client(f"http://127.0.0.1:{port}/mcp") as streams:
        async with ClientSession(streams[0], streams[1]) as session:
            await session.initialize()
            yield session


async def begin(name, port, *prefix, options=()):
    child = start(f"{name}.log", *prefix, f"{WORK}/portcullis", "--listen", f"127.0.0.1:{port}", "--debug-listen", "off", *options)
    await until(f"{name} did not start: {read(f'{name}.log')}", lambda: "serves MCP" in read(f"{name}.log"))
    return child


@contextlib.asynccontextmanager
async def server(name, port, *prefix, options=()):
    """A server of its own, and a session with it."""
    child = await begin(name, port, *prefix, options=options)
    async with client(port) as session:
        yield session, child
    child.terminate()
    if child.wait(10) != 0:
        prove(f"{name} ends with 0", False, read(f"{name}.log"))


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


def nfts():
    """Processes of `nft` in this namespace."""
    mine = os.stat("/proc/self/ns/net").st_ino
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/cmdline", encoding="utf-8", errors="replace") as file:
                line = file.read().split("\0")
            if os.stat(f"/proc/{entry}/ns/net").st_ino == mine and any(os.path.basename(word) in ("nft", "real-nft") for word in line[:2]):
                found.append(" ".join(line))
    return found


def traces():
    # Terse and whole: `nft list tables` would load every set.
    return [line for line in run("nft", "-t", "list", "ruleset").splitlines() if line.startswith("table ") and "portcullis_trace" in line]


def nft_json(*arguments):
    return json.loads(run("nft", "-j", "-t", "list", "ruleset", *arguments))["nftables"]


def counters(objects):
    """What counts, of nft's JSON."""
    told = []
    for item in objects:
        kind, fields = next(iter(item.items()))
        if kind == "counter":
            told.append({key: fields[key] for key in ("family", "table", "name", "handle", "packets", "bytes")})
        if kind == "rule":
            for step in fields["expr"]:
                if isinstance(step.get("counter"), dict):
                    told.append({**{key: fields[key] for key in ("family", "table", "chain", "handle", "comment") if key in fields}, **step["counter"]})
    return told


async def counts(session, who):
    for arguments in ({}, {"family": "inet"}, {"family": "inet", "table": "lab_fw"}):
        for _ in range(5):
            before = counters(nft_json(*([arguments["family"]] if arguments else [])))
            result = await session.call_tool("firewall_counters", arguments)
            if before == counters(nft_json(*([arguments["family"]] if arguments else []))):
                break
        expected = [row for row in before if row["table"] == arguments.get("table", row["table"])]
        told = result.structuredContent or {}
        prove(f"{who}: firewall_counters {json.dumps(arguments)} are nft's ({len(expected)})", told.get("counters") == expected and told.get("total") == len(expected) > 2, f"{words(result)} {expected}")
    rows = {row.get("comment", row.get("name")): (row["packets"], row["bytes"]) for row in told["counters"]}
    prove(f"{who}: a counter of a name and one of a rule with a comment", rows.get("counted") == (3, 7) and rows["seen from lan"][0] >= 5, rows)
    result = await session.call_tool("firewall_ruleset", {"family": "inet", "table": "lab_fw"})
    expected = [item for item in nft_json("inet") for kind, fields in item.items() if kind == "metainfo" or fields.get("table" if kind != "table" else "name") == "lab_fw"]
    told = (result.structuredContent or {}).get("nftables")
    without = [[item for item in items if "rule" not in item] for items in (told or [], expected)]
    prove(f"{who}: firewall_ruleset of one table is nft's", without[0] == without[1] and len(told) == len(expected), words(result))
    for tool in ("firewall_counters", "firewall_ruleset"):
        result = await session.call_tool(tool, {"family": "inet", "table": "nope"})
        prove(f"{who}: {tool} names a table that is not there", result.isError and "no table nope" in words(result), words(result))


async def sets(session, who, big=False):
    cases = [
        ("spans", "203.0.113.77", "203.0.113.0/24"), ("spans", "10.1.0.5", "10.1.0.1-10.1.0.9"), ("spans", "10.1.0.10", None),
        ("pairs", "192.0.2.9 . 22", "192.0.2.9 . 22"), ("pairs", "192.0.2.9 . 23", None),
        ("sixes", "2001:db8:5::9", "2001:db8:5::/48"), ("sixes", "2001:db8:6::9", None),
        ("verdicts", "192.0.2.66", "192.0.2.66 : drop"), ("verdicts", "192.0.2.67", None),
    ]
    for name, address, element in cases[:2] if big else cases:
        result = await session.call_tool("firewall_set_lookup", {"family": "inet", "table": "lab_fw", "set": name, "address": address})
        told = result.structuredContent or {}
        printed = subprocess.run(["nft", "get", "element", "inet", "lab_fw", name, "{", address, "}"], capture_output=True, text=True, check=False)
        agrees = told.get("found") is (printed.returncode == 0) is (element is not None) and (element or "") in told.get("element", "") and told.get("element", "") in printed.stdout
        prove(f"{who}: {address} in {name} is {told.get('element')}, as nft says", agrees and not result.isError, f"{words(result)} {printed}")
    before = run("nft", "-s", "-t", "list", "ruleset", "inet").count("table inet")
    for arguments, expected in [
        ({"set": "nope"}, "no set or map nope"), ({"table": "nope"}, "no table nope"), ({"address": "fe80::1"}, "`nft` said"),
        ({"address": "1.1.1.1 }; flush ruleset; #"}, "`address`"), ({"set": "spans; flush ruleset"}, "`set`"), ({"table": "x; flush ruleset"}, "`table`"),
        ({"address": "-f"}, "`address`"), ({"family": "inet; flush ruleset"}, "family"),
    ]:
        result = await session.call_tool("firewall_set_lookup", {"family": "inet", "table": "lab_fw", "set": "spans", "address": "10.1.0.5", **arguments})
        prove(f"{who}: firewall_set_lookup {json.dumps(arguments)} is a fault by its name", result.isError and expected in words(result), words(result))
    prove(f"{who}: and nothing was smuggled", run("nft", "-s", "-t", "list", "ruleset", "inet").count("table inet") == before)


async def connections(session, who):
    def printed():
        lines = run("conntrack", "-L", "-o", "extended,id").splitlines()
        return {re.findall(r"\bid=(\d+)$", line.strip())[0]: line.split() for line in lines}

    # Entries come and go; a table that stays the same for a moment is waited for.
    for _ in range(100):
        before = printed()
        listed = await session.call_tool("conntrack_list", {"limit": 1000})
        summed = await session.call_tool("conntrack_summary", {})
        if before.keys() == printed().keys():
            break
        await asyncio.sleep(0.1)
    told = (listed.structuredContent or {}).get("connections", [])
    ids = {row["id"] for row in told}
    prove(f"{who}: conntrack_list has the entries of `conntrack -L` ({len(before)})", ids == set(before) and len(before) > 4, f"{words(listed)[:500]} {before}")
    same = all(
        row["protocol"] == before[row["id"]][2] and [f"{key}={row[way][key]}" for way in ("original", "reply") for key in ("src", "dst")] == [word for word in before[row["id"]] if word[:4] in ("src=", "dst=")]
        for row in told if row["id"] in before
    )
    prove(f"{who}: with their protocols, originals and replies", same, words(listed)[:500])
    summary = summed.structuredContent or {}
    with open("/proc/sys/net/netfilter/nf_conntrack_max", encoding="ascii") as file:
        most = int(file.read())
    whole = summary.get("count") == len(before) == sum(summary["protocols"].values()) and summary.get("max") == most
    sources = {}
    for line in before.values():
        address = next(word[4:] for word in line if word.startswith("src="))
        sources[address] = sources.get(address, 0) + 1
    top = {row["address"]: row["connections"] for row in summary.get("sources", [])}
    prove(f"{who}: conntrack_summary counts {summary.get('count')} of {most}, by state and by address", whole and top == sources, f"{words(summed)} {sources}")
    for arguments, wanted in [
        ({"protocol": "udp"}, lambda line: line[2] == "udp"), ({"source": "192.0.2.2"}, lambda line: "src=192.0.2.2" == next(w for w in line if w[:4] == "src=")),
        ({"destination": "198.51.100.2", "port": 9998}, lambda line: "dst=198.51.100.2" == next(w for w in line if w[:4] == "dst=") and "dport=9998" in line),
        ({"state": "UNREPLIED"}, lambda line: "[UNREPLIED]" in line),
    ]:
        for _ in range(10):
            expected = {key for key, line in printed().items() if wanted(line)}
            result = await session.call_tool("conntrack_list", {"limit": 1000, **arguments})
            ids = {row["id"] for row in (result.structuredContent or {}).get("connections", [])}
            if ids == expected:
                break
        prove(f"{who}: conntrack_list {json.dumps(arguments)} filters ({len(expected)})", ids == expected and len(expected) > 0, words(result)[:500])
    result = await session.call_tool("conntrack_list", {"limit": 2})
    told = result.structuredContent or {}
    prove(f"{who}: cut rows say how many there are", told.get("shown") == 2 and told.get("total", 0) > 4, words(result))


def nft_handle(chain, text):
    for line in run("nft", "-a", "-s", "list", "ruleset").splitlines():
        if text in line and " # handle " in line:
            return line.rsplit(" # handle ", 1)[1]
    return f"no {text} in {chain}"


async def verdicts(session, who, seconds=6):
    """Real packets: one that a rule drops, one that a policy drops, one that passes."""
    cases = [
        ("dropped by a rule of a chain jumped to", {"source": "192.0.2.2", "protocol": "udp", "port": 9999}, "drop",
         {"at": "inet lab_fw dropping", "kind": "rule", "rule": 'udp dport 9999 counter drop comment "lab drops this"'}),
        ("dropped by a rule with a set", {"source": "192.0.2.3", "interface": "lan0", "protocol": "udp"}, "drop",
         {"at": "inet filter forward", "kind": "rule", "rule": "ip saddr @blocked counter drop"}),
        ("dropped by the policy", {"destination": "192.0.2.0/24", "protocol": "udp", "port": 9997}, "drop", {"at": "inet filter forward", "kind": "policy", "verdict": "drop"}),
    ]
    for what, arguments, verdict, expected in cases:
        if "rule" in expected:
            expected = {**expected, "handle": nft_handle(expected["at"], expected["rule"]), "verdict": verdict}
        began = time.monotonic()
        result = await session.call_tool("firewall_trace", {**arguments, "seconds": seconds, "packets": 2})
        packets = (result.structuredContent or {}).get("packets", [])
        holds = len(packets) == 2 and all(packet.get("verdict") == verdict and packet.get("decided_by") == expected for packet in packets)
        prove(f"{who}: a packet {what} is told with it, in {time.monotonic() - began:.1f} s", holds and not traces(), f"{words(result)} expected {expected}")
    result = await session.call_tool("firewall_trace", {"destination": "198.51.100.2", "protocol": "udp", "port": 9998, "seconds": seconds, "packets": 1})
    packets = (result.structuredContent or {}).get("packets", [{}])
    places = [step["at"] for step in packets[0].get("path", [])] if packets else []
    prove(f"{who}: a packet that passes is told with its path", packets and packets[0].get("verdict") == "accept" and "inet filter forward" in places and not any("portcullis" in at for at in places), words(result))
    result = await session.call_tool("firewall_trace", {"source": "192.0.2.250", "seconds": 1})
    told = result.structuredContent or {}
    prove(f"{who}: no packet is an answer", told.get("packets") == [] and "1 s" in told.get("note", "") and not traces(), words(result))
    for arguments, text in [({"source": "x; flush ruleset"}, "`source`"), ({"interface": 'x"; flush ruleset'}, "`interface`"), ({"protocol": "icmp", "port": 3}, "`port`")]:
        result = await session.call_tool("firewall_trace", arguments)
        prove(f"{who}: firewall_trace {json.dumps(arguments)} is a fault by its name", result.isError and text in words(result), words(result))


async def quiet(who, what, child=None, seconds=5):
    began = time.monotonic()
    with contextlib.suppress(TimeoutError):
        await until(what, lambda: not traces() and not nfts() and not (child and children(child.pid)), seconds)
    left = (traces(), nfts(), child and children(child.pid))
    prove(f"{who}: after {what} no table, no process and no zombie is left ({(time.monotonic() - began) * 1000:.0f} ms)", not any(left), left)


async def gone(session, child, who):
    """However a call ends, nothing stays of it."""
    long = {"source": "192.0.2.250", "seconds": 60}
    request_id = session._request_id  # The SDK's next id; it has no public name.
    call = asyncio.create_task(session.call_tool("firewall_trace", long))
    await until("the trace began", lambda: traces() and len(nfts()) >= 2)
    params = types.CancelledNotificationParams(requestId=request_id, reason="the lab wants to know")
    await session.send_notification(types.ClientNotification(types.CancelledNotification(method="notifications/cancelled", params=params)))
    await quiet(who, "a cancel", child)
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await call
    result = await session.call_tool("firewall_trace", {**long, "seconds": 1})
    prove(f"{who}: it answers again", not result.isError, words(result))
    await quiet(who, "the time is over", child)


def stateless(port):
    """The connection of a trace of a minute, which asks without a session."""
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    params = {"name": "firewall_trace", "arguments": {"source": "192.0.2.250", "seconds": 60}, "_meta": meta}
    head = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": "tools/call", "Mcp-Name": "firewall_trace"}
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/mcp", json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}), head)
    return connection


async def vanished(port, prefix, who):
    """A client that is killed, then a server that is asked to end, and one that is killed."""
    script = (
        "import asyncio, sys\nfrom mcp import ClientSession\nfrom mcp.client.sse import sse_client\n"
        "from mcp.client.streamable_http import streamablehttp_client\n"
        "async def main(transport, seconds):\n"
        f"    opened = sse_client('http://127.0.0.1:{port}/sse') if transport == 'sse' else streamablehttp_client('http://127.0.0.1:{port}/mcp')\n"
        "    async with opened as streams:\n"
        "        async with ClientSession(streams[0], streams[1]) as session:\n"
        "            await session.initialize()\n"
        "            await session.call_tool('firewall_trace', {'source': '192.0.2.250', 'seconds': int(seconds)})\n"
        "asyncio.run(main(*sys.argv[1:]))\n"
    )
    child = await begin(f"killed-{port}", port, *prefix)
    for what, transport, seconds in [
        # In this revision that is a cancel.
        ("the connection of its client of 2026-07-28 was closed", "stateless", 60),
        # With these the call runs to its end, as calls may be half-way through changing something; it ends with its time.
        ("its client over Streamable HTTP was killed and its 4 s were over", "streamable", 4),
        ("its client over HTTP+SSE was killed and its 4 s were over", "sse", 4),
        ("SIGTERM to the server and its grace of 10 s", "streamable", 60),
        ("SIGKILL of the server", "streamable", 60),
    ]:
        asker = start(f"asker-{port}.log", sys.executable, "-c", script, transport, str(seconds)) if transport != "stateless" else stateless(port)
        await until("the trace began", lambda: traces() and len(nfts()) >= 2, 15)
        if transport == "stateless":
            asker.close()
            await quiet(who, what, child)
            continue
        if "client" in what:
            asker.kill()
        elif "TERM" in what:
            child.terminate()
        else:
            child.kill()
        await quiet(who, what, child if "client" in what else None, 14 if "TERM" in what else 6)
        asker.kill()
        if "TERM" in what:
            child.wait(10)
            child = await begin(f"killed-{port}", port, *prefix)


def shell(line, *prefix):
    return ["unshare", "-m", "sh", "-c", f'{line} && exec "$@"', "sh", *prefix]


def wrapper(name, script):
    """Another `nft`, for the mounts of one server; the real one is beside it."""
    if not os.path.exists(f"{WORK}/real-nft"):
        shutil.copy(NFT, f"{WORK}/real-nft")
    with open(f"{WORK}/{name}", "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\n{script}\nexec {WORK}/real-nft "$@"\n')
    os.chmod(f"{WORK}/{name}", 0o755)
    return f"mount --bind {WORK}/{name} {NFT}"


async def others(port):
    """An `nft` without `-i`, an old one, none, no conntrack, no right."""
    no_cli = wrapper("nft-no-cli", 'if [ "$1" = -i ]; then echo "nft: interactive CLI not supported in this build" >&2; exit 1; fi')
    async with server("no-cli", port, *shell(no_cli)) as (session, child):
        await verdicts(session, "an nft without -i")
        await gone(session, child, "an nft without -i")
    await vanished(port, shell(no_cli), "an nft without -i")
    old = wrapper("nft-old", 'case "$*" in *owner*) echo "Error: syntax error, unexpected string, near owner" >&2; exit 1;; esac')
    async with server("old", port, *shell(old)) as (session, _):
        result = await session.call_tool("firewall_trace", {"seconds": 1})
        prove("an nft that is too old is named", result.isError and "Linux 5.12 and nftables 0.9.9" in words(result), words(result))
    hide = f"mount --bind /dev/null {os.path.realpath(shutil.which('conntrack'))} && mount --bind /dev/null {NFT}"
    async with server("lacking", port, *shell(hide)) as (session, _):
        for tool, arguments, expected in [
            ("conntrack_list", {}, "Install conntrack (Debian: conntrack; OpenWrt: conntrack)"), ("conntrack_summary", {}, "Install conntrack"),
            ("firewall_counters", {}, "Install nftables"), ("firewall_trace", {}, "Install nftables"),
            ("firewall_set_lookup", {"family": "inet", "table": "a", "set": "b", "address": "1.1.1.1"}, "Install nftables"),
        ]:
            result = await session.call_tool(tool, arguments)
            prove(f"{tool} names what is not installed", result.isError and expected in words(result), words(result))
    async with server("bare-fw", port, *BARE) as (session, _):
        for tool, arguments in [
            ("conntrack_list", {}), ("conntrack_summary", {}), ("firewall_counters", {}), ("firewall_trace", {"seconds": 1}),
            ("firewall_set_lookup", {"family": "inet", "table": "lab_fw", "set": "spans", "address": "1.1.1.1"}),
        ]:
            result = await session.call_tool(tool, arguments)
            prove(f"without the right {tool} names it", result.isError and "AmbientCapabilities=CAP_NET_ADMIN" in words(result), words(result))


async def big(port):
    """200,000 addresses in one set."""
    addresses = ",".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(200_000))
    run("nft", "-f", "-", text=f"table inet lab_big {{\n set many {{\n type ipv4_addr\n elements = {{ {addresses} }}\n }}\n}}\n")
    config = f"{WORK}/big.toml"
    with open(config, "w", encoding="utf-8") as file:
        file.write('[[tool]]\nname = "whole_set"\ndescription = "All of it."\nargv = ["nft", "-j", "list", "set", "inet", "lab_big", "many"]\ntimeout = 20\nmax_output = "16M"\naddress_space = "64M"\n')
    os.chmod(config, 0o644)
    async with server("big", port, options=("--config", config)) as (session, child):
        for arguments in ({}, {"family": "inet", "table": "lab_big"}):
            began = time.monotonic()
            result = await session.call_tool("firewall_ruleset", arguments)
            took, size = time.monotonic() - began, len(words(result))
            prove(f"200,000 addresses: firewall_ruleset {json.dumps(arguments)} takes {took * 1000:.0f} ms and {size} bytes", not result.isError and took < 1 and size < 100_000 and "many" in words(result), words(result)[:500])
        for address, found in (("10.1.2.3", True), ("11.1.2.3", False)):
            began = time.monotonic()
            result = await session.call_tool("firewall_set_lookup", {"family": "inet", "table": "lab_big", "set": "many", "address": address})
            told = result.structuredContent or {}
            prove(f"200,000 addresses: {address} is looked up in {time.monotonic() - began:.1f} s", told.get("found") is found and told.get("element", address) == address, words(result))
        slow = asyncio.create_task(session.call_tool("whole_set", {}))
        worst, answers = 0.0, 0
        while not slow.done():
            began = time.monotonic()
            await session.call_tool("system_info", {})
            worst, answers = max(worst, time.monotonic() - began), answers + 1
        result = await slow
        prove(f"200,000 addresses: listing them all ends at the bound of memory", result.isError and "emory" in words(result), words(result)[:300])
        prove(f"and meanwhile others are answered ({answers}, the slowest in {worst * 1000:.0f} ms)", answers > 2 and worst < 0.5)
        with open(f"/proc/{child.pid}/status", encoding="ascii") as file:
            peak = int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])
        prove(f"the program itself never took more than {peak} kB", peak < 20_000, peak)
        await sets(session, "200,000 addresses", big=True)
        await verdicts(session, "200,000 addresses", seconds=15)
        await gone(session, child, "200,000 addresses")
    run("nft", "delete", "table", "inet", "lab_big")


def prepare():
    """Routes, rules, and packets that never end."""
    run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    run("ip", "-n", LAN, "route", "replace", "default", "via", "192.0.2.1")
    run("ip", "-n", WAN, "route", "replace", "192.0.2.0/24", "via", "198.51.100.1")
    run("ip", "-n", LAN, "addr", "add", "192.0.2.3/24", "dev", "eth0")
    run("nft", "add", "element", "inet", "filter", "blocked", "{ 192.0.2.3 }")
    run("nft", "-f", "-", text=RULES)
    # What lab_net.py did expires by the hundred while this looks.
    run("conntrack", "-F")
    send = (
        "import socket, sys, time\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    for way in sys.argv[1:]:\n"
        "        source, to, port = way.split(',')\n"
        "        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n"
        "            s.bind((source, 20000 + n % 20 if port == '9998' else 0))\n"
        "            s.sendto(b'lab', (to, int(port)))\n"
        "    time.sleep(0.2)\n"
    )
    start("sender-lan.log", *in_ns(LAN, sys.executable, "-c", send, "192.0.2.2,198.51.100.2,9999", "192.0.2.2,198.51.100.2,9998", "192.0.2.3,198.51.100.2,9996"))
    start("sender-wan.log", *in_ns(WAN, sys.executable, "-c", send, "198.51.100.2,192.0.2.2,9997"))


async def main():
    prepare()
    async with server("fw-root", 8101) as (session, root):
        tools = (await session.list_tools()).tools
        acting = [tool.name for tool in tools if not tool.annotations.readOnlyHint]
        prove("only firewall_trace is not read-only, and it is not destructive", acting == ["firewall_trace"] and not any(t.annotations.destructiveHint for t in tools), acting)
        size = len(json.dumps({"tools": [tool.model_dump(exclude_none=True, by_alias=True) for tool in tools]}, separators=(",", ":")))
        prove(f"the list of all {len(tools)} tools is under 2,500 tokens of 3.3 bytes ({size} bytes)", size <= 8250, size)
        async with server("fw-nobody", 8102, *NOBODY) as (other, nobody):
            for who, asked, child in (("as root", session, root), ("as nobody", other, nobody)):
                await counts(asked, who)
                await sets(asked, who)
                await connections(asked, who)
                await verdicts(asked, who)
                await gone(asked, child, who)
    await vanished(8103, [], "as root")
    await vanished(8104, NOBODY, "as nobody")
    await others(8105)
    await big(8106)


def leaf(fault):
    """What is in a group of groups."""
    return leaf(fault.exceptions[0]) if isinstance(fault, BaseExceptionGroup) else fault


try:
    asyncio.run(asyncio.wait_for(main(), 300))
except Exception as fault:
    fault = leaf(fault)
    prove("the lab goes on", False, f"{type(fault).__name__}: {fault} {getattr(fault, 'stderr', '')}")
finally:
    for process in CHILDREN:
        process.kill()
        process.wait()
sys.exit(1 if FAILED else 0)
