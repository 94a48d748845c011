# SPDX-License-Identifier: MIT
"""listen in the settings file: listeners with settings of their own."""
import os
import re
import shutil
import signal
import ssl
import subprocess

import pytest

import harness

HAS_TLS = "HAVE_TLS 1" in (harness.BUILD / "config.h").read_text() and \
    shutil.which("openssl")
tls = pytest.mark.skipif(not HAS_TLS, reason="needs TLS and openssl")


@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    module = tmp_path_factory.mktemp("groups") / "hello.so"
    subprocess.run([*harness.CC.split(), "-shared", "-fPIC", "-O1",
                    "-I", str(harness.SOURCE / "include"),
                    str(harness.SOURCE / "etc/examples/hello.c"),
                    "-o", str(module)], check=True)
    return module


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """Two pairs: certificates of two names."""
    folder = tmp_path_factory.mktemp("pki")
    for name in "ab":
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
             "/CN=" + name, "-addext", "subjectAltName=DNS:localhost",
             "-keyout", folder / (name + ".key"),
             "-out", folder / (name + ".pem")],
            check=True, capture_output=True)
    return folder


@pytest.fixture
def serve(bicorn, hello, tmp_path):
    def start(text, *args, bind=None):
        conf = tmp_path / "groups.conf"
        conf.write_text(text)
        server = bicorn("-c", conf, *args, hello, bind=bind)
        server.addresses = [harness.address_of(x) for x in server.listeners]
        return server

    return start


def ask(address, data, ctx=None):
    with harness.Conn(address, tls=ctx) as c:
        c.send(data)
        return c.response(method="HEAD" if data.startswith(b"HEAD") else "GET")


def name_of_certificate(address, folder):
    ctx = ssl.create_default_context(cafile=str(folder / "a.pem"))
    ctx.load_verify_locations(str(folder / "b.pem"))
    with harness.Conn(address, tls=ctx) as c:
        assert c.get().status == 200
        subject = dict(x[0] for x in c.sock.getpeercert()["subject"])
        return subject["commonName"]


# --- port 0 --------------------------------------------------------------------


