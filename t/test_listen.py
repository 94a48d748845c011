# SPDX-License-Identifier: MIT
"""Where bicorn listens: every form of bind, and what can be wrong with it."""
import concurrent.futures
import os
import re
import signal
import socket
import stat
import subprocess

import pytest

import harness
from harness import refused


@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    module = tmp_path_factory.mktemp("listen") / "hello.so"
    subprocess.run([*harness.CC.split(), "-shared", "-fPIC", "-O1",
                    "-I", str(harness.SOURCE / "include"),
                    str(harness.SOURCE / "etc/examples/hello.c"),
                    "-o", str(module)], check=True)
    return module


def has_v6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


v6 = pytest.mark.skipif(not has_v6(), reason="no IPv6 on this machine")


def free_port():
    """A port that was free a moment ago, for forms that need a number."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(address):
    with harness.Conn(address) as c:
        return c.get("/", close=True).status == 200


# --- TCP ----------------------------------------------------------------------

@pytest.mark.parametrize("form, name", [
    ("127.0.0.1:%d", "http://127.0.0.1:%d"),
    ("tcp://127.0.0.1:%d", "http://127.0.0.1:%d"),
    ("localhost:%d", "http://127.0.0.1:%d"),
    ("0.0.0.0:%d", "http://0.0.0.0:%d"),
])
def test_forms(bicorn, hello, form, name):
    port = free_port()
    server = bicorn(hello, bind=form % port)
    assert server.listeners == [name % port]
    assert answers(("127.0.0.1", port))


def test_all_addresses(bicorn, hello):
    server = bicorn(hello, bind=":0")
    assert answers(("127.0.0.1", server.port))
    if has_v6():
        assert answers(("::1", server.port))


def test_default_port(bicorn, hello, run):
    """HOST alone means port 8000, if nobody has that already."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.77", 8000))
        except OSError:
            pytest.skip("port 8000 is in use")
    server = bicorn(hello, bind="127.0.0.77")
    assert server.listeners == ["http://127.0.0.77:8000"]


@v6
def test_v6(bicorn, hello):
    server = bicorn(hello, bind="[::1]:0")
    assert server.listeners == ["http://[::1]:%d" % server.port]
    assert answers(("::1", server.port))
    assert refused(("127.0.0.1", server.port))


@v6
def test_v6_all_takes_v4_too(bicorn, hello):
    server = bicorn("--access-logfile", "-", hello, bind="[::]:0")
    assert answers(("::1", server.port))
    assert answers(("127.0.0.1", server.port))
    server.wait_out(r"^127\.0\.0\.1 ")  # not ::ffff:127.0.0.1


@v6
@pytest.mark.parametrize("order", [("[::]:%d", "0.0.0.0:%d"),
                                   ("0.0.0.0:%d", "[::]:%d"),
                                   (":%d", "0.0.0.0:%d")])
def test_both_families(bicorn, hello, order):
    port = free_port()
    server = bicorn("--bind", order[1] % port, hello, bind=order[0] % port)
    assert len(server.listeners) == 2
    assert answers(("::1", port))
    assert answers(("127.0.0.1", port))


def test_several(bicorn, hello, tmp_path):
    path = tmp_path / "s"
    server = bicorn("-b", "127.0.0.2:0", "-b", "unix:%s" % path, hello)
    assert len(server.listeners) == 3
    assert server.listeners[2] == "unix:%s" % path
    for name in server.listeners:
        assert answers(harness.address_of(name))


def test_many_workers_share(bicorn, hello):
    server = bicorn("--workers", "4", hello)
    for _ in range(40):
        assert answers(server.address)


@pytest.mark.parametrize("spec, part", [
    ("8000", "written :8000"),
    ("127.0.0.1:99999", "0..65535"),
    ("::1:8000", "[ADDRESS]:PORT"),
    ("/run/x", "unix:PATH"),
    ("unix:" + "x" * 120, "107 bytes"),
    ("fd://a:b", "fd://NAME"),
])
def test_wrong(run, hello, tmp_path, spec, part):
    """The text is wrong: 2 on the command line, 1 in a file."""
    p = run("--bind", spec, hello)
    assert p.returncode == 2
    assert part in p.stderr and "--bind " + spec[:40] in p.stderr
    conf = tmp_path / "b.conf"
    conf.write_text('bind = ["%s"];\n' % spec)
    p = run("--config", conf, hello)
    assert p.returncode == 1
    assert part in p.stderr and "b.conf, line 1" in p.stderr


