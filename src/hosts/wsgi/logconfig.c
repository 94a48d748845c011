/* SPDX-License-Identifier: MIT */

/*
 * gunicorn configures logging for its own process, which is the
 * application's: loggers of the application are set up there, on top of the
 * names below, which files written for gunicorn refer to.
 */

#include "logconfig.h"

#include "wsgi.h"

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

static int
apply(const char *kind, const char *value)
{
	PyObject *names = Py_BuildValue("{s:s,s:s}", "kind", kind, "value",
	    value);
	PyObject *done = NULL;

	if (names != NULL && PyDict_SetItemString(names, "__builtins__",
	    PyEval_GetBuiltins()) == 0)
		done = PyRun_String(code, Py_file_input, names, names);
	Py_XDECREF(names);
	Py_XDECREF(done);
	return done != NULL ? 0 : -1;
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
