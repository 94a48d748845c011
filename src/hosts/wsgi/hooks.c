/* SPDX-License-Identifier: MIT */

#include "hooks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "interpreter.h"
#include "logconfig.h"
#include "report.h"
#include "support.h"
#include "target.h"

/* --- in the worker ------------------------------------------------------- */

/* Settings, and hooks, that need the settings file in the worker. */
static const char *const wanted[] = { "post_fork", "post_worker_init",
	"worker_int", "worker_abort", "worker_exit", "pre_request",
	"post_request" };

static bool
wants_file(const struct bicorn_server *server)
{
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (bicorn_setting(server, wanted[i]) != NULL)
			return true;
	return false;
}

static const char capsule_name[] = "bicorn.wsgi";

/* app.wsgi(): hooks ask for the application, and before it is loaded too. */
static PyObject *
load_early(PyObject *self, PyObject *unused)
{
	struct wsgi *w = PyCapsule_GetPointer(self, capsule_name);
	char error[512] = "";

	(void)unused;
	if (w == NULL)
		return NULL;
	if (w->application == NULL && (w->target == NULL ||
	    target_load(w, w->target, error, sizeof(error)) !=
		BICORN_LOADED)) {
		PyErr_Format(PyExc_RuntimeError,
		    "the application did not load: %s", error);
		return NULL;
	}
	Py_INCREF(w->application);
	return w->application;
}

static PyMethodDef load_definition = { "load", load_early, METH_NOARGS,
	NULL };

/* Gives server.app the function above. */
static int
lend_load(struct wsgi *w, PyObject *hooks)
{
	PyObject *self = PyCapsule_New(w, capsule_name, NULL);
	PyObject *load = NULL, *done = NULL;

	if (self != NULL)
		load = PyCFunction_New(&load_definition, self);
	if (load != NULL)
		done = PyObject_CallMethod(hooks, "loads_by", "O", load);
	Py_XDECREF(done);
	Py_XDECREF(load);
	Py_XDECREF(self);
	return done != NULL ? 0 : -1;
}

static PyObject *
make_hooks(struct wsgi *w, const char *file, int arbiter, int worker,
    unsigned number)
{
	PyObject *hooks;

	if (support_of(w) == NULL ||
	    PyObject_SetAttrString(w->support, "_loggers", w->loggers) < 0)
		return NULL;
	hooks = PyObject_CallMethod(w->support, "Hooks", "ziiI", file,
	    arbiter, worker, number);
	if (hooks != NULL && lend_load(w, hooks) < 0)
		Py_CLEAR(hooks);
	return hooks;
}

/* Calls a method of Hooks, whose exceptions are logged there: 0 or -1. */
static int
call(PyObject *hooks, const char *method, PyObject *arg)
{
	PyObject *result = arg != NULL ?
	    PyObject_CallMethod(hooks, method, "O", arg) :
	    PyObject_CallMethod(hooks, method, NULL);
	int rc = result == Py_True ? 0 : -1;

	Py_XDECREF(result);
	return rc;
}

static int
post_fork(struct wsgi *w, const struct bicorn_load *l)
{
	if (l->flags != 0 || call(w->hooks, "post_fork", NULL) == 0)
		return 0;
	if (!PyErr_Occurred())
		PyErr_SetString(PyExc_RuntimeError, "post_fork failed");
	return -1;
}

int
hooks_read(struct wsgi *w, const struct bicorn_load *l)
{
	const char *file = bicorn_setting(w->server, "config");
	bool class = logconfig_class(w->server) != NULL;

	if ((file == NULL || !wants_file(w->server)) && !class)
		return 0;
	w->hooks = make_hooks(w, file, l->arbiter, (int)getpid(), l->number);
	return w->hooks != NULL ? 0 : -1;
}

static int
make_log(struct wsgi *w)
{
	PyObject *done = PyObject_CallMethod(w->hooks, "make_log", NULL);

	Py_XDECREF(done);
	return done != NULL ? 0 : -1;
}

