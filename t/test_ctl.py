# SPDX-License-Identifier: MIT
"""bicornctl(8) and the control socket."""
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading

import pytest

import harness
from harness import BUILD, wait_for
from test_admin import APP
from test_arbiter import life  # noqa: F401

pytestmark = pytest.mark.skipif(
    "#define HAVE_ADMIN 1" not in harness._CONFIG,
    reason="built without jansson")

CTL = BUILD / "bicornctl"


class Ctl:
    def __init__(self, path):
        self.path = path

    def run(self, *args, **kw):
        return subprocess.run([CTL, "-s", self.path, *map(str, args)],
                              capture_output=True, text=True,
                              timeout=harness.DEADLINE * 3, **kw)

    def ok(self, *args):
        done = self.run(*args)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *args):
        return json.loads(self.ok("--json", *args))


@pytest.fixture
def controlled(bicorn, compile_app, tmp_path):
    def start(*args, app=None, **kw):
        path = tmp_path / "control.sock"
        server = bicorn("--control-socket", path, *args,
                        app or compile_app(APP), **kw)
        wait_for(path.exists, "the socket")
        return server, Ctl(path)
    return start


def test_looking(controlled):
    server, ctl = controlled("--workers", 2, "--threads", 3)
    for _ in range(7):
        server.get("/")
    wait_for(lambda: ctl.json("status")["requests"] == 7, "the requests")
    assert "2 of 2 ready" in ctl.ok("status")
    workers = ctl.json("workers")
    assert len(workers) == 2
    assert all(len(w["threads"]) == 3 and w["state"] == "ready" and
               w["memory"] > 100000 for w in workers)
    assert ctl.ok("workers").count("ready") == 2
    assert ctl.ok("settings", "threads") == "3\n"
    assert ctl.json("settings")["workers"] == "2"
    assert "workers = 2;" in ctl.ok("settings")
    assert ctl.run("settings", "nonsense").returncode == 1


