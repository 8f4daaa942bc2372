"""Drives the `conformance` example through every revision and has a judge read all that it sends.

usage: exchanges.py SCHEMA_FOLDER [REVISION...]        (ECHO names the program)

For each revision a server of its own: HTTP+SSE for 2024-11-05, Streamable HTTP for the next three, stateless
requests for 2026-07-28. Prints the exchanges, the messages judged, and every violation with its exchange.
"""
import asyncio
import json
import pathlib
import signal
import sys
import traceback

from judge import ASKS, FAILED, META, MODERN, NOTHING, OK, Judge
from peer import BOTH, HttpSse, Stateless, Streamable

from wire import Conn, Server, request

WATCHED = "test://watched-resource"
PROMPT = {"type": "ref/prompt", "name": "test_prompt_with_arguments"}
TEMPLATE = {"type": "ref/resource", "uri": "test://template/{id}/data"}
# An input that does not fit may be refused by the protocol or by the tool.
REFUSED = (-32602, FAILED)
EXCHANGES_MIN = 40


async def lists(peer):
    found = {}
    for method, member in (("tools/list", "tools"), ("resources/list", "resources"), ("prompts/list", "prompts"),
                           ("resources/templates/list", "resourceTemplates")):
        cursor, page = None, 0
        while page == 0 or cursor is not None:
            page += 1
            params = {} if cursor is None else {"cursor": cursor}
            answer = await peer.ask(f"{method}, page {page}", method, params)
            result = (answer or {}).get("result", {})
            found.setdefault(member, []).extend(result.get(member, []))
            cursor = result.get("nextCursor")
        if not found[member]:
            peer.judge.trouble(f"{method} is empty")
        await peer.ask(f"{method}, bad cursor", method, {"cursor": "no such cursor"}, -32602)
        await peer.ask(f"{method}, cursor of another type", method, {"cursor": 7}, -32602)
    return found


async def tools(peer, listed):
    await peer.call("tool without arguments", "test_simple_text")
    for tool in ("test_image_content", "test_audio_content", "test_embedded_resource", "test_multiple_content_types"):
        await peer.call(tool, tool, {})
    await peer.call("tool that fails", "test_error_handling", {}, FAILED)
    for token in ("progress-test-1", 7):
        since = len(peer.notes)
        await peer.call(f"progress, token {token!r}", "test_tool_with_progress", {}, token=token)
        notes = [note["params"] for note in peer.notes[since:] if note["method"] == "notifications/progress"]
        if len(notes) < 3 or any(note["progressToken"] != token for note in notes):
            peer.judge.trouble(f"expected 3 notes or more with {token!r}, got {notes}")
    await peer.call("no progress unless asked", "test_tool_with_progress", {})
    await peer.call("tool with a rich schema", "json_schema_2020_12_tool", {"name": "a", "contactMethod": "email", "email": "a@b.c"})
    await peer.call("tool with a rich schema, wrong types", "json_schema_2020_12_tool", {"name": 1, "email": 2}, REFUSED)
    await peer.call("unknown tool", "no_such_tool", {}, -32602)
    await peer.call("arguments that are a list", "test_simple_text", [1], -32602)
    await peer.call("a required argument is missing", "test_sampling", {}, REFUSED)
    await peer.ask("tools/call without a name", "tools/call", {"arguments": {}}, -32602)
    await peer.ask("unknown method", "no/such/method", {}, -32601)
    for tool in listed["tools"]:
        for name, field in tool["inputSchema"].get("properties", {}).items():
            if isinstance(field, dict) and "x-mcp-header" in field and field.get("type") == "string":
                required = tool["inputSchema"].get("required", [])
                plain = {"string": "test-default", "integer": 0, "number": 0, "boolean": False}
                rest = {other: plain[tool["inputSchema"]["properties"][other]["type"]] for other in required if other != name}
                return tool["name"], {**rest, name: "Hello"}, "Mcp-Param-" + field["x-mcp-header"]
    peer.judge.trouble("no tool has a string with x-mcp-header")
    return None


async def resources(peer):
    gone = -32602 if peer.modern else -32002
    for uri in ("test://static-text", "test://static-binary", "test://template/123/data", WATCHED):
        await peer.ask(f"resources/read {uri}", "resources/read", {"uri": uri})
    await peer.ask("unknown resource", "resources/read", {"uri": "test://nonexistent-resource"}, gone)
    await peer.ask("resources/read without uri", "resources/read", {}, -32602)
    await peer.ask("resources/read, uri of another type", "resources/read", {"uri": 7}, -32602)


