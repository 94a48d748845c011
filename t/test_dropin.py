# SPDX-License-Identifier: MIT
"""In the place of gunicorn: its options, variables and settings files.

gunicorn_settings.txt lists every setting that it has, and what becomes of
it here; each row is tried by its options and in a settings file in Python.
"""
import re

import pytest

import harness
from harness import SOURCE

ROWS = [line.split() for line in
        (SOURCE / "t/gunicorn_settings.txt").read_text().splitlines()
        if not line.startswith("#")]

LINE = re.compile(r"^(\w+) +(\S.*?)  +(\S.*?)  +"
                  r"(honoured|translated|ignored|refused|bicorn's own)(?:: (.*))?$")


def explained(run, *args, **kw):
    """What --explain says, as {name: (value, source, verdict, why)}."""
    proc = run("--explain", *args, **kw)
    assert proc.returncode == 0, proc.stderr
    assert proc.stderr == ""
    table = {}
    for line in proc.stdout.splitlines():
        if line.startswith("#"):
            continue
        m = LINE.match(line)
        assert m, line
        assert m[1] not in table, line
        table[m[1]] = m.groups()[1:]
    return table


def test_list_is_whole():
    assert len(ROWS) == 119
    assert all(len(row) == 4 for row in ROWS)
    assert len({row[0] for row in ROWS}) == 119


def test_every_setting_is_explained(run):
    table = explained(run)
    for name, _, _, verdict in ROWS:
        assert name in table
        value, source, said, why = table[name]
        assert source == "default", name
        if said not in ("honoured",):
            assert why, name


OPTIONS = [(row[0], option, row[2], row[3]) for row in ROWS
           for option in row[1].split(",") if option != "-"]


@pytest.mark.parametrize("name, option, value, verdict", OPTIONS,
                         ids=[o[1] for o in OPTIONS])
def test_option(run, tmp_path, name, option, value, verdict):
    """The option is taken as gunicorn takes it, and does what the list says."""
    (tmp_path / "x.conf").write_text("")
    (tmp_path / "x.ini").write_text("[app:main]\n")
    if name == "paste" and not harness.HAS_PYTHON:
        pytest.skip("built without Python")
    words = [option.rstrip("+")] + ([value] if option.endswith("+") else [])
    if name in ("keyfile",):
        words += ["--certfile", "y"]
    if name == "check_config" or name == "print_config":
        assert run(*words, "./nothing/", cwd=tmp_path).stderr.count("no such option") == 0
        return
    row = explained(run, *words, cwd=tmp_path)[name]
    assert verdict == row[2]
    if name == "config":
        assert row[0] == "x.conf"
        return
    assert row[1] == "command line"
    if row[2] == "ignored":
        out = run("--print-config", *words, cwd=tmp_path)
        assert out.returncode == 0
    if row[2] == "refused":
        proc = run(*words, "a", cwd=tmp_path)
        assert proc.returncode == 1 and row[3] in proc.stderr
        assert proc.stderr.count("\n") == 1


# ---- variables ----

def test_gunicorn_cmd_args(run):
    env = {"GUNICORN_CMD_ARGS": "--workers=3 --worker-tmp-dir /dev/shm"}
    table = explained(run, env=env)
    assert table["workers"][:2] == ("3", "GUNICORN_CMD_ARGS")
    assert table["worker_tmp_dir"][:3] == ("/dev/shm", "GUNICORN_CMD_ARGS", "ignored")
    env["BICORN_CMD_ARGS"] = "--threads 7"
    table = explained(run, env=env)
    assert table["workers"][0] == "1"
    assert table["threads"][:2] == ("7", "BICORN_CMD_ARGS")
    env["BICORN_CMD_ARGS"] = ""
    assert explained(run, env=env)["workers"][0] == "3"
    proc = run("a", env={"GUNICORN_CMD_ARGS": "--bogus"})
    assert proc.returncode == 2
    assert "--bogus (GUNICORN_CMD_ARGS): no such option" in proc.stderr


