# SPDX-License-Identifier: MIT
"""Settings from the file and the environment, and the texts made of the
settings table."""
import os
import re
import shutil
import subprocess

import pytest

import harness
from test_cli import ROWS, printed, refused

DEFAULTS = {row[0]: row[2].replace('\\"', '"') for row in ROWS}


@pytest.fixture
def conf(tmp_path):
    """Writes settings files and gives the folder."""
    def write(text, name="bicorn.conf"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path
    return write


# ---- the file ----

def test_types(run, conf):
    values = printed(run, cwd=conf('''
        # a comment
        workers = 3; threads : 5,
        daemon = true        // no semicolon
        timeout = 0.5; keepalive = "2m";
        limit_request_body = 5000000000; body_buffer = "128k";
        bind = [ "127.0.0.1:1", "unix:/x" ]; pythonpath = "a,b";
        raw_env = ( "A=1,2" ); user = 0; umask = "0022";
        wsgi_app = "myapp:app"; /* more
        of it */ proc_name = "a \\"b\\"";
    '''))
    assert values["workers"] == ("3", "bicorn.conf, line 3")
    assert values["threads"][0] == "5"
    assert values["daemon"][0] == "true"
    assert values["timeout"][0] == "0.5"
    assert values["keepalive"][0] == "120"
    assert values["limit_request_body"][0] == "5000000000L"
    assert values["body_buffer"] == ('"128k"', "bicorn.conf, line 6")
    assert values["bind"][0] == '[ "127.0.0.1:1", "unix:/x" ]'
    assert values["pythonpath"][0] == '[ "a", "b" ]'
    assert values["raw_env"][0] == '[ "A=1,2" ]'
    assert values["user"][0] == '"0"'
    assert values["wsgi_app"][0] == '"myapp:app"'
    assert values["proc_name"] == ('"a \\"b\\""', "bicorn.conf, line 10")


@pytest.mark.parametrize("text, error", [
    ("threads = 0;", "threads = 0 (bicorn.conf, line 1): must be 1..1024"),
    ("\n\n  threads = 5000;", "threads = 5000 (bicorn.conf, line 3): must be 1..1024"),
    ("threads = 4294967300;", "threads = 4294967300 (bicorn.conf, line 1): must be"),
    ('threads = "4";', "must be a whole number, without quotes"),
    ("threads = 4.5;", "must be a whole number"),
    ("threads = [4];", "must be a whole number"),
    ("daemon = 1;", "daemon = 1 (bicorn.conf, line 1): must be true or false"),
    ("daemon = yes;", "is not true or false"),
    ("timeout = 30s;", "timeout = 30s (bicorn.conf, line 1): is no number"),
    ("umask = 022;", "an octal mode is a text"),
    ("loglevel = info;", "a text stands in double quotes"),
    ("bind = [ 8000 ];", "must be a list of texts"),
    ("bind = [ \":1\", 8000 ];", "bicorn.conf, line 1: "),
    ("bind = [];", "must name an address"),
    ("tread = 4;", "tread = 4 (bicorn.conf, line 1): no such setting; did you mean threads?"),
    ("keep_alive = 4;", "did you mean keepalive?"),
    ("threads = 4;\nthreads = 5;", "threads (bicorn.conf, line 2): set twice"),
    ("server = { threads = 4; };", "not in groups"),
    ("threads", "bicorn.conf, line 1: threads has no value"),
    ("threads = 4;\nbind = [ \":1\"", "bicorn.conf, line 2: a bracket is not closed"),
    ('loglevel = "info\nthreads = 4;', "bicorn.conf, line 1: a text has no closing"),
    ("/* for ever", "this comment has no end"),
    ('@include "none.conf"', "bicorn.conf, line 1: cannot include none.conf: No such"),
    ('@include "bicorn.conf"', "does a file include itself?"),
    (b"\x7fELF\x02\x01\x01\x00\x00", "bicorn.conf, line 1: unexpected byte 0x7f"),
    (b"threads = 4;\n\x00", "bicorn.conf, line 2: a byte of value 0"),
    ('keyfile = "x.pem";\n', "keyfile = \"x.pem\" (bicorn.conf, line 1): needs certfile"),
])
def test_wrong_file(run, conf, text, error):
    refused(run("a", cwd=conf(text)), 1, error)


def test_certificate_without_tls(run, conf):
    if "\nTLS: not built in\n" not in run("--version").stdout:
        pytest.skip("built with TLS")
    refused(run("a", cwd=conf('certfile = "x.pem";')), 1,
            'certfile = "x.pem" (bicorn.conf, line 1): this bicorn was built '
            "without TLS")


def test_unreadable(run, conf, tmp_path):
    os.mkdir(tmp_path / "bicorn.conf")
    refused(run("a", cwd=tmp_path), 1, "bicorn.conf: Is a directory")
    refused(run("-c", "/dev/zero", "a", cwd=tmp_path), 1, "larger than 1 MiB")
    refused(run("-c", "x.py", "a", cwd=tmp_path), 1, "No such file or directory"
            if harness.HAS_PYTHON else "built without Python")


@pytest.mark.skipif(os.getuid() != 0, reason="setpriv needs root")
def test_no_permission(conf):
    where = conf("threads = 4;")
    os.chmod(where / "bicorn.conf", 0)
    for path in (where, where.parent, where.parent.parent):
        os.chmod(path, 0o755)
    proc = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", "--regid=65534",
         str(harness.BICORN), "a"], cwd=where, capture_output=True, text=True,
        env=harness.environment())
    if "setpriv" in proc.stderr or proc.returncode in (126, 127):
        pytest.skip("that user cannot run the executable here")
    refused(proc, 1, "bicorn.conf: Permission denied")


