/* SPDX-License-Identifier: MIT */

/*
 * gunicorn configures logging for its own process, which is the
 * application's: loggers of the application are set up there, on top of the
 * names below, which files written for gunicorn refer to.
 */

#include "logconfig.h"

#include "support.h"
#include "wsgi.h"

/*
 * Applications take the handlers of gunicorn.error for their own loggers.
 * logging is not imported for that: its import is waited for, as to look for
 * it is no import yet.
 */
static const char loggers[] =
    "import sys\n"
    "def prepare(logging):\n"
    "    class Handler(logging.StreamHandler):\n"
    "        def emit(self, record):\n"
    "            try:\n"
    "                level = min(max(record.levelno // 10 - 1, 0), 4)\n"
    "                log(level + plain, self.format(record))\n"
    "            except RecursionError:\n"
    "                raise\n"
    "            except Exception:\n"
    "                self.handleError(record)\n"
    "    handler = Handler()\n"
    "    handler.setFormatter(logging.Formatter(\n"
    "        '%(asctime)s [%(process)d] [%(levelname)s] %(message)s',\n"
    "        '[%Y-%m-%d %H:%M:%S %z]'))\n"
    "    for name in 'gunicorn.error', 'gunicorn.access':\n"
    "        logger = logging.getLogger(name)\n"
    "        logger.propagate = False\n"
    "        logger.setLevel(logging.INFO)\n"
    "    logger = logging.getLogger('gunicorn.error')\n"
    "    logger.setLevel(loglevel.upper())\n"
    "    logger.addHandler(handler)\n"
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
    "            base.update(json.load(f))\n"
    "    else:\n"
    "        base.update(json.loads(value))\n"
    "    logging.config.dictConfig(base)\n";

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

int
logconfig_loggers(const struct bicorn_server *server)
{
	const char *level = bicorn_setting(server, "loglevel");
	PyObject *log = support_log_function(server);

	if (log == NULL)
		return -1;
	return run(loggers, Py_BuildValue("{s:s,s:N,s:i,s:s}", "__name__",
	    "bicorn_loggers", "log", log, "plain", BICORN_LOG_PLAIN,
	    "loglevel", level != NULL ? level : "info"));
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
	static const char *const kinds[] = { "logconfig_dict",
		"logconfig_json", "logconfig" };
	const char *value;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		value = bicorn_setting(server, kinds[i]);
		if (value != NULL && value[0] != '\0')
			return apply(kinds[i], value);
	}
	return 0;
}
