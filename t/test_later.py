# SPDX-License-Identifier: MIT
"""Answers that are kept for a moment and sent together: while much is to be
done, and whatever happens to clients, threads and the system meanwhile."""
import errno
import os
import re
import signal
import ssl
import threading
import time
from pathlib import Path

import pytest

import harness
import tlskit
from harness import request, wait_for
from test_faults import environment, faults, library  # noqa: F401

SLOW = 4 if harness.SANITIZERS else 1
CLIENTS = 40


def ask(n, turn, us=60):
    return request(target="/echo?%d&%d&%d" % (us, n, turn))


def answer(n, turn, us=60):
    return b"%d&%d&%d" % (us, n, turn)


def turns(conns, count, begin=0):
    """All ask, then all read; so many times."""
    for turn in range(begin, begin + count):
        for n, c in enumerate(conns):
            c.send(ask(n, turn))
        for n, c in enumerate(conns):
            assert c.response().body == answer(n, turn)


def turns_until(conns, condition):
    """Sixty at least: on a busy machine clients may be slower than the one
    thread, and no answer is kept for a moment then."""
    begun = 0

    def some():
        nonlocal begun
        turns(conns, 20, begun)
        begun += 20
        return begun >= 60 and condition()

    wait_for(some, "answers that were sent together")


def sockets(pid):
    """So many has a process."""
    count = 0
    for x in Path("/proc/%d/fd" % pid).iterdir():
        try:
            count += os.readlink(x).startswith("socket:")
        except FileNotFoundError:
            pass  # closed just now
    return count


@pytest.fixture
def connect():
    """So many clients of a server, closed at the end of the test."""
    conns = []

    def start(server, count=CLIENTS):
        conns.extend(server.connect(timeout=20) for _ in range(count))
        return conns[-count:]

    yield start
    for c in conns:
        c.close()


@pytest.mark.parametrize("bind", ["tcp", "unix"])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_right_answers(bicorn, work, connect, environment,  # noqa: F811
                       faults, tmp_path, threads, bind):  # noqa: F811
    where = "unix:%s" % (tmp_path / "s") if bind == "unix" else "127.0.0.1:0"
    server = bicorn("--workers", "1", "--threads", threads, work, bind=where,
                    env=environment)
    faults.start()  # nothing fails: it counts
    turns_until(connect(server), lambda: faults.calls("io_submit") > 0)
    assert server.stop() == 0


