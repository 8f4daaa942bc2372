"""A client of bytes: HTTP/1.1 and SSE over raw sockets, and an `echo` server to point it at.

It knows no SDK and hides nothing: what a proof needs to see (status lines, headers, single events,
how a connection ended) is what it returns. Standard library only.
"""
import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import tempfile
import time

BOTH = "application/json, text/event-stream"
JSON = "application/json"
SSE = "text/event-stream"
LATEST = "2025-11-25"
ECHO = os.environ.get("ECHO", "target/release/examples/echo")


class Reply:
    """A response: `status`, `headers` (lower-case names; a list, since order and repetition count), `body`."""

    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.version, status = lines[0].split(" ", 2)[:2]
        self.status = int(status)
        self.headers = [(n.strip().lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines[1:] if line)]
        self.body = b""

    def header(self, name):
        return next((v for n, v in self.headers if n == name), None)

    def json(self):
        return json.loads(self.body)

    def is_stream(self):
        return (self.header("content-type") or "").startswith(SSE)

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:400]!r}"


class Event:
    """One block of an SSE stream; `comment` where it held nothing else. `at` is when it was read."""

    def __init__(self, block):
        self.id = self.event = self.data = self.retry = self.comment = None
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if name == "":
                self.comment = value
            elif name == "data":
                self.data = value if self.data is None else self.data + "\n" + value
            elif name in ("id", "event", "retry"):
                setattr(self, name, value)
        self.at = time.monotonic()

    def message(self):
        return json.loads(self.data) if self.data else None

    def __repr__(self):
        return f"<{ {k: v for k, v in vars(self).items() if v is not None and k != 'at'} }>"


class Conn:
    """One connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.clean_end = False
        self._rest = b""

    @classmethod
    async def open(cls, port, receive_buffer=None):
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        return cls(*await asyncio.open_connection(sock=sock, limit=1 << 16 if receive_buffer is None else 1 << 10))

    def close(self):
        self.writer.close()

    def reset(self):
        """Ends the connection with RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def head(self):
        while True:
            reply = Reply((await self.reader.readuntil(b"\r\n\r\n"))[:-4])
            if reply.status != 100:
                self.reply, self.clean_end, self._rest = reply, False, b""
                return reply

    async def _more(self):
        """The next piece of the body, b"" at its end."""
        if self.reply.header("transfer-encoding") == "chunked":
            size = int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16)
            piece = (await self.reader.readexactly(size + 2))[:-2]
            self.clean_end = size == 0
            return piece
        piece = await self.reader.read(65536)
        self.clean_end = piece == b""
        return piece

    async def rest(self, reply, method="POST"):
        """Reads the body that belongs to `reply`."""
        length = reply.header("content-length")
        if method == "HEAD" or reply.status in (204, 304):
            pass
        elif length is not None:
            reply.body = await self.reader.readexactly(int(length))
        else:
            while piece := await self._more():
                reply.body += piece
        return reply

    async def ask(self, method, path, headers=(), body=None):
        """One request and its whole answer."""
        await self.send(request(method, path, headers, body))
        return await self.rest(await self.head(), method)

    async def stream(self, method, path, headers=(), body=None):
        """One request whose answer must be an event stream; its head. `events` reads on."""
        await self.send(request(method, path, headers, body))
        reply = await self.head()
        if not (reply.status == 200 and reply.is_stream()):
            raise AssertionError(f"{method} {path}: expected an event stream, got {await self.rest(reply, method)}")
        return reply

    async def event(self):
        """The next event, None at the end of the stream."""
        while "\n\n" not in (text := self._rest.replace(b"\r\n", b"\n").decode()):
            piece = await self._more()
            if not piece:
                return None
            self._rest += piece
        block, _, rest = text.partition("\n\n")
        self._rest = rest.encode()
        return Event(block)

    async def events(self):
        while event := await self.event():
            yield event


def request(method, path, headers=(), body=None):
    lines = [f"{method} {path} HTTP/1.1"]
    if not any(n.lower() == "host" for n, _ in headers):
        lines.append("Host: 127.0.0.1:8001")
    lines += [f"{n}: {v}" for n, v in headers]
    if body is not None:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        if not any(n.lower() == "content-type" for n, _ in headers):
            lines.append("Content-Type: application/json")
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def initialize(version=LATEST, id=0):
    return {"jsonrpc": "2.0", "id": id, "method": "initialize",
            "params": {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "pains", "version": "1"}}}


INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def call(id, tool, token=None, **arguments):
    params = {"name": tool, "arguments": arguments}
    if token is not None:
        params["_meta"] = {"progressToken": token}
    return {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}


def ping(id=1):
    return {"jsonrpc": "2.0", "id": id, "method": "ping"}


def said(message):
    """The text of a tool's answer; anything else is an error."""
    if "result" not in message or message["result"].get("isError"):
        raise AssertionError(f"expected a result, got {message}")
    return message["result"]["content"][0]["text"]


