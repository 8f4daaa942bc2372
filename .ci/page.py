"""Clicks through the operator's page in Chromium: page.py CHROMIUM PORT OPERATORS_PORT FOLDER_FOR_SCREENSHOTS"""

import base64
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import websocket

CHROMIUM, PORT, DEBUG, SHOTS = sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])
ORIGIN = f"http://127.0.0.1:{DEBUG}"
MCP = f"http://127.0.0.1:{PORT}/mcp"
HOSTILE = ['<img src=x onerror=alert(1)>', '</td></script><script>document.title="owned"</script>', '"\'`{{7*7}}\u202e&lt;b>']
HEAD = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


# ---- clients of the server ----

class Client:
    def __init__(self, name):
        self.id = None
        info = {"name": name, "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
        with self.send("POST", {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}) as reply:
            self.id = reply.headers["Mcp-Session-Id"]

    def send(self, method, message=None):
        head = dict(HEAD, **({"Mcp-Session-Id": self.id} if self.id else {}))
        body = json.dumps(message).encode() if message else None
        return urllib.request.urlopen(urllib.request.Request(MCP, body, head, method=method), timeout=60)

    def call(self, tool, **arguments):
        params = {"name": tool, "arguments": arguments}
        with self.send("POST", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}) as reply:
            return reply.read().decode()

    def end(self):
        self.send("DELETE").close()


def operator(path, accept="application/json"):
    with urllib.request.urlopen(urllib.request.Request(ORIGIN + path, headers={"Accept": accept}), timeout=20) as reply:
        return reply.headers, reply.read()


# ---- Chromium ----

