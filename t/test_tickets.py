# SPDX-License-Identifier: MIT
"""Session tickets: clients come back, to any worker, without a handshake."""
import base64
import os
import re
import socket
import ssl
import subprocess

import pytest

import harness
import tlskit
from test_admin import Admin
import pki
from harness import signals
from tlskit import V1_2, V1_3, VERSIONS

tlskit.require()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tickets")
    pki.make_pair(folder, "site")
    pki.make_pair(folder, "client")
    subprocess.run([*harness.CC.split(), "-shared", "-fPIC", "-O1",
                    "-I", str(harness.SOURCE / "include"),
                    str(harness.SOURCE / "etc/examples/hello.c"),
                    "-o", str(folder / "hello.so")], check=True)
    return folder


@pytest.fixture
def serve(bicorn, folder):
    def start(*args, **kw):
        return bicorn("--certfile", folder / "site.pem", "--keyfile",
                      folder / "site.key", *args, folder / "hello.so", **kw)

    return start


def context(folder, version=None):
    c = ssl.create_default_context(cafile=str(folder / "site.pem"))
    if version:
        c.minimum_version = c.maximum_version = version
    return c


def visit(server, ctx, session=None):
    """(was it resumed, the session for the next visit)"""
    with socket.create_connection(server.address, harness.DEADLINE) as plain:
        with ctx.wrap_socket(plain, server_hostname="localhost",
                             session=session) as s:
            s.settimeout(harness.DEADLINE)
            s.sendall(harness.request(close=True))
            data = b""
            while part := s.recv(65536):
                data += part
            assert data.startswith(b"HTTP/1.1 200 ")
            return s.session_reused, s.session


@pytest.mark.parametrize("version", VERSIONS)
def test_every_worker_resumes(serve, folder, version):
    """All of many visits, whichever worker made the ticket."""
    server = serve("--workers", 3, "--threads", 2)
    ctx = context(folder, version)
    reused, session = visit(server, ctx)
    assert not reused
    count = 0
    for _ in range(60):
        reused, again = visit(server, ctx, session)
        count += reused
        session = again if version == V1_3 else session
    assert count == 60


@pytest.mark.skipif("#define HAVE_ADMIN 1" not in harness._CONFIG,
                    reason="built without jansson")
@pytest.mark.parametrize("version", VERSIONS)
def test_they_are_counted(serve, folder, version):
    server = serve("--admin-bind", "127.0.0.1:0", "--workers", 2)
    admin = Admin(server)
    ctx = context(folder, version)
    _, session = visit(server, ctx)
    for _ in range(5):
        _, again = visit(server, ctx, session)
        session = again if version == V1_3 else session
    counted = admin.status()["counters"]["tls_handshakes"]
    assert (counted["full"], counted["resumed"]) == (1, 5)


