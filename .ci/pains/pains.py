"""Failures seen in the field, in real time and with their own numbers, against the `echo` example.

usage: ECHO=target/release/examples/echo python3 pains.py [P01 P22 ...] [--list]

Each function proves the one failure whose number its name carries, against a server of its own. The
quick ones run one after another, since they time the server; the ones that mostly sleep run together,
after them; the ones with thousands of repetitions last. The same rules run in `cargo test` on a virtual
clock; this is the proof that sockets, the kernel and real time agree. Standard library only.
"""
import asyncio
import json
import os
import resource
import signal
import statistics
import sys
import time
import traceback
import uuid

from wire import (BOTH, INITIALIZED, JSON, LATEST, SSE, Conn, Event, Legacy, Reply, Server, Streamable, call, initialize, ping,
                  request, said, same)

QUICK, SLEEPS, BULK = [], [], []
MIB = 1 << 20


def quick(f):
    QUICK.append(f)
    return f


def sleeps(f):
    SLEEPS.append(f)
    return f


def bulk(f):
    BULK.append(f)
    return f


async def timed(awaitable):
    start = time.monotonic()
    return await awaitable, time.monotonic() - start


async def pace(count, at_once, job):
    """Runs job(0) … job(count - 1), `at_once` of them at a time."""
    numbers = iter(range(count))

    async def worker():
        for n in numbers:
            await job(n)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())


async def best_of_three(job):
    """For bounds in milliseconds on a machine that others use: one undisturbed round of three is the proof.

    Only `Late` is forgiven; every other failure counts at once.
    """
    for left in (2, 1, 0):
        try:
            return await job()
        except Late as late:
            if not left:
                raise
            print(f"    once more: {late}")


class Late(AssertionError):
    pass


def within(seconds, limit, what):
    if seconds > limit:
        raise Late(f"{what} took {seconds * 1000:.1f} ms, at most {limit * 1000:.0f} ms are allowed")


# --- Each answer to its own asker -------------------------------------------------------------------


@quick
async def p01_equal_ids_in_flight_each_get_their_own_answer():
    async with Server("--log-level", "debug") as server:
        for accept in (BOTH, JSON):
            session = await Streamable.open(server)

            async def one(id, seconds, token=None):
                text = uuid.uuid4().hex
                messages, took = await timed(session.post(call(id, "slow", token, seconds=seconds, text=text), accept))
                assert text in said(messages[-1]) and same(messages[-1]["id"], id), (id, text, messages)
                assert seconds - 0.01 <= took < seconds + 1, f"{seconds} s took {took:.2f} s"
                for note in messages[:-1]:
                    assert note["params"]["progressToken"] == token, f"token {token!r} asked for, got {note}"
                return messages

            async def after(pause, job):
                await asyncio.sleep(pause)
                return await job

            await asyncio.gather(one(1, 0.6), after(0.2, one(1, 2.5)))
            await asyncio.gather(one(1, 2.5), after(0.2, one(1, 0.6)))
            await asyncio.gather(*(one(1, 0.5 + n / 20, f"token-{n}") for n in range(16)))
            await asyncio.gather(*(one(id, 0.5, f"t-{n}") for n, id in enumerate([1, "1"] * 4)))

            # A cancellation that could mean either cancels neither, and the log says so.
            pair = asyncio.gather(one(7, 1), one(7, 1.2))
            await asyncio.sleep(0.3)
            cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
            assert (await session.status(cancel)).status == 202
            await pair
        assert "ambiguous" in server.log().lower(), "the log does not tell of the ambiguous cancellation"

        # One stream for all: exactly one answer per POST.
        legacy = await Legacy.open(server)
        for n in range(16):
            assert (await legacy.post(call(1 if n % 2 else "1", "slow", seconds=0.3, text=f"text-{n}"))).status == 202
        for id, parity in ((1, 1), ("1", 0)):
            texts = sorted(said(m) for m in await legacy.answers(id, 8))
            wanted = sorted(f"text-{n}" for n in range(16) if n % 2 == parity)
            assert len(texts) == 8 and all(any(w in t for t in texts) for w in wanted), texts
        await asyncio.sleep(0.3)
        assert sum(1 for m in legacy.messages if m.get("id") in (1, "1")) == 16, "one answer per POST"
        legacy.close()
    return "16 at once, reversed, 1 and \"1\", JSON and stream, HTTP+SSE"


@quick
async def p02_fifty_clients_get_their_own_nonces_and_one_reconnects_a_hundred_times():
    async with Server() as server:
        for kind in (Streamable, Legacy):
            clients, took = await timed(asyncio.gather(*(kind.open(server) for _ in range(50))))

            async def twenty(client):
                conn = await Conn.open(server.port) if kind is Streamable else None
                for n in range(20):
                    nonce, message = uuid.uuid4().hex, None
                    if conn:
                        message = (await client.post(call(n, "echo", text=nonce), conn=conn))[-1]
                    else:
                        message = await client.call(call(1000 + n, "echo", text=nonce))
                    assert said(message) == nonce, (nonce, message)
                if conn:
                    conn.close()

            await asyncio.gather(*map(twenty, clients))
            assert await server.sessions() == 50
            first = clients[0]
            for _ in range(100):
                if kind is Streamable:
                    assert await first.delete() in (200, 204)
                else:
                    first.close()
                first = await kind.open(server)
            clients[0] = first
            await server.settle(50)
            for client in clients:
                if kind is Streamable:
                    await client.delete()
                else:
                    client.close()
            await server.settle(0)
    return f"2 x 50 clients x 20 nonces (connected within {took * 1000:.0f} ms), 2 x 100 reconnects"


# --- The life of a session --------------------------------------------------------------------------


