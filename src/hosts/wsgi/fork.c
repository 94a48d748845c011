/* SPDX-License-Identifier: MIT */

/*
 * A process that a view forks, as multiprocessing does, inherits the signal
 * handlers of the server, which would tell a worker to stop that it is not:
 * it could not be terminated.  It gets the default actions back.  Programs
 * that are executed have them anyway.
 */

#include "fork.h"

#include "wsgi.h"

#include <signal.h>

static PyObject *
reset_signals(PyObject *self, PyObject *unused)
{
	static const int signals[] = {
		SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGABRT
	};
	struct sigaction sa;
	size_t i;

	(void)self;
	(void)unused;
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		if (sigaction(signals[i], NULL, &sa) != 0 ||
		    sa.sa_handler == SIG_IGN)
			continue;
		sa.sa_handler = SIG_DFL;
		sa.sa_flags = 0;
		sigaction(signals[i], &sa, NULL);
	}
	Py_RETURN_NONE;
}

static const PyMethodDef reset_def = {
	"reset_signals", reset_signals, METH_NOARGS, NULL,
};

int
fork_watch(void)
{
	PyObject *os = PyImport_ImportModule("os");
	PyObject *f = PyCFunction_New((PyMethodDef *)&reset_def, NULL);
	PyObject *method = NULL, *args = PyTuple_New(0), *kwargs = NULL;
	PyObject *done = NULL;

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
	Py_XDECREF(os);
	Py_XDECREF(done);
	return done != NULL ? 0 : -1;
}
