"""What the program tells about the network, compared with what the system's own tools print.

Run by lab.sh in the firewall's namespace (and so with mounts of its own):

    lab_net.py WORK LAN WAN

WORK holds the program `portcullis`; LAN and WAN are the other two namespaces. A real dnsmasq serves names and leases,
a real udhcpc takes one. All is asked twice: of a server that runs as root, and of one that runs as nobody with
CAP_NET_ADMIN in the ambient set and without new privileges. One line a proof; exit 1 if one does not hold.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time

from mcp import ClientSession, types
from mcp.client.streamable_http import streamablehttp_client

WORK, LAN, WAN = sys.argv[1:4]
NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all,+net_admin --ambient-caps=+net_admin --no-new-privs".split()
NAMES = ["interfaces", "routes", "route_get", "neighbours", "sockets", "dhcp_leases", "dns_lookup", "traceroute"]
FAILED = []
CHILDREN = []


def prove(what, holds, seen=""):
    print(f"ok {what}" if holds else f"FAILED {what}: {str(seen)[:1500]}", flush=True)
    if not holds:
        FAILED.append(what)


def run(*command, check=True):
    return subprocess.run(command, check=check, capture_output=True, text=True).stdout


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


async def until(what, holds):
    """Waits for something that a real component does in its own time."""
    for _ in range(200):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(what)


def read(log):
    with open(f"{WORK}/{log}", encoding="utf-8", errors="replace") as file:
        return file.read()


@contextlib.asynccontextmanager
async def server(name, address, *prefix):
    """A server of its own, and a session with it."""
    child = start(f"{name}.log", *prefix, f"{WORK}/portcullis", "--listen", address, "--insecure-listen", "--debug-listen", "off")
    await until(f"{name} did not start: {read(f'{name}.log')}", lambda: "serves MCP" in read(f"{name}.log"))
    async with streamablehttp_client(f"http://{address}/mcp") as streams:
        async with ClientSession(streams[0], streams[1]) as session:
            await session.initialize()
            yield session, child
    child.terminate()
    if child.wait(10) != 0:
        prove(f"{name} ends with 0", False, read(f"{name}.log"))


async def agree(session, who, tool, arguments, tell, expected):
    """A tool's answer is what a command prints; asked again where something changed in between."""
    for _ in range(10):
        before = expected()
        result = await session.call_tool(tool, arguments)
        told = result.structuredContent
        if before == expected():
            break
    told = tell(told) if told else words(result)
    prove(f"{who}: {tool} {json.dumps(arguments)} is what the command prints ({len(before)} entries)", not result.isError and told == before, f"\n told {told}\n expected {before}")


def ip(*arguments):
    return json.loads(run("ip", "-j", *arguments) or "[]")