static int
has_requests(struct wsgi *w)
{
	PyObject *has = PyObject_CallMethod(w->hooks, "has_requests", NULL);

	w->request_hooks = has == Py_True;
	Py_XDECREF(has);
	return has != NULL ? 0 : -1;
}

int
hooks_start(struct wsgi *w, const struct bicorn_load *l)
{
	if (w->hooks == NULL)
		return 0;
	if (make_log(w) < 0 || has_requests(w) < 0)
		return -1;
	return post_fork(w, l);
}

void
hooks_give_up(struct wsgi *w)
{
	if (w->hooks != NULL && call(w->hooks, "worker_exit", NULL) < 0)
		PyErr_Clear();
}

/*
 * A hook may have wrapped the application, by worker.wsgi = ...; requests do
 * not run yet.
 */
static int
take_wrapped(struct wsgi *w)
{
	PyObject *worker = PyObject_GetAttrString(w->hooks, "worker");
	PyObject *wsgi = NULL;

	if (worker != NULL)
		wsgi = PyObject_GetAttrString(worker, "wsgi");
	Py_XDECREF(worker);
	if (wsgi == NULL)
		return -1;
	if (PyCallable_Check(wsgi)) {
		Py_XSETREF(w->application, wsgi);
		return 0;
	}
	Py_DECREF(wsgi);
	PyErr_SetString(PyExc_TypeError, "worker.wsgi is not callable");
	return -1;
}

/*
 * All is loaded: what Python logs is known.  Of requests it is told as the
 * hooks are.
 */
static int
look_at_loggers(struct wsgi *w, const struct bicorn_event *e)
{
	if (logconfig_look(w) < 0)
		return -1;
	if (!w->logs_access && !w->logs_error)
		return 0;
	if (w->hooks == NULL)
		w->hooks = make_hooks(w, NULL, e->arbiter, e->worker,
		    e->number);
	if (w->hooks == NULL)
		return -1;
	w->request_hooks = w->request_hooks || w->logs_access;
	return 0;
}

static int
worker_is_made(struct wsgi *w, const struct bicorn_event *e)
{
	if (w->hooks != NULL &&
	    (call(w->hooks, "post_worker_init", w->application) < 0 ||
		take_wrapped(w) < 0))
		return -1;
	return look_at_loggers(w, e);
}

/* With the interpreter lock. */
static int
tell_worker(struct wsgi *w, const struct bicorn_event *e)
{
	PyObject *done;
	int rc = 0;

	switch (e->moment) {
	case BICORN_POST_FORK: /* of a process that load() has run in before */
		done = PyObject_CallMethod(w->hooks, "forked", "iiI",
		    e->arbiter, e->worker, e->number);
		Py_XDECREF(done);
		rc = done != NULL ? call(w->hooks, "post_fork", NULL) : -1;
		break;
	case BICORN_POST_WORKER_INIT:
		rc = worker_is_made(w, e);
		break;
	case BICORN_WORKER_INT:
		rc = call(w->hooks, "worker_int", NULL);
		break;
	case BICORN_WORKER_ABORT:
		rc = call(w->hooks, "worker_abort", NULL);
		break;
	case BICORN_WORKER_EXIT:
		rc = call(w->hooks, "worker_exit", NULL);
		break;
	default:
		break;
	}
	if (PyErr_Occurred())
		report_exception(w, "Exception in a hook");
	return rc;
}

static int
worker_event(struct wsgi *w, const struct bicorn_event *e)
{
	PyGILState_STATE gil;
	int rc;

	if (e->moment == BICORN_REOPEN) {
		/* The thread of the next request does it. */
		atomic_store(&w->reopen, true);
		return 0;
	}
	if (w->hooks == NULL && e->moment != BICORN_POST_WORKER_INIT)
		return 0;
	if (e->moment == BICORN_WORKER_ABORT) {
		gil = PyGILState_Ensure();
		rc = tell_worker(w, e);
		PyGILState_Release(gil);
		return rc;
	}
	PyEval_RestoreThread(w->state);
	rc = tell_worker(w, e);
	PyEval_SaveThread();
	return rc;
}

