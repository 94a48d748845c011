# SPDX-License-Identifier: MIT
"""The admin page in a browser: it renders, moves under load, says no error.

Drives Chromium by the protocol of chromedriver.  Pictures for eyes are kept
in $BICORN_SCREENSHOTS, or in the folder of the test."""
import base64
import json
import os
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import harness
from harness import wait_for
from test_admin import APP, admin_of

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif("#define HAVE_ADMIN 1" not in harness._CONFIG,
                       reason="built without jansson"),
    pytest.mark.skipif(not shutil.which("chromedriver") or
                       not shutil.which("chromium"),
                       reason="no chromium (Debian: chromium-driver)"),
]


class Browser:
    def __init__(self, folder):
        self.process = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, cwd=folder)
        port = None
        for line in self.process.stdout:
            if b"started successfully on port" in line:
                port = int(line.split()[-1].strip(b"."))
                break
        assert port, "chromedriver did not start"
        threading.Thread(target=self.process.stdout.read,
                         daemon=True).start()
        self.base = "http://127.0.0.1:%d" % port
        self.session = None
        args = ["--headless=new", "--no-sandbox", "--disable-gpu",
                "--disable-dev-shm-usage", "--force-color-profile=srgb",
                "--user-data-dir=%s" % (folder / "profile")]
        value = self.call("POST", "/session", {"capabilities": {
            "alwaysMatch": {"goog:chromeOptions": {"args": args},
                            "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.session = "/session/" + value["sessionId"]

    def call(self, method, path, body=None):
        r = urllib.request.Request(
            self.base + (self.session or "") + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(r, timeout=60) as answer:
            return json.load(answer)["value"]

    def go(self, url):
        self.call("POST", "/url", {"url": url})

    def js(self, text, *args):
        return self.call("POST", "/execute/sync",
                         {"script": text, "args": list(args)})

    def text(self, selector):
        return self.js("return document.querySelector(arguments[0])"
                       ".textContent", selector)

    def cdp(self, command, **params):
        return self.call("POST", "/goog/cdp/execute",
                         {"cmd": command, "params": params})

    def keys(self, text):
        """Each of them pressed and released."""
        actions = [{"type": t, "value": k} for k in text
                   for t in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [
            {"type": "key", "id": "keyboard", "actions": actions}]})

    def look(self, width, height, dark):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width,
                 height=height, deviceScaleFactor=1, mobile=width < 600)
        self.cdp("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme",
             "value": "dark" if dark else "light"}])

    def picture(self, path):
        value = self.cdp("Page.captureScreenshot", captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(value["data"]))

    def errors(self):
        return [e for e in self.call("POST", "/se/log", {"type": "browser"})
                if e["level"] in ("SEVERE", "WARNING")]

    def close(self):
        try:
            self.call("DELETE", "")
        except (OSError, urllib.error.URLError):
            pass
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def browser(tmp_path):
    b = Browser(tmp_path)
    yield b
    b.close()


def test_page(browser, bicorn, compile_app, tmp_path):
    server = bicorn("--admin-bind", "127.0.0.1:0", "--admin-control",
                    "--workers", 2, "--threads", 12, "--name", "shop",
                    "--timeout", 0, compile_app(APP))
    host, port = admin_of(server)
    pictures = Path(os.environ.get("BICORN_SCREENSHOTS", tmp_path))
    pictures.mkdir(exist_ok=True)
    stop = threading.Event()

    def load(paths):
        while not stop.is_set():
            try:
                with server.connect() as c:
                    while not stop.is_set():
                        for path in paths:
                            c.get(path)
            except (harness.Closed, OSError):
                continue  # its worker has left

    threads = [threading.Thread(target=load, args=(p,), daemon=True)
               for p in (["/", "/sleep"], ["/", "/404", "/", "/302"],
                         ["/sleep"], ["/", "/", "/", "/500", "/sleep"])]
    held = server.connect()
    held.send("GET /hang?order=17 HTTP/1.1\r\nHost: x\r\n\r\n")
    for t in threads:
        t.start()
    try:
        check(browser, "http://%s:%d/" % (host, port), pictures, server)
    finally:
        stop.set()
        for t in threads:
            t.join(30)
        for pid in server.workers():
            try:
                os.kill(pid, 9)
            except OSError:
                pass
        held.close()


def check(b, url, pictures, server):
    b.look(1280, 900, False)
    b.go(url)
    updates = "return Number(document.documentElement.dataset.updates || 0)"
    wait_for(lambda: b.js(updates) >= 2, "updates")
    assert b.text("#name") == "shop"
    wait_for(lambda: b.text("#state") == "serving", "the state")
    assert b.js("return document.querySelectorAll('.cell').length") == 24
    assert b.js("return document.querySelectorAll('#workers tr').length") == 2
    # It moves.
    before = b.js("return lastStatus.requests")
    wait_for(lambda: b.js("return lastStatus.requests") > before, "requests")
    wait_for(lambda: b.js("return samples.length") >= 5, "samples")
    wait_for(lambda: b.js(
        "return document.querySelectorAll('#chart-rate .f2').length") == 1,
        "the area")
    # The request under the keyboard.
    hangs = ("return [...document.querySelectorAll('.cell')].filter(c => "
             "c.getAttribute('aria-label').includes('order=17'))")
    assert b.js(hangs + ".length") == 1
    b.js(hangs + "[0].focus()")
    assert "GET /hang?order=17" in b.text("#detail")
    b.js("document.querySelector('.cell[tabindex=\"0\"]').focus()")
    first = b.js("return document.activeElement.dataset.id")
    b.keys("\ue014")  # to the right
    assert b.js("return document.activeElement.dataset.id") != first
    # Everything that can be pressed has a name.
    assert b.js("return [...document.querySelectorAll('button')].every(x => "
                "(x.getAttribute('aria-label') || x.textContent).trim())")
    # Buttons.
    b.js("document.querySelector('[data-do=more]').click()")
    wait_for(lambda: b.js("return lastStatus.load.workers_ready") == 3,
             "a third worker")
    b.js("document.querySelector('[data-do=fewer]').click()")
    wait_for(lambda: b.js("return lastStatus.arbiter.workers_wanted") == 2,
             "two wanted")
    # Nothing is wider than a phone.
    for name, width, height, dark in (
            ("light", 1280, 900, False), ("dark", 1280, 900, True),
            ("phone", 390, 844, False), ("phone-dark", 390, 844, True)):
        b.look(width, height, dark)
        seen = b.js(updates)
        wait_for(lambda: b.js(updates) > seen, "a picture of it")
        assert b.js("return document.documentElement.scrollWidth") <= width
        b.picture(pictures / ("page-%s.png" % name))
        assert (pictures / ("page-%s.png" % name)).stat().st_size > 10000
    assert b.errors() == []
