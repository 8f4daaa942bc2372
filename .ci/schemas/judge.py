"""Judges messages of a server by the official JSON schema of one revision, each by its own definition.

A result is judged by the definition of the method that it answers, a notification and a request by that of
their method, an error by that of its code where the revision has one; and every message as JSONRPCMessage.
What the schema leaves open and the specification does not is judged here too: vocabulary of 2026-07-28 in an
older revision, requests of the server in 2026-07-28, codes that it forbids.
"""
import json

import jsonschema

MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
SUBSCRIPTION = META + "subscriptionId"

# How an answer came out, for what an exchange expects; an error is its code.
OK, FAILED, ASKS, NOTHING = "a result", "a result with isError", "input_required", "no answer"

RESULTS = {
    "initialize": "InitializeResult",
    "server/discover": "DiscoverResult",
    "tools/list": "ListToolsResult",
    "tools/call": "CallToolResult",
    "resources/list": "ListResourcesResult",
    "resources/templates/list": "ListResourceTemplatesResult",
    "resources/read": "ReadResourceResult",
    "prompts/list": "ListPromptsResult",
    "prompts/get": "GetPromptResult",
    "completion/complete": "CompleteResult",
    "subscriptions/listen": "SubscriptionsListenResult",
    "ping": "EmptyResult",
    "logging/setLevel": "EmptyResult",
    "resources/subscribe": "EmptyResult",
    "resources/unsubscribe": "EmptyResult",
}
REQUESTS = {
    "ping": "PingRequest",
    "sampling/createMessage": "CreateMessageRequest",
    "elicitation/create": "ElicitRequest",
    "roots/list": "ListRootsRequest",
}
NOTIFICATIONS = {
    "notifications/cancelled": "CancelledNotification",
    "notifications/progress": "ProgressNotification",
    "notifications/message": "LoggingMessageNotification",
    "notifications/tools/list_changed": "ToolListChangedNotification",
    "notifications/prompts/list_changed": "PromptListChangedNotification",
    "notifications/resources/list_changed": "ResourceListChangedNotification",
    "notifications/resources/updated": "ResourceUpdatedNotification",
    "notifications/elicitation/complete": "ElicitationCompleteNotification",
    "notifications/subscriptions/acknowledged": "SubscriptionsAcknowledgedNotification",
}
ERRORS = {
    -32700: "ParseError",
    -32600: "InvalidRequestError",
    -32601: "MethodNotFoundError",
    -32602: "InvalidParamsError",
    -32603: "InternalError",
    -32020: "HeaderMismatchError",
    -32021: "MissingRequiredClientCapabilityError",
    -32022: "UnsupportedProtocolVersionError",
    -32042: "URLElicitationRequiredError",
}
MAY_ASK = ("tools/call", "prompts/get", "resources/read")
CACHED = ("server/discover", "tools/list", "resources/list", "resources/templates/list", "resources/read", "prompts/list")
TOO_NEW = {"resultType", "ttlMs", "cacheScope", META + "serverInfo", SUBSCRIPTION}


def outcome(message):
    """OK, FAILED, ASKS, NOTHING or an error's code."""
    if message is None:
        return NOTHING
    if "error" in message:
        return message["error"].get("code")
    result = message.get("result")
    if not isinstance(result, dict):
        return "no result"
    if result.get("resultType") == "input_required":
        return ASKS
    return FAILED if result.get("isError") else OK


