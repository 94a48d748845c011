# SPDX-License-Identifier: MIT
"""The part of the WSGI host that is said better in Python: settings files,
their hooks, PasteDeploy, --spew and the page of an application that does
not load.  It is compiled into the host, and imported by it only where one of
these is in use.  The host adds _log(level, text), _setting(name) and
_listener(number)."""
import importlib
import io
import os
import sys
import time
import types
from datetime import timedelta

DEBUG, INFO, WARNING, ERROR, CRITICAL = range(5)

# Kinds of values, as in enum bicorn_value of bicorn/app.h.
NONE, TRUTH, NUMBER, TEXT, LIST, HOOK, VARIABLE, OTHER, SOURCE = range(9)

config = None  # the settings file of this process, once it was read
_loggers = None  # what logconfig.c keeps of Python's logging


# ---- settings files ---------------------------------------------------------

def top_lines(text, path):
    """name -> the line of the file where it is last given a value."""
    import ast
    lines = {}
    todo = [ast.parse(text, path)]
    while todo:
        node = todo.pop(0)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef,
                             ast.ClassDef)):
            lines[node.name] = node.lineno
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            lines[node.id] = node.lineno
        if isinstance(node, ast.alias):
            lines[(node.asname or node.name).split(".")[0]] = \
                getattr(node, "lineno", 0)
        if not isinstance(node, ast.Lambda):
            todo[:0] = ast.iter_child_nodes(node)
    return lines


def read_source(path):
    import tokenize
    with open(path, "rb") as f:
        data = f.read()
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return data.decode(encoding)


def run_file(path):
    text = read_source(path)
    module = types.ModuleType("__config__")
    module.__file__ = path
    sys.modules["__config__"] = module
    exec(compile(text, path, "exec"), module.__dict__)
    return module, path, text


def run_module(name):
    module = importlib.import_module(name)
    path = getattr(module, "__file__", None) or name
    try:
        text = read_source(path)
    except (OSError, SyntaxError, UnicodeDecodeError):
        text = ""
    return module, path, text


def run_config(name):
    """Runs a settings file: a path, or python:MODULE."""
    if name.startswith("python:"):
        return run_module(name[len("python:"):])
    return run_file(name)


def as_text(value):
    if isinstance(value, bytes):
        return os.fsdecode(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, type):
        return "%s.%s" % (value.__module__, value.__qualname__)
    return str(value)


def value_row(value, module):
    """A value as (kind, texts), or None when it can be no setting."""
    if value is None:
        return NONE, []
    if isinstance(value, bool):
        return TRUTH, ["true" if value else "false"]
    if isinstance(value, int):
        return NUMBER, ["%d" % value]
    if isinstance(value, float):
        return NUMBER, [("%.9f" % value).rstrip("0").rstrip(".")]
    if isinstance(value, (str, bytes, os.PathLike)):
        return TEXT, [as_text(value)]
    if isinstance(value, (list, tuple, set, frozenset)):
        return LIST, [as_text(item) for item in value]
    if isinstance(value, dict):
        return LIST, ["%s=%s" % (as_text(k), as_text(v))
                      for k, v in value.items()]
    if isinstance(value, types.ModuleType):
        return None
    if isinstance(value, type):
        return OTHER, [as_text(value), "class"]
    if callable(value):
        where = getattr(value, "__module__", module.__name__)
        return HOOK, ["own" if where == module.__name__ else "imported"]
    return OTHER, [type(value).__name__]


def as_json(value):
    """logconfig_dict, whose classes and files logging finds by name."""
    import json

    def by_name(thing):
        for name in ("stdout", "stderr"):
            if thing is getattr(sys, name):
                return "ext://sys." + name
        if hasattr(thing, "__qualname__"):
            return "%s.%s" % (thing.__module__, thing.__qualname__)
        if isinstance(thing, (set, frozenset)):
            return list(thing)
        return as_text(thing)
    return TEXT, [json.dumps(value, default=by_name)]


