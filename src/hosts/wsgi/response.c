/* SPDX-License-Identifier: MIT */

/*
 * The server's part of a response: making the head, sending.  It runs
 * without the interpreter lock.
 */

#include "response.h"

#include <errno.h>
#include <stdlib.h>

#include "call.h"
#include "fork.h"
#include "head.h"

/* Parts are handed over together up to this many bytes. */
#define GATHER_BYTES 16384

void
response_begin(struct wsgi_response *r, const struct bicorn_request *req)
{
	r->code = 0;
	r->length = -1;
	r->sent = 0;
	r->started = false;
	r->head_sent = false;
	r->bodiless = bicorn_str_eq(req->method, "HEAD");
	r->gone = false;
	r->unread = false;
	r->failed = false;
	r->late = false;
	r->pending = false;
	r->taken = false;
}

static void
drop_parts(struct wsgi_response *r)
{
	struct wsgi_parts *p = &r->parts;

	while (p->count > 0)
		Py_DECREF(p->owner[--p->count]);
	p->bytes = 0;
}

void
response_clear(struct wsgi_response *r)
{
	drop_parts(r);
	head_clear(r);
}

void
response_free(struct wsgi_response *r)
{
	response_clear(r);
	head_forget(r);
	free(r->headers);
	free(r->pairs);
	r->headers = NULL;
	r->pairs = NULL;
	r->capacity = 0;
}

void
response_add(struct wsgi_response *r, PyObject *owner)
{
	struct wsgi_parts *p = &r->parts;
	size_t len = (size_t)PyBytes_GET_SIZE(owner);

	Py_INCREF(owner);
	p->owner[p->count] = owner;
	p->span[p->count].ptr = PyBytes_AS_STRING(owner);
	p->span[p->count].len = len;
	p->count++;
	p->bytes += len;
	r->sent += (int64_t)len;
}

bool
response_full(const struct wsgi_response *r)
{
	return r->parts.count == WSGI_PARTS || r->parts.bytes >= GATHER_BYTES;
}

static int
deliver_head(struct wsgi_response *r, struct bicorn_exchange *x)
{
	int rc = x->server->respond(x, r->code, r->reason, r->headers,
	    r->count, r->length);

	r->head_sent = rc >= 0;
	return rc;
}

int
response_deliver(struct wsgi_response *r, struct bicorn_exchange *x,
    const struct bicorn_str *parts, size_t count, bool flush)
{
	const struct bicorn_server *server = x->server;
	int rc = BICORN_OK;

	/* What there was to say was said by the socket. */
	if (r->taken)
		return BICORN_OK;
	/* Of a body that is not sent, only the end of the client matters. */
	if (r->bodiless && r->head_sent)
		return server->gone(x) ? BICORN_GONE : BICORN_OK;
	/* A body that must not be there says nothing of its length either. */
	if (r->code == 204 || r->code == 304)
		count = 0;
	if (!r->head_sent)
		rc = deliver_head(r, x);
	if (rc >= 0 && count == 1)
		rc = server->write(x, parts->ptr, parts->len);
	else if (rc >= 0 && count > 1)
		rc = server->writev(x, parts, count);
	if (rc >= 0 && flush)
		rc = server->flush(x);
	return rc < 0 ? rc : BICORN_OK;
}

static int
deliver_file(struct wsgi_response *r, struct bicorn_exchange *x, int fd,
    int64_t offset, int64_t len)
{
	int rc;

	if (r->taken)
		return BICORN_OK;
	rc = r->head_sent ? BICORN_OK : deliver_head(r, x);
	if (rc >= 0 && len > 0 && !r->bodiless)
		rc = x->server->send_file(x, fd, offset, len);
	return rc < 0 ? rc : BICORN_OK;
}

void
response_raise(int rc)
{
	switch (rc) {
	case BICORN_GONE:
		errno = EPIPE;
		PyErr_SetFromErrno(PyExc_OSError);
		break;
	case BICORN_NO_MEMORY:
		PyErr_NoMemory();
		break;
	case BICORN_INVALID:
		PyErr_SetString(PyExc_ValueError,
		    "the server refuses the head of the response");
		break;
	case BICORN_IO:
		errno = EIO;
		PyErr_SetFromErrno(PyExc_OSError);
		break;
	default:
		PyErr_SetString(PyExc_RuntimeError,
		    "not at this point of the response");
	}
}

int
response_sent(struct wsgi_response *r, int rc)
{
	if (rc == BICORN_GONE)
		r->gone = true;
	else if (rc < 0)
		response_raise(rc);
	return rc < 0 && rc != BICORN_GONE ? -1 : 0;
}

/* A process that a view forked has nothing to send. */
static bool
enter(const struct wsgi *w, struct wsgi_call *call)
{
	if (w->child)
		fork_leave(w);
	return call_enter(call);
}

int
response_send(struct wsgi_thread *t, bool flush)
{
	struct wsgi_response *r = &t->response;
	struct wsgi_call *call = t->call;
	int rc;

	if (!enter(t->wsgi, call))
		return -1;
	Py_BEGIN_ALLOW_THREADS
	rc = response_deliver(r, call->x, r->parts.span, r->parts.count,
	    flush);
	Py_END_ALLOW_THREADS
	call_leave(call);
	drop_parts(r);
	return response_sent(r, rc);
}

int
response_end(struct wsgi_thread *t)
{
	struct wsgi_response *r = &t->response;
	struct wsgi_call *call = t->call;
	int rc;

	if (!enter(t->wsgi, call))
		return -1;
	Py_BEGIN_ALLOW_THREADS
	rc = response_deliver(r, call->x, r->parts.span, r->parts.count,
	    false);
	if (rc >= 0 && !r->taken)
		rc = bicorn_finish(call->x);
	Py_END_ALLOW_THREADS
	call_leave(call);
	drop_parts(r);
	r->pending = false;
	return response_sent(r, rc);
}

int
response_send_file(struct wsgi_thread *t, int fd, int64_t offset, int64_t len)
{
	struct wsgi_response *r = &t->response;
	struct wsgi_call *call = t->call;
	int rc;

	if (!enter(t->wsgi, call))
		return -1;
	Py_BEGIN_ALLOW_THREADS
	rc = deliver_file(r, call->x, fd, offset, len);
	Py_END_ALLOW_THREADS
	call_leave(call);
	r->sent += len;
	return response_sent(r, rc);
}