@pytest.mark.parametrize("spec, part", [
    ("192.0.2.77:0", "no interface"),
    ("nowhere.invalid:1", "cannot find host nowhere.invalid"),
    ("unix:/nonexistent/s",
     "No such file or directory; the directory of a unix socket has to be"),
    ("fd://77", "no such descriptor"),
])
def test_cannot(run, hello, spec, part):
    """It cannot be had: 1, and one line that says why."""
    p = run("--bind", spec, hello)
    assert p.returncode == 1
    assert part in p.stderr and "bind = %s: " % spec in p.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another")
def test_reserved_port(hello, tmp_path):
    """The hint, as an ordinary user sees it."""
    low = int(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read())
    if low == 0:
        pytest.skip("here every port is everybody's")
    p = subprocess.run(
        [str(harness.BICORN), "--bind", "127.0.0.1:81", str(hello)],
        user=65534, group=65534, extra_groups=[], cwd="/",
        env=harness.environment(), capture_output=True, text=True,
        timeout=harness.DEADLINE)
    assert p.returncode == 1
    assert "127.0.0.1:81" in p.stderr
    assert "CAP_NET_BIND_SERVICE" in p.stderr


# --- unix sockets -------------------------------------------------------------

def test_unix(bicorn, hello, tmp_path):
    path = tmp_path / "s"
    server = bicorn("--access-logfile", "-", hello, bind="unix:%s" % path)
    assert server.listeners == ["unix:%s" % path]
    assert answers(str(path))
    assert answers(str(path))
    server.wait_out(r'^- - - \[.*\] "GET / HTTP/1.1" 200 ')
    assert server.stop() == 0
    assert not path.exists()


def test_unix_two_slashes(bicorn, hello, tmp_path):
    server = bicorn(hello, bind="unix://%s/s" % tmp_path)
    assert answers("%s/s" % tmp_path)


def test_unix_relative(bicorn, hello, tmp_path):
    server = bicorn(hello, bind="unix:s", cwd=tmp_path, wait=False)
    server.wait_log(r"\] Ready")
    assert answers(str(tmp_path / "s"))
    assert server.stop() == 0
    assert not (tmp_path / "s").exists()


def test_unix_abstract(bicorn, hello):
    server = bicorn(hello, bind="unix:@bicorn-%d" % os.getpid())
    assert answers("\0bicorn-%d" % os.getpid())


@pytest.mark.parametrize("mask, mode", [("0117", 0o660), ("077", 0o600)])
def test_unix_mode(bicorn, hello, tmp_path, mask, mode):
    path = tmp_path / "s"
    bicorn("--umask", mask, hello, bind="unix:%s" % path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_unix_stale(bicorn, hello, tmp_path):
    """What a killed server left behind is replaced."""
    path = tmp_path / "s"
    server = bicorn(hello, bind="unix:%s" % path)
    server.kill()
    assert path.is_socket()
    assert refused(str(path))
    bicorn(hello, bind="unix:%s" % path)
    assert answers(str(path))


def test_unix_in_use(bicorn, hello, tmp_path):
    """A live server keeps its socket, and the second one says why it ends."""
    path = tmp_path / "s"
    bicorn(hello, bind="unix:%s" % path)
    second = bicorn(hello, bind="unix:%s" % path, wait=False)
    assert second.wait() == 1
    assert "in use" in second.log.text()
    assert second.log.text().count("Retrying in 1 second.") == 4
    assert answers(str(path))


def test_unix_no_socket(run, hello, tmp_path):
    path = tmp_path / "s"
    path.write_text("precious")
    p = run("--bind", "unix:%s" % path, hello)
    assert p.returncode == 1
    assert "no socket" in p.stderr
    assert path.read_text() == "precious"


def test_unix_replaced_by_another(bicorn, hello, tmp_path):
    """A server removes its own socket, not its successor's."""
    path = tmp_path / "s"
    first = bicorn(hello, bind="unix:%s" % path)
    path.unlink()
    bicorn(hello, bind="unix:%s" % path)
    assert first.stop() == 0
    assert answers(str(path))


def test_unix_race(bicorn, hello, tmp_path):
    """Of servers that start at once, one gets the path and keeps it."""
    path = tmp_path / "s"
    bicorn(hello, bind="unix:%s" % path).kill()
    servers = [bicorn(hello, bind="unix:%s" % path, wait=False)
               for _ in range(4)]

    def came_up(server):
        try:
            server.wait_log(r"\] Ready", timeout=3)
            return True
        except AssertionError:
            return False

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(came_up, servers)) == [False] * 3 + [True]
    assert answers(str(path))