@sleeps
async def p03_at_the_instant_of_expiry_there_is_only_200_or_404():
    async with Server("--session-idle", 2, "--tombstones-max", 2000) as server:
        pool = [await Conn.open(server.port) for _ in range(10)]
        sessions = [await Streamable.open(server, conn=pool[n % 10]) for n in range(1000)]
        ends, free = [], asyncio.Queue()
        for conn in pool:
            free.put_nowait(conn)
        # One more ping to each of 1,000 sessions sets its clock; a second one, 1.5 to 2.5 s later, spread
        # finely over the instant, asks whether it still lives.
        for s in sessions:
            assert (await s.status(ping(), conn=pool[0])).status == 200
            ends.append(time.monotonic())
        seen = {200: 0, 404: 0}

        async def ask(n):
            wait = 1.5 + n / 1000
            await asyncio.sleep(max(0, ends[n] + wait - time.monotonic()))
            conn = await free.get()
            late = time.monotonic() - ends[n]
            reply = await sessions[n].status(ping(), conn=conn)
            free.put_nowait(conn)
            assert reply.status in (200, 404), f"{late:.3f} s after the last call: {reply}"
            assert not reply.is_stream(), reply
            assert not (late < 1.9 and reply.status == 404), f"gone after only {late:.3f} s"
            assert not (late > 2.6 and reply.status == 200), f"still there after {late:.3f} s"
            if reply.status == 404:
                assert reply.header("content-type") == JSON and "idle" in reply.body.decode(), reply
            seen[reply.status] += 1

        await asyncio.gather(*map(ask, range(1000)))
        assert seen[200] and seen[404], seen

        gone = await Streamable.open(server)
        await gone.delete()
        never = Streamable(server, uuid.uuid4().hex, LATEST)
        for session, why in ((gone, "clos"), (never, "unknown")):
            for method, body in (("POST", ping()), ("GET", None), ("DELETE", None)):
                reply = await session.status(body, method)
                assert reply.status == 404 and reply.header("content-type") == JSON, (method, reply)
                assert why in reply.body.decode().lower(), f"{method}: the reason {why!r} is not in {reply.body}"
        for conn in pool:
            conn.close()
    return f"1,000 POSTs across the instant: {seen[200]} x 200, {seen[404]} x 404"


@sleeps
async def p06_a_thousand_sessions_that_never_initialise_are_told_why_and_stay_usable():
    async with Server() as server:
        sessions = [await Legacy.open(server, initialised=False) for _ in range(1000)]
        first = sessions[0]
        reply, took = await timed(first.call({"jsonrpc": "2.0", "id": 5, "method": "tools/list"}))
        assert reply["error"]["code"] == -32600 and "initiali" in reply["error"]["message"], reply
        assert took < 0.5, took
        assert "result" in await first.call(initialize("2024-11-05"))
        assert said(await first.call(call(6, "echo", text="alive"))) == "alive"
        for s in sessions:
            s.close(reset=True)
        await server.settle(0)
        assert said((await (await Streamable.open(server)).post(call(1, "echo", text="x")))[-1]) == "x"
    return f"-32600 after {took * 1000:.0f} ms, 1,000 sessions gone"


