# SPDX-License-Identifier: MIT
"""What the manual promises: completions, and where others' settings went."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import harness
from harness import BUILD, SOURCE

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not (BUILD / "Makefile").exists(),
                       reason="not in a build folder")]

TABLE = (SOURCE / "src/conf/settings.def").read_text()
NAMES = set(re.findall(r"^SETTING\((\w+),", TABLE, re.M))
FLAGS = {flag for flags in re.findall(r'SEC_\w+, "(-[^"]*)"', TABLE)
         for flag in flags.split()}


def made(name):
    path = BUILD / name
    if not path.exists():
        subprocess.run(["make", "-s", "-C", str(BUILD), name], check=True,
                       capture_output=True)
    return path


# --- completions ------------------------------------------------------------------

def bash(tmp_path, *words):
    """What bash would offer for the last word."""
    if not shutil.which("bash"):
        pytest.skip("needs bash")
    script = '''
        compopt() { :; }
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
        _bicorn
        printf '%s\\n' "${COMPREPLY[@]}"
    '''
    p = subprocess.run(
        ["bash", "-uc", script, "bash", str(made("etc/completion/bicorn")),
         *words], cwd=tmp_path, capture_output=True, text=True)
    assert p.stderr == ""
    return p.stdout.split()


@pytest.fixture
def place(tmp_path):
    (tmp_path / "public").mkdir()
    for name in ("shop.py", "hello.so", "notes.txt"):
        (tmp_path / name).write_text("")
    return tmp_path


def test_bash(place):
    offered = bash(place, "bicorn", "-")
    assert FLAGS <= set(offered)
    assert {"--no-daemon", "--check-config", "-c"} <= set(offered)
    assert "--no-no-sendfile" not in offered
    assert bash(place, "bicorn", "--work") == [
        "--workers", "--worker-class", "--worker-connections"]
    assert bash(place, "bicorn", "--log-level", "w") == ["warning"]
    assert bash(place, "bicorn", "--log-level", "=", "e") == ["error"]
    assert bash(place, "bicorn", "--log-level", "=") == [
        "debug", "info", "warning", "error", "critical"]
    assert sorted(bash(place, "bicorn", "-c", "")) == [
        "hello.so", "notes.txt", "public", "shop.py"]
    assert bash(place, "bicorn", "--chdir", "") == ["public"]
    assert bash(place, "bicorn", "--threads", "") == []
    assert "root" in bash(place, "bicorn", "--user", "ro")
    assert sorted(bash(place, "bicorn", "")) == ["hello.so", "public", "shop"]
    assert bash(place, "bicorn", "-w", "4", "s") == ["shop"]


def test_zsh(place):
    if not shutil.which("zsh"):
        pytest.skip("needs zsh")
    path = made("etc/completion/_bicorn")
    assert path.read_text().startswith("#compdef bicorn\n")
    p = subprocess.run(["zsh", "-n", str(path)], capture_output=True,
                       text=True)
    assert (p.returncode, p.stderr) == (0, "")
    script = '''
        zmodload zsh/zpty
        zpty z zsh -f -i
        zpty -w z "PS1=; fpath=($1 \\$fpath); autoload -U compinit; compinit -u; bindkey '^I' complete-word; LISTMAX=9999; zstyle ':completion:*' list-prompt ''; echo rea''dy"
        zpty -r -m z x '*ready*'
        zpty -w -n z "bicorn --worker"$'\\t'
        zpty -r -m z out '*--workers *processes*'
        print -r -- $out
        zpty -d z
    '''
    (place / "f").mkdir()
    shutil.copy(path, place / "f/_bicorn")
    p = subprocess.run(["zsh", "-fc", script, "zsh", str(place / "f")],
                       cwd=place, capture_output=True, text=True,
                       timeout=harness.DEADLINE, errors="replace")
    assert "--workers" in p.stdout and "--worker-class" in p.stdout
    assert "Worker processes" in p.stdout


def fish(place, script, line, **env):
    """What fish offers for a line: {word: description}."""
    if not shutil.which("fish"):
        pytest.skip("needs fish")
    p = subprocess.run(
        ["fish", "--no-config", "-c",
         "source $argv[1]; complete -C $argv[2]", str(script), line],
        cwd=place, capture_output=True, text=True, timeout=harness.DEADLINE,
        env={**harness.environment(), "HOME": str(place), **env})
    assert p.stderr == ""
    return dict((line + "\t").split("\t")[:2]
                for line in p.stdout.splitlines())


def test_fish(place):
    def offers(line):
        return set(fish(place, made("etc/completion/bicorn.fish"), line))

    long = {f for f in FLAGS if f.startswith("--")}
    assert long <= offers("bicorn --")
    assert offers("bicorn --log-level w") >= {"warning"}
    assert {"shop", "public/"} <= offers("bicorn ")
    assert {"hello.so"} <= offers("bicorn h")
    assert "notes.txt" in offers("bicorn -c n")


def test_fish_for_bicornctl(place):
    """Every command and option of it, and what a running bicorn answers."""
    page = (harness.SOURCE / "man/bicornctl.8.in").read_text()
    commands = set(re.findall(r"^\.It Ic ([a-z-]+)", page, re.M))
    options = set(re.findall(r" -([a-z][a-z-]+)", " ".join(
        re.findall(r"^\.It (Fl .*)", page, re.M))))
    script = harness.SOURCE / "etc/completions/bicornctl.fish"
    tool = place / "bicornctl"
    tool.write_text("""#!/bin/sh
