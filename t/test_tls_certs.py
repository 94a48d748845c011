# SPDX-License-Identifier: MIT
"""Certificates by name and kind, ciphers, curves, versions, keys; and what
comes to a port for TLS that is none."""
import datetime
import json
import os
import random
import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

import harness
import tlskit
from harness import request
from tlskit import HAS_1_3, V1_2, VERSIONS

tlskit.require()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A directory to serve: /hello."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "hello").write_text("hello")
    return str(folder) + "/"


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    f = tmp_path_factory.mktemp("pki")
    make = tlskit.self_signed
    return {
        "a": make(f, "a", "a.test", "www.a.test"),
        "a-rsa": make(f, "a-rsa", "a.test", "www.a.test", kind=tlskit.RSA),
        "wild": make(f, "wild", "*.a.test"),
        "deep": make(f, "deep", "b.www.a.test"),
        "cn": make(f, "cn", cn="only-cn.test"),
        "b": make(f, "b", "b.test"),
    }


def pairs(pki, *names):
    args = []
    for name in names:
        args += ["--certfile", pki[name][0], "--keyfile", pki[name][1]]
    return args


def shown(server, name=None, version=None, ciphers=None):
    """The certificate that the server shows for a name, in DER."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    if version:
        ctx.minimum_version = ctx.maximum_version = version
    if ciphers:
        ctx.set_ciphers(ciphers)
    with socket.create_connection(server.address, harness.DEADLINE) as sock:
        with ctx.wrap_socket(sock, server_hostname=name) as tls:
            return tls.getpeercert(True)


def is_of(der, pki, name):
    return der == ssl.PEM_cert_to_DER_cert(pki[name][0].read_text())


# ---- names --------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_names(bicorn, site, pki, version):
    server = bicorn(*pairs(pki, "b", "a", "wild", "deep", "cn"), site)
    for name, want in (
            ("a.test", "a"), ("www.a.test", "a"), ("WWW.A.TEST", "a"),
            ("x.a.test", "wild"), ("X.a.Test", "wild"),
            ("b.www.a.test", "deep"), ("x.www.a.test", "b"),
            ("only-cn.test", "cn"), ("b.test", "b"), (None, "b"),
            ("unknown.test", "b"), ("test", "b"), ("xa.test", "b"),
            ("a.test.evil", "b"), ("127.0.0.1", "b")):
        assert is_of(shown(server, name, version), pki, want), name


def test_s_client_names(bicorn, site, pki):
    server = bicorn(*pairs(pki, "b", "a"), site)
    for name, subject in (("a.test", "CN = a.test"), ("b.test", "CN = b.test"),
                          ("c.test", "CN = b.test")):
        code, text = tlskit.s_client(
            server.address, "-servername", name,
            text=request(target="/hello", close=True))
        assert "subject=" + subject.replace(" ", "") in text.replace(" ", "")
        assert "HTTP/1.1 200 OK" in text


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("order", [("a", "a-rsa"), ("a-rsa", "a")])
def test_two_kinds(bicorn, site, pki, order, version):
    """Who understands ECDSA gets it, who does not gets RSA; by name, and as
    the default."""
    server = bicorn(*pairs(pki, *order), site)
    for name in ("a.test", None, "unknown.test"):
        assert is_of(shown(server, name, version), pki, "a")
    for name in ("a.test", "unknown.test"):
        args = ["-servername", name]
        args += ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"] \
            if version == V1_2 else \
            ["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"]
        code, text = tlskit.s_client(server.address, *args, text=request(
            target="/hello", close=True))
        assert "200 OK" in text and "Server public key is 2048 bit" in text
    code, text = tlskit.s_client(
        server.address, "-tls1_2", "-sigalgs", "RSA+SHA256", text=request(
            target="/hello", close=True))
    assert "Server public key is 2048 bit" in text


def test_directory(bicorn, site, pki, tmp_path):
    """Files with their keys in or beside them, and folders as of certbot."""
    d = tmp_path / "certs"
    d.mkdir()
    cert, key = pki["a"]
    (d / "a.pem").write_bytes(cert.read_bytes() + key.read_bytes())
    cert, key = pki["b"]
    (d / "zb.crt").write_bytes(cert.read_bytes())
    (d / "zb.key").write_bytes(key.read_bytes())
    (d / "cn.test").mkdir()
    cert, key = pki["cn"]
    (d / "cn.test" / "fullchain.pem").write_bytes(cert.read_bytes())
    (d / "cn.test" / "privkey.pem").write_bytes(key.read_bytes())
    (d / "README").write_text("not one")
    (d / ".hidden.pem").write_text("not one")
    (d / "dhparam.pem").write_text("-----BEGIN DH PARAMETERS-----\nAA==\n"
                                   "-----END DH PARAMETERS-----\n")
    (d / "empty").mkdir()
    os.mkfifo(d / "pipe.pem")  # nobody writes to it: not to be waited for
    server = bicorn("--certdir", d, site)
    assert server.url.startswith("https://")
    for name, want in (("a.test", "a"), ("b.test", "b"),
                       ("only-cn.test", "cn"), ("unknown", "a")):
        assert is_of(shown(server, name), pki, want), name
    server.stop()
    cert, key = pki["wild"]
    (d / "default.pem").write_bytes(cert.read_bytes() + key.read_bytes())
    assert is_of(shown(bicorn("--certdir", d, site), "unknown"), pki, "wild")
    assert is_of(shown(bicorn("--certdir", d, *pairs(pki, "deep"), site),
                       "unknown"), pki, "deep")


def test_thousand_new_ones_hold_nobody_up(bicorn, site, pki, tmp_path):
    """While they are read, clients get the certificate in use: until a worker
    has them all, which does not check again what the arbiter has checked."""
    d = tmp_path / "many"
    d.mkdir()

    def put(name, at):
        (d / "new").write_text("".join(p.read_text() for p in pki[name]))
        (d / "new").rename(d / (at + ".pem"))
    for i in range(200 if harness.SANITIZERS else 1000):
        put("wild", "w%d" % i)
    put("a", "default")
    server = bicorn("--certdir", d, site)

    def spent():  # by children that the arbiter has waited for
        text = Path("/proc/%d/stat" % server.pid).read_text()
        return int(text.rsplit(")", 1)[1].split()[13])
    assert is_of(shown(server, "unknown"), pki, "a")
    mark = server.log.count()
    checked = spent()
    put("deep", "default")
    server.wait_log("New certificates are in use", since=mark)
    # Only what is new is checked: the arbiter waits for that.
    assert spent() - checked < checked / 2 + 5
    now = shown(server, "unknown")
    assert is_of(now, pki, "a") or is_of(now, pki, "deep")
    harness.wait_for(lambda: is_of(shown(server, "unknown"), pki, "deep"),
                     "the new certificate")


def test_bad_directories(run, site, pki, tmp_path):
    def says(text):
        p = run("--bind", "127.0.0.1:0", "--certdir", d, "--check-config",
                site)
        assert p.returncode != 0 and text in p.stderr, p.stderr

    d = tmp_path / "none"
    says("certdir = %s: No such file" % d)
    d.mkdir()
    says("certdir = %s: there is no certificate in it" % d)
    (d / "a.pem").write_bytes(pki["a"][0].read_bytes())
    says("%s/a.pem has no private key, and there is no %s/a.key" % (d, d))
    (d / "a.key").write_bytes(pki["b"][1].read_bytes())
    says("keyfile = %s/a.key: is not the key of certfile = %s/a.pem" % (d, d))


@pytest.mark.parametrize("keys", [("a",), ("a", "b", "b")])
def test_numbers_of_keys(run, site, pki, keys):
    args = []
    for name in ("a", "b"):
        args += ["--certfile", pki[name][0]]
    for name in keys:
        args += ["--keyfile", pki[name][1]]
    p = run("--bind", "127.0.0.1:0", *args, "--check-config", site)
    assert p.returncode != 0 and "one for each" in p.stderr, p


def test_several_with_keys_within(bicorn, site, pki, tmp_path):
    args = []
    for name in ("a", "b"):
        both = tmp_path / (name + ",1.pem")  # a comma is part of the name
        both.write_bytes(pki[name][0].read_bytes() +
                         pki[name][1].read_bytes())
        args += ["--certfile", both]
    server = bicorn(*args, site)
    assert is_of(shown(server, "b.test"), pki, "b")
    assert is_of(shown(server, "a.test"), pki, "a")


# ---- keys ---------------------------------------------------------------------


@pytest.mark.parametrize("how", [
    ("ec", "-aes128"), ("rsa", "-aes256", "-traditional"),
    ("pkcs8", "-topk8", "-v2", "aes-256-cbc"),
    ("pkcs8", "-topk8", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1"),
    ("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"),
    ("pkcs8", "-topk8", "-v2", "des3"),
    ("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-outform", "DER")],
    ids=lambda how: "-".join(how).replace("--", "-"))
def test_locked_keys(bicorn, run, site, pki, tmp_path, how):
    name = "a-rsa" if how[0] == "rsa" else "a"
    cert, key = pki[name]
    locked, phrase = tmp_path / "locked", tmp_path / "phrase"
    tlskit.openssl(*how, "-in", key, "-out", locked, "-passout",
                   "pass:geheim \u00fc")
    args = ("--certfile", cert, "--keyfile", locked)
    p = run("--bind", "127.0.0.1:0", *args, "--check-config", site)
    assert p.returncode != 0 and "locked: " in p.stderr, p
    if "DER" not in how:
        assert "is encrypted; name a keyfile_passphrase_file" in p.stderr, p
    args += ("--keyfile-passphrase-file", phrase)
    for wrong in ("other\n", "geheim"):
        phrase.write_text(wrong)
        p = run("--bind", "127.0.0.1:0", *args, "--check-config", site)
        assert p.returncode != 0 and "locked: " in p.stderr, p
        if "DER" not in how:
            assert "passphrase" in p.stderr, p
    phrase.write_text("\n")
    p = run("--bind", "127.0.0.1:0", *args, "--check-config", site)
    assert p.returncode != 0 and "its first line is empty" in p.stderr, p
    phrase.write_text("geheim \u00fc\n\nmore")
    assert is_of(shown(bicorn(*args, site)), pki, name)


def test_phrase_for_a_key_that_needs_none(bicorn, site, pki, tmp_path):
    (tmp_path / "phrase").write_text("geheim")
    server = bicorn(*pairs(pki, "a"), "--keyfile-passphrase-file",
                    tmp_path / "phrase", site)
    assert is_of(shown(server), pki, "a")


# ---- plain HTTP ---------------------------------------------------------------


@pytest.mark.parametrize("pieces", [1, 2, 10])
def test_plain_http(bicorn, site, pki, pieces):
    """A page that says so, whole, and a clean end."""
    server = bicorn(*pairs(pki, "a"), "--access-logfile", "-", site)
    data = request("POST", "/hello", body=b"x" * 100000)
    for _ in range(3):
        with socket.create_connection(server.address,
                                      harness.DEADLINE) as sock:
            step = len(data) // pieces + 1
            for at in range(0, len(data), step):
                sock.sendall(data[at:at + step])
            text = b"".join(iter(lambda: sock.recv(65536), b""))
        head, body = text.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n"), text
        assert b"https" in body and b"</html>" in body
        assert b"Connection: close" in head
    assert is_of(shown(server), pki, "a")


def test_plain_curl(bicorn, site, pki):
    server = bicorn(*pairs(pki, "a"), site)
    p = subprocess.run(["curl", "-sS", "-w", "%{http_code}",
                        "http://localhost:%d/hello" % server.port],
                       capture_output=True, timeout=20)
    assert p.returncode == 0 and p.stdout.endswith(b"400"), p
    assert b"https://" in p.stdout


def test_other_protocols_are_not_answered(bicorn, site, pki):
    server = bicorn(*pairs(pki, "a"), site)
    for data in (b"\x00\x01\x02", b"\x80\x2e\x01\x00\x02", b"get / http\r\n",
                 b"\x05\x01\x00"):
        with socket.create_connection(server.address,
                                      harness.DEADLINE) as sock:
            sock.sendall(data * 100)
            sock.shutdown(socket.SHUT_WR)
            try:
                text = b"".join(iter(lambda: sock.recv(65536), b""))
            except ConnectionResetError:
                text = b""
            assert b"HTTP" not in text
    assert is_of(shown(server), pki, "a")


# ---- many handshakes ----------------------------------------------------------


def test_stalled_handshakes_make_room(bicorn, site, pki):
    """The oldest go when there are too many; whoever is quick gets in."""
    server = bicorn(*pairs(pki, "a"), "--max-handshakes", "8",
                    "--handshake-timeout", "60", "--threads", "1", site)
    stalled = []
    for i in range(30):
        sock = socket.create_connection(server.address, harness.DEADLINE)
        sock.sendall(b"\x16\x03\x01"[:i % 4])
        stalled.append(sock)
        if i % 10 == 9:
            assert is_of(shown(server), pki, "a")
    ended = 0
    for sock in stalled[:20]:
        try:
            ended += sock.recv(1) == b""
        except ConnectionResetError:
            ended += 1
    assert ended == 20
    for sock in stalled:
        sock.close()
    assert is_of(shown(server), pki, "a")


def test_finished_handshakes_do_not_count(bicorn, site, pki):
    server = bicorn(*pairs(pki, "a"), "--max-handshakes", "2", site)
    ctx = ssl.create_default_context(cafile=str(pki["a"][0]))
    ctx.check_hostname = False
    held = [server.connect(tls=ctx) for _ in range(20)]
    for c in held:
        assert c.get("/hello").body == b"hello"
    with socket.create_connection(server.address) as stalled:
        for _ in range(10):
            with server.connect(tls=ctx) as c:
                assert c.get("/hello").body == b"hello"
        stalled.setblocking(False)
        with pytest.raises(BlockingIOError):  # it need not make room
            stalled.recv(1)
    for c in held:
        c.close()


# ---- what is spoken -----------------------------------------------------------


def offered(server, *args):
    """The suite that openssl gets; None: none."""
    code, text = tlskit.s_client(server.address, *args,
                                 text=request(target="/hello", close=True))
    m = re.search(r"Cipher is (\S+)", text)
    return m.group(1) if m and "200 OK" in text else None


@pytest.mark.parametrize("text, order", [
    ("ECDHE+AESGCM:!aNULL", ["ECDHE-ECDSA-AES128-GCM-SHA256",
                             "ECDHE-ECDSA-AES256-GCM-SHA384"]),
    ("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384",
     ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-GCM-SHA384"]),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
     ["ECDHE-ECDSA-AES256-GCM-SHA384"]),
    ("ECDH+AESGCM:ECDHE+AES256:!SHA1:!SHA384:!AESCCM:@SECLEVEL=2", None),
    ("EECDH+AESGCM:EDH+AESGCM:AES256+EECDH:AES256+EDH",
     ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"]),
    ("HIGH:!aNULL:!MD5:!RC4:!3DES:!PSK:!CAMELLIA",
     ["ECDHE-ECDSA-AES128-GCM-SHA256"]),
    ("ECDHE+AESGCM:+AES128", ["ECDHE-ECDSA-AES256-GCM-SHA384",
                              "ECDHE-ECDSA-AES128-GCM-SHA256"]),
    ("ECDHE+AESGCM:@STRENGTH", ["ECDHE-ECDSA-AES256-GCM-SHA384",
                                "ECDHE-ECDSA-AES128-GCM-SHA256"]),
    ("ECDHE-ECDSA-AES128-SHA256 ECDHE-ECDSA-AES128-SHA",
     ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-SHA"]),
    ("DEFAULT", ["ECDHE-ECDSA-AES128-GCM-SHA256"]),
    ("ALL:!AES128:!CBC", ["ECDHE-ECDSA-AES256-GCM-SHA384"])])
def test_ciphers(bicorn, run, site, pki, text, order):
    """The first one that the client has as well is taken, in this order."""
    if order is None:
        p = run("--bind", "127.0.0.1:0", *pairs(pki, "a"), "--ciphers", text,
                "--check-config", site)
        assert "ECDH is not safe" in p.stderr, p
        return
    server = bicorn(*pairs(pki, "a"), "--ciphers", text, site)
    left = ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256",
            "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
            "ECDHE-ECDSA-AES128-GCM-SHA256"]
    for want in order:
        assert offered(server, "-tls1_2", "-cipher",
                       ":".join(left) + ":@SECLEVEL=0") == want
        left.remove(want)


@pytest.mark.parametrize("text, said", [
    ("ECDHE-RSA-AES128-GCM-SHA265", "there is no cipher suite ECDHE-RSA-"
     "AES128-GCM-SHA265; did you mean ECDHE-RSA-AES128-GCM-SHA256?"),
    ("ECDHE+AESGMC", "no cipher suite AESGMC; did you mean AESGCM?"),
    ("foo", "no cipher suite foo"),
    ("RC4", "RC4 is not safe, and not offered"),
    ("ECDHE+AESGCM:DES-CBC3-SHA", "DES-CBC3-SHA is not safe"),
    ("ECDHE-RSA-RC4-SHA", "is not safe"),
    ("aNULL", "is not safe"),
    ("!ALL", "leaves no cipher suite"),
    ("ECDHE+AESGCM:!AES", "leaves no cipher suite"),
    ("CAMELLIA", "leaves no cipher suite"),
    ("ECDHE:@FOO", "there is no command @FOO"),
    (":", "leaves no cipher suite")])
def test_refused_ciphers(run, site, pki, text, said):
    p = run("--bind", "127.0.0.1:0", *pairs(pki, "a"), "--ciphers", text,
            "--check-config", site)
    assert p.returncode != 0 and "ciphers = " + text in p.stderr and \
        said in p.stderr, p


@pytest.mark.parametrize("text, client, works", [
    ("X25519", "X25519", True), ("X25519", "P-256", False),
    ("P-384:X25519", "X25519:P-384", True), ("prime256v1", "P-256", True),
    ("secp521r1", "P-521", True), ("X25519,P-256 P-384", "P-384", True)])
def test_curves(bicorn, site, pki, text, client, works):
    server = bicorn(*pairs(pki, "a-rsa"), "--curves", text, site)
    assert bool(offered(server, "-groups", client)) == works


def test_first_curve_is_taken(bicorn, site, pki):
    server = bicorn(*pairs(pki, "a-rsa"), "--curves", "P-384:X25519", site)
    code, text = tlskit.s_client(server.address, "-tls1_2", "-groups",
                                 "X25519:P-256:P-384",
                                 text=request(close=True))
    assert "ECDH, secp384r1, 384 bits" in text or "P-384" in text


@pytest.mark.parametrize("text, said", [
    ("X25518", "there is no X25518; did you mean X25519?"),
    ("P-192", "there is no P-192"), (":", "names none")])
def test_refused_curves(run, site, pki, text, said):
    p = run("--bind", "127.0.0.1:0", *pairs(pki, "a"), "--curves", text,
            "--check-config", site)
    assert p.returncode != 0 and "curves = " + text in p.stderr and \
        said in p.stderr, p


def test_least_version(bicorn, run, site, pki):
    for text in ("1.1", "TLSv1", "2"):
        p = run("--bind", "127.0.0.1:0", *pairs(pki, "a"),
                "--tls-min-version", text, "--check-config", site)
        assert p.returncode != 0 and "must be 1.2 or 1.3" in p.stderr, p
    args = (*pairs(pki, "a"), "--tls-min-version", "TLSv1.3")
    if not HAS_1_3:
        p = run("--bind", "127.0.0.1:0", *args, "--check-config", site)
        assert p.returncode != 0 and "speaks TLS 1.2 at most" in p.stderr, p
        return
    server = bicorn(*args, site)
    assert offered(server, "-tls1_3") and not offered(server, "-tls1_2")


def test_alpn(bicorn, run, site, pki):
    p = run("--bind", "127.0.0.1:0", *pairs(pki, "a"), "--alpn", "h2",
            "--check-config", site)
    assert p.returncode != 0 and "does not speak HTTP/2" in p.stderr, p
    for args, client, want in (((), "h2,http/1.1", "http/1.1"),
                               (("--alpn", "http/1.0,http/1.1"),
                                "http/1.1,http/1.0", "http/1.0"),
                               (("--alpn", ""), "h2", None)):
        server = bicorn(*pairs(pki, "a"), *args, site)
        code, text = tlskit.s_client(server.address, "-alpn", client,
                                     text=request(close=True))
        m = re.search("ALPN protocol: (.*)", text)
        assert (m.group(1) if m else None) == want, text
        server.stop()


def test_no_renegotiation(bicorn, site, pki):
    server = bicorn(*pairs(pki, "a"), site)
    p = subprocess.Popen(
        ["openssl", "s_client", "-connect", "%s:%d" % server.address,
         "-tls1_2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    out, _ = p.communicate(b"R\nGET /hello HTTP/1.0\r\n\r\n", timeout=20)
    assert b"Secure Renegotiation IS supported" in out
    assert b"RENEGOTIATING" in out
    assert out.count(b"BEGIN CERTIFICATE") == 1
    assert is_of(shown(server), pki, "a")


# ---- gunicorn's settings that mean nothing here -------------------------------


@pytest.mark.parametrize("args", [
    ("--ssl-version", "TLSv1_2"), ("--do-handshake-on-connect",),
    ("--suppress-ragged-eofs",)])
def test_settings_of_others(bicorn, site, pki, args):
    assert is_of(shown(bicorn(*pairs(pki, "a"), *args, site)), pki, "a")


# ---- what the operator ought to know ------------------------------------------


@pytest.mark.parametrize("check", [False, True])
def test_out_of_date_and_open_to_all(bicorn, run, site, pki, tmp_path, check):
    """Said at the start and in --check-config; but it serves all the same."""
    ca = tlskit.authority(tmp_path)
    now, day = tlskit.now(), datetime.timedelta(days=1)
    args = []
    for name, start, end in (("old", -9, -2), ("early", 2, 9)):
        cert, key = tlskit.issue(tmp_path, ca, name, start=now + start * day,
                                 end=now + end * day)
        args += ["--certfile", cert, "--keyfile", key]
    os.chmod(tmp_path / "old.key", 0o644)
    os.chmod(tmp_path / "early.key", 0o640)
    if check:
        p = run("--bind", "127.0.0.1:0", *args, "--check-config", site)
        assert p.returncode == 0
        said = p.stderr
    else:
        server = bicorn(*args, site)
        shown(server, "old")
        said = server.log.text()
    assert re.search(r"old\.pem: EXPIRED on \d+-\d+-\d+", said), said
    assert re.search(r"early\.pem: is NOT YET VALID", said), said
    assert re.search(r"old\.key: others may read this file \(mode 0644\)",
                     said), said
    assert "early.key: others" not in said


CLOCK = r"""
/* The clock on the wall goes ahead by what is in the file $CLOCK. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long
ahead(void)
{
	static char path[4096];
	long seconds = 0;
	FILE *f;

	if (path[0] == 0)
		snprintf(path, sizeof(path), "%s", getenv("CLOCK"));
	f = fopen(path, "r");
	if (f != NULL) {
		if (fscanf(f, "%ld", &seconds) != 1)
			seconds = 0;
		fclose(f);
	}
	return seconds;
}

int
clock_gettime(clockid_t clock, struct timespec *t)
{
	int (*next)(clockid_t, struct timespec *) =
	    (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT,
		"clock_gettime");
	int rc = next(clock, t);

	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
		t->tv_sec += ahead();
	return rc;
}

time_t
time(time_t *out)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (out != NULL)
		*out = t.tv_sec;
	return t.tv_sec;
}
"""


@pytest.fixture
def clock(tmp_path):
    """Environment, and a function that turns the clock."""
    source, module = tmp_path / "clock.c", tmp_path / "clock.so"
    source.write_text(CLOCK)
    subprocess.run([*harness.CC.split(), "-shared", "-fPIC", str(source),
                    "-o", str(module), "-ldl"], check=True)
    hand = tmp_path / "hand"
    hand.write_text("0")
    env = {"LD_PRELOAD": module, "CLOCK": hand}
    if harness.SANITIZERS:
        env["ASAN_OPTIONS"] = harness.environment()["ASAN_OPTIONS"] + \
            ":verify_asan_link_order=0"

    def turn(seconds):
        new = tmp_path / "hand.new"
        new.write_text(str(seconds))
        new.rename(hand)

    return env, turn


def test_near_the_end(run, site, tmp_path):
    """Weeks before, or for what does not last that long a quarter of it."""
    ca = tlskit.authority(tmp_path)
    now = tlskit.now()

    def said(name, before, after):
        cert, key = tlskit.issue(
            tmp_path, ca, name, start=now - datetime.timedelta(hours=before),
            end=now + datetime.timedelta(hours=after, minutes=1))
        p = run("--certfile", cert, "--keyfile", key, "--check-config", site)
        assert p.returncode == 0
        return p.stderr

    assert re.search(r"year\.pem: expires on [\d-]+ [\d:]+ UTC, in 13 days",
                     said("year", 24 * 350, 24 * 13))
    assert "expires" not in said("fine", 24 * 350, 24 * 15)
    assert "expires" not in said("week", 24 * 4, 24 * 3)
    assert "in 30 hours" in said("end", 24 * 6, 30)
    assert "expires" not in said("day", 12, 12)
    assert "in 3 hours" in said("night", 21, 3)


@pytest.mark.parametrize("kind, right, said", [
    (("ed25519",), False, "must be RSA, or ECDSA with a common curve"),
    (("rsa-pss",), False, "must be RSA, or ECDSA with a common curve"),
    (("ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"), False,
     "k.pem: its key is on a curve that clients do not take; must be P-256"),
    (("ec", "-pkeyopt", "ec_paramgen_curve:secp224r1"), False,
     "k.pem: its key is on a curve that clients do not take; must be P-256"),
    (("ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"), True, ""),
    (("ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"), True, ""),
    (("rsa:1024",), True, "k.pem: its RSA key has only 1024 bits; clients"),
])
def test_kinds_of_keys(run, site, tmp_path, kind, right, said):
    cert, key = tlskit.self_signed(tmp_path, "k", "localhost", kind=kind)
    p = run("--certfile", cert, "--keyfile", key, "--check-config", site)
    assert (p.returncode == 0) == right
    assert said in p.stderr


@pytest.mark.skipif("thread" in harness.SANITIZERS,
                    reason="nothing can be preloaded in front of TSan")
def test_told_again_every_day(bicorn, site, tmp_path, clock):
    """Not only at the start; and in the metrics."""
    env, turn = clock
    folder = tmp_path / "certs"
    folder.mkdir()
    ca = tlskit.authority(tmp_path)
    end = tlskit.now() + datetime.timedelta(days=20)
    cert, key = tlskit.issue(folder, ca, "site", end=end, start=end -
                             datetime.timedelta(days=90))
    has_admin = "#define HAVE_ADMIN 1" in harness._CONFIG
    server = bicorn("--certfile", cert, "--keyfile", key, *(
        ["--admin-bind", "unix:%s" % (tmp_path / "admin")]
        if has_admin else []), site, env=env)
    assert "expires on" not in server.log.text()
    if has_admin:
        with harness.Conn(str(tmp_path / "admin")) as c:
            m = re.search(rb"^bicorn_certificate_expiry_timestamp_seconds "
                          rb"(\d+)$", c.get("/metrics").body, re.M)
        assert int(m.group(1)) == int(end.timestamp())
    for day, text in ((8, "in 11 days"), (9, "in 10 days"),
                      (21, "EXPIRED on")):
        mark = server.mark()
        turn(day * 86400 + 60)
        (folder / "anything").write_text(str(day))  # so that it looks
        server.wait_log(r"site\.pem: .*%s" % text, since=mark)
    # On the same day, once.
    mark = server.mark()
    turn(21 * 86400 + 3600)
    cert2, key2 = tlskit.issue(tmp_path, ca, "new", end=end +
                               datetime.timedelta(days=80))
    os.replace(key2, key)
    os.replace(cert2, cert)
    server.wait_log("New certificates are in use", since=mark)
    text = server.log.text()
    assert text.count("EXPIRED") == 1
    shown(server, "site")


def test_first_bytes(bicorn, site, pki):
    """What may come first, with faults at random: always an end, never
    harm."""
    server = bicorn(*pairs(pki, "a", "a-rsa"), "--threads", "1", site)
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    dice = random.Random(seed)
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.set_alpn_protocols(["h2", "http/1.1"])
    tls = ctx.wrap_bio(inward, outward, server_hostname="a.test")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outward.read()
    for _ in range(300):
        data = bytearray(hello)
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(data))
            how = dice.randrange(4)
            if how == 0:
                data[at] = dice.randrange(256)
            elif how == 1:
                del data[at:at + dice.randint(1, 40)]
            elif how == 2:
                data[at:at] = dice.randbytes(dice.randint(1, 40))
            else:
                data = data[:at] + data[dice.randrange(len(data)):]
            data = data or bytearray(b"\x16")
        with socket.create_connection(server.address, 20) as sock:
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
            except (ConnectionResetError, BrokenPipeError):
                pass
    assert is_of(shown(server, "a.test"), pki, "a")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("testssl"), reason="needs testssl.sh")
def test_testssl(bicorn, site, tmp_path):
    """testssl.sh finds nothing above "low"."""
    ca = tlskit.authority(tmp_path)
    args = []
    now, day = tlskit.now(), datetime.timedelta(days=1)
    for name, kind in (("ec", tlskit.EC), ("rsa", tlskit.RSA)):
        cert, key = tlskit.issue(
            tmp_path, ca, name, kind=kind, end=now + 90 * day, ext=(
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "extendedKeyUsage=serverAuth",
                "crlDistributionPoints=URI:http://127.0.0.1:9/crl"))
        args += ["--certfile", cert, "--keyfile", key]
    server = bicorn(*args, site)
    out = tmp_path / "out.json"
    subprocess.run(["testssl", "--color", "0", "--warnings", "batch",
                    "--ip=one", "--add-ca=%s" % ca[0], "--jsonfile=%s" % out,
                    "https://localhost:%d" % server.port],
                   stdin=subprocess.DEVNULL, capture_output=True, timeout=900)
    found = [f for f in json.loads(out.read_text())
             if f["severity"] not in ("OK", "INFO", "LOW")]
    for f in found:
        print(f["severity"], f["id"], f["finding"])
    assert not found
