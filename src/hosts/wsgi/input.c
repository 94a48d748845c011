/* SPDX-License-Identifier: MIT */

/*
 * wsgi.input.  What can be read at once is the window: for a body in memory
 * all of it, in the server's own memory; for one that was spooled a piece of
 * the file, read without the interpreter lock.
 */

#include "input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"

#define WINDOW_SIZE 65536

struct input {
	PyObject_HEAD
	struct wsgi_call *call;
	const char *window; /* bytes not yet read, the server's or buffer's */
	size_t avail;       /* how many */
	char *buffer;       /* WINDOW_SIZE, for spooled bodies */
	int64_t left;       /* behind the window; -1: not known */
	int64_t memory_limit;
	bool opened;        /* the window was looked at */
	bool ended;         /* nothing behind the window */
};

/* The result of server->read() as an exception. */
static void
raise_io(struct input *in, int64_t rc)
{
	if (rc == BICORN_GONE || rc == BICORN_TIMEOUT)
		in->call->thread->response.unread = true;
	errno = rc == BICORN_GONE ? ECONNRESET :
	    rc == BICORN_TIMEOUT ? ETIMEDOUT : EIO;
	PyErr_SetFromErrno(PyExc_OSError);
}

/* Reads behind the window, without the interpreter lock. */
static int64_t
fetch(struct input *in, void *buf, size_t len)
{
	struct bicorn_exchange *x = in->call->x;
	int64_t n;

	Py_BEGIN_ALLOW_THREADS
	n = bicorn_read(x, buf, len);
	Py_END_ALLOW_THREADS
	if (n < 0)
		raise_io(in, n);
	else if (n == 0)
		in->ended = true;
	else if (in->left >= 0)
		in->left -= n < in->left ? n : in->left;
	return n;
}

/* Looks at the body for the first time. */
static int
open_window(struct input *in)
{
	struct bicorn_exchange *x = in->call->x;
	struct bicorn_str body;
	int rc;

	in->opened = true;
	if (in->left == 0) {
		in->ended = true;
		return 0;
	}
	if (in->left < 0 || in->left > in->memory_limit)
		return 0;
	rc = bicorn_body(x, &body);
	if (rc < 0) {
		raise_io(in, rc);
		return -1;
	}
	in->window = body.ptr;
	in->avail = body.len;
	in->left = 0;
	in->ended = true;
	return 0;
}

/* Makes an empty window non-empty, or sets ended. */
static int
refill(struct input *in)
{
	int64_t n;

	if (in->ended)
		return 0;
	if (in->buffer == NULL) {
		in->buffer = malloc(WINDOW_SIZE);
		if (in->buffer == NULL) {
			PyErr_NoMemory();
			return -1;
		}
	}
	n = fetch(in, in->buffer, WINDOW_SIZE);
	if (n < 0)
		return -1;
	in->window = in->buffer;
	in->avail = (size_t)n;
	return 0;
}

static size_t
take(struct input *in, char *out, size_t len)
{
	size_t n = len < in->avail ? len : in->avail;

	if (n == 0)
		return 0;
	memcpy(out, in->window, n);
	in->window += n;
	in->avail -= n;
	return n;
}

/* Takes len bytes, fewer only at the end; -1 with an exception. */
static Py_ssize_t
take_all(struct input *in, char *out, size_t len)
{
	size_t got = take(in, out, len);
	int64_t n;

	while (got < len && !in->ended) {
		n = fetch(in, out + got, len - got);
		if (n < 0)
			return -1;
		got += (size_t)n;
	}
	return (Py_ssize_t)got;
}

/* A read of at most size, where what is left is known. */
static PyObject *
read_known(struct input *in, size_t size)
{
	size_t all = in->avail + (size_t)(in->ended ? 0 : in->left);
	PyObject *out;
	Py_ssize_t got;

	if (size > all)
		size = all;
	out = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
	if (out == NULL || size == 0)
		return out;
	got = take_all(in, PyBytes_AS_STRING(out), size);
	if (got < 0) {
		Py_DECREF(out);
		return NULL;
	}
	if ((size_t)got < size)
		_PyBytes_Resize(&out, got);
	return out;
}

/* The same where it is not: by doubling. */
static PyObject *
read_unknown(struct input *in, size_t size)
{
	size_t room = size < WINDOW_SIZE ? size : WINDOW_SIZE, got = 0;
	PyObject *out = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)room);
	Py_ssize_t n;

	while (out != NULL) {
		n = take_all(in, PyBytes_AS_STRING(out) + got, room - got);
		if (n < 0) {
			Py_DECREF(out);
			return NULL;
		}
		got += (size_t)n;
		if (got < room || got == size)
			break;
		room = room > size / 2 ? size : room * 2;
		_PyBytes_Resize(&out, (Py_ssize_t)room);
	}
	if (out != NULL && got < room)
		_PyBytes_Resize(&out, (Py_ssize_t)got);
	return out;
}

static PyObject *
read_bytes(struct input *in, size_t size)
{
	if (!in->opened && open_window(in) < 0)
		return NULL;
	if (in->ended || in->left >= 0)
		return read_known(in, size);
	return read_unknown(in, size);
}

/*
 * The next line, of at most size bytes; b"" at the end.  A line within the
 * window is copied once; one that crosses its edge is put together.
 */
