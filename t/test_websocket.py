# SPDX-License-Identifier: MIT
"""gunicorn.socket: WebSockets of WSGI applications, as libraries make them
under gunicorn's threads."""
import base64
import hashlib
import os
import signal

import pytest

import harness
from harness import wait_for

if not harness.HAS_PYTHON:
    pytest.skip("built without Python", allow_module_level=True)

KEY = base64.b64encode(b"0123456789abcdef").decode()
ACCEPT = base64.b64encode(hashlib.sha1(
    (KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())

APP = r'''
import base64, copy, hashlib, queue, selectors, socket, struct, threading

class Ws:
    """Reads in a thread of its own, with a selector, as libraries do."""

    def __init__(self, environ):
        self.sock = environ["gunicorn.socket"]
        key = environ["HTTP_SEC_WEBSOCKET_KEY"]
        guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(
            (key + guid).encode()).digest())
        self.sock.send(b"HTTP/1.1 101 Switching Protocols\r\n"
                       b"Upgrade: WebSocket\r\nConnection: Upgrade\r\n"
                       b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        self.inbox = queue.Queue()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.sock, selectors.EVENT_READ, True)
            buffer = b""
            while True:
                selector.select(20)
                try:
                    data = self.sock.recv(4096)
                except ConnectionError:
                    data = b""
                buffer += data
                while len(buffer) >= 6 and len(buffer) >= 6 + buffer[1] - 128:
                    n = buffer[1] - 128
                    mask = buffer[2:6]
                    text = bytes(b ^ mask[i % 4]
                                 for i, b in enumerate(buffer[6:6 + n]))
                    buffer = buffer[6 + n:]
                    self.inbox.put(text)
                if not data:
                    return self.inbox.put(None)

    def send(self, text):
        self.sock.send(bytes([0x81, len(text)]) + text)

def echo(environ):
    ws = Ws(environ)
    while True:
        text = ws.inbox.get(timeout=20)
        if text is None or text == b"end":
            return ws
        if text == b"raise":
            raise ValueError("of the application")
        ws.send(b"<" + text + b">")

def plain(start, text):
    start("200 OK", [("Content-Length", str(len(text)))])
    return [text]

kept = []

def app(environ, start):
    path = environ["PATH_INFO"]
    if path == "/has":
        return plain(start, str("gunicorn.socket" in environ).encode())
    if path == "/unused":
        sock = environ["gunicorn.socket"]
        repr(environ), isinstance(sock, str), hasattr(sock, "__json__")
        kept.append(sock)
        return plain(start, b"unused")
    if path == "/over":
        try:
            kept.pop().recv(1)
        except RuntimeError as e:
            return plain(start, str(e).encode())
    if path == "/late":
        start("200 OK", [])(b"x")
        try:
            environ["gunicorn.socket"].fileno()
        except RuntimeError as e:
            return [b"late"]
    if path == "/refused":
        try:
            environ["gunicorn.socket"].fileno()
        except OSError as e:
            return plain(start, str(e).encode())
    if path == "/thread":
        kept.append(Ws(environ))
        raise StopIteration
    if path == "/ended":
        return plain(start, repr(kept.pop().inbox.get(timeout=20)).encode())
    if path == "/silent":
        Ws(environ).thread.join()
        raise ConnectionError
    if path == "/list":
        echo(environ)
        return []
    if path == "/response":
        echo(environ)
        return plain(start, b"nobody sees this")
    if path == "/generator":
        def body():
            start("200 OK", [])
            echo(environ)
            yield b"nobody sees this"
        return body()
    if path == "/ws":
        echo(environ)
        raise StopIteration
    return plain(start, b"hello")
'''


def upgrade(path="/ws", more=""):
    return ("GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: %s\r\n\r\n%s" % (path, KEY, more))


def frame(text):
    mask = os.urandom(4)
    return bytes([0x81, 0x80 | len(text)]) + mask + bytes(
        b ^ mask[i % 4] for i, b in enumerate(text))


class Ws:
    def __init__(self, server, path="/ws", **kw):
        self.conn = server.connect(**kw)
        self.conn.send(upgrade(path))
        self.head()

    def head(self):
        head = self.conn.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ") and ACCEPT in head

    def say(self, text):
        self.conn.send(frame(text))

    def hear(self, text):
        """What comes next, and what comes of what was said before."""
        want = bytes([0x81, len(text)]) + text
        assert self.conn.until(want) == want

    def ends(self):
        assert self.conn.rest() == b""
        self.conn.close()


@pytest.mark.parametrize("bind", ["tcp", "unix"])
def test_echo(wsgi, tmp_path, bind):
    more = ["--bind", "unix:%s" % (tmp_path / "s")] if bind == "unix" else []
    log = tmp_path / "access.log"
    server = wsgi(APP, "--access-logfile", log, *more)
    ws = Ws(server)
    for text in b"a", b"b" * 100, "ä".encode():
        ws.say(text)
        ws.hear(b"<%s>" % text)
    ws.say(b"end")
    ws.ends()
    wait_for(lambda: '"GET /ws HTTP/1.1" 101 ' in log.read_text(),
             "the line of the access log")
    assert server.get("/").body == b"hello"
    assert "Traceback" not in server.log.text()


@pytest.mark.parametrize("path", ["/list", "/response", "/generator"])
def test_nothing_behind_it(wsgi, path):
    server = wsgi(APP)
    ws = Ws(server, path)
    ws.say(b"x")
    ws.hear(b"<x>")
    ws.say(b"end")
    ws.ends()
    assert "ERROR" not in server.log.text()


def test_client_that_leaves(wsgi):
    server = wsgi(APP, "--threads", "1")
    for end in "close", "reset", "half_close":
        ws = Ws(server)
        getattr(ws.conn, end)()
        assert server.get("/").body == b"hello"
    assert "Traceback" not in server.log.text()


def test_view_that_raises(wsgi):
    server = wsgi(APP)
    ws = Ws(server)
    ws.say(b"raise")
    ws.ends()
    server.wait_log("ValueError: of the application")
    assert server.get("/").body == b"hello"


def test_a_request_as_any_other(wsgi):
    """While nobody uses the socket; and it cannot be used later."""
    server = wsgi(APP, "--threads", "1")
    with server.connect() as c:
        assert c.send(upgrade("/unused")).response().body == b"unused"
        assert c.get("/").body == b"hello"
        assert c.send(upgrade("/over")).response().body == \
            b"the request is over"
        assert c.get("/has").body == b"False"
        assert c.send(upgrade("/has")).response().body == b"True"
        assert c.send(upgrade("/late")).response().body == b"xlate"


def test_bytes_that_came_already(wsgi):
    """Who has no answer yet cannot know what to send."""
    server = wsgi(APP)
    with server.connect() as c:
        c.send(upgrade("/refused", "early"))
        assert b"did not wait" in c.response().body


def test_in_a_pipeline(wsgi):
    server = wsgi(APP)
    with server.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + upgrade())
        for _ in range(3):
            assert c.response().body == b"hello"
        ws = Ws.__new__(Ws)
        ws.conn = c
        ws.head()
        ws.say(b"x")
        ws.hear(b"<x>")
        ws.say(b"end")
        ws.ends()


def test_thread_that_stays(wsgi):
    """The end of the view is the end of the connection."""
    server = wsgi(APP, "--threads", "1")
    ws = Ws(server, "/thread")
    ws.ends()
    assert server.get("/ended").body == b"None"


def test_nobody_waits_for_it(wsgi):
    """A socket that blocks, and a client that talks without being heard."""
    server = wsgi(APP, "--threads", "4")
    talkers = [Ws(server, "/silent") for _ in range(3)]
    for _ in range(20):
        for ws in talkers:
            ws.say(b"x" * 100)
        assert server.get("/").body == b"hello"
    for ws in talkers:
        ws.conn.close()
    assert server.get("/").body == b"hello"


def test_stop(wsgi):
    server = wsgi(APP, "--graceful-timeout", "1")
    ws = Ws(server)
    server.signal(signal.SIGTERM)
    ws.ends()
    assert server.wait() == 0


def test_not_under_tls(wsgi, tmp_path):
    from test_tls import context, make_pair  # which skips without TLS
    cert, key = make_pair(tmp_path, "ec", "ec", "-pkeyopt",
                          "ec_paramgen_curve:P-256")
    server = wsgi(APP, "--certfile", cert, "--keyfile", key)
    with server.connect(tls=context({"ec": (cert, key)})) as c:
        assert c.send(upgrade("/has")).response().body == b"False"
        assert c.send(upgrade("/has")).response().body == b"False"
    server.wait_log("WARNING. A WebSocket was asked for over TLS")
    assert server.log.text().count("asked for over TLS") == 1
