"""A stream that is cut is resumed where it was: resume.py URL [TOOL]

Without TOOL the server is `echo`: its `slow` is called, the connection is cut behind the first event, and the answer is
fetched with `Last-Event-ID`. With TOOL that tool is called once. Standard library alone: it runs wherever Python does.
"""

import http.client
import json
import sys
from urllib.parse import urlparse

url = urlparse(sys.argv[1])
HEAD = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def post(message, **more):
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    connection.request("POST", url.path, json.dumps({"jsonrpc": "2.0", **message}), HEAD | more)
    return connection, connection.getresponse()


def event(stream):
    """The next event's fields; comments are passed over."""
    fields = {}
    while line := stream.readline().decode().rstrip("\n"):
        name, _, value = line.partition(": ")
        fields[name] = value
    return fields


def call(name, arguments, **meta):
    return {"id": 2, "method": "tools/call", "params": {"name": name, "arguments": arguments, **meta}}


_, hello = post({"id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "resume", "version": "1"}}})
session = {"Mcp-Session-Id": hello.headers["Mcp-Session-Id"], "MCP-Protocol-Version": "2025-11-25"}
hello.read()
post({"method": "notifications/initialized"}, **session)

if len(sys.argv) > 2:
    _, answer = post(call(sys.argv[2], {}), **session)
    result = json.loads(answer.read())["result"]
    assert not result.get("isError") and result["content"], result
    print(f"{sys.argv[2]} answered")
    sys.exit()

connection, stream = post(call("slow", {"seconds": 1.5, "text": "patience"}, _meta={"progressToken": "p"}), **session)
assert stream.headers["Content-Type"].startswith("text/event-stream"), stream.headers
seen = event(stream)["id"]
stream.close()
connection.close()

connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
connection.request("GET", url.path, headers={"Accept": "text/event-stream", "Last-Event-ID": seen} | session)
stream = connection.getresponse()
assert stream.status == 200, stream.status
while True:
    data = event(stream).get("data")
    message = json.loads(data) if data else {}
    if message.get("id") == 2:
        break
assert not message["result"].get("isError"), message
print("a cut stream was resumed, and the answer came")
