/* SPDX-License-Identifier: MIT */

/* support.py: its import, and settings files, which it reads. */

#include "support.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "interpreter.h"
#include "report.h"

extern const char support_source[];

#define MODULE "bicorn_support"
#define CAPSULE MODULE ".server"

/* For the threads of a settings file that was read. */
#define THREADS_WAIT_S 2.0

static const struct bicorn_server *
server_of(PyObject *self)
{
	return PyCapsule_GetPointer(self, CAPSULE);
}

static PyObject *
support_log(PyObject *self, PyObject *args)
{
	const struct bicorn_server *server = server_of(self);
	PyObject *text;
	int level;

	if (server == NULL || !PyArg_ParseTuple(args, "iU", &level, &text))
		return NULL;
	report_text(server, level, text);
	Py_RETURN_NONE;
}

static PyObject *
support_setting(PyObject *self, PyObject *args)
{
	const struct bicorn_server *server = server_of(self);
	const char *name, *text;

	if (server == NULL || !PyArg_ParseTuple(args, "s", &name))
		return NULL;
	text = bicorn_setting(server, name);
	if (text == NULL)
		Py_RETURN_NONE;
	return PyUnicode_DecodeFSDefault(text);
}

static PyObject *
text_of(struct bicorn_str s)
{
	return PyUnicode_DecodeFSDefaultAndSize(s.ptr, (Py_ssize_t)s.len);
}

/* _listener(number): (name, bind, address, port, is_unix, tls), or None. */
static PyObject *
support_listener(PyObject *self, PyObject *args)
{
	const struct bicorn_server *server = server_of(self);
	struct bicorn_listener l;
	Py_ssize_t number;

	if (server == NULL || !PyArg_ParseTuple(args, "n", &number))
		return NULL;
	if (bicorn_listener_at(server, (size_t)number, &l) != BICORN_OK)
		Py_RETURN_NONE;
	return Py_BuildValue("(NNNIii)", text_of(l.name), text_of(l.bind),
	    text_of(l.address), l.port, l.is_unix, l.tls);
}

enum { FUNCTION_LISTENER, FUNCTION_LOG, FUNCTION_SETTING };

static const PyMethodDef functions[] = {
	[FUNCTION_LISTENER] = { "_listener", support_listener, METH_VARARGS,
	    NULL },
	[FUNCTION_LOG] = { "_log", support_log, METH_VARARGS, NULL },
	[FUNCTION_SETTING] = { "_setting", support_setting, METH_VARARGS,
	    NULL },
};

/* functions[i], for that server. */
static PyObject *
function_new(size_t i, const struct bicorn_server *server)
{
	PyObject *self = PyCapsule_New((void *)(uintptr_t)server, CAPSULE,
	    NULL), *f = NULL;

	if (self != NULL)
		f = PyCFunction_New((PyMethodDef *)&functions[i], self);
	Py_XDECREF(self);
	return f;
}

PyObject *
support_log_function(const struct bicorn_server *server)
{
	return function_new(FUNCTION_LOG, server);
}

static int
add_functions(PyObject *module, const struct bicorn_server *server)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 &&
	     i < sizeof(functions) / sizeof(functions[0]); i++) {
		PyObject *f = function_new(i, server);

		rc = f != NULL ? PyObject_SetAttrString(module,
		    functions[i].ml_name, f) : -1;
		Py_XDECREF(f);
	}
	return rc;
}

PyObject *
support_import(const struct bicorn_server *server)
{
	PyObject *code = Py_CompileString(support_source,
	    "<bicorn>/support.py", Py_file_input), *module;

	if (code == NULL)
		return NULL;
	module = PyImport_ExecCodeModule(MODULE, code);
	Py_DECREF(code);
	if (module != NULL && add_functions(module, server) < 0)
		Py_CLEAR(module);
	return module;
}

PyObject *
support_of(struct wsgi *w)
{
	if (w->support == NULL)
		w->support = support_import(w->server);
	return w->support;
}

bool
support_is_on(const struct bicorn_server *server, const char *name)
{
	const char *text = bicorn_setting(server, name);

	return text != NULL && strcmp(text, "true") == 0;
}

/* --- settings files ------------------------------------------------------ */

