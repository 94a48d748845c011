/* SPDX-License-Identifier: MIT */

/*
 * wsgi.errors.  Each write that ends a line goes to the error log by one
 * write, so that a traceback written at once stays in one piece; a line that
 * is not ended yet waits for its end, for flush(), or for the end of the
 * request.  One object for each pool thread: their lines do not mix.  They
 * are logged as they are: what writes here is mostly a handler of logging,
 * whose lines have a time and a level of their own, or are JSON.
 */

#include "errors.h"

#include "free.h"
#include "report.h"

/* A line this long is logged in pieces. */
#define LINE_LIMIT 16384

struct errors {
	PyObject_HEAD
	const struct bicorn_server *server;
	PyObject *rest; /* str without an end of line, or NULL */
};

static void
emit(struct errors *e, PyObject *text)
{
	report_text(e->server, BICORN_LOG_ERROR | BICORN_LOG_PLAIN, text);
}

static void
flush_locked(struct errors *e)
{
	PyObject *rest = e->rest;

	if (rest == NULL)
		return;
	e->rest = NULL;
	emit(e, rest);
	Py_DECREF(rest);
}

void
errors_flush(PyObject *self)
{
	Py_BEGIN_CRITICAL_SECTION(self);
	flush_locked((struct errors *)self);
	Py_END_CRITICAL_SECTION();
}

/* Takes the reference to text, which has no end of line. */
static void
keep_rest_locked(struct errors *e, PyObject *text)
{
	Py_XSETREF(e->rest, text);
	if (PyUnicode_GET_LENGTH(text) == 0)
		Py_CLEAR(e->rest);
	else if (PyUnicode_GET_LENGTH(text) >= LINE_LIMIT)
		flush_locked(e);
}

static int
add_locked(struct errors *e, PyObject *text)
{
	PyObject *all, *lines, *rest;
	Py_ssize_t end, len;

	if (e->rest != NULL)
		all = PyUnicode_Concat(e->rest, text);
	else
		all = PyUnicode_FromObject(text);
	if (all == NULL)
		return -1;
	Py_CLEAR(e->rest);
	len = PyUnicode_GET_LENGTH(all);
	end = PyUnicode_FindChar(all, '\n', 0, len, -1);
	if (end < 0) {
		keep_rest_locked(e, all);
		return 0;
	}

	lines = PyUnicode_Substring(all, 0, end);
	rest = PyUnicode_Substring(all, end + 1, len);
	Py_DECREF(all);
	if (lines == NULL || rest == NULL) {
		Py_XDECREF(lines);
		Py_XDECREF(rest);
		return -1;
	}
	/* Other threads may write while a line is logged, lock or not. */
	keep_rest_locked(e, rest);
	if (PyUnicode_GET_LENGTH(lines) > 0)
		emit(e, lines);
	Py_DECREF(lines);
	return 0;
}

static PyObject *
errors_write(PyObject *self, PyObject *text)
{
	int rc;

	if (!PyUnicode_Check(text)) {
		PyErr_Format(PyExc_TypeError,
		    "wsgi.errors.write() needs str, not %.200s",
		    Py_TYPE(text)->tp_name);
		return NULL;
	}
	Py_BEGIN_CRITICAL_SECTION(self);
	rc = add_locked((struct errors *)self, text);
	Py_END_CRITICAL_SECTION();
	if (rc < 0)
		return NULL;
	return PyLong_FromSsize_t(PyUnicode_GET_LENGTH(text));
}

static PyObject *
errors_writelines(PyObject *self, PyObject *lines)
{
	PyObject *iter = PyObject_GetIter(lines), *line, *done;

	if (iter == NULL)
		return NULL;
	while ((line = PyIter_Next(iter)) != NULL) {
		done = errors_write(self, line);
		Py_DECREF(line);
		if (done == NULL)
			break;
		Py_DECREF(done);
	}
	Py_DECREF(iter);
	if (PyErr_Occurred())
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *
errors_flush_method(PyObject *self, PyObject *unused)
{
	(void)unused;
	errors_flush(self);
	Py_RETURN_NONE;
}

static PyObject *
errors_true(PyObject *self, PyObject *unused)
{
	(void)self;
	(void)unused;
	Py_RETURN_TRUE;
}

static PyObject *
errors_false(PyObject *self, PyObject *unused)
{
	(void)self;
	(void)unused;
	Py_RETURN_FALSE;
}

static void
errors_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	Py_CLEAR(((struct errors *)self)->rest);
	type->tp_free(self);
	Py_DECREF(type);
}

PyObject *
errors_new(PyTypeObject *type, const struct bicorn_server *server)
{
	struct errors *e = (struct errors *)type->tp_alloc(type, 0);

	if (e != NULL)
		e->server = server;
	return (PyObject *)e;
}

static const PyMethodDef errors_methods[] = {
	{ "write", errors_write, METH_O, "Writes text to the error log." },
	{ "writelines", errors_writelines, METH_O, "Writes several texts." },
	{ "flush", errors_flush_method, METH_NOARGS, "Ends the line." },
	{ "writable", errors_true, METH_NOARGS, NULL },
	{ "readable", errors_false, METH_NOARGS, NULL },
	{ "isatty", errors_false, METH_NOARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

static const PyType_Slot errors_slots[] = {
	{ Py_tp_dealloc, (void *)errors_dealloc },
	{ Py_tp_methods, (void *)errors_methods },
	{ 0, NULL },
};

static const PyType_Spec errors_spec = {
	.name = "bicorn.Errors",
	.basicsize = sizeof(struct errors),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = (PyType_Slot *)errors_slots,
};

PyTypeObject *
errors_type_new(void)
{
	return wsgi_type_new(&errors_spec);
}