async def looks(session, who):
    """The family of `ip -j`."""
    def same(key):
        return lambda told: (told[key], told["shown"], told["total"])

    def printed(*arguments, limit=100):
        def rows():
            all_rows = ip(*arguments)
            return all_rows[:limit], min(len(all_rows), limit), len(all_rows)
        return rows

    await agree(session, who, "routes", {}, same("routes"), printed("-4", "route", "show", "table", "main"))
    await agree(session, who, "routes", {"limit": 1000}, same("routes"), printed("-4", "route", "show", "table", "main", limit=1000))
    await agree(session, who, "routes", {"family": "inet6"}, same("routes"), printed("-6", "route", "show", "table", "main"))
    await agree(session, who, "routes", {"table": "100"}, same("routes"), printed("-4", "route", "show", "table", "100"))
    await agree(session, who, "routes", {"table": "all", "limit": 1000}, same("routes"), printed("-4", "route", "show", "table", "all", limit=1000))
    result = await session.call_tool("routes", {"limit": 3})
    told = result.structuredContent or {}
    prove(f"{who}: cut rows say how many there are", (told.get("shown"), len(told.get("routes", []))) == (3, 3) and told.get("total", 0) > 150, words(result))

    await agree(session, who, "neighbours", {}, same("neighbours"), printed("neigh", "show"))
    await agree(session, who, "neighbours", {"interface": "lan0", "family": "inet"}, same("neighbours"), printed("-4", "neigh", "show", "dev", "lan0"))

    def route(told):
        return {key: value for key, value in told["route"].items() if key != "uid"}

    def way(*arguments):
        return lambda: {key: value for key, value in ip("route", "get", *arguments)[0].items() if key != "uid"}

    await agree(session, who, "route_get", {"address": "198.51.100.9"}, route, way("198.51.100.9"))
    await agree(session, who, "route_get", {"address": "203.0.113.9", "mark": 7}, route, way("203.0.113.9", "mark", "7"))
    forwarded = {"address": "198.51.100.9", "source": "192.0.2.2", "iif": "lan0"}
    await agree(session, who, "route_get", forwarded, route, way("198.51.100.9", "from", "192.0.2.2", "iif", "lan0"))
    await agree(session, who, "route_get", {"address": "2001:db8:1::9"}, route, way("2001:db8:1::9"))
    for tool, arguments, expected in [
        ("routes", {"table": "4242"}, "FIB table does not exist"),
        ("neighbours", {"interface": "nope0"}, "nope0"),
        ("route_get", {"address": "203.0.113.200"}, "No route to host"),
        ("route_get", {"address": "-h"}, "`address`"),
    ]:
        result = await session.call_tool(tool, arguments)
        prove(f"{who}: {tool} {json.dumps(arguments)} is a fault in ip's words or by its argument", result.isError and expected in words(result), words(result))


def ss(protocols=("tcp", "udp"), states=None):
    """Rows of `ss -tuan`, its ways to write an unknown port or address written as numbers."""
    rows = []
    for line in run("ss", "-Htuan").splitlines():
        protocol, state, _, _, local, remote = line.split()[:6]
        ends = []
        for end in (local, remote):
            host, port = end.rsplit(":", 1)
            host = host.split("%")[0]
            host = "[::]" if host == "*" else host
            ends.append(f"{host}:{0 if port == '*' else port}")
        if protocol in protocols and (states is None or state in states):
            rows.append((protocol, state, *ends))
    return sorted(rows)


async def sockets(session, who):
    def rows(told):
        return sorted((row["protocol"], row["state"], row["local"], row["remote"]) for row in told["sockets"])

    await agree(session, who, "sockets", {"limit": 1000}, rows, lambda: ss(states=("LISTEN", "UNCONN")))
    await agree(session, who, "sockets", {"protocol": "udp", "state": "all"}, rows, lambda: ss(("udp",)))
    # A connection of this script, over IPv4 and IPv6: both its ends are sockets here.
    for host in ("127.0.0.1", "::1"):
        with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
            port = str(listener.getsockname()[1])
            with socket.create_connection(listener.getsockname()[:2]), listener.accept()[0]:
                def mine(all_rows):
                    return [row for row in all_rows if row[2].endswith(f":{port}") or row[3].endswith(f":{port}")]

                arguments = {"protocol": "tcp", "state": "established", "limit": 1000}
                await agree(session, who, "sockets", arguments, lambda told: mine(rows(told)), lambda: mine(ss(("tcp",), ("ESTAB",))))
    result = await session.call_tool("sockets", {"protocol": "tcp"})
    owners = {row["uid"] for row in (result.structuredContent or {}).get("sockets", []) if row["local"].endswith(":8092")}
    prove(f"{who}: sockets tell their owner", owners == {65534}, words(result))


async def leases(session, who):
    """dnsmasq's file as dnsmasq wrote it for a real client."""
    with open("/var/lib/misc/dnsmasq.leases", encoding="utf-8") as file:
        lines = [line.split() for line in file.read().splitlines()]
    expected = []
    for expires, mac, address, hostname, client in lines:
        row = {"expires": int(expires), "mac": mac, "address": address, "hostname": hostname, "client_id": client}
        expected.append({key: value for key, value in row.items() if value != "*"})
    result = await session.call_tool("dhcp_leases", {})
    told = result.structuredContent or {}
    left = [row.pop("seconds_left", 0) for row in told.get("leases", [])]
    files = {row.pop("file", None) for row in told.get("leases", [])}
    same = told.get("leases") == expected and told.get("total") == len(expected) == 2 and files == {"/var/lib/misc/dnsmasq.leases"}
    prove(f"{who}: dhcp_leases are the lines of dnsmasq's file, made by a real udhcpc", same and all(3500 < n <= 3600 for n in left), f"{words(result)} {lines}")