async def prompts(peer):
    for name, arguments in (("test_simple_prompt", None), ("test_prompt_with_arguments", {"arg1": "one", "arg2": "two"}),
                            ("test_prompt_with_embedded_resource", {"resourceUri": "test://static-text"}),
                            ("test_prompt_with_image", None)):
        await peer.ask(name, "prompts/get", {"name": name, **({} if arguments is None else {"arguments": arguments})})
    await peer.ask("prompt, argument missing", "prompts/get", {"name": "test_prompt_with_arguments", "arguments": {"arg1": "one"}}, -32602)
    await peer.ask("prompt, argument of another type", "prompts/get", {"name": "test_prompt_with_arguments", "arguments": {"arg1": 1, "arg2": 2}}, -32602)
    await peer.ask("unknown prompt", "prompts/get", {"name": "no_such_prompt"}, -32602)
    await peer.ask("prompts/get without a name", "prompts/get", {}, -32602)


async def completion(peer):
    async def complete(name, ref, argument, want=OK, **more):
        await peer.ask(name, "completion/complete", {"ref": ref, "argument": argument, **more}, want)
    await complete("completion of a prompt's argument", PROMPT, {"name": "arg1", "value": "test"})
    await complete("completion with a context", PROMPT, {"name": "arg2", "value": ""}, context={"arguments": {"arg1": "testValue1"}})
    await complete("completion of a template's variable", TEMPLATE, {"name": "id", "value": "1"}, None)
    await complete("completion of an unknown prompt", {"type": "ref/prompt", "name": "no_such_prompt"}, {"name": "a", "value": ""}, -32602)
    await complete("completion of an unknown kind", {"type": "ref/nothing"}, {"name": "a", "value": ""}, -32602)
    await peer.ask("completion without an argument", "completion/complete", {"ref": PROMPT}, -32602)


async def asking(peer, revision):
    """The server's own requests, answered in every way."""
    elicits = revision in ("2025-06-18", "2025-11-25")
    for mood in ("accept", "decline", "cancel", "error"):
        peer.mood = mood
        served = OK if elicits and mood != "error" else (OK, FAILED) if elicits else (FAILED, -32602, -32603)
        await peer.call(f"elicitation, {mood}", "test_elicitation", {"message": "Who?"}, served)
    for mood in ("accept", "error"):
        peer.mood = mood
        await peer.call(f"sampling, {mood}", "test_sampling", {"prompt": "capital of France?"}, OK if mood == "accept" else (OK, FAILED))
        await peer.call(f"roots, {mood}", "test_input_required_result_list_roots", {}, None)
    peer.mood = "accept"
    await peer.call("elicitation with defaults", "test_elicitation_sep1034_defaults", {}, OK if revision == "2025-11-25" else None)
    await peer.call("elicitation of choices", "test_elicitation_sep1330_enums", {}, OK if revision == "2025-11-25" else None)
    await peer.call("tool of the other era that asks", "test_input_required_result_elicitation", {}, None)
    await peer.ask("prompt of the other era that asks", "prompts/get", {"name": "test_input_required_result_prompt"}, None)


async def changes(peer):
    """What comes on the session's own stream."""
    for what in ("tool", "prompt"):
        since = len(peer.notes)
        await peer.call(f"{what}s change", f"test_trigger_{what}_change", {})
        await peer.told(f"notifications/{what}s/list_changed", since)
    await peer.ask("subscribe", "resources/subscribe", {"uri": WATCHED})
    since = len(peer.notes)
    await peer.call("a watched resource is updated", "test_update_watched_resource", {})
    await peer.told("notifications/resources/updated", since)
    await peer.ask("unsubscribe", "resources/unsubscribe", {"uri": WATCHED})
    since = len(peer.notes)
    await peer.call("a resource that nobody watches is updated", "test_update_watched_resource", {})
    await asyncio.sleep(0.2)
    if peer.count("notifications/resources/updated", since):
        peer.judge.trouble("told of a resource that is not watched")
    await peer.ask("unsubscribe again", "resources/unsubscribe", {"uri": WATCHED}, None)
    await peer.ask("subscribe without uri", "resources/subscribe", {}, -32602)
    await peer.ask("subscribe to an unknown resource", "resources/subscribe", {"uri": "test://nonexistent-resource"}, None)