@bulk
async def p07_a_post_never_races_its_endpoint_event():
    async with Server() as server:
        async def job(worker):
            poster = await Conn.open(server.port)
            for _ in range(10_000 // 8):
                conn = await Conn.open(server.port)
                await conn.stream("GET", "/sse")
                event = await conn.event()
                path = event.data if event.data.startswith("/") else "/sse" + event.data
                reply = await poster.ask("POST", path, [], initialize("2024-11-05"))
                assert reply.status == 202, f"POST {path} at once after its event: {reply}"
                conn.reset()
            poster.close()

        await asyncio.gather(*map(job, range(8)))
        await server.settle(0)
    return "10,000 x endpoint event, then POST: 202 every time"


@sleeps
async def p08_a_post_to_a_stream_that_ended_is_404_or_counted():
    async with Server("--log-level", "debug") as server:
        before = undeliverable(await server.gauges())
        outcomes, accepted = {}, 0
        for reset in (False, True):
            for pause in (0, 1, 5, 20, 100, 1000):
                for n in range(5 if pause < 100 else 1):
                    s = await Legacy.open(server)
                    (s.conn.reset if reset else s.conn.close)()
                    await asyncio.sleep(pause / 1000)
                    reply = await s.post(call(9, "echo", text="anybody?"))
                    assert reply.status in (202, 404), reply
                    if reply.status == 404:
                        assert reply.json()["error"]["data"]["reason"] == "stream_ended", f"404 without its reason: {reply}"
                    assert not (pause >= 100 and reply.status == 202), f"202 at +{pause} ms"
                    accepted += reply.status == 202
                    outcomes.setdefault(f"+{pause}", []).append(reply.status)
                    s.close()
        await server.settle(0)
        counted = undeliverable(await server.gauges()) - before
        assert counted == accepted, f"{accepted} x 202 after the end, {counted} counted undeliverable: {outcomes}"

        # A call that runs when its stream goes runs to its end, and is counted and logged.
        s = await Legacy.open(server)
        await s.post(call(10, "slow", seconds=1, text="half-way"))
        await asyncio.sleep(0.2)
        s.close(reset=True)
        await asyncio.sleep(1.5)
        now = undeliverable(await server.gauges())
        assert now == before + counted + 1, f"the abandoned call was not counted: {now}"
        assert "undeliverable" in server.log(), "nothing in the log about it"
    return f"{accepted} accepted and counted, the rest 404"


@quick
async def p09_ten_resets_in_mid_call_are_nothing_to_the_other_ten():
    async def round(server, kind, kill):
        sessions = [await kind.open(server) for _ in range(20)]
        took = []

        async def one(n):
            s = sessions[n]
            if kind is Legacy:
                got, t = await timed(s.call(call(3, "slow", seconds=1.5, text=f"n{n}")))
            else:
                got, t = await timed(s.post(call(3, "slow", seconds=1.5, text=f"n{n}")))
                got = got[-1]
            assert f"n{n}" in said(got), got
            took.append(t)

        calls = [asyncio.create_task(one(n)) for n in range(10)]
        victims = []
        for n in range(10, 20):
            message = call(3, "slow", seconds=1.5, text=f"n{n}")
            if kind is Legacy:
                await sessions[n].post(message)
            else:
                conn = await Conn.open(server.port)
                await conn.send(request("POST", "/mcp", sessions[n].headers(), message))
                victims.append(conn)
        await asyncio.sleep(0.7)
        if kill:
            for n in range(10):
                if kind is Legacy:
                    sessions[10 + n].close(reset=True)
                else:
                    victims[n].reset()
        await asyncio.gather(*calls)
        await asyncio.sleep(1)
        for n, s in enumerate(sessions):
            if kind is Legacy:
                assert n >= 10 and kill or not s.ended, "a neighbour's stream ended"
                s.close()
            else:
                assert await s.delete() in (200, 204), f"session {n} is gone"
        return max(took)

    async def measure():
        async with Server("--log-level", "info") as server:
            for kind in (Legacy, Streamable):
                quiet = await round(server, kind, False)
                lines = server.log().count("\n")
                killed = await round(server, kind, True)
                if kind is Legacy:
                    await server.settle(0)
                    lost = [l for l in server.log().splitlines()[lines:] if "undeliverable" in l]
                    assert len(lost) == 10, f"expected 10 log lines of lost calls, found {len(lost)}: {lost[:3]}"
                within(killed - quiet, 0.020, f"{kind.__name__}: with ten resets a neighbour's call, beyond one without,")
            await server.settle(0)
            log = server.log()
            assert "stack backtrace" not in log and "panicked" not in log
            return f"neighbours {max(0, killed - quiet) * 1000:.1f} ms later at worst, 10 log lines"

    return await best_of_three(measure)


@quick
async def p15_no_path_redirects_and_a_trailing_slash_changes_nothing():
    cells = 0
    async with Server() as server:
        async def answer(method, path, headers, body):
            conn = await Conn.open(server.port)
            await conn.send(request(method, path, headers, body))
            reply = await asyncio.wait_for(conn.head(), 5)
            if not reply.is_stream():
                await asyncio.wait_for(conn.rest(reply, method), 5)
            conn.close()
            assert not 300 <= reply.status < 400 and reply.header("location") is None, f"{method} {path}: {reply}"
            varies = ("date", "mcp-session-id", "x-request-id")
            return reply.status, sorted((n, v) for n, v in reply.headers if n not in varies), reply.body

        session = await Streamable.open(server)
        bodies = [None, b"", ping(), initialize(), call(1, "echo", text="x"), b"[]", b"{"]
        for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE", "PUT", "PATCH", "TRACE"):
            for base in ("/mcp", "/sse", "/messages"):
                for headers in ([], [("Accept", BOTH)], [("Accept", SSE)], [("Accept", BOTH), ("Mcp-Session-Id", "0" * 32)]):
                    for query in ("", "?session_id=" + "0" * 32, "?session_id=nonsense"):
                        for body in bodies if method == "POST" else [None]:
                            plain, slash = [await answer(method, base + end + query, headers, body) for end in ("", "/")]
                            paths = (base.encode() + b"/", base.encode())
                            assert plain[:2] == slash[:2], f"{method} {base}[/]{query}: {plain} and {slash}"
                            assert plain[2].replace(*paths) == slash[2].replace(*paths), (method, base, query, plain, slash)
                            cells += 1
        # A session's own requests, by either path.
        for end in ("", "/"):
            conn = await Conn.open(server.port)
            reply = await conn.ask("POST", "/mcp" + end, session.headers(), call(1, "echo", text=end))
            assert reply.status == 200, reply
            legacy = await Legacy.open(server)
            for path in ("/messages", "/messages/", "/sse", "/sse/"):
                reply = await conn.ask("POST", f"{path}?session_id={legacy.sid}", [], call(path, "echo", text=path))
                assert reply.status == 202, (path, reply)
                assert said((await legacy.answers(path))[0]) == path
            legacy.close()
            conn.close()
    return f"{cells} requests with and without the slash, no 3xx"


@bulk
async def p17_sessions_nobody_deletes_are_gone_after_their_idle_time():
    async with Server("--session-idle", 2) as server:
        async def abandoned(n):
            await Streamable.open(server)

        async def streamed(n):
            s = await Streamable.open(server)
            conn = await Conn.open(server.port)
            await conn.stream("GET", "/mcp", s.headers(SSE))
            conn.reset()

        async def legacy(n):
            (await Legacy.open(server)).close(reset=True)

        async def whole_round():
            for job in (abandoned, streamed, legacy):
                await pace(5000, 16, job)
                await asyncio.sleep(3)   # not by looking: a look at thousands of sessions takes memory of its own
                await server.settle(0)
            return server.rss(), server.descriptors()

        # The heap keeps the size of the fullest moment, and rounds differ in that; what leaks grows in every round.
        rounds = [await whole_round()]
        while len(rounds) < 2 or rounds[-1][0] - rounds[-2][0] > MIB:
            assert len(rounds) < 5, f"RSS grew in each of four rounds: {[rss for rss, _ in rounds]}"
            rounds.append(await whole_round())
        grown = rounds[-1][0] - rounds[-2][0]
        assert rounds[-1][1] <= rounds[0][1], f"{rounds[-1][1]} descriptors, {rounds[0][1]} before"
    return f"3 x 5,000 sessions, RSS {grown // 1024:+} KiB"


@bulk
async def p18_refused_requests_make_no_session():
    with open_token_file() as tokens:
        async with Server() as server, Server("--token-file", tokens) as locked:
            kinds = {
                "GET without Accept": (server, request("GET", "/mcp")),
                "HEAD": (server, request("HEAD", "/mcp")),
                "OPTIONS": (server, request("OPTIONS", "/mcp")),
                "DELETE": (server, request("DELETE", "/mcp")),
                "bad JSON": (server, request("POST", "/mcp", [("Accept", BOTH)], b"{nonsense")),
                "wrong Host": (server, request("POST", "/mcp", [("Host", "evil.example"), ("Accept", BOTH)], initialize())),
                "bad token": (locked, request("POST", "/mcp", [("Authorization", "Bearer wrong"), ("Accept", BOTH)], initialize())),
                "ping without session": (server, request("POST", "/mcp", [("Accept", BOTH)], ping())),
            }
            statuses = {}

            async def many(name, count):
                target, data = kinds[name]
                method = data.split(b" ")[0].decode()
                conn, got = await Conn.open(target.port), 0
                while got < count:
                    try:
                        await conn.send(data)
                        reply = await conn.rest(await conn.head(), method)
                    except (asyncio.IncompleteReadError, ConnectionError):
                        conn = await Conn.open(target.port)   # a refusal may close its connection
                        continue
                    got += 1
                    statuses.setdefault(name, set()).add(reply.status)
                    assert reply.header("mcp-session-id") is None, f"{name}: {reply}"
                    assert reply.status >= 400 or name == "OPTIONS", f"{name}: {reply}"
                    if (reply.header("connection") or "").lower() == "close":
                        conn.reset()
                        conn = await Conn.open(target.port)
                conn.close()

            for name in kinds:
                await many(name, 200)
            base = [s.rss() for s in (server, locked)]
            for name in kinds:
                await many(name, 10_000)
                assert await kinds[name][0].sessions() == 0, f"{name} made a session"
            grown = sum(s.rss() for s in (server, locked)) - sum(base)
            assert grown <= MIB, f"RSS grew by {grown} bytes"
    return "8 x 10,000: " + ", ".join(f"{n} {'/'.join(map(str, sorted(s)))}" for n, s in statuses.items())


@bulk
async def t24_a_hundred_thousand_calls_without_sessions_leave_nothing():
    """Revision 2026-07-28: nothing of a call outlives it."""
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    params = {"name": "add", "arguments": {"a": 1, "b": 2}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    headers = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "add"), ("Accept", BOTH)]
    data = request("POST", "/mcp", headers, body)

    async with Server() as server:
        async def many(count):
            conn = await Conn.open(server.port)
            for _ in range(count):
                await conn.send(data)
                reply = await conn.rest(await conn.head(), "POST")
                assert reply.status == 200 and b'"text":"3"' in reply.body, reply
                assert reply.header("mcp-session-id") is None, reply
            conn.close()

        await asyncio.gather(*(many(250) for _ in range(8)))
        base = server.rss()
        await asyncio.gather(*(many(12_500) for _ in range(8)))
        grown, shown = server.rss() - base, await server.gauges()
        assert shown["gauges"]["sessions"] == 0 and shown["counters"]["sessions_opened"] == 0, shown["gauges"]
        assert shown["gauges"]["calls_running"] == 0 and shown["counters"]["stateless_requests"] == 102_000, shown
        assert grown <= MIB // 2, f"RSS grew by {grown} bytes"
    return f"100,000 x tools/call: no session, RSS {grown // 1024:+} KiB"