def test_pipe_as_file(run):
    proc = run("-c", "/dev/stdin", "--print-config", stdin="threads = 9;")
    assert "threads = 9;                    # /dev/stdin, line 1" in proc.stdout


def test_includes(run, conf):
    conf("threads = 2;\n", "etc/conf.d/10.conf")
    conf('@include "../sub/deep.conf"\n\nworkers = 3;', "etc/conf.d/20.conf")
    conf("max_requests = 7;", "etc/sub/deep.conf")
    conf("ignored, as its name does not match", "etc/conf.d/30.conf~")
    where = conf('@include "conf.d/*.conf"\nbacklog = 5;', "etc/main.conf")
    values = printed(run, "-c", "etc/main.conf", cwd=where)
    assert values["threads"] == ("2", "etc/conf.d/10.conf, line 1")
    assert values["workers"] == ("3", "etc/conf.d/20.conf, line 3")
    assert values["max_requests"][0] == "7"
    assert values["backlog"] == ("5", "etc/main.conf, line 2")
    conf("\n\nthreads = 0;\n", "etc/conf.d/10.conf")
    refused(run("-c", "etc/main.conf", "a", cwd=where), 1,
            "threads = 0 (etc/conf.d/10.conf, line 3): must be 1..1024")


def test_which_file(run, conf, tmp_path):
    conf("threads = 1;")
    conf("threads = 2;", "env.conf")
    where = conf("threads = 3;", "line.conf")
    env = {"BICORN_CONFIG": "env.conf"}
    assert printed(run, cwd=where)["threads"][0] == "1"
    assert printed(run, cwd=where, env=env)["threads"][0] == "2"
    assert printed(run, "-c", "line.conf", cwd=where, env=env)["threads"][0] == "3"
    proc = run("--print-config", cwd=where)
    assert "settings file: bicorn.conf" in proc.stdout


def test_app_in_the_file(bicorn, conf, tmp_path):
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "index.html").write_text("hello")
    server = bicorn(cwd=conf('wsgi_app = "./public/";'))
    assert server.get("/").body == b"hello"
    assert "Settings: bicorn.conf" in server.log.text()


