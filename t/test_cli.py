# SPDX-License-Identifier: MIT
"""The command line: options, help, errors and exit codes."""
import os
import re
import subprocess

import pytest

import harness

ROWS = re.findall(
    r'^SETTING\((\w+), (\w+), "((?:[^"\\]|\\.)*)", .*?, SEC_\w+, (NULL|"[^"]*"),',
    (harness.SOURCE / "src/conf/settings.def").read_text(), re.M)
FLAGS = [flag for row in ROWS if row[3] != "NULL"
         for flag in row[3].strip('"').split() if flag.startswith("--")]


def refused(proc, status, text):
    """One line on stderr, nothing on stdout, and that exit code."""
    assert proc.stdout == ""
    assert proc.stderr.endswith("\n") and proc.stderr.count("\n") == 1, \
        proc.stderr
    assert text in proc.stderr
    assert proc.returncode == status


def printed(run, *args, **kw):
    """What --print-config says, as {name: (value, source)}."""
    proc = run("--print-config", *args, **kw)
    assert proc.returncode == 0, proc.stderr
    return {m[1]: (m[2], m[3]) for m in re.finditer(
        r"^(\w+) = (.*?); +# (.*)$", proc.stdout, re.M)}


def test_table_is_read():
    assert len(ROWS) > 40 and len(FLAGS) > 40


# ---- help and version ----

@pytest.mark.parametrize("flag", ["-h", "--help", "--hel"])
def test_help(run, flag):
    proc = run(flag)
    assert proc.returncode == 0 and proc.stderr == ""
    lines = proc.stdout.split("\n")
    assert lines[0] == "Usage: bicorn [OPTIONS] [APP]"
    assert max(map(len, lines)) < 80
    assert "\t" not in proc.stdout
    for flag in FLAGS:
        if flag not in ("--limit-request-field-size", "--log-file",
                        "--paster"):
            assert re.search(r"(^|[ ,])%s($|[ ,])" % flag, proc.stdout, re.M), flag
    for example in ("bicorn -w 4 myapp:app", "bicorn ./hello.so",
                    "bicorn ./public/"):
        assert example in proc.stdout
    for section in ("General", "Listening", "Workers and threads", "Logging"):
        assert "\n%s\n" % section in proc.stdout
    assert "[127.0.0.1:8000]" in proc.stdout


def test_help_whatever_else_is_wrong(run, tmp_path):
    (tmp_path / "bicorn.conf").write_text("nonsense")
    env = {"BICORN_CMD_ARGS": "'", "BICORN_THREADS": "x"}
    for flag in ("--help", "--version"):
        assert run(flag, "--nonsense", cwd=tmp_path, env=env).returncode == 0
    # What stands in front was read, though.
    assert run("--nonsense", "--help").returncode == 2


def test_version(run):
    proc = run("--version")
    assert proc.returncode == 0 and proc.stderr == ""
    lines = proc.stdout.splitlines()
    assert re.fullmatch(r"bicorn \(version \d+\.\d+\.\d+\)", lines[0])
    features = dict(line.split(": ", 1) for line in lines[1:])
    assert re.match(r"\d+\.\d+", features["libconfig"])
    assert "TLS" in features
    assert ("not built in" in features["WSGI"]) == (not harness.HAS_PYTHON)
    assert run("-v").stdout == proc.stdout


def test_output_that_cannot_be_written():
    with open("/dev/full", "w") as full:
        proc = subprocess.run([str(harness.BICORN), "--help"], stdout=full,
                              stderr=subprocess.PIPE,
                              env=harness.environment(), text=True)
    assert proc.returncode == 1 and "No space left" in proc.stderr


# ---- forms of options ----

@pytest.mark.parametrize("words", [
    ["-w", "3"], ["-w3"], ["-w=3"], ["--workers", "3"], ["--workers=3"],
    ["--workers", "9", "-w3"], ["--worker-connections", "9", "--workers=3"],
])
def test_forms(run, words):
    assert printed(run, *words)["workers"] == ("3", "command line")
    assert printed(run, "a:b", *words)["wsgi_app"] == ('"a:b"', "command line")