def test_requests_oldest_first(controlled):
    server, ctl = controlled()
    with server.connect() as a, server.connect() as b:
        a.send("GET /hang?first HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: len(ctl.json("requests")) == 1, "the first")
        b.send("GET /hang?second%0a HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: len(ctl.json("requests")) == 2, "the second")
        assert [r["request"] for r in ctl.json("requests")] == [
            "GET /hang?first", "GET /hang?second%0a"]
        text = ctl.ok("requests")
        assert text.index("first") < text.index("second")
        top = ctl.ok("top")
        assert "\033" not in top and "GET /hang?first" in top
        os.kill(ctl.json("workers")[0]["pid"], signal.SIGKILL)


@pytest.mark.python
def test_stacks(controlled, tmp_path):
    (tmp_path / "webapp.py").write_text(
        "import time\n"
        "def wait_for_godot():\n"
        "    time.sleep(30)\n"
        "def app(environ, start_response):\n"
        "    wait_for_godot()\n")
    server, ctl = controlled("--threads", 2, app="webapp:app", cwd=tmp_path)
    with server.connect() as c:
        c.send("GET /play HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: ctl.json("requests"), "the request")
        pid = ctl.json("workers")[0]["pid"]
        stacks = ctl.json("stacks", pid)
        assert stacks[0]["pid"] == pid
        assert "GET /play" in stacks[0]["stacks"]
        assert "wait_for_godot" in stacks[0]["stacks"]
        assert "wait_for_godot" in ctl.ok("stacks")
        os.kill(pid, signal.SIGKILL)
    assert ctl.run("stacks", 1).returncode == 1
    assert ctl.run("stacks", "x").returncode == 2


def test_stacks_of_one_that_hangs(controlled):
    server, ctl = controlled("--timeout", 0)
    pid = ctl.json("workers")[0]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert ctl.json("stacks")[0]["error"] == "it does not answer"
    finally:
        os.kill(pid, signal.SIGCONT)


def test_commands(controlled):
    server, ctl = controlled()
    assert "generation 2 serves" in ctl.ok("reload")
    ctl.ok("scale", 3)
    wait_for(lambda: ctl.json("status")["load"]["workers_ready"] == 3, "three")
    old = ctl.json("workers")[0]["pid"]
    ctl.ok("retire", old)
    wait_for(lambda: old not in [w["pid"] for w in ctl.json("workers")],
             "it to be gone")
    wait_for(lambda: ctl.json("status")["restarts"]["operator"] == 1, "why")
    assert ctl.run("retire", 1).returncode == 1
    assert ctl.run("scale", 0).returncode == 2
    assert ctl.run("scale", 100000).returncode == 1
    assert ctl.run("scale").returncode == 2
    assert ctl.run("fly").returncode == 2
    assert ctl.run("status", "x").returncode == 2
    assert ctl.ok("--help").startswith("Usage: bicornctl")
    assert ctl.run("status").returncode == 0


def test_reload_that_fails(controlled, tmp_path):
    conf = tmp_path / "bicorn.conf"
    conf.write_text("threads = 2;\n")
    server, ctl = controlled("-c", conf)
    for wrong in ("threads = 0;", "thread = 1;") * 5:
        conf.write_text(wrong)
        done = ctl.run("reload")
        assert done.returncode == 1 and wrong[:6] in done.stderr
        # At once, not some time after the answer.
        assert ctl.json("status")["arbiter"]["reload_error"] in done.stderr
    conf.write_text("threads = 3;\n")
    ctl.ok("reload")
    assert ctl.ok("settings", "threads") == "3\n"
    assert ctl.json("status")["arbiter"]["reload_error"] is None


def test_reload_upon_a_reload(controlled, life, tmp_path):  # noqa: F811
    """What serves in the end is said, by whoever waits."""
    boot = tmp_path / "boot"
    boot.write_text("ok")
    server, ctl = controlled("-e", "LIFE_BOOT=%s" % boot, app=life)
    for how, code, words in (("ok", 0, "generation [23] serves"),
                             ("fail", 1, "told to fail")):
        boot.write_text("hang")
        mark = server.mark()
        first = subprocess.Popen([CTL, "-s", ctl.path, "reload"], text=True,
                                 stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
        server.wait_log("life: hangs", since=mark)
        boot.write_text(how)
        second = ctl.run("reload")
        assert second.returncode == code
        said, _ = first.communicate(timeout=harness.DEADLINE)
        assert first.returncode == code
        for text in said, second.stdout + second.stderr:
            assert re.search(words, text), text


def test_path_that_somebody_removed(controlled, tmp_path):
    """It comes back with a reload, as those of bind do."""
    page = tmp_path / "page.sock"
    server, ctl = controlled("--admin-bind", "unix:%s" % page)
    for paths in ((ctl.path,), (page, ctl.path)):
        for path in paths:
            path.unlink()
        mark = server.mark()
        server.signal(signal.SIGHUP)
        for path in paths:
            server.wait_log(r"\[WARNING\] \S+ = unix:%s: the path is gone; it "
                            "is made again" % path, since=mark)
        server.wait_log("Ready", since=mark)
        wait_for(lambda: "1 of 1 ready" in ctl.run("status").stdout,
                 "an answer")
        assert ctl.path.stat().st_mode & 0o777 == 0o600
        with harness.Conn(str(page)) as c:
            assert c.get("/ready").status == 200
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_log("Ready", since=mark)
    assert "the path is gone" not in "\n".join(server.log.lines[mark:])


def test_what_is_no_number(controlled):
    server, ctl = controlled()
    for words in (["-n", "x"], ["-n", "0"], ["-d", "x"], ["-d", "0"],
                  ["-d", "-1"], ["-d", "1x"], ["-d", "nan"]):
        assert ctl.run("top", *words).returncode == 2, words
    for words in (["scale"], ["scale", "0"], ["scale", "x"], ["retire", "x"],
                  ["stacks", "0"]):
        assert ctl.run(*words).returncode == 2, words


def test_commands_are_in_the_log(controlled):
    server, ctl = controlled()
    ctl.ok("scale", 2)
    ctl.ok("log-level", "warning")
    ctl.ok("log-level", "info")
    ctl.ok("reopen")
    server.wait_log("Handling command: scale 2$")
    server.wait_log("Handling command: log level warning$")
    server.wait_log("Handling command: reopen$")


def test_log_level(controlled):
    server, ctl = controlled()
    ctl.ok("log-level", "debug")

    def refuses_loudly():
        mark = server.mark()
        server.raw(b"nonsense\r\n\r\n")
        return "Refused" in "\n".join(server.log.text().split("\n")[mark:])

    wait_for(refuses_loudly, "debug entries")
    assert ctl.run("log-level", "loud").returncode == 1
    ctl.ok("reopen")


@pytest.mark.parametrize("how", [[], ["--quick"]])
def test_stop(controlled, how):
    server, ctl = controlled()
    ctl.ok("stop", "--wait", *how)
    # Gone, not merely on its way: whoever comes next may start another one.
    assert server.process.poll() == 0
    assert not ctl.path.exists()
    assert ctl.run("status").returncode == 3


def test_who_may(controlled):
    server, ctl = controlled()
    assert os.stat(ctl.path).st_mode & 0o777 == 0o600
    if os.geteuid() != 0:
        pytest.skip("needs root to be somebody else")
    os.chmod(ctl.path, 0o666)
    for folder in list(ctl.path.parents):
        if not os.stat(folder).st_mode & 1:
            os.chmod(folder, os.stat(folder).st_mode | 0o11)
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
         "/usr/bin/python3", "-c",
         "import socket, sys; s = socket.socket(socket.AF_UNIX);"
         "s.connect(sys.argv[1]); s.send(b'{\"command\": \"status\"}\\n');"
         "print(s.recv(10))", str(ctl.path)],
        capture_output=True, text=True)
    assert "b''" in done.stdout or "Reset" in done.stderr or \
        "Broken" in done.stderr
    server.wait_log("user 65534 .* is not allowed")


def test_hostile_lines(controlled):
    server, ctl = controlled()

    def say(data):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(harness.DEADLINE)
            s.connect(str(ctl.path))
            try:
                s.sendall(data)
                return s.recv(65536)
            except (BrokenPipeError, ConnectionResetError):
                return b""

    for line in (b"\n", b"{}\n", b"[]\n", b"{\"command\": 1}\n", b"\xff\xfe\n",
                 b"{\"command\": \"scale\", \"argument\": \"x\"}\n",
                 b"{\"command\": \"scale\", \"argument\": -1}\n",
                 b"{\"command\": \"scale\", \"argument\": 1e300}\n",
                 b"{\"command\": \"stacks\", \"argument\": 1}\n",
                 b"[" * 5000 + b"\n", b"{\"a\": 1, \"a\": 2}\n"):
        assert json.loads(say(line))["ok"] is False, line
    # Numbers too large for a pid are not those of their lower bits.
    pid = ctl.json("workers")[0]["pid"]
    for name in ("retire", "stacks"):
        line = '{"command": "%s", "argument": %d}\n' % (name, 2**32 + pid)
        assert json.loads(say(line.encode()))["ok"] is False
    assert say(b"x" * 100000) == b""
    # Connections that say nothing keep out no more than each other.
    held = []
    for _ in range(40):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(ctl.path))
        held.append(s)
    for s in held:
        s.close()
    wait_for(lambda: ctl.run("status").returncode == 0, "an answer")
    assert server.get("/").body == b"hello"


def test_top_on_a_terminal(controlled):
    server, ctl = controlled()
    main, side = pty.openpty()
    p = subprocess.Popen([CTL, "-s", ctl.path, "top", "-d", "0.1"],
                         stdin=side, stdout=side, stderr=side)
    os.close(side)
    text = b""
    while text.count(b"requests/s") < 3:
        assert select.select([main], [], [], harness.DEADLINE)[0]
        text += os.read(main, 65536)
    assert text.startswith(b"\033[?1049h")
    os.write(main, b"q")
    while True:
        try:
            more = os.read(main, 65536)
        except OSError:
            break
        if not more:
            break
        text += more
    assert p.wait(harness.DEADLINE) == 0
    assert text.endswith(b"\033[?1049l")
    os.close(main)


def test_prompt(controlled):
    server, ctl = controlled()
    main, side = pty.openpty()
    p = subprocess.Popen([CTL, "-s", ctl.path], stdin=side, stdout=side,
                         stderr=side, env={**os.environ, "TERM": "dumb"})
    os.close(side)
    text = b""

    def until(mark):
        nonlocal text
        while mark not in text:
            assert select.select([main], [], [], harness.DEADLINE)[0], text
            text += os.read(main, 65536)

    until(b"bicorn> ")
    os.write(main, b"workers\n")
    until(b"MEMORY")
    os.write(main, b"nonsense\n")
    until(b"there is no command")
    os.write(main, b"quit\n")
    assert p.wait(harness.DEADLINE) == 0
    os.close(main)


# --- somebody else's socket ---------------------------------------------------


NASTY = "\x1b]0;title\x07\x1b[2J\x9b31m\x7f"


class Foreign:
    """Listens where bicorn should, and gives every command this answer;
    None: it never answers."""

    def __init__(self, path, answer):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(5)
        self.answer = answer
        self.asked = threading.Event()
        self.ctl = Ctl(path)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            c, _ = self.socket.accept()
            while c.recv(4096):
                self.asked.set()
                if self.answer is not None:
                    c.sendall(json.dumps(self.answer).encode() + b"\n")
        except OSError:
            pass


@pytest.fixture
def foreign(tmp_path):
    made = []

    def start(answer):
        made.append(Foreign(tmp_path / ("%d.sock" % len(made)), answer))
        return made[-1]
    yield start
    for f in made:
        f.socket.close()


@pytest.mark.parametrize("command", [
    ("status",), ("top",), ("workers",), ("requests",), ("stacks",),
    ("settings",), ("settings", "bind"), ("scale", "1")])
@pytest.mark.parametrize("ok", [True, False])
def test_nothing_for_the_terminal(foreign, command, ok):
    """No text of the other side's can drive the terminal."""
    one = {"state": NASTY, "pid": 1, "request": NASTY, "error": NASTY,
           "stacks": NASTY, "threads": [{"request": NASTY, "seconds": 1}]}
    listed = command[0] in ("workers", "requests", "stacks")
    f = foreign({"ok": ok, "error": NASTY, "data": [one] if listed else {
        "name": NASTY, "version": NASTY, "message": NASTY, "workers": [one],
        "arbiter": {"state": NASTY, "reload_error": NASTY}, "text": NASTY,
        "values": {"bind": NASTY}, "counters": {"requests": {NASTY: 1}}}})
    done = f.ctl.run(*command)
    assert "31m" in done.stdout + done.stderr
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]",
                         done.stdout + done.stderr)


