/* SPDX-License-Identifier: MIT */
#ifndef T_UNIT_WSGI_PYTHON_H
#define T_UNIT_WSGI_PYTHON_H

/* An interpreter for unit tests, without the site's packages. */

#include <Python.h>

/* The interpreter keeps memory on purpose. */
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}

static int
python_start(void **state)
{
	PyConfig config;
	PyStatus status;

	(void)state;
	PyConfig_InitIsolatedConfig(&config);
	config.site_import = 0;
	status = PyConfig_SetBytesString(&config, &config.program_name,
	    BICORN_PYTHON);
	if (!PyStatus_Exception(status))
		status = Py_InitializeFromConfig(&config);
	PyConfig_Clear(&config);
	return PyStatus_Exception(status) ? -1 : 0;
}

static int
python_stop(void **state)
{
	(void)state;
	return Py_FinalizeEx();
}

/* The value of an expression: a new reference. */
static inline PyObject *
evaluate(const char *text)
{
	PyObject *globals = PyDict_New();
	PyObject *value = PyRun_String(text, Py_eval_input, globals, globals);

	if (value == NULL)
		PyErr_Print();
	Py_DECREF(globals);
	return value;
}

#endif
