/* SPDX-License-Identifier: MIT */

/*
 * A pool thread keeps its Python thread state for its whole life, and with
 * it the objects that applications are given.  An object that nobody else
 * refers to after the request serves the next one.
 */

#include "thread.h"

#include <stdio.h>
#include <stdlib.h>

#include "call.h"
#include "environ.h"
#include "errors.h"
#include "free.h"
#include "functions.h"
#include "input.h"
#include "names.h"
#include "report.h"
#include "response.h"

void
thread_flush_files(void)
{
	static const char *const names[] = { "stdout", "stderr" };
	PyObject *file, *done;
	size_t i;

	for (i = 0; i < 2; i++) {
		file = PySys_GetObject(names[i]);
		if (file == NULL || file == Py_None)
			continue;
		done = PyObject_CallMethod(file, "flush", NULL);
		Py_XDECREF(done);
		PyErr_Clear();
	}
}

static void
drop_objects(struct wsgi_thread *t)
{
	Py_CLEAR(t->start_response);
	Py_CLEAR(t->write);
	t->early_hints = t->client_gone = t->input = NULL;
	Py_CLEAR(t->call);
}

/*
 * Puts an object into the thread's environ, which then has the only
 * reference: returns it borrowed, or NULL with an exception.
 */
static PyObject *
give(struct wsgi_thread *t, enum wsgi_key key, PyObject *object)
{
	int rc = object != NULL ? environ_set(t, key, object) : -1;

	Py_XDECREF(object);
	return rc == 0 ? object : NULL;
}

/* Makes the objects of a call. */
static int
make_objects(struct wsgi_thread *t)
{
	struct wsgi_call *call = call_new(t->wsgi->call_type);

	t->call = call;
	if (call == NULL)
		return -1;
	t->start_response = functions_start_response(call);
	t->write = functions_write(call);
	t->early_hints = give(t, KEY_EARLY_HINTS, functions_early_hints(call));
	t->client_gone = give(t, KEY_CLIENT_GONE, functions_client_gone(call));
	t->input = give(t, KEY_INPUT, input_new(t->wsgi->input_type, call));
	return t->start_response != NULL && t->write != NULL &&
	    t->early_hints != NULL && t->client_gone != NULL &&
	    t->input != NULL ? 0 : -1;
}

/* Whether nothing but the thread, or its environ, refers to the objects. */
static bool
all_returned(const struct wsgi_thread *t)
{
	return free_is_mine(t->start_response) && free_is_mine(t->write) &&
	    free_is_mine(t->input) && free_is_mine(t->early_hints) &&
	    free_is_mine(t->client_gone);
}

int
thread_begin(struct wsgi_thread *t, struct bicorn_exchange *x)
{
	if (t->call == NULL && make_objects(t) < 0) {
		drop_objects(t);
		return -1;
	}
	t->lends_socket = false;
	call_begin(t->call, t, x);
	input_begin(t->input, x->request, t->wsgi->body_buffer);
	return 0;
}

void
thread_end(struct wsgi_thread *t)
{
	if (t->call == NULL)
		return;
	call_end(t->call);
	input_end(t->input);
	errors_flush(t->errors);
	if (t->lends_socket || !all_returned(t))
		drop_objects(t);
}

/* Names the thread for logging and debuggers, as threading's own have it. */
static void
name_thread(unsigned number)
{
	PyObject *threading, *thread = NULL, *name = NULL;

	threading = PyImport_ImportModule("threading");
	if (threading != NULL)
		thread = PyObject_CallMethod(threading, "current_thread",
		    NULL);
	if (thread != NULL)
		name = PyUnicode_FromFormat("bicorn-%u", number);
	if (name != NULL)
		PyObject_SetAttrString(thread, "name", name);
	Py_XDECREF(name);
	Py_XDECREF(thread);
	Py_XDECREF(threading);
	PyErr_Clear();
}

int
spew_thread(const struct wsgi *w)
{
	PyObject *function, *done;

	if (w->spew == NULL)
		return 0;
	function = PySys_GetObject("settrace"); /* borrowed */
	done = function != NULL ?
	    PyObject_CallFunctionObjArgs(function, w->spew, NULL) : NULL;
	Py_XDECREF(done);
	return done != NULL ? 0 : -1;
}

static int
thread_init(struct wsgi_thread *t, unsigned number)
{
	name_thread(number);
	if (spew_thread(t->wsgi) < 0)
		return -1;
	t->response.length = -1;
	t->names = names_new();
	t->errors = errors_new(t->wsgi->errors_type, t->wsgi->server);
	if (t->names == NULL || t->errors == NULL || environ_thread(t) < 0 ||
	    environ_set(t, KEY_ERRORS, t->errors) < 0)
		return -1;
	return make_objects(t);
}

/* With the interpreter lock. */
static void
thread_fini(struct wsgi_thread *t)
{
	response_free(&t->response);
	Py_CLEAR(t->environ);
	Py_CLEAR(t->hook_request);
	Py_CLEAR(t->hook_environ);
	drop_objects(t);
	Py_CLEAR(t->errors);
	names_free(&t->names);
}

struct wsgi_thread *
thread_new(struct wsgi *w, unsigned number)
{
	struct wsgi_thread *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		bicorn_log(w->server, BICORN_LOG_ERROR, "out of memory");
		return NULL;
	}
	t->wsgi = w;
	t->id = pthread_self();
	t->ident = PyThread_get_thread_ident();
	/* Extensions that call PyGILState_Ensure() find this state. */
	t->gil = PyGILState_Ensure();
	if (thread_init(t, number) < 0) {
		report_exception(w, "Cannot start a thread");
		thread_fini(t);
		PyGILState_Release(t->gil);
		free(t);
		return NULL;
	}
	t->state = PyEval_SaveThread();
	return t;
}

void
thread_free(struct wsgi_thread **tp)
{
	struct wsgi_thread *t = *tp;

	if (t == NULL)
		return;
	PyEval_RestoreThread(t->state);
	thread_fini(t);
	PyGILState_Release(t->gil);
	free(t);
	*tp = NULL;
}
