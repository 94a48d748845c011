# SPDX-License-Identifier: MIT
"""Workers that die: who did it, and what happens when they go on dying."""
import os
import re
import signal
from pathlib import Path

import pytest

import harness
from harness import wait_for
from test_arbiter import busy, life, messages  # noqa: F401

GROUPS = Path("/sys/fs/cgroup/memory")  # of version 1


# ---- who did it -------------------------------------------------------------

def test_senders_are_named(bicorn, life):  # noqa: F811
    server = bicorn(life)
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_log(r"Handling signal: hup, sent by pid %d \(\S.*\), user %d$"
                    % (os.getpid(), os.getuid()), since=mark)
    server.wait_log("Ready", since=mark)
    worker = server.workers()[-1]
    mark = server.mark()
    os.kill(worker, signal.SIGTERM)
    server.wait_log(r"Worker \(pid:%d\) leaves: it was sent SIGTERM by pid %d "
                    r"\(" % (worker, os.getpid()), since=mark)
    # What the arbiter sends needs no name.
    server.stop()
    assert server.log.text().count("leaves: it was sent") == 1


def test_kill_by_another_process(bicorn, life):  # noqa: F811
    server = bicorn(life)
    worker, = server.workers()
    with server.connect() as c:
        c.send(harness.request(target="/sleep/20000"))
        wait_for(lambda: busy(server) == 1, "a request running")
        os.kill(worker, signal.SIGKILL)
        text = server.wait_log(r"\[ERROR\] Worker \(pid:%d\) was sent SIGKILL"
                               r"(.*)" % worker).group(1)
        server.wait_log(r"Worker \(pid:%d\) was running: GET /sleep/20000"
                        % worker)
    if "Perhaps" not in text:  # the kernel counts its victims
        assert "some other process" in text
    server.kill()


@pytest.fixture
def group():
    """A control group for the memory of a process and its children."""
    if os.geteuid() != 0 or not os.access(GROUPS, os.W_OK) or \
            not (GROUPS / "memory.oom_control").exists():
        pytest.skip("no control group of version 1 can be made here")
    own = re.search(r":memory:(.*)", Path("/proc/self/cgroup").read_text())
    path = GROUPS / own.group(1).strip("/") / ("bicorn-%d" % os.getpid())
    path.mkdir()
    yield path
    wait_for(lambda: not (path / "cgroup.procs").read_text(),
             "the group to be empty")
    path.rmdir()


@pytest.mark.python
@pytest.mark.skipif(bool(harness.SANITIZERS), reason="takes too much memory")
def test_out_of_memory(wsgi, group):
    """The kernel is named, and only when it was the kernel."""
    (group / "memory.limit_in_bytes").write_text("120M")
    server = wsgi("""
        def app(environ, start_response):
            if environ["PATH_INFO"] == "/eat":
                eaten = [bytearray(b"x" * 1000000) for _ in range(4000)]
            start_response("200 OK", [])
            return [b"ok"]
    """, wrapper=["sh", "-c", "echo $$ >%s/cgroup.procs; exec \"$@\"" % group,
                  "sh"])
    worker, = server.workers()
    with server.connect() as c, pytest.raises(AssertionError):
        c.get("/eat")
    server.wait_log(r"\[ERROR\] Worker \(pid:%d\) was sent SIGKILL! Out of "
                    r"memory: the kernel's OOM killer did it \(oom_kill in "
                    r"%s/memory\.oom_control\)" % (worker, group))
    server.wait_log(r"Worker \(pid:%d\) was running: GET /eat" % worker)
    wait_for(lambda: server.workers() not in ([], [worker]), "another one")
    assert server.get("/").status == 200
    worker, = server.workers()
    mark = server.mark()
    os.kill(worker, signal.SIGKILL)
    server.wait_log(r"was sent SIGKILL by some other process", since=mark)
    assert server.stop() == 0


# ---- crash loops ------------------------------------------------------------

def loop(bicorn, life, tmp_path, *args, how="fail"):  # noqa: F811
    """A server that is killed when its application no longer loads."""
    boot = tmp_path / "boot"
    boot.write_text("ok")
    server = bicorn("-e", "LIFE_BOOT=%s" % boot, *args, life)
    boot.write_text(how)
    server.since = server.mark()
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    server.boot = boot
    return server


@pytest.mark.parametrize("how, code", [("fail", 3), ("none", 4)])
def test_given_up(bicorn, life, tmp_path, how, code):  # noqa: F811
    """After ever longer delays; the reason is the last word."""
    server = loop(bicorn, life, tmp_path, "-w", 3, "--crash-limit", 4, how=how)
    assert server.wait() == code
    said = messages(server)
    assert re.match(r"Reason: Workers do not last: given up after 4 attempts\."
                    r" .*told to " + how, said[-1]), said[-1]
    delays = [float(m.group(2)) for m in (
        re.match(r"Workers do not last: attempt (\d) of 4 in ([\d.]+) s\. "
                 r"The last one: .*told to", x) for x in said) if m]
    assert delays == sorted(delays) and len(delays) >= 2
    assert not [x for x in said if "attempt 5 of 4" in x]
    # No storm: after the first wave they go one by one.
    assert len([x for x in said if x.startswith("Booting")]) <= 3 + 3 + 4


def test_not_given_up_while_somebody_serves(bicorn, life,  # noqa: F811
                                            tmp_path):
    boot = tmp_path / "boot"
    boot.write_text("ok")
    server = bicorn("-w", 2, "--crash-limit", 1, "-e", "LIFE_BOOT=%s" % boot,
                    life)
    boot.write_text("fail")
    mark = server.mark()
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_log("attempt 3 of 1", since=mark)
    assert server.get("/").status == 200
    boot.write_text("ok")
    wait_for(lambda: len(server.workers()) == 2, "two workers")
    assert server.stop() == 0


def test_never_given_up(bicorn, life, tmp_path):  # noqa: F811
    server = loop(bicorn, life, tmp_path, "--crash-limit", 0)
    server.wait_log(r"attempt 5 in", since=server.since)
    server.boot.write_text("ok")
    wait_for(lambda: server.workers() and server.get("/").status == 200,
             "an answer", timeout=harness.DEADLINE)
    assert server.stop() == 0


@pytest.mark.python
def test_crash_soon_after_the_boot(wsgi):
    """READY alone is no success; the signal is the reason."""
    server = wsgi("""
        import os, threading, time

        def crash():
            time.sleep(0.1)
            os.abort()

        threading.Thread(target=crash, daemon=True).start()

        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"ok"]
    """, "--crash-limit", 3, wait=False)
    assert server.wait() == 3
    assert re.match(r"Reason: Workers do not last: given up after 3 attempts\."
                    r" Worker \(pid:\d+\) was sent SIGABRT!",
                    messages(server)[-1])
    assert not [x for x in messages(server) if "attempt 4 of 3" in x]


@pytest.mark.python
def test_requests_that_kill_do_not_end_it(wsgi):
    """A client who found such a request is not to take down the service."""
    server = wsgi("""
        import os

        def app(environ, start_response):
            if environ["PATH_INFO"] == "/die":
                os.abort()
            start_response("200 OK", [])
            return [b"ok"]
    """, "--crash-limit", 2)
    for _ in range(4):
        mark = server.mark()
        with pytest.raises(AssertionError):
            server.get("/die")
        server.wait_log(r"was running: GET /die", since=mark)
    wait_for(lambda: server.get("/").status == 200, "an answer")
    assert server.stop() == 0