def rows_of(module, path, text):
    lines = top_lines(text, path) if text else {}
    rows = [("", 0, SOURCE, [path])]
    for name, value in vars(module).items():
        if name.startswith("_"):
            continue
        row = value_row(value, module)
        if name == "logconfig_dict" and isinstance(value, dict):
            row = as_json(value)
        if row is not None and not any("\0" in t for t in row[1]):
            rows.append((name, lines.get(name, 0), *row))
    return rows


def changed_environment(before):
    for name, value in os.environ.items():
        if before.get(name) != value:
            yield name, 0, VARIABLE, [name + "=" + value]
    for name in before:
        if name not in os.environ:
            yield name, 0, VARIABLE, [name]


def where(error, path):
    """"config.py, line 3" of an error in a settings file."""
    line = None
    if isinstance(error, SyntaxError):
        if error.filename != path:
            return path
        line = error.lineno
    tb = error.__traceback__
    while tb is not None:
        if tb.tb_frame.f_code.co_filename == path:
            line = tb.tb_lineno
        tb = tb.tb_next
    return "%s, line %d" % (path, line) if line else path


def describe(error):
    text = str(error)
    if isinstance(error, SyntaxError):
        text = error.msg
    return type(error).__name__ + (": " + text if text else "")


class Failed(Exception):
    """A settings file that cannot be read; says where and why."""


def without_ours(tb):
    """A traceback from where it leaves this file."""
    while tb is not None and \
            tb.tb_frame.f_code.co_filename.startswith("<bicorn>"):
        tb = tb.tb_next
    return tb


def report(error, heading):
    import traceback
    lines = traceback.format_exception(type(error), error,
                                       without_ours(error.__traceback__))
    _log(ERROR, heading + "\n" + "".join(lines).rstrip())


def evaluate(name):
    """The values of a settings file, as (name, line, kind, texts)."""
    before = dict(os.environ)
    path = name[len("python:"):] if name.startswith("python:") else name
    try:
        module, path, text = run_config(name)
        rows = rows_of(module, path, text)
    except (Exception, SystemExit) as e:
        if name.startswith("python:"):
            spec = sys.modules.get(path)
            path = getattr(spec, "__file__", None) or path
        if not isinstance(e, OSError) or e.filename != name:
            report(e, "Failed to read config file: " + name)
        place = where(e, path)
        if isinstance(e, SyntaxError) and e.filename:
            place = where(e, e.filename)
        raise Failed("%s: %s" % (place, describe(e))) from None
    if has_touched_loggers() and not any(r[0] == "post_fork" for r in rows):
        # As if it were done there: workers run the file as well then.
        rows.append(("post_fork", 0, HOOK, ["own"]))
    return rows + list(changed_environment(before))


def has_touched_loggers():
    """Whether a settings file has given gunicorn's loggers filters or
    handlers while it was read."""
    logging = sys.modules.get("logging")
    if logging is None:
        return False
    known = logging.root.manager.loggerDict
    return any(getattr(known.get(name), "filters", None) or
               getattr(known.get(name), "handlers", None)
               for name in LOGGERS)


def settled(seconds):
    """Waits for threads that the end of the interpreter would wait for;
    False when one of them goes on."""
    threading = sys.modules.get("threading")
    if threading is None:
        return True
    end = time.monotonic() + seconds
    for thread in threading.enumerate():
        if thread is threading.main_thread() or thread.daemon:
            continue
        thread.join(max(0, end - time.monotonic()))
        if thread.is_alive():
            for stream in sys.stdout, sys.stderr:
                if stream is not None and not stream.closed:
                    stream.flush()
            return False
    return True


# ---- PasteDeploy ------------------------------------------------------------

def split_paste(uri):
    path, _, name = uri.partition("#")
    return os.path.abspath(path), name or "main"


def paste_globals():
    conf = {}
    for item in split_list(_setting("raw_paste_global_conf")):
        name, _, value = item.partition("=")
        conf[name] = value
    return conf