# --- inherited sockets --------------------------------------------------------

def test_inherited(bicorn, hello):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(16)
        port = s.getsockname()[1]
        server = bicorn(hello, bind="fd://%d" % s.fileno(),
                        pass_fds=[s.fileno()])
        assert server.listeners == ["http://127.0.0.1:%d" % port]
        assert answers(("127.0.0.1", port))
        assert server.stop() == 0


def test_inherited_unix(bicorn, hello, tmp_path):
    """Whoever made the path removes it."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen(16)
        server = bicorn(hello, bind="fd://%d" % s.fileno(),
                        pass_fds=[s.fileno()])
        assert server.listeners == ["unix:%s" % path]
        assert answers(str(path))
        assert server.stop() == 0
        assert path.is_socket()


def test_inherited_not_listening(run, hello):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        p = subprocess.run(
            [str(harness.BICORN), "--bind", "fd://%d" % s.fileno(),
             str(hello)],
            env=harness.environment(), pass_fds=[s.fileno()],
            capture_output=True, text=True, timeout=harness.DEADLINE)
    assert p.returncode == 1
    assert "not listening" in p.stderr


# --- over reloads -------------------------------------------------------------

def test_reload_changes_binds(bicorn, hello, tmp_path):
    """What stays is never closed, what is new opens, what went closes."""
    conf = tmp_path / "b.conf"
    old, new = tmp_path / "old", tmp_path / "new"
    stays = "127.0.0.1:%d" % free_port()
    conf.write_text('bind = ["%s", "unix:%s"];\n' % (stays, old))
    server = bicorn("--config", conf, hello, bind=None)
    port = int(stays.split(":")[1])
    assert answers(("127.0.0.1", port)) and answers(str(old))

    conf.write_text('bind = ["%s", "unix:%s"];\n' % (stays, new))
    mark = server.mark()
    server.signal(signal.SIGHUP)
    server.wait_log(r"\] Ready", since=mark)
    assert answers(("127.0.0.1", port)) and answers(str(new))
    harness.wait_for(lambda: not old.exists(), "the old path to go")


def test_reload_with_an_address_in_use(bicorn, hello, tmp_path):
    conf = tmp_path / "b.conf"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(1)
        taken = "127.0.0.1:%d" % s.getsockname()[1]
        first = "127.0.0.1:%d" % free_port()
        conf.write_text('bind = ["%s"];\n' % first)
        server = bicorn("--config", conf, hello, bind=None)
        conf.write_text('bind = ["%s", "%s"];\n' % (first, taken))
        mark = server.mark()
        server.signal(signal.SIGHUP)
        server.wait_log(re.escape(taken) + ".*in use", since=mark)
        assert answers(server.address)


def test_connections_of_one_address(bicorn, hello):
    """The one too many is closed; one that ends makes room again."""
    s = bicorn("--address-connections", 3, hello)
    clients = [s.connect() for _ in range(3)]
    for c in clients:
        assert c.get().status == 200
    with s.connect() as c:
        assert c.rest() == b""
    for c in clients:
        assert c.get().status == 200
    clients[0].close()
    clients[1].send(harness.request(close=True))
    clients[1].rest()
    for _ in range(1000):   # until the server has seen the ends
        c = s.connect()
        try:
            assert c.get().status == 200
            break
        except (harness.Closed, OSError):
            c.close()
    else:
        raise AssertionError("no room again")