def dig(server_address, name, kind):
    """Records as `dig` prints them, without EDNS like ours."""
    command = ["dig", f"@{server_address}", "+noedns", "+noall", "+answer", "+tries=1", "+time=3"]
    printed = run(*command, *(["-x", name] if kind == "PTR" else ["-t", kind, name]))
    return sorted(tuple(re.split(r"\s+", line, maxsplit=4)) for line in printed.splitlines())


async def names(session, who):
    def rows(told):
        return sorted((row["name"], str(row["ttl"]), "IN", row["type"], row["data"]) for row in told["answers"])

    for name, kind in [
        ("fw.lab.test", "A"), ("fw.lab.test", "AAAA"), ("www.lab.test", "A"), ("www.lab.test", "CNAME"), ("lab.test", "MX"),
        ("_sip._tcp.lab.test", "SRV"), ("short.lab.test", "TXT"), ("long.lab.test", "TXT"), ("192.0.2.1", "PTR"), ("2001:db8::1", "PTR"),
    ]:
        expected = lambda: dig("192.0.2.1", name, kind)
        assert expected(), f"dig {name} {kind} prints nothing"
        await agree(session, who, "dns_lookup", {"name": name, "type": kind}, rows, expected)
    for kind in ("SOA", "NS"):
        expected = lambda: dig("198.51.100.1", "zone.test", kind)
        assert expected(), f"dig zone.test {kind} prints nothing"
        await agree(session, who, "dns_lookup", {"name": "zone.test", "type": kind, "server": "198.51.100.1"}, rows, expected)

    result = await session.call_tool("dns_lookup", {"name": "long.lab.test", "type": "TXT"})
    told = result.structuredContent or {}
    prove(f"{who}: a long TXT comes by TCP", told.get("transport") == "tcp" and len(told["answers"][0]["data"]) > 3000, words(result)[:300])
    result = await session.call_tool("dns_lookup", {"name": "192.0.2.1"})
    prove(f"{who}: an address alone is asked for its name", (result.structuredContent or {}).get("answers", [{}])[0].get("data") == "fw.lab.test.", words(result))
    result = await session.call_tool("dns_lookup", {"name": "no-such.lab.test"})
    told = result.structuredContent or {}
    prove(f"{who}: no such name is an answer", (told.get("status"), told.get("answers")) == ("NXDOMAIN", []), words(result))
    result = await session.call_tool("dns_lookup", {"name": "fw.lab.test", "server": "127.0.0.1:9"})
    prove(f"{who}: a server that is not there is a fault by its address", result.isError and "127.0.0.1:9" in words(result), words(result))
    start_time = time.monotonic()
    result = await session.call_tool("dns_lookup", {"name": "fw.lab.test", "server": "198.51.100.88"})
    took = time.monotonic() - start_time
    prove(f"{who}: a silent server is given up ({took:.1f} s)", result.isError and "198.51.100.88:53" in words(result) and 4 < took < 7, words(result))


