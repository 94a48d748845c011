# SPDX-License-Identifier: MIT
"""Processes that an application forks in a request, and that come back."""
import re
import ssl

import pytest

import harness
import tlskit

MUST_EXIT = r"\[ERROR\] A process that the application forked returned " \
    r"from its view; it has to end with os\._exit\(\)"
CAME_BACK = r"\[ERROR\] A process that the application forked came back to " \
    r"the server: it has to end with _exit\(\)"

APP = """
    import os, sys

    def fork():
        pid = os.fork()
        status = os.waitpid(pid, 0)[1] if pid else None
        return pid, b"" if pid == 0 else \\
            b"%d" % os.waitstatus_to_exitcode(status)

    def pieces():
        yield b"one "
        pid, status = fork()
        yield b"two of the child" if pid == 0 else b"two "
        yield status

    class Closes:
        def __iter__(self):
            yield b"closes"

        def close(self):
            fork()

    def app(environ, start_response):
        how = environ["PATH_INFO"][1:]
        if how == "pieces":
            start_response("200 OK", [])
            return pieces()
        if how == "closes":
            start_response("200 OK", [])
            return Closes()
        if how == "write":
            write = start_response("200 OK", [])
            pid, status = fork()
            write(b"child" if pid == 0 else b"parent ")
            return [status]
        pid, status = fork()
        if how == "file" and pid == 0:
            start_response("200 OK", [])
            return environ["wsgi.file_wrapper"](open(__file__, "rb"))
        if how == "hints":
            environ["wsgi.early_hints"]([("Link", "<%d>" % (pid != 0))])
        if how == "raises" and pid == 0:
            raise ValueError("in the child")
        if how == "exits" and pid == 0:
            sys.exit(7)
        if how == "tells" and pid == 0:
            sys.exit("no more to do")
        start_response("200 OK", [])
        return [b"child" if pid == 0 else b"parent " + status]
"""

ANSWERS = [
    ("returns", b"parent 1"), ("write", b"parent 1"),
    ("pieces", b"one two 1"), ("file", b"parent 1"), ("hints", b"parent 1"),
    ("closes", b"closes"), ("raises", b"parent 1"), ("exits", b"parent 7"),
    ("tells", b"parent 1"),
]


def ask(c, how):
    """The body of the one answer, behind which nothing comes."""
    r = c.get("/" + how)
    while r.status == 103:
        r = c.response()
    assert r.status == 200
    return r.body


def whole(server, c):
    """The worker is as it was, alone, and so is the connection."""
    assert c.quiet(0.05)
    assert ask(c, "returns") == b"parent 1"
    for pid in server.workers():
        assert harness.children(pid) == []


@pytest.mark.parametrize("how, body", ANSWERS, ids=[h for h, _ in ANSWERS])
def test_a_child_comes_back(wsgi, tmp_path, how, body):
    log = tmp_path / "access.log"
    server = wsgi(APP, "--threads", "2", "--access-logfile", log)
    workers = server.workers()
    with server.connect() as c:
        assert ask(c, how) == body
        server.wait_log({
            "raises": "ValueError: in the child", "exits": "Ready",
            "tells": "^no more to do$"}.get(how, MUST_EXIT))
        whole(server, c)
    assert server.workers() == workers
    assert server.stop() == 0
    assert len(re.findall(how, log.read_text())) == (
        2 if how == "returns" else 1)


def test_a_child_can_be_terminated(wsgi):
    """By itself: the worker does not hear of it."""
    server = wsgi("""
        import os, signal, time
        def app(environ, start_response):
            pid = os.fork()
            if pid == 0:
                signal.alarm(30)
                while True:
                    time.sleep(1)
            os.kill(pid, signal.SIGTERM)
            _, status = os.waitpid(pid, 0)
            start_response("200 OK", [])
            return [b"%d" % os.waitstatus_to_exitcode(status)]
        """)
    workers = server.workers()
    for _ in range(2):
        assert server.get("/").body == b"-15"
    assert server.workers() == workers


def test_by_tls(wsgi, tmp_path):
    """Without a close notify, after which the client would read no more."""
    tlskit.require()
    cert, key = tlskit.self_signed(tmp_path, "one")
    server = wsgi(APP, "--certfile", cert, "--keyfile", key)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname = False
    trust.load_verify_locations(cert)
    with server.connect(tls=trust) as c:
        for how, body in ANSWERS:
            assert ask(c, how) == body
        whole(server, c)


def test_preloaded(wsgi):
    """Workers are forked too, and do not end."""
    server = wsgi(APP, "--preload", "--workers", "2")
    workers = sorted(server.workers())
    with server.connect() as c:
        assert ask(c, "returns") == b"parent 1"
        server.wait_log(MUST_EXIT)
        whole(server, c)
    assert sorted(server.workers()) == workers


