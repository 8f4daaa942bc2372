"""The official Python SDK 2.x against a running `conformance` example, in the era it is told.

usage: py2.py modern|session http|sse URL, or py2.py modern|session stdio PROGRAM

Proves that the client lands on that era's newest revision by itself, lists, reads, calls, receives progress,
and answers one elicitation and one sampling request: as `input_required` rounds in the modern era, as the
server's own requests in a session. In the modern era also that a listen stream tells of a change.
"""
import asyncio
import sys

from mcp import Client, types
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client

ERA, KIND, URL = sys.argv[1:4]
MODERN = ERA == "modern"
# What comes by itself: `auto` asks server/discover first. A session is what one asks for.
MODE, REVISION = ("auto", "2026-07-28") if MODERN else ("legacy", "2025-11-25")
ELICIT = ("test_input_required_result_elicitation", {}) if MODERN else ("test_elicitation", {"message": "Who?"})
SAMPLE = ("test_input_required_result_sampling", {}) if MODERN else ("test_sampling", {"prompt": "capital of France?"})
asked = []


def filled(schema):
    """What somebody called Alice writes into a form of strings."""
    return {name: "alice@example.com" if name == "email" else "Alice" for name in schema["properties"]}


async def elicit(context, params):
    asked.append(("elicitation", params.message))
    return types.ElicitResult(action="accept", content=filled(params.requested_schema))


async def sample(context, params):
    text = params.messages[0].content.text
    asked.append(("sampling", text))
    return types.CreateMessageResult(role="assistant", content=types.TextContent(type="text", text="Paris"), model="none", stop_reason="endTurn")


def text(result):
    assert not result.is_error, f"is_error: {result}"
    return result.content[0].text


async def main():
    target = sse_client(URL, timeout=20) if KIND == "sse" else URL
    if KIND == "stdio":
        target = stdio_client(StdioServerParameters(command=URL, args=["stdio"]))
    async with Client(target, mode=MODE, read_timeout_seconds=30, elicitation_callback=elicit, sampling_callback=sample) as client:
        assert client.protocol_version == REVISION, f"landed on {client.protocol_version}, expected {REVISION}"
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert {"test_simple_text", ELICIT[0], SAMPLE[0]} <= tools, tools
        assert "test://static-text" in {str(r.uri) for r in (await client.list_resources()).resources}
        assert (await client.list_resource_templates()).resource_templates
        assert "test_simple_prompt" in {p.name for p in (await client.list_prompts()).prompts}
        assert (await client.read_resource("test://static-text")).contents[0].text
        said = await client.get_prompt("test_prompt_with_arguments", {"arg1": "one", "arg2": "two"})
        assert "one" in said.messages[0].content.text, said
        assert text(await client.call_tool("test_simple_text"))
        ref = types.PromptReference(type="ref/prompt", name="test_prompt_with_arguments")
        await client.complete(ref, {"name": "arg1", "value": "test"})

        seen = []

        async def note(progress, total, message):
            seen.append(progress)

        text(await client.call_tool("test_tool_with_progress", progress_callback=note))
        assert len(seen) >= 3 and seen == sorted(set(seen)), f"progress must come and rise: {seen}"

        said = text(await client.call_tool(*ELICIT))
        assert "Alice" in said, said
        said = text(await client.call_tool(*SAMPLE))
        assert MODERN or "Paris" in said, said
        assert [kind for kind, _ in asked] == ["elicitation", "sampling"] and all(words for _, words in asked), asked

        if MODERN:
            async with client.listen(tools_list_changed=True) as changes:
                text(await client.call_tool("test_trigger_tool_change"))
                await asyncio.wait_for(anext(aiter(changes)), 5)


asyncio.run(asyncio.wait_for(main(), 90))
print(f"ok: Python SDK 2.x, {KIND}, {ERA}: {REVISION}, {asked}")