async def traces(session, who):
    """From the lan through the firewall to the wan."""
    seen = []

    async def on_progress(progress, total, message):
        seen.append((progress, message or ""))

    printed = run(*in_ns(LAN, "traceroute", "-n", "-m", "20", "-q", "1", "-w", "2", "198.51.100.2")).splitlines()[1:]
    expected = [(int(line.split()[0]), [line.split()[1]]) for line in printed]
    result = await session.call_tool("traceroute", {"host": "198.51.100.2"}, progress_callback=on_progress)
    told = result.structuredContent or {}
    hops = [(hop["hop"], [probe and probe["address"] for probe in hop["probes"]]) for hop in told.get("hops", [])]
    two = [(1, ["192.0.2.1"]), (2, ["198.51.100.2"])]
    prove(f"{who}: traceroute through the firewall is what the command prints", hops == expected == two and told.get("reached") is True, f"{words(result)} {expected}")
    values = [value for value, _ in seen]
    prove(f"{who}: traceroute reports its hops as progress ({values})", bool(seen) and values == sorted(set(values)) and "192.0.2.1" in seen[0][1] + seen[-1][1] + "198.51.100.2", seen)
    result = await session.call_tool("traceroute", {"host": "198.51.100.88", "hops_max": 3, "probes": 2})
    told = result.structuredContent or {}
    silent = [hop["probes"] for hop in told.get("hops", [])][1:]
    prove(f"{who}: silent hops are an answer", told.get("reached") is False and silent == [[None, None]] * 2, words(result))
    result = await session.call_tool("traceroute", {"host": "no-such-host.invalid"})
    prove(f"{who}: an unknown host is a fault in traceroute's words", result.isError and "no-such-host.invalid" in words(result), words(result))


def children(parent):
    """Names and states of all child processes, zombies too."""
    return run("ps", "--ppid", str(parent), "-o", "stat=,comm=", check=False).split("\n")[:-1]


async def cancels(session, child, who):
    under_way = asyncio.Event()

    async def on_progress(progress, total, message):
        under_way.set()

    request_id = session._request_id  # The SDK's next id; it has no public name.
    call = asyncio.create_task(session.call_tool("traceroute", {"host": "198.51.100.88", "hops_max": 60, "probes": 5}, progress_callback=on_progress))
    await asyncio.wait_for(under_way.wait(), 10)
    prove(f"{who}: a running traceroute has its traceroute", any("traceroute" in line for line in children(child.pid)), children(child.pid))
    params = types.CancelledNotificationParams(requestId=request_id, reason="the lab wants to know")
    start_time = time.monotonic()
    await session.send_notification(types.ClientNotification(types.CancelledNotification(method="notifications/cancelled", params=params)))
    while children(child.pid) and time.monotonic() - start_time < 5:
        await asyncio.sleep(0.01)
    took = time.monotonic() - start_time
    prove(f"{who}: a cancelled traceroute leaves no process and no zombie ({took * 1000:.0f} ms)", not children(child.pid) and took < 1, children(child.pid))
    # No answer follows a cancel, so the SDK would wait for one for ever.
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await call


def hidden(program, by):
    """A shell line that puts another file in the place of a program, for its own mounts."""
    place = os.path.realpath(shutil.which(program))
    return f"mount --bind {by} {place}"


async def lacks(address):
    """What is missing is named, with what to do about it."""
    def shell(line, *prefix):
        return ["unshare", "-m", "sh", "-c", f'{line} && exec "$@"', "sh", *prefix]

    async with server("bare", address, *shell(f"{hidden('traceroute', '/dev/null')} && {hidden('ip', '/dev/null')} && mount --bind {WORK}/empty /var/lib/misc")) as (session, _):
        for tool, arguments, expected in [
            ("interfaces", {}, "`ip` was not found"), ("routes", {}, "Install iproute2"), ("neighbours", {}, "Install iproute2"),
            ("route_get", {"address": "192.0.2.9"}, "Install iproute2"), ("traceroute", {"host": "192.0.2.9"}, "Install traceroute"),
            ("dhcp_leases", {}, "/var/lib/misc/dnsmasq.leases"),
        ]:
            result = await session.call_tool(tool, arguments)
            prove(f"what is missing is named by {tool}", result.isError and expected in words(result), words(result))
        for tool, arguments in [("sockets", {}), ("dns_lookup", {"name": "fw.lab.test"})]:
            result = await session.call_tool(tool, arguments)
            prove(f"{tool} needs no program", not result.isError, words(result))
    busybox = shutil.which("busybox")
    async with server("busybox", address, *shell(f"{hidden('traceroute', busybox)} && {hidden('ip', busybox)}")) as (session, _):
        result = await session.call_tool("traceroute", {"host": "198.51.100.2"})
        told = result.structuredContent or {}
        prove("BusyBox's traceroute is understood", told.get("reached") is True and told["hops"][0]["probes"][0]["address"] == "198.51.100.2", words(result))
        result = await session.call_tool("routes", {})
        prove("BusyBox's ip is named for what it cannot", result.isError and "Install iproute2 (on OpenWrt: ip-full)" in words(result), words(result))
    other = shutil.which("inetutils-traceroute")
    if other:
        async with server("inetutils", address, *shell(hidden("traceroute", other))) as (session, _):
            result = await session.call_tool("traceroute", {"host": "198.51.100.2"})
            prove("another traceroute is named for what it cannot", result.isError and "Install Debian's traceroute or BusyBox's" in words(result), words(result))
    async with server("busybox-nobody", address, *shell(hidden("traceroute", busybox), *NOBODY)) as (session, _):
        result = await session.call_tool("traceroute", {"host": "198.51.100.2"})
        prove("as nobody BusyBox's traceroute names the right it lacks", result.isError and "AmbientCapabilities=CAP_NET_RAW" in words(result), words(result))


