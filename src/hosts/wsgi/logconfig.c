/* SPDX-License-Identifier: MIT */

/*
 * gunicorn configures logging for its own process, which is the
 * application's: loggers of the application are set up there, on top of the
 * names below, which files written for gunicorn refer to.  Handlers and
 * formatters of a dictionary stand beside those below and not in their place,
 * other than in gunicorn, where root then has a handler that is not there.
 */

#include "logconfig.h"

#include <string.h>

#include "report.h"
#include "support.h"
#include "wsgi.h"

/*
 * Applications take the handlers of gunicorn.error for their own loggers.
 * logging is not imported for that: its import is waited for, as to look for
 * it is no import yet.  What is touched later, by filters or handlers, is for
 * Python to log.  Not whether a logger is disabled: configurations of others
 * do that to all that they do not name.
 */
static const char loggers[] =
    "import sys\n"
    "pristine = {}\n"
    "def make(logging, name):\n"
    "    class Handler(logging.StreamHandler):\n"
    "        _gunicorn = True\n"
    "        def emit(self, record):\n"
    "            try:\n"
    "                level = min(max(record.levelno // 10 - 1, 0), 4) | plain\n"
    "                log(level if name == 'gunicorn.error' else access,\n"
    "                    self.format(record))\n"
    "            except RecursionError:\n"
    "                raise\n"
    "            except Exception:\n"
    "                self.handleError(record)\n"
    "    if name == 'gunicorn.access':\n"
    "        return Handler(sys.stdout)\n"
    "    handler = Handler()\n"
    "    handler.setFormatter(logging.Formatter(\n"
    "        '%(asctime)s [%(process)d] [%(levelname)s] %(message)s',\n"
    "        '[%Y-%m-%d %H:%M:%S %z]'))\n"
    "    return handler\n"
    "def look(logger):\n"
    "    return (logger.level, logger.propagate, list(logger.filters),\n"
    "        [(h, h.level, h.formatter, list(h.filters))\n"
    "            for h in logger.handlers])\n"
    "def prepare(logging):\n"
    "    for name in 'gunicorn.error', 'gunicorn.access':\n"
    "        logger = logging.getLogger(name)\n"
    "        logger.propagate = False\n"
    "        logger.setLevel(logging.INFO)\n"
    "        if name == 'gunicorn.error':\n"
    "            logger.setLevel(loglevel.upper())\n"
    "        if name == 'gunicorn.error' or access:\n"
    "            logger.addHandler(make(logging, name))\n"
    "        pristine[name] = look(logger)\n"
    "def touched(name):\n"
    "    return name in pristine and pristine[name] != look(\n"
    "        sys.modules['logging'].getLogger(name))\n"
    "def adopt():\n"
    "    import logging\n"
    "    for name in 'gunicorn.error', 'gunicorn.access':\n"
    "        logger = logging.getLogger(name)\n"
    "        old = [h for h in logger.handlers if hasattr(h, '_gunicorn')]\n"
    "        if not old or name == 'gunicorn.access' and not access:\n"
    "            continue\n"
    "        handler = make(logging, name)\n"
    "        handler.setFormatter(old[0].formatter)\n"
    "        handler.setLevel(old[0].level)\n"
    "        handler.filters = old[0].filters\n"
    "        for h in old:\n"
    "            logger.removeHandler(h)\n"
    "            h.close()\n"
    "        logger.addHandler(handler)\n"
    "def reopen():\n"
    "    logging = sys.modules.get('logging')\n"
    "    if not hasattr(logging, 'FileHandler'):\n"
    "        return\n"
    "    known = logging.root.manager.loggerDict.values()\n"
    "    for logger in logging.root, *known:\n"
    "        for h in getattr(logger, 'handlers', ()):\n"
    "            if isinstance(h, logging.FileHandler) and h.stream:\n"
    "                h.acquire()\n"
    "                try:\n"
    "                    old, h.stream = h.stream, h._open()\n"
    "                    old.close()\n"
    "                finally:\n"
    "                    h.release()\n"
    "class Finder:\n"
    "    @staticmethod\n"
    "    def find_spec(name, path=None, target=None):\n"
    "        if name != 'logging' or Finder not in sys.meta_path:\n"
    "            return None\n"
    "        at = sys.meta_path.index(Finder)\n"
    "        for finder in sys.meta_path[at + 1:]:\n"
    "            spec = finder.find_spec(name, path, target)\n"
    "            if spec:\n"
    "                attach(spec.loader)\n"
    "                return spec\n"
    "def attach(loader):\n"
    "    load = getattr(loader, 'exec_module', None)\n"
    "    def exec_module(module):\n"
    "        vars(loader).pop('exec_module', None)\n"
    "        first = Finder in sys.meta_path\n"
    "        if first:\n"
    "            sys.meta_path.remove(Finder)\n"
    "        load(module)\n"
    "        if first:\n"
    "            prepare(module)\n"
    "    if load and not isinstance(loader, type):\n"
    "        loader.exec_module = exec_module\n"
    "if 'logging' in sys.modules:\n"
    "    prepare(sys.modules['logging'])\n"
    "else:\n"
    "    sys.meta_path.insert(0, Finder)\n";