case "$*" in
"-s x.sock workers") printf 'pid gen state\\n412 1 ready\\n413 1 ready\\n' ;;
settings) printf 'workers = 4 (default)\\nbind = :80 (file)\\n' ;;
esac
""")
    tool.chmod(0o755)
    path = "%s:%s" % (place, os.environ["PATH"])

    def offers(line):
        return fish(place, script, line, PATH=path)

    assert set(offers("bicornctl ")) == commands
    assert all(offers("bicornctl ").values())
    found = set()
    for command in "", "top ", "reload ", "stop ":
        found |= set(offers("bicornctl %s--" % command))
    assert {x.lstrip("-") for x in found} == options
    assert set(offers("bicornctl log-level ")) == {
        "debug", "info", "warning", "error", "critical"}
    assert set(offers("bicornctl -s x.sock stacks ")) == {"412", "413"}
    assert set(offers("bicornctl settings ")) == {"workers", "bind"}
    assert "notes.txt" in offers("bicornctl --socket n")


# --- bicorn-migrate(7) --------------------------------------------------------------

def page(name):
    return made("man/" + name).read_text()


def rows(title):
    """The rows of the table under a heading: [(theirs, ours)]."""
    text = page("bicorn-migrate.7")
    part = re.search(r"^\.Sh %s\n(.*?)(?=^\.Sh )" % title, text,
                     re.M | re.S).group(1)
    return re.findall(r"^\.It Li (.*)\n((?:(?!\.It |\.El|\.Pp).*\n)+)", part,
                      re.M)


@pytest.mark.parametrize("title, least", [
    ("UWSGI", 40), ("WAITRESS", 16), ("MOD_WSGI", 23), ("NGINX UNIT", 33)])
def test_every_row_leads_somewhere(title, least):
    """What is to be written instead exists; a row says something."""
    table = rows(title)
    assert len(table) >= least
    for theirs, ours in table:
        named = re.findall(r"^\.Ic (\w+)", ours, re.M)
        assert set(named) <= NAMES, (theirs, named)
        assert named or ".Dv SIG" in ours or re.search(
            r"nothing|always|application|bicorn DIR|systemd|task queue|"
            r"proxy", ours), (theirs, ours)


def test_every_setting_of_gunicorn_is_there(run):
    """And says what --explain says."""
    text = page("bicorn-migrate.7")
    part = re.search(r"^\.Ss Settings\n(.*?)(?=^\.Ss |^\.Sh )", text,
                     re.M | re.S).group(1)
    same = set(re.findall(r"^\.Ic (\w+)", part, re.M))
    other = set(re.findall(r"^\.It Li (\w+)", part, re.M))
    theirs = set(re.findall(r"^GUNICORN\((\w+),", (
        SOURCE / "src/conf/gunicorn.def").read_text(), re.M))
    assert not same & other
    assert same | other == theirs
    said = run("--explain").stdout
    for name in same:
        m = re.search(r"^%s .*$" % name, said, re.M)
        assert not m or not re.search("ignored|refused", m.group(0)), name


def small(tmp_path):
    (tmp_path / "shop.py").write_text(
        "def app(e, s):\n    s('200 OK', [])\n    return [b'hello']\n"
        "def make():\n    return app\n")
    return tmp_path


@pytest.mark.python
def test_a_command_line_of_uwsgi(bicorn, tmp_path):
    """uwsgi --http :8000 -w shop:app --processes 2 --threads 3 --harakiri 20
    --max-requests 1000 --reload-on-rss 500 --limit-post 1000 --disable-logging
    --buffer-size 32768 --post-buffering 65536 --env A=B --listen 100"""
    server = bicorn(
        "--workers", 2, "--threads", 3, "--request-timeout", 20,
        "--max-requests", 1000, "--max-worker-memory", "500M",
        "--limit-request-body", 1000, "--limit-request-line", 32768,
        "--body-buffer", 65536, "--env", "A=B", "--backlog", 100,
        "shop:app", cwd=small(tmp_path))
    assert server.get("/").body == b"hello"
    assert len(server.workers()) == 2
    assert server.get("/", method="POST", body=b"x" * 1001).status == 413


@pytest.mark.python
def test_a_configuration_of_unit(bicorn, tmp_path):
    conf = tmp_path / "bicorn.conf"
    conf.write_text('''
        wsgi_app = "shop:make()";
        pythonpath = "%s";
        raw_env = [ "SCRIPT_NAME=/shop" ];
        workers = 2; threads = 2;
        request_timeout = 10; max_requests = 1000;
        header_timeout = 30; body_timeout = 30; send_timeout = 30;
        keepalive = 180; limit_request_body = "8M"; server_header = "off";
        forwarded_allow_ips = [ "127.0.0.1" ];
    ''' % small(tmp_path))
    server = bicorn("-c", conf)
    r = server.get("/shop/")
    assert r.body == b"hello" and r.header("Server") is None


# --- bicorn-wsgi(7) -----------------------------------------------------------------

@pytest.mark.python
def test_environ_is_as_the_page_says(wsgi):
    """Every key is on the page, and every plain key of the page is there."""
    text = page("bicorn-wsgi.7")
    part = re.search(r"^\.Ss environ\n(.*?)(?=^\.Ss )", text,
                     re.M | re.S).group(1)
    told = set()
    for line in re.findall(r"^\.It Ql (.*)$", part, re.M):
        told |= set(re.findall(r"[\w.]+", line)) - {"Ns", "Ar", "NAME"}
    server = wsgi('''
        def app(environ, start_response):
            start_response("200 OK", [])
            return [" ".join(environ).encode()]
    ''', "--request-id", "X-Request-ID")
    there = set(server.get("/", method="POST", body=b"x", headers=[
        ("Content-Type", "text/plain"),
        ("Upgrade", "websocket")]).body.decode().split())
    fields = {k for k in there if k.startswith("HTTP_")}
    assert there - fields <= told
    elsewhere = {k for k in told if k.startswith(("SSL_", "PROXY_"))}
    assert told - elsewhere - {"HTTP_"} <= there


def test_installed_page_names_no_machine():
    for name in ("bicorn-wsgi.7", "bicorn-migrate.7"):
        assert not re.search(r"@\w+@", Path(made("man/" + name)).read_text())


PAGES = ("bicorn.8", "bicorn.conf.5", "bicorn_app.3", "bicorn-wsgi.7",
         "bicorn-migrate.7", "bicornctl.8")


@pytest.mark.parametrize("page", PAGES)
def test_pages_render_without_warnings(page):
    """By the two programs that show manuals: groff and mandoc."""
    path = BUILD / "man" / page
    if not path.exists():
        pytest.skip("not in a build folder, or built without it")
    ran = 0
    for command in (["groff", "-mandoc", "-ww", "-Tutf8", "-K", "utf8", "-z"],
                    ["mandoc", "-T", "lint", "-W", "warning"]):
        if shutil.which(command[0]):
            p = subprocess.run([*command, str(path)], capture_output=True,
                               text=True, env=harness.environment())
            assert (p.stdout + p.stderr).strip() == "", command[0]
            ran += 1
    if not ran:
        pytest.skip("needs groff or mandoc")
