"""`portcullis stdio` as a process: what stands on stdout, how it ends, and what it leaves.

usage: stdio.py PROGRAM

Proves on real pipes, a file, a pair of sockets and a terminal that stdout holds messages and nothing else; that the
end of the input ends the program with status 0 after its calls; that SIGTERM and SIGHUP do; that a line of 20 MB is
answered and survived; that a client that does not read holds neither memory nor answers; and that no child is left
when the client is gone. Only the standard library.
"""
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROGRAM = sys.argv[1]
INIT = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
    "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "ci", "version": "1"}}}
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


def line(message):
    return json.dumps(message).encode() + b"\n"


def call(id, tool, **arguments):
    return line({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})


def modern(id, method, **params):
    return line({"jsonrpc": "2.0", "id": id, "method": method, "params": params | {"_meta": META}})


def start(*options, **how):
    how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
    return subprocess.Popen([PROGRAM, "stdio", *options], **how)


def messages(data):
    return [json.loads(text) for text in data.split(b"\n") if text]


def ids(data):
    return sorted(str(message["id"]) for message in messages(data))


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return file.read().split()


def whole(text, **how):
    begin = time.monotonic()
    process = start(**how)
    out, log = process.communicate(text, timeout=30)
    assert process.returncode == 0, (process.returncode, log)
    assert b"panicked" not in log, log
    return out, time.monotonic() - begin


SESSION = line(INIT) + line({"jsonrpc": "2.0", "method": "notifications/initialized"})

# Pipes: everything asked before the end of the input is answered, calls that take a second or two included.
out, took = whole(SESSION + call(1, "system_info") + call(2, "ping_host", host="127.0.0.1") + modern("m", "tools/list"))
assert ids(out) == ["0", "1", "2", "m"], out
out, took = whole(b"")
assert out == b"" and took < 1, took

# A file at both ends, and /dev/null.
with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
    source.write(SESSION + call(1, "system_info"))
    source.seek(0)
    process = start(stdin=source, stdout=target)
    assert process.wait(30) == 0
    target.seek(0)
    assert ids(target.read()) == ["0", "1"]
assert start(stdin=subprocess.DEVNULL).wait(10) == 0

# One socket for both directions, as some hosts and inetd have it.
ours, theirs = socket.socketpair()
process = start(stdin=theirs, stdout=theirs)
theirs.close()
ours.sendall(SESSION + call(1, "system_info"))
ours.shutdown(socket.SHUT_WR)
data = b""
while piece := ours.recv(65536):
    data += piece
assert ids(data) == ["0", "1"] and process.wait(10) == 0

# A terminal (`ssh -t`): it must not stay non-blocking, and its end must end the program.
master, slave = pty.openpty()
process = start(stdin=slave, stdout=slave, start_new_session=True)
import fcntl
os.write(master, modern("t", "server/discover"))
time.sleep(1)
assert not fcntl.fcntl(slave, fcntl.F_GETFL) & os.O_NONBLOCK, "the terminal was made non-blocking"
assert b'"id":"t"' in os.read(master, 65536)
os.close(slave)
os.close(master)
assert process.wait(10) == 0, "the terminal has gone"

# Lines that are none, and one of 20 MB: answered with an error, and the next one is served.
out, _ = whole(b"nonsense\n" + b"x" * 20_000_000 + b"\n\n" + line({"jsonrpc": "2.0", "id": 7, "method": "ping"}))
codes = [message.get("error", {}).get("code") for message in messages(out)]
assert codes == [-32700, -32600, None], codes

# Signals.
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    process = start()
    process.stdin.write(SESSION)
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["id"] == 0
    process.send_signal(number)
    assert process.wait(10) == 0, number
    assert process.stdout.read() == b""

# A client that does not read: memory stays, and every answer is there when it does.
process = start()
process.stdin.write(SESSION)
process.stdin.flush()
count = 5000
pid = os.fork()
if pid == 0:
    for id in range(1, count + 1):
        os.write(process.stdin.fileno(), call(id, "system_info"))
    os._exit(0)
process.stdin.close()
time.sleep(3)
with open(f"/proc/{process.pid}/status") as file:
    status = dict(text.split(":", 1) for text in file.read().splitlines())
rss, threads = int(status["VmRSS"].split()[0]), int(status["Threads"])
assert rss < 64 * 1024, f"{rss} KiB"
assert threads == 2, f"{threads} threads: ours and the reactor's helper"
data = process.stdout.read()
os.waitpid(pid, 0)
assert process.wait(30) == 0 and len(messages(data)) == count + 1, len(messages(data))

# The client is gone altogether while a command runs: within the grace both are.
process = start("--grace", "1")
process.stdin.write(SESSION + call(1, "ping_host", host="127.0.0.1", count=10))
process.stdin.flush()
process.stdout.readline()
for _ in range(100):
    if running := children(process.pid):
        break
    time.sleep(0.05)
assert running, "the command runs"
process.stdin.close()
process.stdout.close()
assert process.wait(10) == 0
time.sleep(0.2)
assert not any(os.path.exists(f"/proc/{child}") and "Z" not in open(f"/proc/{child}/stat").read().split()[2] for child in running)

# What belongs to a network is refused.
refused = subprocess.run([PROGRAM, "stdio", "--listen", "127.0.0.1:1"], capture_output=True, timeout=10)
assert refused.returncode == 2 and not refused.stdout and b"`--listen`" in refused.stderr, refused

print(f"ok: portcullis stdio on pipes, files, a socket and a terminal; {rss} KiB with {count} calls unread")
