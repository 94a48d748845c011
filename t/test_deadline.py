# SPDX-License-Identifier: MIT
"""request_timeout, step by step: the log, the interruption, the new worker."""
import os
import re
import signal

import pytest

import harness

APP = r"""
    import re, time

    closed = []

    def spin():
        while True:
            pass

    def body():
        try:
            yield b"begun"
            spin()
        finally:
            closed.append(1)

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/spin":
            try:
                spin()
            except Exception:
                pass
        if path == "/finally":
            try:
                spin()
            finally:
                closed.append(1)
        if path == "/stubborn":
            while True:
                try:
                    spin()
                except BaseException:
                    pass
        if path == "/lock":     # holds the interpreter's lock all the time
            re.match(r"(a+)+$", "a" * 40 + "b")
        if path == "/stream":
            start_response("200 OK", [])
            return body()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % len(closed)]
"""

QUICK = ("--request-timeout", "0.3", "--interrupt-timeout", "0.3",
         "--access-logfile", "-")


def pid_of(server):
    return int(re.findall(r"Booting worker with pid: (\d+)",
                          server.log.text())[-1])


@pytest.mark.python
def test_interrupted(wsgi):
    """`except Exception` does not swallow it; 504; the thread lives on."""
    s = wsgi(APP, *QUICK, "--threads", "1")
    r = s.get("/spin")
    assert r.status == 504
    s.wait_log(r"Request deadline: GET /spin, 0\.\d s on thread pool-0 of "
               r"worker \(pid:%d\): interrupting it" % pid_of(s))
    s.wait_log(r'File ".*", line \d+ in spin')
    s.wait_log(r"bicorn\.RequestTimeout")
    s.wait_out(r'"GET /spin HTTP/1.1" 504 ')
    for _ in range(5):
        assert s.get("/").status == 200
    assert "replacing" not in s.log.text()


@pytest.mark.python
def test_finally_runs(wsgi):
    s = wsgi(APP, *QUICK, "--threads", "1")
    assert s.get("/finally").status == 504
    assert s.get("/").body == b"1"


@pytest.mark.python
def test_head_was_sent(wsgi):
    """Too late for a 504: the body is cut, and close() is called."""
    s = wsgi(APP, *QUICK, "--threads", "1")
    with s.connect() as c:
        c.send(harness.request(target="/stream"))
        assert c.head()[1] == 200
        assert c.chunk() == b"begun"
        assert c.rest() == b""
    assert s.get("/").body == b"1"


@pytest.mark.python
def test_quick_ones_are_left_alone(wsgi):
    s = wsgi(APP, "--request-timeout", "0.3", "--threads", "2")
    with s.connect() as c:
        for _ in range(300):
            assert c.get("/").status == 200
    assert "deadline" not in s.log.text()


@pytest.mark.python
@pytest.mark.parametrize("path,why", [
    ("/stubborn", "it did not end; replacing"),
    ("/lock", "the interpreter's lock is not given up; replacing"
        if harness.HAS_LOCK else "it did not end; replacing"),
])
def test_worker_is_replaced(wsgi, path, why):
    s = wsgi(APP, *QUICK, "--threads", "2", "--graceful-timeout", "1")
    old = pid_of(s)
    with s.connect() as c:
        c.send(harness.request(target=path))
        s.wait_log(re.escape(why))
        s.wait_log(r"Booting worker with pid: (?!%d\b)" % old)
        assert c.rest() == b""
    s.wait_log(r"Worker \(pid:%d\) was running: GET %s \(for" % (old, path))
    assert s.get("/").status == 200
    # The successor was there before the old one went.
    text = s.log.text()
    assert text.rindex("Booting worker") < text.index("was running")


def test_native(bicorn, compile_app):
    """No interruption in C: the stack is shown and the worker replaced."""
    s = bicorn(*QUICK, "--threads", "2", "--graceful-timeout", "1",
               compile_app("""
        #include <bicorn/app.h>
        #include <unistd.h>

        static void
        handle(struct bicorn_exchange *x)
        {
            if (bicorn_str_eq(x->request->path, "/stuck"))
                for (;;)
                    pause();
            bicorn_reply(x, 200, "text/plain", "ok", 2);
        }

        BICORN_APP(.handle = handle)
    """))
    with s.connect() as c:
        c.send(harness.request(target="/stuck"))
        s.wait_log("GET /stuck, .* it cannot be interrupted")
        s.wait_log(r"app\.so\(")  # a frame of the application
        s.wait_log("it did not end; replacing")
        assert s.get("/").status == 200
        assert c.rest() == b""
    assert s.get("/").status == 200


@pytest.mark.python
def test_stacks_on_demand(wsgi):
    s = wsgi("""
        import threading

        go = threading.Event()

        def wait_here():
            go.wait(20)

        def app(environ, start_response):
            if environ["PATH_INFO"] == "/wait":
                wait_here()
            else:
                go.set()
            start_response("200 OK", [])
            return [b"ok"]
    """, "--threads", "2")
    with s.connect() as c:
        c.send(harness.request(target="/wait?a=%0d"))
        # It may be about to begin when the first stacks are taken.
        assert any("wait_here" in said and "GET /wait?a=%0d" in said
                   for said in (dump(s) for _ in range(200)))
        assert s.get("/go").status == 200
        assert c.response().status == 200


def dump(server):
    before = server.log.count()
    os.kill(pid_of(server), signal.SIGUSR2)
    server.wait_log(r"Stack of thread pool-1", since=before)
    return server.log.text()
