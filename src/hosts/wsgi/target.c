/* SPDX-License-Identifier: MIT */

/*
 * Finding the application, by gunicorn's rules: the module is imported, and
 * what follows the colon is a name in it, or a call of one with literals for
 * arguments.  Problems of the module are BICORN_LOAD_FAILED, problems of
 * what is asked of it BICORN_LOAD_NOT_FOUND.
 */

#include "target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "factory.h"
#include "report.h"
#include "support.h"

struct target {
	struct wsgi *w;
	char *module;     /* "pkg.wsgi" */
	const char *expr; /* "app" or "make_app(debug=True)" */
	char *error;
	size_t error_size;
};

static int
not_found(const struct target *t, const char *what)
{
	PyErr_Clear();
	snprintf(t->error, t->error_size, "%s", what);
	return BICORN_LOAD_NOT_FOUND;
}

/* Whether the exception is that the module itself is not there. */
static bool
is_missing(const struct target *t)
{
	PyObject *type, *value, *tb, *name;
	const char *text;
	bool missing = false;
	size_t len;

	if (!PyErr_ExceptionMatches(PyExc_ModuleNotFoundError))
		return false;
	PyErr_Fetch(&type, &value, &tb);
	PyErr_NormalizeException(&type, &value, &tb);
	name = PyObject_GetAttrString(value, "name");
	text = name != NULL && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) :
	    NULL;
	if (text != NULL) {
		/* Its package may be what is missing. */
		len = strlen(text);
		missing = strncmp(t->module, text, len) == 0 &&
		    (t->module[len] == '\0' || t->module[len] == '.');
	}
	Py_XDECREF(name);
	PyErr_Clear();
	PyErr_Restore(type, value, tb);
	return missing;
}

/* "./pkg/wsgi.py" -> "pkg.wsgi", where that is a file. */
static bool
as_module(const char *path, char *out, size_t size)
{
	size_t len = strlen(path), i;

	if (len < 4 || strcmp(path + len - 3, ".py") != 0 ||
	    access(path, F_OK) != 0)
		return false;
	while (strncmp(path, "./", 2) == 0)
		path += 2;
	snprintf(out, size, "%.*s", (int)strlen(path) - 3, path);
	for (i = 0; out[i] != '\0'; i++)
		if (out[i] == '/')
			out[i] = '.';
	return true;
}

/* Logs the exception that is set, and leaves it set. */
static void
log_traceback(const struct target *t)
{
	PyObject *type, *value, *tb;

	PyErr_Fetch(&type, &value, &tb);
	PyErr_NormalizeException(&type, &value, &tb);
	Py_XINCREF(type);
	Py_XINCREF(value);
	Py_XINCREF(tb);
	PyErr_Restore(type, value, tb);
	report_exception(t->w, "Exception in worker process");
	PyErr_Restore(type, value, tb);
}

/* A file was named where a module is wanted: says which one that may be. */
static bool
hint_module(const struct target *t)
{
	char module[256];

	if (!as_module(t->module, module, sizeof(module)))
		return false;
	snprintf(t->error, t->error_size,
	    "%s is a file; a module was asked for: did you mean %s:%s?",
	    t->module, module, t->expr);
	return true;
}

/* Importing a.b by way of "a/b.py" would run the wrong things. */
static int
is_path(const struct target *t)
{
	if (!hint_module(t))
		snprintf(t->error, t->error_size,
		    "neither a directory nor the name of a module");
	return BICORN_LOAD_FAILED;
}

/* Keeps the exception that is set, and leaves it set. */
static void
keep_failure(struct wsgi *w)
{
	PyObject *type, *value, *tb;

	PyErr_Fetch(&type, &value, &tb);
	PyErr_NormalizeException(&type, &value, &tb);
	if (tb != NULL && value != NULL)
		PyException_SetTraceback(value, tb);
	Py_XINCREF(value);
	Py_XSETREF(w->failure, value);
	PyErr_Restore(type, value, tb);
}

/* The module did not load, and the exception is set. */
static int
import_failed(const struct target *t)
{
	if (hint_module(t)) {
		PyErr_Clear();
		return BICORN_LOAD_FAILED;
	}
	keep_failure(t->w);
	if (!is_missing(t))
		log_traceback(t);
	report_line(t->error, t->error_size);
	return BICORN_LOAD_FAILED;
}

