# SPDX-License-Identifier: MIT
"""New certificates in a server that runs, and keys that only root can read."""
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading

import pytest

import harness
import pki
from harness import signals, wait_for

if "HAVE_TLS 1" not in (harness.BUILD / "config.h").read_text():
    pytest.skip("built without TLS", allow_module_level=True)
if not shutil.which("openssl"):
    pytest.skip("needs openssl", allow_module_level=True)

NEW = "New certificates are in use"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pairs a and b, RSA and ECDSA, and an application."""
    folder = tmp_path_factory.mktemp("rotation")
    pki.make_pair(folder, "a")
    pki.make_pair(folder, "b", pki.RSA)
    subprocess.run([*harness.CC.split(), "-shared", "-fPIC", "-O1",
                    "-I", str(harness.SOURCE / "include"),
                    str(harness.SOURCE / "etc/examples/hello.c"),
                    "-o", str(folder / "hello.so")], check=True)
    (folder / "both.pem").write_bytes((folder / "a.pem").read_bytes() +
                                      (folder / "b.pem").read_bytes())
    return folder


def install(folder, name, to, how="rename"):
    """Puts a pair in the place of another one, in one of several ways."""
    for end in ("pem", "key"):
        source = folder / ("%s.%s" % (name, end))
        place = to / ("site." + end)
        if how == "rename":
            shutil.copy(source, to / "next")
            (to / "next").rename(place)
        else:
            place.write_bytes(source.read_bytes())


@pytest.fixture
def site(folder, tmp_path):
    install(folder, "a", tmp_path)
    return tmp_path


@pytest.fixture
def serve(bicorn, folder, site):
    def start(*args, cert=None, key=None, **kw):
        return bicorn("--certfile", cert or site / "site.pem", "--keyfile",
                      key or site / "site.key", *args, folder / "hello.so",
                      **kw)

    return start


def context(folder):
    return ssl.create_default_context(cafile=str(folder / "both.pem"))


def connect(server, folder):
    return server.connect(tls=context(folder))


def subject(c):
    return dict(x[0] for x in c.sock.getpeercert()["subject"])["commonName"]


def shown(server, folder):
    with connect(server, folder) as c:
        assert c.get().status == 200
        return subject(c)


def rotates(server, folder, name, change):
    """Waits until every worker shows the new certificate."""
    mark = server.mark()
    change()
    server.wait_log(NEW, since=mark)
    # Whichever worker: all of them see it from that moment on.
    assert {shown(server, folder) for _ in range(8)} == {name}


# --- changed files ------------------------------------------------------------


@pytest.mark.parametrize("how", ["rename", "write"])
def test_changed_files(serve, folder, site, how):
    server = serve("--workers", 2)
    workers = server.workers()
    assert shown(server, folder) == "a"
    with connect(server, folder) as old:
        assert old.get().status == 200
        for name in "bab":
            rotates(server, folder, name,
                    lambda: install(folder, name, site, how))
        # It goes on with what it began with.
        assert old.get().status == 200
        assert subject(old) == "a"
    assert server.workers() == workers


def test_links_as_certbot_turns_them(serve, folder, tmp_path):
    """live/site/x.pem -> ../../archive/site/x1.pem, one by one."""
    live, archive = tmp_path / "live/site", tmp_path / "archive/site"
    live.mkdir(parents=True)
    archive.mkdir(parents=True)
    for i, name in enumerate("ab", 1):
        shutil.copy(folder / (name + ".pem"), archive / ("chain%d.pem" % i))
        shutil.copy(folder / (name + ".key"), archive / ("key%d.pem" % i))

    def point(number):
        for what in ("chain", "key"):
            link = live / (what + ".pem")
            if link.is_symlink():
                link.unlink()
            link.symlink_to("../../archive/site/%s%d.pem" % (what, number))

    point(1)
    server = serve(cert=live / "chain.pem", key=live / "key.pem")
    rotates(server, folder, "b", lambda: point(2))
    rotates(server, folder, "a", lambda: point(1))


def test_links_as_kubernetes_turns_them(serve, folder, tmp_path):
    """tls.crt -> ..data/tls.crt, ..data -> ..time, renamed over."""
    def write(time, name):
        (tmp_path / time).mkdir()
        shutil.copy(folder / (name + ".pem"), tmp_path / time / "tls.crt")
        shutil.copy(folder / (name + ".key"), tmp_path / time / "tls.key")
        (tmp_path / "..data_tmp").symlink_to(time)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    write("..1", "a")
    for file in ("tls.crt", "tls.key"):
        (tmp_path / file).symlink_to("..data/" + file)
    server = serve(cert=tmp_path / "tls.crt", key=tmp_path / "tls.key")
    for i, name in enumerate("bab", 2):
        rotates(server, folder, name, lambda: write("..%d" % i, name))
        shutil.rmtree(tmp_path / ("..%d" % (i - 1)))


def test_a_directory_of_certificates(bicorn, folder, tmp_path):
    """One more file in it is one more certificate."""
    certs = tmp_path / "certs"
    certs.mkdir()
    shutil.copy(folder / "a.pem", certs / "default.pem")
    shutil.copy(folder / "a.key", certs / "default.key")
    server = bicorn("--certdir", certs, folder / "hello.so")
    pki.make_pair(tmp_path, "other")
    mark = server.mark()
    shutil.copy(tmp_path / "other.key", certs / "other.key")
    shutil.copy(tmp_path / "other.pem", certs / "other.pem")
    server.wait_log(NEW, since=mark)
    assert shown(server, folder) == "a"


@pytest.mark.parametrize("bad", ["garbage", "mismatch", "missing", "empty"])
def test_bad_files_change_nothing(serve, folder, site, bad):
    server = serve("--workers", 2)
    mark = server.mark()
    if bad == "garbage":
        (site / "site.pem").write_text("no certificate")
    elif bad == "mismatch":
        shutil.copy(folder / "b.key", site / "site.key")
    elif bad == "missing":
        (site / "site.key").unlink()
    else:
        (site / "site.pem").write_text("")
    line = server.wait_log("the certificates in use stay", since=mark)
    assert "site." in line.string
    assert shown(server, folder) == "a"
    rotates(server, folder, "b", lambda: install(folder, "b", site))


def test_what_does_not_matter_is_not_said(serve, folder, site):
    """Another file in the directory, the same certificate written anew."""
    server = serve()
    mark = server.mark()
    (site / "other").write_text("x")
    install(folder, "a", site)
    rotates(server, folder, "b", lambda: install(folder, "b", site))
    text = server.log.text().split("\n")[mark:]
    assert len([x for x in text if NEW in x]) == 1
    assert not [x for x in text if "ERROR" in x]


# --- HUP ----------------------------------------------------------------------


def test_hup(serve, folder, site):
    server = serve("--workers", 2)
    with connect(server, folder) as old:
        assert old.get().status == 200
        install(folder, "b", site)
        mark = server.mark()
        server.signal(signals.SIGHUP)
        server.wait_ready(since=mark)
        server.wait_log("Worker exiting", since=mark)
    assert shown(server, folder) == "b"


def test_hup_with_a_bad_file(serve, folder, site):
    server = serve()
    (site / "site.pem").write_text("")
    mark = server.mark()
    server.signal(signals.SIGHUP)
    line = server.wait_log("Reload failed", since=mark)
    assert "site.pem" in line.string
    assert shown(server, folder) == "a"


# --- nothing is dropped -------------------------------------------------------


class Load(threading.Thread):
    """A client that asks without a pause, until it is told to stop."""

    def __init__(self, server, ctx, keep):
        super().__init__()
        self.server, self.ctx, self.keep = server, ctx, keep
        self.over = threading.Event()
        self.count, self.names, self.error = 0, set(), None

    def run(self):
        try:
            while not self.over.is_set():
                with self.server.connect(tls=self.ctx) as c:
                    self.names.add(subject(c))
                    for _ in range(50 if self.keep else 1):
                        assert c.get(close=not self.keep).status == 200
                        self.count += 1
        except BaseException as e:
            self.error = e


@pytest.mark.parametrize("times", [
    5, pytest.param(20, marks=pytest.mark.slow)])
def test_nothing_is_dropped(serve, folder, site, times):
    """Kept and one-shot clients, while certificates change."""
    server = serve("--workers", 2, "--threads", 2)
    load = [Load(server, context(folder), i % 2 == 0) for i in range(4)]
    for client in load:
        client.start()
    for i in range(times):
        mark = server.mark()
        install(folder, "ba"[i % 2], site)
        server.wait_log(NEW, since=mark)
    for client in load:
        client.over.set()
        client.join()
        assert client.error is None, client.error
        assert client.count > 0
    assert set.union(*(c.names for c in load)) == {"a", "b"}


# --- keys for root's eyes only ------------------------------------------------

root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


@pytest.fixture
def public():
    """A directory that everybody may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