# ---- the environment ----

@pytest.mark.parametrize("env, name, value", [
    ({"WEB_CONCURRENCY": "3"}, "workers", ("3", "WEB_CONCURRENCY")),
    ({"WEB_CONCURRENCY": ""}, "workers", ("1", "default")),
    ({"PORT": "5000"}, "bind", ('[ "0.0.0.0:5000" ]', "PORT")),
    ({"PORT": ""}, "bind", ('[ "127.0.0.1:8000" ]', "default")),
    ({"FORWARDED_ALLOW_IPS": "*"}, "forwarded_allow_ips",
     ('[ "*" ]', "FORWARDED_ALLOW_IPS")),
    ({"BICORN_THREADS": "9"}, "threads", ("9", "BICORN_THREADS")),
    ({"BICORN_THREADS": ""}, "threads", ("4", "default")),
    ({"BICORN_BIND": ":1,:2"}, "bind", ('[ ":1", ":2" ]', "BICORN_BIND")),
    ({"BICORN_BIND": ":1", "PORT": "x"}, "bind", ('[ ":1" ]', "BICORN_BIND")),
    ({"BICORN_RAW_ENV": "A=1\\,2,B=3"}, "raw_env",
     ('[ "A=1,2", "B=3" ]', "BICORN_RAW_ENV")),
    ({"BICORN_DAEMON": "on"}, "daemon", ("true", "BICORN_DAEMON")),
    ({"BICORN_CMD_ARGS": "--threads 8 -e 'A=b c'"}, "threads",
     ("8", "BICORN_CMD_ARGS")),
    ({"BICORN_CMD_ARGS": "--threads 8", "BICORN_THREADS": "9"}, "threads",
     ("8", "BICORN_CMD_ARGS")),
])
def test_environment(run, tmp_path, env, name, value):
    assert printed(run, env=env, cwd=tmp_path)[name] == value


@pytest.mark.parametrize("env, status, error", [
    ({"WEB_CONCURRENCY": "many"}, 1, "WEB_CONCURRENCY=many (environment): must be"),
    ({"WEB_CONCURRENCY": "0"}, 1, "WEB_CONCURRENCY=0 (environment): must be 1..1024"),
    ({"PORT": "http"}, 1, "PORT=http (environment): must be an address"),
    ({"BICORN_THREADS": "x"}, 1, "BICORN_THREADS=x (environment): must be"),
    ({"BICORN_DAEMON": "maybe"}, 1, "BICORN_DAEMON=maybe (environment): must be true or false"),
    ({"BICORN_CMD_ARGS": "--bogus"}, 2, "--bogus (BICORN_CMD_ARGS): no such option"),
    ({"BICORN_CMD_ARGS": "--threads 0"}, 2, "--threads 0 (BICORN_CMD_ARGS): must be 1..1024"),
    ({"BICORN_CMD_ARGS": "'"}, 2, "BICORN_CMD_ARGS (environment): a quote"),
])
def test_wrong_environment(run, tmp_path, env, status, error):
    refused(run("a", env=env, cwd=tmp_path), status, error)


def test_precedence(run, conf):
    where = conf("threads = 2;")
    env = {"BICORN_THREADS": "3"}
    assert printed(run, cwd=where)["threads"][0] == "2"
    assert printed(run, cwd=where, env=env)["threads"][0] == "3"
    env["BICORN_CMD_ARGS"] = "--threads 4"
    assert printed(run, cwd=where, env=env)["threads"][0] == "4"
    assert printed(run, "--threads", "5", cwd=where, env=env)["threads"][0] == "5"


# ---- printed settings ----