def test_past_python(wsgi):
    """A fork that Python does not know of."""
    server = wsgi("""
        import ctypes, os

        libc = ctypes.PyDLL(None)

        def app(environ, start_response):
            pid = libc.fork()
            status = b""
            if pid:
                status = b" %d" % os.waitstatus_to_exitcode(
                    os.waitpid(pid, 0)[1])
            start_response("200 OK", [])
            return [b"child" if pid == 0 else b"parent" + status]
    """)
    with server.connect() as c:
        for _ in range(3):
            assert c.get().body == b"parent 1"
        server.wait_log(CAME_BACK)
        assert c.quiet(0.05)


def test_streamed_body_is_the_parents(wsgi):
    """What a child would read of the connection its parent would miss."""
    server = wsgi("""
        import os

        def app(environ, start_response):
            body = environ["wsgi.input"]
            first = body.read(3)
            pid = os.fork()
            if pid == 0:
                try:
                    body.read(1)
                except OSError:
                    os._exit(5)
                os._exit(6)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            start_response("200 OK", [])
            return [first, b" %d " % status, body.read()]
    """, "--stream-body", "--threads", "2")
    with server.connect() as c:
        c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
        server.wait_log("Ready")
        assert c.quiet(0.05)
        c.send("def")
        assert c.response().body == b"abc 5 def"


def test_at_import_and_in_a_hook(wsgi, tmp_path):
    """A child that would boot as a second worker."""
    (tmp_path / "gunicorn.conf.py").write_text(
        "import os\n"
        "def post_worker_init(worker):\n"
        "    if os.fork() == 0:\n"
        "        return\n"
        "    os.wait()\n")
    server = wsgi("""
        import os

        if os.fork() == 0:
            pass
        else:
            os.wait()

        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"%d" % os.getpid()]
    """, "--workers", "1")
    workers = server.workers()
    assert {int(server.get().body) for _ in range(4)} == set(workers)
    assert len(re.findall(CAME_BACK, server.log.text())) == 2


@pytest.mark.parametrize("how", [
    "return", "bicorn_reply(x, 200, 0, \"child\", 5)",
    "bicorn_respond(x, 200, 0, 0, 5)", "bicorn_write(x, \"child\", 5)",
    "bicorn_flush(x)", "bicorn_finish(x)", "bicorn_abort(x)",
    "bicorn_error(x, 500, 0, 0)", "bicorn_inform(x, 103, 0, 0)",
    "bicorn_send_file(x, 0, 0, -1)", "bicorn_take_over(x, 101, 0, 0, &fd)",
    "bicorn_raw_write(x, \"child\", 5)", "bicorn_raw_read(x, text, 5, 9)",
], ids=lambda how: how.split("(")[0])
def test_native(bicorn, compile_app, how):
    server = bicorn(compile_app("""
        #include <bicorn/app.h>
        #include <sys/wait.h>
        #include <unistd.h>

        static void
        handle(struct bicorn_exchange *x)
        {
            char text[64];
            int status = -1, n, fd;
            pid_t pid = fork();

            (void)fd;
            if (pid == 0) {
                %s;
                return;
            }
            waitpid(pid, &status, 0);
            n = snprintf(text, sizeof(text), "parent %%d",
                WEXITSTATUS(status));
            bicorn_reply(x, 200, "text/plain", text, (size_t)n);
        }

        BICORN_APP(.handle = handle)
    """ % how, flags=["-Wno-unused-result"]))
    with server.connect() as c:
        for _ in range(2):
            assert c.get().body == b"parent 1"
        assert c.quiet(0.05)
    assert len(re.findall(CAME_BACK, server.log.text())) == 2
    assert harness.children(server.workers()[0]) == []


def test_what_a_child_may_do(wsgi):
    """It has the request, its body and the log, and ends by itself."""
    server = wsgi("""
        import os

        def app(environ, start_response):
            pid = os.fork()
            if pid == 0:
                environ["wsgi.errors"].write("read %r\\n" %
                                             environ["wsgi.input"].read())
                os._exit(4)
            start_response("200 OK", [])
            return [b"%d" % os.waitstatus_to_exitcode(
                os.waitpid(pid, 0)[1])]
    """)
    for size in 4, 200000:
        r = server.get(method="POST", body=b"x" * size)
        assert r.body == b"4"
    server.wait_log("read b'xxxx'")
    assert "has to end" not in server.log.text()


def test_multiprocessing_ends_well(wsgi):
    """As from a thread that Python started: exit functions run, status 0."""
    server = wsgi("""
        import multiprocessing, threading

        def work(queue):
            queue.put(threading.current_thread()
                      is threading.main_thread())

        def app(environ, start_response):
            fork = multiprocessing.get_context("fork")
            queue = fork.Queue()
            child = fork.Process(target=work, args=(queue,))
            child.start()
            answer = queue.get(timeout=20)
            child.join(20)
            start_response("200 OK", [])
            return [b"%d %d" % (answer, child.exitcode)]
    """)
    assert server.get().body == b"1 0"
