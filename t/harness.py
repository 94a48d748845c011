# SPDX-License-Identifier: MIT
"""Starts the real bicorn, talks to it over real sockets, and says what it did.

Nothing here sleeps to synchronise: the server says in its log when it is
ready, and every wait has a deadline.  A deadline that passes fails the test
and shows the log.
"""
import errno
import os
import re
import select
import signal as signals
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent


def _find_executable():
    named = os.environ.get("BICORN")
    for path in [named] if named else (SOURCE / "bicorn", SOURCE / "build/bicorn"):
        if os.path.exists(path):
            return Path(path).resolve()
    sys.exit("t/harness.py: no bicorn to test: build it, or say BICORN=PATH")


BICORN = _find_executable()
BUILD = BICORN.parent
_CONFIG = ""
if (BUILD / "config.h").exists():
    _CONFIG = (BUILD / "config.h").read_text()
HAS_PYTHON = "#define HAVE_PYTHON 1" in _CONFIG
_MAKEFILE = ""
if (BUILD / "Makefile").exists():
    _MAKEFILE = (BUILD / "Makefile").read_text()


def make_variable(name, default=""):
    """The value of a variable in the Makefile of the build."""
    m = re.search(r"^%s = *(.*)$" % re.escape(name), _MAKEFILE, re.M)
    return m.group(1) if m else default


# The Python that bicorn was built for: where Flask and Django must be.
PYTHON = make_variable("PYTHON") or "/usr/bin/python3"
# Of a free-threaded Python it is off, unless something puts it on.
HAS_LOCK = not make_variable("PYTHON_TAG").endswith("t")
SANITIZERS = make_variable("BICORN_SANITIZERS")
CC = make_variable("CC", "cc")

# Waits are for things that take milliseconds; a sanitizer slows them down.
DEADLINE = 60.0 if SANITIZERS else 20.0

# What a program says in its last words when it is wrong itself.
ALARMS = re.compile(
    r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:"
    r"|bicorn: bug:|Fatal Python error|stack smashing|corrupted|double free")


def runs_python(args):
    """Whether that command line loads the interpreter, which keeps memory
    on purpose: leaks cannot be looked for then."""
    app = str(args[-1]) if args else ""
    return HAS_PYTHON and not (
        app.endswith((".so", "/")) or ".so:" in app or app.startswith("-")
        or os.path.isdir(app))


def environment(extra=None, leaks=False):
    """The environment of this process without what bicorn would read."""
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("BICORN", "PYTHON", "GUNICORN", "LC_"))
           and k not in ("PORT", "WEB_CONCURRENCY", "VIRTUAL_ENV", "LANG",
                         "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID",
                         "MAKEFLAGS", "MFLAGS", "FORWARDED_ALLOW_IPS")}
    env["LANG"] = "C.UTF-8"
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    if SANITIZERS:
        # The interpreter's own allocator would hide errors; without its lock
        # it knows no other.
        if HAS_LOCK:
            env["PYTHONMALLOC"] = "malloc"
        env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + \
            ":detect_leaks=%d:abort_on_error=0:handle_abort=0" % leaks
        env["UBSAN_OPTIONS"] = "print_stacktrace=1"
        env["TSAN_OPTIONS"] = os.environ.get("TSAN_OPTIONS", "") + \
            ":die_after_fork=0:suppressions=%s" % (SOURCE / "t/tsan.supp")
    for key, value in (extra or {}).items():
        if value is None:
            env.pop(key, None)
        else:
            env[key] = str(value)
    return env


DENY = r"""
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALL, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ERROR),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, steps };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		return 77;
	execv(argv[1], argv + 1);
	return 1;
}
"""


def deny(folder, call, error):
    """A wrapper for Server under which a system call fails; or None."""
    if os.uname().machine != "x86_64":
        return None  # the filter looks at one architecture
    (folder / "deny.c").write_text(DENY)
    subprocess.run([*CC.split(), "-DCALL=SYS_" + call, "-DERROR=" + error,
                    "deny.c", "-o", "deny"], cwd=folder, check=True)
    if subprocess.run([folder / "deny", "/bin/true"]).returncode == 77:
        return None
    return [folder / "deny"]


def run(*args, cwd=None, env=None, stdin=None, timeout=None):
    """Runs bicorn to its end: --help, --check-config, settings refused."""
    return subprocess.run(
        [str(BICORN), *map(str, args)], cwd=cwd,
        env=environment(env, not runs_python(args)),
        input=stdin, capture_output=True, text=True, errors="replace",
        timeout=timeout or DEADLINE)


