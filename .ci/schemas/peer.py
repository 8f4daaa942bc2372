"""Three ways to speak to a server over raw HTTP: HTTP+SSE, Streamable HTTP with a session, and stateless.

Each hands every message that comes to its judge, answers the server's requests as a client would, and keeps
the notifications. Nothing of an SDK is in here.
"""
import asyncio
import contextlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "pains"))
from wire import BOTH, SSE, Conn, request  # noqa: E402  (the folder must be known first)

from judge import META, MODERN, OK, SUBSCRIPTION  # noqa: E402

NEEDS = {"sampling/createMessage": "sampling", "elicitation/create": "elicitation", "roots/list": "roots"}
ALL = {"roots": {"listChanged": True}, "sampling": {}, "elicitation": {}}
WAIT = 10


def form(schema):
    """What somebody called Alice writes into a form."""
    def value(name, field):
        if name == "email":
            return "alice@example.com"
        for choices in (field.get("enum"), [one["const"] for one in field.get("oneOf", [])]):
            if choices:
                return choices[0]
        if field.get("type") == "array":
            items = field["items"]
            return [items["enum"][0] if "enum" in items else items["anyOf"][0]["const"]]
        return {"string": "Alice", "integer": 30, "number": 95.5, "boolean": True}[field.get("type", "string")]
    return {name: value(name, field) for name, field in schema.get("properties", {}).items()}


