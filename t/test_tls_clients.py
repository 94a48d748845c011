# SPDX-License-Identifier: MIT
"""Clients' certificates, and what applications see of a TLS connection."""
import datetime
import json
import re
import socket
import ssl
import subprocess

import pytest

import harness
import tlskit
from harness import SOURCE, request
from tlskit import V1_2, VERSIONS

tlskit.require()

NAMES = ("SSL_PROTOCOL", "SSL_CIPHER", "SSL_SERVER_NAME", "SSL_CLIENT_VERIFY",
         "SSL_CLIENT_S_DN", "SSL_CLIENT_I_DN", "SSL_CLIENT_SERIAL",
         "SSL_CLIENT_CERT")

APP = '''
    import json
    def app(environ, start_response):
        start_response("200 OK", [])
        return [json.dumps({k: v for k, v in environ.items()
                            if k.startswith("SSL_")}).encode()]
'''

NATIVE = r"""
#include <bicorn/app.h>
static const char *const names[] = { "SSL_PROTOCOL", "SSL_CIPHER",
    "SSL_SERVER_NAME", "SSL_CLIENT_VERIFY", "SSL_CLIENT_S_DN",
    "SSL_CLIENT_I_DN", "SSL_CLIENT_SERIAL", "SSL_CLIENT_CERT",
    "SSL_NO_SUCH_THING", "" };
static void
handle(struct bicorn_exchange *x)
{
	bicorn_respond(x, 200, NULL, 0, BICORN_LENGTH_UNKNOWN);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct bicorn_str s = bicorn_tls(x, names[i]);
		bicorn_write(x, names[i], strlen(names[i]));
		bicorn_write(x, s.ptr ? "=" : "-", 1);
		if (s.ptr)
			bicorn_write(x, s.ptr, s.len);
		bicorn_write(x, "\1", 1);
	}
}
BICORN_APP(.handle = handle)
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    now = tlskit.now()
    day = datetime.timedelta(days=1)
    ca, other = tlskit.authority(folder), tlskit.authority(folder, "other")
    client = ("extendedKeyUsage=clientAuth",)
    made = {
        "ca": ca, "other": other,
        "server": tlskit.self_signed(folder, "server", "localhost",
                                     "IP:127.0.0.1"),
        "joe": tlskit.issue(folder, ca, "joe", serial="00AB01CD", ext=client),
        "rsa": tlskit.issue(folder, ca, "rsa", ext=client, kind=tlskit.RSA),
        "odd": tlskit.issue(
            folder, ca, "odd", serial="7F", ext=client, subject="/C=DE/O=a, "
            "b\\+c\\=d;<e> \"f\"/OU=#1/CN=J\u00fcrgen \u4e2d"),
        "foreign": tlskit.issue(folder, other, "foreign", ext=client),
        "old": tlskit.issue(folder, ca, "old", ext=client,
                            start=now - 9 * day, end=now - day),
        "new": tlskit.issue(folder, ca, "new", ext=client,
                            start=now + day, end=now + 9 * day),
        "wrong": tlskit.issue(folder, ca, "wrong",
                              ext=("extendedKeyUsage=serverAuth",)),
        "gone": tlskit.issue(folder, ca, "gone", ext=client, serial="66"),
    }
    made["crl"] = tlskit.revocations(folder, ca, made["gone"][0])
    made["oldcrl"] = tlskit.revocations(folder, ca, name="oldcrl", days=0)
    return made


def options(pki, how="required", *more):
    cert, key = pki["server"]
    return ("--certfile", cert, "--keyfile", key, "--cert-reqs", how,
            "--ca-certs", pki["ca"][0], "--threads", "1", *more)


def context(pki, who=None, version=None):
    c = ssl.create_default_context(cafile=str(pki["server"][0]))
    if version:
        c.minimum_version = c.maximum_version = version
    if who:
        c.load_cert_chain(*map(str, pki[who]))
    return c


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    folder = tmp_path_factory.mktemp("native")
    (folder / "facts.c").write_text(NATIVE)
    subprocess.run([*harness.CC.split(), "-std=gnu11", "-Wall", "-Werror",
                    "-shared", "-fPIC", "-I", str(SOURCE / "include"),
                    str(folder / "facts.c"), "-o", str(folder / "facts.so")],
                   check=True)
    return folder / "facts.so"


def facts(body):
    """What NATIVE wrote, as a dict; what it had nothing about is left out."""
    pairs = [p.split("=", 1) for p in body.decode().split("\1") if "=" in
             p[:20]]
    return dict(pairs)


def refused(server, ctx):
    """What the client hears that is not let in: the name of the alert."""
    try:
        with server.connect(tls=ctx) as c:
            c.send(request())  # with TLS 1.3 it is told only now
            assert c.sock.recv(100) == b"", "it was let in"
    except ssl.SSLError as e:
        return e.reason or str(e)
    except (ConnectionResetError, BrokenPipeError):
        return "reset"
    return "closed"


# ---- who gets in --------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("who", ["joe", "rsa"])
@pytest.mark.parametrize("how", ["required", "optional", "2", "CERT_REQUIRED",
                                 "1"])
def test_good(bicorn, native, pki, version, who, how):
    server = bicorn(*options(pki, how), native)
    with server.connect(tls=context(pki, who, version)) as c:
        for _ in range(3):
            found = facts(c.get().body)
            assert found["SSL_CLIENT_VERIFY"] == "SUCCESS"
            assert found["SSL_CLIENT_S_DN"] == "CN=%s,O=Example" % who


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("how", ["none", "0", "optional"])
def test_none(bicorn, native, pki, version, how):
    server = bicorn(*options(pki, how), native)
    with server.connect(tls=context(pki, None, version)) as c:
        found = facts(c.get().body)
    assert found["SSL_CLIENT_VERIFY"] == "NONE"
    assert "SSL_CLIENT_S_DN" not in found and "SSL_CLIENT_CERT" not in found


def test_not_asked(bicorn, native, pki):
    """A certificate that nobody asked for is not sent, or not looked at."""
    server = bicorn(*options(pki, "none"), native)
    with server.connect(tls=context(pki, "foreign")) as c:
        assert facts(c.get().body)["SSL_CLIENT_VERIFY"] == "NONE"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("how", ["required", "optional"])
@pytest.mark.parametrize("who, alerts, said", [
    ("foreign", "UNKNOWN_CA", "is not signed by an authority of ca_certs"),
    ("old", "CERTIFICATE_EXPIRED", "has expired"),
    ("new", "CERTIFICATE_EXPIRED", "is not yet valid"),
    ("wrong", "UNSUPPORTED_CERTIFICATE", "is not meant for clients"),
    ("gone", "CERTIFICATE_REVOKED", "was revoked")])
def test_bad(bicorn, native, pki, version, how, who, alerts, said):
    """The alert says what is wrong, and so does the log, with the name."""
    server = bicorn(*options(pki, how, "--crlfile", pki["crl"]), native)
    reason = refused(server, context(pki, who, version))
    assert re.search(alerts, reason), reason
    server.wait_log("TLS: refused 127.0.0.1: its certificate " + said +
                    r" \(O=Example, CN=" + who)
    with server.connect(tls=context(pki, "joe", version)) as c:
        assert facts(c.get().body)["SSL_CLIENT_VERIFY"] == "SUCCESS"


@pytest.mark.parametrize("version", VERSIONS)
def test_missing(bicorn, native, pki, version):
    server = bicorn(*options(pki), native)
    reason = refused(server, context(pki, None, version))
    assert ("HANDSHAKE_FAILURE" if version == V1_2 else
            "CERTIFICATE_REQUIRED") in reason
    server.wait_log("TLS: refused 127.0.0.1: it has no certificate")


def test_crl_out_of_date(bicorn, native, pki):
    """Nothing can be said about its authority's clients: none gets in."""
    server = bicorn(*options(pki, "required", "--crlfile", pki["oldcrl"]),
                    native)
    assert refused(server, context(pki, "joe"))
    server.wait_log("crlfile is out of date")