def _with_stat(field, value, dead=False):
    """The pids of which /proc/PID/stat has that value in a field, counted
    from the one behind the name: of those that live, or of zombies."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = Path("/proc", entry, "stat").read_text()
        except OSError:
            continue
        fields = stat.rsplit(")", 1)[1].split()
        if int(fields[field]) == value and (fields[0] == "Z") == dead:
            found.append(int(entry))
    return sorted(found)


def processes(session):
    """The pids of a session, zombies left out."""
    return _with_stat(3, session)


def zombies(session):
    """Those that nobody has waited for, or not yet."""
    return _with_stat(3, session, dead=True)


def is_dead(pid):
    try:
        stat = Path("/proc/%d/stat" % pid).read_text()
    except OSError:
        return True
    return stat.rsplit(")", 1)[1].split()[0] == "Z"


def children(pid, dead=False):
    """The pids of the children of a process.  With dead, those that were there
    at one time: who is found dead a moment later is not left out."""
    try:
        found = [int(child) for task in os.listdir("/proc/%d/task" % pid)
                 for child in Path("/proc", str(pid), "task", task,
                                   "children").read_text().split()]
    except OSError:         # it is gone, or the kernel has no such file
        return _with_stat(1, pid)
    return sorted(c for c in found if dead or not is_dead(c))


def open_files(pid):
    """What the descriptors of a process are, as /proc has them."""
    found = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            found.append(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except OSError:
            continue
    return found


def descriptors(pid):
    """What they are, without the numbers of sockets, processes and threads;
    none of a process that has gone."""
    try:
        return sorted(re.sub(r"\d+", "N", x.split(":")[0])
                      for x in open_files(pid))
    except OSError:
        return []


def settled(look):
    """What look() returns once it has been the same for some time: what one
    who came or left had may be there for a moment more."""
    seen = []

    def still():
        seen.append(look())
        return len(seen) > 9 and all(x == seen[-1] for x in seen[-9:])

    wait_for(still, "things to settle")
    return seen[-1]


def refused(address):
    """Whether nobody listens there."""
    try:
        Conn(address).close()
        return False
    except ConnectionRefusedError:
        return True


def is_helper(pid):
    try:
        return Path("/proc/%d/comm" % pid).read_text() == "bicorn-helper\n"
    except OSError:
        return False


def admin_process(pid):
    """The one of an arbiter, once its title says what it is."""
    return wait_for(lambda: [
        p for p in children(pid)
        if b"admin" in open("/proc/%d/cmdline" % p, "rb").read()],
        "the admin process")[0]


def wait_for(condition, what, timeout=None):
    """Until condition() is true: for what no log line tells, as a process
    that leaves.  Returns what it returned."""
    end = time.monotonic() + (timeout or DEADLINE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited in vain for: %s" % what)
        time.sleep(0.005)


class Lines:
    """What a pipe says, line by line, read by a thread of its own."""

    def __init__(self, pipe):
        self.lines = []
        self.closed = False
        self._begun = b""       # a line of which the end is to come
        self._changed = threading.Condition()
        self._pipe = pipe
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        with self._pipe:
            while not self.closed:
                self._wait_for_some()
                with self._changed:
                    self._take()

    def _wait_for_some(self, timeout_ms=None):
        """Whether bytes, or the end, are there to take."""
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        return bool(poll.poll(timeout_ms))

    def _take(self):
        """What is there: a whole pipe at most.  Under the lock, so that who
        has it then has all that was written before."""
        if self.closed or not self._wait_for_some(0):
            return
        data = os.read(self._pipe.fileno(), 1 << 16)
        *whole, self._begun = (self._begun + data).split(b"\n")
        if not data:
            self.closed = True
            whole += [self._begun] if self._begun else []
        self.lines += [raw.decode("utf-8", "replace") for raw in whole]
        self._changed.notify_all()

    def text(self):
        with self._changed:
            self._take()
            return "\n".join(self.lines)

    def count(self):
        """How many there are, with those that were written before this call
        and that nobody has read yet: what comes later is news."""
        with self._changed:
            self._take()
            return len(self.lines)

    def wait(self, pattern, timeout=None, since=0):
        """The match of the first line, from line `since` on, that pattern
        is found in."""
        pattern = re.compile(pattern)
        end = time.monotonic() + (timeout or DEADLINE)
        at = since
        with self._changed:
            while True:
                while at < len(self.lines):
                    m = pattern.search(self.lines[at])
                    if m:
                        return m
                    at += 1
                left = end - time.monotonic()
                if self.closed or left <= 0:
                    why = "ended" if self.closed else "did not say it in time"
                    raise AssertionError(
                        "no line with %r: the server %s. It said:\n%s" % (
                            pattern.pattern, why, "\n".join(self.lines)))
                self._changed.wait(left)

    def join(self, timeout):
        self._thread.join(timeout)


class Response:
    """One response as it came over the wire."""

    def __init__(self, status, reason, version, headers, body, trailers=()):
        self.status = status
        self.reason = reason
        self.version = version
        self.headers = headers  # list of (name, value), as sent
        self.body = body
        self.trailers = list(trailers)

    def header(self, name, default=None):
        """The value of a field; several are an error of the test's."""
        found = self.all(name)
        assert len(found) <= 1, "%s: %r" % (name, found)
        return found[0] if found else default

    def all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def __repr__(self):
        return "<%d %s %r %r>" % (self.status, self.reason, self.headers,
                                  self.body[:200])