async def logs(peer):
    for level, least in (("debug", 3), ("emergency", 0), ("info", 3)):
        await peer.ask(f"logging/setLevel {level}", "logging/setLevel", {"level": level})
        since = len(peer.notes)
        await peer.call(f"tool that logs, at {level}", "test_tool_with_logging", {})
        count = peer.count("notifications/message", since)
        if count < least or least == 0 and count:
            peer.judge.trouble(f"{count} log messages at {level}")
    await peer.ask("logging/setLevel of no level", "logging/setLevel", {"level": "loud"}, -32602)
    await peer.ask("logging/setLevel without a level", "logging/setLevel", {}, -32602)


async def cancellation(peer):
    async def cancel():
        await asyncio.sleep(0.3)
        await peer.accepted({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "slow-1", "reason": "enough"}})
    later = asyncio.create_task(cancel())
    peer.judge.begin("a cancelled call")
    message = peer.message("tools/call", {"name": "test_slow", "arguments": {"ms": 4000}}, "slow-1")
    try:
        async with asyncio.timeout(2):
            await peer.post(message)
            answer = await peer.answer(message)
    except TimeoutError:
        answer = None
    await later
    peer.judge.expect(answer, (NOTHING, -32800))
    await peer.call("a slow call that ends", "test_slow", {"ms": 50})
    await peer.tell("notifications/cancelled for nothing", "notifications/cancelled", {"requestId": 99999})


async def session_basics(peer, kind):
    for id in ("a string", 0, -1, 9007199254740991, ""):
        answer = await peer.ask(f"ping, id {id!r}", "ping", id=id)
        if answer and answer.get("id") != id:
            peer.judge.trouble(f"the id is {answer.get('id')!r}, expected {id!r}")
    await peer.ask("ping with _meta", "ping", {"_meta": {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}})
    await peer.tell("notifications/roots/list_changed", "notifications/roots/list_changed")
    await peer.ask("server/discover is of another era", "server/discover", {}, -32601)
    await peer.raw("no JSON", b"{", -32700)
    await peer.raw("no request", b'{"jsonrpc":"2.0"}', -32600)
    await peer.raw("an id that is null", b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600)
    await peer.raw("no jsonrpc member", b'{"id":1,"method":"ping"}', -32600)
    if kind is Streamable:
        await peer.raw("no session", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, -32600, headers=[("Accept", BOTH)])
        await peer.raw("unknown session", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, -32600, headers=[("Accept", BOTH), ("Mcp-Session-Id", "0" * 32)])
        await peer.raw("unknown revision in the header", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, -32600,
                       headers=[("Accept", BOTH), ("Mcp-Session-Id", peer.session), ("MCP-Protocol-Version", "1999-01-01")])
        await peer.raw("nothing acceptable", {"jsonrpc": "2.0", "id": 1, "method": "ping"}, None, headers=[("Accept", "text/html")])