def test_log_is_not_flooded(bicorn, native, pki):
    server = bicorn(*options(pki), native)
    ctx = context(pki, "foreign")
    for _ in range(40):
        refused(server, ctx)
    server.wait_log("TLS: refused")
    assert server.stop() == 0


def test_curl(bicorn, native, pki):
    server = bicorn(*options(pki), native)
    args = ["curl", "-sS", "--cacert", str(pki["server"][0]),
            "https://localhost:%d/" % server.port]
    p = subprocess.run(args, capture_output=True, timeout=20)
    assert p.returncode != 0 and b"alert" in p.stderr.lower(), p
    p = subprocess.run(args + ["--cert", str(pki["joe"][0]), "--key",
                               str(pki["joe"][1])], capture_output=True,
                       timeout=20)
    assert p.returncode == 0 and b"CN=joe,O=Example" in p.stdout, p


def test_s_client_sees_the_authorities(bicorn, native, pki):
    server = bicorn(*options(pki), native)
    code, text = tlskit.s_client(server.address, "-cert", pki["joe"][0],
                                 "-key", pki["joe"][1], "-tls1_2",
                                 text=request(close=True))
    assert "Acceptable client certificate CA names" in text
    assert re.search("CN *= *ca", text) and "SSL_CLIENT_VERIFY=SUCCESS" in text


# ---- what is said about them --------------------------------------------------


