# SPDX-License-Identifier: MIT
"""The arbiter: start, exit codes, workers that die, signals, stop."""
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest

import harness
from harness import SOURCE, wait_for

NOBODY = 65534
LINE = re.compile(
    r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[(\d+)\] "
    r"\[(DEBUG|INFO|WARNING|ERROR|CRITICAL)\] (.*)$")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def life(compile_app):
    """Builds t/apps/life.c."""
    return compile_app((SOURCE / "t/apps/life.c").read_text(), "life.so")


@pytest.fixture
def others_may_run():
    """Another user can reach the executable that is tested."""
    if subprocess.run(["setpriv", "--reuid=12345", "--clear-groups", "test",
                       "-x", harness.BICORN]).returncode:
        pytest.skip("the build lies where other users cannot reach it")


def who(server):
    """What the application finds out about its process."""
    lines = server.get("/who").body.decode().splitlines()
    return dict(line.split("=", 1) for line in lines)


def title(pid):
    return Path("/proc/%d/cmdline" % pid).read_bytes().rstrip(b"\0").decode()


def comm(pid):
    return Path("/proc/%d/comm" % pid).read_text().strip()


def gone(pid):
    """Whether no process, not even a zombie of somebody's, has that pid."""
    try:
        state = Path("/proc/%d/stat" % pid).read_text()
    except OSError:
        return True
    return state.rsplit(")", 1)[1].split()[0] == "Z"


def messages(server, level=None):
    found = [LINE.match(line) for line in server.log.text().split("\n")]
    return [m.group(3) for m in found
            if m and (level is None or m.group(2) == level)]


# ---- start ------------------------------------------------------------------

def test_lines_of_the_start(bicorn, life):
    server = bicorn("-w", 2, life)
    workers = server.workers()
    lines = server.log.text().split("\n")
    assert all(LINE.match(line) for line in lines), lines
    said = messages(server)
    assert re.fullmatch(r"Starting bicorn \d+\.\d+\.\d+", said[0])
    assert said[1] == "Listening at: http://127.0.0.1:%d (%d)" % (
        server.port, server.pid)
    assert said[2] == "Using worker: gthread"
    assert {m.group(1): m.group(3) for m in map(LINE.match, lines)
            if m.group(3).startswith("Booting")} == {
        str(pid): "Booting worker with pid: %d" % pid for pid in workers}
    assert said[-1] == "Ready: 2 workers"


def test_several_listeners(bicorn, life, tmp_path):
    path = tmp_path / "s.sock"
    server = bicorn("-b", "unix:%s" % path, "-b", "[::1]:0", life, wait=False)
    said = server.wait_log(r"Listening at: (\S+) ").group(1).split(",")
    server.wait_log("Ready")
    assert len(said) == 3
    tcp = ("127.0.0.1", int(said[0].rsplit(":", 1)[1]))
    assert said[1] == "unix:%s" % path
    assert re.fullmatch(r"http://\[::1\]:\d+", said[2])
    port = int(said[2].rsplit(":", 1)[1])
    for address in tcp, str(path), ("::1", port):
        with harness.Conn(address) as c:
            assert c.get("/").status == 200
    assert server.stop() == 0
    assert not path.exists()


def test_settings_file_is_named(bicorn, life, tmp_path):
    (tmp_path / "mine.conf").write_text("workers = 2;\n")
    server = bicorn("-c", "mine.conf", life, cwd=tmp_path)
    server.wait_log(r"\[INFO\] Settings: .*mine\.conf")
    server.wait_log(r"Ready: 2 workers")


def test_titles(bicorn, life):
    server = bicorn("--name", "shop", life,
                    env={"LONG": "x" * 500})
    assert title(server.pid) == "bicorn: master [shop]"
    assert comm(server.pid) == "bicorn"
    worker, = server.workers()
    assert title(worker) == "bicorn: worker [shop]"
    assert comm(worker).startswith("bicorn")
    assert server.get("/env/LONG").body == b"x" * 500


def test_title_is_the_application(bicorn, life):
    server = bicorn(life)
    assert title(server.pid) == "bicorn: master [%s]" % life


@pytest.mark.parametrize("options, expected", [
    ((), "026"), (("--umask", "0"), "026"), (("--umask", "002"), "002")])
def test_umask_of_a_worker(bicorn, life, options, expected):
    """Files of the application are for everybody in no case."""
    before = os.umask(0o026)
    try:
        server = bicorn(*options, life)
    finally:
        os.umask(before)
    assert who(server)["umask"] == expected


def test_surroundings_of_a_worker(bicorn, life, tmp_path):
    (tmp_path / "sub").mkdir()
    server = bicorn("--chdir", "sub", "-e", "COLOUR=blue", "-e", "A=b=c",
                    "--umask", "027", life, cwd=tmp_path)
    said = who(server)
    assert int(said["pid"]) in server.workers()
    assert int(said["ppid"]) == server.pid
    assert said["cwd"] == str(tmp_path / "sub")
    assert said["stdin"] == "/dev/null"
    assert said["umask"] == "027"
    assert server.get("/env/COLOUR").body == b"blue"
    assert server.get("/env/A").body == b"b=c"
    arbiter = Path("/proc/%d/environ" % server.pid).read_bytes()
    assert b"COLOUR" not in arbiter


def test_a_worker_holds_only_what_it_needs(bicorn, life, tmp_path):
    """No descriptor of the arbiter's, and none twice."""
    server = bicorn("-p", tmp_path / "pid", life)
    worker, = server.workers()
    links = [os.readlink("/proc/%d/fd/%s" % (worker, fd))
             for fd in os.listdir("/proc/%d/fd" % worker)]
    assert not [x for x in links if "signalfd" in x], links
    sockets = [x for x in links if x.startswith("socket:")]
    assert len(sockets) == len(set(sockets)) == 1, links
    status = Path("/proc/%d/status" % worker).read_text()
    blocked = int(re.search(r"SigBlk:\s+(\w+)", status).group(1), 16)
    assert blocked == 0
    ignored = int(re.search(r"SigIgn:\s+(\w+)", status).group(1), 16)
    assert not ignored & (1 << signal.SIGCHLD - 1)


def test_signal_mask_of_the_parent_is_no_matter(bicorn, life):
    """Started by something that blocks and ignores all it can."""
    server = bicorn(life, wrapper=[
        harness.PYTHON, "-c",
        "import os, signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "os.execv(sys.argv[1], sys.argv[1:])"])
    worker, = server.workers()
    os.kill(worker, signal.SIGTERM)
    server.wait_log(r"Booting worker", since=server.mark() - 1)
    assert server.stop() == 0


def test_standard_descriptors_may_be_closed(life, tmp_path):
    log = tmp_path / "log"
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', harness.BICORN,
         "-b", "127.0.0.1:0", "--log-file", log, life],
        start_new_session=True, env=harness.environment())
    try:
        wait_for(lambda: log.exists() and "Ready" in log.read_text(), "Ready")
        port = int(re.search(r":(\d+) \(", log.read_text()).group(1))
        with harness.Conn(("127.0.0.1", port)) as c:
            assert c.get("/").status == 200
        process.terminate()
        assert process.wait(harness.DEADLINE) == 0
    finally:
        for pid in harness.processes(process.pid):
            os.kill(pid, signal.SIGKILL)