class Closed(AssertionError):
    """The server closed the connection where more was expected."""


class Conn:
    """A client's connection.  Every wait has a deadline."""

    def __init__(self, address, timeout=None, tls=None):
        self.timeout = timeout or DEADLINE
        family = socket.AF_UNIX if isinstance(address, str) \
            else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sock = socket.socket(family)
        self.sock.settimeout(self.timeout)
        self.sock.connect(address)
        if family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str)
                          else data)
        return self

    def half_close(self):
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as e:
            if e.errno != errno.ENOTCONN:  # the server has reset it
                raise
        return self

    def reset(self):
        """Closes with a RST, as a client that crashed."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        self.sock.close()

    def _fill(self):
        """Reads once; False at the end of the stream."""
        try:
            data = self.sock.recv(65536)
        except socket.timeout:
            raise AssertionError("no more bytes within %g s; so far %r" % (
                self.timeout, self.buffer[-2000:])) from None
        self.buffer += data
        return bool(data)

    def until(self, mark):
        """Reads up to and with the mark and returns it all."""
        while mark not in self.buffer:
            if not self._fill():
                raise Closed("closed before %r; had %r" % (mark, self.buffer))
        at = self.buffer.index(mark) + len(mark)
        out, self.buffer = self.buffer[:at], self.buffer[at:]
        return out

    def exactly(self, count):
        have = bytearray(self.buffer)   # many megabytes, at times
        while len(have) < count:
            self.buffer = b""
            if not self._fill():
                raise Closed("closed after %d of %d bytes" % (
                    len(have), count))
            have += self.buffer
        self.buffer = bytes(have[count:])
        return bytes(have[:count])

    def rest(self):
        """All bytes up to the end of the stream; a reset counts as an end."""
        try:
            while self._fill():
                pass
        except ConnectionResetError:
            pass
        out, self.buffer = self.buffer, b""
        return out

    def quiet(self, seconds=0.1):
        """True when nothing comes, not even an end, for so long."""
        if self.buffer:
            return False
        self.sock.settimeout(seconds)
        try:
            self.buffer += self.sock.recv(65536)
            return False
        except socket.timeout:
            return True
        finally:
            self.sock.settimeout(self.timeout)

    def head(self):
        """Status line and fields: (version, status, reason, headers)."""
        lines = self.until(b"\r\n\r\n")[:-4].decode("latin-1").split("\r\n")
        m = re.fullmatch(r"(HTTP/\d\.\d) (\d{3}) (.*)", lines[0])
        assert m, "not a status line: %r" % lines[0]
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            assert colon and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), \
                "not a field: %r" % line
            headers.append((name, value.strip(" \t")))
        return m.group(1), int(m.group(2)), m.group(3), headers

    def response(self, method="GET"):
        """Reads one response, framing checked; 1xx are the caller's too."""
        version, status, reason, headers = self.head()

        def field(name):
            return [v for k, v in headers if k.lower() == name]

        length, coding = field("content-length"), field("transfer-encoding")
        assert not (length and coding), "both framings: %r" % headers
        assert len(length) <= 1 and len(coding) <= 1, headers
        body, trailers = b"", []
        if method == "HEAD" or status < 200 or status in (204, 304):
            pass
        elif coding:
            assert coding == ["chunked"], coding
            body, trailers = self.chunked()
        elif length:
            body = self.exactly(int(length[0]))
        else:
            body = self.rest()
        return Response(status, reason, version, headers, body, trailers)

    def chunk(self):
        """The data of the next chunk, b"" for the last one."""
        line = self.until(b"\r\n")[:-2]
        size = int(line.split(b";")[0], 16)
        if size == 0:
            return b""
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n", "chunk without its CRLF"
        return data

    def chunked(self):
        body, trailers = bytearray(), []
        while True:
            data = self.chunk()
            if not data:
                break
            body += data
        while True:
            line = self.until(b"\r\n")[:-2]
            if not line:
                return bytes(body), trailers
            name, _, value = line.decode("latin-1").partition(":")
            trailers.append((name, value.strip(" \t")))

    def get(self, target="/", headers=(), method="GET", body=None, close=False,
            version="HTTP/1.1"):
        """Sends a request and reads its response."""
        self.send(request(method, target, headers, body, close, version))
        return self.response(method)


