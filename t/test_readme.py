# SPDX-License-Identifier: MIT
"""README step by step: its files are written, its commands are run, and what
it says they print is compared.

"$ " and "# " begin a command, indented lines behind it are what it prints.  A
paragraph that ends with "NAME:" stands in front of the file of that name.

What a test cannot do is done otherwise: paths of the system lie below a
folder, ports are free ones, pip finds Flask already there, and systemd is this
test, which starts what the unit says and waits for READY.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import textwrap
from pathlib import Path

import pytest

import harness
from harness import BICORN, BUILD, SOURCE
from test_install import expand

TEXT = (SOURCE / "README").read_text()

pytestmark = [
    pytest.mark.once,
    pytest.mark.python,
    pytest.mark.skipif(not (BUILD / "Makefile").exists(),
                       reason="not in a build folder"),
    pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")]


def section(title):
    m = re.search(r"^%s\n-+\n(.*?)(?=^\S[^\n]*\n-{4,}$|\Z)"
                  % re.escape(title), TEXT, re.M | re.S)
    assert m, "README has no section %r" % title
    return m.group(1)


def blocks(text):
    """(the line in front, the indented text) of each indented part."""
    before, block = "", []
    for line in [*text.split("\n"), "end"]:
        if line.startswith("    ") or (block and not line):
            block.append(line)
            continue
        if block:
            yield before, textwrap.dedent("\n".join(block)).strip("\n") + "\n"
            block = []
        before = line or before


def steps(text):
    """("file", name, text) and ("run", who, command, output) in order."""
    for before, body in blocks(text):
        m = re.search(r"(\S+\.\w+):$", before)
        if not re.match(r"[$#] ", body):
            if m:
                yield "file", m.group(1), body
            continue
        body = re.sub(r"\\\n\s+", "", body)
        for m in re.finditer(r"^([$#]) (.*)\n((?:(?![$#] ).*\n)*)", body,
                             re.M):
            yield "run", m.group(1), m.group(2), m.group(3)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Walk:
    """Somebody who follows README."""

    def __init__(self, folder, start):
        self.folder = folder / "checkout"
        self.folder.mkdir()
        self.root = folder / "root"
        (self.root / "etc/systemd/system").mkdir(parents=True)
        self.start = start
        self.server = None
        self.port, self.tls_port = free_port(), free_port()
        self.cwd = {"$": self.folder, "#": self.folder}
        (self.folder / "bicorn").symlink_to(BICORN)
        (self.folder / "include").symlink_to(SOURCE / "include")
        self.ran = []

    def translate(self, text):
        text = re.sub(r"(?<![\w./])/(srv|usr/local|etc/systemd|var/log)\b",
                      lambda m: str(self.root) + m.group(0), text)
        text = text.replace(str(self.root) + "/usr/local/share/doc/bicorn",
                            str(self.root) + expand("docdir"))
        text = text.replace("8443", str(self.tls_port))
        text = text.replace(":8000", ":%d" % self.port)
        return text.replace("/usr/bin/python3", harness.PYTHON)

    def file(self, name, text):
        path = Path(self.translate(name))
        path = path if path.is_absolute() else self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.translate(text))

    def run(self, who, command, output):
        self.ran.append(command)
        words = self.translate(command).split()
        if words[0] == "./bootstrap" or words[0] in ("useradd", "chgrp"):
            return                  # built already; nobody else is here
        if words[0] == "systemctl":
            self.systemctl(words[1:])
        elif words[0] == "cd":
            self.cwd[who] = Path(words[1])
        elif words[0] == "./bicorn":
            self.serve(words[1:])
        else:
            self.do(who, self.instead(words), output)

    def instead(self, words):
        if words[:3] == ["make", "-C", "build"]:
            return ["make", "-s", "-C", str(BUILD), "install",
                    "DESTDIR=%s" % self.root]
        if words[0].endswith("/pip"):
            return [words[0][:-3] + "python", "-c", "import flask"]
        if words[1:3] == ["-m", "venv"]:
            return [*words[:3], "--system-site-packages", "--without-pip",
                    *words[3:]]
        if words[0] == "bicorn":
            return [str(self.root) + expand("bindir") + "/bicorn", *words[1:]]
        return words

    def do(self, who, words, output):
        p = subprocess.run(words, cwd=self.cwd[who], capture_output=True,
                           text=True, env=harness.environment(),
                           timeout=6 * harness.DEADLINE)
        assert p.returncode == 0, "%s\n%s%s" % (" ".join(words), p.stdout,
                                                p.stderr)
        if output:
            assert p.stdout == output, " ".join(words)

    def serve(self, args):
        if self.server:
            self.server.stop()
        self.server = self.start(*args, bind=None, cwd=self.folder, env={
            "BICORN_BIND": "127.0.0.1:%d" % self.port})

    def systemctl(self, words):
        unit = self.root / "etc/systemd/system/bicorn@.service"
        if words[:2] != ["enable", "--now"]:
            return
        if shutil.which("systemd-analyze"):
            p = subprocess.run(["systemd-analyze", "verify", str(unit)],
                               capture_output=True, text=True)
            wrong = [x for x in p.stderr.splitlines() if unit.name in x and
                     "not executable" not in x]
            assert not wrong, wrong
        found = dict(re.findall(r"^(\w+)=(.+)$", unit.read_text(), re.M))
        logs = self.root / "var/log/bicorn/shop"
        logs.mkdir(parents=True)
        run = self.root / "run/bicorn-shop"
        run.mkdir(parents=True)
        line = found["ExecStart"].replace("%t", str(self.root / "run"))
        line = line.replace("%i", "shop").split()
        line = [str(self.root) + x if x.startswith(("/usr/local", expand(
            "bindir"), expand("sysconfdir"))) else x for x in line]
        path = "\0bicorn-readme-%d" % os.getpid()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(harness.DEADLINE)
            self.service = subprocess.Popen(
                line, cwd=self.translate(found["WorkingDirectory"].replace(
                    "%i", "shop")), stdin=subprocess.DEVNULL,
                env=harness.environment({"NOTIFY_SOCKET": "@" + path[1:]}),
                start_new_session=True)
            while b"READY=1" not in notify.recv(4096):
                pass

    def follow(self, title):
        for kind, *rest in steps(section(title)):
            getattr(self, kind)(*rest)


@pytest.fixture
def walk(tmp_path, bicorn):
    w = Walk(tmp_path, bicorn)
    w.service = None
    yield w
    if w.service:
        w.service.send_signal(signal.SIGTERM)
        try:
            assert w.service.wait(harness.DEADLINE) == 0
        finally:
            if w.service.poll() is None:
                os.killpg(w.service.pid, signal.SIGKILL)


def test_ten_minutes(walk):
    for module in ("venv", "flask"):
        if subprocess.run([harness.PYTHON, "-c", "import " + module],
                          capture_output=True).returncode != 0:
            pytest.skip("needs Python's %s" % module)
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    if expand("prefix") != "/usr/local":
        pytest.skip("the build is for another prefix")
    walk.follow("From nothing to a service in ten minutes")
    assert walk.service is not None
    assert sum("curl" in x for x in walk.ran) == 3
    log = walk.root / "var/log/bicorn/shop/access.log"
    harness.wait_for(lambda: '"GET / HTTP/1.1" 200' in log.read_text(),
                     "the line of the request")


def test_applications_in_c(walk):
    walk.follow("Applications in C")
    assert any("curl" in x for x in walk.ran)


def test_options_exist(run):
    """Every option that README names is one."""
    said = run("--help").stdout
    for flag in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT)):
        if flag in ("--sysconfdir", "--without-python", "--without-admin", "--enable-debug",
                    "--system", "--home-dir", "--shell", "--cacert",
                    "--cflags", "--host", "--now", "--prefix"):
            continue
        assert re.search(re.escape(flag) + r"\b", said), flag