static const char code[] =
    "import json, os, logging.config\n"
    "base = dict(\n"
    "    version=1, disable_existing_loggers=False,\n"
    "    root=dict(level='INFO', handlers=['console']),\n"
    "    loggers={\n"
    "        'gunicorn.error': dict(level='INFO', propagate=True,\n"
    "            handlers=['error_console'], qualname='gunicorn.error'),\n"
    "        'gunicorn.access': dict(level='INFO', propagate=True,\n"
    "            handlers=['console'], qualname='gunicorn.access')},\n"
    "    handlers={\n"
    "        'console': {'class': 'logging.StreamHandler',\n"
    "            'formatter': 'generic', 'stream': 'ext://sys.stdout'},\n"
    "        'error_console': {'class': 'logging.StreamHandler',\n"
    "            'formatter': 'generic', 'stream': 'ext://sys.stderr'}},\n"
    "    formatters={'generic': {'class': 'logging.Formatter',\n"
    "        'format': '%(asctime)s [%(process)d] [%(levelname)s] '\n"
    "                  '%(message)s',\n"
    "        'datefmt': '[%Y-%m-%d %H:%M:%S %z]'}})\n"
    "if kind == 'logconfig':\n"
    "    where = os.path.abspath(value)\n"
    "    if not os.path.exists(where):\n"
    "        raise FileNotFoundError(where)\n"
    "    base.update(__file__=where, here=os.path.dirname(where))\n"
    "    logging.config.fileConfig(where, defaults={\n"
    "        k: str(v).replace('%', '%%') for k, v in base.items()},\n"
    "        disable_existing_loggers=False)\n"
    "else:\n"
    "    if kind == 'logconfig_json':\n"
    "        with open(value, encoding='utf-8') as f:\n"
    "            given = json.load(f)\n"
    "    else:\n"
    "        given = json.loads(value)\n"
    "    for group in 'handlers', 'formatters':\n"
    "        given[group] = {**base[group], **given.get(group, {})}\n"
    "    base.update(given)\n"
    "    logging.config.dictConfig(base)\n";

static const char *const kinds[] = { "logconfig_dict", "logconfig_json",
	"logconfig" };

/* Takes the reference to names, which may be NULL with an exception. */
static int
run(const char *text, PyObject *names)
{
	PyObject *done = NULL;

	if (names != NULL && PyDict_SetItemString(names, "__builtins__",
	    PyEval_GetBuiltins()) == 0)
		done = PyRun_String(text, Py_file_input, names, names);
	Py_XDECREF(names);
	Py_XDECREF(done);
	return done != NULL ? 0 : -1;
}

static bool
is_set(const struct bicorn_server *server, const char *name)
{
	const char *value = bicorn_setting(server, name);

	return value != NULL && value[0] != '\0';
}

static bool
has_config(const struct bicorn_server *server)
{
	bool has = false;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		has = has || is_set(server, kinds[i]);
	return has;
}

/* Whether there is an access log beside what Python's handlers do. */
static bool
has_access_log(const struct bicorn_server *server)
{
	return is_set(server, "accesslog") ||
	    (support_is_on(server, "syslog") &&
	    !support_is_on(server, "disable_redirect_access_to_syslog"));
}

int
logconfig_loggers(struct wsgi *w)
{
	const char *level = bicorn_setting(w->server, "loglevel");
	PyObject *log = support_log_function(w->server);

	if (log == NULL)
		return -1;
	w->loggers = Py_BuildValue("{s:s,s:N,s:i,s:i,s:s}", "__name__",
	    "bicorn_loggers", "log", log, "plain", BICORN_LOG_PLAIN, "access",
	    has_access_log(w->server) ? BICORN_LOG_ACCESS : 0, "loglevel",
	    level != NULL ? level : "info");
	Py_XINCREF(w->loggers);
	return run(loggers, w->loggers);
}

void
logconfig_reopen(struct wsgi *w)
{
	PyObject *done = PyObject_CallNoArgs(
	    PyDict_GetItemString(w->loggers, "reopen"));

	if (done == NULL)
		report_exception(w, "The files of Python's logging could not "
		    "be opened again");
	Py_XDECREF(done);
}

/* -1 with an exception. */
static int
is_touched(struct wsgi *w, const char *name)
{
	PyObject *f = PyDict_GetItemString(w->loggers, "touched"), *answer;
	int rc;

	answer = PyObject_CallFunction(f, "s", name);
	rc = answer != NULL ? PyObject_IsTrue(answer) : -1;
	Py_XDECREF(answer);
	return rc;
}

int
logconfig_look(struct wsgi *w)
{
	bool own_class = logconfig_class(w->server) != NULL;
	int access = is_touched(w, "gunicorn.access");
	int error = is_touched(w, "gunicorn.error");

	if (access < 0 || error < 0)
		return -1;
	w->logs_error = own_class || error;
	w->logs_access = own_class || (access &&
	    (has_access_log(w->server) || has_config(w->server)));
	return 0;
}

const char *
logconfig_class(const struct bicorn_server *server)
{
	static const char *const same[] = { "gunicorn.glogging.Logger",
		"gunicorn.instrument.statsd.Statsd" };
	const char *name = bicorn_setting(server, "logger_class");

	for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
		if (name == NULL || *name == '\0' ||
		    strcmp(name, same[i]) == 0)
			return NULL;
	return name;
}

static int
apply(const char *kind, const char *value)
{
	return run(code, Py_BuildValue("{s:s,s:s}", "kind", kind, "value",
	    value));
}

int
logconfig_apply(const struct bicorn_server *server)
{
	const char *value;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		value = bicorn_setting(server, kinds[i]);
		if (value != NULL && value[0] != '\0')
			return apply(kinds[i], value);
	}
	return 0;
}
