"""The official Python SDK 1.x against a running `conformance` example: a session that answers the server.

usage: py1.py http|sse URL, or py1.py stdio PROGRAM

Proves that the client lands on 2025-11-25, lists, reads, calls, receives progress and log messages, and
answers one elicitation, one that it declines, one sampling request, and one call for which it has no answer.
"""
import asyncio
import sys
from datetime import timedelta

from mcp import ClientSession, types
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamablehttp_client

KIND, URL = sys.argv[1:3]
REVISION = "2025-11-25"
asked, logged = [], []
answer = None


async def elicit(context, params):
    asked.append("elicitation")
    form = {name: "alice@example.com" if name == "email" else "Alice" for name in params.requestedSchema["properties"]}
    return answer or types.ElicitResult(action="accept", content=form)


async def sample(context, params):
    asked.append("sampling")
    return types.CreateMessageResult(role="assistant", content=types.TextContent(type="text", text="Paris"), model="none")


async def log(params):
    logged.append(params.data)


def text(result):
    assert not result.isError, f"isError: {result}"
    return result.content[0].text


def streams():
    if KIND == "stdio":
        return stdio_client(StdioServerParameters(command=URL, args=["stdio"]))
    return (sse_client if KIND == "sse" else streamablehttp_client)(URL, timeout=20)


async def main():
    global answer
    async with streams() as streams_:
        async with ClientSession(streams_[0], streams_[1], read_timeout_seconds=timedelta(seconds=30),
                                 elicitation_callback=elicit, sampling_callback=sample, logging_callback=log) as session:
            hello = await session.initialize()
            assert hello.protocolVersion == REVISION, f"landed on {hello.protocolVersion}, expected {REVISION}"
            assert {"test_elicitation", "test_sampling"} <= {tool.name for tool in (await session.list_tools()).tools}
            assert "test://static-text" in {str(r.uri) for r in (await session.list_resources()).resources}
            assert (await session.list_resource_templates()).resourceTemplates
            assert "test_simple_prompt" in {p.name for p in (await session.list_prompts()).prompts}
            assert (await session.read_resource("test://static-binary")).contents[0].blob
            assert (await session.get_prompt("test_simple_prompt")).messages
            await session.subscribe_resource("test://watched-resource")
            await session.unsubscribe_resource("test://watched-resource")
            await session.set_logging_level("debug")

            seen = []

            async def note(progress, total, message):
                seen.append(progress)

            text(await session.call_tool("test_tool_with_progress", {}, progress_callback=note))
            assert len(seen) >= 3 and seen == sorted(set(seen)), f"progress must come and rise: {seen}"
            text(await session.call_tool("test_tool_with_logging", {}))
            assert len(logged) >= 3, logged

            said = text(await session.call_tool("test_elicitation", {"message": "Who?"}))
            assert "accept" in said and "Alice" in said, said
            answer = types.ElicitResult(action="decline")
            said = text(await session.call_tool("test_elicitation", {"message": "Who?"}))
            assert "decline" in said, said
            said = text(await session.call_tool("test_sampling", {"prompt": "capital of France?"}))
            assert "Paris" in said, said
            answer = types.ErrorData(code=-1, message="nobody is here")
            await session.call_tool("test_elicitation", {"message": "Who?"})     # an answer, whatever it says
            assert asked == ["elicitation", "elicitation", "sampling", "elicitation"], asked


asyncio.run(asyncio.wait_for(main(), 90))
print(f"ok: Python SDK 1.x, {KIND}, session: {REVISION}, {asked}")