@root
def test_key_of_root(bicorn, folder, public):
    """Workers run as somebody who cannot read it; also those of later."""
    install(folder, "a", public)
    shutil.copy(folder / "hello.so", public)
    (public / "site.key").chmod(0o600)
    server = bicorn(
        "--certfile", public / "site.pem", "--keyfile", public / "site.key",
        "--workers", 2, "--user", "nobody", "--group", "nogroup",
        public / "hello.so")
    assert shown(server, folder) == "a"
    # A worker that comes later.
    worker = sorted(server.workers())[0]
    mark = server.mark()
    os.kill(worker, signals.SIGKILL)
    server.wait_log("Booting worker", since=mark)
    wait_for(lambda: len(server.workers()) == 2 and
             {shown(server, folder) for _ in range(6)} == {"a"},
             "two workers")
    # New keys, and a reload.
    mark = server.mark()
    shutil.copy(folder / "b.key", public / "site.key")
    shutil.copy(folder / "b.pem", public / "site.pem")
    server.wait_log(NEW, since=mark)
    assert {shown(server, folder) for _ in range(6)} == {"b"}
    mark = server.mark()
    server.signal(signals.SIGHUP)
    server.wait_ready(since=mark)
    assert {shown(server, folder) for _ in range(6)} == {"b"}
    for pid in server.workers():
        status = open("/proc/%d/status" % pid).read()
        assert "\nUid:\t65534\t65534\t65534\t65534\n" in status


def test_workers_cannot_write_the_vault(serve, folder):
    """The memory that keys come in is read-only for them, without a file."""
    server = serve()
    for pid in server.workers():
        maps = open("/proc/%d/maps" % pid).read()
        lines = [x for x in maps.split("\n") if "memfd:certificates" in x or
                 "memfd:ticket keys" in x]
        assert len(lines) == 2
        assert all(" r--s " in x for x in lines)
        links = [os.readlink("/proc/%d/fd/%s" % (pid, fd))
                 for fd in os.listdir("/proc/%d/fd" % pid)]
        assert not [x for x in links if "certificates" in x or
                    "ticket keys" in x]


def test_silent_clients_hold_little(serve, folder):
    """A client that never says anything costs no TLS state, and goes."""
    server = serve("--handshake-timeout", "1")
    with socket.create_connection(server.address, harness.DEADLINE) as s:
        s.settimeout(harness.DEADLINE)
        assert s.recv(1) == b""
