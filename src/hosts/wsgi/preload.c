/* SPDX-License-Identifier: MIT */

/*
 * Forking a Python process that has loaded the application: what os.fork()
 * does around the system call, os.register_at_fork() included.
 */

#include "preload.h"

#include "wsgi.h"

#include "deadline.h"
#include "report.h"
#include "thread.h"

/*
 * The collector writes to each object that it looks at, and what is written
 * to is no longer shared.  So it looks at nothing that is there by now; first
 * it takes what nobody needs.
 */
static int
freeze(bool collect)
{
	PyObject *gc = PyImport_ImportModule("gc"), *done = NULL;

	if (gc == NULL)
		return -1;
	if (collect)
		PyGC_Collect();
	done = PyObject_CallMethod(gc, "freeze", NULL);
	Py_DECREF(gc);
	Py_XDECREF(done);
	return done != NULL ? 0 : -1;
}

/* "a, b": the threads besides this one; a new reference, or NULL. */
static PyObject *
other_threads(Py_ssize_t *count_out)
{
	PyObject *threading = PyImport_ImportModule("threading");
	PyObject *all = NULL, *names = PyList_New(0), *comma, *text = NULL;

	if (threading != NULL)
		all = PyObject_CallMethod(threading, "enumerate", NULL);
	for (Py_ssize_t i = 0; all != NULL && names != NULL &&
	    i < PyList_GET_SIZE(all); i++) {
		PyObject *thread = PyList_GET_ITEM(all, i);
		PyObject *ident = PyObject_GetAttrString(thread, "ident");
		PyObject *name = PyObject_GetAttrString(thread, "name");

		if (ident != NULL && name != NULL &&
		    PyLong_AsUnsignedLong(ident) !=
			PyThread_get_thread_ident())
			PyList_Append(names, name);
		Py_XDECREF(ident);
		Py_XDECREF(name);
	}
	*count_out = names != NULL ? PyList_GET_SIZE(names) : 0;
	comma = PyUnicode_FromString(", ");
	if (names != NULL && comma != NULL)
		text = PyUnicode_Join(comma, names);
	Py_XDECREF(comma);
	Py_XDECREF(names);
	Py_XDECREF(all);
	Py_XDECREF(threading);
	return text;
}

static void
warn_of_threads(struct wsgi *w)
{
	Py_ssize_t count;
	PyObject *names = other_threads(&count);
	const char *text = names != NULL ? PyUnicode_AsUTF8(names) : NULL;

	if (count > 0)
		bicorn_logf(w->server, BICORN_LOG_WARNING,
		    "%zd thread%s of the application will not run in the "
		    "workers, which are forked (preload_app): %s. Start "
		    "them in os.register_at_fork(after_in_child=...)", count,
		    count == 1 ? "" : "s", text != NULL ? text : "?");
	Py_XDECREF(names);
	PyErr_Clear();
}

void
preload_prepare(void *app)
{
	struct wsgi *w = app;

	PyEval_RestoreThread(w->state);
	if (!w->forked)
		warn_of_threads(w);
	if (freeze(!w->forked) < 0)
		report_exception(w, "gc.freeze()");
	w->forked = true;
	thread_flush_files();
	PyOS_BeforeFork();
}

void
preload_parent(void *app)
{
	struct wsgi *w = app;

	PyOS_AfterFork_Parent();
	w->state = PyEval_SaveThread();
}

void
preload_child(void *app)
{
	struct wsgi *w = app;

	PyOS_AfterFork_Child();
	w->child = false; /* a worker is none of a view */
	if (deadline_forked(w) < 0)
		bicorn_log(w->server, BICORN_LOG_WARNING,
		    "no pipe: stacks may be shown by another worker");
	w->state = PyEval_SaveThread();
}
