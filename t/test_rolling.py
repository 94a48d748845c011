# SPDX-License-Identifier: MIT
"""Reloads that go step by step, and listeners that change in one."""
import os
import re
import signal
import socket

import pytest

from harness import refused, wait_for
from test_arbiter import life, messages  # noqa: F401
from test_reload import Load, booted, reload  # noqa: F401


def counts(server):
    """How many workers there were after each line that tells of one."""
    found, now = [], 0
    for line in messages(server):
        now += line.startswith("Booting worker")
        now -= line.startswith("Worker exiting")
        found.append(now)
    return found


# ---- step by step -----------------------------------------------------------

def test_one_by_one(booted, tmp_path):  # noqa: F811
    """Never more than one worker more, and never fewer than before."""
    server = booted("-w", 3, "--reload-step", 1, "--threads", 1)
    with Load(server) as load:
        for version in "two", "three":
            server.boot.write_text("ok " + version)
            mark = reload(server)
            server.wait_log(r"\] Ready: 3 workers", since=mark)
        load.more()
    assert not load.lost
    assert load.bodies == {b"one", b"two", b"three"}
    there = counts(server)
    assert min(there[there.index(3):]) == 3


def test_order_of_the_steps(booted):  # noqa: F811
    """An old one leaves when a new one is there, not before."""
    server = booted("-w", 3, "--reload-step", 1)
    old = server.workers()
    server.boot.write_text("hang")
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_log("life: hangs", since=mark)
    # Other children of the arbiter come and go.
    assert set(old) < set(server.workers())
    server.kill()


def test_failure_on_the_way(booted, tmp_path):  # noqa: F811
    """The first new worker boots, the second one does not: the old ones are
    back before the new one leaves."""
    server = booted("-w", 2, "--reload-step", 1)
    old = server.workers()
    boot = server.boot
    boot.unlink()
    os.mkfifo(boot)  # each worker that boots waits for its line

    def tell(how):
        boot.write_text(how)

    with Load(server) as load:
        server.signal(signal.SIGHUP)
        tell("ok two")
        wait_for(lambda: len(set(server.workers()) - set(old)) == 2,
                 "the second new worker")
        wait_for(lambda: len(set(server.workers()) & set(old)) == 1,
                 "the first old one to leave")
        tell("fail")
        server.wait_log(r"\[ERROR\] Reload failed: worker \(pid:\d+\) did not "
                        r"boot: .*; generation 1 serves on")
        server.wait_log(r"Booting worker")
        load.more()
        assert len(server.workers()) >= 2
        tell("ok one")
        wait_for(lambda: len(server.workers()) == 2 and
                 len(set(server.workers()) & set(old)) == 1,
                 "the old generation")
        load.bodies.clear()
        load.more(100)
        assert load.bodies <= {b"one", b"two"}
    assert not load.lost
    boot.unlink()
    boot.write_text("ok three")
    reload(server)
    assert server.get("/").body == b"three"


def test_two_failures_on_the_way(booted):  # noqa: F811
    """The second one does not send the new worker home that is needed."""
    server = booted("-w", 4, "--reload-step", 2)
    old = server.workers()
    boot = server.boot
    boot.unlink()
    os.mkfifo(boot)

    def new(count):
        """So many, in their order."""
        def begun():
            found = re.findall(r"Booting worker with pid: (\d+)",
                               server.log.text())
            return len(found) == len(old) + count and found[len(old):]
        return [int(pid) for pid in wait_for(begun, "%d to boot" % count)]

    server.signal(signal.SIGHUP)
    first, = new(1)
    boot.write_text("ok two")
    for pid in new(3)[1:]:
        os.kill(pid, signal.SIGKILL)
    server.wait_log(r"Reload failed: worker \(pid:\d+\) did not boot.*; "
                    r"generation 1 serves on")
    new(4)  # an old one comes back
    assert {server.get("/").body for _ in range(50)} <= {b"one", b"two"}
    assert first in server.workers()
    boot.write_text("ok one")
    wait_for(lambda: first not in server.workers(), "the new one to leave")
    assert len(server.workers()) == 4
    assert server.log.text().count("Reload failed") == 1


def test_another_reload_on_the_way(booted):  # noqa: F811
    """Those who have places of the old ones serve until others are there,
    even when nothing boots any more."""
    server = booted("-w", 3, "--reload-step", 1)
    old = server.workers()
    boot = server.boot
    boot.unlink()
    os.mkfifo(boot)
    with Load(server) as load:
        server.signal(signal.SIGHUP)
        for left in 2, 1:
            boot.write_text("ok two")
            wait_for(lambda: len(set(server.workers()) & set(old)) == left,
                     "an old one to leave")
        wait_for(lambda: len(server.workers()) == 4, "the third new one")
        there = set(sorted(server.workers())[:3])
        boot.unlink()
        boot.write_text("hang")
        server.signal(signal.SIGHUP)
        server.wait_log("Another reload: generation 2 is given up")
        wait_for(lambda: len(server.workers()) > 4, "others to boot")
        load.more(100)
        assert there <= set(server.workers())
        boot.write_text("ok three")
        mark = reload(server)
        server.wait_log(r"\] Ready: 3 workers", since=mark)
        wait_for(lambda: len(server.workers()) == 3, "all others to leave")
        load.bodies.clear()
        load.more(100)
        assert load.bodies <= {b"one", b"two", b"three"}
    assert not load.lost
    assert server.get("/").body == b"three"