class Streamable:
    """A session over Streamable HTTP."""

    def __init__(self, server, sid, version):
        self.server, self.sid, self.version = server, sid, version

    @classmethod
    async def open(cls, server, version=LATEST, conn=None):
        own = conn or await Conn.open(server.port)
        reply = await own.ask("POST", "/mcp", [("Accept", BOTH)], initialize(version))
        if reply.status != 200 or not reply.header("mcp-session-id"):
            raise AssertionError(f"initialize: {reply}")
        self = cls(server, reply.header("mcp-session-id"), version)
        done = await own.ask("POST", "/mcp", self.headers(), INITIALIZED)
        assert done.status == 202, f"notifications/initialized: {done}"
        if not conn:
            own.close()
        return self

    def headers(self, accept=BOTH, *more):
        return [("Accept", accept), ("Mcp-Session-Id", self.sid), ("MCP-Protocol-Version", self.version), *more]

    async def post(self, message, accept=BOTH, conn=None):
        """One POST; every message of its answer, in order."""
        own = conn or await Conn.open(self.server.port)
        try:
            reply = await own.ask("POST", "/mcp", self.headers(accept), message)
        finally:
            if not conn:
                own.close()
        if reply.is_stream():
            blocks = reply.body.decode().replace("\r\n", "\n").split("\n\n")
            return [m for m in (Event(b).message() for b in blocks if b) if m]
        if reply.status == 202:
            return []
        if reply.status != 200:
            raise AssertionError(f"POST: {reply}")
        return [reply.json()]

    async def status(self, message=None, method="POST", conn=None):
        own = conn or await Conn.open(self.server.port)
        reply = await own.ask(method, "/mcp", self.headers(), message)
        if not conn:
            own.close()
        return reply

    async def delete(self):
        return (await self.status(method="DELETE")).status


class Legacy:
    """A session over HTTP+SSE: its stream, read by a task, and its POST endpoint."""

    def __init__(self, server, conn, endpoint):
        self.server, self.conn, self.endpoint = server, conn, endpoint
        self.sid = endpoint.partition("session_id=")[2]
        self.messages, self.ended, self._new = [], False, asyncio.Event()
        self.poster = None

    @classmethod
    async def open(cls, server, version="2024-11-05", initialised=True, conn=None):
        conn = conn or await Conn.open(server.port)
        await conn.stream("GET", "/sse", [("Accept", SSE)])
        event = await conn.event()
        while event.event != "endpoint":
            event = await conn.event()
        self = cls(server, conn, event.data if event.data.startswith("/") else "/sse" + event.data)
        self.task = asyncio.create_task(self._read())
        if initialised:
            await self.call(initialize(version))
            await self.post(INITIALIZED)
        return self

    async def _read(self):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            async for event in self.conn.events():
                if event.data:
                    self.messages.append(event.message())
                    self._new.set()
        self.ended = True
        self._new.set()

    async def post(self, message):
        """One POST to the endpoint, over one kept connection; its reply."""
        self.poster = self.poster or await Conn.open(self.server.port)
        return await self.poster.ask("POST", self.endpoint, [], message)

    async def answers(self, id, count=1, wait=30):
        """Waits until `count` answers with this id (1 is not "1") have come; all of them."""
        async with asyncio.timeout(wait):
            while True:
                found = [m for m in self.messages if "method" not in m and same(m.get("id"), id)]
                if len(found) >= count:
                    return found
                if self.ended:
                    raise AssertionError(f"the stream ended before the answer to {id!r}")
                self._new.clear()
                await self._new.wait()

    async def call(self, message, wait=30):
        reply = await self.post(message)
        assert reply.status == 202, f"POST {self.endpoint}: {reply}"
        return (await self.answers(message["id"], wait=wait))[0]

    def close(self, reset=False):
        self.task.cancel()
        (self.conn.reset if reset else self.conn.close)()
        if self.poster:
            self.poster.close()


def same(a, b):
    return type(a) is type(b) and a == b


class Server:
    """An `echo` example of its own: two free loopback ports (MCP and operator's), a log file."""

    def __init__(self, *options, env=None):
        self.options, self.env = options, env

    async def __aenter__(self):
        self.port, self.debug = free_port(), free_port()
        handle, self.log_path = tempfile.mkstemp(prefix="portcullis-pains-", suffix=".log")
        self.process = await asyncio.create_subprocess_exec(
            ECHO, "--listen", f"127.0.0.1:{self.port}", "--debug-listen", f"127.0.0.1:{self.debug}", *map(str, self.options),
            stdin=asyncio.subprocess.DEVNULL, stdout=handle, stderr=handle, env={**os.environ, **(self.env or {})})
        os.close(handle)
        self.pid = self.process.pid
        for _ in range(200):
            with contextlib.suppress(OSError):
                (await Conn.open(self.port)).close()
                break
            if self.process.returncode is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}: {self.log()}")
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("the server does not listen")
        return self

    async def __aexit__(self, kind, *_):
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), 15)
            except TimeoutError:
                self.process.kill()
                if kind is None:
                    raise AssertionError("the server did not end within 15 s of SIGTERM") from None
        log = self.log()
        os.unlink(self.log_path)
        if kind is None:
            assert self.process.returncode == 0, f"the server ended with {self.process.returncode}: {log[-800:]}"
            assert "panicked at" not in log, log[log.index("panicked at") - 200:][:800]

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    async def gauges(self):
        """GET /debug/sessions, parsed."""
        conn = await Conn.open(self.debug)
        reply = await conn.ask("GET", "/debug/sessions")
        conn.close()
        assert reply.status == 200, f"/debug/sessions: {reply}"
        return reply.json()

    async def sessions(self):
        return (await self.gauges())["gauges"]["sessions"]

    async def settle(self, count=0, wait=10):
        """Waits until `count` sessions live; their number must be right within `wait` seconds."""
        end = time.monotonic() + wait
        while (now := await self.sessions()) != count:
            assert time.monotonic() < end, f"expected {count} sessions after {wait} s, /debug/sessions shows {now}"
            await asyncio.sleep(0.1)

    def rss(self):
        """Resident bytes."""
        with open(f"/proc/{self.pid}/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self):
        """Seconds of CPU time used so far, the kernel's share included."""
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def in_state(self, state):
        """Server-side sockets in a TCP state (08 is CLOSE-WAIT)."""
        here = f"0100007F:{self.port:04X}"
        with open("/proc/net/tcp") as f:
            return sum(1 for line in f if line.split()[1] == here and line.split()[3] == state)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