def open_files(pid):
    text = Path("/proc/%d/limits" % pid).read_text()
    return int(re.search(r"Max open files +(\d+)", text).group(1))


def test_open_files(bicorn, life):
    """As many as the connections need, where that is allowed."""
    server = bicorn("--worker-connections", 3000, life, preexec_fn=lambda:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 8192)))
    assert open_files(server.workers()[0]) >= 3000
    assert "WARNING" not in server.log.text()


@needs_root
def test_too_few_open_files(bicorn, life, open_dir, others_may_run):
    server = bicorn(life, wrapper=["prlimit", "--nofile=128:256", "setpriv",
                                   "--reuid=12345", "--clear-groups"])
    server.wait_log(r"\[WARNING\] worker_connections = 1000: .* is 256: "
                    "workers hold 128 connections")
    assert open_files(server.workers()[0]) == 256
    assert server.get("/").status == 200


@needs_root
def test_no_more_connections_than_files(bicorn, life, open_dir,
                                        others_may_run):
    """Those that are idle make room, and descriptors are left to others."""
    server = bicorn("--keep-alive", 60, life, wrapper=[
        "prlimit", "--nofile=64:64", "setpriv", "--reuid=12345",
        "--clear-groups"])
    kept = [server.connect() for _ in range(60)]
    for c in kept[:32]:
        assert c.get("/").status == 200
    assert server.get("/").status == 200
    assert len(os.listdir("/proc/%d/fd" % server.workers()[0])) < 60
    assert "Accepting pauses" not in server.log.text()


# ---- exit codes -------------------------------------------------------------

def test_help_and_version(run):
    for option in "--help", "--version":
        r = run(option)
        assert r.returncode == 0 and r.stdout and not r.stderr
    with open("/dev/full", "w") as full:
        r = subprocess.run([harness.BICORN, "--help"], stdout=full,
                           stderr=subprocess.PIPE, text=True)
    assert r.returncode == 1 and "standard output" in r.stderr


def test_bad_option_is_2(run):
    r = run("--no-such-option")
    assert r.returncode == 2
    assert "no-such-option" in r.stderr


def test_bad_setting_is_1(run, life, tmp_path):
    (tmp_path / "x.conf").write_text("threads = 0;\n")
    r = run("-c", tmp_path / "x.conf", life)
    assert r.returncode == 1
    assert "threads" in r.stderr and "x.conf" in r.stderr


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("how, code, reason", [
    ("fail", 3, "Worker failed to boot."),
    ("none", 4, "App failed to load."),
])
def test_application_that_does_not_boot(bicorn, life, tmp_path, workers, how,
                                        code, reason):
    """Exactly this code, exactly one explanation, however many workers."""
    (tmp_path / "boot").write_text(how)
    for _ in range(5):
        server = bicorn("-w", workers, "-e", "LIFE_BOOT=%s/boot" % tmp_path,
                        life, wait=False)
        assert server.wait() == code
        said = messages(server, "ERROR")
        assert len([x for x in said if "told to" in x]) == 1, said
        assert re.fullmatch(r"Worker \(pid:\d+\) exited with code %d\." % code,
                            said[-3])
        assert said[-2:] == ["Shutting down: Master", "Reason: " + reason]
        assert len(server.log.text().split("Booting")) == 2


def test_application_that_dies_while_booting(bicorn, life, tmp_path):
    """No exit code says why: tried again, ever more slowly, not for ever."""
    (tmp_path / "boot").write_text("exit 7")
    server = bicorn("-w", 4, "-e", "LIFE_BOOT=%s/boot" % tmp_path, life,
                    wait=False)
    start = time.monotonic()
    assert server.wait() == 3
    assert 3 < time.monotonic() - start < 30
    assert len(server.log.text().split("Booting")) - 1 == 6
    server.wait_log("exited with code 7")


def test_application_that_does_not_come_to_an_end(bicorn, life, tmp_path):
    """Said once, with what to look at; nobody waits for ever."""
    (tmp_path / "boot").write_text("hang")
    server = bicorn("-w", 4, "--boot-timeout", "500ms", "-e",
                    "LIFE_BOOT=%s/boot" % tmp_path, life, wait=False)
    start = time.monotonic()
    assert server.wait() == 3
    assert 0.5 <= time.monotonic() - start < 15
    said = messages(server, "ERROR")
    assert re.fullmatch(r"Worker \(pid:\d+\) was sent SIGKILL by the arbiter: "
                        r"it was not ready within boot_timeout\.", said[0])
    assert said[1:] == ["Shutting down: Master", "Reason: Worker was not "
                        "ready within boot_timeout."]


def test_successor_that_does_not_come_to_an_end(bicorn, life, tmp_path):
    """Once it has served, it goes on trying."""
    boot = tmp_path / "boot"
    boot.write_text("ok")
    server = bicorn("--boot-timeout", "500ms", "-e", "LIFE_BOOT=%s" % boot,
                    life)
    boot.write_text("hang")
    mark = server.mark()
    os.kill(server.workers()[0], signal.SIGKILL)
    pid = int(server.wait_log(r"Booting worker with pid: (\d+)",
                              since=mark).group(1))
    server.wait_log(r"\[ERROR\] Worker \(pid:%d\) .* boot_timeout" % pid)
    boot.write_text("ok")
    wait_for(lambda: server.get("/").status == 200, "an answer")
    assert server.stop() == 0


@pytest.mark.python
def test_python_module_that_is_not_there(bicorn, tmp_path):
    server = bicorn("-w", 2, "nosuchmodule:app", cwd=tmp_path, wait=False)
    assert server.wait() == 3
    assert server.log.text().count("ModuleNotFoundError") == 1


@pytest.mark.python
def test_python_attribute_that_is_not_there(bicorn, tmp_path):
    (tmp_path / "mod.py").write_text("x = 1\n")
    server = bicorn("-w", 2, "mod:nothing", cwd=tmp_path, wait=False)
    assert server.wait() == 4
    server.wait_log(r"Reason: App failed to load\.")


@pytest.mark.python
def test_python_example(bicorn):
    server = bicorn("-w", 4, "myapp:app", cwd=SOURCE / "etc/examples")
    assert server.get("/").body == b"Hello, World!\n"
    assert len(server.workers()) == 4
    assert server.stop(signal.SIGINT) == 0


def test_check_config(run, life, tmp_path):
    r = run("--check-config", life)
    assert r.returncode == 0
    assert not r.stderr and r.stdout.count("\n") == 1
    r = run("--check-config", tmp_path / "missing.so")
    assert r.returncode == 1
    assert "missing.so" in r.stderr and r.stderr.count("\n") == 1
    (tmp_path / "boot").write_text("fail")
    r = run("--check-config", "-e", "LIFE_BOOT=boot", life, cwd=tmp_path)
    assert r.returncode == 1 and "told to fail" in r.stderr
    r = run("--check-config", "--chdir", "nowhere", life, cwd=tmp_path)
    assert r.returncode == 1
    assert "nowhere" in r.stderr and "No such file" in r.stderr