def paste_server(uri):
    """The section [server:NAME], or [server:main], of an .ini file."""
    import configparser
    import re
    path, name = split_paste(uri)
    parser = configparser.ConfigParser(
        defaults={"here": os.path.dirname(path), "__file__": path,
                  **paste_globals()}, strict=False)
    parser.optionxform = str
    try:
        with open(path) as f:
            text = f.read()
        parser.read_string(text, path)
        sections = [s for s in ("server:" + name, "server:main")
                    if parser.has_section(s)]
        values = {}
        if sections:
            inherited = parser.defaults()
            for key in parser.options(sections[0]):
                own = parser._sections[sections[0]]
                if key in own or key not in inherited:
                    values[key] = parser.get(sections[0], key)
    except (OSError, configparser.Error, UnicodeDecodeError) as e:
        raise Failed("%s: %s" % (path, " ".join(str(e).split()))) from None
    rows = [("", 0, SOURCE, [os.path.relpath(path)])]
    if "host" in values or "port" in values:
        host = values.pop("host", "127.0.0.1")
        port = values.pop("port", "8000")
        if ":" in host and not host.startswith("["):
            host = "[%s]" % host
        values.setdefault("bind", "%s:%s" % (host, port))
    values.pop("use", None)
    if parser.has_section("loggers"):  # as gunicorn does
        values["logconfig"] = path
    at, in_section = {}, False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("["):
            in_section = bool(sections) and \
                line.strip().strip("[]").strip() == sections[0]
        m = re.match(r"([^#;=:\s]+)\s*[=:]", line)
        if m and in_section:
            at[m[1]] = number
    at.setdefault("bind", at.get("port", at.get("host", 0)))
    for key, value in values.items():
        rows.append((key, at.get(key, 0), TEXT, [value]))
    return rows


def paste_app(uri):
    """The application of paste=FILE.ini#NAME."""
    try:
        from paste.deploy import loadapp
    except ImportError:
        raise RuntimeError("paste needs PasteDeploy: pip install PasteDeploy, "
                           "or Debian's python3-pastedeploy") from None
    path, name = split_paste(uri)
    if not os.path.exists(path):
        raise RuntimeError("%s: no such file" % path)
    return loadapp("config:" + path, name=name, relative_to=os.getcwd(),
                   global_conf=paste_globals())


# ---- what hooks are given ---------------------------------------------------

def split_list(text):
    """A list as settings_text() writes it: a ',' inside is "\\,"."""
    items, item, skip = [], "", False
    for c in text or "":
        if skip:
            item += c
            skip = False
        elif c == "\\":
            skip = True
        elif c == ",":
            items.append(item)
            item = ""
        else:
            item += c
    return items + [item] if item or items else items


LOGGERS = "gunicorn.error", "gunicorn.access"


def make_log(cfg):
    """server.log: what logger_class says, where that is of somebody's own."""
    name = _setting("logger_class")
    where, _, attribute = (name or "").rpartition(".")
    if not where or where in ("gunicorn.glogging",
                              "gunicorn.instrument.statsd"):
        return Log(cfg)
    try:
        log = getattr(importlib.import_module(where), attribute)(cfg)
        _loggers["adopt"]()
    except Exception as e:
        _log(WARNING, "logger_class = %s cannot be used, and bicorn logs as "
             "without it: %s" % (name, describe(e)))
        return Log(cfg)
    return log


class Atoms(dict):
    """What an access line is made of: record.args of its record."""

    def __missing__(self, name):
        lower = name.lower()
        if name.startswith("{") and lower != name:
            return self[lower]
        return "-"


# Nothing that a client sends begins a line, or speaks to a terminal.
ESCAPES = {c: "\\x%02x" % c for c in (*range(32), *range(127, 160))}
ESCAPES[ord('"')] = '\\"'


def user_of(environ):
    scheme, _, text = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    import base64
    try:
        return base64.b64decode(text.strip()).decode().split(":", 1)[0]
    except ValueError:
        return None