@bulk
async def p19_delete_leaves_nothing():
    async with Server() as server:
        async def job(n):
            conn = await Conn.open(server.port)
            for _ in range(100):
                s = await Streamable.open(server, conn=conn)
                reply = await s.status(method="DELETE", conn=conn)
                assert reply.status in (200, 204), reply
            conn.close()

        await pace(100, 10, job)   # warms the allocator
        await asyncio.sleep(0.3)
        base, before = server.rss(), gauge_numbers(await server.gauges())
        await pace(100, 10, job)
        await asyncio.sleep(0.3)
        grown, after = server.rss() - base, gauge_numbers(await server.gauges())
        assert after["sessions"] == 0, after
        # By the server's own count, since RSS is the allocator's: sessions, timers, buffers.
        assert "timers" in after, f"no gauge tells how many timers are armed (RSS {grown:+} bytes): {after}"
        near = {**after, "timers": before["timers"]}
        assert near == before and abs(after["timers"] - before["timers"]) <= 100, f"gauges before {before}, after {after}"
        assert grown <= MIB // 2, f"RSS grew by {grown} bytes over 10,000 sessions"
    return f"10,000 x initialize and DELETE, RSS {grown // 1024:+} KiB"


@sleeps
async def p20_who_sends_nothing_is_let_go():
    async with Server() as server:
        async def silent_stream():
            conn = await Conn.open(server.port)
            await conn.stream("GET", "/sse")
            start = time.monotonic()
            events = [e async for e in conn.events()]
            took = time.monotonic() - start
            assert 29 <= took <= 33, f"a stream without initialize ended after {took:.1f} s, not 30"
            assert any(e.comment for e in events[-2:]), f"no comment tells that it ends: {events}"

        async def half(data, low, high, what):
            conn = await Conn.open(server.port)
            await conn.send(data)
            answer, took = await timed(conn.reader.read())
            assert low <= took <= high, f"half a {what}: ended after {took:.1f} s, not {low} to {high}"
            assert answer == b"" or answer.startswith(b"HTTP/1.1 408 "), answer

        await asyncio.gather(
            silent_stream(), half(b"POST /mcp HT", 9, 12, "request line"),
            half(request("POST", "/mcp", [("Accept", BOTH)], initialize())[:-20], 29, 33, "body"))
        await server.settle(0)
    return "30 s to initialise, 10 s for a head, 30 s for a body"


@sleeps
async def p22_no_idle_timer_ends_a_call():
    async with Server("--session-idle", 2, "--log-level", "debug") as server:
        async def expires(session, done):
            """Alive a second after completion (one look at the table is no activity), gone three seconds after it."""
            await asyncio.sleep(max(0, done + 3.2 - time.monotonic()))
            reply = await session.status(ping())
            assert reply.status == 404, f"3 s after completion the session should be gone: {reply}"

        async def plain(version, accept):
            s = await Streamable.open(server, version)
            messages, took = await timed(s.post(call(1, "slow", seconds=10, text="commit"), accept))
            assert "commit" in said(messages[-1]) and 9.9 < took < 12, (took, messages)
            return s

        async def streaming():
            s = await plain(LATEST, BOTH)
            await expires(s, time.monotonic())

        async def json_mode():
            s = await plain("2025-06-18", JSON)
            done = time.monotonic()
            await asyncio.sleep(1)
            assert (await s.status(ping())).status == 200, "1 s after completion the session should live"
            await expires(s, done + 1)

        async def legacy():
            s = await Legacy.open(server)
            answer, took = await timed(s.call(call(1, "slow", seconds=10, text="commit")))
            assert "commit" in said(answer) and took > 9.9
            await asyncio.sleep(4)
            assert said(await s.call(call(2, "echo", text="still"))) == "still"   # an open stream is life
            s.close()

        async def silent_get():
            s = await Streamable.open(server)
            conn = await Conn.open(server.port)
            await conn.stream("GET", "/mcp", s.headers(SSE))
            messages = await s.post(call(1, "slow", seconds=10, text="commit"), JSON)
            assert "commit" in said(messages[-1])
            await asyncio.sleep(4)
            assert (await s.status(ping())).status == 200, "an open GET stream is life"
            conn.close()
            await expires(s, time.monotonic())

        async def cut(version, token, delivered):
            s = await Streamable.open(server, version)
            conn = await Conn.open(server.port)
            start, last = time.monotonic(), None
            await conn.send(request("POST", "/mcp", s.headers(), call(1, "slow", token, seconds=10, text="commit")))
            reply = None
            try:
                async with asyncio.timeout(1 if token is None else 4):
                    reply = await conn.head()
                    while event := await conn.event():
                        last = event.id or last
                        if token is not None and event.data:
                            break
            except TimeoutError:
                pass
            await asyncio.sleep(max(0, start + 1 - time.monotonic()))
            conn.reset()
            if not delivered:
                await asyncio.sleep(max(0, start + 11 - time.monotonic()))
                return
            assert last, f"{version}: no event id within the first second: {reply}"
            for late in (False, True):   # while it runs, and after it is done
                again = await Conn.open(server.port)
                if late:
                    await asyncio.sleep(max(0, start + 10.5 - time.monotonic()))
                await again.stream("GET", "/mcp", s.headers(SSE, ("Last-Event-ID", last)))
                if not late:
                    await asyncio.sleep(0.5)
                    again.reset()
                    continue
                answers = [m async for e in again.events() if (m := e.message()) and m.get("id") == 1]
                assert len(answers) == 1 and "commit" in said(answers[0]), f"{version}: {answers}"
                again.close()

        before = undeliverable(await server.gauges())
        await asyncio.gather(streaming(), json_mode(), legacy(), silent_get(), cut(LATEST, None, True),
                             cut("2025-06-18", "t", True), cut("2025-06-18", None, False))
        lost = undeliverable(await server.gauges()) - before
        assert lost == 1, f"one silent older call was cut; {lost} counted undeliverable"
    return "10 s calls, 2 s limit: streaming, JSON, HTTP+SSE, silent GET, cut at 1 s"