def test_other_numbers_of_workers(bicorn, life, tmp_path):  # noqa: F811
    conf = tmp_path / "c"
    conf.write_text("workers = 3; reload_step = 1;")
    server = bicorn("-c", conf, life)
    for count, step in (1, 1), (4, 2), (2, 3), (3, 0):
        conf.write_text("workers = %d; reload_step = %d;" % (count, step))
        reload(server)
        wait_for(lambda: len(server.workers()) == count, "%d workers" % count)
        assert server.get("/").status == 200


# ---- listeners --------------------------------------------------------------

@pytest.fixture
def port():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_other_address_with_the_same_port(bicorn, life, tmp_path,  # noqa: F811
                                          port):
    """All addresses, one of them, by another name, and back: the socket of
    the old is open until the new one serves."""
    conf = tmp_path / "c"
    steps = ["0.0.0.0:%d", "127.0.0.1:%d", "localhost:%d", "0.0.0.0:%d",
             "127.0.0.1:%d", "[::]:%d", "0.0.0.0:%d"]
    conf.write_text('bind = "%s";' % (steps[0] % port))
    server = bicorn("-c", conf, life, bind=None)
    server.address = ("127.0.0.1", port)
    with Load(server) as load:
        for step in steps[1:]:
            conf.write_text('bind = "%s";' % (step % port))
            reload(server)
            load.more()
            other = refused(("127.0.0.2", port))
            assert other == (not step.startswith(("0", "["))), step
    assert not load.lost, load.lost[:5]


def test_other_address_that_is_given_up(booted, tmp_path, port):  # noqa: F811
    """Its candidate does not boot: all is as it was."""
    conf = tmp_path / "c"
    conf.write_text('bind = "0.0.0.0:%d";' % port)
    server = booted("-c", conf, bind=None)
    server.address = ("127.0.0.1", port)
    server.boot.write_text("fail")
    conf.write_text('bind = "127.0.0.1:%d";' % port)
    with Load(server) as load:
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_log("Reload failed", since=mark)
        load.more()
    assert not load.lost
    assert not refused(("127.0.0.2", port))
    server.boot.write_text("ok two")
    reload(server)
    assert refused(("127.0.0.2", port))
    assert server.get("/").body == b"two"


def test_address_of_another_server(bicorn, life, tmp_path, port):  # noqa: F811
    """What is taken by somebody else stays his."""
    conf = tmp_path / "c"
    conf.write_text('bind = "127.0.0.1:0";')
    server = bicorn("-c", conf, life, bind=None)
    with socket.socket() as s:
        s.bind(("127.0.0.1", port))
        s.listen()
        conf.write_text('bind = [ "127.0.0.1:0", "127.0.0.1:%d" ];' % port)
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_log(r"Reload failed: bind = 127\.0\.0\.1:%d: Address "
                        r"already in use" % port, since=mark)
    assert server.get("/").status == 200


# ---- listening only when ready ----------------------------------------------

@pytest.mark.parametrize("args", [[], ["--reuse-port"], ["-w", "3"]])
def test_listen_when_ready(bicorn, life, tmp_path, port, args):  # noqa: F811
    boot = tmp_path / "boot"
    boot.write_text("hang")
    server = bicorn("--listen-when-ready", "-e", "LIFE_BOOT=%s" % boot, *args,
                    life, bind="127.0.0.1:%d" % port, wait=False)
    server.wait_log("Booting worker")
    assert refused(("127.0.0.1", port))
    # The address is ours nevertheless.
    second = bicorn("--listen-when-ready", life,
                    bind="127.0.0.1:%d" % port, wait=False) \
        if not args else None
    assert "Listening at" not in server.log.text()
    boot.write_text("ok")
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    server.wait_ready()
    assert server.get("/").status == 200
    if second:
        second.stop(signal.SIGKILL)
    reload(server)
    assert server.get("/").status == 200


def test_listen_when_ready_on_a_unix_socket(bicorn, life,  # noqa: F811
                                            tmp_path):
    server = bicorn("--listen-when-ready", life,
                    bind="unix:%s/s" % tmp_path)
    assert server.get("/").status == 200
    assert server.stop() == 0
    assert not (tmp_path / "s").exists()
