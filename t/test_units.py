# SPDX-License-Identifier: MIT
"""The units of systemd and the rotation of logs that come as examples."""
import os
import re
import shutil
import signal
import subprocess

import pytest

import harness
from harness import BUILD, SOURCE, wait_for
from test_arbiter import life  # noqa: F401

SERVICES = "bicorn.service", "bicorn@.service"

# Those of systemd.unit(5), systemd.service(5), systemd.exec(5),
# systemd.kill(5), systemd.socket(5) that may be used, all older than
# systemd 247.
KNOWN = {
    "Unit": "Description Documentation After",
    "Service": """Type ExecStart ExecReload ExecStop User Group
        WorkingDirectory KillMode TimeoutStartSec TimeoutStopSec WatchdogSec
        Restart RestartSec RestartPreventExitStatus RuntimeDirectory LogsDirectory UMask
        LimitNOFILE CapabilityBoundingSet AmbientCapabilities NoNewPrivileges
        ProtectSystem ProtectHome PrivateTmp PrivateDevices ProtectClock
        ProtectControlGroups ProtectHostname ProtectKernelLogs
        ProtectKernelModules ProtectKernelTunables ProtectProc
        RestrictAddressFamilies RestrictNamespaces RestrictRealtime
        RestrictSUIDSGID LockPersonality RemoveIPC SystemCallArchitectures
        SystemCallFilter SystemCallErrorNumber""",
    "Socket": "ListenStream SocketMode",
    "Install": "WantedBy",
}

pytestmark = pytest.mark.skipif(
    not (BUILD / "Makefile").exists(), reason="not in a build folder")


@pytest.fixture(scope="module")
def built():
    """What is made while building."""
    subprocess.run(["make", "-s", *("etc/" + x for x in SERVICES)], cwd=BUILD,
                   env=harness.environment(), check=True)
    return BUILD / "etc"


def where(built, name):
    return (built if name in SERVICES else SOURCE / "etc") / name


def read(path):
    """Sections of (name, value)."""
    sections, into = {}, None
    for line in path.read_text().splitlines():
        if re.fullmatch(r"\[\w+\]", line):
            into = sections.setdefault(line[1:-1], [])
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals and name == name.strip(), line
            into.append((name, value))
    return sections


def seconds(settings, name):
    return float(dict(settings)[name])


@pytest.mark.parametrize("name", [*SERVICES, "bicorn.socket"])
def test_settings_exist(built, name):
    unit = read(where(built, name))
    for section, settings in unit.items():
        names = [n for n, _ in settings]
        assert set(names) <= set(KNOWN[section].split()), section
        assert len(names) == len(set(names))
    assert not re.search(r"@\w+dir@", where(built, name).read_text())


@pytest.mark.parametrize("name", SERVICES)
def test_times_fit_the_defaults(built, run, name):
    service = read(where(built, name))["Service"]
    ours = {m.group(1): float(m.group(2)) for m in re.finditer(
        r"^#?\s*(\w*timeout) = \"?(\d+)", run("--print-config", "./").stdout,
        re.M)}
    assert seconds(service, "TimeoutStartSec") > ours["boot_timeout"]
    assert seconds(service, "TimeoutStopSec") > ours["graceful_timeout"]
    assert seconds(service, "WatchdogSec") > ours["timeout"]


@pytest.mark.parametrize("name", SERVICES)
def test_command_runs(built, bicorn, life, tmp_path, name):  # noqa: F811
    """Just as it stands there, the folders of the system replaced."""
    command = dict(read(where(built, name))["Service"])["ExecStart"]
    for old, new in (("%t/bicorn-%i", str(tmp_path)), ("%i", "shop"),
                     ("%t/bicorn", str(tmp_path)),
                     ("/bicorn/shop.conf", "/bicorn.conf"),
                     (harness.make_variable("sysconfdir").replace(
                         "${prefix}", harness.make_variable("prefix")),
                      str(tmp_path))):
        command = command.replace(old, new)
    (tmp_path / "bicorn.conf").write_text('wsgi_app = "%s";\n' % life)
    words = command.split()
    assert words[0].endswith("/bicorn")
    server = bicorn(*words[1:])
    assert (tmp_path / "bicorn.pid").read_text() == "%d\n" % server.pid
    assert server.stop() == 0


@pytest.mark.parametrize("name", [*SERVICES, "bicorn.socket"])
def test_systemd_agrees(built, tmp_path, name):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    for unit in (*SERVICES, "bicorn.socket"):
        text = where(built, unit).read_text()
        text = re.sub(r"ExecStart=\S+", "ExecStart=%s" % harness.BICORN, text)
        (tmp_path / unit).write_text(text)
    unit = name.replace("@", "@shop")
    if unit != name:
        (tmp_path / unit).write_text((tmp_path / name).read_text())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**harness.environment(), "SYSTEMD_UNIT_PATH": "%s:" % tmp_path})
    said = [x for x in done.stdout.splitlines() if "bicorn" in x]
    assert done.returncode == 0 and not said, done.stdout


def test_rotation(bicorn, life, tmp_path):  # noqa: F811
    """The script finds the arbiters by their pid files and has the logs
    opened again."""
    text = (SOURCE / "etc/bicorn.logrotate").read_text()
    script = re.search(r"postrotate\n(.*?)\tendscript", text, re.S).group(1)
    for name in "bicorn", "bicorn-shop":
        (tmp_path / name).mkdir()
    servers = [
        bicorn("--pid", tmp_path / name / "bicorn.pid", "--log-file",
               tmp_path / (name + ".log"), life, wait=False)
        for name in ("bicorn", "bicorn-shop")]
    logs = [tmp_path / "bicorn.log", tmp_path / "bicorn-shop.log"]
    for log in logs:
        wait_for(lambda: log.exists() and "Ready" in log.read_text(), "ready")
        log.rename(str(log) + ".1")
    subprocess.run(["sh", "-ec", script.replace("/run/", "%s/" % tmp_path)],
                   check=True)
    for log in logs:
        wait_for(log.exists, "a new log")
    for server in servers:
        assert server.stop(signal.SIGTERM) == 0


def test_rotation_is_understood(tmp_path):
    if not shutil.which("logrotate"):
        pytest.skip("no logrotate")
    conf = tmp_path / "bicorn"
    conf.write_text(re.sub(r"(?m)^\t(su|create).*\n", "", (
        SOURCE / "etc/bicorn.logrotate").read_text()))
    os.chmod(conf, 0o644)
    done = subprocess.run(
        ["logrotate", "-d", "-s", str(tmp_path / "state"), str(conf)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0 and "error:" not in done.stdout, done.stdout