def request(method="GET", target="/", headers=(), body=None, close=False,
            version="HTTP/1.1"):
    """The bytes of a request."""
    if isinstance(headers, dict):
        headers = headers.items()
    headers = list(headers)
    names = {k.lower() for k, _ in headers}
    if "host" not in names:
        headers.insert(0, ("Host", "localhost"))
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        headers.append(("Content-Length", str(len(body))))
    if close:
        headers.append(("Connection", "close"))
    head = "%s %s %s\r\n%s\r\n" % (
        method, target, version,
        "".join("%s: %s\r\n" % pair for pair in headers))
    return head.encode("latin-1") + (body or b"")


def address_of(name):
    """What to connect to, of "http://[::1]:8000" or "unix:/run/x.sock"."""
    if name.startswith("unix:"):
        path = name[len("unix:"):]
        return "\0" + path[1:] if path.startswith("@") else path
    host, port = re.fullmatch(r"https?://\[?([^]]*?)\]?:(\d+)", name).groups()
    return host, int(port)


class Server:
    """A running bicorn."""

    def __init__(self, *args, bind="127.0.0.1:0", cwd=None, env=None,
                 wait=True, wrapper=(), **popen):
        command = [*map(str, wrapper), str(BICORN)]
        if bind is not None:
            command += ["--bind", str(bind)]
        self.process = subprocess.Popen(
            [*command, *map(str, args)], cwd=cwd,
            env=environment(env, not runs_python(args)),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True, **popen)
        self.pid = self.process.pid
        self.out = Lines(self.process.stdout)  # access log of "-"
        self.log = Lines(self.process.stderr)  # error log of "-"
        self.listeners = []  # as the log names them
        self.address = None  # of the first one, and so are:
        self.url = None
        self.port = None
        if wait:
            try:
                self.wait_ready()
            except BaseException:
                self.kill()
                raise

    def wait_ready(self, since=0):
        said = self.log.wait(r"Listening at: (.*) \(\d+\)(?:\"})?$",
                             since=since).group(1)
        self.log.wait(r"(\] |message\":\")Ready", since=since)
        self.listeners = said.split(",")
        first = self.listeners[0]
        self.address = address_of(first)
        if isinstance(self.address, tuple):
            self.port = self.address[1]
            self.url = first
        return self

    # Talking to it.

    def connect(self, timeout=None, tls=None):
        return Conn(self.address, timeout, tls)

    def get(self, target="/", headers=(), method="GET", body=None, **kw):
        """One request on a connection of its own."""
        with self.connect() as c:
            return c.get(target, headers, method, body, close=True, **kw)

    def raw(self, data, half_close=False):
        """Sends bytes; returns all that comes up to the end."""
        with self.connect() as c:
            try:
                c.send(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it refused before it had heard the whole
            if half_close:
                c.half_close()
            return c.rest()

    # Watching it.

    def wait_log(self, pattern, timeout=None, since=0):
        return self.log.wait(pattern, timeout, since)

    def wait_out(self, pattern, timeout=None, since=0):
        return self.out.wait(pattern, timeout, since)

    def mark(self):
        """For `since`: how many lines the log has now."""
        return self.log.count()

    def workers(self, dead=False):
        """Without the helper process, which runs hooks."""
        return [pid for pid in children(self.pid, dead) if not is_helper(pid)]

    # Ending it.

    def signal(self, number):
        os.kill(self.pid, number)

    def stop(self, number=signals.SIGTERM, timeout=None):
        """Asks it to end and returns its exit code."""
        if self.process.poll() is None:
            self.signal(number)
        return self.wait(timeout)

    def wait(self, timeout=None):
        """Waits for its end and returns its exit code."""
        try:
            self.process.wait(timeout or DEADLINE)
        except subprocess.TimeoutExpired:
            text = self.log.text()
            self.kill()
            raise AssertionError("did not end in time. It said:\n" + text) \
                from None
        self.log.join(5)
        self.out.join(5)
        return self.process.returncode

    def kill(self):
        """Ends whatever is left of it: arbiter, workers, their children."""
        for _ in range(100):
            left = processes(self.pid)
            if not left:
                break
            for pid in left:
                try:
                    os.kill(pid, signals.SIGKILL)
                except OSError:
                    pass
            time.sleep(0.01)
        self.process.wait()
        self.log.join(5)
        self.out.join(5)

    def alarms(self):
        """Lines in which bicorn or a sanitizer says that it is wrong."""
        return [line for line in self.log.text().split("\n")
                if ALARMS.search(line)]