@sleeps
async def p26_a_session_outlives_its_connections():
    async with Server() as server, Server("--session-idle", 3) as brief:
        async def lasts():
            s = await Streamable.open(server)
            await asyncio.sleep(8)
            reply = await s.status({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
            assert reply.status == 200, f"8 s after its last connection closed: {reply}"

        async def attaches():
            s = await Streamable.open(brief)
            for _ in range(3):
                conn = await Conn.open(brief.port)
                await conn.stream("GET", "/mcp", s.headers(SSE))
                conn.reset()
                await asyncio.sleep(1)
                assert (await s.status(ping())).status == 200, "a reset GET stream took its session along"
            await asyncio.sleep(3.7)
            assert (await s.status(ping())).status == 404, "the idle limit did not start when the stream was lost"

        await asyncio.gather(lasts(), attaches())
    return "8 s without a connection; GET streams reset and attached again"


@quick
async def p27_a_second_get_replaces_the_first():
    async with Server() as server:
        s = await Streamable.open(server)
        running = asyncio.create_task(s.post(call(5, "slow", seconds=1.5, text="untouched")))
        first = await Conn.open(server.port, receive_buffer=2048)
        await first.stream("GET", "/mcp", s.headers(SSE))
        second = await Conn.open(server.port)
        _, took = await timed(second.stream("GET", "/mcp", s.headers(SSE)))
        within(took, 0.5, "the second GET")
        async with asyncio.timeout(5):
            while await first.event():
                pass
        base, files, conns = server.rss(), server.descriptors(), []
        for _ in range(100):
            conns.append(await Conn.open(server.port))
            await conns[-1].stream("GET", "/mcp", s.headers(SSE))
        assert "untouched" in said((await running)[-1])
        await asyncio.sleep(0.3)
        assert await server.sessions() == 1
        for conn in conns[:-1]:
            async with asyncio.timeout(5):
                while await conn.event():
                    pass
            conn.close()
        first.close()
        second.close()
        await asyncio.sleep(0.3)
        grown = server.rss() - base
        assert grown <= MIB, f"100 GETs grew RSS by {grown}"
        assert server.descriptors() <= files + 2, (files, server.descriptors())
        conns[-1].close()
    return f"200 at once ({took * 1000:.1f} ms), the first ends, 100 more leave one stream"


# --- Calls: cancel, slow readers ----------------------------------------------------------------------


@sleeps
async def p31_a_cancel_that_races_its_answer_gives_one_or_none():
    async with Server() as server:
        answered = [0, 0]

        async def legacy(n):
            s = await Legacy.open(server)
            for k in range(80):
                id = 100 + k
                await s.post(call(id, "slow", seconds=0.02, text="x"))
                await asyncio.sleep(0.014 + (k % 17) / 2000)
                await s.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}})
            await asyncio.sleep(0.3)
            for k in range(80):
                count = sum(1 for m in s.messages if m.get("id") == 100 + k)
                assert count <= 1, f"{count} answers to one request"
                answered[0] += count
            assert said(await s.call(call(1, "echo", text="alive"))) == "alive"
            s.close()

        async def streamable(n):
            s = await Streamable.open(server)
            conn = await Conn.open(server.port)
            for k in range(80):
                message = call(100 + k, "slow", seconds=0.02, text="x")
                task = asyncio.create_task(s.status(message))
                await asyncio.sleep(0.016 + (k % 17) / 2000)
                cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 100 + k}}
                reply = await s.status(cancel, conn=conn)
                assert reply.status == 202, reply
                reply = await asyncio.wait_for(task, 5)
                assert reply.status in (200, 202, 204), reply
                assert reply.body.count(b'"jsonrpc"') <= 1, reply
                answered[1] += reply.body.count(b'"result"')
            assert said((await s.post(call(1, "echo", text="alive"), conn=conn))[-1]) == "alive"
            conn.close()

        await pace(63, 25, legacy)
        await pace(63, 25, streamable)
    return f"2 x 5,040 cancels: {answered[0]} and {answered[1]} answered, none twice"


@quick
async def p39_a_client_that_never_reads_costs_its_neighbour_nothing():
    async def measure():
        async with Server("--write-wait", 5) as server:
            stuck = await Legacy.open(server, conn=await Conn.open(server.port, receive_buffer=4096))
            stuck.task.cancel()
            stuck.conn.writer.transport.pause_reading()
            base, done = server.rss(), asyncio.Event()
            statuses = {}

            async def flood():
                text = "x" * 20_000
                # The stall is counted from the last byte taken, and a kernel whose application reads nothing may still
                # take some with its window probe after 5 s.
                end = time.monotonic() + 20
                for n in range(10_000_000):
                    assert time.monotonic() < end, f"after 20 s not cut at a write stall of 5 s: {statuses}"
                    if done.is_set():
                        await asyncio.sleep(0.1)
                    try:
                        status = (await stuck.post(call(n, "echo", text=text))).status
                    except (asyncio.IncompleteReadError, ConnectionError):
                        stuck.poster, status = None, "closed"
                    statuses[status] = statuses.get(status, 0) + 1
                    if status == 404:
                        return

            flooding = asyncio.create_task(flood())
            neighbour = await Legacy.open(server)
            waits, high = [], 0
            for n in range(1000):
                answer, took = await timed(neighbour.call(call(1000 + n, "echo", text=str(n))))
                assert said(answer) == str(n)
                waits.append(took)
                high = max(high, server.rss() - base)
            done.set()
            await flooding
            p99 = statistics.quantiles(waits, n=100)[98]
            assert high <= 4 * MIB, f"RSS grew by {high} bytes for one client that does not read"
            counters = (await server.gauges())["counters"]
            assert counters["slow_consumers"] == 1, counters
            assert "slow_consumer" in server.log(), "no word of the slow consumer in the log"
            neighbour.close()
            stuck.close(reset=True)
            within(p99, 0.020, "the neighbour's 99th percentile")
            return f"neighbour's p99 {p99 * 1000:.1f} ms, RSS {high // 1024:+} KiB, POSTs of the stuck one {statuses}"

    return await best_of_three(measure)


