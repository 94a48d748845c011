/* SPDX-License-Identifier: MIT */

/*
 * One request through the application.  The interpreter lock is taken once for
 * it, or for several that follow each other; the objects that hold the bytes of
 * a small response are kept until the thread's next request.
 */

#include "handle.h"

#include <time.h>

#include "body.h"
#include "deadline.h"
#include "environ.h"
#include "fork.h"
#include "hooks.h"
#include "logconfig.h"
#include "report.h"
#include "response.h"
#include "thread.h"
#include "wsgi.h"

/* Bytes of a body that an idle thread may hold on to. */
#define KEEP_BYTES 65536
/*
 * A thread goes on to its next request without giving the interpreter lock
 * up, unless it has had it for so long.  Each time that others get it costs
 * two switches of threads, as much as a short request; and what waits for it
 * longer than the interpreter's switch interval (5 ms) asks for it.
 */
#define HOLD_US 500

/* The application failed, and the exception is set. */
static void
fail(struct wsgi_thread *t, struct bicorn_exchange *x)
{
	if (t->wsgi->child)
		fork_leave(t->wsgi);
	/* A client that left makes write() or read() fail: nobody's fault. */
	if ((t->response.gone || t->response.unread) &&
	    PyErr_ExceptionMatches(PyExc_OSError)) {
		PyErr_Clear();
		t->response.failed = t->response.unread;
		return;
	}
	/* Libraries end a WebSocket by either; the one is gunicorn's word. */
	if (t->response.taken && (PyErr_ExceptionMatches(PyExc_StopIteration) ||
	    PyErr_ExceptionMatches(PyExc_OSError))) {
		PyErr_Clear();
		return;
	}
	t->response.late = deadline_passed(t->wsgi);
	report_request(t->wsgi, x->request);
	t->response.failed = true;
}

/* What runs with environ made: the application, its body, its close(). */
static int
run(struct wsgi_thread *t, PyObject *env)
{
	PyObject *args[3] = { NULL, env, t->start_response }, *result;
	PyObject *type, *value, *tb;
	int rc;

	result = PyObject_Vectorcall(t->wsgi->application, args + 1,
	    2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
	if (result == NULL)
		return -1;
	rc = body_send(t, result);
	if (rc < 0) {
		PyErr_Fetch(&type, &value, &tb);
		if (body_close(t->wsgi, result) < 0)
			report_exception(t->wsgi, "Error in close()");
		PyErr_Restore(type, value, tb);
	} else if (body_close(t->wsgi, result) < 0) {
		/* The body was whole, and stays so. */
		if (t->wsgi->child)
			fork_leave(t->wsgi);
		report_exception(t->wsgi, "Error in close()");
	}
	Py_DECREF(result);
	return rc;
}

static void
serve(struct wsgi_thread *t, struct bicorn_exchange *x)
{
	PyObject *env = NULL;
	int rc = -1;

	if (atomic_load_explicit(&t->wsgi->reopen, memory_order_relaxed) &&
	    atomic_exchange(&t->wsgi->reopen, false))
		logconfig_reopen(t->wsgi);
	response_clear(&t->response);
	response_begin(&t->response, x->request);
	if (thread_begin(t, x) == 0)
		env = environ_new(t, x);
	deadline_begin(t, x->number);
	if (env != NULL && (!t->wsgi->request_hooks ||
	    hooks_before(t, x, env) == 0))
		rc = run(t, env);
	deadline_end(t);
	if (rc < 0)
		fail(t, x);
	else if (t->wsgi->child)
		fork_leave(t->wsgi);
	if (env != NULL && t->wsgi->note_count > 0)
		environ_note(t->wsgi, env, x);
	Py_XDECREF(env);
	environ_trim(t);
	thread_end(t);
}

/*
 * The end of the response.  It needs no interpreter lock; a thread that keeps
 * that gives it up before it waits for a client: handle_idle().
 */
static void
finish(struct wsgi_thread *t, struct bicorn_exchange *x)
{
	struct wsgi_response *r = &t->response;
	int rc = BICORN_OK;

	if (r->taken)
		return;
	if (r->pending && !r->failed)
		rc = response_deliver(r, x, r->parts.span, r->parts.count,
		    false);
	if (rc == BICORN_GONE)
		r->gone = true;
	else if (rc < 0)
		bicorn_log(x->server, BICORN_LOG_ERROR,
		    "the server refused the response of the application");
	/* A 504 where nothing was sent; else it is refused, and aborted. */
	if (r->late && bicorn_error(x, 504, NULL, 0) == BICORN_OK)
		return;
	/* Of HEAD nothing is missing, and who asked may have ended its side. */
	if (r->failed || (r->gone ? !r->bodiless : rc < 0))
		bicorn_abort(x);
}

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/*
 * Returns how long it waited.  One pool thread at a time waits for the
 * interpreter lock, the others in front of the gate: so the one that gave it
 * up cannot take it again before who waits was woken and had it.
 */
static int64_t
take_lock(struct wsgi_thread *t)
{
	int64_t asked_us;

	if (t->holds)
		return 0;
	asked_us = now_us();
	pthread_mutex_lock(&t->wsgi->gate);
	PyEval_RestoreThread(t->state);
	pthread_mutex_unlock(&t->wsgi->gate);
	t->held_us = now_us();
	t->holds = true;
	return t->held_us - asked_us;
}

static void
drop_lock(struct wsgi_thread *t)
{
	if (t->holds)
		PyEval_SaveThread();
	t->holds = false;
}

/*
 * Whether the lock is kept while a response is sent and until the next
 * request, if that is there: who waits for it gets it a moment later.
 */
static bool
may_hold(const struct wsgi_thread *t)
{
	const struct wsgi_response *r = &t->response;

	return !t->wsgi->request_hooks && !r->failed && !r->gone &&
	    r->parts.bytes <= KEEP_BYTES &&
	    now_us() - t->held_us < HOLD_US;
}

/*
 * While a request runs, who sends has given the lock up by itself, and it may
 * be a thread of the application that does.
 */
void
handle_idle(struct wsgi_thread *t)
{
	if (t->served)
		drop_lock(t);
}

void
handle_exchange(struct bicorn_exchange *x)
{
	struct wsgi_thread *t = x->thread;

	bicorn_waited(x, take_lock(t));
	t->served = false;
	serve(t, x);
	t->served = true;
	if (!may_hold(t))
		drop_lock(t);
	finish(t, x);
	if (t->wsgi->request_hooks) {
		/* The client does not wait for what comes now. */
		bicorn_finish(x);
		take_lock(t);
		hooks_after(t, x);
		drop_lock(t);
	}
	/* Small things can wait for the next request, large ones not. */
	if (t->response.parts.bytes > KEEP_BYTES) {
		take_lock(t);
		response_clear(&t->response);
		drop_lock(t);
	}
}