class Peer:
    """What the three have in common. `mood` is how the user answers: accept, decline, cancel, error."""

    modern = False

    def __init__(self, port, judge, capabilities=None):
        self.port, self.judge = port, judge
        self.capabilities = ALL if capabilities is None else capabilities
        self.ids, self.methods, self.answers, self.notes = 0, {}, {}, []
        self.news, self.mood, self.streams = asyncio.Event(), "accept", []

    def user(self, method, params):
        """The answer to a request of the server's: a result, or None for an error."""
        if self.mood == "error":
            return None
        if method == "elicitation/create":
            accepted = self.mood == "accept"
            return {"action": self.mood, **({"content": form(params["requestedSchema"])} if accepted else {})}
        if method == "sampling/createMessage":
            return {"role": "assistant", "content": {"type": "text", "text": "Paris"}, "model": "none", "stopReason": "endTurn"}
        if method == "roots/list":
            return {"roots": [{"uri": "file:///srv/one", "name": "one"}]}
        return {} if method == "ping" else None

    async def took(self, message):
        """Judges what came, and answers it."""
        if isinstance(message, list):
            self.judge.batch(message)
            for one in message:
                await self.took(one)
            return
        key = json.dumps(message.get("id"))
        self.judge.message(message, self.methods.get(key))
        if "method" not in message:
            self.answers[key] = message
        elif "id" not in message:
            self.notes.append(message)
        elif not self.modern:
            self.may_ask(message["method"], self.capabilities)
            result = self.user(message["method"], message.get("params", {}))
            said = {"error": {"code": -1, "message": "the user said no"}} if result is None else {"result": result}
            await self.accepted({"jsonrpc": "2.0", "id": message["id"], **said})
        self.news.set()

    def may_ask(self, method, capabilities):
        if NEEDS.get(method, method) not in capabilities and method != "ping":
            self.judge.trouble(f"asked for {method}, which the client did not declare")

    async def accepted(self, message):
        """Sends what has no answer."""
        status = await self.post(message)
        if status != 202:
            self.judge.trouble(f"HTTP status {status}, expected 202", message)

    def message(self, method, params=None, id=None):
        self.ids += 1
        id = self.ids if id is None else id
        self.methods[json.dumps(id)] = method
        self.answers.pop(json.dumps(id), None)
        return {"jsonrpc": "2.0", "id": id, "method": method, **({} if params is None else {"params": params})}

    async def ask(self, name, method, params=None, want=OK, id=None, **how):
        """One exchange: a request and all that the server sends until it is answered; the answer."""
        self.judge.begin(name)
        message = self.message(method, params, id)
        answer = None
        try:
            async with asyncio.timeout(WAIT):
                await self.post(message, **how)
                answer = await self.answer(message)
        except TimeoutError:
            self.judge.trouble(f"no answer within {WAIT} s")
        except (OSError, asyncio.IncompleteReadError) as error:
            self.judge.trouble(f"the connection broke: {error!r}")
        self.judge.expect(answer, want)
        return answer

    async def answer(self, message):
        """The answer that has come (an answer without an id is nobody else's, in one exchange at a time)."""
        return self.answers.pop(json.dumps(message["id"]), None) or self.answers.pop("null", None)

    async def call(self, name, tool, arguments=None, want=OK, token=None, **how):
        params = {"name": tool, **({} if arguments is None else {"arguments": arguments})}
        if token is not None:
            params["_meta"] = {"progressToken": token}
        return await self.ask(name, "tools/call", params, want, **how)

    async def tell(self, name, method, params=None):
        """One exchange: a notification, which has no answer."""
        self.judge.begin(name)
        await self.accepted({"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})})

    async def raw(self, name, body, want, headers=None, method="POST"):
        """One exchange: any bytes at all to the endpoint, and what comes back."""
        self.judge.begin(name)
        self.answers.clear()
        await self.post(body, headers=headers, method=method)
        self.judge.expect(self.answers.popitem()[1] if self.answers else None, want)

    async def told(self, method, since, wait=3):
        """Waits for a notification that came after the first `since` ones."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while not any(note["method"] == method for note in self.notes[since:]):
                    self.news.clear()
                    await self.news.wait()
                return
        self.judge.trouble(f"no {method} within {wait} s")

    def count(self, method, since):
        return sum(note["method"] == method for note in self.notes[since:])

    async def exchange(self, method, path, headers, body):
        """One HTTP request over a connection of its own; its messages are taken as they come; the status."""
        conn = await Conn.open(self.port)
        try:
            await conn.send(request(method, path, headers, body))
            reply, self.mark = await conn.head(), None
            if reply.is_stream():
                self.mark = await self.read(conn)
            else:
                await conn.rest(reply, method)
                if reply.body and "json" in (reply.header("content-type") or ""):
                    await self.took(reply.json())
            self.reply = reply      # only now: answering the server is an exchange, too
            return reply.status
        finally:
            conn.close()

    async def read(self, conn):
        """Takes a stream's messages; the last event's id."""
        mark = None
        async for event in conn.events():
            mark = event.id or mark
            if event.data:
                await self.took(event.message())
        return mark

    def keep(self, coroutine):
        async def quietly():
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await coroutine
        self.streams.append(asyncio.create_task(quietly()))

    async def close(self):
        for task in self.streams:
            task.cancel()
        await asyncio.gather(*self.streams, return_exceptions=True)


class WithSession(Peer):
    """What both session transports do."""

    async def open(self, name="initialize", version=None, want=OK, client=None):
        params = {"protocolVersion": version or self.judge.revision, "capabilities": self.capabilities,
                  "clientInfo": client or {"name": "schemas", "version": "1"}}
        answer = await self.ask(name, "initialize", params, want)
        if answer and "result" in answer:
            if answer["result"].get("protocolVersion") != self.judge.revision:
                self.judge.trouble(f"negotiated {answer['result'].get('protocolVersion')}")
            await self.tell(f"{name}: notifications/initialized", "notifications/initialized")
        return self


class HttpSse(WithSession):
    """2024-11-05: one stream for all that the server sends, one address for all that we send."""

    path = None

    async def connect(self):
        conn = await Conn.open(self.port)
        await conn.stream("GET", "/sse", [("Accept", SSE)])
        event = await conn.event()
        while event.event != "endpoint":
            event = await conn.event()
        self.path = event.data
        self.keep(self.read(conn))

    async def post(self, body, headers=None, method="POST"):
        if not self.path:
            await self.connect()
        return await self.exchange(method, self.path, headers or [], body)

    async def answer(self, message):
        key = json.dumps(message["id"])
        while key not in self.answers:
            if self.reply.status >= 400:
                return self.answers.pop("null", None)
            self.news.clear()
            await self.news.wait()
        return self.answers.pop(key)

    async def end(self):
        await self.close()


class Streamable(WithSession):
    """2025-03-26 to 2025-11-25: a session by its header; answers come on the POST that asked."""

    session = None

    def headers(self):
        mine = [("Accept", BOTH)]
        if self.session:
            mine += [("Mcp-Session-Id", self.session), ("MCP-Protocol-Version", self.judge.revision)]
        return mine

    async def post(self, body, headers=None, method="POST"):
        opening = isinstance(body, dict) and body.get("method") == "initialize"
        status = await self.exchange(method, "/mcp", self.headers() if headers is None else headers, body)
        if opening and status == 200:
            self.session = self.reply.header("mcp-session-id")
        # A stream that ended without the answer is to be polled for it; the poll may stay open behind it.
        asked = json.dumps(body["id"]) if isinstance(body, dict) and {"method", "id"} <= body.keys() else None
        while asked and self.mark and asked not in self.answers:
            poll = asyncio.create_task(self.exchange("GET", "/mcp", [("Last-Event-ID", self.mark), *self.headers()], None))
            while not poll.done() and asked not in self.answers:
                self.news.clear()
                await asyncio.wait([poll, asyncio.create_task(self.news.wait())], return_when=asyncio.FIRST_COMPLETED)
            poll.cancel()
        return status

    async def listen(self):
        conn = await Conn.open(self.port)
        await conn.stream("GET", "/mcp", [("Accept", SSE), *self.headers()[1:]])
        self.keep(self.read(conn))

    async def end(self):
        await self.close()
        await self.raw("the session's end", None, None, method="DELETE")


class Stateless(Peer):
    """2026-07-28: every request says all by itself."""

    modern = True

    def meta(self, capabilities=None, **more):
        return {META + "protocolVersion": MODERN, META + "clientInfo": {"name": "schemas", "version": "1"},
                META + "clientCapabilities": self.capabilities if capabilities is None else capabilities, **more}

    def headers(self, message):
        mine = [("Accept", BOTH), ("MCP-Protocol-Version", MODERN), ("Mcp-Method", message["method"])]
        name = message.get("params", {}).get("uri" if message["method"] == "resources/read" else "name")
        return mine + ([("Mcp-Name", name)] if isinstance(name, str) else [])

    async def ask(self, name, method, params=None, want=OK, id=None, capabilities=None, meta=None, **how):
        """`meta` replaces the whole envelope; {} leaves it out."""
        params = dict(params or {})
        envelope = self.meta(capabilities) if meta is None else meta
        if envelope or "_meta" in params:
            params["_meta"] = {**envelope, **params.get("_meta", {})}
        answer = await super().ask(name, method, params, want, id, **how)
        for request in (((answer or {}).get("result") or {}).get("inputRequests") or {}).values():
            self.may_ask(request.get("method"), self.capabilities if capabilities is None else capabilities)
        code = answer["error"].get("code") if answer and "error" in answer else None
        status = {-32601: 404, -32020: 400, -32021: 400, -32022: 400, -32600: 400, -32700: 400}.get(code)
        if status and self.reply.status != status:
            self.judge.trouble(f"HTTP status {self.reply.status} for {code}, expected {status}")
        return answer

    async def post(self, body, headers=None, method="POST"):
        if headers is None:
            headers = self.headers(body) if isinstance(body, dict) and "method" in body else [("Accept", BOTH)]
        return await self.exchange(method, "/mcp", headers, body)

    async def read(self, conn):
        async for event in conn.events():
            if event.id is not None or event.retry is not None:
                self.judge.trouble(f"an event with id or retry: {event}")
            if event.data:
                await self.took(event.message())

    async def rounds(self, name, method, params, capabilities=None, most=5):
        """Answers what the server asks until it is content; every round is an exchange."""
        retry, answer = {}, None
        for turn in range(1, most + 1):
            answer = await self.ask(f"{name}, round {turn}", method, {**params, **retry}, want=None, capabilities=capabilities)
            result = (answer or {}).get("result", {})
            if result.get("resultType") != "input_required":
                break
            asked = result.get("inputRequests") or {}
            retry = {"inputResponses": {key: self.user(one["method"], one.get("params", {})) for key, one in asked.items()}}
            if "requestState" in result:
                retry["requestState"] = result["requestState"]
        self.judge.expect(answer, OK)
        return turn

    async def listen(self, name, notifications, id=None):
        """One exchange: a listen stream, acknowledged; it is read on until the peer is closed."""
        self.judge.begin(name)
        message = self.message("subscriptions/listen", {"notifications": notifications, "_meta": self.meta()}, id)
        stream = Listening(self, message["id"])
        conn = await Conn.open(self.port)
        await conn.stream("POST", "/mcp", self.headers(message), message)
        self.keep(stream.read(conn))
        await stream.told("notifications/subscriptions/acknowledged", 0)
        if stream.notes:
            granted = stream.notes[0].get("params", {}).get("notifications", {})
            if extra := set(granted) - set(notifications):
                self.judge.trouble(f"acknowledged what was not asked for: {extra}")
        return stream


class Listening(Peer):
    """A listen stream: acknowledged first, and all of it marked with the request's id."""

    modern = True

    def __init__(self, peer, id):
        super().__init__(peer.port, peer.judge)
        self.id, self.methods = id, peer.methods

    async def took(self, message):
        if "method" in message and not self.notes and message["method"] != "notifications/subscriptions/acknowledged":
            self.judge.trouble("the acknowledgement is not the first message", message)
        holder = message.get("params" if "method" in message else "result") or {}
        mark = holder.get("_meta", {}).get(SUBSCRIPTION) if "error" not in message else self.id
        if type(mark) is not type(self.id) or mark != self.id:
            self.judge.trouble(f"the subscription's id is {mark!r}, expected {self.id!r}", message)
        await super().took(message)

    async def read(self, conn):
        await Stateless.read(self, conn)