def test_top_shows_all_of_an_age(foreign):
    """Requests that came within one millisecond are not one."""
    ages = [2, 7, 2, 7, 7, 0.5]
    f = foreign({"ok": True, "data": {"workers": [
        {"pid": pid, "threads": [
            {"request": "GET /%d-%d" % (pid, i), "seconds": age}
            for i, age in enumerate(ages)]} for pid in (11, 12)]}})
    shown = re.findall(r"GET /(\d+-\d)", f.ctl.ok("top"))
    assert shown == ["%d-%d" % (pid, i) for age in (7, 2, 0.5)
                     for pid in (11, 12)
                     for i in range(6) if ages[i] == age]


@pytest.mark.parametrize("how", ["q", "SIGINT"])
def test_top_can_be_left_while_nothing_comes(foreign, how):
    f = foreign(None)
    main, side = pty.openpty()
    p = subprocess.Popen([CTL, "-s", f.ctl.path, "top"], stdin=side,
                         stdout=side, stderr=side)
    os.close(side)
    assert f.asked.wait(harness.DEADLINE)
    if how == "q":
        os.write(main, b"q")
    else:
        p.send_signal(signal.SIGINT)
    try:
        assert p.wait(harness.DEADLINE) == 0
    finally:
        p.kill()
        os.close(main)


