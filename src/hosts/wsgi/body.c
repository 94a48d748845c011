/* SPDX-License-Identifier: MIT */

/*
 * Bodies.  Lists and tuples, and the iterators over them, run no code of the
 * application: they are gathered, get a Content-Length where they have none,
 * and if small are left for the end of the call, when the interpreter lock
 * is given up anyway.  From everything else each piece is sent as it comes.
 */

#include "body.h"

#include "filewrapper.h"
#include "free.h"
#include "response.h"

/* The iterators over lists and tuples, which cannot run other code. */
static bool
is_quick_iterator(PyObject *o)
{
	return Py_TYPE(o) == &PyListIter_Type ||
	    Py_TYPE(o) == &PyTupleIter_Type;
}

static bool
is_sequence(PyObject *o)
{
	return PyList_CheckExact(o) || PyTuple_CheckExact(o);
}

static int
need_bytes(PyObject *chunk)
{
	if (PyBytes_Check(chunk))
		return 0;
	PyErr_Format(PyExc_TypeError,
	    "the application must give bytes, not %.200s",
	    Py_TYPE(chunk)->tp_name);
	return -1;
}

/* A body needs a head. */
static int
need_start(const struct wsgi_response *r)
{
	if (r->started || r->taken)
		return 0;
	PyErr_SetString(PyExc_AssertionError,
	    "the application did not call start_response()");
	return -1;
}

/* Whether all that Content-Length promised was handed over. */
static bool
complete(const struct wsgi_response *r)
{
	return r->length >= 0 && r->sent >= r->length;
}

/* States the length of a body that is known as a whole. */
static void
set_length(struct wsgi_response *r, int64_t length)
{
	/* An empty body says nothing of the one that GET would have. */
	if (!r->head_sent && r->length < 0 && !(r->bodiless && length == 0) &&
	    r->code != 204 && r->code != 304)
		r->length = length;
}

/*
 * Gathers one chunk, sending first where there is no room.  1: go on, 0: the
 * rest is not wanted, -1: exception.
 */
static int
gather(struct wsgi_thread *t, PyObject *chunk)
{
	struct wsgi_response *r = &t->response;

	if (need_bytes(chunk) < 0)
		return -1;
	if (PyBytes_GET_SIZE(chunk) == 0)
		return 1;
	if (need_start(r) < 0)
		return -1;
	if (complete(r))
		return 0;
	if (response_full(r) && response_send(t, false) < 0)
		return -1;
	if (r->gone)
		return 0;
	response_add(r, chunk);
	return 1;
}

/* The end of a body that was gathered, or had no chunk at all. */
static int
end(struct wsgi_thread *t)
{
	struct wsgi_response *r = &t->response;

	if (need_start(r) < 0)
		return -1;
	if (!r->head_sent)
		set_length(r, (int64_t)r->parts.bytes);
	r->pending = !r->gone && (!r->head_sent || r->parts.count > 0);
	return 0;
}

/* The bytes of a list or tuple; -1 with an exception. */
static int64_t
total(PyObject *seq)
{
	PyObject *chunk;
	int64_t sum = 0;
	Py_ssize_t i;
	int rc = 0;

	for (i = 0; rc == 0 && (chunk = free_item(seq, i)) != NULL; i++) {
		rc = need_bytes(chunk);
		if (rc == 0)
			sum += PyBytes_GET_SIZE(chunk);
		Py_DECREF(chunk);
	}
	return rc == 0 ? sum : -1;
}

static int
send_sequence(struct wsgi_thread *t, PyObject *seq)
{
	int64_t sum = total(seq);
	PyObject *chunk;
	Py_ssize_t i;
	int rc = 1;

	if (sum < 0 || need_start(&t->response) < 0)
		return -1;
	set_length(&t->response, sum);
	/* A list may shrink while the interpreter lock is given up. */
	for (i = 0; rc > 0 && (chunk = free_item(seq, i)) != NULL; i++) {
		rc = gather(t, chunk);
		Py_DECREF(chunk);
	}
	return rc < 0 ? -1 : end(t);
}