class Browser:
    """One tab over the DevTools protocol."""

    def __init__(self, folder):
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
                   f"--user-data-dir={folder}", "--window-size=1280,1000", "about:blank"]
        self.process = subprocess.Popen([CHROMIUM, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port_file = Path(folder, "DevToolsActivePort")
        until(lambda: port_file.exists() and port_file.read_text().count("\n"), "Chromium starts", 60)
        port = port_file.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as reply:
            tab = next(tab for tab in json.load(reply) if tab["type"] == "page")
        self.socket = websocket.create_connection(tab["webSocketDebuggerUrl"], suppress_origin=True, timeout=60)
        self.number, self.requests, self.complaints, self.bytes = 0, [], [], {}
        for domain in ["Page", "Network", "Runtime", "Log", "Accessibility"]:
            self.ask(domain + ".enable")

    def ask(self, method, **params):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            said = json.loads(self.socket.recv())
            if said.get("id") == self.number:
                assert "error" not in said, (method, said["error"])
                return said["result"]
            self.note(said.get("method"), said.get("params", {}))

    def note(self, event, params):
        if event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
            self.bytes[params["requestId"]] = [params["request"]["url"], 0]
        elif event == "Network.dataReceived":
            self.bytes[params["requestId"]][1] += params["dataLength"]
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"].get("exception", params))
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(params["args"])
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"])
        elif event == "Page.javascriptDialogOpening":
            self.complaints.append(params)

    def go(self, path):
        self.ask("Page.navigate", url=ORIGIN + path)
        until(lambda: self.text("#status") == "live", f"{path} is live")

    def run(self, script):
        said = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def text(self, selector):
        return self.run(f"document.querySelector({json.dumps(selector)})?.textContent")

    def rows(self, section):
        return self.run(f"[...document.querySelectorAll('{section} tbody tr')].map(r => [...r.cells].map(c => c.textContent))")

    def click(self, selector):
        place = self.run(f"""(() => {{const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});
            const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]}})()""")
        for kind in ["mousePressed", "mouseReleased"]:
            self.ask("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def shot(self, name):
        self.run("scrollTo(0, 0)")
        time.sleep(0.3)
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        (SHOTS / f"page-{name}.png").write_bytes(base64.b64decode(data))

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait(20)


def until(is_so, what, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = is_so()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")


def row_of(browser, section, column, text):
    return next((row for row in browser.rows(section) if row[column] == text), None)


# ---- what is looked at ----

def small_and_strict():
    headers, body = operator("/debug/sessions", "text/html")
    policy = headers["Content-Security-Policy"]
    assert headers["Content-Type"].startswith("text/html") and len(body) < 30_000, len(body)
    assert "default-src 'none'" in policy and "unsafe" not in policy, policy
    return len(body)


def sessions_come_and_go(browser):
    until(lambda: browser.text("#live p") == "Nobody is here.", "an empty table")
    clients = [Client(name) for name in HOSTILE]
    shown = [f"{name} 1" for name in HOSTILE]
    until(lambda: sorted(row[1] for row in browser.rows("#live")) == sorted(shown), "three sessions, their names as text")
    assert browser.run("document.querySelectorAll('img, td script, td b').length") == 0
    assert browser.text("title") == "Sessions"
    clients[2].end()
    until(lambda: row_of(browser, "#ended", 1, HOSTILE[2]), "the ended one is among the ended")
    assert row_of(browser, "#ended", 1, HOSTILE[2])[4] == "closed by client"
    assert len(browser.rows("#live")) == 2
    return clients[:2]


def a_click_shows_the_story(browser, client, print):
    browser.click(f"#live td a[href$='{print}']")
    until(lambda: browser.run("location.pathname") == f"/debug/sessions/{print}", "the address names the session")
    until(lambda: "call ended" in [row[1] for row in browser.rows("#story")], "its events")
    events = browser.rows("#story")
    assert events[-1][1] == "opened" and events[-2][1] == "initialized", events
    assert any(row[2] == "add" and row[5] for row in events), "repeated calls are one row"
    client.call("add", a=1, b="no number")
    failed = lambda: [row for row in browser.rows("#story") if row[2] == "add" and row[3] == "tool_error"]
    until(failed, "a failed call comes by itself")
    browser.click("#close")
    until(lambda: browser.run("document.querySelector('#story').hidden"), "closed")
    browser.run("history.back()")
    until(lambda: not browser.run("document.querySelector('#story').hidden"), "and back again")


def pictures_are_drawn(browser):
    paths = browser.run("[...document.querySelectorAll('#charts svg')].map(s => [s.getAttribute('aria-label'), s.children[1].getAttribute('d').length])")
    assert len(paths) == 3 and all(length > 20 for _, length in paths), paths
    assert all("over ten minutes" in label for label, _ in paths), paths
    names = [node.get("name", {}).get("value") for node in browser.ask("Accessibility.getFullAXTree")["nodes"]
             if node.get("role", {}).get("value") in ("image", "img")]
    assert len(names) == 3 and all(names), names


def looks(browser):
    for scheme in ["light", "dark"]:
        browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        browser.shot(scheme)
        sum_of = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"
        assert (browser.run(sum_of) > 380) == (scheme == "light")
    browser.ask("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2, mobile=True)
    browser.shot("phone")
    assert browser.run("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out on a phone"
    browser.ask("Emulation.clearDeviceMetricsOverride")


def a_thousand_sessions(browser):
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: Client(f"crowd {n}"), range(1000)))
    until(lambda: "more are not shown" in browser.text("#live p"), "the rest is counted", 30)
    assert len(browser.rows("#live")) == 50
    longest = browser.run("""new Promise(done => {let last = performance.now(), longest = 0, n = 0
        const tick = now => {longest = Math.max(longest, now - last); last = now; ++n < 150 ? requestAnimationFrame(tick) : done(longest)}
        requestAnimationFrame(tick)})""")
    assert longest < 500, f"the page stood still for {longest} ms"
    start = time.monotonic()
    with urllib.request.urlopen(ORIGIN + "/debug/events", timeout=20) as stream:
        event = stream.read1(1) + stream.readline() + stream.readline()
    took = time.monotonic() - start
    assert len(event) < 100_000 and took < 2, (len(event), took)
    return longest, len(event)


def main():
    page_bytes = small_and_strict()
    with tempfile.TemporaryDirectory() as folder:
        browser = Browser(folder)
        try:
            walk(browser, page_bytes)
        finally:
            browser.close()
    until(lambda: json.loads(operator("/debug/sessions")[1])["gauges"]["watchers"] == 0, "nobody watches any more")


def walk(browser, page_bytes):
    browser.go("/debug/sessions")
    clients = sessions_come_and_go(browser)
    print_of = {row[1]: row[0] for row in browser.rows("#live")}
    stop = threading.Event()

    def load(client):
        while not stop.is_set():
            client.call("add", a=1, b=2)
            time.sleep(0.002)

    def slow(client):
        while not stop.is_set():
            client.call("slow", seconds=1.5, text="x")

    threads = [threading.Thread(target=job, args=[client]) for job, client in zip([load, slow], clients)]
    [thread.start() for thread in threads]
    until(lambda: (row_of(browser, "#live", 1, f"{HOSTILE[1]} 1") or [""] * 10)[9].startswith("slow "), "a running call")
    until(lambda: browser.run("+document.querySelectorAll('#tiles b')[3].textContent") >= 1, "is counted")
    time.sleep(20)
    a_click_shows_the_story(browser, clients[0], print_of[f"{HOSTILE[0]} 1"])
    pictures_are_drawn(browser)
    looks(browser)
    stop.set()
    [thread.join() for thread in threads]
    browser.go("/debug/sessions/0123456789")
    until(lambda: "no such session" in browser.text("#sp"), "an unknown session is said to be one")
    assert any("0123456789" in json.dumps(complaint) for complaint in browser.complaints), "the browser's own word on a 404"
    browser.complaints = [one for one in browser.complaints if "0123456789" not in json.dumps(one)]
    browser.go("/debug/sessions")
    longest, event = a_thousand_sessions(browser)
    assert browser.complaints == [], browser.complaints
    outside = [url for url in browser.requests if not url.startswith((ORIGIN + "/debug/", "data:", "about:"))]
    assert outside == [], outside
    document = max(size for url, size in browser.bytes.values() if url.endswith("/debug/sessions"))
    assert 0 < document < 30_000, document
    print(f"ok: page of {page_bytes} bytes, {len(browser.requests)} requests, none to others; with 1,000 sessions a snapshot "
          f"has {event} bytes and the longest frame {longest:.0f} ms; screenshots in {SHOTS}")


main()