@pytest.mark.parametrize("variable, value, name, shown", [
    ("WEB_CONCURRENCY", "3", "workers", "3"),
    ("PORT", "1234", "bind", "0.0.0.0:1234"),
    ("FORWARDED_ALLOW_IPS", "*", "forwarded_allow_ips", "*"),
    ("SENDFILE", "no", "sendfile", "false"),
    ("BICORN_WORKER_TMP_DIR", "/dev/shm", "worker_tmp_dir", "/dev/shm"),
])
def test_variables(run, variable, value, name, shown):
    assert explained(run, env={variable: value})[name][:2] == (shown, variable)
    assert explained(run, env={variable: ""})[name][1] == "default"


@pytest.mark.parametrize("variable, text", [
    ("BICORN_WORKRES", "did you mean BICORN_WORKERS?"),
    ("BICORN_XYZZY", "BICORN_XYZZY (environment): no such setting\n"),
])
def test_misspelt_variable(run, variable, text):
    assert text in run("--explain", env={variable: "1"}).stdout


@pytest.mark.parametrize("variable", [
    "BICORN_PORT", "BICORN_PORT_8000_TCP_ADDR", "BICORN_SERVICE_HOST"])
def test_variables_of_kubernetes(run, variable):
    assert variable not in run("--explain", env={variable: "1"}).stdout


# ---- worker classes ----

@pytest.mark.parametrize("name, threads", [
    ("sync", "1"), ("gthread", "4"),
    ("gunicorn.workers.sync.SyncWorker", "1"),
    ("gunicorn.workers.gthread.ThreadWorker", "4"),
    ("egg:gunicorn#sync", "1"),
])
def test_worker_class(run, name, threads):
    table = explained(run, "-k", name)
    assert table["worker_class"][2] == "translated"
    assert table["threads"][0] == threads
    assert explained(run, "-k", name, "--threads", "9")["threads"][0] == "9"


def test_sync_ends_what_hangs(run, bicorn, tmp_path):
    """Its worker gives no sign of life while a request runs."""
    def limit(*options):
        return explained(run, *options)["request_timeout"][0]
    assert limit("-k", "sync") == "30"
    assert limit("-k", "sync", "-t", "5") == "5"
    assert limit("-k", "sync", "-t", "5", "--request-timeout", "0") == "0"
    assert limit("-k", "sync", "--threads", "2") == "0"
    assert limit("-k", "gthread") == limit() == "0"
    if not harness.HAS_PYTHON:
        return
    (tmp_path / "a.py").write_text(
        "import time\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    end = time.monotonic() + 60\n"
        "    while environ['PATH_INFO'] == '/hang' and time.monotonic() < end:\n"
        "        time.sleep(0.01)\n"
        "    return [b'ok']\n")
    server = bicorn("-k", "sync", "-t", "1", "a:app", cwd=tmp_path)
    assert server.get("/hang").status == 504
    assert server.get("/").body == b"ok"


@pytest.mark.parametrize("name, text", [
    ("gevent", "-k gthread --threads N"),
    ("eventlet", "-k gthread --threads N"),
    ("gunicorn.workers.ggevent.GeventWorker", "-k gthread --threads N"),
    ("uvicorn.workers.UvicornWorker", "a2wsgi"),
    ("tornado", "its own loop"),
    ("asgi", "a2wsgi"),
    ("myapp.workers.Mine", "post_fork"),
    ("nonsense", "must be gthread or sync"),
])
def test_other_worker_classes(run, name, text):
    proc = run("-k", name, "a")
    assert proc.returncode == 1
    assert text in proc.stderr and proc.stderr.count("\n") == 1
    row = explained(run, "-k", name)["worker_class"]
    assert row[:3] == (name, "command line", "refused")
    assert text in row[3]


def test_ignored_is_told(bicorn, tmp_path):
    (tmp_path / "public").mkdir()
    server = bicorn("--worker-tmp-dir", "/dev/shm", "./public/", cwd=tmp_path)
    server.wait_log(r"\[WARNING\] --worker-tmp-dir /dev/shm \(command line\): "
                    "ignored: ")