def test_switches(run):
    assert printed(run)["sendfile"] == ("true", "default")
    assert printed(run, "--no-sendfile")["sendfile"][0] == "false"
    assert printed(run, "--preload")["preload_app"][0] == "true"
    assert printed(run, "--preload", "--no-preload")["preload_app"][0] == "false"


def test_prefixes(run):
    assert printed(run, "--thr", "3")["threads"][0] == "3"
    assert printed(run, "--max-requests-j=3")["max_requests_jitter"][0] == "3"
    assert printed(run, "--max-requests=3")["max_requests"][0] == "3"
    refused(run("--worker", "3", "a"), 2, "may mean --workers, ")


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_is_known(run, flag):
    """Each one takes a value, or is a switch that takes none."""
    name, kind = next((row[0], row[1]) for row in ROWS
                      if flag in row[3].strip('"').split())
    if kind == "BOOL":
        refused(run(flag + "=x", "a"), 2, "%s (command line): takes no value" % flag)
        value = "false" if flag.startswith("--no-") else "true"
        assert printed(run, flag)[name] == (value, "command line")
    elif flag == "--proxy-protocol":
        # Its value may be left out; the next word may be the application.
        assert printed(run, flag, "a:b")[name] == ('"true"', "command line")
        assert printed(run, flag, "v2")[name] == ('"v2"', "command line")
        refused(run(flag + "=x", "a"), 2,
                "%s x (command line): must be off, v1" % flag)
    else:
        refused(run(flag), 2, "%s (command line): needs a value" % flag)
        if kind not in ("TEXT", "LIST"):
            refused(run(flag, "x", "a"), 2, "%s x (command line): must be" % flag)


def test_options_end(run):
    assert printed(run, "--", "a:b")["wsgi_app"][0] == '"a:b"'
    refused(run("--", "--print-config", "b"), 2, "b (command line): a second")


def test_lists(run):
    values = printed(run, "-b", ":1", "--bind", "[::1]:2", "-b:3,:4",
                     "-e", "A=1,2", "-e", "B=3", "--pythonpath", "x,y")
    assert values["bind"][0] == '[ ":1", "[::1]:2", ":3", ":4" ]'
    assert values["raw_env"][0] == '[ "A=1,2", "B=3" ]'
    assert values["pythonpath"][0] == '[ "x", "y" ]'


def test_units(run):
    values = printed(run, "--timeout", "1.5m", "--keep-alive", "250ms",
                     "--limit-request-body", "1.5G", "--body-buffer", "2000")
    assert values["timeout"][0] == "90"
    assert values["keepalive"][0] == "0.25"
    assert values["limit_request_body"][0] == '"1536M"'
    assert values["body_buffer"][0] == "2000"


# ---- errors ----

