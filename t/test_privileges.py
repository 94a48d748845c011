# SPDX-License-Identifier: MIT
"""What workers may not do any more, and who may reach unix sockets."""
import grp
import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

import harness

from test_arbiter import (NOBODY, life, needs_root,  # noqa: F401
                          others_may_run, who)


def status_of(pid):
    text = Path("/proc/%d/status" % pid).read_text()
    return dict(re.findall(r"^(\w+):\s*(.*)$", text, re.M))


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


# ---- capabilities -----------------------------------------------------------

@needs_root
def test_nothing_is_left_and_nothing_comes_back(bicorn, life,  # noqa: F811
                                                open_dir):  # noqa: F811
    server = bicorn("-u", "nobody", life)
    for pid in server.workers():
        said = status_of(pid)
        for name in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
            assert int(said[name], 16) == 0, (name, said)
        assert said["NoNewPrivs"] == "1"
    assert status_of(server.pid)["NoNewPrivs"] == "0"


@needs_root
def test_programs_that_need_more(bicorn, life, open_dir):  # noqa: F811
    """sudo works where it may: it needs the bounding set."""
    server = bicorn("-u", "nobody", "--allow-new-privs", life)
    worker, = server.workers()
    said = status_of(worker)
    assert said["NoNewPrivs"] == "0"
    assert said["CapBnd"] == status_of(server.pid)["CapBnd"]
    assert int(said["CapEff"], 16) == 0


def test_new_privs_follow_a_reload(bicorn, life, tmp_path):  # noqa: F811
    (tmp_path / "c").write_text("allow_new_privs = true;\n")
    server = bicorn("-c", tmp_path / "c", life)
    assert status_of(server.workers()[0])["NoNewPrivs"] == "0"
    (tmp_path / "c").write_text("")
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_log("Ready", since=mark)
    assert status_of(server.workers()[-1])["NoNewPrivs"] == "1"


@needs_root
@pytest.mark.skipif(not shutil.which("setpriv"), reason="no setpriv")
def test_ambient_capabilities(bicorn, life, open_dir,  # noqa: F811
                              others_may_run):  # noqa: F811
    """As a service manager gives them: for the arbiter's sockets alone."""
    server = bicorn(life, wrapper=[
        "setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY),
        "--clear-groups", "--inh-caps", "+net_bind_service",
        "--ambient-caps", "+net_bind_service"])
    assert int(status_of(server.pid)["CapAmb"], 16) != 0
    for pid in server.workers():
        said = status_of(pid)
        for name in "CapInh", "CapPrm", "CapEff", "CapAmb":
            assert int(said[name], 16) == 0, (name, said)


@needs_root
def test_groups_of_the_user(bicorn, life, open_dir):  # noqa: F811
    """Root's groups never, the user's own unless told otherwise."""
    many = next((u for g in grp.getgrall() for u in g.gr_mem), None)
    if many is None:
        pytest.skip("no user here is in two groups")
    with_all = set(who(bicorn("-u", many, "-g", "nogroup", life))
                   ["groups"].split(","))
    alone = set(who(bicorn("-u", many, "-g", "nogroup", "--no-initgroups",
                           life))["groups"].split(","))
    assert alone == {str(NOBODY)} and alone < with_all


@needs_root
@pytest.mark.python
def test_files_of_python_logging(wsgi, open_dir):
    """Each worker opens them; nobody has made one before, as root."""
    logs = open_dir / "logs"
    logs.mkdir()
    shutil.chown(logs, "nobody")
    (open_dir / "gunicorn.conf.py").write_text("""
logconfig_dict = {
    "version": 1, "root": {"handlers": []},
    "handlers": {"file": {"class": "logging.FileHandler",
                          "filename": "logs/py.log"}},
    "loggers": {"gunicorn.access": {"handlers": ["file"], "level": "INFO"}}}

def on_starting(server):
    server.log.info("by the helper")
""")
    server = wsgi("""
        def app(environ, start_response):
            start_response("200 OK", [])
            return []
    """, "-u", "nobody")
    server.wait_log("by the helper")
    path = logs / "py.log"
    server.get("/here")
    harness.wait_for(lambda: "GET /here" in path.read_text(), "the line")
    assert path.owner() == "nobody"


# ---- unix sockets -----------------------------------------------------------

@pytest.mark.parametrize("args, mode", [
    ([], 0o660),
    (["--umask", "0"], 0o660),
    (["--umask", "077"], 0o600),
    (["--socket-mode", "0666"], 0o666),
    (["--socket-mode", "600", "--umask", "0"], 0o600),
])
def test_socket_mode(bicorn, life, tmp_path, args, mode):  # noqa: F811
    """What everybody may reach has to be asked for."""
    path = tmp_path / "s"
    bicorn(*args, life, bind="unix:%s" % path)
    assert mode_of(path) == mode


@pytest.mark.parametrize("mode", ["0888", "1777", "rw"])
def test_bad_socket_mode(run, life, mode):  # noqa: F811
    r = run("--socket-mode", mode, life)
    assert r.returncode == 2
    assert "socket-mode" in r.stderr or "socket_mode" in r.stderr


def test_bad_socket_user(run, life):  # noqa: F811
    for what in "user", "group":
        r = run("--socket-" + what, "no-such-one", life)
        assert r.returncode == 1
        assert "there is no such " + what in r.stderr


@needs_root
def test_socket_of_the_proxy(bicorn, life, open_dir,  # noqa: F811
                             others_may_run):  # noqa: F811
    """Whoever is in socket_group connects, others do not."""
    path = open_dir / "s"
    server = bicorn("-u", "54321", "-g", "54321", "--socket-group", "54322",
                    life, bind="unix:%s" % path)
    st = path.stat()
    assert (st.st_uid, st.st_gid) == (54321, 54322)

    def connects(group):
        code = ("import socket; socket.socket(socket.AF_UNIX).connect(%r)"
                % str(path))
        return subprocess.run(
            ["python3", "-c", code], user=NOBODY, group=group,
            extra_groups=[], stderr=subprocess.DEVNULL).returncode == 0
    assert connects(54322)
    assert not connects(NOBODY)
    assert server.get("/").status == 200


@needs_root
def test_socket_mode_and_owner_follow_a_reload(bicorn, life,  # noqa: F811
                                               tmp_path):
    path = tmp_path / "s"
    (tmp_path / "c").write_text("")
    server = bicorn("-c", tmp_path / "c", life, bind="unix:%s" % path)
    assert mode_of(path) == 0o660
    inode = path.stat().st_ino
    (tmp_path / "c").write_text(
        'socket_mode = "0600"; socket_user = "54321"; socket_group = "54322";')
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_log("Ready", since=mark)
    st = path.stat()
    assert (st.st_ino, st.st_uid, st.st_gid) == (inode, 54321, 54322)
    assert mode_of(path) == 0o600
