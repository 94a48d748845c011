# SPDX-License-Identifier: MIT
"""What the service manager is told: a real socket stands for its end."""
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

import harness
from harness import wait_for
from test_arbiter import life  # noqa: F401


class Manager:
    """The manager's end: what it was told, as lists of lines."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.name = address.replace("\0", "@", 1)
        self.told = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                data = self.socket.recv(65536)
            except OSError:
                return
            self.told.append(data.decode().split("\n"))

    def has(self, line, since=0):
        return any(line in lines for lines in self.told[since:])

    def wait(self, line, since=0):
        wait_for(lambda: self.has(line, since), "%s in %r" % (line, self.told))

    def status(self):
        said = [lines[0] for lines in self.told
                if lines[0].startswith("STATUS=")]
        return said[-1][len("STATUS="):] if said else ""


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    address = str(tmp_path / "notify") if request.param == "path" else \
        "\0bicorn-test-%d-%s" % (os.getpid(), tmp_path.name)
    m = Manager(address)
    yield m
    m.socket.close()


def start(bicorn, manager, tmp_path, life, *args, how="ok one",  # noqa: F811
          env=None, **kw):
    (tmp_path / "boot").write_text(how)
    return bicorn("-e", "LIFE_BOOT=%s/boot" % tmp_path, *args, life,
                  env={"NOTIFY_SOCKET": manager.name, **(env or {})}, **kw)


def test_life(bicorn, manager, life, tmp_path):  # noqa: F811
    """Ready, reloading and ready again, stopping: in this order, in time."""
    server = start(bicorn, manager, tmp_path, life, "-w", 2)
    manager.wait("READY=1")
    manager.wait("STATUS=Serving: 2 of 2 workers ready")
    assert manager.told[0] == ["STATUS=Starting: 0 of 2 workers ready"]
    ready = [lines for lines in manager.told if "READY=1" in lines]
    assert ready == [["READY=1", "MAINPID=%d" % server.pid]]
    assert not manager.has("WATCHDOG=1")

    mark = len(manager.told)
    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    server.signal(signal.SIGHUP)
    manager.wait("STATUS=Serving: 2 of 2 workers ready", mark)
    after = time.clock_gettime(time.CLOCK_MONOTONIC)
    told = manager.told[mark:]
    assert told[0][0] == "RELOADING=1"
    name, us = told[0][1].split("=")
    assert name == "MONOTONIC_USEC"
    assert before - 0.001 <= int(us) / 1e6 <= after
    assert ["STATUS=Reloading: 0 of 2 workers ready"] in told
    assert told[-2][0] == "READY=1"

    mark = len(manager.told)
    assert server.stop() == 0
    manager.wait("STATUS=Stopping: 0 workers left", mark)
    assert manager.told[mark] == ["STOPPING=1"]
    assert not manager.has("READY=1", mark)


def test_shutdown_delay(bicorn, manager, life, tmp_path):  # noqa: F811
    server = start(bicorn, manager, tmp_path, life, "--shutdown-delay", 1,
                   env={"WATCHDOG_USEC": "100000"})
    manager.wait("READY=1")
    mark = len(manager.told)
    server.signal(signal.SIGTERM)
    manager.wait("STATUS=Stopping: serving for shutdown_delay", mark)
    assert ["STOPPING=1"] in manager.told[mark:]
    assert server.wait() == 0
    manager.wait("STATUS=Stopping: 0 workers left", mark)
    assert manager.told[mark:].count(["STOPPING=1"]) == 1


def test_ready_is_said_when_it_is_true(bicorn, manager, life,  # noqa: F811
                                       tmp_path):
    server = start(bicorn, manager, tmp_path, life, how="hang", wait=False)
    server.wait_log("Booting")
    manager.wait("STATUS=Starting: 0 of 1 workers ready")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    manager.wait("STOPPING=1")
    assert not manager.has("READY=1")


def test_start_that_fails_is_told(bicorn, manager, life, tmp_path):  # noqa: F811
    server = start(bicorn, manager, tmp_path, life, how="fail", wait=False)
    assert server.wait() == 3
    wait_for(lambda: manager.status() ==
             "Stopping: 0 workers left; Worker failed to boot.", "the reason")
    server = start(bicorn, manager, tmp_path, life, "-p", "/nowhere/pid",
                   wait=False)
    assert server.wait() == 1
    wait_for(lambda: "/nowhere/pid" in manager.status(), "the reason")
    assert not manager.has("READY=1")


@pytest.mark.parametrize("broken", ["application", "settings"])
def test_reload_that_fails_is_told(bicorn, manager, life,  # noqa: F811
                                   tmp_path, broken):
    conf = tmp_path / "x.conf"
    conf.write_text("workers = 1;\n")
    server = start(bicorn, manager, tmp_path, life, "-c", conf)
    manager.wait("READY=1")
    mark = len(manager.told)
    if broken == "application":
        (tmp_path / "boot").write_text("fail")
        why = "did not boot"
    else:
        conf.write_text("workers = many;\n")
        why = "x.conf"
    server.signal(signal.SIGHUP)
    manager.wait("RELOADING=1", mark)
    manager.wait("READY=1", mark)
    wait_for(lambda: manager.status().startswith(
        "Serving: 1 of 1 workers ready; the last reload failed: "), "status")
    assert why in manager.status()
    assert server.get("/").body == b"one"

    (tmp_path / "boot").write_text("ok two")
    conf.write_text("workers = 2;\n")
    server.signal(signal.SIGHUP)
    wait_for(lambda: manager.status() == "Serving: 2 of 2 workers ready",
             "another status")
    assert server.stop() == 0


def test_status_follows_the_workers(bicorn, manager, life,  # noqa: F811
                                    tmp_path):
    server = start(bicorn, manager, tmp_path, life, "-w", 2)
    manager.wait("STATUS=Serving: 2 of 2 workers ready")
    (tmp_path / "boot").write_text("fail")
    os.kill(server.workers()[0], signal.SIGKILL)
    manager.wait("STATUS=Serving: 1 of 2 workers ready")
    server.signal(signal.SIGTTOU)
    manager.wait("STATUS=Serving: 1 of 1 workers ready")
    assert server.stop() == 0


def sockets(pid):
    links = {os.readlink(x) for x in Path("/proc/%d/fd" % pid).iterdir()}
    return {x for x in links if x.startswith("socket:")}


def test_applications_do_not_speak_for_us(bicorn, manager, life,  # noqa: F811
                                          tmp_path):
    server = start(bicorn, manager, tmp_path, life,
                   env={"WATCHDOG_USEC": "20000000"})
    for name in "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID":
        assert server.get("/env/" + name).body == b"(unset)"
    worker, = server.workers()
    assert len(sockets(server.pid)) == 2
    assert len(sockets(server.pid) & sockets(worker)) == 1  # the listener


@pytest.mark.parametrize("name", ["relative", "/", "/nowhere/at/all",
                                  "/" + 200 * "x", "vsock:2:3", ""])
def test_socket_that_is_of_no_use(bicorn, life, name):  # noqa: F811
    server = bicorn(life, env={"NOTIFY_SOCKET": name})
    assert server.get("/env/NOTIFY_SOCKET").body == b"(unset)"
    assert ("cannot be used" in server.log.text()) == (
        name not in ("", "/nowhere/at/all"))
    assert server.stop() == 0


def test_manager_that_does_not_listen(bicorn, life, tmp_path):  # noqa: F811
    """Its buffer fills up: that holds up nobody."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(tmp_path / "notify"))
        server = bicorn("-w", 2, life, env={
            "NOTIFY_SOCKET": tmp_path / "notify", "WATCHDOG_USEC": "2000"})
        for _ in range(5):
            mark = server.mark()
            server.signal(signal.SIGHUP)
            server.wait_log("Ready", since=mark)
        assert server.get("/").status == 200
        assert server.stop() == 0