static int
factory_failed(const struct target *t, enum factory_result result)
{
	char line[512];

	switch (result) {
	case FACTORY_RAISED:
		return import_failed(t);
	case FACTORY_ARGUMENTS:
		report_line(line, sizeof(line));
		return not_found(t, line);
	case FACTORY_NOT_LITERAL:
		return not_found(t, "the arguments must be literal values");
	case FACTORY_NO_NAME:
		report_line(line, sizeof(line));
		return not_found(t, line);
	default:
		return not_found(t,
		    "neither a name nor the call of one, as in "
		    "MODULE:create_app()");
	}
}

/* Whether calling it makes a coroutine: an "async def", or an object of one. */
static bool
is_async(PyObject *o)
{
	PyObject *called =
	    PyObject_GetAttrString((PyObject *)Py_TYPE(o), "__call__");
	bool found = false;

	if (PyFunction_Check(o)) {
		Py_XDECREF(called);
		called = o;
		Py_INCREF(o);
	}
	if (called != NULL && PyFunction_Check(called))
		found = (((PyCodeObject *)PyFunction_GetCode(called))->co_flags &
		    CO_COROUTINE) != 0;
	Py_XDECREF(called);
	PyErr_Clear();
	return found;
}

/* Why it can answer no request; NULL when it seems to be able to. */
static const char *
why_unfit(PyObject *application)
{
	if (application == Py_None)
		return "the application is None";
	if (!PyCallable_Check(application))
		return "the application cannot be called";
	if (is_async(application))
		return "the application is one for ASGI, and bicorn runs WSGI "
		       "ones: wrap it (a2wsgi.ASGIMiddleware)";
	return NULL;
}

static int
find(const struct target *t, PyObject *module)
{
	enum factory_result result;
	PyObject *found = NULL;
	const char *why;

	result = factory_find(module, t->expr, &found);
	if (result != FACTORY_FOUND)
		return factory_failed(t, result);
	why = why_unfit(found);
	if (why != NULL) {
		Py_DECREF(found);
		return not_found(t, why);
	}
	t->w->application = found;
	return BICORN_LOADED;
}

static int
load(const struct target *t)
{
	PyObject *module;
	int rc;

	if (strchr(t->module, '/') != NULL)
		return is_path(t);
	module = PyImport_ImportModule(t->module);
	if (module == NULL)
		return import_failed(t);
	rc = find(t, module);
	Py_DECREF(module);
	return rc;
}

/* The application of paste=FILE.ini#NAME. */
static int
load_paste(struct wsgi *w, const char *uri, char *error, size_t error_size)
{
	struct target t = { .w = w, .error = error, .error_size = error_size };
	PyObject *app = NULL, *name = PyUnicode_DecodeFSDefault(uri);

	if (support_of(w) != NULL && name != NULL)
		app = PyObject_CallMethod(w->support, "paste_app", "O", name);
	Py_XDECREF(name);
	if (app == NULL) {
		keep_failure(w);
		log_traceback(&t);
		report_line(error, error_size);
		return BICORN_LOAD_FAILED;
	}
	w->application = app;
	return BICORN_LOADED;
}

int
target_load(struct wsgi *w, const char *target, char *error,
    size_t error_size)
{
	struct target t = {
		.w = w,
		.expr = "application",
		.error = error,
		.error_size = error_size,
	};
	char *colon;
	int rc;

	if (strncmp(target, "paste=", strlen("paste=")) == 0)
		return load_paste(w, target + strlen("paste="), error,
		    error_size);
	t.module = strdup(target);
	if (t.module == NULL) {
		snprintf(error, error_size, "out of memory");
		return BICORN_LOAD_FAILED;
	}
	colon = strchr(t.module, ':');
	if (colon != NULL) {
		*colon = '\0';
		t.expr = colon + 1;
	}
	if (t.module[0] == '\0')
		rc = not_found(&t, "no module is named");
	else
		rc = load(&t);
	free(t.module);
	return rc;
}
