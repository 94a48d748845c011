/* SPDX-License-Identifier: MIT */

/*
 * What an application calls: start_response(), write() and the rest, which
 * are built-in functions bound to the call.
 */

#include "functions.h"

#include "call.h"
#include "fork.h"
#include "head.h"
#include "response.h"

/* Early hints of one call at most. */
#define HINTS_MAX 64

/* --- start_response ------------------------------------------------------- */

/* Raises the exception of an exc_info triple. */
static void
raise_again(PyObject *exc_info)
{
	PyObject *type = PyTuple_GET_ITEM(exc_info, 0);
	PyObject *value = PyTuple_GET_ITEM(exc_info, 1);
	PyObject *tb = PyTuple_GET_ITEM(exc_info, 2);

	Py_INCREF(type);
	Py_INCREF(value);
	Py_INCREF(tb);
	if (tb == Py_None)
		Py_CLEAR(tb);
	PyErr_Restore(type, value, tb);
}

static bool
is_exc_info(PyObject *object)
{
	PyObject *tb;

	if (!PyTuple_Check(object) || PyTuple_GET_SIZE(object) != 3)
		return false;
	tb = PyTuple_GET_ITEM(object, 2);
	return PyExceptionClass_Check(PyTuple_GET_ITEM(object, 0)) &&
	    PyExceptionInstance_Check(PyTuple_GET_ITEM(object, 1)) &&
	    (tb == Py_None || PyTraceBack_Check(tb));
}

/* Whether a head may be set now; -1 with an exception. */
static int
may_start(const struct wsgi_response *r, PyObject *exc_info)
{
	if (exc_info == NULL || exc_info == Py_None) {
		if (!r->started)
			return 0;
		PyErr_SetString(PyExc_AssertionError,
		    "start_response() was called before, and there is no "
		    "exc_info");
		return -1;
	}
	if (!is_exc_info(exc_info)) {
		PyErr_SetString(PyExc_TypeError,
		    "exc_info must be a tuple as of sys.exc_info()");
		return -1;
	}
	if (!r->head_sent)
		return 0;
	raise_again(exc_info);
	return -1;
}

enum { ARG_STATUS, ARG_HEADERS, ARG_EXC_INFO, ARG_COUNT };

static const char *const arg_names[ARG_COUNT] = {
	"status", "headers", "exc_info",
};

static int
keyword_arg(PyObject *name, PyObject *value, PyObject **arg)
{
	int i;

	for (i = 0; i < ARG_COUNT; i++)
		if (arg[i] == NULL &&
		    PyUnicode_CompareWithASCIIString(name, arg_names[i]) == 0) {
			arg[i] = value;
			return 0;
		}
	PyErr_Format(PyExc_TypeError,
	    "start_response() got an unexpected argument %R", name);
	return -1;
}

static int
start_args(PyObject *const *args, Py_ssize_t n, PyObject *names,
    PyObject **arg)
{
	Py_ssize_t i;

	if (n > ARG_COUNT) {
		PyErr_Format(PyExc_TypeError,
		    "start_response() takes at most 3 arguments (%zd given)",
		    n);
		return -1;
	}
	for (i = 0; i < n; i++)
		arg[i] = args[i];
	for (i = 0; names != NULL && i < PyTuple_GET_SIZE(names); i++)
		if (keyword_arg(PyTuple_GET_ITEM(names, i), args[n + i],
		    arg) < 0)
			return -1;
	if (arg[ARG_STATUS] == NULL || arg[ARG_HEADERS] == NULL) {
		PyErr_SetString(PyExc_TypeError,
		    "start_response() needs a status and headers");
		return -1;
	}
	return 0;
}

/* With the call entered; -1 with an exception. */
static int
start(struct wsgi_call *call, PyObject *const *arg)
{
	struct wsgi_response *r = &call->thread->response;

	if (may_start(r, arg[ARG_EXC_INFO]) < 0)
		return -1;
	head_clear(r);
	r->started = false;
	if (head_set(r, arg[ARG_STATUS], arg[ARG_HEADERS]) < 0)
		return -1;
	r->started = true;
	r->bodiless = r->code == 204 || r->code == 304 ||
	    bicorn_str_eq(call->x->request->method, "HEAD");
	return 0;
}

static PyObject *
start_response(PyObject *self, PyObject *const *args, Py_ssize_t n,
    PyObject *names)
{
	struct wsgi_call *call = (struct wsgi_call *)self;
	PyObject *arg[ARG_COUNT] = { NULL }, *write = NULL;

	if (start_args(args, n, names, arg) < 0 || !call_enter(call))
		return NULL;
	if (start(call, arg) == 0) {
		write = call->thread->write;
		Py_INCREF(write);
	}
	call_leave(call);
	return write;
}

/* --- write ---------------------------------------------------------------- */