def test_print_config_can_be_read_again(run, tmp_path):
    words = ["-w", "auto", "--keep-alive", "0.25", "-e", 'A="x", \\ y',
             "--limit-request-body", "5000000001", "--name", "caf\u00e9\t\u2603",
             "--access-logformat", '%(h)s "%(r)s" \x01', "a:b('c')"]
    first = run(*words, "--print-config", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    (tmp_path / "again.conf").write_text(first.stdout)
    again = run("-c", "again.conf", "--print-config", cwd=tmp_path)
    assert again.returncode == 0, again.stderr

    def values(text):
        return [re.sub(r" *# .*", "", line) for line in text.splitlines()[1:]]
    assert values(first.stdout) == values(again.stdout)
    assert first.stdout.count("# default") > 30


def test_defaults_are_those_of_the_table(run, tmp_path):
    values = printed(run, cwd=tmp_path)
    assert set(values) == set(DEFAULTS)
    for name, (value, source) in values.items():
        assert source == "default"
        plain = re.sub(r'^(\[ ?)?"?|"?( ?\])?$', "", value)
        plain = "" if plain == "()" else plain
        plain = plain.replace('", "', ",").replace('\\"', '"')
        assert plain == DEFAULTS[name], name


# ---- texts made of the table ----

def made(path):
    path = harness.BUILD / path
    if not path.exists():
        pytest.skip("no %s in this build" % path)
    return path


def test_sample_file(run, tmp_path):
    text = made("etc/bicorn.conf").read_text()
    names = re.findall(r"^#(\w+) = ", text, re.M)
    assert names == [row[0] for row in ROWS]
    assert max(len(line) for line in text.splitlines()
               if not re.match(r"#\w+ =", line)) < 80
    (tmp_path / "bicorn.conf").write_text(text)
    values = printed(run, cwd=tmp_path)
    assert {source for _, source in values.values()} == {"default"}
    (tmp_path / "bicorn.conf").write_text(re.sub(r"^#(\w+ = )", r"\1", text, flags=re.M))
    given = printed(run, cwd=tmp_path)
    assert {k: v[0] for k, v in given.items()} == {k: v[0] for k, v in values.items()}
    assert all("bicorn.conf, line" in source for _, source in given.values())


@pytest.mark.parametrize("kind, path", [
    ("sample", "etc/bicorn.conf"), ("options", "man/bicorn.8"),
    ("file", "man/bicorn.conf.5")])
def test_texts_are_those_of_the_table(kind, path):
    """What was built is what the table says now."""
    text = made(path).read_text()
    proc = subprocess.run([str(made("man/generate")), kind], check=True,
                          capture_output=True, text=True,
                          env=harness.environment())
    assert proc.stdout in text


def test_manuals_name_every_setting():
    options = made("man/bicorn.8").read_text()
    settings = made("man/bicorn.conf.5").read_text()
    for name, _, _, flags in ROWS:
        assert ".It Ic %s No = " % name in settings
        assert ".Ev BICORN_%s ." % name.upper() in settings
        for flag in flags.strip('"').split() if flags != "NULL" else []:
            assert re.search(r"Fl %s( |$)" % flag[1:], options, re.M), flag


@pytest.mark.parametrize("page", ["bicorn.8", "bicorn.conf.5", "bicorn_app.3",
                                  "bicorn-migrate.7", "bicorn-wsgi.7",
                                  "bicornctl.8"])
def test_manuals_are_clean(page):
    path = str(made("man/" + page))
    if not shutil.which("groff") or not shutil.which("mandoc"):
        pytest.skip("groff and mandoc are not both here")
    proc = subprocess.run(["groff", "-ww", "-mandoc", "-Tutf8", path],
                          capture_output=True, text=True)
    assert proc.returncode == 0 and proc.stderr == ""
    proc = subprocess.run(["mandoc", "-Tlint", "-Wstyle", path],
                          capture_output=True, text=True)
    # Pages that are not installed yet cannot be found.
    said = [line for line in proc.stdout.splitlines()
            if "referenced manual not found" not in line
            and "outdated mandoc.db" not in line]
    assert said == []
    text = open(path).read()
    assert "@" not in re.sub(r"@include|unix:@", "", text)