def names(value):
    """Every member's name in a JSON value."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from names(item)
    elif isinstance(value, list):
        for item in value:
            yield from names(item)


class Judge:
    def __init__(self, revision, file):
        self.revision, self.modern = revision, revision == MODERN
        with open(file, encoding="utf-8") as text:
            schema = json.load(text)
        self.place = "$defs" if "$defs" in schema else "definitions"
        self.definitions = schema[self.place]
        self.kind = jsonschema.validators.validator_for(schema)
        self.validators = {}
        self.exchange, self.exchanges = "", []
        self.messages, self.typed = 0, {}
        self.troubles = []

    def begin(self, exchange):
        self.exchange = exchange
        self.exchanges.append(exchange)

    def trouble(self, what, message=None):
        shown = "" if message is None else f" in {json.dumps(message)[:300]}"
        self.troubles.append(f"{self.exchange}: {what}{shown}")

    def check(self, name, value):
        """Whether `value` is what the definition says; every violation is a trouble."""
        if name not in self.validators:
            self.validators[name] = self.kind({"$ref": f"#/{self.place}/{name}", self.place: self.definitions})
        self.typed[name] = self.typed.get(name, 0) + 1
        for error in self.validators[name].iter_errors(value):
            best = jsonschema.exceptions.best_match([error])
            self.trouble(f"not a {name}: {best.json_path}: {best.message[:200]}", value)

    def typed_check(self, table, key, value, what):
        name = table.get(key)
        if name in self.definitions:
            self.check(name, value)
        else:
            self.trouble(f"{what} {key!r} is unknown to this revision", value)

    def message(self, message, answers=None):
        """Judges one message; `answers` is the method of the request that it answers, where that is known."""
        self.messages += 1
        if not isinstance(message, dict):
            return self.trouble("not an object", message)
        # JSON-RPC 2.0 has `id: null` where no id could be read; no revision's schema does.
        unread = "error" in message and message.get("id", 0) is None
        self.check("JSONRPCMessage", {**message, "id": 0} if unread else message)
        if not self.modern and (found := TOO_NEW & set(names(message))):
            self.trouble(f"members of {MODERN}: {', '.join(sorted(found))}", message)
        if "method" not in message:
            self.answer(message, answers, unread)
        elif "id" not in message:
            self.typed_check(NOTIFICATIONS, message["method"], message, "the notification")
        elif self.modern:
            self.trouble("a request of the server's", message)
        else:
            self.typed_check(REQUESTS, message["method"], message, "the request")

    def batch(self, messages):
        self.check("JSONRPCBatchResponse", messages)

    def answer(self, message, method, unread):
        if "error" in message:
            self.check("JSONRPCErrorResponse" if "JSONRPCErrorResponse" in self.definitions else "JSONRPCError",
                       {**message, "id": 0} if unread else message)
            return self.error(message)
        result = message.get("result")
        if outcome(message) == ASKS and self.modern:
            return self.input_required(result, method)
        if method is None:
            return self.trouble("a result that answers no request", message)
        self.typed_check(RESULTS, method, result, "the result of")
        if f"{RESULTS.get(method)}Response" in self.definitions:
            self.check(f"{RESULTS[method]}Response", message)
        if RESULTS.get(method) == "EmptyResult" and set(result) - {"_meta"}:
            self.trouble("an empty result with members", message)
        if self.modern and method not in CACHED and {"ttlMs", "cacheScope"} & set(result):
            self.trouble("caching hints where nothing is cached", message)

    def error(self, message):
        code = message["error"].get("code")
        name = ERRORS.get(code)
        if name in self.definitions:
            whole = "error" in self.definitions[name].get("properties", {})
            self.check(name, message if whole else message["error"])
        if self.modern and (code in (-32002, -32042) or name is None and code in range(-32099, -31999)):
            self.trouble(f"the code {code} is not for {MODERN}", message)

    def input_required(self, result, method):
        self.check("InputRequiredResult", result)
        if method not in MAY_ASK:
            self.trouble(f"{method} may not ask", result)
        if not result.get("inputRequests") and "requestState" not in result:
            self.trouble("neither inputRequests nor requestState", result)
        if {"ttlMs", "cacheScope"} & set(result):
            self.trouble("caching hints in a question", result)
        for request in (result.get("inputRequests") or {}).values():
            self.check("InputRequest", request)
            self.typed_check(REQUESTS, request.get("method"), request, "the request")

    def expect(self, message, want):
        """An exchange proves little if all its answers are refusals: `want` is what it is for."""
        if want is None:
            return
        got, wants = outcome(message), want if isinstance(want, tuple) else (want,)
        if got not in wants:
            self.trouble(f"got {got}, expected {' or '.join(map(str, wants))}", message)