# --- Bytes on the wire --------------------------------------------------------------------------------


@quick
async def p45_only_the_newest_session_revision_is_primed():
    async with Server() as server:
        for version in ("2024-11-05", "2025-03-26", "2025-06-18", LATEST):
            s = await Streamable.open(server, version)
            conn = await Conn.open(server.port)
            await conn.stream("POST", "/mcp", s.headers(), call(1, "slow", seconds=1, text="x"))
            events = [e async for e in conn.events() if e.comment is None]
            conn.close()
            if version == LATEST:
                assert events[0].id and events[0].data == "", f"{version} is primed: {events}"
                events = events[1:]
            for event in events:
                assert event.message(), f"{version}: {event} is not JSON"
            assert said(events[-1].message())
    return "2025-11-25 is, three older ones are not"


@sleeps
async def p46_an_idle_stream_carries_comments_only_and_one_every_fifteen_seconds():
    async with Server() as server:
        session, legacy = await Streamable.open(server), await Conn.open(server.port)
        conn = await Conn.open(server.port)
        await conn.stream("GET", "/mcp", session.headers(SSE))
        await legacy.stream("GET", "/sse")
        poster = await Conn.open(server.port)
        path = (await legacy.event()).data
        await poster.ask("POST", path if path.startswith("/") else "/sse" + path, [], initialize("2024-11-05"))
        poster.close()
        # A silent call of 70 s on a POST stream: P33's case.
        silent = await Conn.open(server.port)
        older = await Streamable.open(server, "2025-06-18")
        await silent.send(request("POST", "/mcp", older.headers(), call(1, "slow", seconds=70, text="long")))
        start = time.monotonic()
        await silent.head()

        async def listen(conn, until):
            gaps, last, answers = [], start, 0
            try:
                async with asyncio.timeout(until - (time.monotonic() - start)):
                    async for event in conn.events():
                        gaps.append(event.at - last)
                        last = event.at
                        if event.data:
                            answers += event.message()["jsonrpc"] == "2.0"
            except TimeoutError:
                gaps.append(time.monotonic() - last)
            assert max(gaps) < 16.5, f"a gap of {max(gaps):.1f} s"
            return answers

        counts = await asyncio.gather(listen(conn, 120), listen(legacy, 120), listen(silent, 75))
        assert counts == [0, 1, 1], f"messages on the GET, the HTTP+SSE and the POST stream: {counts}"
        for c in (conn, legacy, silent):
            c.close()
    return "120 s of two idle streams, 70 s of a silent call (P33): never 16.5 s without a byte"


@sleeps
async def p53_a_kept_connection_survives_two_quiet_minutes():
    async with Server() as server:
        s = await Streamable.open(server)
        conn = await Conn.open(server.port)
        reply = await s.status(ping(), conn=conn)
        await asyncio.sleep(122)
        again = await s.status(ping(2), conn=conn)
        assert again.status == 200 and again.json()["id"] == 2, again
        conn.close()
    return f"122 s; it says Keep-Alive: {reply.header('keep-alive')}"


@quick
async def p54_pipelined_posts_are_answered_in_order_wherever_they_are_split():
    async with Server() as server:
        s = await Streamable.open(server)
        data = b"".join(request("POST", "/mcp", s.headers(JSON), call(n, "echo", text=f"n{n}")) for n in (1, 2, 3))

        async def send(*parts):
            for n, part in enumerate(parts):
                if n:
                    await asyncio.sleep(0.001)
                await conn.send(part)
            for n in (1, 2, 3):
                reply = await conn.rest(await conn.head())
                assert reply.status == 200 and said(reply.json()) == f"n{n}", (n, [len(p) for p in parts], reply)

        conn = await Conn.open(server.port)
        _, whole = await timed(send(data))
        for cut in range(1, len(data)):
            await send(data[:cut], data[cut:])
        conn.close()

        async def measure():
            nonlocal conn
            conn = await Conn.open(server.port)
            _, took = await timed(send(data))
            conn.close()
            within(took, 0.050, "three requests in one segment")

        await best_of_three(measure)
    return f"split at each of {len(data) - 1} bytes; whole {whole * 1000:.1f} ms"


@quick
async def p57_every_stream_forbids_buffering_and_compression():
    async with Server() as server:
        s = await Streamable.open(server)
        accept_encoding = ("Accept-Encoding", "gzip, br, deflate, zstd")
        conns, heads = [], {}

        async def look(name, method, path, headers, body=None):
            conns.append(await Conn.open(server.port))
            heads[name] = await conns[-1].stream(method, path, [*headers, accept_encoding], body)

        await look("GET /sse", "GET", "/sse", [("Accept", SSE)])
        await look("GET /mcp", "GET", "/mcp", s.headers(SSE))
        await look("POST", "POST", "/mcp", s.headers(), call(1, "slow", seconds=1, text="x"))
        last = None
        async for event in conns[-1].events():
            last = last or event.id
        await look("replay", "GET", "/mcp", s.headers(SSE, ("Last-Event-ID", last)))
        for name, head in heads.items():
            cache = (head.header("cache-control") or "").replace(" ", "").split(",")
            assert "no-cache" in cache and "no-transform" in cache, f"{name}: {head}"
            assert head.header("x-accel-buffering") == "no", f"{name}: {head}"
            assert head.header("content-encoding") is None and head.header("content-length") is None, f"{name}: {head}"
        for conn in conns:
            conn.close()
    return ", ".join(heads)


@quick
async def p59_a_stream_shows_its_first_bytes_at_once():
    async def measure():
        async with Server() as server:
            s = await Streamable.open(server)
            worst = 0
            for path, headers in (("/sse", [("Accept", SSE)]), ("/mcp", s.headers(SSE))) * 5:
                conn = await Conn.open(server.port)

                async def first():
                    await conn.stream("GET", path, headers)
                    return await conn.event()

                event, took = await timed(asyncio.wait_for(first(), 5))
                assert event is not None, f"GET {path} ended at once"
                worst = max(worst, took)
                conn.close()
            within(worst, 0.050, "headers and a first block")
            return f"within {worst * 1000:.1f} ms"

    return await best_of_three(measure)


