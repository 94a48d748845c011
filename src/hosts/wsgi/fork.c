/* SPDX-License-Identifier: MIT */

/*
 * The connection of a process that a view forks, as multiprocessing does, is
 * its parent's.  When it comes back from the view it must not answer, nor go
 * on as the pool thread that it is a copy of.
 */

#include "fork.h"

#include "wsgi.h"

#include <unistd.h>

#include "report.h"
#include "thread.h"

/*
 * The thread that forked is the main one of the child, which only later
 * Pythons know of one that Python did not start: the end of a process of
 * multiprocessing is an AssertionError in threading, and its exit status 1.
 * 2026: until Python 3.11.2 (Debian 12) is out of use.
 */
static const char become_main[] =
    "import threading\n"
    "thread = threading.current_thread()\n"
    "if type(thread) is threading._DummyThread:\n"
    "    thread.__class__ = threading._MainThread\n"
    "    thread._name = 'MainThread'\n"
    "    thread._daemon = False\n"
    "    thread._set_tstate_lock()\n";

static void
take_main_thread(void)
{
	PyObject *names = Py_BuildValue("{s:O}", "__builtins__",
	    PyEval_GetBuiltins()), *done = NULL;

	if (names != NULL)
		done = PyRun_String(become_main, Py_file_input, names, names);
	PyErr_Clear();
	Py_XDECREF(done);
	Py_XDECREF(names);
}

/* The function that runs in the child; self is a capsule. */
static PyObject *
after_fork(PyObject *self, PyObject *unused)
{
	struct wsgi *w = PyCapsule_GetPointer(self, NULL);

	(void)unused;
	w->child = true;
	take_main_thread();
	Py_RETURN_NONE;
}

static const PyMethodDef after_def = {
	"after_fork", after_fork, METH_NOARGS, NULL,
};

int
fork_watch(struct wsgi *w)
{
	PyObject *os = PyImport_ImportModule("os");
	PyObject *self = PyCapsule_New(w, NULL, NULL), *f = NULL;
	PyObject *method = NULL, *args = PyTuple_New(0), *kwargs = NULL;
	PyObject *done = NULL;

	if (self != NULL)
		f = PyCFunction_New((PyMethodDef *)&after_def, self);
	if (os != NULL)
		method = PyObject_GetAttrString(os, "register_at_fork");
	if (f != NULL)
		kwargs = Py_BuildValue("{s:O}", "after_in_child", f);
	if (method != NULL && args != NULL && kwargs != NULL)
		done = PyObject_Call(method, args, kwargs);
	Py_XDECREF(kwargs);
	Py_XDECREF(args);
	Py_XDECREF(method);
	Py_XDECREF(f);
	Py_XDECREF(self);
	Py_XDECREF(os);
	Py_XDECREF(done);
	return done != NULL ? 0 : -1;
}

/* The exit status that sys.exit() asks for, whose text Python would show. */
static int
exit_status(void)
{
	PyObject *type, *value, *tb, *code;
	int status = 1;

	PyErr_Fetch(&type, &value, &tb);
	PyErr_NormalizeException(&type, &value, &tb);
	code = PyObject_GetAttrString(value, "code");
	if (code == NULL || code == Py_None)
		status = 0;
	else if (PyLong_Check(code))
		status = (int)PyLong_AsLong(code);
	else
		PySys_FormatStderr("%S\n", code);
	PyErr_Clear();
	return status;
}

void
fork_leave(const struct wsgi *w)
{
	int status = 1;

	if (!PyErr_Occurred())
		bicorn_log(w->server, BICORN_LOG_ERROR,
		    "A process that the application forked returned from its "
		    "view; it has to end with os._exit()");
	else if (PyErr_ExceptionMatches(PyExc_SystemExit))
		status = exit_status();
	else
		report_exception(w, "Error in a process that the application "
		    "forked; it has to end with os._exit()");
	thread_flush_files();
	_exit(status);
}
