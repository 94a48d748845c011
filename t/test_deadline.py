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
# Where the interruption is to do, however busy the machine is.
PATIENT = ("--request-timeout", "0.5", "--interrupt-timeout", "20",
           "--access-logfile", "-")


# Requests that nothing ends, in different places.
STUCK = r"""
    #include <bicorn/app.h>
    #include <string.h>
    #include <unistd.h>

    static void
    hang(struct bicorn_exchange *x, int late)
    {
        const char *text = "stuck now";

        x->server->log(x->server, BICORN_LOG_INFO, text, strlen(text));
        if (!late)
            for (;;)
                pause();
        for (unsigned left = 2; left > 0;)
            left = sleep(left);
        text = x->server->gone(x) ? "back: gone" : "back: there";
        x->server->log(x->server, BICORN_LOG_INFO, text, strlen(text));
    }

    static void
    handle(struct bicorn_exchange *x)
    {
        const struct bicorn_server *s = x->server;
        struct bicorn_str path = x->request->path;
        char byte;

        if (bicorn_str_eq(path, "/stuck"))
            hang(x, 0);
        if (bicorn_str_eq(path, "/begun")) {
            s->respond(x, 200, bicorn_str("OK"), NULL, 0, -1);
            s->write(x, "begun", 5);
            s->flush(x);
            hang(x, 0);
        }
        if (bicorn_str_eq(path, "/informed")) {
            s->inform(x, 103, NULL, 0);
            hang(x, 0);
        }
        if (bicorn_str_eq(path, "/late"))
            hang(x, 1);
        if (bicorn_str_eq(path, "/body")) {
            while (s->read(x, &byte, 1) == 1)
                ;
            hang(x, 1);
        }
        if (bicorn_str_eq(path, "/half")) {
            s->read(x, &byte, 1);
            hang(x, 1);
            while (s->read(x, &byte, 1) == 1)
                ;
        }
        if (bicorn_str_eq(path, "/gathered")) {
            s->respond(x, 200, bicorn_str("OK"), NULL, 0, 8);
            s->write(x, "four", 4);
            hang(x, 1);
            s->write(x, "four", 4);
            return;
        }
        bicorn_reply(x, 200, "text/plain", "ok", 2);
    }

    BICORN_APP(.handle = handle)
"""


def pid_of(server):
    return int(re.findall(r"Booting worker with pid: (\d+)",
                          server.log.text())[-1])


@pytest.mark.python
def test_interrupted(wsgi):
    """`except Exception` does not swallow it; 504; the thread lives on."""
    s = wsgi(APP, *PATIENT, "--threads", "1")
    r = s.get("/spin")
    assert r.status == 504
    s.wait_log(r"Request deadline: GET /spin, \d+\.\d s on thread pool-0 of "
               r"worker \(pid:%d\): interrupting it" % pid_of(s))
    s.wait_log(r'File ".*", line \d+ in spin')
    s.wait_log(r"bicorn\.RequestTimeout")
    s.wait_out(r'"GET /spin HTTP/1.1" 504 ')
    for _ in range(5):
        assert s.get("/").status == 200
    assert "replacing" not in s.log.text()


@pytest.mark.python
def test_finally_runs(wsgi):
    s = wsgi(APP, *PATIENT, "--threads", "1")
    assert s.get("/finally").status == 504
    assert s.get("/").body == b"1"


@pytest.mark.python
def test_head_was_sent(wsgi):
    """Too late for a 504: the body is cut, and close() is called."""
    s = wsgi(APP, *PATIENT, "--threads", "1")
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
        # Its thread does not come back, so that another one answers.
        assert c.response().status == 504
        assert c.rest() == b""
        s.wait_log(r"Booting worker with pid: (?!%d\b)" % old)
    s.wait_out(r'"GET %s HTTP/1.1" 504 ' % path)
    s.wait_log(r"Worker \(pid:%d\) was running: GET %s \(for" % (old, path))
    assert s.get("/").status == 200
    # The successor was there before the old one went.
    text = s.log.text()
    assert text.rindex("Booting worker") < text.index("was running")


def test_native(bicorn, compile_app):
    """No interruption in C: the stack is shown and the worker replaced."""
    s = bicorn(*QUICK, "--threads", "2", "--graceful-timeout", "1",
               compile_app(STUCK))
    with s.connect() as c:
        c.send(harness.request(target="/stuck"))
        s.wait_log("GET /stuck, .* it cannot be interrupted")
        s.wait_log(r"app\.so\(")  # a frame of the application
        s.wait_log("it did not end; replacing")
        assert s.get("/").status == 200
        r = c.response()
        assert r.status == 504
        assert r.header("connection") == "close"
        assert c.rest() == b""
    assert s.get("/").status == 200
    s.wait_out(r'"GET /stuck HTTP/1.1" 504 %d ' % len(r.body))


def test_stuck_head(bicorn, compile_app):
    s = bicorn(*QUICK, "--threads", "2", "--graceful-timeout", "1",
               compile_app(STUCK))
    with s.connect() as c:
        c.send(harness.request(method="HEAD", target="/stuck"))
        assert c.rest().startswith(b"HTTP/1.1 504 ")
    s.wait_out(r'"HEAD /stuck HTTP/1.1" 504 0 ')


@pytest.mark.parametrize("path,answer", [
    ("/begun", b"HTTP/1.1 200 OK\r\n"),  # bytes of it were sent
    ("/informed", b"HTTP/1.1 103 "),
])
def test_stuck_within_the_response(bicorn, compile_app, path, answer):
    s = bicorn(*QUICK, "--threads", "2", "--graceful-timeout", "1",
               compile_app(STUCK))
    with s.connect() as c:
        c.send(harness.request(target=path))
        rest = c.rest()
        assert rest.startswith(answer)
        assert b"504" not in rest


@pytest.mark.parametrize("path", ["/late", "/gathered", "/body", "/half"])
def test_back_at_last(bicorn, compile_app, path):
    """A thread that comes back after its request was answered in its place:
    it finds the client gone, and goes on with others."""
    s = bicorn(*QUICK, "--threads", "1", "--graceful-timeout", "20",
               "--stream-body", compile_app(STUCK))
    old = pid_of(s)
    with s.connect() as c, s.connect() as other:
        other.send("GET / HTT")  # keeps the worker
        c.send("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab"
               % path)
        if path != "/half":
            c.send("c")
        r = c.response()
        assert r.status == 504
        assert c.rest() == b""
        s.wait_log(r"back: gone")
        other.send("P/1.1\r\nHost: x\r\n\r\n")
        assert other.response().status == 200
    s.wait_log(r"Worker exiting \(pid: %d\)" % old)
    assert s.get("/").status == 200
    s.stop()
    assert s.out.text().count("POST " + path) == 1
    assert "was running" not in s.log.text()


def test_given_up_when_it_stops(bicorn, compile_app):
    """At the end of graceful_timeout: who was running, and who waited."""
    s = bicorn("--threads", "1", "--graceful-timeout", "1",
               "--access-logfile", "-", compile_app(STUCK))
    with s.connect() as c, s.connect() as d:
        c.send(harness.request(target="/stuck"))
        s.wait_log("stuck now")
        d.send(harness.request(target="/queued"))
        s.signal(signal.SIGTERM)
        assert c.response().status == 503
        assert c.rest() == b""
        r = d.response()
        assert r.status == 503
        assert r.header("retry-after")
    assert s.wait() == 0
    s.wait_out(r'"GET /stuck HTTP/1.1" 503 ')
    s.wait_out(r'"GET /queued HTTP/1.1" 503 ')


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