def check_joe(found, pki):
    assert found["SSL_CLIENT_I_DN"] == "CN=ca,O=Example"
    assert found["SSL_CLIENT_SERIAL"] == "AB01CD"
    der = ssl.PEM_cert_to_DER_cert(found["SSL_CLIENT_CERT"])
    assert der == ssl.PEM_cert_to_DER_cert(pki["joe"][0].read_text())


@pytest.mark.parametrize("version", VERSIONS)
def test_facts(bicorn, native, pki, version):
    server = bicorn(*options(pki), native)
    ctx = context(pki, "joe", version)
    with server.connect(tls=ctx) as c:
        found = facts(c.get().body)
        assert found["SSL_PROTOCOL"] == c.sock.version()
        assert found["SSL_CIPHER"] == c.sock.cipher()[0]
        assert found["SSL_SERVER_NAME"] == "localhost"
        check_joe(found, pki)
        assert set(found) == set(NAMES)
    ctx.check_hostname = False
    sock = ctx.wrap_socket(socket.create_connection(server.address))
    sock.sendall(request(close=True))
    text = b"".join(iter(lambda: sock.recv(65536), b""))
    assert b"SSL_SERVER_NAME-" in text  # no name was asked for
    sock.close()


def test_plain_connections_have_none(bicorn, native):
    server = bicorn(native)
    assert facts(server.get("/").body) == {}


def test_odd_names(bicorn, native, pki):
    """Escaped as RFC 4514 wants it."""
    server = bicorn(*options(pki), native)
    with server.connect(tls=context(pki, "odd")) as c:
        found = facts(c.get().body)
    assert found["SSL_CLIENT_S_DN"] == (
        "CN=J\u00fcrgen \u4e2d,OU=\\#1,O=a\\, b\\+c\\=d\\;\\<e\\> \\\"f\\\","
        "C=DE")
    assert found["SSL_CLIENT_SERIAL"] == "7F"


@pytest.mark.python
def test_environ(wsgi, pki):
    server = wsgi(APP, *options(pki, "optional"))
    with server.connect(tls=context(pki, "joe")) as c:
        for _ in range(2):
            found = json.loads(c.get().body)
            assert found["SSL_CLIENT_VERIFY"] == "SUCCESS"
            assert found["SSL_CLIENT_S_DN"] == "CN=joe,O=Example"
            check_joe(found, pki)
            assert set(found) == set(NAMES)
    with server.connect(tls=context(pki)) as c:
        found = json.loads(c.get(
            headers=[("SSL-Client-Verify", "SUCCESS"),
                     ("SSL_CLIENT_VERIFY", "SUCCESS")]).body)
    assert found["SSL_CLIENT_VERIFY"] == "NONE"
    assert "SSL_CLIENT_CERT" not in found


@pytest.mark.python
def test_environ_without_tls(wsgi):
    assert wsgi(APP).get("/").body == b"{}"


# ---- settings ----------------------------------------------------------------


@pytest.mark.parametrize("args, said", [
    (("--cert-reqs", "required"), "cert-reqs required (command line): needs "
                                  "ca_certs"),
    (("--cert-reqs", "3"), "must be none, optional or required"),
    (("--ca-certs", "/nonexistent", "--cert-reqs", "2"), "ca_certs = "
     "/nonexistent: No such file"),
    (("--crlfile", "/nonexistent"), "needs ca_certs as well")])
def test_refused_settings(run, native, pki, args, said):
    cert, key = pki["server"]
    p = run("--bind", "127.0.0.1:0", "--certfile", cert, "--keyfile", key,
            *args, "--check-config", native)
    assert p.returncode != 0 and said in p.stderr, p


@pytest.mark.parametrize("which", ["ca_certs", "crlfile"])
def test_garbage_in_files(run, native, pki, tmp_path, which):
    bad = tmp_path / "bad.pem"
    bad.write_text("-----BEGIN X-----\nAAAA\n-----END X-----\n")
    args = list(options(pki, "required", "--crlfile", pki["crl"]))
    args[args.index("--" + which.replace("_", "-")) + 1] = bad
    p = run("--bind", "127.0.0.1:0", *args, "--check-config", native)
    assert p.returncode != 0 and "%s = %s: " % (which, bad) in p.stderr, p


def test_numbers_in_a_file(bicorn, native, pki, tmp_path):
    cert, key = pki["server"]
    (tmp_path / "bicorn.conf").write_text(
        'certfile = "%s";\nkeyfile = "%s";\ncert_reqs = 2;\nca_certs = "%s";\n'
        'tls_min_version = 1.2;\n' % (cert, key, pki["ca"][0]))
    server = bicorn("-c", tmp_path / "bicorn.conf", native)
    with server.connect(tls=context(pki, "joe")) as c:
        assert facts(c.get().body)["SSL_CLIENT_VERIFY"] == "SUCCESS"