def lease(*options):
    """A real client takes a lease; its address is what it was given. The script that would set it is left out."""
    printed = subprocess.run(in_ns(LAN, "busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-s", "/bin/true", *options), check=True, capture_output=True, text=True)
    return re.search(r"lease of ([0-9.]+) obtained", printed.stdout + printed.stderr).group(1)


RELEASE = """
import socket, sys
address, mac, client = socket.inet_aton(sys.argv[1]), bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3])
options = bytes([99, 130, 83, 99, 53, 1, 7, 54, 4]) + socket.inet_aton("192.0.2.1") + bytes([61, len(client)]) + client + bytes([255])
message = bytes([1, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0]) + address + bytes(12) + mac + bytes(10 + 64 + 128) + options
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.bind(("192.0.2.2", 68))
    sender.sendto(message.ljust(300, bytes(1)), ("192.0.2.1", 67))
"""


def give_back(address, client):
    """A DHCPRELEASE (RFC 2131). udhcpc sends one from the address it got, which the lan does not take on."""
    run(*in_ns(LAN, sys.executable, "-c", RELEASE, address, mac().replace(":", ""), client.hex()))


def mac():
    return json.loads(run("ip", "-n", LAN, "-j", "link", "show", "eth0"))[0]["address"]


async def other_leases(address):
    """The journals of ISC dhcpd and Kea, where those are installed; dnsmasq has ended."""
    if shutil.which("dhcpd"):
        os.mkdir(f"{WORK}/isc")
        open(f"{WORK}/isc/dhcpd.leases", "w", encoding="utf-8").close()
        with open(f"{WORK}/dhcpd.conf", "w", encoding="utf-8") as file:
            file.write("authoritative; default-lease-time 600; subnet 192.0.2.0 netmask 255.255.255.0 { range 192.0.2.160 192.0.2.170; }\n")
        run("mount", "--bind", f"{WORK}/isc", "/var/lib/dhcp")
        child = start("dhcpd.log", "dhcpd", "-4", "-f", "-d", "--no-pid", "-user", "root", "-cf", f"{WORK}/dhcpd.conf", "lan0")
        await journal("ISC dhcpd", "dhcpd.log", "Server starting", address, "/var/lib/dhcp/dhcpd.leases")
        child.kill()
        run("umount", "/var/lib/dhcp")
    if shutil.which("kea-dhcp4"):
        # systemd makes this folder with the service.
        os.makedirs("/var/lib/kea", exist_ok=True)
        os.mkdir(f"{WORK}/kea")
        run("mount", "--bind", f"{WORK}/kea", "/var/lib/kea")
        subnet = {"subnet": "192.0.2.0/24", "pools": [{"pool": "192.0.2.180-192.0.2.190"}]}
        # The journal begins anew every second: what holds is then in another file.
        memory = {"type": "memfile", "lfc-interval": 1}
        config = {"Dhcp4": {"interfaces-config": {"interfaces": ["lan0"]}, "lease-database": memory, "valid-lifetime": 600, "subnet4": [subnet],
                            "loggers": [{"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": f"{WORK}/kea.log"}]}]}}
        with open(f"{WORK}/kea.conf", "w", encoding="utf-8") as file:
            json.dump(config, file)
        child = start("kea.out", "env", f"KEA_PIDFILE_DIR={WORK}", f"KEA_LOCKFILE_DIR={WORK}", "kea-dhcp4", "-c", f"{WORK}/kea.conf")
        await journal("Kea", "kea.log", "DHCP4_STARTED", address, "/var/lib/kea/kea-leases4.csv")
        child.terminate()
        child.wait(10)


