"""What a service manager sees of the program, played by this script: service.py PROGRAM.

One line a proof; exit 1 if one does not hold. It listens where NOTIFY_SOCKET points, and hands sockets over through
systemd-socket-activate.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

program = os.path.abspath(sys.argv[1])
work = tempfile.mkdtemp()
INITIALIZE = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "ci", "version": "1"}}})
HEAD = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
failed = []


def prove(what, holds, seen=""):
    print(f"ok {what}" if holds else f"FAILED {what}: {seen}", flush=True)
    if not holds:
        failed.append(what)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def hear(receiver, wanted, seconds=20):
    """Datagrams until one has `wanted` in it; all that were heard."""
    heard, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        receiver.settimeout(max(0.01, end - time.monotonic()))
        try:
            heard.append(receiver.recv(4096).decode())
        except TimeoutError:
            break
        if wanted in heard[-1]:
            return True, heard
    return False, heard


def initialize(connect):
    """The server's name, through a socket that `connect` opens."""
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = connect()
    connection.request("POST", "/mcp", INITIALIZE, HEAD)
    return json.loads(connection.getresponse().read())["result"]["serverInfo"]["name"]


def over_unix(path):
    opened = socket.socket(socket.AF_UNIX)
    opened.connect(path)
    return opened


def notified(name, address):
    """The life of a service, told to a manager at `address`."""
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind("\0" + address[1:] if address.startswith("@") else address)
    config = os.path.join(work, "portcullis.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write('[server]\ndebug_listen = "off"\n')
    os.chmod(config, 0o600)
    port = free_port()
    server = subprocess.Popen(
        [program, "serve", "--config", config, "--listen", f"127.0.0.1:{port}", "--log-level", "warn"],
        env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}, stdout=subprocess.DEVNULL)
    ready, heard = hear(receiver, "READY=1")
    prove(f"{name}: ready", ready, heard)
    prove(f"{name}: whoever hears it can connect", initialize(lambda: socket.create_connection(("127.0.0.1", port))) == "portcullis")
    told, heard = hear(receiver, "STATUS=1 sessions")
    prove(f"{name}: the status counts sessions", told, heard)
    beats = sum(hear(receiver, "WATCHDOG=1")[0] for _ in range(3))
    prove(f"{name}: the watchdog is fed again and again", beats == 3, beats)
    server.send_signal(signal.SIGHUP)
    reloading, heard = hear(receiver, "RELOADING=1")
    prove(f"{name}: reloading, and since when", reloading and "MONOTONIC_USEC=" in heard[-1], heard)
    prove(f"{name}: ready again", hear(receiver, "READY=1")[0])
    # A stopped process is the stuck loop that can be made from outside; a handler that blocks is a test of the crate's.
    server.send_signal(signal.SIGSTOP)
    hear(receiver, "nothing", 0.5)
    prove(f"{name}: who stands still feeds nobody", not hear(receiver, "WATCHDOG=1", 2)[0])
    server.send_signal(signal.SIGCONT)
    server.send_signal(signal.SIGTERM)
    prove(f"{name}: stopping", hear(receiver, "STOPPING=1")[0])
    prove(f"{name}: ends well", server.wait(20) == 0, server.returncode)


def activated():
    """Sockets that were open before the program was; the file asks for two of the same places."""
    port, path, debug = free_port(), os.path.join(work, "mcp.sock"), os.path.join(work, "debug.sock")
    config = os.path.join(work, "portcullis.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f'[server]\nlisten = ["127.0.0.1:{port}", "unix:{path}"]\ndebug_listen = "off"\n')
    manager = subprocess.Popen(
        ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "-l", path, "-l", debug, "--fdname=mcp:mcp:debug",
         program, "serve", "--config", config, "--log-level", "warn"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        if os.path.exists(debug):
            break
        time.sleep(0.05)
    prove("activated: over TCP", initialize(lambda: socket.create_connection(("127.0.0.1", port))) == "portcullis")
    prove("activated: over a Unix socket", initialize(lambda: over_unix(path)) == "portcullis")
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = over_unix(debug)
    connection.request("GET", "/debug/sessions")
    shown = json.loads(connection.getresponse().read())
    prove("activated: the socket named debug is the operator's", len(shown["sessions"]) == 2, shown["sessions"])
    children = [os.readlink(f"/proc/{manager.pid}/fd/{fd}") for fd in (3, 4, 5)]
    flags = [open(f"/proc/{manager.pid}/fdinfo/{fd}", encoding="utf-8").read() for fd in (3, 4, 5)]
    closed = [int(text.split("flags:")[1].split()[0], 8) & 0o2000000 for text in flags]
    prove("activated: no child of the program gets them", all(closed), (children, flags))
    manager.send_signal(signal.SIGTERM)
    prove("activated: ends well", manager.wait(20) == 0, manager.returncode)
    prove("activated: the manager's socket stays", os.path.exists(path))


def refused():
    """What must not be taken on trust."""
    for what, fds, expected in [
        ("a descriptor that is not there", "1", "descriptor 3 is not open"),
        ("more sockets than anybody has", "4000000000", "expected a number of sockets"),
    ]:
        shell = f'exec 3>&-; export LISTEN_PID=$$ LISTEN_FDS={fds}; exec "$0" --debug-listen off'
        run = subprocess.run(["sh", "-c", shell, program], capture_output=True, text=True, timeout=20, check=False)
        prove(f"refused: {what}", run.returncode == 1 and expected in run.stderr, (run.returncode, run.stderr))


notified("by path", os.path.join(work, "notify"))
notified("by abstract name", f"@portcullis-ci-{os.getpid()}")
activated()
refused()
sys.exit(1 if failed else 0)