def test_openssl_resumes(serve, folder):
    """As s_client -reconnect counts it: one new session, five resumed."""
    server = serve("--workers", 2)
    p = subprocess.run(
        ["openssl", "s_client", "-connect", "%s:%d" % server.address,
         "-tls1_2", "-reconnect", "-CAfile", folder / "site.pem"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    out = p.stdout.decode()
    assert len(re.findall(r"^New, ", out, re.M)) == 1
    assert len(re.findall(r"^Reused, ", out, re.M)) == 5


@pytest.mark.parametrize("version", VERSIONS)
def test_over_a_reload(serve, folder, version):
    server = serve("--workers", 2)
    ctx = context(folder, version)
    session = visit(server, ctx)[1]
    mark = server.mark()
    server.signal(signals.SIGHUP)
    server.wait_ready(since=mark)
    assert visit(server, ctx, session)[0]


def test_another_lifetime(bicorn, folder, tmp_path):
    """A reload is enough, and tickets that there are stay good."""
    conf = tmp_path / "tickets.conf"
    conf.write_text("tls_ticket_lifetime = 3600;")
    server = bicorn("-c", conf, "--certfile", folder / "site.pem", "--keyfile",
                    folder / "site.key", folder / "hello.so")
    ctx = context(folder, V1_2)
    session = visit(server, ctx)[1]
    assert session.ticket_lifetime_hint == 3600
    conf.write_text("tls_ticket_lifetime = 600;")
    mark = server.mark()
    server.signal(signals.SIGHUP)
    server.wait_ready(since=mark)
    assert visit(server, ctx)[1].ticket_lifetime_hint == 600
    assert visit(server, ctx, session)[0]


def test_over_an_upgrade(serve, folder, tmp_path):
    """The new arbiter has the keys of the old one."""
    server = serve("--workers", 2, "-p", tmp_path / "pid")
    sessions = [(c, visit(server, c)[1])
                for c in (context(folder, v) for v in VERSIONS)]
    mark = server.mark()
    server.signal(signals.SIGUSR2)
    new = int(server.wait_log(r"Upgrade: the new arbiter is pid (\d+)",
                              since=mark).group(1))
    try:
        server.wait_log(r"\[%d\] \[INFO\] Ready" % new, since=mark)
        os.kill(server.pid, signals.SIGTERM)
        server.process.wait(harness.DEADLINE)
        for ctx, session in sessions:
            assert visit(server, ctx, session)[0]
    finally:
        server.pid = new
        os.kill(new, signals.SIGTERM)
        harness.wait_for(lambda: not os.path.exists("/proc/%d" % new),
                         "the end of the new arbiter")


def test_none_when_not_wanted(serve, folder):
    server = serve("--no-tls-tickets")
    for version in VERSIONS:
        ctx = context(folder, version)
        session = visit(server, ctx)[1]
        assert not visit(server, ctx, session)[0]


def test_another_server_does_not_know_it(serve, folder):
    """A ticket of others' keys is no error, only a whole handshake."""
    one, two = serve(), serve()
    for version in VERSIONS:
        ctx = context(folder, version)
        session = visit(one, ctx)[1]
        assert not visit(two, ctx, session)[0]


def test_machines_that_share_a_file(serve, folder, tmp_path):
    keys = tmp_path / "keys"
    keys.write_bytes(os.urandom(80))
    keys.chmod(0o600)
    one = serve("--tls-ticket-keys", keys)
    two = serve("--tls-ticket-keys", keys, "--workers", 2)
    for version in VERSIONS:
        ctx = context(folder, version)
        session = visit(one, ctx)[1]
        for _ in range(4):
            reused, again = visit(two, ctx, session)
            assert reused
            session = again if version == V1_3 else session


def test_the_file_is_watched(serve, folder, tmp_path):
    """A new key in front; the old one opens as long as it stands there."""
    keys = tmp_path / "keys"
    old, new = os.urandom(80), os.urandom(80)
    keys.write_bytes(old)
    keys.chmod(0o644)
    server = serve("--tls-ticket-keys", keys)
    server.wait_log("tls_ticket_keys = .*others may read this file")
    ctx = context(folder, V1_2)
    session = visit(server, ctx)[1]
    for content, good in ((new + old, True), (new, False)):
        mark = server.mark()
        (tmp_path / "next").write_bytes(content)
        (tmp_path / "next").rename(keys)
        server.wait_log("New keys for session tickets", since=mark)
        assert visit(server, ctx, session)[0] == good
    mark = server.mark()
    keys.write_bytes(b"x" * 79)
    server.wait_log(r"holds 79 bytes; must be one or more keys of 80 .*"
                    "keys in use stay", since=mark)
    session = visit(server, ctx)[1]
    assert visit(server, ctx, session)[0]


@pytest.mark.parametrize("content, said", [
    (b"", "holds 0 bytes"), (b"x" * 81, "holds 81 bytes"),
    (b"x" * 80 * 17, "bytes")])
def test_bad_key_files(run, folder, tmp_path, content, said):
    keys = tmp_path / "keys"
    keys.write_bytes(content)
    p = run("--bind", "127.0.0.1:0", "--certfile", folder / "site.pem",
            "--keyfile", folder / "site.key", "--tls-ticket-keys", keys,
            folder / "hello.so")
    assert p.returncode == 1
    assert "tls_ticket_keys = %s" % keys in p.stderr
    p = run("--bind", "127.0.0.1:0", "--certfile", folder / "site.pem",
            "--keyfile", folder / "site.key", "--tls-ticket-keys",
            tmp_path / "none", folder / "hello.so")
    assert p.returncode == 1
    assert "none: No such file" in p.stderr


def test_bad_tickets(serve, folder):
    """Whatever stands where a ticket should be."""
    server = serve()
    ctx = context(folder, V1_2)
    path = str(folder / "session")
    subprocess.run(
        ["openssl", "s_client", "-connect", "%s:%d" % server.address,
         "-tls1_2", "-sess_out", path], stdin=subprocess.DEVNULL,
        capture_output=True, timeout=30, check=True)
    der = bytearray(pki.openssl("sess_id", "-in", path, "-outform",
                                "DER").stdout)
    pem = pki.openssl("sess_id", "-in", path, "-text", "-noout").stdout
    dump = re.findall(r"^ +[0-9a-f]{4} - ((?:[0-9a-f]{2}[ -]){16})",
                      pem.decode(), re.M)
    first = bytes.fromhex(dump[0].replace("-", " "))
    at = bytes(der).index(first)
    for offset in (0, 15, 16, 27, 28, 40, 80, 120):
        changed = bytearray(der)
        changed[at + offset] ^= 1
        bad = folder / "bad"
        bad.write_bytes(
            b"-----BEGIN SSL SESSION PARAMETERS-----\n" +
            base64.encodebytes(bytes(changed)) +
            b"-----END SSL SESSION PARAMETERS-----\n")
        p = subprocess.run(
            ["openssl", "s_client", "-connect", "%s:%d" % server.address,
             "-tls1_2", "-sess_in", bad], stdin=subprocess.DEVNULL,
            capture_output=True, timeout=30)
        assert b"\nNew, " in p.stdout, p
    assert not visit(server, ctx)[0]


def two(bicorn, folder, tmp_path, one, other):
    """A server with two listeners that differ, and their addresses."""
    conf = tmp_path / "two.conf"
    conf.write_text('''
        certfile = "%s/site.pem"; keyfile = "%s/site.key";
        listen = ({ bind = "127.0.0.1:0"; tls = { %s }; },
                  { bind = "localhost:0"; tls = { %s }; });
    ''' % (folder, folder, one, other))
    server = bicorn("-c", conf, folder / "hello.so", bind=None)
    return server, [harness.address_of(x) for x in server.listeners]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("what", ["required", "optional"])
def test_a_ticket_is_no_way_around_a_certificate(bicorn, folder, tmp_path,
                                                 version, what):
    """There are none where a certificate is asked for, and those of another
    listener are no good there."""
    server, addresses = two(bicorn, folder, tmp_path, "", '''
        cert_reqs = "%s"; ca_certs = "%s/client.pem";''' % (what, folder))
    ctx = context(folder, version)
    session = visit(server, ctx)[1]
    assert visit(server, ctx, session)[0]
    server.address = addresses[1]
    with_cert = context(folder, version)
    with_cert.load_cert_chain(folder / "client.pem", folder / "client.key")
    if what == "optional":
        assert not visit(server, ctx, session)[0]
    else:
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            visit(server, ctx, session)
    for _ in range(2):
        reused, session = visit(server, with_cert, None)
        assert not reused and not session.has_ticket
        assert not visit(server, with_cert, session)[0]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["certificate", "ciphers"])
def test_a_ticket_belongs_to_what_made_it(bicorn, folder, tmp_path, version,
                                          kind):
    """With other certificates or other ciphers there is a whole handshake,
    and no client fails for it."""
    if kind == "certificate":
        pki.make_pair(tmp_path, "other")
        other = 'certfile = "%s/other.pem"; keyfile = "%s/other.key";' % (
            tmp_path, tmp_path)
    else:
        other = 'ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";'
    server, addresses = two(bicorn, folder, tmp_path, "", other)
    ctx = context(folder, version)
    if kind == "certificate":
        ctx.load_verify_locations(tmp_path / "other.pem")
    session = visit(server, ctx)[1]
    assert visit(server, ctx, session)[0]
    server.address = addresses[1]
    reused, session = visit(server, ctx, session)
    assert not reused
    assert visit(server, ctx, session)[0]
    server.address = addresses[0]
    assert not visit(server, ctx, session)[0]