async def journal(who, log, word, address, path):
    """One lease stays and one is given back; only the former is told, also when it is in an older file."""
    await until(f"{who} did not start; see {log}", lambda: os.path.exists(f"{WORK}/{log}") and word in read(log))
    kept, gone = lease("-x", "hostname:laptop"), lease("-C", "-x", "0x3d:0102aabbccddee")
    give_back(gone, bytes.fromhex("0102aabbccddee"))
    async with server(f"leases-{who[:3]}", address) as (session, _):
        async def told():
            result = await session.call_tool("dhcp_leases", {})
            # Those of dnsmasq are told too: its file is still there.
            return [row for row in (result.structuredContent or {}).get("leases", []) if row["file"] == path], words(result)

        for _ in range(60):
            rows, text = await told()
            if len(rows) == 1 and (who != "Kea" or os.path.exists(f"{path}.2")):
                break
            await asyncio.sleep(0.1)
        row = rows[0] if rows else {}
        same = len(rows) == 1 and (row["address"], row["mac"], row.get("hostname")) == (kept, mac(), "laptop") and gone != kept
        prove(f"dhcp_leases tells of {who} the lease that holds, not the one that was given back", same and 500 < row["seconds_left"] <= 600, f"{text} {kept} {gone}")
        if who == "ISC dhcpd":
            printed = run("perl", shutil.which("dhcp-lease-list"), "--parsable", "--lease", path, check=False)
            fields = re.findall(r"MAC (\S+) IP (\S+) HOSTNAME (\S+) BEGIN \S+ \S+ END (\S+ \S+)", printed)
            ends = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(row.get("expires", 0)))
            prove(f"which is what dhcp-lease-list prints ({len(fields)})", (row.get("mac"), row.get("address"), row.get("hostname"), ends) in fields, printed)
        else:
            # What holds is there now, and read from there.
            older = read_file(f"{path}.2")
            prove("also after Kea's journal began anew", kept in older, older)