/* With the call entered; -1 with an exception. */
static int
write_now(struct wsgi_call *call, PyObject *data)
{
	struct wsgi_response *r = &call->thread->response;
	struct bicorn_str part;
	int rc;

	if (!r->started) {
		PyErr_SetString(PyExc_AssertionError,
		    "write() before start_response()");
		return -1;
	}
	part.ptr = PyBytes_AS_STRING(data);
	part.len = (size_t)PyBytes_GET_SIZE(data);
	if (part.len == 0)
		return 0;
	if (call->thread->wsgi->child)
		fork_leave(call->thread->wsgi);
	Py_BEGIN_ALLOW_THREADS
	rc = response_deliver(r, call->x, &part, 1, true);
	Py_END_ALLOW_THREADS
	r->sent += (int64_t)part.len;
	if (response_sent(r, rc) < 0)
		return -1;
	/* Here the application is the one to stop. */
	if (r->gone)
		response_raise(BICORN_GONE);
	return r->gone ? -1 : 0;
}

static PyObject *
write_body(PyObject *self, PyObject *data)
{
	struct wsgi_call *call = (struct wsgi_call *)self;
	int rc;

	if (!PyBytes_Check(data)) {
		PyErr_Format(PyExc_TypeError,
		    "write() needs bytes, not %.200s", Py_TYPE(data)->tp_name);
		return NULL;
	}
	if (!call_enter(call))
		return NULL;
	rc = write_now(call, data);
	call_leave(call);
	if (rc < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* --- early hints and the like --------------------------------------------- */

static int
hint(PyObject *field, PyObject **pair_out, struct bicorn_header *h)
{
	*pair_out = head_pair(field);
	if (*pair_out == NULL)
		return -1;
	if (head_name(PyTuple_GET_ITEM(*pair_out, 0), true, &h->name) < 0)
		return -1;
	return head_value(PyTuple_GET_ITEM(*pair_out, 1), true, &h->value);
}

static int
inform(struct wsgi_call *call, const struct bicorn_header *headers,
    size_t count)
{
	int rc;

	if (!call_enter(call))
		return -1;
	if (call->thread->wsgi->child)
		fork_leave(call->thread->wsgi);
	Py_BEGIN_ALLOW_THREADS
	rc = bicorn_inform(call->x, 103, headers, count);
	Py_END_ALLOW_THREADS
	call_leave(call);
	/* Too late or too old a client: hints are only hints. */
	if (rc >= 0 || rc == BICORN_STATE || rc == BICORN_GONE)
		return 0;
	response_raise(rc);
	return -1;
}

static PyObject *
early_hints(PyObject *self, PyObject *fields)
{
	struct bicorn_header headers[HINTS_MAX];
	PyObject *pairs[HINTS_MAX] = { NULL }, *list;
	Py_ssize_t i;
	int rc = 0;

	list = PySequence_Tuple(fields);
	if (list == NULL)
		return NULL;
	if (PyTuple_GET_SIZE(list) > HINTS_MAX) {
		PyErr_SetString(PyExc_ValueError, "too many early hints");
		rc = -1;
	}
	for (i = 0; rc == 0 && i < PyTuple_GET_SIZE(list); i++)
		rc = hint(PyTuple_GET_ITEM(list, i), &pairs[i], &headers[i]);
	if (rc == 0)
		rc = inform((struct wsgi_call *)self, headers,
		    (size_t)PyTuple_GET_SIZE(list));
	for (i = 0; i < HINTS_MAX; i++)
		Py_XDECREF(pairs[i]);
	Py_DECREF(list);
	if (rc < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *
client_gone(PyObject *self, PyObject *unused)
{
	struct wsgi_call *call = (struct wsgi_call *)self;
	int gone;

	(void)unused;
	if (!call_enter(call))
		return NULL;
	gone = bicorn_gone(call->x);
	call_leave(call);
	return PyBool_FromLong(gone);
}

static const PyMethodDef start_def = {
	"start_response", (PyCFunction)(void (*)(void))start_response,
	METH_FASTCALL | METH_KEYWORDS,
	"start_response(status, headers, exc_info=None): states the head of "
	"the response.",
};

static const PyMethodDef write_def = {
	"write", write_body, METH_O, "write(data): sends bytes of the body.",
};

static const PyMethodDef hints_def = {
	"early_hints", early_hints, METH_O,
	"early_hints(headers): sends a 103 response.",
};

static const PyMethodDef gone_def = {
	"client_gone", client_gone, METH_NOARGS,
	"client_gone(): whether the client has closed the connection.",
};

static PyObject *
bind(const PyMethodDef *def, struct wsgi_call *call)
{
	return PyCFunction_New((PyMethodDef *)def, (PyObject *)call);
}

PyObject *
functions_start_response(struct wsgi_call *call)
{
	return bind(&start_def, call);
}

PyObject *
functions_write(struct wsgi_call *call)
{
	return bind(&write_def, call);
}

PyObject *
functions_early_hints(struct wsgi_call *call)
{
	return bind(&hints_def, call);
}

PyObject *
functions_client_gone(struct wsgi_call *call)
{
	return bind(&gone_def, call);
}