async def batches(peer):
    """Arrays: served in 2025-03-26, refused later."""
    def two():
        return [peer.message("ping"), peer.message("tools/list", {}), {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}]
    if peer.judge.revision != "2025-03-26":
        await peer.raw("an array", two(), -32600)
        return
    peer.judge.begin("a batch")
    body = two()
    await peer.post(body)
    missing = [one["id"] for one in body if "id" in one and json.dumps(one["id"]) not in peer.answers]
    if missing:
        peer.judge.trouble(f"no answer to {missing}")
    peer.judge.begin("a batch with an unknown method")
    await peer.post([peer.message("ping"), peer.message("no/such/method")])
    peer.judge.begin("a batch with a tool that tells its progress")
    await peer.post([peer.message("tools/call", {"name": "test_tool_with_progress", "_meta": {"progressToken": "b"}}), peer.message("ping")])
    await peer.raw("an empty batch", b"[]", -32600)
    peer.judge.begin("a batch of notifications")
    await peer.accepted([{"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}])


async def in_a_session(server, judge, kind):
    revision = judge.revision
    peer = await kind(server.port, judge).open()
    if kind is Streamable:
        await peer.listen()
    listed = await lists(peer)
    if found := await tools(peer, listed):
        await peer.call("tool with x-mcp-header", *found[:2])
    await resources(peer)
    await prompts(peer)
    await completion(peer)
    await logs(peer)
    await asking(peer, revision)
    await changes(peer)
    await cancellation(peer)
    await session_basics(peer, kind)
    if kind is Streamable:
        await batches(peer)
    await peer.call("a stream that the server closes", "test_reconnection", {})
    await peer.end()

    poor = await kind(server.port, judge, {}).open("initialize without capabilities")
    for tool, arguments in (("test_elicitation", {"message": "Who?"}), ("test_sampling", {"prompt": "?"})):
        await poor.call(f"{tool} without the capability", tool, arguments, (FAILED, -32602, -32603, -32601))
    await poor.end()
    rich = kind(server.port, judge, {"experimental": {"x": {}}, "extensions": {"com.example/x": {}}, "elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}})
    await rich.open("initialize of a newer client", client={"name": "n", "version": "1", "title": "N", "icons": [{"src": "data:,"}], "websiteUrl": "https://example.com"})
    await rich.end()
    bad = kind(server.port, judge)
    await bad.ask("initialize without params", "initialize", None, -32602)
    await bad.ask("initialize without a revision", "initialize", {"capabilities": {}, "clientInfo": {"name": "n", "version": "1"}}, -32602)
    if revision == "2025-11-25":
        for version in ("1999-01-01", MODERN):
            other = await kind(server.port, judge).open(f"initialize with {version}", version)
            await other.end()
    await bad.close()


async def modern(server, judge):
    peer = Stateless(server.port, judge)
    await peer.ask("server/discover", "server/discover", {})
    await peer.ask("server/discover without capabilities", "server/discover", {}, capabilities={})
    await peer.ask("server/discover with extensions", "server/discover", {}, capabilities={"extensions": {"com.example/x": {}}})
    await peer.ask("server/discover, id a string", "server/discover", {}, id="a string")
    listed = await lists(peer)
    await headers(peer, await tools(peer, listed))
    await resources(peer)
    await prompts(peer)
    await completion(peer)
    await envelopes(peer)
    await input_required(peer)
    await modern_logs(peer)
    await listening(peer)
    await disconnected(peer)
    await peer.close()
    await last_words(server, judge)


async def headers(peer, found):
    def mine(method, name=None, **other):
        all = {"Accept": BOTH, "MCP-Protocol-Version": MODERN, "Mcp-Method": method, "Mcp-Name": name, **other}
        return [(key, value) for key, value in all.items() if value is not None]
    mismatch = -32020
    tool = {"name": "test_simple_text", "arguments": {}}
    for name, given in (("no version header", {"MCP-Protocol-Version": None}), ("another version header", {"MCP-Protocol-Version": "2025-11-25"}),
                        ("no Mcp-Method", {"Mcp-Method": None}), ("wrong Mcp-Method", {"Mcp-Method": "tools/list"}),
                        ("Mcp-Method in another case", {"Mcp-Method": "TOOLS/CALL"}),
                        ("no Mcp-Name", {"Mcp-Name": None}), ("wrong Mcp-Name", {"Mcp-Name": "no_such_tool"}),
                        ("Mcp-Name of bad Base64", {"Mcp-Name": "=?base64?###?="})):
        await peer.ask(name, "tools/call", tool, mismatch, headers=mine("tools/call", **{"Mcp-Name": "test_simple_text", **given}))
    await peer.ask("wrong Mcp-Name of a resource", "resources/read", {"uri": "test://static-text"}, mismatch, headers=mine("resources/read", "test://x"))
    await peer.ask("wrong Mcp-Name of a prompt", "prompts/get", {"name": "test_simple_prompt"}, mismatch, headers=mine("prompts/get", "x"))
    if found:
        tool, arguments, header = found
        params = {"name": tool, "arguments": arguments}
        for name, value, want in (("a parameter's header", "Hello", OK), ("in Base64", "=?base64?SGVsbG8=?=", OK), ("missing", None, mismatch),
                                  ("wrong", "Goodbye", mismatch), ("of bad Base64", "=?base64?SGVs!!!bG8=?=", mismatch)):
            await peer.ask(f"{header}: {name}", "tools/call", params, want, headers=mine("tools/call", tool, **{header: value}))


async def envelopes(peer):
    for name, left_out in (("protocolVersion", META + "protocolVersion"), ("clientCapabilities", META + "clientCapabilities")):
        await peer.ask(f"no {name}", "tools/list", {}, -32602, meta={k: v for k, v in peer.meta().items() if k != left_out})
    await peer.ask("no clientInfo", "tools/list", {}, meta={k: v for k, v in peer.meta().items() if k != META + "clientInfo"})
    await peer.ask("no envelope", "tools/list", {}, -32602, meta={})
    await peer.ask("capabilities of another type", "tools/list", {}, -32602, meta={**peer.meta(), META + "clientCapabilities": []})
    strange = {**peer.meta(), META + "protocolVersion": "v999.0.0"}
    await peer.ask("unknown version", "tools/list", {}, -32022, meta=strange,
                   headers=[("Accept", BOTH), ("MCP-Protocol-Version", "v999.0.0"), ("Mcp-Method", "tools/list")])
    await peer.ask("unknown version in the body alone", "tools/list", {}, -32020, meta=strange)
    for method, params in (("initialize", {"protocolVersion": MODERN, "capabilities": {}, "clientInfo": {"name": "n", "version": "1"}}), ("ping", {}),
                           ("logging/setLevel", {"level": "info"}), ("resources/subscribe", {"uri": WATCHED}),
                           ("resources/unsubscribe", {"uri": WATCHED}), ("tasks/list", {}), ("no/such/method", {})):
        await peer.ask(f"{method} is of no use here", method, params, -32601)
    await peer.call("a capability is missing", "test_missing_capability", {}, -32021, capabilities={})
    await peer.call("no capability is missing", "test_missing_capability", {}, (OK, ASKS))
    modern_header = [("Accept", BOTH), ("MCP-Protocol-Version", MODERN)]
    await peer.raw("a response", {"jsonrpc": "2.0", "id": 1, "result": {}}, -32600, headers=modern_header)
    await peer.raw("an array", [], -32600, headers=modern_header)
    await peer.raw("no JSON", b"{", -32700, headers=modern_header)
    await peer.tell("a notification", "notifications/cancelled", {"requestId": 1, "_meta": peer.meta()})


async def input_required(peer):
    prefix = "test_input_required_result_"
    for name, least in (("elicitation", 2), ("sampling", 2), ("list_roots", 2), ("request_state", 2), ("multiple_inputs", 2), ("multi_round", 3)):
        turns = await peer.rounds(prefix + name, "tools/call", {"name": prefix + name, "arguments": {}})
        if turns < least:
            peer.judge.trouble(f"{turns} rounds, expected {least}")
    await peer.rounds(prefix + "prompt", "prompts/get", {"name": prefix + "prompt"})
    ask = {"name": prefix + "elicitation", "arguments": {}}
    for mood in ("decline", "cancel"):
        await peer.ask(f"elicitation, {mood}", "tools/call", {**ask, "inputResponses": {"user_name": {"action": mood}}}, None)
    await peer.ask("an answer to another question", "tools/call", {**ask, "inputResponses": {"wrong_key": {"action": "accept", "content": {"name": "A"}}}}, ASKS)
    await peer.ask("an answer that is a number", "tools/call", {**ask, "inputResponses": {"user_name": 12345}}, (ASKS, -32602))
    await peer.ask("answers that are null", "tools/call", {**ask, "inputResponses": None}, (ASKS, -32602))
    state = await peer.ask("tampered state, round 1", "tools/call", {"name": prefix + "tampered_state", "arguments": {}}, ASKS)
    if state:
        told = state.get("result", {})
        retry = {key: peer.user(one["method"], one.get("params", {})) for key, one in told.get("inputRequests", {}).items()}
        await peer.ask("tampered state, round 2", "tools/call", {"name": prefix + "tampered_state", "arguments": {}, "inputResponses": retry,
                       "requestState": told.get("requestState", "") + "-TAMPERED"}, -32602)
    await peer.call("asks only what the client can", prefix + "capabilities", {}, ASKS, capabilities={"sampling": {}})
    await peer.call("nothing that the client can", prefix + "elicitation", {}, -32021, capabilities={})
    await peer.call("streaming elicitation", "test_streaming_elicitation", {}, (OK, ASKS))
    for tool, arguments in (("test_elicitation", {"message": "Who?"}), ("test_sampling", {"prompt": "?"})):
        await peer.call(f"{tool} in this era", tool, arguments, None)
        await peer.call(f"{tool} in this era, without the capability", tool, arguments, None, capabilities={})


async def modern_logs(peer):
    for level, most in ((None, 0), ("debug", 99)):
        since = len(peer.notes)
        meta = {**peer.meta(), **({} if level is None else {META + "logLevel": level})}
        await peer.call(f"tool that logs, logLevel {level}", "test_logging_tool", {}, meta=meta)
        count = peer.count("notifications/message", since)
        if count > most or level and not count:
            peer.judge.trouble(f"{count} log messages at {level}")
    await peer.call("logLevel of no level", "test_logging_tool", {}, -32602, meta={**peer.meta(), META + "logLevel": "loud"})


async def listening(peer):
    everything = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True, "resourceSubscriptions": [WATCHED]}
    streams = {"all": await peer.listen("listen to everything", everything, "a string"), "none": await peer.listen("listen to nothing", {})}
    for key, value in everything.items():
        streams[key] = await peer.listen(f"listen to {key}", {key: value})
    for tool, method, key in (("test_trigger_tool_change", "notifications/tools/list_changed", "toolsListChanged"),
                              ("test_trigger_prompt_change", "notifications/prompts/list_changed", "promptsListChanged"),
                              ("test_update_watched_resource", "notifications/resources/updated", "resourceSubscriptions")):
        await peer.call(f"{tool}, heard", tool, {})
        await streams["all"].told(method, 0)
        await streams[key].told(method, 0)
    await asyncio.sleep(0.2)
    for key, stream in streams.items():
        allowed = {"toolsListChanged": "tools/list_changed", "promptsListChanged": "prompts/list_changed", "resourceSubscriptions": "resources/updated"}.get(key)
        heard = {note["method"].removeprefix("notifications/") for note in stream.notes[1:]}
        if key != "all" and heard - {allowed}:
            peer.judge.trouble(f"a stream for {key} heard {heard}")
    await peer.ask("listen without a filter", "subscriptions/listen", {}, -32602)
    await peer.ask("listen with a filter of another type", "subscriptions/listen", {"notifications": []}, -32602)


async def disconnected(peer):
    """A client that leaves: nothing more can be said to it, and the server goes on."""
    peer.judge.begin("a call whose client leaves")
    message = peer.message("tools/call", {"name": "test_slow", "arguments": {"ms": 4000}, "_meta": peer.meta()})
    conn = await Conn.open(peer.port)
    await conn.send(request("POST", "/mcp", peer.headers(message), message))
    await asyncio.sleep(0.2)
    conn.close()
    await peer.call("a slow call that ends", "test_slow", {"ms": 50})


async def last_words(server, judge):
    """A server that stops ends its listen streams with a result."""
    peer = Stateless(server.port, judge)
    stream = await peer.listen("a listen stream, ended by the server", {"toolsListChanged": True}, "last")
    server.process.send_signal(signal.SIGTERM)
    await asyncio.wait(peer.streams, timeout=5)
    judge.expect(stream.answers.get('"last"'), OK)
    await peer.close()
    await asyncio.wait_for(server.process.wait(), 15)


async def run(revision, folder):
    judge = Judge(revision, folder / f"{revision}.json")
    try:
        async with asyncio.timeout(120), Server() as server:
            if revision == MODERN:
                await modern(server, judge)
            else:
                await in_a_session(server, judge, HttpSse if revision == "2024-11-05" else Streamable)
    except Exception as error:      # the other revisions are still worth a look
        judge.trouble("".join(traceback.format_exception(error)[-3:]))
    if len(judge.exchanges) < EXCHANGES_MIN:
        judge.troubles.append(f"only {len(judge.exchanges)} exchanges")
    for trouble in judge.troubles:
        print(f"  {trouble}")
    kinds = len([name for name in judge.typed if name != "JSONRPCMessage"])
    print(f"{'FAILED' if judge.troubles else 'ok'}: {revision}: {len(judge.exchanges)} exchanges, {judge.messages} messages "
          f"judged by {kinds} definitions, {len(judge.troubles)} violations", flush=True)
    return not judge.troubles


async def main():
    folder = pathlib.Path(sys.argv[1])
    revisions = sys.argv[2:] or ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", MODERN]
    return all([await run(revision, folder) for revision in revisions])


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