def read_file(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


async def prepare():
    """Routes, names, leases, and who serves them."""
    lines = [f"route add blackhole 10.66.{n}.0/24" for n in range(150)]
    lines += ["route add 203.0.113.0/24 via 198.51.100.2", "route add unreachable 203.0.113.200", "route add default via 198.51.100.2 table 100",
              "rule add fwmark 7 table 100", "neigh add 192.0.2.77 lladdr 02:00:00:00:00:77 dev lan0 nud permanent",
              "-6 addr add 2001:db8::1/64 dev lan0 nodad", "-6 route add 2001:db8:1::/48 via 2001:db8::2"]
    run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    for line in lines:
        run("ip", *line.split())
    run("ip", "-n", LAN, "route", "add", "default", "via", "192.0.2.1")
    run("nft", "insert rule inet filter input iifname lan0 udp dport { 53, 67 } accept")
    run("nft", "insert rule inet filter input iifname lan0 tcp dport 8000-8999 accept")
    # A host in the wan that says nothing; and nobody counts how many errors he reports, as kernels else do.
    run("ip", "-n", WAN, "addr", "add", "198.51.100.88/32", "dev", "lo")
    run(*in_ns(WAN, "nft", "add table inet lab_net; add chain inet lab_net input { type filter hook input priority 0; }; add rule inet lab_net input ip daddr 198.51.100.88 drop"))
    for namespace in (LAN, WAN):
        run(*in_ns(namespace, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0"))
    run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0")
    for folder in ("misc", "empty"):
        os.mkdir(f"{WORK}/{folder}", 0o755)
    with open(f"{WORK}/resolv.conf", "w", encoding="utf-8") as file:
        file.write("search example\nnameserver 192.0.2.1\n")
    run("mount", "--bind", f"{WORK}/misc", "/var/lib/misc")
    run("mount", "--bind", f"{WORK}/resolv.conf", os.path.realpath("/etc/resolv.conf"))

    txt = ",".join(f"string-{n}-" + "x" * 190 for n in range(16))
    # Its log to stderr needs the foreground.
    usual = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=", "--no-resolv", "--no-hosts", "--bind-interfaces", "--log-facility=-"]
    dnsmasq = start("dnsmasq.log", *usual, "--listen-address=192.0.2.1", "--local=/lab.test/", "--dhcp-range=192.0.2.100,192.0.2.150,1h", "--dhcp-authoritative",
          "--host-record=fw.lab.test,192.0.2.1,2001:db8::1", "--cname=www.lab.test,fw.lab.test", "--mx-host=lab.test,mail.lab.test,10",
          "--srv-host=_sip._tcp.lab.test,sip.lab.test,5060,10,20", '--txt-record=short.lab.test,v=lab1 a;b \\ c', f"--txt-record=long.lab.test,{txt}")
    start("dnsmasq-auth.log", *usual, "--listen-address=198.51.100.1", "--except-interface=lo", "--auth-server=ns.zone.test,198.51.100.1", "--auth-zone=zone.test",
          "--auth-soa=1,hostmaster.zone.test")
    await until("dnsmasq did not start", lambda: "started" in read("dnsmasq.log") and "started" in read("dnsmasq-auth.log"))
    lease("-x", "hostname:laptop")
    # Another client of the same MAC, which has no name.
    lease("-C", "-x", "0x3d:0102aabbccddee")
    return dnsmasq


async def main():
    dnsmasq = await prepare()
    async with server("root", "192.0.2.1:8091") as (session, _):
        tools = (await session.list_tools()).tools
        mine = [tool for tool in tools if tool.name in NAMES]
        read_only = all(tool.annotations and tool.annotations.readOnlyHint for tool in mine)
        prove("the tools of the network are there and annotated as read-only", len(mine) == len(NAMES) and read_only, [tool.name for tool in tools])
        size = sum(len(json.dumps(tool.model_dump(exclude_none=True), separators=(",", ":"))) for tool in mine)
        prove(f"their descriptions and schemas are short ({size} bytes)", size < 3400, size)
        async with server("nobody", "192.0.2.1:8092", *NOBODY) as (other, _):
            for who, asked in (("as root", session), ("as nobody", other)):
                await looks(asked, who)
                await sockets(asked, who)
                await leases(asked, who)
                await names(asked, who)
    for who, prefix in (("as root", []), ("as nobody", NOBODY)):
        async with server(f"lan-{prefix[:1]}", "192.0.2.2:8093", *in_ns(LAN, *prefix)) as (session, child):
            await traces(session, who)
            await cancels(session, child, who)
    await lacks("192.0.2.1:8094")
    dnsmasq.kill()
    await other_leases("192.0.2.1:8095")


def leaf(fault):
    """What is in a group of groups."""
    return leaf(fault.exceptions[0]) if isinstance(fault, BaseExceptionGroup) else fault


try:
    asyncio.run(asyncio.wait_for(main(), 180))
except Exception as fault:
    fault = leaf(fault)
    prove("the lab goes on", False, f"{type(fault).__name__}: {fault} {getattr(fault, 'stderr', '')}")
finally:
    for process in CHILDREN:
        process.kill()
        process.wait()
sys.exit(1 if FAILED else 0)