def test_address_in_use(bicorn, life):
    """Five tries, a second apart, then 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = "127.0.0.1:%d" % taken.getsockname()[1]
        server = bicorn(life, bind=bind, wait=False)
        assert server.wait() == 1
    said = messages(server, "ERROR")
    assert len([x for x in said if bind in x]) == 5
    assert said.count("Retrying in 1 second.") == 4
    assert "Booting" not in server.log.text()


def test_address_that_becomes_free(bicorn, life):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = "127.0.0.1:%d" % taken.getsockname()[1]
        server = bicorn(life, bind=bind, wait=False)
        server.wait_log("Retrying in 1 second")
    server.wait_ready()
    assert server.get("/").status == 200


def test_stopped_while_it_waits_for_an_address(bicorn, life, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = bicorn("-p", tmp_path / "pid", life, wait=False,
                        bind="127.0.0.1:%d" % taken.getsockname()[1])
        server.wait_log("Retrying in 1 second")
        assert server.stop() == 0
    assert not (tmp_path / "pid").exists()


@pytest.mark.parametrize("args, text", [
    (["--bind", "192.0.2.1:80"], "192.0.2.1:80"),
    (["--log-file", "/no/such/dir/log"], "/no/such/dir/log"),
    (["--access-logfile", "/no/such/dir/log"], "/no/such/dir/log"),
    (["--pid", "/no/such/dir/pid"], "/no/such/dir/pid"),
    (["--chdir", "/no/such/dir"], "/no/such/dir"),
])
def test_start_that_fails_is_1(run, life, args, text):
    r = run("-b", "127.0.0.1:0", *args, life)
    assert r.returncode == 1
    assert text in r.stderr
    assert "Booting" not in r.stderr


def test_failure_is_seen_on_the_terminal(run, life, tmp_path):
    """Also when the log is a file."""
    r = run("--log-file", tmp_path / "log", "-p", "/no/such/dir/pid", life)
    assert r.returncode == 1
    assert r.stderr.count("\n") == 1 and "/no/such/dir/pid" in r.stderr
    assert "/no/such/dir/pid" in (tmp_path / "log").read_text()


# ---- the pid file -----------------------------------------------------------

def test_no_pid_file_before_it_is_ready(bicorn, life, tmp_path):
    """Nor one that somebody left who is gone: scripts wait for it."""
    path, boot = tmp_path / "pid", tmp_path / "boot"
    boot.write_text("hang")
    path.write_text("999999999\n")
    server = bicorn("-p", path, "-e", "LIFE_BOOT=%s" % boot, life, wait=False)
    pid = int(server.wait_log(r"Booting worker with pid: (\d+)").group(1))
    assert not path.exists()
    boot.write_text("ok")
    os.kill(pid, signal.SIGKILL)
    server.wait_ready()
    assert path.read_text() == "%d\n" % server.pid


def test_two_that_are_started_with_one_pid_file(bicorn, life, tmp_path):
    """Who is ready second ends, and leaves the file of the first."""
    path, boot = tmp_path / "pid", tmp_path / "boot"
    boot.write_text("hang")
    late = bicorn("-p", path, "-e", "LIFE_BOOT=%s" % boot, life, wait=False)
    pid = int(late.wait_log(r"Booting worker with pid: (\d+)").group(1))
    server = bicorn("-p", path, life)
    boot.write_text("ok")
    os.kill(pid, signal.SIGKILL)
    assert late.wait() == 1
    assert "already running with pid %d" % server.pid in late.log.text()
    assert path.read_text() == "%d\n" % server.pid

def test_pid_file(bicorn, life, tmp_path):
    path = tmp_path / "pid"
    server = bicorn("-p", "pid", life, cwd=tmp_path)
    assert path.read_text() == "%d\n" % server.pid
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert sorted(p.name for p in tmp_path.iterdir()
                  if p.name.startswith("pid")) == ["pid"]
    assert server.stop() == 0
    assert not path.exists()


def test_pid_file_of_a_live_server(bicorn, run, life, tmp_path):
    path = tmp_path / "pid"
    server = bicorn("-p", path, life)
    r = run("-b", "127.0.0.1:0", "-p", path, life)
    assert r.returncode == 1
    assert str(path) in r.stderr and str(server.pid) in r.stderr
    assert path.read_text() == "%d\n" % server.pid


def test_stale_pid_file(bicorn, life, tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    path = tmp_path / "pid"
    path.write_text("%d\n" % dead.pid)
    server = bicorn("-p", path, life)
    assert path.read_text() == "%d\n" % server.pid
    path.write_text("1\n")
    assert server.stop() == 0
    assert path.read_text() == "1\n"


# ---- workers ----------------------------------------------------------------

def test_killed_worker_is_replaced(bicorn, life):
    server = bicorn("-w", 2, life)
    before = server.workers()
    mark = server.mark()
    os.kill(before[0], signal.SIGKILL)
    server.wait_log(r"\[ERROR\] Worker \(pid:%d\) was sent SIGKILL(! Perhaps "
                    r"out of memory\?| by some other process)" % before[0],
                    since=mark)
    server.wait_log("Booting worker", since=mark)
    wait_for(lambda: len(server.workers()) == 2, "a second worker")
    assert before[1] in server.workers()
    assert server.get("/").status == 200


@pytest.mark.parametrize("number, level", [
    (signal.SIGTERM, "INFO"), (signal.SIGXCPU, "WARNING")])
def test_levels_of_signals(bicorn, life, tmp_path, number, level):
    """Sent to one that boots: it has no handlers yet."""
    (tmp_path / "boot").write_text("ok")
    server = bicorn("-e", "LIFE_BOOT=%s/boot" % tmp_path, life)
    (tmp_path / "boot").write_text("hang")
    mark = server.mark()
    server.signal(signal.SIGTTIN)
    pid = int(server.wait_log(r"Booting worker with pid: (\d+)",
                              since=mark).group(1))
    os.kill(pid, number)
    server.wait_log(r"\[%s\] Worker \(pid:%d\) was sent %s!" % (
        level, pid, number.name), since=mark)


def test_exit_code_of_a_worker_and_what_it_ran(bicorn, life):
    server = bicorn("-w", 2, life)
    with server.connect() as slow, server.connect() as c:
        slow.send(harness.request(target="/sleep/20000?user=7"))
        wait_for(lambda: server.workers(), "workers")
        with pytest.raises(AssertionError):
            c.get("/exit/9")
        m = server.wait_log(
            r"\[ERROR\] Worker \(pid:(\d+)\) exited with code 9\.")
        server.wait_log(r"\[ERROR\] Worker \(pid:%s\) was running: GET "
                        r"/exit/9 \(for [\d.]+ s\)" % m.group(1))
    wait_for(lambda: len(server.workers()) == 2, "a replacement")
    assert server.get("/").status == 200
    server.kill()


def test_no_storm_when_the_application_breaks_later(bicorn, life, tmp_path):
    """Replacements that do not boot come ever more slowly, and the arbiter
    goes on: the next good one is taken."""
    boot = tmp_path / "boot"
    boot.write_text("ok")
    server = bicorn("-w", 4, "-e", "LIFE_BOOT=%s" % boot, life)
    boot.write_text("fail")
    mark = server.mark()
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    time.sleep(3)  # what is measured: how many boots fit into it
    boots = len([x for x in messages(server) if "Booting" in x]) - 4
    assert 4 <= boots <= 24
    boot.write_text("ok")
    wait_for(lambda: len(server.workers()) == 4, "four workers")
    wait_for(lambda: server.get("/").status == 200, "an answer")
    assert server.stop() == 0
    assert mark


def test_silent_worker_is_killed(bicorn, life):
    server = bicorn("--timeout", 2, life)
    worker, = server.workers()
    os.kill(worker, signal.SIGSTOP)
    server.wait_log(r"\[CRITICAL\] WORKER TIMEOUT \(pid:%d\)" % worker)
    server.wait_log(r"\[WARNING\] Worker \(pid:%d\) was sent SIGKILL by the "
                    r"arbiter: it was silent\." % worker)
    assert "out of memory" not in server.log.text()
    wait_for(lambda: server.workers() not in ([], [worker]), "another worker")
    assert server.get("/").status == 200


def test_busy_worker_is_not_silent(bicorn, life):
    """timeout is about the process, not about a request."""
    server = bicorn("--timeout", 2, "--threads", 1, life)
    assert server.get("/sleep/3500").status == 200
    assert "TIMEOUT" not in server.log.text()


def test_arbiter_that_was_stopped_blames_nobody(bicorn, life):
    """As by Ctrl-Z and fg: its workers were stopped as well."""
    server = bicorn("--timeout", 2, life)
    worker, = server.workers()
    os.kill(worker, signal.SIGSTOP)
    server.signal(signal.SIGSTOP)
    time.sleep(5)  # what is tested: that much silence
    server.signal(signal.SIGCONT)
    os.kill(worker, signal.SIGCONT)
    assert server.get("/").status == 200
    assert server.stop() == 0
    assert "TIMEOUT" not in server.log.text()


def test_max_requests(bicorn, life):
    """Replaced again and again, and nobody notices."""
    server = bicorn("-w", 2, "--max-requests", 3, life)
    pids = set()

    def ask():
        response = server.get("/who")
        assert response.status == 200
        pids.add(response.body.split()[0])
        return len(pids) >= 6
    wait_for(ask, "six workers, one after the other")
    assert server.stop() == 0
    said = server.log.text()
    assert "exited with code" not in said and "[ERROR]" not in said


def test_max_requests_are_counted(bicorn, life):
    """The third of three brings the successor, not one more."""
    server = bicorn("-w", 1, "--max-requests", 3, life)
    mark = server.mark()
    first = {server.get("/who").body.split()[0] for _ in range(3)}
    assert len(first) == 1
    server.wait_log("Booting worker", since=mark)
    assert server.stop() == 0


def test_max_worker_lifetime(bicorn, life):
    """One after the other, behind a successor, and nobody notices."""
    server = bicorn("-w", 3, "--max-worker-lifetime", "500ms", life)
    first = set(server.workers())
    while first & set(server.workers()):
        assert server.get("/").status == 200
    running = [0]
    for line in messages(server):
        if line.startswith(("Booting", "Worker exiting")):
            running.append(running[-1] + (1 if "Booting" in line else -1))
    assert min(running[3:]) == 3
    for pid in first:
        server.wait_log(r"\[INFO\] Worker \(pid:%d\) is replaced: it has "
                        r"served for \d s \(max_worker_lifetime\)" % pid)
    assert server.stop() == 0
    said = server.log.text()
    assert "[ERROR]" not in said and "[WARNING]" not in said


def test_max_recycling(bicorn, life, tmp_path):
    """As long as one successor boots, nobody else is replaced; all serve."""
    boot = tmp_path / "boot"
    boot.write_text("ok")
    server = bicorn("-w", 3, "--max-requests", 1, "-e", "LIFE_BOOT=%s" % boot,
                    life)
    first = server.workers()
    boot.write_text("hang")
    seen = set()
    for _ in range(60):
        seen.add(int(who(server)["pid"]))
    assert seen <= set(first)
    assert len(server.workers()) == 4
    boot.write_text("ok")
    hanging, = set(server.workers()) - set(first)
    os.kill(hanging, signal.SIGKILL)
    wait_for(lambda: server.get("/").status == 200 and
             not set(first) & set(server.workers()), "the first to leave")
    assert server.stop() == 0


def test_recycling_goes_on_behind_one_that_died(bicorn, life, tmp_path):
    """While its successor booted; it takes nobody's place any more."""
    boot = tmp_path / "boot"
    boot.write_text("ok")
    server = bicorn("--max-requests", 1, "-e", "LIFE_BOOT=%s" % boot, life)
    first, = server.workers()
    boot.unlink()
    os.mkfifo(boot)  # each worker that boots waits for its line
    begun = server.mark()
    assert server.get("/").status == 200
    server.wait_log("Booting worker", since=begun)
    os.kill(first, signal.SIGKILL)
    server.wait_log(r"Worker \(pid:%d\) was sent SIGKILL" % first)
    boot.write_text("ok")
    mark = server.mark()
    assert server.get("/").status == 200
    server.wait_log("Booting worker", since=mark)
    boot.write_text("ok")
    assert server.get("/").status == 200