def say(ctl, data, count):
    """So many answers to lines that are said at once, with the end."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(harness.DEADLINE)
        s.connect(str(ctl.path))
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        got = s.makefile("rb").read().splitlines()
    assert len(got) == count, got
    return [json.loads(line) for line in got]


def test_lines_at_once(controlled):
    """As of a script that says all it wants, and waits: nc -N, socat."""
    server, ctl = controlled("--workers", 2)
    line = b'{"command": "%s"}\n'
    one, = say(ctl, line % b"status", 1)
    assert one["data"]["ready"] is True
    one, = say(ctl, line % b"reopen", 1)
    assert one["ok"] is True
    both = say(ctl, line % b"stacks" + line % b"reopen" + line % b"workers" +
               line % b"nonsense", 4)
    assert [b["ok"] for b in both] == [True, True, True, False]
    assert len(both[2]["data"]) == 2


def test_gone_with_much_to_say(controlled):
    """Nobody is told what nobody waits for, and that takes no time."""
    server, ctl = controlled()
    admin = harness.admin_process(server.pid)
    worker = ctl.json("workers")[0]["pid"]
    os.kill(worker, signal.SIGSTOP)
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(ctl.path))
            s.sendall(b'{"command": "stacks"}\n' + b" " * 40000)
        before = cpu_of(admin)
        assert ctl.run("stacks").returncode == 0  # as long as that one
        assert cpu_of(admin) - before < 1
    finally:
        os.kill(worker, signal.SIGCONT)


def cpu_of(pid):
    fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