@pytest.mark.parametrize("words, text", [
    ([], "No application module specified"),
    (["-w", "2"], "No application module specified"),
    (["--check-config"], "No application module specified"),
    ([""], "the application has no name"),
    (["a", "b"], "b (command line): a second application"),
    (["--treads", "4", "a"],
     "--treads (command line): no such option; did you mean --threads?"),
    (["--keepalive", "4", "a"], "did you mean --keep-alive?"),
    (["-z", "a"], "-z (command line): no such option"),
    (["--threads"], "--threads (command line): needs a value"),
    (["--threads", "0", "a"], "--threads 0 (command line): must be 1..1024"),
    (["--threads=0", "a"], "--threads 0 (command line): must be 1..1024"),
    (["--threads", "1025", "a"], "must be 1..1024"),
    (["--threads", "-1", "a"], "--threads -1 (command line): must be 1..1024"),
    (["--threads", "99999999999999999999", "a"], "must be 1..1024"),
    (["--threads", "4.0", "a"], "must be a whole number, 1..1024"),
    (["--threads", "", "a"], "must be a whole number, 1..1024"),
    (["-w", "four", "a"], "must be a whole number, 1..1024 or auto"),
    (["--threads", "auto", "a"], "must be a whole number, 1..1024"),
    (["--timeout", "soon", "a"], "must be a duration, 0..86400 seconds"),
    (["--timeout", "1e9", "a"], "must be a duration"),
    (["--timeout", "25h", "a"], "must be 0..86400 seconds"),
    (["--limit-request-fields", "0", "a"], "must be 1..32768"),
    (["--limit-request-body", "1X", "a"], "must be a size in bytes"),
    (["--daemon=yes", "a"], "--daemon (command line): takes no value"),
    (["--pid", "--daemon", "a"], "--pid (command line): needs a value"),
    (["-b", "localhost:port", "a"], "a port of 0..65535"),
    (["-b", "8000", "a"], "a port alone is written :8000"),
    (["-b", "", "a"], "-b '' (command line): must name an address"),
    (["--log-level", "loud", "a"], "debug, info, warning, error or critical"),
    (["--access-logformat", "", "a"], "must not be empty"),
    (["--umask", "999", "a"], "must be 0..0777"),
    (["-e", "NAME", "a"], "-e NAME (command line): must be NAME=VALUE"),
    (["--forwarded-allow-ips", "localhost", "a"], "not an address"),
    (["--header-map", "keep", "a"], "drop, refuse or dangerous"),
])
def test_wrong_command_line(run, words, text):
    proc = run(*words)
    status = 1 if "must name an address" in text else 2
    refused(proc, status, text)
    assert proc.stderr.startswith("bicorn: error: ")


@pytest.mark.parametrize("words, text", [
    (["-c", "missing.conf", "a"], "missing.conf: No such file"),
    (["-c", "/", "a"], "/: Is a directory"),
    (["--chdir", "/nonexistent", "a"], "--chdir /nonexistent (command line): No such"),
    (["--user", "no-such-user", "a"], "there is no such user"),
    (["--group", "no-such-group", "a"], "there is no such group"),
    (["-b", ":1", "-b", ":1", "a"], ":1 is there twice"),
])
def test_settings_that_the_system_refuses(run, words, text):
    refused(run(*words), 1, text)


@pytest.mark.parametrize("words", [
    ["\x1b[31m\n\r"], ["--\x1b[31m\n"], ["-\n"],
    ["--log-level", "\x1b]0;x\x07\n[CRITICAL] forged"],
    ["-w", "9" * 100000], ["--" + "x" * 100000], ["-b", ":" * 100000],
    ["--" + "=" * 100], ["-=-=-"],
])
def test_hostile_words(run, words):
    proc = run(*words, "a")
    assert proc.returncode == 2
    assert proc.stderr.count("\n") == 1
    assert len(proc.stderr) < 1000
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", proc.stderr)


def test_many_words(run):
    assert printed(run, *["-D"] * 5000, *["-e", "A=1"] * 500)["daemon"][0] == "true"


def test_bytes_that_are_no_text(run):
    proc = subprocess.run(
        [str(harness.BICORN), b"--log-level", b"\xff\xfe", b"a"],
        capture_output=True, env=harness.environment())
    assert proc.returncode == 2 and proc.stderr.count(b"\n") == 1


# ---- workers ----

def test_workers_auto(run):
    cpus = len(os.sched_getaffinity(0))
    value, source = printed(run, "-w", "auto")["workers"]
    assert value == '"auto"'
    shown = int(re.fullmatch(r"command line, (\d+) CPUs?", source).group(1))
    assert 1 <= shown <= cpus
    one = {min(os.sched_getaffinity(0))}
    proc = subprocess.run(
        [str(harness.BICORN), "-w", "auto", "--print-config"],
        capture_output=True, text=True, env=harness.environment(),
        preexec_fn=lambda: os.sched_setaffinity(0, one))
    assert '"auto";               # command line, 1 CPU\n' in proc.stdout


def test_check_config(run, tmp_path):
    (tmp_path / "public").mkdir()
    proc = run("--check-config", "./public/", cwd=tmp_path)
    assert proc.returncode == 0, proc.stderr
    proc = run("--check-config", "--threads", "0", "./public/", cwd=tmp_path)
    refused(proc, 2, "--threads 0 (command line): must be 1..1024")