def test_tls(bicorn, work, tmp_path):
    """Nothing goes past the encryption, beside clients without it."""
    tlskit.require()
    cert, key = tlskit.self_signed(tmp_path, "one")
    conf = tmp_path / "c"
    conf.write_text('listen = ( { bind = "127.0.0.1:0"; }, { bind = "127.0.0.1:0"; '
                    'tls = { certfile = "%s"; keyfile = "%s"; }; });' %
                    (cert, key))
    server = bicorn("--workers", "1", "--threads", "1", "-c", conf, work,
                    bind=None)
    trust = ssl.create_default_context(cafile=cert)
    trust.check_hostname = False
    plain, tls = (harness.address_of(x) for x in re.findall(
        r"https?://[\d.:]+", server.log.text())[:2])
    conns = [harness.Conn(plain, 20) for _ in range(CLIENTS // 2)]
    conns += [harness.Conn(tls, 20, trust) for _ in range(CLIENTS // 2)]
    turns(conns, 30)
    for c in conns:
        c.close()
    assert server.stop() == 0


@pytest.mark.parametrize("op, chance", [
    ("io_setup", 1), ("io_submit", 1), ("io_submit", .5), ("send", .3)])
def test_faults(bicorn, work, connect, environment, faults,  # noqa: F811
                op, chance):
    """Where the call is not to be had, or does less, nothing is lost."""
    server = bicorn("--workers", "1", "--threads", "2", work, env=environment)
    conns = connect(server)
    faults.rule(op, chance, -1 if op == "send" else 0)
    faults.start()
    turns_until(conns, lambda: faults.hits(op) > 0)
    faults.stop()
    turns(conns, 5)
    assert server.stop() == 0


def test_errors_behind_a_stuck_thread(bicorn, work, connect,  # noqa: F811
                                      environment, faults):  # noqa: F811
    """What the acceptor sends in place of a thread fails: those clients are
    closed, and none is answered out of turn."""
    server = bicorn("--workers", "1", "--threads", "1", work, env=environment)
    closed = 0
    for turn in range(0, 100, 25):
        conns = connect(server)
        turns(conns, 20, turn)
        faults.rule("send", 1, errno.EPIPE)
        faults.rule("io_submit", 1, errno.EAGAIN)
        faults.start()
        for n, c in enumerate(conns):
            c.send(ask(n, turn + 20) if n != 12
                   else request(target="/nap?100"))
        left = []
        for n, c in enumerate(conns):
            try:
                body = c.response().body
                assert body == answer(n, turn + 20) or n == 12
                left.append((n, c))
            except (harness.Closed, OSError):
                closed += 1
        faults.stop()
        for n, c in left:
            c.send(ask(n, turn + 21))
        for n, c in left:
            assert c.response().body == answer(n, turn + 21)
        for c in conns:
            c.close()
    assert closed > 0
    assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGINT])
def test_a_quick_end(bicorn, work, connect, tmp_path, number):
    """What is in the log as answered was sent."""
    for _ in range(5):
        server = bicorn("--workers", "1", "--threads", "1",
                        "--access-logfile", "-", work)
        conns = connect(server)
        turns(conns, 10)
        gate = tmp_path / "never"
        mark = server.mark()
        for n, c in enumerate(conns):
            c.send(ask(n, 10) if n != 15
                   else request(target="/hold?%s" % gate))
        server.wait_log("work: holding", since=mark)
        server.signal(number)
        server.wait(15 * SLOW)
        got = 0
        for n, c in enumerate(conns):
            try:
                r = c.response()
                assert r.status == 503 or r.body == answer(n, 10)
                got += 1
            except (harness.Closed, OSError):
                pass
            c.close()
        assert got >= server.out.count() - 10 * CLIENTS


def test_more_requests_meanwhile(bicorn, work, connect):
    """They arrive while the answer before them is kept, or waits."""
    server = bicorn("--workers", "1", "--threads", "2", work)
    conns = connect(server)
    for turn in range(0, 120, 3):
        for behind in range(3):
            for n, c in enumerate(conns):
                c.send(ask(n, turn + behind))
        for n, c in enumerate(conns):
            for behind in range(3):
                assert c.response().body == answer(n, turn + behind)
    assert server.stop() == 0


def test_clients_that_leave(bicorn, work, connect, faults,  # noqa: F811
                            environment):  # noqa: F811
    server = bicorn("--workers", "1", "--threads", "2", work, env=environment)
    conns = connect(server)
    faults.start()
    for turn in range(30):
        gone = [server.connect() for _ in range(20)]
        for n, c in enumerate(conns):
            c.send(ask(n, turn))
            if n < len(gone):
                gone[n].send(ask(n, turn))
        for n, c in enumerate(gone):
            if n % 2 == 0:
                c.reset()
            else:
                c.close()
        for n, c in enumerate(conns):
            assert c.response().body == answer(n, turn)
    turns_until(conns, lambda: faults.calls("io_submit") > 0)
    # They are forgotten, the others are not.
    wait_for(lambda: sockets(server.workers()[0]) <= CLIENTS + 8,
             "sockets to be closed")
    turns(conns, 2, 30)
    assert server.stop() == 0


def test_an_application_that_wants_sigpipe(wsgi, connect, tmp_path):
    """Who leaves does not end the worker, as the call knows no flag."""
    server = wsgi("""
        import signal, time
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        def app(environ, start_response):
            end = time.perf_counter() + 0.00006
            while time.perf_counter() < end:
                pass
            start_response("200 OK", [("Content-Length", "5")])
            return [b"hello"]
        """, "--workers", "1", "--threads", "1",
        bind="unix:%s" % (tmp_path / "s"))
    conns = connect(server)
    workers = server.workers()
    for _ in range(10):
        gone = [server.connect() for _ in range(20)]
        for c in conns + gone:
            c.send(request())
        for c in gone:
            c.close()
        for c in conns:
            assert c.response().body == b"hello"
    assert server.workers() == workers
    assert server.stop() == 0


def test_the_last_of_a_connection(bicorn, work, connect):
    """Connection: close beside those that go on."""
    server = bicorn("--workers", "1", "--threads", "1", work)
    conns = connect(server)
    for turn in range(20):
        last = [server.connect() for _ in range(10)]
        for n, c in enumerate(conns):
            c.send(ask(n, turn))
        for n, c in enumerate(last):
            c.send(request(target="/echo?60&%d&%d" % (n, turn),
                           headers=[("Connection", "close")]))
        for n, c in enumerate(conns):
            assert c.response().body == answer(n, turn)
        for n, c in enumerate(last):
            assert c.response().body == answer(n, turn)
            assert c.rest() == b""
            c.close()
    assert server.stop() == 0


def test_signals(bicorn, work, connect):
    """The end comes while answers are kept: they are sent."""
    server = bicorn("--workers", "1", "--threads", "2", work)
    conns = connect(server)
    turns(conns, 20)
    for n, c in enumerate(conns):
        c.send(ask(n, 20))
    server.signal(signal.SIGTERM)
    for n, c in enumerate(conns):
        assert c.response().body == answer(n, 20)
    assert server.wait(15 * SLOW) == 0


def test_work_behind_the_answer(wsgi, connect):
    """close() takes long: neither its own answer nor those before wait."""
    server = wsgi("""
        import time
        class Body:
            def __init__(self, text):
                self.text = text
            def __iter__(self):
                yield self.text
            def close(self):
                if self.text.startswith(b"long"):
                    time.sleep(0.5)
        def app(environ, start_response):
            end = time.perf_counter() + 0.00008
            while time.perf_counter() < end:
                pass
            text = environ["QUERY_STRING"].encode()
            start_response("200 OK", [("Content-Length", str(len(text)))])
            return Body(text)
        """, "--workers", "1", "--threads", "1")
    conns = connect(server)
    took = []
    for turn in range(9):
        for _ in range(15):
            for c in conns:
                c.send(request(target="/?short"))
            for c in conns:
                assert c.response().body == b"short"
        begun = time.monotonic()
        for n, c in enumerate(conns):
            c.send(request(target="/?%s" % ("long" if n == 10 else "short")))
        for n, c in enumerate(conns[:11]):
            body = b"long" if n == 10 else b"short"
            assert c.response().body == body
        took.append(time.monotonic() - begun)
        for c in conns[11:]:
            assert c.response().body == b"short"
    assert sorted(took)[4] < 0.2 * SLOW, took
    assert server.stop() == 0


def test_answers_that_do_not_fit(wsgi, connect):
    """Some are too large to be kept, and one fails when it has begun."""
    server = wsgi("""
        import time
        def app(environ, start_response):
            end = time.perf_counter() + 0.00006
            while time.perf_counter() < end:
                pass
            size = int(environ["QUERY_STRING"])
            start_response("200 OK", [("Content-Length", str(size))])
            yield b"x" * size
            if size == 7:
                raise RuntimeError("behind the end")
        """, "--workers", "1", "--threads", "2")
    conns = connect(server)
    sizes = [0, 7, 100, 3000, 4000, 4090, 5000, 20000, 200000]
    for turn in range(20):
        asked = [sizes[(turn + n) % len(sizes)] for n in range(len(conns))]
        for c, size in zip(conns, asked):
            c.send(request(target="/?%d" % size))
        for n, (c, size) in enumerate(zip(conns, asked)):
            assert c.response().body == b"x" * size
            if size == 7:
                c.close()
                conns[n] = connect(server, 1)[0]
    assert server.stop() == 0


@pytest.mark.alone
@pytest.mark.once
def test_forked_workers_have_their_own(bicorn, work, connect):
    """With several workers and as many clients each gets its answers."""
    server = bicorn("--workers", "2", "--threads", "4", work)
    groups = [connect(server) for _ in range(4)]
    errors = []

    def run(conns):
        try:
            turns(conns, 40)
        except Exception as e:  # pylint: disable=broad-except
            errors.append(e)

    threads = [threading.Thread(target=run, args=(g,)) for g in groups]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    assert server.stop() == 0