def test_port_0_is_another_each_time(serve, tmp_path):
    """Through reloads and upgrades each keeps its port and its settings."""
    bind, group = 'bind = ["127.0.0.1:0", "127.0.0.1:0"];', \
        'listen = ( { bind = "127.0.0.1:0"; redirect_https = true; } );'
    server = serve(bind + group)

    def statuses():
        return [ask(x, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").status
                for x in server.addresses]
    assert len(set(server.addresses)) == 3
    assert statuses() == [200, 200, 301]
    mark = server.log.count()
    server.signal(signal.SIGHUP)
    server.wait_log("Ready", since=mark)
    assert statuses() == [200, 200, 301]

    server.signal(signal.SIGUSR2)
    new = int(server.wait_log(r"Upgrade: the new arbiter is pid (\d+)")
              .group(1))
    server.wait_log(r"\[%d\] \[INFO\] Ready" % new)
    os.kill(server.pid, signal.SIGTERM)
    server.wait_log("Master has been promoted")
    server.wait()
    assert statuses() == [200, 200, 301]

    mark = server.log.count()
    (tmp_path / "groups.conf").write_text('bind = "127.0.0.1:0";')
    os.kill(new, signal.SIGHUP)
    server.wait_log("Ready", since=mark)
    harness.wait_for(lambda: harness.refused(server.addresses[1]), "the end")
    assert harness.refused(server.addresses[2])
    assert not harness.refused(server.addresses[0])
    os.kill(new, signal.SIGTERM)
    server.wait_log(r"\[%d\] \[INFO\] Shutting down: Master" % new)


# --- what a group means --------------------------------------------------------


def test_groups_listen_beside_bind(serve):
    server = serve('''
        listen = ( { bind = "localhost:0"; backlog = 7; },
                   { bind = [ "127.0.0.2:0", "127.0.0.3:0" ]; } );
    ''', bind="127.0.0.1:0")
    assert len(server.addresses) == 4
    for address in server.addresses:
        assert ask(address, harness.request()).status == 200


def test_without_bind_only_the_groups(serve):
    server = serve('listen = ( { bind = "127.0.0.1:0"; } );')
    assert len(server.addresses) == 1


@tls
def test_certificates_by_listener(serve, pki):
    server = serve('''
        certfile = "%(a)s.pem"; keyfile = "%(a)s.key";
        listen = (
            { bind = "127.0.0.2:0"; tls = {
                certfile = "%(b)s.pem"; keyfile = "%(b)s.key"; }; },
            { bind = "127.0.0.3:0"; tls = { }; },
            { bind = "127.0.0.4:0"; }
        );
    ''' % {"a": pki / "a", "b": pki / "b"}, bind="127.0.0.1:0")
    assert [x.split(":")[0] for x in server.listeners] == [
        "https", "https", "https", "http"]
    names = [name_of_certificate(x, pki) for x in server.addresses[:3]]
    assert names == ["a", "b", "a"]
    assert ask(server.addresses[3], harness.request()).status == 200


@tls
def test_reload_changes_groups(serve, pki, tmp_path):
    text = '''
        listen = ( { bind = "127.0.0.1:%d"; %s }, { bind = "127.0.0.2:0"; } );
    '''
    server = serve(text % (0, ""))
    port = server.addresses[0][1]
    conf = tmp_path / "groups.conf"
    # The address is another one by name: it is opened beside the old one.
    conf.write_text(text % (0, 'tls = { certfile = "%s.pem"; keyfile = '
                            '"%s.key"; };' % (pki / "a", pki / "a")))
    mark = server.mark()
    server.signal(harness.signals.SIGHUP)
    server.wait_ready(since=mark)
    server.wait_log("Worker exiting", since=mark)
    assert server.listeners[0] == "https://127.0.0.1:%d" % port
    assert name_of_certificate(server.address, pki) == "a"


# --- redirect_https -----------------------------------------------------------


@pytest.fixture
def redirecting(serve):
    return serve('''
        health_path = "/health";
        listen = ( { bind = "127.0.0.1:0"; redirect_https = true; } );
    ''')


@pytest.mark.parametrize("method, status", [
    ("GET", 301), ("HEAD", 301), ("POST", 308), ("DELETE", 308),
    ("OPTIONS", 308)])
def test_redirect(redirecting, method, status):
    r = ask(redirecting.address, harness.request(
        method, "/a/b?c=d&e", [("Host", "example.org:8080")]))
    assert r.status == status
    assert r.header("Location") == "https://example.org/a/b?c=d&e"


@pytest.mark.parametrize("target, host, location", [
    ("/", "example.org", "https://example.org/"),
    ("/", "[::1]:80", "https://[::1]/"),
    ("/", "10.0.0.1", "https://10.0.0.1/"),
    ("//evil.example/x", "example.org", "https://example.org//evil.example/x"),
    ("http://other.example/y?z", "example.org", "https://other.example/y?z"),
    ("http://other.example", "example.org", "https://other.example/"),
    ("http://other.example?q", "example.org", "https://other.example/?q"),
    ("/%0d%0aX:y", "example.org", "https://example.org/%0d%0aX:y"),
    ("/" + "x" * 3900, "example.org", "https://example.org/" + "x" * 3900)])
def test_location(redirecting, target, host, location):
    r = ask(redirecting.address,
            harness.request("GET", target, [("Host", host)]))
    assert r.status == 301
    assert r.header("Location") == location


@pytest.mark.parametrize("host", [
    "", "a b", "user@example.org", "example.org:99999", "exa\"mple", "a<b>",
    "a/b", "[::1", "x\\y"])
def test_no_such_host(redirecting, host):
    data = ("GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host).encode()
    assert redirecting.raw(data).startswith(b"HTTP/1.1 400 ")
    assert redirecting.raw(b"GET / HTTP/1.0\r\n\r\n").startswith(
        b"HTTP/1.1 400 ")


def test_health_is_not_redirected(redirecting):
    assert redirecting.get("/health").status == 200


def test_a_body_is_not_waited_for(redirecting):
    """Nor asked for: the client hears at once where to go."""
    data = (b"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
            b"Expect: 100-continue\r\n\r\n")
    with redirecting.connect() as c:
        c.send(data)
        r = c.response()
        assert r.status == 308
        assert r.header("Location") == "https://x/up"


def test_redirect_port(serve):
    server = serve('redirect_port = 8443; listen = ('
                   '{ bind = "127.0.0.1:0"; redirect_https = true; },'
                   '{ bind = "127.0.0.2:0"; redirect_https = true; '
                   'redirect_port = 444; } );')
    for address, port in zip(server.addresses, ("8443", "444")):
        r = ask(address, harness.request("GET", "/", [("Host", "h:81")]))
        assert r.header("Location") == "https://h:%s/" % port


def test_behind_a_proxy_that_spoke_https(redirecting):
    r = ask(redirecting.address, harness.request(
        "GET", "/", [("X-Forwarded-Proto", "https")]))
    assert r.status == 200


@tls
def test_redirect_leads_to_https(serve, pki):
    """redirect_https for all: those that speak TLS serve."""
    server = serve('''
        redirect_https = true;
        listen = ( { bind = "127.0.0.1:0"; },
            { bind = "127.0.0.2:0"; tls = { certfile = "%s.pem";
              keyfile = "%s.key"; }; } );
    ''' % (pki / "a", pki / "a"))
    assert ask(server.addresses[0], harness.request()).status == 301
    assert name_of_certificate(server.addresses[1], pki) == "a"


# --- what is wrong is said ----------------------------------------------------


@pytest.mark.parametrize("text, said", [
    ('listen = 5;', 'listen = 5 (FILE, line 2): must be a list of groups, '
     '( { bind = "ADDRESS"; }, ... )'),
    ('listen = { bind = ":80"; };', 'must be a list of groups'),
    ('listen = ( 5 );', 'listen, group 1 (FILE, line 2): must be a group'),
    ('listen = ( { bind = ":1"; },\n { bnd = ":80"; } );',
     'listen, group 2: bnd = ":80" (FILE, line 3): no such setting; did you '
     'mean bind?'),
    ('listen = ( { certfile = "x"; } );',
     'listen, group 1: certfile = "x" (FILE, line 2): belongs in the group '
     'tls = { ... }'),
    ('listen = ( { bind = ":80"; threads = 4; } );',
     'listen, group 1: threads = 4 (FILE, line 2): counts for all listeners: '
     'it stands outside of listen'),
    ('listen = ( { bind = ":80"; tls = 4; } );',
     'listen, group 1: tls = 4 (FILE, line 2): must be a group'),
    ('listen = ( { bind = ":80"; tls = { certfil = "x"; }; } );',
     'listen, group 1, tls: certfil = "x" (FILE, line 2): no such setting; '
     'did you mean certfile?'),
    ('listen = ( { bind = ":80"; tls = { bind = "x"; }; } );',
     'listen, group 1, tls: bind = "x" (FILE, line 2): belongs outside of '
     'the group tls'),
    ('listen = ( { bind = ":80"; redirect_port = 99999; } );',
     'listen, group 1: redirect_port = 99999 (FILE, line 2): must be '
     '1..65535'),
    ('listen = ( { backlog = 5; } );',
     'listen, group 1 (FILE, line 2): needs bind'),
    ('bind = ":80"; listen = ( { bind = ":80"; } );',
     'bind = :80: is there twice'),
    ('listen = (' + ", ".join(['{ bind = ":1"; }'] * 257) + ');',
     'must be 256 groups at most'),
    ('listen = ( { bind = "x:y"; } );',
     'listen, group 1: bind = "x:y" (FILE, line 2): must be an address'),
])
def test_errors(run, tmp_path, text, said):
    conf = tmp_path / "bad.conf"
    conf.write_text("# a comment\n" + text)
    p = run("-c", conf, "--print-config", "x:y")
    assert p.returncode == 1
    assert said.replace("FILE", str(conf)) in p.stderr


@tls
@pytest.mark.parametrize("text, said", [
    ('listen = ( { bind = ":80"; tls = { }; } );', 'needs certfile'),
    ('listen = ( { bind = ":80"; redirect_https = true;\n tls = { certfile '
     '= "x"; }; } );', 'listen, group 1: redirect_https = true (FILE, line '
     '2): is for listeners without TLS')])
def test_errors_of_tls(run, tmp_path, text, said):
    test_errors(run, tmp_path, text, said)


def test_only_in_a_file(run):
    p = run("--print-config", env={"BICORN_LISTEN": "x"})
    assert p.returncode == 1
    assert "BICORN_LISTEN=x (environment): stands in the settings file only" \
        in p.stderr


def settings_of(text):
    return re.sub(r" *#.*", "", text)


def test_print_config_can_be_read_again(run, tmp_path):
    conf, again = tmp_path / "one.conf", tmp_path / "two.conf"
    conf.write_text('''
        listen = ( { bind = "127.0.0.1:81"; redirect_https = true; },
                   { bind = [ "127.0.0.1:82", "unix:/tmp/x y" ]; } );
    ''')
    first = run("-c", conf, "--print-config", "x:y").stdout
    assert "one.conf, line 2" in first
    assert "bind = [];" in first
    again.write_text(first)
    second = run("-c", again, "--print-config", "x:y").stdout
    assert settings_of(first) == settings_of(second)