/* --- in the helper ------------------------------------------------------- */

static const char *
hook_name(enum bicorn_moment moment)
{
	switch (moment) {
	case BICORN_ON_STARTING:
		return "on_starting";
	case BICORN_WHEN_READY:
		return "when_ready";
	case BICORN_ON_RELOAD:
		return "on_reload";
	case BICORN_PRE_FORK:
		return "pre_fork";
	case BICORN_CHILD_EXIT:
		return "child_exit";
	case BICORN_FORKED:
		return "forked";
	case BICORN_NWORKERS_CHANGED:
		return "nworkers_changed";
	case BICORN_PRE_EXEC:
		return "pre_exec";
	case BICORN_ON_EXIT:
		return "on_exit";
	default:
		return NULL;
	}
}

/*
 * On the thread of hooks_helper().  Between two moments the interpreter lock
 * is free: hooks start threads, as one that answers Prometheus.
 */
static int
helper_event(struct wsgi *w, const struct bicorn_event *e)
{
	PyObject *result;
	int rc;

	PyEval_RestoreThread(w->state);
	result = PyObject_CallMethod(w->hooks, "event", "siIiII",
	    hook_name(e->moment), e->worker, e->number, e->status, e->workers,
	    e->workers_before);
	rc = result == Py_True ? 0 : -1;
	if (result == NULL)
		report_exception(w, "Exception in a hook");
	Py_XDECREF(result);
	w->state = PyEval_SaveThread();
	return rc;
}

int
hooks_event(void *app, const struct bicorn_event *e)
{
	struct wsgi *w = app;

	/* Of a fork before load(), which does what there is to do. */
	if (w == NULL)
		return 0;
	if (hook_name(e->moment) != NULL)
		return helper_event(w, e);
	return worker_event(w, e);
}

/* The application, as load() gets it in a worker; NULL: there is none. */
static const char *
target_of(const struct bicorn_server *server)
{
	const char *target = bicorn_setting(server, "target");

	if (target != NULL && strncmp(target, "wsgi=", 5) == 0)
		target += 5;
	return target;
}

/*
 * What is wrong with that is for the workers to say.  Files that are made
 * here, with the arbiter's privileges, would not be theirs to open.
 */
static void
prepare_logging(struct wsgi *w)
{
	if (bicorn_setting(w->server, "user") != NULL ||
	    bicorn_setting(w->server, "group") != NULL)
		return;
	if ((logconfig_class(w->server) == NULL &&
		logconfig_apply(w->server) < 0) || make_log(w) < 0)
		PyErr_Clear();
}

int
hooks_helper(struct bicorn_load *l)
{
	struct wsgi *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		snprintf(l->error, l->error_size, "out of memory");
		return BICORN_LOAD_FAILED;
	}
	w->server = l->server;
	w->target = target_of(l->server);
	l->app = w;
	if (interpreter_start(l->server, l->error, l->error_size) < 0)
		return BICORN_LOAD_FAILED;
	if (interpreter_files() == 0 && interpreter_path(l->server) == 0 &&
	    logconfig_loggers(w) == 0)
		w->hooks = make_hooks(w, bicorn_setting(l->server, "config"),
		    l->arbiter, 0, 0);
	if (w->hooks == NULL)
		report_line(l->error, l->error_size);
	else
		prepare_logging(w);
	w->state = PyEval_SaveThread();
	return w->hooks != NULL ? BICORN_LOADED : BICORN_LOAD_FAILED;
}

/* --- around a request ---------------------------------------------------- */

static PyObject *
text_of(struct bicorn_str s)
{
	return PyUnicode_DecodeLatin1(s.ptr, (Py_ssize_t)s.len, NULL);
}

