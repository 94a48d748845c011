# SPDX-License-Identifier: MIT
"""USR2: another executable takes over, and nobody notices."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

import harness
from harness import wait_for
from test_arbiter import busy, gone, life, title, who  # noqa: F401
from test_notify import manager  # noqa: F401
from test_reload import Load


def pid_in(path):
    """0 while there is none: between two arbiters."""
    return int(path.read_text()) if path.exists() else 0


def upgrade(server, pidfile):
    """USR2; returns the pid of the new arbiter once it serves."""
    mark = server.mark()
    server.signal(signal.SIGUSR2)
    new = int(server.wait_log(r"Upgrade: the new arbiter is pid (\d+)",
                              since=mark).group(1))
    server.wait_log(r"\[%d\] \[INFO\] Ready" % new, since=mark)
    assert pid_in(Path("%s.2" % pidfile)) == new
    assert pid_in(pidfile) == server.pid
    return new


def finish(server, new, pidfile, number=signal.SIGTERM):
    """Ends the old arbiter; the harness then looks after the new one."""
    mark = server.mark()
    os.kill(server.pid, number)
    server.wait_log(r"\[%d\] \[INFO\] Master has been promoted\." % new,
                    since=mark)
    server.process.wait(harness.DEADLINE)
    wait_for(lambda: pid_in(pidfile) == new, "the pid file of the new one")
    assert not Path("%s.2" % pidfile).exists()
    server.pid = new


@pytest.fixture
def served(bicorn, life, tmp_path):  # noqa: F811
    """Ends new arbiters as well, which are not our children."""
    started = []

    def start(*args, **kw):
        server = bicorn("-p", tmp_path / "pid", *args, life, **kw)
        server.session = server.pid
        started.append(server)
        return server

    yield start
    for server in started:
        for number in signal.SIGTERM, signal.SIGKILL:
            for pid in harness.processes(server.session):
                try:
                    os.kill(pid, number)
                except OSError:
                    pass
            end = time.monotonic() + 5
            while harness.processes(server.session) and \
                    time.monotonic() < end:
                time.sleep(0.01)


@pytest.fixture
def executable(tmp_path):
    """A copy of bicorn that can be replaced, where it finds its modules."""
    path = tmp_path / "bin" / "bicorn"
    path.parent.mkdir()
    shutil.copy(harness.BICORN, path)
    return path


def test_upgrade(served, tmp_path):
    """The whole way, under load: five times, and nothing is lost."""
    pidfile = tmp_path / "pid"
    server = served("-w", 2)
    with Load(server) as load:
        for _ in range(5):
            load.more()
            new = upgrade(server, pidfile)
            load.more()
            finish(server, new, pidfile)
            load.more()
    assert not load.lost
    assert len(server.workers()) == 2
    os.kill(server.pid, signal.SIGTERM)
    wait_for(lambda: not harness.processes(server.session), "the end")
    assert not pidfile.exists()
    with pytest.raises(ConnectionRefusedError):
        server.connect()


def test_as_gunicorn_documents_it(served, tmp_path):
    """WINCH to the old one, then QUIT."""
    pidfile = tmp_path / "pid"
    server = served("-w", 2)
    with Load(server) as load:
        new = upgrade(server, pidfile)
        assert len(harness.children(server.pid)) == 3
        mark = server.mark()
        os.kill(server.pid, signal.SIGWINCH)
        server.wait_log("Handling signal: winch", since=mark)
        wait_for(lambda: server.workers() == [new], "the workers to leave")
        load.more()
        finish(server, new, pidfile, signal.SIGQUIT)
        load.more()
    assert not load.lost


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTTIN])
def test_way_back(served, tmp_path, number):
    """WINCH, workers again, then the new one is ended."""
    pidfile = tmp_path / "pid"
    server = served("-w", 1, bind="unix:%s/s" % tmp_path)
    with Load(server) as load:
        new = upgrade(server, pidfile)
        os.kill(server.pid, signal.SIGWINCH)
        wait_for(lambda: server.workers() == [new], "the workers to leave")
        mark = server.mark()
        os.kill(server.pid, number)
        server.wait_log(r"Booting worker", since=mark)
        wait_for(lambda: len(server.workers()) == 2, "another worker")
        again, = set(server.workers()) - {new}
        wait_for(lambda: "busy" in title(again), "it to be READY")
        os.kill(new, signal.SIGTERM)
        server.wait_log(r"Upgrade: the new arbiter \(pid:%d\) exited with "
                        r"code 0; this one serves on" % new, since=mark)
        load.more()
    assert not load.lost
    assert pid_in(pidfile) == server.pid
    assert not Path("%s.2" % pidfile).exists()
    assert server.stop() == 0
    assert not (tmp_path / "s").exists()


def test_new_one_that_fails(served, tmp_path):
    """The old one says so, serves on, and takes its workers back."""
    boot = tmp_path / "boot"
    boot.write_text("ok")
    server = served("-w", 2, "-e", "LIFE_BOOT=%s" % boot)
    boot.write_text("fail")
    server.signal(signal.SIGUSR2)
    server.wait_log(r"\[%d\] \[ERROR\] Upgrade: the new arbiter \(pid:\d+\) "
                    r"exited with code 3; this one serves on" % server.pid)
    assert server.get("/").status == 200
    assert not (tmp_path / "pid.2").exists()

    boot.write_text("ok")
    new = upgrade(server, tmp_path / "pid")
    os.kill(server.pid, signal.SIGWINCH)
    wait_for(lambda: server.workers() == [new], "the workers to leave")
    mark = server.mark()
    os.kill(new, signal.SIGKILL)
    server.wait_log(r"the new arbiter \(pid:%d\) was sent SIGKILL" % new,
                    since=mark)
    wait_for(lambda: len(server.workers()) == 2, "two workers again")
    assert server.get("/").status == 200
    # What the killed one left is put away.
    wait_for(lambda: not (tmp_path / "pid.2").exists(), "the file to go")
    finish(server, upgrade(server, tmp_path / "pid"), tmp_path / "pid")
    assert server.get("/").status == 200


def test_old_one_that_is_killed(served, tmp_path):
    server = served()
    new = upgrade(server, tmp_path / "pid")
    finish(server, new, tmp_path / "pid", signal.SIGKILL)
    assert server.get("/").status == 200


def test_one_at_a_time(served, tmp_path):
    server = served()
    new = upgrade(server, tmp_path / "pid")
    server.signal(signal.SIGUSR2)
    server.wait_log(r"\[WARNING\] No upgrade: one is under way")
    os.kill(new, signal.SIGUSR2)
    server.wait_log(r"\[%d\] \[WARNING\] No upgrade: the arbiter before this "
                    r"one is still there" % new)


def test_another_one_at_once(served, tmp_path):
    """The old one is gone, of which the new one may not have heard yet."""
    server, pidfile = served(), tmp_path / "pid"
    new = upgrade(server, pidfile)
    os.kill(new, signal.SIGSTOP)
    server.signal(signal.SIGKILL)
    server.process.wait(harness.DEADLINE)
    mark = server.mark()
    os.kill(new, signal.SIGUSR2)
    os.kill(new, signal.SIGCONT)
    server.pid = new
    newest = int(server.wait_log(r"the new arbiter is pid (\d+)", since=mark)
                 .group(1))
    server.wait_log(r"\[%d\] \[INFO\] Ready" % newest, since=mark)
    server.signal(signal.SIGTERM)
    server.wait_log(r"\[%d\] .*Master has been promoted" % newest, since=mark)
    wait_for(lambda: pid_in(pidfile) == newest, "the pid file of the newest")
    server.pid = newest
    assert server.get("/").status == 200


def test_long_request_is_finished_by_the_old(served, tmp_path):
    server = served()
    with server.connect() as c:
        c.send(harness.request(target="/sleep/1000"))
        wait_for(lambda: busy(server) == 1, "a request running")
        new = upgrade(server, tmp_path / "pid")
        os.kill(server.pid, signal.SIGTERM)
        assert c.response().status == 200
    server.process.wait(harness.DEADLINE)
    server.wait_log(r"\[%d\] .*Master has been promoted" % new)
    server.pid = new


@pytest.mark.parametrize("unit", ["bicorn.service", "bicorn@.service"])
def test_unit_waits_for_the_new_one(served, tmp_path, unit):
    """systemd kills a main process that it did not start at once, unless
    ExecStop has ended it before."""
    if not (harness.BUILD / "Makefile").exists():
        pytest.skip("not in a build folder")
    subprocess.run(["make", "-s", "etc/" + unit], cwd=harness.BUILD,
                   env=harness.environment(), check=True)
    text = (harness.BUILD / "etc" / unit).read_text()
    program, flag, script = re.search(
        r"^ExecStop=-(\S+) (\S+) '(.*)'$", text, re.M).groups()
    server = served()
    new = upgrade(server, tmp_path / "pid")
    finish(server, new, tmp_path / "pid")
    with server.connect() as c:
        c.send(harness.request(target="/sleep/1000"))
        wait_for(lambda: busy(server) == 1, "a request running")
        subprocess.run([program, flag, script.replace("$$", "$")],
                       env={**os.environ, "MAINPID": str(new)}, check=True,
                       timeout=harness.DEADLINE)
        assert harness.is_dead(new)
        assert c.response().status == 200


def test_settings_and_surroundings(served, tmp_path):
    """They are read anew; what was there at the start is there again."""
    pidfile = tmp_path / "pid"
    (tmp_path / "c").write_text("workers = 1;")
    server = served("-c", "c", bind="unix:%s/s" % tmp_path, cwd=tmp_path)
    before = who(server)
    (tmp_path / "c").write_text("workers = 3;")
    new = upgrade(server, pidfile)
    finish(server, new, pidfile)
    assert len(server.workers()) == 3
    after = who(server)
    assert before.keys() == after.keys()
    for key in set(before) - {"pid", "ppid", "generation", "number"}:
        assert before[key] == after[key], key
    assert re.match(r"bicorn: master \[", title(new))
    for name in "BICORN_UPGRADE", "NOTIFY_SOCKET":
        assert server.get("/env/" + name).body == b"(unset)"
    # No descriptor was passed on that nobody needs.
    links = [os.readlink(x) for x in Path("/proc/%d/fd" % new).iterdir()]
    assert not [x for x in links if "bicorn-upgrade" in x]
    assert not [x for x in links if "bicorn-counters" in x]
    assert len([x for x in links if x.startswith("socket:")]) == 1
    # It is ours now, and so is its path.
    os.kill(new, signal.SIGTERM)
    wait_for(lambda: not harness.processes(server.session), "the end")
    assert not (tmp_path / "s").exists()


def test_new_executable(bicorn, served, tmp_path, executable):
    """What stands under the old name is run, and this version when nothing
    does."""
    server = served(env={"BICORN_MODULES": harness.BICORN.parent / ".libs"},
                    wrapper=["sh", "-c", 'shift; exec "$0" "$@"', executable])
    assert os.readlink("/proc/%d/exe" % server.pid) == str(executable)
    inode = executable.stat().st_ino
    other = executable.with_name("other")
    shutil.copy(harness.BICORN, other)
    other.rename(executable)
    assert executable.stat().st_ino != inode
    new = upgrade(server, tmp_path / "pid")
    assert os.readlink("/proc/%d/exe" % new) == str(executable)
    finish(server, new, tmp_path / "pid")

    executable.unlink()
    new = upgrade(server, tmp_path / "pid")
    server.wait_log(r"Upgrade: cannot run %s .*, so this version again"
                    % executable)
    finish(server, new, tmp_path / "pid")
    assert server.get("/").status == 200


def test_tickets_go_along(served, tmp_path):
    """A client resumes its TLS session with the new one."""
    from test_tls import make_pair  # skips where there is no TLS
    cert, key = make_pair(tmp_path, "ec", "ec", "-pkeyopt",
                          "ec_paramgen_curve:P-256")
    server = served("--certfile", cert, "--keyfile", key)
    context = ssl.create_default_context(cafile=str(cert))

    def visit(session=None):
        with socket.create_connection(server.address,
                                      harness.DEADLINE) as s, \
                context.wrap_socket(s, server_hostname="localhost",
                                    session=session) as t:
            t.sendall(harness.request(close=True))
            while t.recv(4096):
                pass
            return t.session_reused, t.session
    reused, session = visit()
    assert not reused
    assert visit(session)[0]  # where one serves, tickets work
    finish(server, upgrade(server, tmp_path / "pid"), tmp_path / "pid")
    assert visit(session)[0]


def test_preloaded(served, tmp_path):
    """Whoever loads the application once has it loaded again."""
    server = served("--preload", "-w", 2)
    with Load(server) as load:
        new = upgrade(server, tmp_path / "pid")
        finish(server, new, tmp_path / "pid")
        load.more()
    assert not load.lost


def test_service_manager_follows(served, manager, tmp_path):  # noqa: F811
    """The old one alone speaks, until it names its heir."""
    server = served(env={"NOTIFY_SOCKET": manager.name})
    manager.wait("READY=1")
    new = upgrade(server, tmp_path / "pid")
    mark = len(manager.told)
    finish(server, new, tmp_path / "pid")
    manager.wait("MAINPID=%d" % new, mark)
    manager.wait("READY=1", mark)
    wait_for(lambda: manager.status().startswith("Serving"), "the status")
    assert not manager.has("STOPPING=1")
    heir = [x for x in manager.told if "MAINPID=%d" % new in x]
    assert "READY=1" not in heir[0] and "READY=1" in heir[-1]


GUNICORN = shutil.which("gunicorn")


@pytest.mark.python
@pytest.mark.skipif(not GUNICORN, reason="no gunicorn")
def test_gunicorn_becomes_bicorn(tmp_path):
    """Its executable was replaced, and USR2 does the rest."""
    (tmp_path / "webapp.py").write_text(
        "def app(e, s):\n"
        "    s('200 OK', [('Content-Length', '2')])\n"
        "    return [b'ok']\n")
    command = tmp_path / "server"
    command.write_text("#!%s\nimport re, sys\nsys.argv[0] = %r\n"
                       "from gunicorn.app.wsgiapp import run\nrun()\n" % (
                           Path(GUNICORN).read_text().split("\n")[0][2:],
                           str(command)))
    command.chmod(0o755)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    pidfile, log = tmp_path / "pid", tmp_path / "log"
    old = subprocess.Popen(
        [command, "-b", "127.0.0.1:%d" % port, "-p", pidfile, "-w", "2",
         "--log-file", log, "webapp:app"], cwd=tmp_path,
        env=harness.environment(), start_new_session=True)

    def answer():
        try:
            with harness.Conn(("127.0.0.1", port)) as c:
                return c.get("/", close=True)
        except OSError:
            return None
    try:
        wait_for(lambda: log.exists() and "Booting worker" in log.read_text()
                 and answer(), "gunicorn")
        if "gunicorn" not in answer().header("Server", ""):
            pytest.skip("that is no gunicorn")
        # gunicorn runs its Python with this file again.
        command.write_text("import os, sys\nos.execv(%r, [%r] + sys.argv[1:])"
                           % (str(harness.BICORN), str(harness.BICORN)))
        os.kill(old.pid, signal.SIGUSR2)
        wait_for(lambda: "Ready: 2 workers" in log.read_text(), "bicorn")
        new = pid_in(Path("%s.2" % pidfile))
        os.kill(old.pid, signal.SIGTERM)
        old.wait(harness.DEADLINE)
        wait_for(lambda: "promoted" in log.read_text(), "its promotion")
        wait_for(lambda: pid_in(pidfile) == new, "the pid file")
        assert "gunicorn" not in answer().header("Server", "")
        os.kill(new, signal.SIGTERM)
        wait_for(lambda: gone(new), "the end")
    finally:
        for pid in harness.processes(old.pid):
            os.kill(pid, signal.SIGKILL)
        old.wait()


@pytest.mark.skipif("#define HAVE_ADMIN 1" not in harness._CONFIG,
                    reason="built without jansson")
def test_numbers_go_on(served, tmp_path):
    """The admin listener changes hands, and no number goes back."""
    control = tmp_path / "control.sock"
    server = served("--control-socket", control, "--workers", 2)

    def seen():
        out = subprocess.run([harness.BUILD / "bicornctl", "-s", control,
                              "--json", "status"], capture_output=True,
                             text=True, timeout=harness.DEADLINE)
        return json.loads(out.stdout) if out.returncode == 0 else None

    def answers():
        status = seen()
        return status and status["counters"]["requests"]["2xx"]

    for _ in range(10):
        server.get("/")
    wait_for(lambda: answers() == 10, "ten")
    new = upgrade(server, tmp_path / "pid")
    finish(server, new, tmp_path / "pid")
    wait_for(lambda: (seen() or {}).get("arbiter", {}).get("pid") == new,
             "the new one's answer")
    assert answers() >= 10
    for _ in range(5):
        server.get("/")
    wait_for(lambda: answers() == 15, "fifteen")


@pytest.mark.parametrize("of", ["tcp", "unix"])
def test_upgrade_upon_a_reload(served, tmp_path, of):
    """What a reload has just begun to listen on is the new arbiter's too."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    more, address = ("127.0.0.1:%d" % port, ("127.0.0.1", port)) \
        if of == "tcp" else ("unix:%s/more" % tmp_path,
                             str(tmp_path / "more"))
    conf, boot, pidfile = (tmp_path / x for x in ("c.conf", "boot", "pid"))
    conf.write_text('bind = "127.0.0.1:0";')
    boot.write_text("ok 1")
    server = served("-c", conf, "-e", "LIFE_BOOT=%s" % boot, bind=None)
    boot.write_text("hang")
    conf.write_text('bind = ["127.0.0.1:0", "%s"];' % more)
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_log("life: hangs", since=mark)
    boot.write_text("ok 2")
    new = upgrade(server, pidfile)
    assert "in use" not in server.log.text()
    finish(server, new, pidfile)
    for at in server.address, address:
        with harness.Conn(at) as c:
            assert c.get("/").status == 200