class Log:
    """server.log and worker.log: into the log of bicorn."""

    def __init__(self, cfg):
        self.cfg = cfg

    @property
    def error_log(self):
        import logging
        return logging.getLogger("gunicorn.error")

    @property
    def access_log(self):
        import logging
        return logging.getLogger("gunicorn.access")

    def _write(self, level, text, args, kw):
        if _loggers and _loggers["touched"]("gunicorn.error"):
            self.error_log.log((level + 1) * 10, text, *args, **kw)
            return
        text = str(text)
        if args:
            if len(args) == 1 and isinstance(args[0], dict) and args[0]:
                args = args[0]
            try:
                text = text % args
            except Exception:  # as logging, which lets nobody fail by it
                text = "%s %r" % (text, args)
        error = kw.get("exc_info")
        if error:
            import traceback
            if isinstance(error, BaseException):
                error = (type(error), error, error.__traceback__)
            elif not isinstance(error, tuple):
                error = sys.exc_info()
            if error[0] is not None:
                text += "\n" + "".join(
                    traceback.format_exception(*error)).rstrip()
        _log(level, text)

    def debug(self, text, *args, **kw):
        self._write(DEBUG, text, args, kw)

    def info(self, text, *args, **kw):
        self._write(INFO, text, args, kw)

    def warning(self, text, *args, **kw):
        self._write(WARNING, text, args, kw)

    warn = warning

    def error(self, text, *args, **kw):
        self._write(ERROR, text, args, kw)

    def critical(self, text, *args, **kw):
        self._write(CRITICAL, text, args, kw)

    fatal = critical

    def exception(self, text, *args, **kw):
        kw.setdefault("exc_info", True)
        self._write(ERROR, text, args, kw)

    def log(self, level, text, *args, **kw):
        if isinstance(level, str):
            level = {"debug": 10, "info": 20, "warning": 30, "error": 40,
                     "critical": 50}.get(level.lower(), 20)
        self._write(min(max(level // 10 - 1, DEBUG), CRITICAL), text, args, kw)

    def atoms(self, resp, req, environ, request_time):
        us = request_time // timedelta(microseconds=1)
        atoms = {
            "h": environ.get("REMOTE_ADDR", "-"), "l": "-",
            "u": user_of(environ) or "-",
            "t": time.strftime("[%d/%b/%Y:%H:%M:%S %z]"),
            "r": "%s %s %s" % (req.method, req.uri,
                               environ.get("SERVER_PROTOCOL", "-")),
            "s": str(resp.status_code), "m": req.method,
            "U": environ.get("PATH_INFO", "-"),
            "q": environ.get("QUERY_STRING", ""),
            "H": environ.get("SERVER_PROTOCOL", "-"),
            "b": str(resp.sent), "B": resp.sent,
            "f": environ.get("HTTP_REFERER", "-"),
            "a": environ.get("HTTP_USER_AGENT", "-"),
            "T": us // 1000000, "M": us // 1000, "D": us,
            "L": "%d.%06d" % divmod(us, 1000000), "p": "<%d>" % os.getpid()}
        for kind, pairs in (("i", req.headers), ("o", resp.headers),
                            ("e", environ.items())):
            atoms.update((f"{{{name.lower()}}}{kind}", value)
                         for name, value in pairs)
        return atoms

    def access(self, resp, req, environ, request_time):
        """The text is what access_log_format makes; a filter sees the atoms,
        as gunicorn has them, in record.args."""
        atoms = Atoms(self.atoms(resp, req, environ, request_time))
        for name, value in atoms.items():
            if isinstance(value, str) and \
                    not (value.isprintable() and '"' not in value):
                atoms[name] = value.translate(ESCAPES)
        self.access_log.info(resp.line.replace("%", "%%"), atoms)

    def reopen_files(self):
        pass


class Setting:
    """One of server.cfg.settings."""

    def __init__(self, name, value):
        self.name = name
        self.value = value

    def get(self):
        return self.value


class Settings:
    """server.cfg: what the settings file says, or else bicorn's settings."""

    def __init__(self, namespace):
        self.__dict__["_namespace"] = namespace

    @property
    def settings(self):
        return {name: Setting(name, getattr(self, name))
                for name in sorted(NAMES.union(HOOKS))}

    def get(self, name, default=None):
        try:
            return getattr(self, name)
        except AttributeError:
            return default

    def set(self, name, value):
        raise AttributeError("it is too late for settings in a hook: write "
                             "%s = %r in the settings file" % (name, value))

    @property
    def address(self):
        return [parse_address(a) for a in split_list(_setting("bind"))]

    @property
    def is_ssl(self):
        return bool(_setting("certfile") or _setting("certdir"))

    @property
    def env(self):
        return dict(item.partition("=")[::2] for item in self.raw_env)

    @property
    def secure_scheme_headers(self):
        return dict(item.partition("=")[::2] for item in
                    split_list(_setting("secure_scheme_headers")))

    @property
    def logconfig_dict(self):
        import json
        return json.loads(_setting("logconfig_dict") or "{}")

    @property
    def uid(self):
        return account(_setting("user"), "pwd", "getpwnam", os.geteuid)

    @property
    def gid(self):
        return account(_setting("group"), "grp", "getgrnam", os.getegid)

    user, group = uid, gid

    @property
    def worker_class_str(self):
        return "gthread"

    @property
    def chdir(self):
        return _setting("chdir") or os.getcwd()

    @property
    def default_proc_name(self):
        return _setting("wsgi_app") or ""

    @property
    def proc_name(self):
        return _setting("proc_name") or self.default_proc_name

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        if name in HOOKS:
            return self._namespace.get(name) or nothing
        text = _setting(name)
        if text is None:
            if name in self._namespace:
                return self._namespace[name]
            if name not in NAMES:
                raise AttributeError("no such setting: " + name)
            return [] if name in LISTS else DEFAULTS.get(name)
        if name in LISTS:
            return split_list(text)
        if text in ("true", "false"):
            return text == "true"
        try:
            return int(text)
        except ValueError:
            return text


def nothing(*args):
    """A hook that is not there."""


def account(name, module, lookup, default):
    if not name:
        return default()
    if name.isdigit():
        return int(name)
    try:
        return getattr(importlib.import_module(module), lookup)(name)[2]
    except KeyError:
        return name


LISTS = frozenset("""
    bind forwarded_allow_ips forwarder_headers proxy_allow_ips raw_env
    raw_paste_global_conf reload_extra_files uwsgi_allow_ips""".split())

DEFAULTS = {"check_config": False, "print_config": False, "dogstatsd_tags": "",
            "statsd_prefix": "", "logconfig_dict": {}, "root_path": ""}

HOOKS = frozenset("""
    child_exit nworkers_changed on_exit on_reload on_starting post_fork
    post_request post_worker_init pre_exec pre_fork pre_request ssl_context
    when_ready worker_abort worker_exit worker_int""".split())

# gunicorn's settings, which are None where nothing else is known.
NAMES = frozenset("""
    access_log_format accesslog backlog bind ca_certs capture_output
    casefold_http_method cert_reqs certfile chdir check_config ciphers config
    daemon default_proc_name disable_redirect_access_to_syslog
    do_handshake_on_connect dogstatsd_tags enable_backlog_metric
    enable_stdio_inheritance errorlog
    forwarded_allow_ips forwarder_headers graceful_timeout group header_map
    initgroups keepalive keyfile limit_request_field_size
    limit_request_fields limit_request_line logconfig logconfig_dict
    logconfig_json logger_class loglevel max_requests max_requests_jitter
    paste permit_obsolete_folding permit_unconventional_http_method
    permit_unconventional_http_version pidfile preload_app print_config
    proc_name proxy_allow_ips proxy_protocol pythonpath raw_env
    raw_paste_global_conf reload reload_engine reload_extra_files reuse_port
    root_path secure_scheme_headers sendfile spew ssl_version statsd_host
    statsd_prefix strip_header_spaces suppress_ragged_eofs syslog syslog_addr
    syslog_facility syslog_prefix threads timeout tmp_upload_dir umask user
    uwsgi_allow_ips
    worker_class worker_connections worker_tmp_dir workers wsgi_app
    """.split())


def parse_address(text):
    if text.startswith("unix:"):
        return text[len("unix:"):].removeprefix("//")
    text = text.removeprefix("tcp://")
    host, _, port = text.rpartition(":")
    if not port.isdigit() or (text.startswith("[") and text.endswith("]")):
        host, port = text, "8000"
    return host.strip("[]") or "0.0.0.0", int(port)


class Listener:
    """One of server.LISTENERS, without the socket itself."""

    def __init__(self, name, bind, address, port, is_unix, tls):
        import socket
        self._name = name
        self._address = address if is_unix else (address, port)
        self.family = socket.AF_UNIX if is_unix else socket.AF_INET
        if not is_unix and ":" in address:
            self.family = socket.AF_INET6
            self._address += (0, 0)
        self.type = socket.SOCK_STREAM
        self.cfg_addr = self._address
        if not bind.startswith("fd://"):
            self.cfg_addr = parse_address(bind)
        self.is_ssl = bool(tls)

    def __str__(self):
        return self._name

    def __repr__(self):
        return "<Listener %s>" % self._name

    def getsockname(self):
        return self._address

    def fileno(self):
        raise io.UnsupportedOperation("the sockets are the server's own")


def listeners():
    found = []
    row = _listener(0)
    while row is not None:
        found.append(Listener(*row))
        row = _listener(len(found))
    return found


class Beat:
    """worker.tmp: that a worker lives is seen in shared memory."""

    def last_update(self):
        return time.monotonic()

    def notify(self):
        pass

    def close(self):
        pass


class Worker:
    """worker: of this process, or of one that the helper hears about."""

    def __init__(self, server, pid, age, ppid):
        self.pid = pid
        self.age = age
        self.ppid = ppid
        self.server = server
        self.cfg = server.cfg
        self.log = server.log
        self.timeout = server.timeout
        self.tmp = Beat()
        self.nr = 0
        self.alive = True
        self.aborted = False
        self.booted = False
        self.reloader = None
        self.app = server.app
        self.wsgi = None
        self.exitcode = None
        self.max_requests = int(_setting("max_requests") or 0) or sys.maxsize

    @property
    def sockets(self):
        return self.server.LISTENERS

    def __str__(self):
        return "<Worker %s>" % self.pid

    def notify(self):
        pass


class App:
    """server.app"""

    def __init__(self, cfg):
        self.cfg = cfg
        self.callable = None
        self.load = None

    def wsgi(self):
        if self.callable is None:
            self.callable = self.load()
        return self.callable

    def __str__(self):
        return _setting("wsgi_app") or ""


class Server:
    """server: the arbiter, from the process of a hook."""

    def __init__(self, pid):
        self.pid = pid
        self.cfg = Settings(vars(config) if config is not None else {})
        self.log = Log(self.cfg)
        self.app = App(self.cfg)
        self.address = self.cfg.address
        self.proc_name = _setting("proc_name") or _setting("wsgi_app") or ""
        self.timeout = self.cfg.timeout
        self.num_workers = int(_setting("workers") or 1)
        self.worker_age = 0
        self.WORKERS = {}
        self.master_name = "Master"
        self.reexec_pid = 0
        self.master_pid = 0

    @property
    def LISTENERS(self):
        return listeners()

    @property
    def workers(self):
        return self.WORKERS


class Body:
    """req.body, after or before its time."""

    def read(self, size=None):
        return b""


class Request:
    """req: as the hooks of gunicorn see a request."""

    def __init__(self, method, uri, path, query, protocol, scheme, headers,
                 peer, number):
        self.method = method
        self.uri = uri
        self.path = path
        self.query = query
        self.fragment = ""
        major, _, minor = protocol.partition("/")[2].partition(".")
        self.version = (int(major or 1), int(minor or 0))
        self.scheme = scheme
        self.headers = headers
        self.trailers = []
        self.body = Body()
        self.peer_addr = self.remote_addr = peer
        self.req_number = number
        self.proxy_protocol_info = None
        self.must_close = False

    def should_close(self):
        for name, value in self.headers:
            if name == "CONNECTION":
                return value.strip().lower() == "close"
        return self.version <= (1, 0)


# What pre_request may change of a request, and where environ says it.
IN_ENVIRON = {"method": ("REQUEST_METHOD",), "query": ("QUERY_STRING",),
              "uri": ("RAW_URI", "REQUEST_URI"), "scheme": ("wsgi.url_scheme",)}


def variable_of(name):
    name = name.upper().replace("-", "_")
    if name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        return name
    return "HTTP_" + name


def fields_by_variable(headers):
    found = {}
    for name, value in headers:
        found.setdefault(variable_of(name), []).append(str(value))
    return found


def state_of(req):
    return {name: getattr(req, name)
            for name in ("method", "path", "query", "uri", "scheme")}


def amend(environ, req, before, headers):
    """What a hook changed in the request is what the application gets."""
    for name, value in before.items():
        new = getattr(req, name)
        if new == value:
            continue
        for key in IN_ENVIRON.get(name, ()):
            environ[key] = new
        if name == "path":
            from urllib.parse import unquote_to_bytes
            environ["PATH_INFO"] = unquote_to_bytes(
                new.removeprefix(environ["SCRIPT_NAME"])
                .encode("latin-1", "replace")).decode("latin-1")
    if req.headers == headers:
        return
    old, new = fields_by_variable(headers), fields_by_variable(req.headers)
    for key in old.keys() - new.keys():
        environ.pop(key, None)
    for key, values in new.items():
        if values != old.get(key):
            environ[key] = ("; " if key == "HTTP_COOKIE" else ",").join(values)


class Response:
    """resp: what was answered."""

    def __init__(self, req, status, headers, sent, length):
        self.req = req
        self.status = status
        self.status_code = int(status.split(" ", 1)[0])
        self.version = "bicorn"
        self.headers = headers
        self.headers_sent = True
        self.sent = sent
        self.response_length = length
        self.chunked = False
        self.must_close = False
        self.upgrade = False


# ---- hooks ------------------------------------------------------------------

class Hooks:
    """The hooks of the settings file, in the process where they run."""

    def __init__(self, name, pid, worker_pid, age):
        global config
        config = run_config(name)[0] if name else None
        self.server = Server(pid)
        self.worker = None
        self.warned = False
        if worker_pid:
            self.worker = Worker(self.server, worker_pid, age, pid)
        self.pre = self._find("pre_request")
        self.post = fit(self._find("post_request"), 4)

    def _find(self, name):
        value = getattr(config, name, None) if config is not None else None
        return value if callable(value) else None

    def make_log(self):
        """When logging is configured, unless logger_class is to do that."""
        self.server.log = make_log(self.server.cfg)
        if self.worker is not None:
            self.worker.log = self.server.log
        self.warned = any(map(_loggers["touched"], LOGGERS))

    def loads_by(self, load):
        self.server.app.load = load

    def has_requests(self):
        return self.pre is not None or self.post is not None

    # In the worker.

    def forked(self, arbiter, pid, age):
        """This process was forked from one that had loaded all before."""
        self.server.pid = self.worker.ppid = arbiter
        self.worker.pid = pid
        self.worker.age = age

    def call(self, name, *args):
        """False when the hook raised; that it did is logged."""
        hook = self._find(name)
        if hook is None:
            return True
        try:
            fit(hook, len(args))(*args)
        except BaseException as e:  # sys.exit() as well
            report(e, "Exception in %s hook" % name)
            return False
        return True

    def post_fork(self):
        return self.call("post_fork", self.server, self.worker)

    def post_worker_init(self, application):
        self.worker.wsgi = self.worker.app.callable = application
        self.worker.booted = True
        return self.call("post_worker_init", self.worker)

    def worker_int(self):
        self.worker.alive = False
        return self.call("worker_int", self.worker)

    def worker_abort(self):
        self.worker.alive = False
        self.worker.aborted = True
        return self.call("worker_abort", self.worker)

    def worker_exit(self):
        self.worker.alive = False
        return self.call("worker_exit", self.server, self.worker)

    def request(self, environ, *args):
        req = Request(*args)
        req._began = time.monotonic()
        self.worker.nr += 1
        if self.pre is not None:
            before, headers = state_of(req), list(req.headers)
            self.pre(self.worker, req)
            amend(environ, req, before, headers)
        return req

    def answered(self, req, environ, status, headers, sent, length, line):
        resp = Response(req, status, headers, sent, length)
        if line is not None:
            resp.line = line
            took = timedelta(seconds=time.monotonic() - req._began)
            try:
                self.server.log.access(resp, req, environ, took)
            except Exception as e:
                report(e, "Error in the access log")
        if self.post is None:
            return
        try:
            self.post(self.worker, req, environ, resp)
        except Exception as e:
            report(e, "Exception in post_request hook")

    def failed(self, heading, kind, error, tb):
        """True when Python's logging has taken that exception."""
        logger = sys.modules["logging"].getLogger("gunicorn.error")
        if logger.disabled:  # by a configuration that does not name it
            return False
        self.server.log.error(heading, exc_info=(kind, error, without_ours(tb)))
        return True

    # In the helper.

    def _worker(self, pid, age):
        worker = self.server.WORKERS.get(pid)
        if worker is None or not pid:
            worker = Worker(self.server, pid or "[booting]", age,
                            self.server.pid)
        return worker

    def event(self, *args):
        rc = self._event(*args)
        for name in LOGGERS:
            if not self.warned and _loggers["touched"](name):
                self.warned = True
                _log(WARNING, "%s touches the logger %s, but workers are not "
                     "forked from the process it runs in and do not see that: "
                     "do it in post_fork, or outside of hooks" %
                     (args[0], name))
        return rc

    def _event(self, name, pid, age, status, workers, before):
        server = self.server
        if workers:
            server.num_workers = workers
        if name == "pre_fork":
            server.worker_age = age
            return self.call(name, server, self._worker(0, age))
        if name == "forked":
            server.WORKERS[pid] = Worker(server, pid, age, server.pid)
            return True
        if name == "child_exit":
            worker = self._worker(pid, age)
            worker.alive = False
            worker.exitcode = status
            server.WORKERS.pop(pid, None)
            return self.call(name, server, worker)
        if name == "nworkers_changed":
            return self.call(name, server, workers, before or None)
        return self.call(name, server)


def fit(hook, count):
    """Hooks of older versions take fewer arguments."""
    import inspect
    if hook is None:
        return None
    try:
        parameters = inspect.signature(hook).parameters.values()
    except (TypeError, ValueError):
        return hook
    if any(p.kind == p.VAR_POSITIONAL for p in parameters):
        return hook
    takes = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
                for p in parameters)
    if takes >= count:
        return hook
    return lambda *args: hook(*args[:takes])


# ---- --spew -----------------------------------------------------------------

def spew():
    """A trace function that writes each line to the standard error."""
    import linecache

    def trace(frame, event, arg):
        if event == "line":
            name = frame.f_globals.get("__name__", "?")
            if not name.startswith(("linecache", "tokenize")):
                number = frame.f_lineno
                line = linecache.getline(frame.f_code.co_filename, number)
                os.write(2, ("%s:%d: %s\n" % (name, number, line.rstrip()))
                         .encode("utf-8", "backslashreplace"))
        return trace
    return trace


# ---- --reload ---------------------------------------------------------------

def module_files():
    """The sources of all modules that are loaded."""
    files = []
    for module in list(sys.modules.values()):
        try:
            path = module.__file__
        except Exception:
            continue
        if isinstance(path, str) and os.path.isabs(path) and \
                not path.endswith(".so"):
            files.append(path)
    return files


def error_page(error):
    """An application that shows why the real one does not load, and the
    files that it is made of besides the modules."""
    import traceback
    lines = traceback.format_exception(type(error), error,
                                       without_ours(error.__traceback__))
    text = "".join(lines)
    files, seen = [], set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, SyntaxError) and error.filename:
            files.append(os.path.abspath(error.filename))
        tb = error.__traceback__
        while tb is not None:
            files.append(os.path.abspath(tb.tb_frame.f_code.co_filename))
            tb = tb.tb_next
        error = error.__cause__ or error.__context__
    body = text.encode("utf-8", "backslashreplace")

    def application(environ, start_response):
        start_response("500 Internal Server Error", [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Cache-Control", "no-store"),
            ("Content-Length", str(len(body)))])
        return [body]
    return application, [f for f in files if os.path.exists(f)]
