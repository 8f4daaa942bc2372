"""Uses the examples of embedding from outside, as .ci/embedding.sh says: raw sockets, no SDK."""

import atexit
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

HEAD = "POST /mcp HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"


def until(what, seconds=10):
    """Waits until `what()` is true, and gives it back."""
    end = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > end:
            raise SystemExit(f"waited {seconds} s in vain")
        time.sleep(0.01)
    return found


class Wire:
    """Requests over a fresh connection each."""

    def __init__(self, connect):
        self.connect, self.session = connect, ""

    def send(self, method, params, number=1):
        body = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        wire = self.connect()
        wire.settimeout(10)
        wire.sendall(f"{HEAD}{self.session}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        return wire

    def ask(self, method, params):
        wire, text = self.send(method, params), b""
        while piece := wire.recv(65536):
            text += piece
        return text.decode()

    def open(self, capabilities):
        client = {"name": "ci", "version": "1"}
        text = self.ask("initialize", {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": client})
        self.session = "Mcp-Session-Id: " + re.search(r"mcp-session-id: (\S+)", text)[1] + "\r\n"


def tcp(address):
    host, port = address.rsplit(":", 1)
    return lambda: socket.create_connection((host, int(port)), timeout=10)


def unix(path):
    def connect():
        wire = socket.socket(socket.AF_UNIX)
        wire.connect(path)
        return wire
    return connect


def end(group):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def start(program, host, *args):
    child = subprocess.Popen(
        [program, *args], stdout=subprocess.PIPE, text=True, env={"LD_PRELOAD": host}, start_new_session=True)
    # Forks of it too: whoever keeps our stdout open keeps the run from ending.
    atexit.register(end, child.pid)
    return child, child.stdout.readline().strip()


def sigpipe_is_default(pid):
    masks = dict(re.findall(r"(Sig\w+):\s+(\w+)", open(f"/proc/{pid}/status").read()))
    bit = 1 << (signal.SIGPIPE - 1)
    return not (int(masks["SigIgn"], 16) | int(masks["SigCgt"], 16)) & bit


def vanish(pid, connects):
    """Peers of all kinds that are gone before they are answered: the server is stopped meanwhile."""
    wires = [Wire(connect) for connect in connects]
    for wire in wires:
        wire.open({})
    os.kill(pid, signal.SIGSTOP)
    for wire in wires:
        for _ in range(50):
            # Two requests, so that the second answer meets a connection that has been reset by the first.
            gone = wire.send("ping", {})
            body = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "ping", "params": {}})
            gone.sendall(f"{HEAD}{wire.session}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            gone.close()
    os.kill(pid, signal.SIGCONT)
    for wire in wires:
        assert '"result":{}' in wire.ask("ping", {}).replace(" ", "")


def with_sigpipe(child, connects):
    assert not sigpipe_is_default(child.pid), "Rust's main ignores it"
    os.kill(child.pid, signal.SIGUSR1)
    until(lambda: sigpipe_is_default(child.pid))
    vanish(child.pid, connects)
    assert child.poll() is None and sigpipe_is_default(child.pid)
    print(f"SIGPIPE at its default: {len(connects) * 50} vanished peers harm nobody")


def children(pid):
    tasks = os.listdir(f"/proc/{pid}/task")
    return [int(word) for task in tasks for word in open(f"/proc/{pid}/task/{task}/children").read().split()]


def state(pid):
    return open(f"/proc/{pid}/stat").read().split(") ")[1][0]


def is_zombie(pid):
    return state(pid) == "Z"


def waits_for_events(pid):
    where = open(f"/proc/{pid}/wchan").read()
    # A kernel may keep to itself where somebody sleeps.
    return "poll" in where or where in ("", "0") and state(pid) == "S"


def embed_thread(program, host, _):
    child, line = start(program, host, "127.0.0.1:0", "127.0.0.1:0")
    mcp, control = re.search(r"http://([^/]+)/", line)[1], line.split()[-1]
    with_sigpipe(child, [tcp(mcp)])

    def command(words, seconds=10):
        with tcp(control)() as wire:
            wire.settimeout(seconds)
            wire.sendall(f"{words}\n".encode())
            said = b""
            while piece := wire.recv(4096):
                said += piece
            return said.decode().strip()

    assert command("status").endswith("sessions")
    # The daemon's own thread forks and both go on with its loop: the child has a handle and no server.
    os.kill(child.pid, signal.SIGUSR2)
    (fork,) = until(lambda: children(child.pid))
    os.kill(child.pid, signal.SIGSTOP)

    def command_of_the_fork(words):
        # Both wait in the same accept. A connection wakes one of them, and that may be the one that was stopped.
        for _ in range(5):
            with contextlib.suppress(TimeoutError):
                return command(words, 2)
        raise AssertionError(f"the fork does not answer {words!r}")

    said = command_of_the_fork("status")
    assert "fork" in said and str(child.pid) in said, said
    assert command_of_the_fork("block 192.0.2.7") == "192.0.2.7: done", "what is only told does not hang either"
    os.kill(fork, signal.SIGKILL)
    # Before it is gone it can still accept, and would take the next connection with it.
    until(lambda: is_zombie(fork))
    os.kill(child.pid, signal.SIGCONT)
    assert command("status").endswith("sessions"), "the parent goes on"
    assert command("stop") == "stopping"
    assert child.wait(10) == 0
    print("a fork of another thread:", said)


def unix_socket(program, host, folder):
    path = f"{folder}/ci.sock"
    child, _ = start(program, host, path)
    places = [unix(path), unix(f"{folder}/ci.screened")]
    with_sigpipe(child, places)
    # The loop's own thread forks. The child notices as soon as anything wakes it, and ends with an error. Nothing would,
    # if in that moment async-io's thread had the reactor and the loop's waited for it: a request turns that round.
    until(lambda: waits_for_events(child.pid) or places[0]().close())
    os.kill(child.pid, signal.SIGUSR2)
    (fork,) = until(lambda: children(child.pid))
    os.kill(child.pid, signal.SIGSTOP)
    until(lambda: state(child.pid) == "T")
    wire = places[0]()
    until(lambda: is_zombie(fork))
    wire.close()
    child.kill()
    child.wait()
    print("a fork of the loop's own thread ends with an error")


def firewall(program, user):
    child, line = start(program, "", "127.0.0.1:0")
    wire = Wire(tcp(re.search(r"http://([^/]+)/", line)[1]))
    wire.open({"elicitation": {}})

    def call(tool, **arguments):
        stream, text = wire.send("tools/call", {"name": tool, "arguments": arguments}).makefile("r"), ""
        for text in stream:
            message = text.removeprefix("data: ").strip()
            if not message.startswith("{"):
                continue
            message = json.loads(message)
            if message.get("method") == "elicitation/create":
                answer = {"action": "accept", "content": {"reason": "it scans"}}
                reply = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer})
                other = wire.connect()
                other.sendall(f"{HEAD}{wire.session}Content-Length: {len(reply)}\r\n\r\n{reply}".encode())
            else:
                return message["result"]["content"][0]["text"]
        raise SystemExit(f"no answer: {text}")

    said = call("block", address="192.0.2.7", minutes=30)
    if user == "root":
        assert said == "192.0.2.7 is blocked for 30 minutes: it scans", said
        assert "blocked for 5 minutes" in call("block", address="192.0.2.7", minutes=5)
        kept = subprocess.run(["nft", "list", "table", "inet", "portcullis"], capture_output=True, text=True).stdout
        assert "192.0.2.7 timeout 5m" in kept and "@blocked4 counter" in kept, kept
        assert call("unblock", address="192.0.2.7") == "192.0.2.7 is not blocked."
        assert "table inet portcullis" in call("rules")
    else:
        assert "AmbientCapabilities=CAP_NET_ADMIN" in said, said
    child.terminate()
    child.wait()
    print(f"firewall as {user}: {said}")


if __name__ == "__main__":
    {"embed_thread": embed_thread, "unix_socket": unix_socket, "firewall": firewall}[sys.argv[1]](*sys.argv[2:])