/* The bytes of a list of str, as borrowed texts; the bytes are in keep. */
static const char **
texts_of(PyObject *list, PyObject *keep)
{
	Py_ssize_t count = PyList_Size(list), i;
	const char **texts = calloc((size_t)count + 1, sizeof(*texts));

	for (i = 0; texts != NULL && i < count; i++) {
		PyObject *bytes = PyUnicode_EncodeFSDefault(
		    PyList_GET_ITEM(list, i));

		if (bytes == NULL || PyList_Append(keep, bytes) < 0) {
			Py_XDECREF(bytes);
			free(texts);
			return NULL;
		}
		texts[i] = PyBytes_AS_STRING(bytes);
		Py_DECREF(bytes);
	}
	return texts;
}

/* (name, line, kind, texts) */
static int
deliver(struct bicorn_settings *s, PyObject *row)
{
	PyObject *list, *keep = PyList_New(0);
	const char **texts = NULL, *name;
	int line, kind, rc = -1;

	if (keep != NULL && PyArg_ParseTuple(row, "siiO!", &name, &line, &kind,
	    &PyList_Type, &list))
		texts = texts_of(list, keep);
	if (texts != NULL) {
		s->take(s, name, line > 0 ? (unsigned)line : 0,
		    (enum bicorn_value)kind, texts,
		    (size_t)PyList_GET_SIZE(list));
		rc = 0;
	}
	free(texts);
	Py_XDECREF(keep);
	return rc;
}

static int
deliver_all(struct bicorn_settings *s, PyObject *rows)
{
	Py_ssize_t i;

	if (!PyList_Check(rows)) {
		PyErr_SetString(PyExc_TypeError, "no list of values");
		return -1;
	}
	for (i = 0; i < PyList_GET_SIZE(rows); i++)
		if (deliver(s, PyList_GET_ITEM(rows, i)) < 0)
			return -1;
	return 0;
}

/* What support.Failed says is the whole story. */
static void
explain(struct bicorn_settings *s, PyObject *module)
{
	PyObject *type, *value, *tb, *failed = NULL, *text = NULL;

	PyErr_Fetch(&type, &value, &tb);
	PyErr_NormalizeException(&type, &value, &tb);
	if (module != NULL)
		failed = PyObject_GetAttrString(module, "Failed");
	if (failed == NULL || type == NULL ||
	    !PyErr_GivenExceptionMatches(type, failed)) {
		PyErr_Restore(type, value, tb);
		report_line(s->error, s->error_size);
		Py_XDECREF(failed);
		return;
	}
	text = PyObject_Str(value);
	snprintf(s->error, s->error_size, "%s",
	    text != NULL && PyUnicode_AsUTF8(text) != NULL ?
		PyUnicode_AsUTF8(text) : "?");
	PyErr_Clear();
	Py_XDECREF(text);
	Py_XDECREF(type);
	Py_XDECREF(value);
	Py_XDECREF(tb);
	Py_DECREF(failed);
}

/* Whether no thread of a settings file would hold up the end. */
static bool
is_settled(PyObject *module)
{
	PyObject *answer = module != NULL
	    ? PyObject_CallMethod(module, "settled", "d", THREADS_WAIT_S)
	    : NULL;
	bool settled = answer != Py_False;

	PyErr_Clear();
	Py_XDECREF(answer);
	return settled;
}

int
support_settings(struct bicorn_settings *s)
{
	static const char paste[] = "paste=";
	bool is_paste = strncmp(s->name, paste, sizeof(paste) - 1) == 0;
	PyObject *module = NULL, *name, *rows = NULL;
	bool settled;
	int rc = -1;

	if (interpreter_start(s->server, s->error, s->error_size) < 0)
		return -1;
	if (interpreter_files() == 0 && interpreter_path(s->server) == 0)
		module = support_import(s->server);
	name = PyUnicode_DecodeFSDefault(s->name +
	    (is_paste ? sizeof(paste) - 1 : 0));
	if (module != NULL && name != NULL)
		rows = PyObject_CallMethod(module,
		    is_paste ? "paste_server" : "evaluate", "O", name);
	if (rows != NULL)
		rc = deliver_all(s, rows);
	if (rc < 0)
		explain(s, module);
	/* Threads and exit functions of a settings file have their chance. */
	settled = is_settled(module);
	Py_XDECREF(rows);
	Py_XDECREF(name);
	Py_XDECREF(module);
	if (settled)
		Py_FinalizeEx();
	else
		bicorn_logf(s->server, BICORN_LOG_WARNING,
		    "%s starts threads that do not end: they do not go on "
		    "where it was read", s->name);
	return rc;
}