@bulk
async def p61_nothing_is_left_half_closed():
    async with Server("--session-idle", 5) as server:
        s = await Streamable.open(server)
        await asyncio.sleep(0.2)
        base = server.descriptors()
        states = {
            "nothing": b"",
            "request line": b"POST /mcp HT",
            "head": request("POST", "/mcp", s.headers(), ping())[:60],
            "body": request("POST", "/mcp", s.headers(), ping())[:-10],
            "answered": request("POST", "/mcp", s.headers(), ping()),
            "tool": request("POST", "/mcp", s.headers(), call(1, "slow", seconds=0.5, text="x")),
            "JSON tool": request("POST", "/mcp", s.headers(JSON), call(1, "slow", seconds=0.5, text="x")),
            "SSE stream": request("GET", "/sse", [("Accept", SSE)]),
            "GET stream": request("GET", "/mcp", s.headers(SSE)),
        }

        async def fin(n):
            data = list(states.values())[n % len(states)]
            conn = await Conn.open(server.port)
            if data:
                await conn.send(data)
            await asyncio.sleep(0.02 * (n % 3))
            conn.close()

        await pace(1000, 50, fin)
        end = time.monotonic() + 8
        while (waiting := server.in_state("08")) or server.descriptors() > base:
            assert time.monotonic() < end, f"{waiting} in CLOSE-WAIT, {server.descriptors()} descriptors ({base} before)"
            await asyncio.sleep(0.1)
    return f"1,000 FINs in {len(states)} states: no CLOSE-WAIT, {base} descriptors as before"


@sleeps
async def p70_two_hundred_dripping_connections_are_cut_and_bother_nobody():
    async with Server() as server:
        async def drip(n):
            conn = await Conn.open(server.port)
            start = time.monotonic()
            for byte in request("POST", "/mcp", [("Accept", BOTH)], ping()):
                try:
                    await conn.send(bytes([byte]))
                    async with asyncio.timeout(5):
                        await conn.reader.read()
                    break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
            took = time.monotonic() - start
            assert 9 <= took <= 16, f"cut after {took:.1f} s, not 10"
            conn.close()

        async def others():
            s, worst = await Streamable.open(server), 0
            for n in range(100):
                messages, took = await timed(s.post(call(n, "echo", text="x")))
                assert said(messages[-1]) == "x"
                worst = max(worst, took)
                await asyncio.sleep(0.1)
            return worst

        worst, *_ = await asyncio.gather(others(), *map(drip, range(200)))
        assert worst < 1, f"a neighbour's call took {worst:.2f} s"
    return f"cut after 10 s; a neighbour's call took {worst * 1000:.1f} ms at worst"


# --- Operation ------------------------------------------------------------------------------------------


@sleeps
async def p78_shutdown_delivers_and_ends_within_its_grace():
    async def first_signal():
        async with Server() as server:
            streams = [await Legacy.open(server) for _ in range(50)]
            raw = []
            for _ in range(50):
                s = await Streamable.open(server)
                raw.append(await Conn.open(server.port))
                await raw[-1].stream("GET", "/mcp", s.headers(SSE))
            s = await Streamable.open(server)
            calls = [asyncio.create_task(s.post(call(n, "slow", seconds=1, text=f"n{n}"), (BOTH, JSON)[n % 2])) for n in range(4)]
            calls.append(asyncio.create_task(streams[0].call(call(4, "slow", seconds=1, text="n4"))))
            kept = await Conn.open(server.port)
            await kept.ask("POST", "/mcp", s.headers(), ping())
            await asyncio.sleep(0.3)
            start = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.15)
            try:
                (await Conn.open(server.port)).close()
                raise AssertionError("the listener is still open after SIGTERM")
            except OSError:
                pass
            try:
                reply = await kept.ask("POST", "/mcp", s.headers(), ping())
                assert reply.status == 503 and (reply.header("connection") or "").lower() == "close", f"while draining: {reply}"
            except (asyncio.IncompleteReadError, ConnectionError):
                pass   # an idle connection may have been closed already
            for n, answer in enumerate(await asyncio.gather(*calls)):
                assert f"n{n}" in said(answer[-1] if n < 4 else answer), answer
            await asyncio.wait_for(server.process.wait(), 10)
            took = time.monotonic() - start
            assert server.process.returncode == 0, server.process.returncode
            for conn in raw:
                events = [e async for e in conn.events()]
                assert conn.clean_end, "a stream was cut instead of ended"
                assert any(e.retry for e in events) and any(e.comment is not None for e in events), events
            for stream in streams:
                stream.close()
            return took

    async def second_signal():
        async with Server() as server:
            s = await Streamable.open(server)
            task = asyncio.create_task(s.post(call(1, "slow", seconds=30, text="x")))
            await asyncio.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
            assert server.process.returncode is None, "a running call was not waited for"
            server.process.send_signal(signal.SIGINT)
            _, took = await timed(asyncio.wait_for(server.process.wait(), 5))
            assert took < 1, f"the second signal took {took:.2f} s"
            await asyncio.gather(task, return_exceptions=True)

    took = await first_signal()
    await second_signal()
    return f"100 streams and 5 calls: over in {took:.2f} s; a second signal ends at once"


@quick
async def p79_one_fingerprint_tells_the_whole_story_and_no_id_leaks():
    async with Server("--log-level", "trace", "--session-idle", 1) as server:
        s = await Streamable.open(server)
        legacy = await Legacy.open(server)
        known = (await server.gauges())["sessions"]
        assert len(known) == 2, known
        await s.post(call(41, "echo", text="find-me"))
        await s.post(call(42, "no-such-tool"))
        running = asyncio.create_task(s.post(call(43, "slow", seconds=1, text="x")))
        await asyncio.sleep(0.5)
        shown = str(await server.gauges())
        assert "'slow'" in shown and "'pains'" in shown, f"the running call or the client is not shown: {shown}"
        await running
        legacy.close()
        await asyncio.sleep(2.5)
        ended = str(await server.gauges())
        log = server.log()
        for secret in (s.sid, legacy.sid, str(uuid.UUID(s.sid)) if len(s.sid) == 32 else s.sid):
            for where, text in (("the log", log), ("/debug/sessions", shown + ended)):
                assert secret not in text, f"a whole session id is in {where}"
        assert "session_id=" not in log, "a query string is in the log"
        for one in known:
            mark = one["session"]
            lines = [line for line in log.splitlines() if mark in line]
            assert len(lines) >= 2, f"the log has {len(lines)} lines of session {mark}"
        assert "idle" in ended, f"no reason is shown for the ended: {ended}"
    return "log and debug view agree, by fingerprint only"


