"""Calls a few tools, then reads /metrics with Prometheus' parser: metrics.py PORT OPERATORS_SOCKET FILE_FOR_THE_TEXT"""

import http.client
import json
import socket
import sys
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

PORT, SOCKET, FILE = sys.argv[1:]
HEAD = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def post(message, session=None, method="POST"):
    head = dict(HEAD, **({"Mcp-Session-Id": session} if session else {}))
    body = json.dumps(message).encode() if message else None
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}/mcp", body, head, method=method)
    with urllib.request.urlopen(request, timeout=20) as reply:
        reply.read()
        return reply.headers["Mcp-Session-Id"]


def opened(name):
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": name, "version": "1"}}
    return post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})


def call(session, tool, **arguments):
    params = {"name": tool, "arguments": arguments}
    post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, session)


def operator(path):
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(SOCKET)
    connection.request("GET", path)
    reply = connection.getresponse()
    return reply.headers["Content-Type"], reply.read().decode()


session = opened('weird "name"\\')
post(None, opened("another"), "DELETE")
for n in range(20):
    call(session, "add", a=1, b=n)
call(session, "add", a=1, b="x")
call(session, "slow", seconds=0.6, text="x")
call(session, "no such tool")

kind, text = operator("/metrics")
assert kind == "text/plain; version=0.0.4; charset=utf-8", kind
open(FILE, "w").write(text)
families = {family.name: family for family in text_string_to_metric_families(text)}
value = {(sample.name, *sorted(sample.labels.items())): sample.value for family in families.values() for sample in family.samples}
shown = json.loads(operator("/debug/sessions")[1])
for family in families.values():
    assert family.name.startswith("portcullis_") and family.documentation and family.type in ("counter", "gauge", "histogram"), family
for name in shown["gauges"]:
    assert ("portcullis_" + name,) in value, name
for name, count in shown["counters"].items():
    if not name.endswith("_ms_max"):
        assert count - 3 <= value[("portcullis_" + name + "_total",)] <= count, name
calls = lambda tool, outcome: value[("portcullis_tool_calls_total", ("outcome", outcome), ("tool", tool))]
assert (calls("add", "ok"), calls("add", "tool_error"), calls("slow", "ok")) == (20, 1, 1)
tools = {sample.labels["tool"] for sample in families["portcullis_tool_calls"].samples}
assert tools == {"add", "slow"}, tools
buckets = [sample for sample in families["portcullis_tool_call_duration_seconds"].samples if sample.name.endswith("_bucket")]
counts = [sample.value for sample in buckets]
assert counts == sorted(counts) and buckets[-1].labels["le"] == "+Inf" and counts[-1] == 22, counts
below = {sample.labels["le"]: sample.value for sample in buckets}
assert below["0.5"] == 21 and below["1"] == 22, below
assert 0.6 <= value[("portcullis_tool_call_duration_seconds_sum",)] < 1
print(f"ok: {len(families)} metrics of {len(value)} samples, {len(text)} bytes, read by prometheus_client; they say what /debug/sessions says")