static int
send_quick(struct wsgi_thread *t, PyObject *iter)
{
	PyObject *chunk;
	int rc = 1;

	while (rc > 0 && (chunk = PyIter_Next(iter)) != NULL) {
		rc = gather(t, chunk);
		Py_DECREF(chunk);
	}
	return rc < 0 || PyErr_Occurred() ? -1 : end(t);
}

/*
 * One piece of a stream: with the client before the next is asked for.  Of a
 * body that is not sent the first piece is enough: it may have no end.
 */
static int
send_piece(struct wsgi_thread *t, PyObject *chunk)
{
	struct wsgi_response *r = &t->response;
	int rc = gather(t, chunk);

	if (rc <= 0 || r->parts.count == 0)
		return rc;
	if (response_send(t, true) < 0)
		return -1;
	return !r->gone && !r->bodiless;
}

static int
send_stream(struct wsgi_thread *t, PyObject *iter)
{
	PyObject *chunk;
	int rc = 1;

	while (rc > 0 && (chunk = PyIter_Next(iter)) != NULL) {
		rc = send_piece(t, chunk);
		Py_DECREF(chunk);
	}
	return rc < 0 || PyErr_Occurred() ? -1 : end(t);
}

static int
send_iterable(struct wsgi_thread *t, PyObject *result)
{
	PyObject *iter = PyObject_GetIter(result);
	int rc;

	if (iter == NULL)
		return -1;
	rc = is_quick_iterator(iter) ? send_quick(t, iter) :
	    send_stream(t, iter);
	Py_DECREF(iter);
	return rc;
}

static int
send_file(struct wsgi_thread *t, const struct wsgi_file *file)
{
	struct wsgi_response *r = &t->response;
	int64_t len = file->rest;

	if (need_start(r) < 0)
		return -1;
	set_length(r, len);
	if (r->length >= 0 && len > r->length - r->sent)
		len = r->length > r->sent ? r->length - r->sent : 0;
	return response_send_file(t, file->fd, file->offset, len);
}

static int
send_any(struct wsgi_thread *t, PyObject *result)
{
	const struct wsgi *w = t->wsgi;
	struct wsgi_file file;

	if (Py_TYPE(result) == w->file_wrapper_type && w->sendfile &&
	    filewrapper_file(result, &file))
		return send_file(t, &file);
	return send_iterable(t, result);
}

/* close(), a new reference; NULL without an exception where there is none. */
static PyObject *
find_close(const struct wsgi *w, PyObject *result)
{
	PyObject *close;

	if (is_sequence(result) || is_quick_iterator(result))
		return NULL;
	close = PyObject_GetAttr(result, w->close);
	if (close == NULL && PyErr_ExceptionMatches(PyExc_AttributeError))
		PyErr_Clear();
	return close;
}

/*
 * Applications work in close() what the client shall not wait for: it gets
 * all of its answer first.
 */
static int
finish_before_close(struct wsgi_thread *t, PyObject *result)
{
	struct wsgi_response *r = &t->response;
	PyObject *close;

	/* All was sent, and the length that was stated says so. */
	if (r->gone || (!r->pending && r->sent > 0 && complete(r)))
		return 0;
	close = find_close(t->wsgi, result);
	if (close == NULL)
		return PyErr_Occurred() ? -1 : 0;
	Py_DECREF(close);
	return response_end(t);
}

int
body_send(struct wsgi_thread *t, PyObject *result)
{
	if (is_sequence(result))
		return send_sequence(t, result);
	if (is_quick_iterator(result))
		return send_quick(t, result);
	if (send_any(t, result) < 0)
		return -1;
	return finish_before_close(t, result);
}

int
body_close(const struct wsgi *w, PyObject *result)
{
	PyObject *close = find_close(w, result), *done;

	if (close == NULL)
		return PyErr_Occurred() ? -1 : 0;
	done = PyObject_CallObject(close, NULL);
	Py_DECREF(close);
	Py_XDECREF(done);
	return done == NULL ? -1 : 0;
}