@bulk
async def i07_ten_thousand_idle_streams_cost_at_most_four_kib_each():
    """Item 7 of the first part's list, not of PAINS: user-space memory, idle CPU, no loop stall."""
    count = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200)

    async def opened(server):
        conns = []

        async def stream(n):
            conn = await Conn.open(server.port)
            conns.append(conn)
            await conn.stream("GET", "/sse")
            path = (await conn.event()).data
            poster = await Conn.open(server.port)
            reply = await poster.ask("POST", path if path.startswith("/") else "/sse" + path, [], initialize("2024-11-05"))
            assert reply.status == 202, reply
            poster.reset()

        await pace(count, 16, stream)
        for conn in conns:
            conn.writer.transport.pause_reading()   # this side must not be what is measured
        await asyncio.sleep(2)
        return conns

    async def closed(server, conns):
        for conn in conns:
            conn.reset()
        end = time.monotonic() + 10
        while server.descriptors() > 50:
            assert time.monotonic() < end, f"{server.descriptors()} descriptors are left"
            await asyncio.sleep(0.1)
        await asyncio.sleep(3)   # memory is given back when nobody goes any more
        return server.rss()

    # As the unit in packaging/ has it: what glibc caches lies behind what is free, and keeps it.
    async with Server(env={"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}) as server:
        base = server.rss()
        conns = await opened(server)
        each, cpu = (server.rss() - base) / count, server.cpu()
        await asyncio.sleep(30)   # two rounds of keep-alives
        share = (server.cpu() - cpu) / 30
        left = [await closed(server, conns) - base]
        for _ in range(2):
            left.append(await closed(server, await opened(server)) - base)
        shown = await server.gauges()   # only now: a look at 10,000 sessions is work and memory of its own
        late = {k: v for k, v in shown["counters"].items() if "stall" in k or "late" in k}
        assert shown["gauges"]["sessions"] == 0, shown["gauges"]
        assert each <= 4096, f"{each:.0f} bytes of RSS per session"
        # Told, not asserted: the kernel's share of a write to loopback is the machine's affair. The goal is 1 %.
        assert max(left) <= 3 * MIB, f"after they close, {left} bytes more than at the start stay"
        assert late["loop_stalls"] == 0, f"the loop stalled: {late}"

    kib = [f"{bytes // 1024:+}" for bytes in left]
    return (f"{count} streams, {each:.0f} bytes each, {share:.2%} CPU while idle (goal 1 %); after three crowds have gone "
            f"{', '.join(kib)} KiB; {late}")


@bulk
async def i08_a_look_at_five_thousand_sessions_holds_nobody_up():
    """What an operator sees must not cost those who are seen: no stall over 20 ms, no memory beyond reason."""
    async def measure():
        async with Server() as server:
            opened = []

            async def one(n):
                opened.append(await Streamable.open(server))

            await pace(5100, 1, one)
            for session in opened[:100]:
                await session.delete()
            probe, waits, base = await Conn.open(server.port), [], server.rss()

            async def ping_on():
                while True:
                    _, took = await timed(probe.ask("GET", "/healthz"))
                    waits.append(took)
                    await asyncio.sleep(0.001)

            pinging = asyncio.create_task(ping_on())
            await asyncio.sleep(0.5)
            quiet = max(waits)
            looking = await asyncio.create_subprocess_exec(   # another process, whose parsing does not delay the pings
                sys.executable, "-c", "import sys, json, urllib.request; text = urllib.request.urlopen(sys.argv[1]).read();"
                "assert len(json.loads(text)['sessions']) == 5000; print(len(text))",
                f"http://127.0.0.1:{server.debug}/debug/sessions", stdout=asyncio.subprocess.PIPE)
            size = int((await looking.communicate())[0] or 0)
            assert size, "what /debug/sessions shows is not JSON, or not of 5,000 sessions"
            await asyncio.sleep(0.2)
            pinging.cancel()
            grown = server.rss() - base
            assert grown <= 16 * MIB, f"a view of {size} bytes grew RSS by {grown}"
            within(max(waits) - quiet, 0.020, f"a ping beside a view of {size} bytes, beyond one without,")
            return f"{size // 1024} KiB shown, pings {quiet * 1000:.1f} ms before, {max(waits) * 1000:.1f} ms meanwhile, RSS {grown // 1024:+} KiB"

    return await best_of_three(measure)


# --- What the debug view calls things ---------------------------------------------------------------------


def undeliverable(shown):
    return shown["counters"]["responses_undeliverable"]


def gauge_numbers(shown):
    """What must be back at base when nothing is open but the operator's own connection."""
    return {k: v for k, v in shown["gauges"].items() if not k.endswith("_idle")}


class open_token_file:
    def __enter__(self):
        self.path = f"/tmp/portcullis-pains-{os.getpid()}.tokens"
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(fd, b"the-right-token-of-this-test\n")
        os.close(fd)
        return self.path

    def __exit__(self, *_):
        os.unlink(self.path)


# --- Running them ---------------------------------------------------------------------------------------


async def run(f, failed):
    name = f.__name__[:3].upper()
    start = time.monotonic()
    try:
        told = await asyncio.wait_for(f(), 200)
        print(f"{name} ok ({told}; {time.monotonic() - start:.1f} s)", flush=True)
    except Exception as e:
        failed.append(name)
        trace = "".join(traceback.format_exception(e))
        print(f"{name} FAILED after {time.monotonic() - start:.1f} s: {f.__name__}\n{trace}", flush=True)


async def main(wanted):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    failed = []
    chosen = [[f for f in group if not wanted or f.__name__[:3].upper() in wanted] for group in (QUICK, SLEEPS, BULK)]
    for f in chosen[0]:
        await run(f, failed)
    await asyncio.gather(*(run(f, failed) for f in chosen[1]))
    for f in chosen[2]:
        await run(f, failed)
    total = sum(map(len, chosen))
    print(f"{total - len(failed)} of {total} ok" + (f"; FAILED: {' '.join(failed)}" if failed else ""))
    return 1 if failed or not total else 0


if __name__ == "__main__":
    if "--list" in sys.argv:
        for f in QUICK + SLEEPS + BULK:
            print(f.__name__[:3].upper(), f.__name__[4:].replace("_", " "))
        sys.exit(0)
    sys.exit(asyncio.run(main({a.upper() for a in sys.argv[1:]})))