# ---- the watchdog -----------------------------------------------------------

def beats(manager):
    return sum("WATCHDOG=1" in lines for lines in manager.told)


def test_watchdog(bicorn, manager, life, tmp_path):  # noqa: F811
    start(bicorn, manager, tmp_path, life, env={"WATCHDOG_USEC": "200000"})
    manager.wait("READY=1")
    begin, before = time.monotonic(), beats(manager)
    wait_for(lambda: beats(manager) >= before + 10, "ten signs of life")
    assert time.monotonic() - begin > 0.8  # twice as often, no more


def test_watchdog_of_another_process(bicorn, manager, life,  # noqa: F811
                                     tmp_path):
    server = start(bicorn, manager, tmp_path, life, env={
        "WATCHDOG_USEC": "2000", "WATCHDOG_PID": "1"})
    manager.wait("READY=1")
    assert server.get("/").status == 200
    assert server.stop() == 0
    manager.wait("STOPPING=1")
    assert not beats(manager)


def test_no_sign_of_life_without_workers(bicorn, manager, life,  # noqa: F811
                                         tmp_path):
    """The manager restarts what cannot help itself."""
    server = start(bicorn, manager, tmp_path, life,
                   env={"WATCHDOG_USEC": "100000"})
    manager.wait("READY=1")
    wait_for(lambda: beats(manager) > 3, "signs of life")
    (tmp_path / "boot").write_text("fail")
    mark = server.mark()
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_log("exited with code 3", since=mark)
    wait_for(lambda: manager.status() == "Serving: 0 of 1 workers ready",
             "status")
    before = beats(manager)
    server.wait_log("Booting", since=server.mark())
    server.wait_log("exited with code 3", since=server.mark())
    assert beats(manager) <= before + 1
    (tmp_path / "boot").write_text("ok")
    wait_for(lambda: beats(manager) > before + 3, "signs of life again")
    assert server.get("/").status == 200


def test_manager_that_has_no_room(bicorn, life, tmp_path):  # noqa: F811
    """It is busy with others: what counts is said again, the newest of it."""
    address = str(tmp_path / "busy")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others:
        s.bind(address)
        s.settimeout(harness.DEADLINE)
        others.setblocking(False)

        def fill():
            with pytest.raises(BlockingIOError):
                while True:
                    others.sendto(b"X=1", address)

        def next_one():
            while True:
                said = s.recv(4096)
                if said != b"X=1":
                    return said
        fill()
        server = bicorn("-w", 2, life, env={"NOTIFY_SOCKET": address})
        ready = b"READY=1\nMAINPID=%d" % server.pid
        assert next_one() == ready
        assert next_one() == b"STATUS=Serving: 2 of 2 workers ready"
        fill()
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_log("Ready", since=mark)
        assert next_one() == ready
        s.settimeout(3)     # nothing is owed, and nothing repeated
        with pytest.raises(socket.timeout):
            assert not next_one()
        assert server.stop() == 0