def test_max_worker_memory(bicorn, life):
    server = bicorn("-w", 2, "--max-worker-memory", "200M", life)
    first = server.workers()
    with server.connect() as c:
        c.get("/grow/300")
        m = server.wait_log(
            r"\[INFO\] Worker \(pid:(\d+)\) is replaced: it takes \d+ MB "
            r"of memory \(max_worker_memory\)")
    big = int(m.group(1))
    assert big in first
    wait_for(lambda: big not in server.workers(), "it to leave")
    assert len(server.workers()) == 2
    assert server.log.text().count("is replaced") == 1
    assert server.stop() == 0


def test_max_worker_memory_that_is_too_low(bicorn, life):
    """Said once, and no worker after the other is thrown away."""
    server = bicorn("-w", 2, "--max-worker-memory", "100k", life)
    first = server.workers()
    server.wait_log(r"\[WARNING\] A worker that has served nobody takes more "
                    r"than max_worker_memory")
    time.sleep(3)  # what is tested: that nothing happens
    assert server.workers() == first
    assert server.log.text().count("max_worker_memory") == 1


# ---- signals ----------------------------------------------------------------

def test_ttin_ttou(bicorn, life, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(harness.DEADLINE)
        server = bicorn("-w", 2, life,
                        env={"NOTIFY_SOCKET": tmp_path / "notify"})
        first = server.workers()
        for count in 3, 4:
            server.signal(signal.SIGTTIN)
            said = b"STATUS=Serving: %d of %d workers ready" % (count, count)
            while manager.recv(4096) != said:
                pass
            assert len(server.workers()) == count
    for count in 3, 2, 1:
        server.signal(signal.SIGTTOU)
        wait_for(lambda: len(server.workers()) == count, "%d" % count)
    assert not set(first) & set(server.workers())  # the oldest go first
    mark = server.mark()
    server.signal(signal.SIGTTOU)
    server.wait_log(r"\[INFO\] Handling signal: ttou", since=mark)
    server.signal(signal.SIGTTIN)
    server.wait_log(r"\[INFO\] Handling signal: ttin", since=mark)
    wait_for(lambda: len(server.workers()) == 2, "two workers")
    assert server.get("/").status == 200
    assert server.stop() == 0


def test_ttou_spares_those_that_serve(bicorn, life, tmp_path):
    boot = tmp_path / "boot"
    boot.write_text("ok")
    server = bicorn("-w", 2, "-e", "LIFE_BOOT=%s" % boot, life)
    killed, left = server.workers()
    boot.write_text("hang")
    mark = server.mark()
    os.kill(killed, signal.SIGKILL)
    server.wait_log("Booting", since=mark)
    server.signal(signal.SIGTTOU)
    wait_for(lambda: server.workers() == [left], "the one that boots to go")
    assert int(who(server)["pid"]) == left
    assert server.stop() == 0


def test_many_ttin(bicorn, life):
    server = bicorn("--threads", 1, life)
    for count in range(2, 22):
        server.signal(signal.SIGTTIN)
        wait_for(lambda: len(server.workers()) == count, "%d" % count)
    assert server.stop() == 0


def test_usr1_opens_the_logs_again(bicorn, life, tmp_path):
    error, access = tmp_path / "error.log", tmp_path / "access.log"
    server = bicorn("-w", 2, "--log-file", error, "--access-logfile", access,
                    "-p", tmp_path / "pid", life, wait=False)
    wait_for(lambda: error.exists() and "Ready" in error.read_text(), "Ready")
    port = int(re.search(r"127\.0\.0\.1:(\d+)", error.read_text()).group(1))
    server.address = ("127.0.0.1", port)
    server.get("/before")
    wait_for(lambda: "/before" in access.read_text(), "a line")
    error.rename(tmp_path / "error.1")
    access.rename(tmp_path / "access.1")
    server.signal(signal.SIGUSR1)

    def all_new():
        # Whichever worker answers writes to the new file.
        server.get("/after")
        return access.exists() and access.read_text().count("/after") > 20
    wait_for(all_new, "lines in the new file")
    old = (tmp_path / "access.1").read_text()
    server.get("/later")
    wait_for(lambda: "/later" in access.read_text(), "a line")
    assert (tmp_path / "access.1").read_text() == old
    assert server.stop() == 0
    assert "Shutting down: Master" in error.read_text()
    assert "Handling signal: usr1" in (tmp_path / "error.1").read_text()


def test_usr1_does_not_kill_a_worker_that_boots(bicorn, life, tmp_path):
    boot = tmp_path / "boot"
    boot.write_text("ok")
    server = bicorn("-e", "LIFE_BOOT=%s" % boot, life)
    boot.write_text("hang")
    mark = server.mark()
    server.signal(signal.SIGTTIN)
    pid = int(server.wait_log(r"Booting worker with pid: (\d+)",
                              since=mark).group(1))
    server.signal(signal.SIGUSR1)
    server.signal(signal.SIGUSR2)
    server.wait_log("Handling signal: usr2", since=mark)
    assert pid in server.workers()
    assert "was sent" not in server.log.text()


def test_winch_means_nothing_on_a_terminal(bicorn, life):
    server = bicorn(life)
    worker = server.workers()
    server.signal(signal.SIGWINCH)
    server.signal(signal.SIGTTIN)
    wait_for(lambda: len(server.workers()) == 2, "two workers")
    assert worker[0] in server.workers()
    assert "winch" not in server.log.text()


def test_signals_to_the_whole_group(bicorn, life):
    """What a terminal does: hang-up, Ctrl-C.  Workers make no noise."""
    server = bicorn("-w", 4, life)
    mark = server.mark()
    os.killpg(server.pid, signal.SIGHUP)
    server.wait_log("Ready", since=mark)
    wait_for(lambda: len(server.workers()) == 4, "four workers")
    os.killpg(server.pid, signal.SIGINT)
    assert server.wait() == 0
    assert not [x for x in ("WARNING", "ERROR", "Traceback")
                if x in server.log.text()]


def test_nohup(bicorn, life):
    server = bicorn(life, wrapper=["nohup"])
    worker = server.workers()
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.signal(signal.SIGTTIN)
    server.wait_log("Handling signal: ttin", since=mark)
    assert "Hang up" not in server.log.text()
    assert worker[0] in server.workers()


# ---- stop -------------------------------------------------------------------

@pytest.mark.parametrize("number", [
    signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stop(bicorn, life, number):
    server = bicorn("-w", 2, life)
    assert server.stop(number) == 0
    said = messages(server)
    assert any(x.startswith("Handling signal: %s, sent by pid %d (" % (
        number.name[3:].lower(), os.getpid())) for x in said)
    assert said[-1] == "Shutting down: Master"
    assert len([x for x in said if x.startswith("Worker exiting")]) == 2
    assert not harness.processes(server.pid)
    with pytest.raises(ConnectionRefusedError):
        server.connect()


def test_stop_while_booting(bicorn, life, tmp_path):
    (tmp_path / "boot").write_text("hang")
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGQUIT:
        server = bicorn("-w", 2, "-e", "LIFE_BOOT=%s/boot" % tmp_path, life,
                        wait=False)
        server.wait_log("Booting")
        assert server.stop(number, timeout=5) == 0
        assert "WARNING" not in server.log.text()


@pytest.mark.python
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT,
                                    signal.SIGQUIT])
def test_stop_while_python_boots(bicorn, tmp_path, number):
    """No failure of the application's is told, which did not fail."""
    (tmp_path / "slowly.py").write_text(
        "import signal, time\nopen('here', 'w').close()\ntime.sleep(60)\n")
    server = bicorn("-w", 2, "slowly:app", cwd=tmp_path, wait=False)
    wait_for((tmp_path / "here").exists, "the import")
    assert server.stop(number, timeout=5) == 0
    assert not re.search("ERROR|WARNING|Traceback", server.log.text())


def test_term_finishes_what_is_running(bicorn, life):
    server = bicorn("--threads", 2, life)
    with server.connect() as c, server.connect() as d:
        c.send(harness.request(target="/sleep/1000"))
        d.send(harness.request(target="/sleep/1200"))
        wait_for(lambda: busy(server) == 2, "two requests running")
        server.signal(signal.SIGTERM)
        assert c.response().status == 200
        assert d.response().status == 200
    assert server.wait() == 0


def busy(server):
    """Threads of the workers that sleep in the application."""
    count = 0
    for pid in server.workers():
        for task in Path("/proc/%d/task" % pid).iterdir():
            try:
                name = (task / "comm").read_text()
                call = (task / "syscall").read_text().split()[0]
            except OSError:
                continue
            # A sanitizer may have a thread of its own that sleeps.
            count += name.startswith("pool-") and \
                call in ("35", "230")  # nanosleep, clock_nanosleep
    return count


def test_term_is_bounded(bicorn, life):
    server = bicorn("--graceful-timeout", 1, life)
    with server.connect() as c:
        c.send(harness.request(target="/sleep/30000"))
        wait_for(lambda: busy(server) == 1, "a request running")
        start = time.monotonic()
        assert server.stop() == 0
        assert 0.9 < time.monotonic() - start < 5
    server.wait_log(r"\[ERROR\] Worker \(pid:\d+\) was running: GET "
                    r"/sleep/30000 \(for \d\.\d s\)")


@pytest.mark.parametrize("second", [
    signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_second_signal_hurries(bicorn, life, second):
    server = bicorn(life)
    with server.connect() as c:
        c.send(harness.request(target="/sleep/30000"))
        wait_for(lambda: busy(server) == 1, "a request running")
        server.signal(signal.SIGTERM)
        server.wait_log("Handling signal: term")
        time.sleep(0.1)  # nearer, it would be taken for an echo
        assert server.stop(second, timeout=5) == 0


def test_signal_that_comes_twice_in_one_go(bicorn, life):
    """timeout(1) ends the process, then its group: still gracefully."""
    server = bicorn("-w", 2, life)
    with server.connect() as c:
        c.send(harness.request(target="/sleep/1000"))
        wait_for(lambda: busy(server) == 1, "a request running")
        subprocess.run(["sh", "-c", "kill -TERM $0; kill -TERM -$0",
                        str(server.pid)], check=True)
        assert c.response().status == 200
    assert server.wait() == 0


@pytest.fixture
def delayed(bicorn, life):
    """A server that has got its TERM and serves on."""
    def start(delay, *args):
        server = bicorn("-w", 2, "--shutdown-delay", delay, "--health-path",
                        "/health", *args, life)
        with server.connect() as c:
            assert c.get("/health").body == b"ok\n"
            old = server.connect()
            assert old.get("/").status == 200
            server.told = time.monotonic()
            server.signal(signal.SIGTERM)
            server.wait_log(r"\[INFO\] Serving for another %g s" % delay)
            r = c.get("/health")
        assert (r.status, r.body) == (503, b"stopping\n")
        server.old = old
        return server

    return start


def test_shutdown_delay(delayed):
    """Load balancers hear of it first; everybody is served meanwhile."""
    server = delayed(1)
    with server.old as c:
        while time.monotonic() < server.told + 0.9:
            assert c.get("/").header("Connection") != "close"
            assert server.get("/").status == 200
            assert server.get("/health").status == 503
    assert server.wait() == 0
    assert 1 <= time.monotonic() - server.told < 10


@pytest.mark.parametrize("second", [
    signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_second_signal_skips_shutdown_delay(delayed, second):
    server = delayed(3600)
    with server.old as c:
        c.send(harness.request(target="/sleep/300"))
        wait_for(lambda: busy(server) == 1, "a request running")
        time.sleep(0.1)  # nearer, it would be taken for an echo
        server.signal(second)
        if second == signal.SIGTERM:
            assert c.response().status == 200
        assert server.wait(10) == 0


def test_what_happens_during_shutdown_delay(delayed):
    """No reload, but workers that die are replaced."""
    server = delayed(3600)
    server.old.close()
    server.signal(signal.SIGHUP)
    server.wait_log("Handling signal: hup")
    before = server.workers()
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: len(set(server.workers()) - set(before)) == 1 and
             len(server.workers()) == 2, "another worker")
    for _ in range(20):
        assert server.get("/").status == 200
        assert server.get("/health").status == 503
    assert "Hang up" not in server.log.text()
    time.sleep(0.1)
    assert server.stop() == 0


def test_no_shutdown_delay_before_the_start_is_through(bicorn, life,
                                                       tmp_path):
    (tmp_path / "boot").write_text("hang")
    server = bicorn("--shutdown-delay", 3600, "-e",
                    "LIFE_BOOT=%s/boot" % tmp_path, life, wait=False)
    server.wait_log("Booting")
    assert server.stop(timeout=10) == 0


def test_health_of_a_worker_that_is_replaced(bicorn, life):
    """Only the service's end counts: a reload does not make it unhealthy."""
    server = bicorn("--health-path", "/health", life)
    with server.connect() as c, server.connect() as slow:
        slow.send(harness.request(target="/sleep/1500"))
        assert c.get("/health").status == 200
        wait_for(lambda: busy(server) == 1, "a request running")
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_log("Ready", since=mark)
        r = c.get("/health")
        assert r.status == 200
        assert slow.response().status == 200


def test_health_without_an_arbiter(bicorn, life):
    server = bicorn("--health-path", "/health", life)
    with server.connect() as c, server.connect() as slow:
        slow.send(harness.request(target="/sleep/1500"))
        assert c.get("/health").status == 200
        wait_for(lambda: busy(server) == 1, "a request running")
        server.signal(signal.SIGKILL)
        server.process.wait()
        wait_for(lambda: c.get("/health").status == 503, "bad health")
        assert slow.response().status == 200


def test_stopped_worker_does_not_hold_up_a_quick_stop(bicorn, life):
    server = bicorn(life)
    worker, = server.workers()
    os.kill(worker, signal.SIGSTOP)
    assert server.stop(signal.SIGINT, timeout=8) == 0
    server.wait_log(r"Worker \(pid:%d\) was sent SIGKILL by the arbiter: it "
                    r"did not leave in time\." % worker)


def test_new_clients_are_refused_while_it_stops(bicorn, life):
    """Neither left waiting nor reset after a while."""
    server = bicorn("-w", 2, life)
    with server.connect() as c:
        c.send(harness.request(target="/sleep/2000"))
        wait_for(lambda: busy(server) == 1, "a request running")
        server.signal(signal.SIGTERM)

        def refused():
            try:
                with harness.Conn(server.address, timeout=5) as late:
                    assert late.get("/", close=True).status == 200
            except ConnectionRefusedError:
                return True
            except (ConnectionResetError, harness.Closed):
                return False  # between the last accept and the close
        wait_for(refused, "a refusal", timeout=1.5)
        assert c.response().status == 200
    assert server.wait() == 0


def test_unix_socket_is_removed_first(bicorn, life, tmp_path):
    path = tmp_path / "s.sock"
    server = bicorn(life, bind="unix:%s" % path)
    with server.connect() as c:
        c.send(harness.request(target="/sleep/1000"))
        wait_for(lambda: busy(server) == 1, "a request running")
        server.signal(signal.SIGTERM)
        wait_for(lambda: not path.exists(), "the path to go", timeout=0.8)
        assert c.response().status == 200
    assert server.wait() == 0


def test_killed_arbiter(bicorn, life, tmp_path):
    """Its workers leave by themselves, and a restart works at once."""
    args = ["-w", 3, "-p", tmp_path / "pid", life]
    server = bicorn(*args)
    workers = server.workers()
    bind = "127.0.0.1:%d" % server.port
    os.kill(server.pid, signal.SIGKILL)
    again = bicorn(*args, bind=bind)
    assert again.get("/").status == 200
    wait_for(lambda: all(map(gone, workers)), "workers that leave", timeout=5)
    assert again.stop() == 0


# ---- daemon -----------------------------------------------------------------

def daemon_pid(path):
    return int(path.read_text())


@pytest.fixture
def daemon(tmp_path, life):
    """Starts daemons; kills what is left of them."""
    pidfile, log = tmp_path / "d.pid", tmp_path / "d.log"

    def start(*args, app=life, **kw):
        r = harness.run("-D", "-p", "d.pid", "--log-file", "d.log",
                        "-b", "127.0.0.1:0", *args, app, cwd=tmp_path, **kw)
        r.pidfile, r.log = pidfile, log
        return r

    yield start
    if pidfile.exists():
        pid = daemon_pid(pidfile)
        for p in harness.processes(os.getsid(pid)):
            os.kill(p, signal.SIGKILL)


def test_daemon(daemon):
    r = daemon("-w", 2)
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")
    # It serves as soon as the command has returned.
    said = r.log.read_text()
    assert "Ready: 2 workers" in said
    port = int(re.search(r"127\.0\.0\.1:(\d+)", said).group(1))
    pid = daemon_pid(r.pidfile)
    assert "Listening at: http://127.0.0.1:%d (%d)" % (port, pid) in said
    with harness.Conn(("127.0.0.1", port)) as c:
        assert c.get("/").status == 200
    fields = Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()
    ppid, pgrp, session, tty = map(int, fields[1:5])
    assert tty == 0 and session != pid and session != os.getsid(0)
    for fd in 0, 1, 2:
        assert os.readlink("/proc/%d/fd/%d" % (pid, fd)) == "/dev/null"
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: gone(pid), "its end")
    assert not r.pidfile.exists()


def test_winch_sends_the_workers_of_a_daemon_home(daemon):
    r = daemon("-w", 2)
    pid = daemon_pid(r.pidfile)
    os.kill(pid, signal.SIGWINCH)
    wait_for(lambda: not harness.children(pid), "no workers")
    os.kill(pid, signal.SIGTTIN)
    wait_for(lambda: len(harness.children(pid)) == 1, "a worker")
    os.kill(pid, signal.SIGHUP)
    wait_for(lambda: r.log.read_text().count("Ready: 2") == 2, "Ready again")
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: gone(pid), "its end")


def test_daemon_that_cannot_start_says_so(daemon, bicorn, life, tmp_path):
    """On the terminal, and by its exit code."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = "127.0.0.1:%d" % taken.getsockname()[1]
        r = daemon("-b", bind)
    assert r.returncode == 1
    assert bind in r.stderr and r.stderr.count("\n") == 1
    assert not r.pidfile.exists()

    server = bicorn("-p", tmp_path / "d.pid", life)
    r = daemon()
    assert r.returncode == 1 and "d.pid" in r.stderr
    server.stop()

    (tmp_path / "boot").write_text("fail")
    r = daemon("-e", "LIFE_BOOT=%s/boot" % tmp_path)
    assert r.returncode == 3 and "failed to boot" in r.stderr
    assert not r.pidfile.exists()


# ---- privileges -------------------------------------------------------------

@needs_root
def test_drop(bicorn, life, open_dir):
    server = bicorn("-u", "nobody", "-g", "nogroup", "-w", 2, life)
    said = who(server)
    assert {said[x] for x in ("uid", "euid", "gid", "egid")} == {str(NOBODY)}
    assert said["groups"] == str(NOBODY)
    for pid in server.workers():
        status = Path("/proc/%d/status" % pid).read_text()
        assert re.search(r"CapEff:\s+0+\n", status), status
        assert re.search(r"CapPrm:\s+0+\n", status), status
    # The one who forks still can.
    os.kill(server.workers()[0], signal.SIGKILL)
    wait_for(lambda: len(server.workers()) == 2, "a replacement")
    assert server.stop() == 0


@needs_root
def test_drop_by_number(bicorn, life, open_dir):
    server = bicorn("-u", "12345", "-g", "54321", life)
    said = who(server)
    assert (said["uid"], said["gid"], said["groups"]) == (
        "12345", "54321", "54321")
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: not harness.processes(server.pid),
             "workers that leave although they changed their user", timeout=5)


@needs_root
def test_logs_and_sockets_of_a_dropped_user(bicorn, life, open_dir):
    """Written, opened again and reached by the workers' user."""
    error, access = open_dir / "error.log", open_dir / "access.log"
    server = bicorn("-u", "nobody", "-g", "nogroup", "--log-file", error,
                    "--access-logfile", access, life, wait=False,
                    bind="unix:%s/s.sock" % open_dir)
    wait_for(lambda: error.exists() and "Ready" in error.read_text(), "Ready")
    server.address = "%s/s.sock" % open_dir
    assert (open_dir / "s.sock").stat().st_uid == NOBODY
    for name in "error.log", "access.log":
        (open_dir / name).rename(open_dir / (name + ".1"))
    server.signal(signal.SIGUSR1)

    def new():
        server.get("/x")
        return access.exists() and "/x" in access.read_text()
    wait_for(new, "lines in the new file")
    assert access.stat().st_uid == error.stat().st_uid == NOBODY
    assert server.stop() == 0
    assert "Worker exiting" in error.read_text()


@needs_root
def test_root_follows_no_link_of_another_user(bicorn, life, open_dir):
    """The logs are in a directory of the workers' user, who could have any
    file written to and given to him."""
    access, precious = open_dir / "access.log", open_dir / "precious"
    precious.write_text("")
    server = bicorn("-u", "nobody", "-g", "nogroup", "--access-logfile",
                    access, life)
    access.rename(open_dir / "access.log.1")
    access.symlink_to(precious)
    os.chown(access, NOBODY, NOBODY, follow_symlinks=False)
    server.signal(signal.SIGUSR1)
    server.wait_log(r"\[ERROR\] .*access.log: root does not follow")
    server.get("/x")
    assert precious.stat().st_uid == 0 and precious.read_text() == ""
    access.unlink()
    access.symlink_to(precious)
    server.signal(signal.SIGUSR1)  # root's own link is as good as a name
    wait_for(lambda: server.get("/y").status == 200 and
             "/y" in precious.read_text(), "lines behind root's link")
    assert server.stop() == 0


@needs_root
def test_without_privileges_another_user_is_refused(life, open_dir,
                                                    others_may_run):
    r = subprocess.run(
        [harness.BICORN, "-b", "127.0.0.1:0", "-u", "root", life],
        env=harness.environment(), capture_output=True, text=True,
        user=NOBODY, group=NOBODY, extra_groups=[], timeout=harness.DEADLINE)
    assert r.returncode != 0
    assert "user" in r.stderr and "not permitted" in r.stderr


# ---- inherited sockets ------------------------------------------------------

def as_systemd_does(bicorn, sockets, names, *args, **kw):
    """A server that gets these from descriptor 3 on."""
    fds = [s.fileno() for s in sockets]
    return bicorn(*args, pass_fds=fds, wrapper=[
        harness.PYTHON, "-c",
        "import os, sys\n"
        "fds = %r\n"
        "for i, fd in enumerate(fds): os.dup2(fd, 100 + i)\n"
        "for i in range(len(fds)): os.dup2(100 + i, 3 + i)\n"
        "os.closerange(3 + len(fds), 200)\n"
        "os.environ['LISTEN_PID'] = str(os.getpid())\n"
        "os.environ['LISTEN_FDS'] = str(len(fds))\n"
        "os.environ['LISTEN_FDNAMES'] = %r\n"
        "os.execv(sys.argv[1], sys.argv[1:])" % (fds, names)], **kw)


def test_socket_activation(bicorn, life, tmp_path):
    """LISTEN_FDS counts, and bind does not."""
    with socket.socket() as s, socket.socket(socket.AF_UNIX) as u:
        s.bind(("127.0.0.1", 0))
        u.bind(str(tmp_path / "s.sock"))
        for x in s, u:
            x.listen()
        server = as_systemd_does(bicorn, (s, u), "unknown:unknown", life,
                                 bind="127.0.0.1:1")
        port = s.getsockname()[1]
    said = server.wait_log(r"Listening at: (\S+) ").group(1)
    assert said == "http://127.0.0.1:%d,unix:%s/s.sock" % (port, tmp_path)
    for address in ("127.0.0.1", port), str(tmp_path / "s.sock"):
        with harness.Conn(address) as c:
            assert c.get("/env/LISTEN_FDS").body == b"(unset)"
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_log("Ready", since=mark)
    with harness.Conn(("127.0.0.1", port)) as c:
        assert c.get("/").status == 200
    assert server.stop() == 0
    assert (tmp_path / "s.sock").exists()  # its owner is somebody else


def test_names_of_inherited_sockets(bicorn, life, tmp_path):
    """LISTEN_FDNAMES: in the log, and for settings of their own."""
    conf = tmp_path / "bicorn.conf"
    conf.write_text("""
        listen = ( { bind = "fd://api"; redirect_https = true; },
                   { bind = "fd://4"; redirect_https = true;
                     redirect_port = 4433; },
                   { bind = "fd://nobody"; } );
    """)
    with socket.socket() as a, socket.socket() as b, socket.socket() as c:
        for x in a, b, c:
            x.bind(("127.0.0.1", 0))
            x.listen()
        ports = [x.getsockname()[1] for x in (a, b, c)]
        server = as_systemd_does(bicorn, (a, b, c), "api:web:web", "-c", conf,
                                 life, bind=None)

    def answers():
        found = []
        for port in ports:
            with harness.Conn(("127.0.0.1", port)) as conn:
                r = conn.get("/", [("Host", "x")])
                found.append(r.header("Location"))
        return found

    wanted = ["https://x/", "https://x:4433/", None]

    for number, (name, port) in enumerate(zip(("api", "web", "web"), ports)):
        server.wait_log(r'Inherited socket %d, "%s": http://127.0.0.1:%d'
                        % (3 + number, name, port))
    server.wait_log("listen: bind = fd://nobody: no such socket was inherited")
    assert answers() == wanted
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_log("Ready", since=mark)
    assert answers() == wanted


def test_inherited_sockets_that_are_called_by_numbers(bicorn, life, tmp_path):
    """fd://4 is descriptor 4, and not the one of that name."""
    conf = tmp_path / "bicorn.conf"
    conf.write_text('listen = ( { bind = "fd://4"; redirect_https = true; } );')
    with socket.socket() as a, socket.socket() as b:
        for x in a, b:
            x.bind(("127.0.0.1", 0))
            x.listen()
        ports = [x.getsockname()[1] for x in (a, b)]
        server = as_systemd_does(bicorn, (a, b), "4:3", "-c", conf, life,
                                 bind=None)
    found = []
    for port in ports:
        with harness.Conn(("127.0.0.1", port)) as conn:
            r = conn.get("/", [("Host", "x")])
            found.append(r.header("Location"))
    assert found == [None, "https://x/"]
    assert '"4"' not in server.log.text()


def test_name_of_no_inherited_socket(run, life):
    proc = run("-b", "fd://web", life)
    assert proc.returncode == 1
    assert "bind = fd://web: no socket of that name was inherited" in \
        proc.stderr


def test_reuse_port(bicorn, life):
    """Each worker has a socket of its own and gets its share."""
    server = bicorn("-w", 2, "--reuse-port", life)
    seen = {who(server)["pid"] for _ in range(60)}
    assert {int(x) for x in seen} == set(server.workers())
    os.kill(server.workers()[0], signal.SIGKILL)
    wait_for(lambda: len(server.workers()) == 2, "a replacement")
    assert server.stop() == 0


# ---- process 1, idleness, leaks ---------------------------------------------

@needs_root
def test_process_1(bicorn, life):
    """As in a container: strangers are reaped, and signals are heard."""
    # In a chroot there is no mount point to hide /proc under.
    if subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"],
                      stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no pid namespaces with a /proc of their own here")
    server = bicorn("--log-level", "debug", life, wrapper=[
        "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
    assert "(1)" in server.wait_log("Listening at.*").group(0)
    arbiter, = server.workers()  # of unshare
    stranger = ["nsenter", "-t", str(arbiter), "-p", "-m", "sh", "-c",
                "(sleep 0.05 & exec 3>&-; ) & exit"]
    subprocess.run(stranger, check=True)
    server.wait_log(r"Reaped process \d+, a stranger")
    os.kill(arbiter, signal.SIGTERM)
    assert server.wait() == 0
    server.wait_log("Shutting down: Master")


def wakeups(pid):
    status = Path("/proc/%d/status" % pid).read_text()
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status,
                         re.M).group(1))


def test_idle_arbiter_sleeps(bicorn, life):
    server = bicorn("-w", 4, "--timeout", 3, life)
    before = wakeups(server.pid)
    time.sleep(3)  # what is measured: wake-ups in it
    assert wakeups(server.pid) - before <= 5


def test_arbiter_has_one_thread_and_leaks_nothing(bicorn, life):
    server = bicorn("-w", 2, life)
    fds = len(os.listdir("/proc/%d/fd" % server.pid))
    for _ in range(20):
        before = server.workers()
        os.kill(before[0], signal.SIGTERM)
        wait_for(lambda: before[0] not in server.workers() and
                 len(server.workers()) == 2, "a replacement")
    for _ in range(5):
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_log("Ready", since=mark)
        wait_for(lambda: len(server.workers()) == 2, "two workers")
    assert len(os.listdir("/proc/%d/task" % server.pid)) == 1
    # The last workers of a generation may be dead, and not yet buried.
    wait_for(lambda: len(os.listdir("/proc/%d/fd" % server.pid)) == fds,
             "as many descriptors as before")
    wait_for(lambda: not harness.zombies(server.pid), "no zombie")
    assert server.stop() == 0


def test_pidfile_of_before(bicorn, run, life, tmp_path):
    """The number in it is somebody else's by now, as after a loss of power;
    but not when that process may have written it, or is a bicorn."""
    path = tmp_path / "pid"
    path.write_text("%d\n" % os.getpid())
    for server in (bicorn(life), None):
        if server is not None:
            path.write_text("%d\n" % server.pid)
            os.utime(path, (1e9, 1e9))
        r = run("--pid", path, "--bind", "127.0.0.1:0", life)
        assert r.returncode == 1 and "already running with pid" in r.stderr
        path.write_text("%d\n" % os.getpid())
    os.utime(path, (1e9, 1e9))
    server = bicorn("--pid", path, life)
    assert int(path.read_text()) == server.pid


def test_pidfile_is_a_pipe(bicorn, life, tmp_path):
    """Somebody else has put it there: nobody waits for its other end."""
    path = tmp_path / "pid"
    os.mkfifo(path)
    server = bicorn("-p", path, life)
    assert int(path.read_text()) == server.pid