/* ("HOST", "example.org"): names as gunicorn has them. */
static PyObject *
field_of(const struct bicorn_header *h, bool upper)
{
	PyObject *name = text_of(h->name), *value = text_of(h->value);
	PyObject *pair = NULL, *folded;

	if (name != NULL && upper) {
		folded = PyObject_CallMethod(name, "upper", NULL);
		Py_DECREF(name);
		name = folded;
	}
	if (name != NULL && value != NULL)
		pair = PyTuple_Pack(2, name, value);
	Py_XDECREF(name);
	Py_XDECREF(value);
	return pair;
}

static PyObject *
fields_of(const struct bicorn_header *headers, size_t count, bool upper)
{
	PyObject *list = PyList_New((Py_ssize_t)count);

	for (size_t i = 0; list != NULL && i < count; i++) {
		PyObject *pair = field_of(&headers[i], upper);

		if (pair == NULL)
			Py_CLEAR(list);
		else
			PyList_SET_ITEM(list, (Py_ssize_t)i, pair);
	}
	return list;
}

static PyObject *
peer_of(const struct bicorn_request *r)
{
	if (r->peer_address.len == 0)
		return PyUnicode_FromString("");
	return Py_BuildValue("(NI)", text_of(r->peer_address), r->peer_port);
}

int
hooks_before(struct wsgi_thread *t, struct bicorn_exchange *x,
    PyObject *env)
{
	const struct bicorn_request *r = x->request;

	Py_CLEAR(t->hook_request);
	Py_XDECREF(t->hook_environ);
	Py_INCREF(env);
	t->hook_environ = env;
	t->hook_request = PyObject_CallMethod(t->wsgi->hooks, "request",
	    "ONNNNNNNNK", env, text_of(r->method), text_of(r->target),
	    text_of(r->raw_path), text_of(r->query), text_of(r->protocol),
	    text_of(r->scheme), fields_of(r->headers, r->header_count, true),
	    peer_of(r), (unsigned long long)x->number + 1);
	return t->hook_request != NULL ? 0 : -1;
}

/* What the server says for an application that failed, or its client. */
static const char *
own_reason(unsigned status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 408:
		return "Request Timeout";
	case 413:
		return "Content Too Large";
	case 503:
		return "Service Unavailable";
	case 504:
		return "Gateway Timeout";
	default:
		return "Internal Server Error";
	}
}

/* "200 OK"; what the server answered for an application that failed. */
static PyObject *
status_of(const struct wsgi_response *r, struct bicorn_exchange *x)
{
	unsigned answered = bicorn_status(x);
	PyObject *reason, *status;

	if (r->failed && !r->taken &&
	    (answered != r->code || !r->head_sent))
		return PyUnicode_FromFormat("%u %s", answered,
		    own_reason(answered));
	reason = text_of(r->reason);
	if (reason == NULL)
		return NULL;
	status = PyUnicode_FromFormat("%u %U", r->code, reason);
	Py_DECREF(reason);
	return status;
}

/* What would be in the access log, which is Python's business then. */
static PyObject *
line_of(struct bicorn_exchange *x)
{
	char line[BICORN_ACCESS_LINE_MAX];
	size_t len = bicorn_access_line(x, line, sizeof(line));

	return PyUnicode_DecodeUTF8(line, (Py_ssize_t)len, "replace");
}

void
hooks_after(struct wsgi_thread *t, struct bicorn_exchange *x)
{
	struct wsgi_response *r = &t->response;
	PyObject *done, *length = Py_None, *line = Py_None;

	if (t->hook_request == NULL)
		goto out;
	if (t->wsgi->logs_access)
		line = line_of(x);
	else
		Py_INCREF(line);
	if (r->length >= 0)
		length = PyLong_FromLongLong((long long)r->length);
	else
		Py_INCREF(length);
	done = PyObject_CallMethod(t->wsgi->hooks, "answered", "OONNLNN",
	    t->hook_request, t->hook_environ, status_of(r, x),
	    fields_of(r->headers, r->count, false), (long long)r->sent,
	    length, line);
	if (done == NULL)
		report_exception(t->wsgi, "Exception in post_request hook");
	Py_XDECREF(done);
out:
	Py_CLEAR(t->hook_request);
	Py_CLEAR(t->hook_environ);
}