static PyObject *
read_line(struct input *in, size_t size)
{
	PyObject *line = NULL, *piece;
	const char *end;
	size_t n;

	if (!in->opened && open_window(in) < 0)
		return NULL;
	while (size > 0) {
		if (in->avail == 0 && refill(in) < 0) {
			Py_XDECREF(line);
			return NULL;
		}
		if (in->avail == 0)
			break;
		n = size < in->avail ? size : in->avail;
		end = memchr(in->window, '\n', n);
		if (end != NULL)
			n = (size_t)(end - in->window) + 1;
		piece = PyBytes_FromStringAndSize(in->window, (Py_ssize_t)n);
		if (piece == NULL) {
			Py_XDECREF(line);
			return NULL;
		}
		in->window += n;
		in->avail -= n;
		size -= n;
		if (line == NULL)
			line = piece;
		else
			PyBytes_ConcatAndDel(&line, piece);
		if (line == NULL || end != NULL)
			return line;
	}
	return line != NULL ? line : PyBytes_FromStringAndSize(NULL, 0);
}

/* A size argument: none, None and negative numbers stand for everything. */
static int
size_arg(PyObject *const *args, Py_ssize_t n, const char *method,
    size_t *size_out)
{
	Py_ssize_t size;

	*size_out = PY_SSIZE_T_MAX;
	if (n > 1) {
		PyErr_Format(PyExc_TypeError,
		    "%s() takes at most 1 argument (%zd given)", method, n);
		return -1;
	}
	if (n == 0 || args[0] == Py_None)
		return 0;
	if (!PyLong_Check(args[0])) {
		PyErr_Format(PyExc_TypeError,
		    "%s(): size must be an integer, not %.200s", method,
		    Py_TYPE(args[0])->tp_name);
		return -1;
	}
	/* Numbers out of range are clipped: a large one reads everything. */
	size = PyNumber_AsSsize_t(args[0], NULL);
	if (size == -1 && PyErr_Occurred())
		return -1;
	if (size >= 0)
		*size_out = (size_t)size;
	return 0;
}

static PyObject *
input_read(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct input *in = (struct input *)self;
	PyObject *out;
	size_t size;

	if (size_arg(args, n, "read", &size) < 0 || !call_enter(in->call))
		return NULL;
	out = read_bytes(in, size);
	call_leave(in->call);
	return out;
}

static PyObject *
input_readline(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct input *in = (struct input *)self;
	PyObject *out;
	size_t size;

	if (size_arg(args, n, "readline", &size) < 0 || !call_enter(in->call))
		return NULL;
	out = read_line(in, size);
	call_leave(in->call);
	return out;
}

/* The lines up to the one that brings the total to hint. */
static PyObject *
input_readlines(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct input *in = (struct input *)self;
	PyObject *lines, *line;
	size_t hint, total = 0;
	int rc = 0;

	if (size_arg(args, n, "readlines", &hint) < 0)
		return NULL;
	if (hint == 0)
		hint = PY_SSIZE_T_MAX;
	lines = PyList_New(0);
	if (lines == NULL || !call_enter(in->call)) {
		Py_XDECREF(lines);
		return NULL;
	}
	while (rc == 0 && total < hint) {
		line = read_line(in, PY_SSIZE_T_MAX);
		if (line == NULL || PyBytes_GET_SIZE(line) == 0) {
			rc = line == NULL ? -1 : 1;
			Py_XDECREF(line);
			break;
		}
		total += (size_t)PyBytes_GET_SIZE(line);
		rc = PyList_Append(lines, line);
		Py_DECREF(line);
	}
	call_leave(in->call);
	if (rc < 0)
		Py_CLEAR(lines);
	return lines;
}

static PyObject *
input_next(PyObject *self)
{
	PyObject *line = input_readline(self, NULL, 0);

	/* An empty line ends the iteration: NULL without an exception. */
	if (line != NULL && PyBytes_GET_SIZE(line) == 0)
		Py_CLEAR(line);
	return line;
}

void
input_begin(PyObject *self, const struct bicorn_request *r,
    int64_t memory_limit)
{
	struct input *in = (struct input *)self;

	in->window = NULL;
	in->avail = 0;
	in->left = r->content_length;
	in->memory_limit = memory_limit;
	in->opened = false;
	in->ended = false;
}

void
input_end(PyObject *self)
{
	struct input *in = (struct input *)self;

	in->window = NULL;
	in->avail = 0;
	free(in->buffer);
	in->buffer = NULL;
}

static void
input_dealloc(PyObject *self)
{
	struct input *in = (struct input *)self;
	PyTypeObject *type = Py_TYPE(self);

	free(in->buffer);
	Py_XDECREF(in->call);
	type->tp_free(self);
	Py_DECREF(type);
}

PyObject *
input_new(PyTypeObject *type, struct wsgi_call *call)
{
	struct input *in = (struct input *)type->tp_alloc(type, 0);

	if (in == NULL)
		return NULL;
	Py_INCREF(call);
	in->call = call;
	return (PyObject *)in;
}

static const PyMethodDef input_methods[] = {
	{ "read", (PyCFunction)(void (*)(void))input_read, METH_FASTCALL,
	    "Reads up to size bytes, all of them without a size." },
	{ "readline", (PyCFunction)(void (*)(void))input_readline,
	    METH_FASTCALL, "Reads a line, or size bytes of it." },
	{ "readlines", (PyCFunction)(void (*)(void))input_readlines,
	    METH_FASTCALL, "Reads lines, up to about hint bytes." },
	{ NULL, NULL, 0, NULL },
};

static const PyType_Slot input_slots[] = {
	{ Py_tp_dealloc, (void *)input_dealloc },
	{ Py_tp_iter, (void *)PyObject_SelfIter },
	{ Py_tp_iternext, (void *)input_next },
	{ Py_tp_methods, (void *)input_methods },
	{ 0, NULL },
};

static const PyType_Spec input_spec = {
	.name = "bicorn.Input",
	.basicsize = sizeof(struct input),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = (PyType_Slot *)input_slots,
};

PyTypeObject *
input_type_new(void)
{
	return wsgi_type_new(&input_spec);
}
