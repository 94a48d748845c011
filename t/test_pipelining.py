# SPDX-License-Identifier: MIT
"""Requests that come one behind the other, and answers that go together."""
import os
import shutil
import signal

import pytest

import harness

HELLO = b"Hello, World!\n"


@pytest.fixture
def server(bicorn, slow_app):
    return bicorn("--threads", 2, "--access-logfile", "-", slow_app)


def get(target, **kw):
    return harness.request(target=target, **kw)


def test_all_are_answered_in_order(server):
    with server.connect() as c:
        c.send(b"".join(get("/hello") if i % 3 else
                        harness.request("POST", "/sink", body=b"x" * i)
                        for i in range(500)))
        for i in range(500):
            assert c.response().body == (HELLO if i % 3 else b"%d 0\n" % i)
        assert c.get("/hello").body == HELLO


def test_an_answer_does_not_wait_for_the_next(server):
    """The thread goes on at once, with what takes until /let."""
    with server.connect() as c, server.connect() as other:
        c.send(get("/hello") * 3 + get("/big/held") + get("/hello"))
        for _ in range(3):
            assert c.response().body == HELLO
        assert other.get("/let").status == 200
        assert len(c.response().body) == 8 << 20
        assert c.response().body == HELLO


@pytest.mark.python
def test_an_answer_does_not_wait_for_python(wsgi):
    s = wsgi("""
        import threading
        let = threading.Event()

        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", "2")])
            if environ["PATH_INFO"] == "/let":
                let.set()
            if environ["PATH_INFO"] == "/wait":
                let.wait()
            return [b"ok"]
        """, "--threads", 2)
    for _ in range(5):
        with s.connect() as c:
            c.send(get("/") + get("/wait") + get("/"))
            assert c.response().body == b"ok"
            assert s.get("/let").status == 200
            assert c.response().body == c.response().body == b"ok"


@pytest.mark.parametrize("behind, status", [
    (b"GET /hello HTTP/1.1\r\nHos", None),
    (b"POST /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhal", None),
    (b"POST /sink HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
     None),
    (b"\x00\r\n\r\n", 400),
    (b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
    (b"GET /hello HTTP/1.0\r\n\r\n", 200),
])
def test_what_comes_behind(server, behind, status):
    with server.connect() as c:
        c.send(get("/hello") * 4 + behind)
        for _ in range(4):
            assert c.response().body == HELLO
        if status:
            assert c.response().status == status
            assert c.rest() == b""
        else:
            assert c.quiet()


def test_the_end_behind_them(server):
    with server.connect() as c:
        c.send(get("/hello") * 40)
        c.half_close()
        for _ in range(40):
            assert c.response().body == HELLO
        assert c.rest() == b""


def test_large_answers_among_them(server):
    with server.connect() as c:
        c.send((get("/hello") * 5 + get("/big/less") + get("/big/pieces"))
               * 3)
        for _ in range(3):
            for _ in range(5):
                assert c.response().body == HELLO
            assert len(c.response().body) == 256 << 10
            assert len(c.response().body) == 8 << 20


def test_a_client_that_does_not_read_holds_no_thread(server):
    """It gets its answers later, all of them."""
    readers = [server.connect() for _ in range(6)]
    for c in readers:
        c.send(get("/big/less") * 100)
    for _ in range(20):
        assert server.get("/hello").body == HELLO
    for c in readers:
        for _ in range(100):
            assert len(c.response().body) == 256 << 10
        c.close()


@pytest.mark.skipif(not shutil.which("strace") or bool(harness.SANITIZERS),
                    reason="no strace, or one that traces itself")
def test_answers_go_together(bicorn, slow_app, tmp_path):
    """16 requests in one segment: far fewer than 16 writes."""
    trace = tmp_path / "trace"
    s = bicorn("--threads", 1, slow_app, wrapper=[
        "strace", "-f", "-qq", "-e", "trace=sendto,sendmsg,write,writev",
        "-e", "signal=none", "-o", trace])
    with s.connect() as c:
        c.send(get("/hello") * 16)
        for _ in range(16):
            assert c.response().body == HELLO
    arbiter = int(s.log.wait(r"Listening at: .* \((\d+)\)$").group(1))
    os.kill(arbiter, signal.SIGTERM)
    s.wait()
    writes = [line for line in trace.read_text().splitlines()
              if "HTTP/1.1 200" in line]
    assert len(writes) <= 4, writes
