# SPDX-License-Identifier: MIT
"""Python without its lock: what threads of an application may do at once.

With a lock the same has to work, so all of it runs there too; what is about
the lock itself needs a build with PYTHON=python3.13t.
"""
import concurrent.futures
import re

import pytest

import harness

pytestmark = pytest.mark.python

free = pytest.mark.skipif(harness.HAS_LOCK, reason="bicorn was built with a "
                          "Python that has its lock: PYTHON=python3.13t")

# Views that hand what they were given to threads of their own.
APP = """
    import sys
    import threading

    SHARED = ["a" * 10, "b" * 10]
    BODY = [b"x" * 10] * 4
    HEADERS = [("Content-Type", "text/plain"), ("X-One", "1")]
    kept = []

    def together(count, f, *args):
        start = threading.Barrier(count)

        def run():
            start.wait()
            f(*args)
        threads = [threading.Thread(target=run) for _ in range(count)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    def read(environ, got):
        while data := environ["wsgi.input"].read(7):
            got.append(data)

    def lines(environ):
        for i in range(20):
            environ["wsgi.errors"].write("half ")
            environ["wsgi.errors"].write("line\\n")
            environ["wsgi.errors"].flush()

    def keep(environ, start_response):
        kept.append((environ, start_response))
        if len(kept) > 50:
            del kept[:25]

    def disturb(environ):
        for i in range(50):
            HEADERS.append(("X-More", "2"))
            BODY.append(b"y")
            environ["k%d" % i] = i
            del HEADERS[2:], BODY[4:]

    class File:
        left = 10

        def read(self, size):
            self.left -= 1
            return b"z" * size if self.left > 0 else b""

    def reuse(files):
        for i in range(20):
            files.__init__(File(), 10)
            files.filelike = File()
            for block in files:
                assert block == b"z" * 10

    def app(environ, start_response):
        path, got = environ["PATH_INFO"], []
        if path == "/read":
            together(4, read, environ, got)
            got = [b"%d" % sum(map(len, got))]
        elif path == "/lines":
            together(4, lines, environ)
        elif path == "/keep":
            together(4, keep, environ, start_response)
        elif path == "/list":
            together(2, disturb, environ)
            start_response("200 OK", HEADERS)
            return BODY
        elif path == "/file":
            files = environ["wsgi.file_wrapper"](File())
            together(4, reuse, files)
        elif path == "/lock":
            is_on = getattr(sys, "_is_gil_enabled", lambda: True)
            got = [b"on" if is_on() else b"off"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return got
"""


def storm(server, jobs, each):
    """Each job: a path and a body; on connections of their own, at once."""
    def ask(job):
        path, body = job
        method = "POST" if body else "GET"
        answers = []
        with server.connect() as c:
            for _ in range(each):
                answers.append(c.get(path, method=method, body=body))
        return answers

    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        found = list(pool.map(ask, jobs))
    assert all(a.status == 200 for answers in found for a in answers)
    return found


def test_storm(wsgi):
    body = b"0123456789" * 500
    server = wsgi(APP, "--threads", "8", "--access-logfile", "access.log",
                  "--access-logformat", "%(U)s %({k1}e)s %({PATH_INFO}e)s")
    storm(server, [("/read", body), ("/lines", None), ("/keep", None),
                   ("/list", None), ("/file", None), ("/", None),
                   ("/read", body), ("/keep", None)], 25)
    assert server.get("/read", method="POST", body=body).body == b"5000"
    for line in re.findall(r"\[ERROR\] (.*)", server.log.text()):
        # Halves of lines mix, as they do in any file.
        assert set(line.split()) <= {"half", "line"}, line


@free
def test_the_lock_is_off(wsgi):
    server = wsgi(APP)
    server.wait_log(r"Python 3\.\d+\.\S+ runs without its lock")
    assert server.get("/lock").body == b"off"


@free
def test_the_lock_may_be_on(wsgi):
    server = wsgi(APP, env={"PYTHON_GIL": "1"})
    server.wait_log(r"Python 3\.\d+\.\S+ runs with its lock")
    assert server.get("/lock").body == b"on"
