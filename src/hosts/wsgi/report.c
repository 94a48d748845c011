/* SPDX-License-Identifier: MIT */

/*
 * Exceptions for the error log.  A traceback is one entry of several lines.
 * Nothing here leaves an exception behind.
 */

#include "report.h"

#include <stdio.h>

/* As bytes; code points that are no text (surrogates) become escapes. */
static PyObject *
log_bytes(PyObject *text)
{
	return PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
}

void
report_text(const struct bicorn_server *server, int level, PyObject *text)
{
	PyObject *bytes = log_bytes(text);
	Py_ssize_t len;

	if (bytes == NULL) {
		PyErr_Clear();
		return;
	}
	len = PyBytes_GET_SIZE(bytes);
	while (len > 0 && PyBytes_AS_STRING(bytes)[len - 1] == '\n')
		len--;
	/* A log that nobody reads must not hold up other threads. */
	Py_BEGIN_ALLOW_THREADS
	server->log(server, level, PyBytes_AS_STRING(bytes), (size_t)len);
	Py_END_ALLOW_THREADS
	Py_DECREF(bytes);
}

/* traceback.format_exception() as one text; NULL with an exception. */
static PyObject *
format(PyObject *type, PyObject *value, PyObject *tb)
{
	/* Late: it is a quarter of what a small application takes to start. */
	PyObject *module = PyImport_ImportModule("traceback");
	PyObject *lines = NULL, *empty, *text = NULL;

	if (module != NULL)
		lines = PyObject_CallMethod(module, "format_exception", "OOO",
		    type, value != NULL ? value : Py_None,
		    tb != NULL ? tb : Py_None);
	Py_XDECREF(module);
	if (lines == NULL)
		return NULL;
	empty = PyUnicode_FromStringAndSize(NULL, 0);
	if (empty != NULL)
		text = PyUnicode_Join(empty, lines);
	Py_XDECREF(empty);
	Py_DECREF(lines);
	return text;
}

/* The places in tb without that module; NULL with an exception. */
static PyObject *
format_places(PyObject *tb)
{
	PyObject *io = PyImport_ImportModule("_io"), *file = NULL;
	PyObject *text = NULL;

	if (io != NULL)
		file = PyObject_CallMethod(io, "StringIO", NULL);
	if (file != NULL && PyTraceBack_Print(tb, file) == 0)
		text = PyObject_CallMethod(file, "getvalue", NULL);
	Py_XDECREF(file);
	Py_XDECREF(io);
	return text;
}

/* "Type: text" for when the traceback cannot be made. */
static PyObject *
format_short(PyObject *type, PyObject *value)
{
	const char *name = PyType_Check(type) ?
	    ((PyTypeObject *)type)->tp_name : "exception";
	PyObject *text = NULL;

	if (value != NULL)
		text = PyUnicode_FromFormat("%s: %S", name, value);
	if (text == NULL) {
		PyErr_Clear();
		text = PyUnicode_FromString(name);
	}
	return text;
}

/*
 * For when the module cannot be used: a process without a free descriptor,
 * or another root, cannot import it.
 */
static PyObject *
format_plain(PyObject *type, PyObject *value, PyObject *tb)
{
	PyObject *last = format_short(type, value), *places = NULL;
	PyObject *text;

	if (tb != NULL && last != NULL)
		places = format_places(tb);
	PyErr_Clear();
	if (places == NULL)
		return last;
	text = PyUnicode_FromFormat("%U%U", places, last);
	Py_DECREF(places);
	Py_DECREF(last);
	return text;
}

/* By Python's logging; false: not there. */
static bool
log_by_python(const struct wsgi *w, const char *heading, PyObject *type,
    PyObject *value, PyObject *tb)
{
	PyObject *done = NULL;

	if (w->logs_error)
		done = PyObject_CallMethod(w->hooks, "failed", "sOOO",
		    heading, type, value != NULL ? value : Py_None,
		    tb != NULL ? tb : Py_None);
	PyErr_Clear();
	Py_XDECREF(done);
	return done == Py_True;
}

void
report_exception(const struct wsgi *w, const char *heading)
{
	PyObject *type, *value, *tb, *text = NULL, *whole = NULL;

	PyErr_Fetch(&type, &value, &tb);
	if (type == NULL) {
		bicorn_log(w->server, BICORN_LOG_ERROR, heading);
		return;
	}
	PyErr_NormalizeException(&type, &value, &tb);
	if (tb != NULL && value != NULL)
		PyException_SetTraceback(value, tb);
	if (log_by_python(w, heading, type, value, tb))
		goto out;
	text = format(type, value, tb);
	if (text == NULL) {
		PyErr_Clear();
		text = format_plain(type, value, tb);
	}
	if (text != NULL)
		whole = PyUnicode_FromFormat("%s\n%U", heading, text);
	if (whole != NULL)
		report_text(w->server, BICORN_LOG_ERROR, whole);
	else
		bicorn_log(w->server, BICORN_LOG_ERROR, heading);
	PyErr_Clear();
out:
	Py_XDECREF(whole);
	Py_XDECREF(text);
	Py_XDECREF(tb);
	Py_XDECREF(value);
	Py_DECREF(type);
}

/* Copies what a terminal can show, cut to size; the rest as \xNN. */
static void
escape(char *out, size_t size, struct bicorn_str s)
{
	size_t i, n = 0;

	for (i = 0; i < s.len && n + 5 < size; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c >= 0x20 && c < 0x7f && c != '\\')
			out[n++] = (char)c;
		else
			n += (size_t)snprintf(out + n, size - n, "\\x%02x", c);
	}
	out[n] = '\0';
}

void
report_request(const struct wsgi *w, const struct bicorn_request *r)
{
	char method[64], target[1024], heading[sizeof(method) +
	    sizeof(target) + 192];

	escape(method, sizeof(method), r->method);
	escape(target, sizeof(target), r->target);
	snprintf(heading, sizeof(heading),
	    "Error handling request %s %s%s%.*s%s", method, target,
	    r->id.len > 0 ? " (id " : "", (int)r->id.len, r->id.ptr,
	    r->id.len > 0 ? ")" : "");
	report_exception(w, heading);
}

void
report_line(char *out, size_t size)
{
	PyObject *type, *value, *tb, *text, *bytes = NULL;
	char *p;

	PyErr_Fetch(&type, &value, &tb);
	if (type == NULL) {
		snprintf(out, size, "unknown error");
		return;
	}
	PyErr_NormalizeException(&type, &value, &tb);
	text = format_short(type, value);
	if (text != NULL)
		bytes = log_bytes(text);
	snprintf(out, size, "%s",
	    bytes != NULL ? PyBytes_AS_STRING(bytes) : "error");
	for (p = out; *p != '\0'; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	PyErr_Clear();
	Py_XDECREF(bytes);
	Py_XDECREF(text);
	Py_XDECREF(tb);
	Py_XDECREF(value);
	Py_DECREF(type);
}
