# SPDX-License-Identifier: MIT
"""TLS as clients see it: curl, openssl, Python; slow, rude and broken ones."""
import os
import select
import socket
import ssl
import subprocess
import threading
import time

import pytest

import harness
import tlskit
from harness import request, wait_for
from test_deadline import STUCK
from tlskit import HAS_1_3, V1_2, V1_3, VERSIONS

tlskit.require()

SLOW = 4 if harness.SANITIZERS else 1


def openssl(*args, **kw):
    return subprocess.run(["openssl", *map(str, args)], check=True,
                          capture_output=True, **kw)


def make_pair(folder, name, *algorithm):
    cert, key = folder / (name + ".pem"), folder / (name + ".key")
    openssl("req", "-x509", "-newkey", *algorithm, "-nodes", "-days", "30",
            "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", key, "-out", cert)
    return cert, key


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """Certificates and keys of two kinds."""
    folder = tmp_path_factory.mktemp("pki")
    return {
        "rsa": make_pair(folder, "rsa", "rsa:2048"),
        "ec": make_pair(folder, "ec", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256"),
    }


@pytest.fixture
def server(bicorn, work, pki):
    def start(*args, kind="ec", app=None, **kw):
        cert, key = pki[kind]
        return bicorn("--certfile", cert, "--keyfile", key, *args,
                      app or work, **kw)

    return start


def context(pki, kind="ec", least=None, most=None):
    """A client that believes the server of that kind."""
    c = ssl.create_default_context(cafile=str(pki[kind][0]))
    if least:
        c.minimum_version = least
    if most:
        c.maximum_version = most
    return c




def test_stuck(bicorn, compile_app, pki):
    """Answered in place of a thread that does not come back."""
    cert, key = pki["ec"]
    server = bicorn("--certfile", cert, "--keyfile", key, "--threads", "2",
                    "--request-timeout", "0.3", "--interrupt-timeout", "0.3",
                    compile_app(STUCK))
    with server.connect(tls=context(pki)) as c:
        assert c.get("/").status == 200
        c.send(harness.request(target="/stuck"))
        assert c.response().status == 504
        assert c.rest() == b""
    with server.connect(tls=context(pki)) as c:
        assert c.get("/").status == 200


def test_half_closed_waits_in_the_queue(bicorn, compile_app, pki):
    """The beginning of its answer is a record of its own."""
    cert, key = pki["ec"]
    server = bicorn("--certfile", cert, "--keyfile", key, "--threads", "1",
                    compile_app("""
        #include <bicorn/app.h>
        #include <unistd.h>

        static void
        handle(struct bicorn_exchange *x)
        {
            if (bicorn_str_eq(x->request->path, "/slow"))
                sleep(1);
            bicorn_reply(x, 200, "text/plain", "ok", 2);
        }

        BICORN_APP(.handle = handle)
    """))
    with server.connect(tls=context(pki)) as busy:
        clients = [Raw(server, context(pki)) for _ in range(3)]
        for c in clients:
            c.handshake()
        busy.send(request(target="/slow"))
        for c in clients:
            c.tls.write(request(target="/"))
            c.flush()
            c.sock.shutdown(socket.SHUT_WR)
        for c in clients:
            while c.receive():
                pass
            got = c.tls.read(65536) + c.tls.read(65536)
            assert got.startswith(b"HTTP/1.1 200 OK\r\n")
            assert got.endswith(b"\r\n\r\nok")
            c.sock.close()
        assert busy.response().status == 200


def alive(server, pki, kind="ec", seconds=5):
    with server.connect(timeout=seconds * SLOW, tls=context(pki, kind)) as c:
        assert c.get().body == b"hello"


def pattern(count):
    text = bytes(range(ord("a"), ord("a") + 23))
    return (text * (count // 23 + 1))[:count]


class Raw:
    """A TLS client of which the test moves every byte itself."""

    def __init__(self, server, ctx):
        self.sock = socket.create_connection(server.address,
                                             harness.DEADLINE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = ctx.wrap_bio(self.inward, self.outward,
                                server_hostname="localhost")
        self.wire = b""  # all that came since the handshake

    def pending(self):
        """The bytes that the client would send now."""
        return self.outward.read()

    def flush(self):
        self.sock.sendall(self.pending())

    def receive(self):
        data = self.sock.recv(65536)
        self.wire += data
        if data:
            self.inward.write(data)
        else:
            self.inward.write_eof()
        return data

    def handshake(self):
        while True:
            try:
                self.tls.do_handshake()
                self.flush()
                self.wire = b""
                return self
            except ssl.SSLWantReadError:
                self.flush()
                if not self.receive():
                    raise ssl.SSLEOFError("in the handshake")

    def read(self, count):
        """Plain bytes, exactly so many; fewer at the end."""
        data = b""
        while len(data) < count:
            try:
                part = self.tls.read(count - len(data))
            except ssl.SSLWantReadError:
                self.flush()
                self.receive()
                continue
            if not part:
                break
            data += part
        return data

    def records(self):
        """(type, length) of each record that came."""
        found, at = [], 0
        while at + 5 <= len(self.wire):
            size = int.from_bytes(self.wire[at + 3:at + 5], "big")
            found.append((self.wire[at], size))
            at += 5 + size
        return found

    def close(self):
        self.sock.close()


# ---- versions, ciphers, certificates -----------------------------------------


@pytest.mark.parametrize("kind", ["rsa", "ec"])
@pytest.mark.parametrize("version", VERSIONS)
def test_hello(server, pki, kind, version):
    server = server(kind=kind)
    assert server.url.startswith("https://")
    with server.connect(tls=context(pki, kind, version, version)) as c:
        assert c.sock.version() == {V1_2: "TLSv1.2", V1_3: "TLSv1.3"}[version]
        for _ in range(3):
            r = c.get()
            assert r.body == b"hello"
            assert r.header("Connection") == "keep-alive"


def test_newest_version_is_chosen(server, pki):
    server = server()
    with server.connect(tls=context(pki)) as c:
        assert c.sock.version() == ("TLSv1.3" if HAS_1_3 else "TLSv1.2")


@pytest.mark.parametrize("option", ["-ssl3", "-tls1", "-tls1_1"])
def test_old_versions_are_refused(server, pki, option):
    server = server()
    p = subprocess.run(
        ["openssl", "s_client", "-connect", "%s:%d" % server.address, option,
         "-cipher", "ALL:@SECLEVEL=0"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert p.returncode != 0
    assert b"BEGIN CERTIFICATE" not in p.stdout
    alive(server, pki)


@pytest.mark.parametrize("cipher", [
    "AES128-SHA", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-"
    "GCM-SHA256", "NULL", "DES-CBC3-SHA", "PSK"])
def test_weak_ciphers_are_refused(server, pki, cipher):
    """No key exchange without forward secrecy, no CBC."""
    server = server(kind="rsa")
    p = subprocess.run(
        ["openssl", "s_client", "-connect", "%s:%d" % server.address,
         "-tls1_2", "-cipher", cipher + ":@SECLEVEL=0"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert b"BEGIN CERTIFICATE" not in p.stdout


@pytest.mark.parametrize("kind, cipher", [
    ("ec", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ("ec", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    ("ec", "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ("rsa", "ECDHE-RSA-AES128-GCM-SHA256"),
    ("rsa", "ECDHE-RSA-AES256-GCM-SHA384"),
    ("rsa", "ECDHE-RSA-CHACHA20-POLY1305")])
def test_ciphers(server, pki, kind, cipher):
    server = server(kind=kind)
    ctx = context(pki, kind, V1_2, V1_2)
    ctx.set_ciphers(cipher)
    with server.connect(tls=ctx) as c:
        assert c.sock.cipher()[0] == cipher
        assert c.get("/big?100000").body == pattern(100000)


def test_alpn(server, pki):
    server = server()
    ctx = context(pki)
    ctx.set_alpn_protocols(["h2", "http/1.1"])
    with server.connect(tls=ctx) as c:
        assert c.sock.selected_alpn_protocol() == "http/1.1"
        assert c.get().body == b"hello"
    ctx.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError):
        server.connect(tls=ctx)
    alive(server, pki)


def test_key_in_the_file_of_the_certificate(bicorn, work, pki, tmp_path):
    both = tmp_path / "both.pem"
    both.write_bytes(pki["ec"][0].read_bytes() + pki["ec"][1].read_bytes())
    server = bicorn("--certfile", both, work)
    alive(server, pki)


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_der(bicorn, work, pki, tmp_path, kind):
    """Files that are not text."""
    cert, key = tmp_path / "cert.der", tmp_path / "key.der"
    openssl("x509", "-in", pki[kind][0], "-outform", "DER", "-out", cert)
    openssl("pkey", "-in", pki[kind][1], "-outform", "DER", "-out", key)
    server = bicorn("--certfile", cert, "--keyfile", key, work)
    alive(server, pki, kind)


def test_chain(bicorn, work, tmp_path):
    """A leaf and an intermediate certificate are both sent."""
    issues = "keyUsage=critical,keyCertSign,cRLSign"
    ca, ca_key = make_pair(tmp_path, "ca", "ec", "-pkeyopt",
                           "ec_paramgen_curve:P-256", "-addext", issues)
    mid, leaf = tmp_path / "mid", tmp_path / "leaf"
    for path, issuer, issuer_key, text in (
            (mid, ca, ca_key, "basicConstraints=critical,CA:true\n" + issues +
             "\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid"),
            (leaf, "%s.pem" % mid, "%s.key" % mid,
             "subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid")):
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-subj",
                "/CN=%s" % path.name, "-keyout", "%s.key" % path, "-out",
                "%s.csr" % path)
        path.with_suffix(".ext").write_text(text)
        openssl("x509", "-req", "-in", "%s.csr" % path, "-CA", issuer,
                "-CAkey", issuer_key, "-CAcreateserial", "-days", "30",
                "-extfile", path.with_suffix(".ext"), "-out", "%s.pem" % path)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(leaf.with_suffix(".pem").read_bytes() +
                      mid.with_suffix(".pem").read_bytes())
    server = bicorn("--certfile", chain, "--keyfile", "%s.key" % leaf, work)
    with server.connect(tls=ssl.create_default_context(cafile=str(ca))) as c:
        assert c.get().body == b"hello"


# ---- a start that fails ------------------------------------------------------


def bad_pairs(pki, folder):
    cert, key = pki["ec"]
    none, garbage, empty = (folder / n for n in ("none", "garbage", "empty"))
    garbage.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END "
                       "CERTIFICATE-----\n")
    empty.write_text("")
    half = folder / "half"
    half.write_bytes(cert.read_bytes()[:200])
    two = folder / "two"
    two.write_bytes(cert.read_bytes() + garbage.read_bytes())
    locked = folder / "locked"
    openssl("ec", "-in", key, "-aes128", "-passout", "pass:secret",
            "-out", locked)
    return {
        "no certificate": (none, key, none),
        "garbage": (garbage, key, garbage),
        "an empty certificate": (empty, key, empty),
        "half a certificate": (half, key, half),
        "one of two is garbage": (two, key, two),
        "a directory": (folder, key, folder),
        "no key": (cert, none, none),
        "a certificate as the key": (cert, cert, cert),
        "no key in the certificate's file": (cert, None, cert),
        "an empty key": (cert, empty, empty),
        "a locked key": (cert, locked, locked),
        "another's key": (cert, pki["rsa"][1], pki["rsa"][1]),
    }


@pytest.mark.parametrize("name", [
    "no certificate", "garbage", "an empty certificate", "half a certificate",
    "one of two is garbage", "a directory", "no key",
    "a certificate as the key", "no key in the certificate's file",
    "an empty key", "a locked key", "another's key"])
def test_what_cannot_work_is_said(run, work, pki, tmp_path, name):
    """One clear line with the name of the file, and no server."""
    cert, key, named = bad_pairs(pki, tmp_path)[name]
    args = ["--certfile", cert] + (["--keyfile", key] if key else [])
    for check in ([], ["--check-config"]):
        p = run("--bind", "127.0.0.1:0", *args, *check, work)
        text = p.stderr + p.stdout
        print(text)
        assert p.returncode in (1, 3), p
        said = [line for line in text.splitlines() if str(named) in line
                or named.name in line]
        assert said, text
        assert "Traceback" not in text
    alive_says = run("--bind", "127.0.0.1:0", "--certfile", pki["ec"][0],
                     "--keyfile", pki["ec"][1], "--check-config", work)
    assert alive_says.returncode == 0, alive_says


def test_key_without_certificate(run, work, pki):
    p = run("--bind", "127.0.0.1:0", "--keyfile", pki["ec"][1], work)
    assert p.returncode == 1
    assert "keyfile" in p.stderr + p.stdout


# ---- HTTP over it ------------------------------------------------------------


def test_curl(server, pki):
    server = server(kind="rsa")
    p = subprocess.run(
        ["curl", "-sS", "--cacert", str(pki["rsa"][0]), "--http1.1", "-w",
         " %{http_code} %{num_connects}\n",
         "https://localhost:%d/" % server.port,
         "https://localhost:%d/big?10" % server.port, "--next", "-sS",
         "--cacert", str(pki["rsa"][0]), "--data-binary", "@-",
         "https://localhost:%d/sum" % server.port],
        input=b"x" * 300000, capture_output=True, timeout=30)
    assert p.returncode == 0, p.stderr
    assert p.stdout == b"hello 200 1\nabcdefghij 200 0\n300000 36000000 0"


def test_requests(server, pki):
    requests = pytest.importorskip("requests")
    server = server()
    with requests.Session() as s:
        s.trust_env = False
        s.verify = str(pki["ec"][0])
        for i in range(20):
            r = s.post("https://localhost:%d/sum" % server.port,
                       data=b"a" * i * 1000)
            assert r.text == "%d %d 0" % (i * 1000, 97 * i * 1000)


@pytest.mark.python
def test_environ(wsgi, pki):
    server = wsgi('''
        def app(environ, start_response):
            start_response("200 OK", [])
            return [environ["wsgi.url_scheme"].encode(), b" ",
                    environ["SERVER_PORT"].encode(), b" ",
                    environ.get("HTTPS", "-").encode()]
    ''', "--certfile", pki["ec"][0], "--keyfile", pki["ec"][1])
    with server.connect(tls=context(pki)) as c:
        body = c.get().body.decode()
        assert body.startswith("https %d" % server.port)


def test_pipelining(server, pki):
    """More requests than the client reads answers.  One thread moves all of
    its bytes: OpenSSL's connections are not for two."""
    server = server("--threads", "2")
    client = Raw(server, context(pki)).handshake()
    expected = [pattern(i * 37) for i in range(300)]
    client.tls.write(b"".join(request(target="/big?%d" % len(body))
                              for body in expected))
    unsent, text = client.pending(), b""
    client.sock.setblocking(False)
    for body in expected:
        while body not in text or text.count(b"\r\n\r\n") < 1 or \
                len(text) < text.index(b"\r\n\r\n") + 4 + len(body):
            readable, writable, _ = select.select(
                [client.sock], [client.sock] if unsent else [], [],
                harness.DEADLINE)
            assert readable or writable
            if writable:
                unsent = unsent[client.sock.send(unsent[:1000]):]
            if readable:
                assert client.receive(), "closed"
                try:
                    while part := client.tls.read(65536):
                        text += part
                except ssl.SSLWantReadError:
                    pass
        at = text.index(b"\r\n\r\n") + 4
        assert text[at:at + len(body)] == body
        text = text[at + len(body):]
    client.close()


def test_every_split(server, pki):
    """The bytes of a request on the wire, cut at every place."""
    server = server("--threads", "1")
    client = Raw(server, context(pki)).handshake()
    expected = None
    for cut in range(1, 400):
        client.tls.write(request("POST", "/sum", body=b"abc"))
        data = client.pending()
        if cut >= len(data):
            break
        client.sock.sendall(data[:cut])
        client.sock.sendall(data[cut:])
        while b"3 294 0" not in (got := client.read(1) + read_all(client)):
            pass
        expected = expected or len(got)
        assert len(got) == expected
    client.close()


def read_all(client):
    """What is there of the response in hand."""
    data = b""
    while not data.endswith(b"3 294 0"):
        data += client.read(1)
    return data


def test_small_records(server, pki):
    """A request in records of one byte each, sent in one go."""
    server = server("--threads", "1")
    client = Raw(server, context(pki)).handshake()
    data = request("POST", "/sum", body=b"x" * 2000)
    for i in range(len(data)):
        client.tls.write(data[i:i + 1])
    client.flush()
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.read(1)
    assert client.read(13) == b"2000 240000 0"
    client.close()


def ask_hello(client):
    """A small request and its answer, to the last byte."""
    client.tls.write(request())
    client.flush()
    text = b""
    while not text.endswith(b"hello"):
        text += client.read(1)


@pytest.mark.parametrize("version", VERSIONS)
def test_one_record_for_a_small_response(server, pki, version):
    server = server()
    client = Raw(server, context(pki, "ec", version, version)).handshake()
    ask_hello(client)
    data = [r for r in client.records() if r[0] == 23]
    # TLS 1.3 may send session tickets, which look alike, in front.
    assert len(data) == 1 if version == V1_2 else len(data) <= 3
    client.close()


def test_large_response_in_full_records(server, pki):
    server = server()
    client = Raw(server, context(pki, "ec", V1_2, V1_2)).handshake()
    client.tls.write(request(target="/big?1000000"))
    client.flush()
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.read(1)
    assert client.read(1000000) == pattern(1000000)
    assert len(client.records()) <= 1000000 // 16384 + 4
    client.close()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [100, 40 * 1024])
def test_what_is_written_in_parts_shares_records(server, pki, version, size):
    """Head and body, which the application writes one after the other, are
    in the least number of records that can hold them."""
    server = server()
    client = Raw(server, context(pki, "ec", version, version)).handshake()
    # A response first: behind it, tickets of TLS 1.3 have all come.
    ask_hello(client)
    client.wire = b""
    client.tls.write(request(target="/parts?%d" % size))
    client.flush()
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.read(1)
    assert client.read(size) == bytes(size)
    assert {kind for kind, _ in client.records()} == {23}
    assert len(client.records()) == -(-(len(head) + size) // 16384)
    client.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_uploads(server, pki, tmp_path, version):
    server = server("--body-buffer", "4096", "--tmp-upload-dir", tmp_path)
    with server.connect(tls=context(pki, "ec", version, version)) as c:
        for size in (0, 1, 4095, 4096, 4097, 16384, 16385, 5000003):
            body = pattern(size)
            c.send(request("POST", "/sum", body=body) + request())
            assert c.response().body == b"%d %d 0" % (size, sum(body))
            assert c.response().body == b"hello"


# ---- slow readers ------------------------------------------------------------


def small_window(server, ctx):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(harness.DEADLINE)
    sock.connect(server.address)
    return ctx.wrap_socket(sock, server_hostname="localhost")


def conn_of(server, ctx):
    c = server.connect()
    c.sock.close()
    c.sock = small_window(server, ctx)
    return c


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("options", [
    (), ("--response-buffer", "4096"),
    ("--response-buffer", "4096", "--response-spool", "0"),
    ("--response-buffer", "20000", "--response-spool", "30000")],
    ids=["memory", "spool", "waits", "both"])
def test_slow_readers(server, pki, tmp_path, options, version):
    """A record that the socket took in part goes on where it was."""
    server = server("--threads", "3", "--tmp-upload-dir", tmp_path, *options)
    ctx = context(pki, "ec", version, version)
    # Where nothing can be kept, each of them holds a thread.
    readers = [conn_of(server, ctx) for _ in range(6 if len(options) < 4
                                                   else 3)]
    for c in readers:
        c.send(request(target="/big?600000"))
    if len(options) < 4:
        alive(server, pki)
    for c in readers:
        assert c.response().body == pattern(600000)
        c.send(request(target="/big?50000") + request())
        assert c.response().body == pattern(50000)
        assert c.response().body == b"hello"
        c.close()
    alive(server, pki)


@pytest.mark.parametrize("options", [(), ("--response-spool", "0")],
                         ids=["spool", "waits"])
def test_slow_readers_of_files(bicorn, pki, tmp_path, options):
    public = tmp_path / "public"
    public.mkdir()
    content = pattern(3000011)
    (public / "large").write_bytes(content)
    (public / "small").write_bytes(b"hello")
    server = bicorn("--certfile", pki["ec"][0], "--keyfile", pki["ec"][1],
                    "--threads", "2", *options, str(public) + "/")
    ctx = context(pki)
    readers = [conn_of(server, ctx) for _ in range(5)]
    for c in readers:
        c.send(request(target="/large"))
    with server.connect(tls=ctx) as c:
        assert c.get("/small").body == b"hello"
    for c in readers:
        assert c.response().body == content
        c.send(request(target="/large", headers=[("Range", "bytes=5-1000000")]))
        assert c.response().body == content[5:1000001]
        c.close()


def test_slow_readers_of_pipelines(server, pki):
    server = server("--threads", "1")
    with conn_of(server, context(pki)) as c:
        sizes = [60000 + i for i in range(30)]
        c.send(b"".join(request(target="/big?%d" % n) for n in sizes))
        alive(server, pki)
        for n in sizes:
            assert c.response().body == pattern(n)


def test_refusal_behind_unread_answers(server, pki):
    """The refusal waits behind a record that went in part."""
    server = server("--threads", "1")
    with conn_of(server, context(pki)) as c:
        c.send(request(target="/big?500000") + request(target="/big?500000") +
               b"BAD\r\n\r\n")
        assert c.response().body == pattern(500000)
        assert c.response().body == pattern(500000)
        assert c.response().status == 400
        assert c.rest() == b""


def test_continue_behind_unread_answers(server, pki):
    server = server("--threads", "1")
    with conn_of(server, context(pki)) as c:
        c.send(request(target="/big?500000") +
               request("POST", "/sum", [("Content-Length", "3"),
                                        ("Expect", "100-continue")]))
        assert c.response().body == pattern(500000)
        assert c.response().status == 100
        c.send(b"abc")
        assert c.response().body == b"3 294 0"


# ---- handshakes --------------------------------------------------------------


def first_flight(pki):
    """A ClientHello."""
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context(pki).wrap_bio(inward, outward, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outward.read()


def test_handshake_byte_by_byte(server, pki):
    server = server("--threads", "1")
    client = Raw(server, context(pki))
    done = False
    while not done:
        try:
            client.tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            pass
        for byte in client.pending():
            client.sock.sendall(bytes([byte]))
        if not done:
            client.receive()
    ask_hello(client)
    client.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_request_with_the_last_flight(server, pki, version):
    """The first request comes in one segment with the end of the handshake:
    no edge is left to tell of it."""
    server = server("--threads", "1")
    for _ in range(5):
        client = Raw(server, context(pki, "ec", version, version))
        if version == V1_3:
            done = False
            while not done:
                try:
                    client.tls.do_handshake()
                    done = True
                except ssl.SSLWantReadError:
                    client.flush()
                    client.receive()
            client.tls.write(request())
            client.flush()
        else:
            # TLS 1.2: the server has the last word, so it cannot be earlier.
            client.handshake()
            client.tls.write(request())
            client.flush()
        text = b""
        while not text.endswith(b"hello"):
            text += client.read(1)
        client.close()


def test_stalled_handshakes(server, pki):
    """They hold no thread, delay nobody, and end at their time."""
    server = server("--threads", "1", "--handshake-timeout", "1")
    hello = first_flight(pki)
    before = time.monotonic()
    stalled = []
    for i in range(60):
        sock = socket.create_connection(server.address, harness.DEADLINE)
        sock.sendall(hello[:len(hello) * (i % 4) // 3])
        stalled.append(sock)
    for _ in range(3):
        alive(server, pki, seconds=2)
    for sock in stalled:
        try:
            while sock.recv(65536):
                pass
        except ConnectionResetError:
            pass
        sock.close()
    assert 0.9 < time.monotonic() - before < 4 * SLOW


def test_handshake_that_is_broken_off(server, pki):
    """The end of a client is noticed at once, wherever it comes."""
    server = server("--threads", "1", "--handshake-timeout", "60")
    worker = server.workers()[0]
    alive(server, pki)
    files = len(os.listdir("/proc/%d/fd" % worker))
    hello = first_flight(pki)
    for at in (0, 1, 4, 5, 6, 100, len(hello) - 1, len(hello)):
        for how in (socket.SHUT_WR, socket.SHUT_RDWR):
            sock = socket.create_connection(server.address, harness.DEADLINE)
            sock.sendall(hello[:at])
            sock.shutdown(how)
            if how == socket.SHUT_WR:
                before = time.monotonic()
                try:
                    while sock.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
                assert time.monotonic() - before < 2 * SLOW, at
            sock.close()
    wait_for(lambda: len(os.listdir("/proc/%d/fd" % worker)) <= files,
             "sockets to be closed", 5 * SLOW)
    alive(server, pki)


def flood(sock, text, most=20000000):
    """How much of text, over and over, the server takes."""
    sent, text = 0, text * (65536 // len(text))
    sock.settimeout(harness.DEADLINE)
    try:
        while sent < most:
            sent += sock.send(text)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent


def test_warnings_without_end(server, pki):
    """Alerts that mean nothing are no way to keep a thread for oneself."""
    server = server("--threads", "1", "--handshake-timeout", "60")
    warning = b"\x15\x03\x03\x00\x02\x01\x5a"
    client = Raw(server, context(pki, "ec", V1_2, V1_2))
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    client.flush()
    assert flood(client.sock, warning) < 20000000
    client.close()
    alive(server, pki)


def test_garbage(server, pki):
    server = server("--threads", "1")
    hello = first_flight(pki)
    for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 100,
                 b"\xff" * 5000, b"\x16\x03\x01\xff\xff" + b"x" * 20000,
                 hello[:50] + b"\xff" * 200, hello + b"\x17\x03\x03\x00\x05abc",
                 hello + hello, b"\x15\x03\x01\x00\x02\x02\x28",
                 b"\x80\x2e\x01\x03\x01", b"SSH-2.0-x\r\n"):
        with socket.create_connection(server.address, 10 * SLOW) as sock:
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
            except socket.timeout:
                raise
            except OSError:
                pass  # it is closed already
    alive(server, pki)


def test_flipped_bits(server, pki):
    """A record that was tampered with ends the connection, unanswered."""
    server = server("--threads", "1", "--access-logfile", "-")
    for at in (5, 15, 30, -1):
        client = Raw(server, context(pki)).handshake()
        client.tls.write(request())
        client.flush()
        text = b""
        while not text.endswith(b"hello"):
            text += client.read(1)
        client.tls.write(request(target="/big?7"))
        data = bytearray(client.pending())
        data[at] ^= 1
        client.tls.write(request(target="/big?8"))  # a whole one behind it
        client.sock.sendall(bytes(data) + client.pending())
        try:
            assert client.read(1) == b""
        except (ssl.SSLError, ConnectionResetError):
            pass  # an alert
        client.close()
    alive(server, pki)
    assert "/big" not in server.out.text()


def after(client):
    """The records that come from now on, up to the end."""
    client.wire = b""
    try:
        while client.sock.recv and (data := client.sock.recv(65536)):
            client.wire += data
    except ConnectionResetError:
        pass
    return client.records()


# ---- the end -----------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("how", ["close", "keepalive", "http10", "refused",
                                 "drain"])
def test_close_notify(server, pki, version, how):
    """The end of a connection is said, not only made."""
    server = server("--keep-alive", "0.3", "--threads", "1")
    ctx = context(pki, "ec", version, version)
    with server.connect() as c:
        c.sock = ctx.wrap_socket(c.sock, server_hostname="localhost",
                                 suppress_ragged_eofs=False)
        if how == "close":
            c.send(request(close=True))
        elif how == "http10":
            c.send(b"GET /stream?3 HTTP/1.0\r\n\r\n")
        elif how == "refused":
            c.send(b"BAD\r\n\r\n")
        else:
            c.send(request())
        r = c.response()
        assert r.status == (400 if how == "refused" else 200)
        if how == "drain":
            server.signal(15)
        assert c.rest() == b""  # ssl.SSLEOFError without a close_notify


def test_truncated_by_the_client(server, pki, tmp_path):
    """Its end without close_notify, in every phase."""
    server = server("--threads", "1", "--tmp-upload-dir", tmp_path)
    worker = server.workers()[0]
    alive(server, pki)
    files = len(os.listdir("/proc/%d/fd" % worker))
    post = request("POST", "/sum", [("Content-Length", "200000")])
    for data in (b"", b"GET / HT", post, post + b"x" * 100000, request(),
                 request(target="/big?3000000")):
        for reset in (True, False):
            client = Raw(server, context(pki)).handshake()
            if data:
                client.tls.write(data)
            wire = client.pending()
            client.sock.sendall(wire[:-3] if len(wire) > 3 else wire)
            if reset:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       b"\1\0\0\0\0\0\0\0")
            client.close()
    wait_for(lambda: len(os.listdir("/proc/%d/fd" % worker)) <= files,
             "sockets to be closed", 8 * SLOW)
    alive(server, pki)


def test_half_close(server, pki):
    """close_notify behind the request: the answer still comes."""
    server = server("--threads", "1")
    client = Raw(server, context(pki, "ec", V1_2, V1_2)).handshake()
    client.tls.write(request(close=True))
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.flush()
    client.sock.shutdown(socket.SHUT_WR)
    assert [r for r in after(client) if r[0] == 23]
    client.close()


# ---- many --------------------------------------------------------------------


def test_many_clients(server, pki):
    """Threads encrypt at the same time for different connections."""
    server = server("--workers", "2", "--threads", "4", kind="rsa")
    failed = []

    def client(i):
        try:
            for _ in range(5):
                with server.connect(tls=context(pki, "rsa")) as c:
                    for j in range(10):
                        n = (i * 7919 + j * 104729) % 60000
                        assert c.get("/big?%d" % n).body == pattern(n)
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=client, args=(i,)) for i in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(harness.DEADLINE * 3)
    assert not failed, failed[0]


@pytest.mark.alone
def test_handshakes_do_not_hold_up_the_others(server, pki):
    """Their arithmetic is not done between two requests of somebody."""
    server = server("--threads", "2", kind="rsa")
    ctx = context(pki, "rsa")
    done = threading.Event()

    def storm():
        while not done.is_set():
            try:
                server.connect(tls=ctx).close()
            except OSError:
                pass

    with server.connect(tls=ctx) as c:
        c.get()
        threads = [threading.Thread(target=storm) for _ in range(4)]
        for t in threads:
            t.start()
        found = []
        for _ in range(100):
            before = time.monotonic()
            assert c.get().body == b"hello"
            found.append(time.monotonic() - before)
        done.set()
        for t in threads:
            t.join()
    found.sort()
    print("median %.2f ms, worst %.2f ms" % (
        found[50] * 1000, found[-1] * 1000))
    assert found[-1] < 1.0 * SLOW


def test_memory_of_idle_connections(server, pki):
    """What a kept connection costs: mostly the library's two buffers, whose
    pages are given back when nothing happened for some seconds."""
    server = server("--threads", "2")
    worker = server.workers()[0]
    for _ in range(3):
        alive(server, pki)

    def private():
        with open("/proc/%d/smaps_rollup" % worker) as f:
            return sum(int(line.split()[1]) for line in f
                       if line.startswith("Private_"))

    before = private()
    ctx = context(pki)
    held = [server.connect(tls=ctx) for _ in range(200)]
    for c in held:
        assert c.get("/big?100000").body == pattern(100000)

    def cost():
        return (private() - before) * 1024 // len(held)

    busy = cost()
    if not harness.SANITIZERS:
        assert busy < 80000
        wait_for(lambda: cost() < 24000, "memory to be given back", 15)
    print("%d bytes per connection, %d when idle" % (busy, cost()))
    for c in held:
        assert c.get("/big?100000").body == pattern(100000)
        c.close()


def test_idle_in_the_middle_of_things(server, pki):
    """What the library holds of half a record is not given back."""
    server = server("--threads", "2")
    clients = []
    for cut in (1, 4, 5, 6, 8000, 16000):
        client = Raw(server, context(pki)).handshake()
        body = bytes(range(256)) * 63
        client.tls.write(request("POST", "/sum", body=body))
        data = client.pending()
        client.sock.sendall(data[:cut])
        clients.append((client, data[cut:], body))
    time.sleep(4)  # longer than it takes to be idle
    for client, rest, body in clients:
        client.sock.sendall(rest)
        want = b"%d %d 0" % (len(body), sum(body))
        text = b""
        while not text.endswith(want):
            part = client.read(1)
            assert part
            text += part
        client.close()


def test_waiting_costs_nothing(server, pki):
    """Half a handshake, half a record, half a request: all asleep."""
    server = server("--threads", "1")
    ctx = context(pki)
    hello = first_flight(pki)
    held = []
    for at in (0, 3, 50, len(hello)):
        sock = socket.create_connection(server.address, 10)
        sock.sendall(hello[:at])
        held.append(sock)
    for data in (b"", b"GET / HT", request("POST", "/sum", [
            ("Content-Length", "100000")]) + b"x" * 300,
            request(target="/big?9000000")):
        for cut in (0, 3):
            client = Raw(server, ctx).handshake()
            if data:
                client.tls.write(data)
            wire = client.pending()
            client.sock.sendall(wire[:len(wire) - cut])
            held.append(client)
    time.sleep(0.3)  # the handshakes are done
    worker = server.workers()[0]

    def used():
        with open("/proc/%d/stat" % worker) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = used()
    time.sleep(1)
    print("%.2f s of processor time" % (used() - before))
    assert used() - before < 0.1 * SLOW
    for x in held:
        x.close()
    alive(server, pki)
