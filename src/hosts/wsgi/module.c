/* SPDX-License-Identifier: MIT */

/*
 * The WSGI host as an application of bicorn: loading, threads, unloading.
 * load() and unload() run on the worker's first thread, which is Python's
 * main thread; the pool threads run requests.
 */

#include "wsgi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "deadline.h"
#include "environ.h"
#include "errors.h"
#include "filewrapper.h"
#include "fork.h"
#include "handle.h"
#include "input.h"
#include "interpreter.h"
#include "logconfig.h"
#include "names.h"
#include "report.h"
#include "target.h"
#include "thread.h"

PyTypeObject *
wsgi_type_new(const PyType_Spec *spec)
{
	PyTypeObject *type;

	type = (PyTypeObject *)PyType_FromSpec((PyType_Spec *)spec);
	if (type != NULL) {
		/* Instances made by Python code would hang on nothing. */
		type->tp_new = NULL;
		PyType_Modified(type);
	}
	return type;
}

/* "64k" -> 65536; what cannot be read is the default of the setting. */
static int64_t
body_buffer(const struct bicorn_server *server)
{
	const char *text = bicorn_setting(server, "body_buffer");
	const char *streamed = bicorn_setting(server, "stream_body");
	long long n;
	char *end;

	/* A streamed body is waited for: never under the interpreter lock. */
	if (streamed != NULL && strcmp(streamed, "true") == 0)
		return 0;
	if (text == NULL)
		return 65536;
	n = strtoll(text, &end, 10);
	if (*end == 'k' || *end == 'K')
		n *= 1024;
	else if (*end == 'm' || *end == 'M')
		n *= 1024 * 1024;
	else if (*end == 'g' || *end == 'G')
		n *= 1024 * 1024 * 1024;
	return n > 0 ? n : 65536;
}

static bool
is_off(const struct bicorn_server *server, const char *name)
{
	const char *text = bicorn_setting(server, name);

	return text != NULL && (strcmp(text, "false") == 0 ||
	    strcmp(text, "0") == 0);
}

/* An attribute of a module: a new reference, or NULL with an exception. */
static PyObject *
import_attr(const char *module_name, const char *name)
{
	PyObject *module = PyImport_ImportModule(module_name), *value;

	if (module == NULL)
		return NULL;
	value = PyObject_GetAttrString(module, name);
	Py_DECREF(module);
	return value;
}

/* What the host needs of Python; -1 with an exception. */
static int
prepare(struct wsgi *w)
{
	PyObject *threading;

	if (interpreter_files() < 0)
		return -1;
	/* First imported here, it takes this thread for the main one. */
	threading = PyImport_ImportModule("threading");
	if (threading == NULL)
		return -1;
	Py_DECREF(threading);
	w->format_exception = import_attr("traceback", "format_exception");
	w->close = PyUnicode_InternFromString("close");
	w->names = names_common();
	w->call_type = call_type_new();
	w->input_type = input_type_new();
	w->errors_type = errors_type_new();
	w->file_wrapper_type = filewrapper_type_new();
	if (w->format_exception == NULL || w->close == NULL ||
	    w->names == NULL || w->call_type == NULL ||
	    w->input_type == NULL || w->errors_type == NULL ||
	    w->file_wrapper_type == NULL)
		return -1;
	if (environ_init(w) < 0 || fork_watch() < 0 || deadline_init(w) < 0)
		return -1;
	return interpreter_path(w->server);
}

/* The process's own SCRIPT_NAME, which the application may have set. */
static int
take_script_name(struct wsgi *w)
{
	const char *text = getenv("SCRIPT_NAME");
	char *copy = strdup(text != NULL ? text : "");

	if (copy == NULL)
		return -1;
	w->script_name = bicorn_str(copy);
	w->root_path = bicorn_str(bicorn_setting(w->server, "root_path"));
	while (w->root_path.len > 0 &&
	    w->root_path.ptr[w->root_path.len - 1] == '/')
		w->root_path.len--;
	return 0;
}

static void
drop(struct wsgi *w)
{
	int i;

	Py_CLEAR(w->application);
	for (i = 0; i < KEY_COUNT; i++)
		Py_CLEAR(w->keys[i]);
	Py_CLEAR(w->names);
	Py_CLEAR(w->environ);
	Py_CLEAR(w->close);
	Py_CLEAR(w->format_exception);
	Py_CLEAR(w->call_type);
	Py_CLEAR(w->input_type);
	Py_CLEAR(w->errors_type);
	Py_CLEAR(w->file_wrapper_type);
	deadline_fini(w);
}

static void
wsgi_free(struct wsgi *w)
{
	free((char *)w->script_name.ptr);
	free(w);
}

/*
 * A start that failed ends the process soon: exit functions run and files
 * are flushed, but threads that the application left are not waited for.
 */
static void
give_up(struct wsgi *w)
{
	PyObject *run = import_attr("atexit", "_run_exitfuncs"), *done = NULL;

	if (run != NULL)
		done = PyObject_CallObject(run, NULL);
	Py_XDECREF(done);
	Py_XDECREF(run);
	PyErr_Clear();
	thread_flush_files();
	drop(w);
	PyEval_SaveThread();
}

/* With the interpreter lock.  Returns enum bicorn_load_result. */
static int
load_application(struct wsgi *w, struct bicorn_load *l)
{
	int rc;

	if (prepare(w) < 0) {
		report_line(l->error, l->error_size);
		return BICORN_LOAD_FAILED;
	}
	if (logconfig_apply(w->server) < 0) {
		report_exception(w, "Error in the configuration of logging");
		snprintf(l->error, l->error_size,
		    "logconfig: Python could not apply it");
		return BICORN_LOAD_FAILED;
	}
	rc = target_load(w, l->target, l->error, l->error_size);
	if (rc == BICORN_LOADED && take_script_name(w) < 0) {
		snprintf(l->error, l->error_size, "out of memory");
		rc = BICORN_LOAD_FAILED;
	}
	return rc;
}

static int
wsgi_load(struct bicorn_load *l)
{
	struct wsgi *w = calloc(1, sizeof(*w));
	int rc = BICORN_LOAD_FAILED;

	if (w == NULL) {
		snprintf(l->error, l->error_size, "out of memory");
		return BICORN_LOAD_FAILED;
	}
	w->server = l->server;
	w->pid = getpid();
	w->body_buffer = body_buffer(l->server);
	w->note_count = bicorn_notes(l->server, &w->notes);
	w->sendfile = !is_off(l->server, "sendfile");
	/* Libraries look there for what they run under, as in gunicorn. */
	setenv("SERVER_SOFTWARE", l->server->software, 1);
	if (interpreter_start(l->server, l->error, l->error_size) == 0) {
		rc = load_application(w, l);
		if (rc != BICORN_LOADED)
			give_up(w);
	}
	if (rc != BICORN_LOADED) {
		wsgi_free(w);
		return rc;
	}
	w->state = PyEval_SaveThread();
	l->app = w;
	return BICORN_LOADED;
}

/*
 * Ends Python as at the end of a program: threads of the application that
 * are not daemons are waited for, then exit functions run.
 */
static void
wsgi_unload(void *app)
{
	struct wsgi *w = app;

	PyEval_RestoreThread(w->state);
	drop(w);
	Py_FinalizeEx();
	wsgi_free(w);
}

static int
wsgi_thread_start(void *app, unsigned number, void **thread_out)
{
	*thread_out = thread_new(app, number);
	return *thread_out != NULL ? 0 : -1;
}

static void
wsgi_thread_stop(void *app, void *thread)
{
	struct wsgi_thread *t = thread;

	(void)app;
	thread_free(&t);
}

BICORN_APP(
	.handle = handle_exchange,
	.load = wsgi_load,
	.unload = wsgi_unload,
	.thread_start = wsgi_thread_start,
	.thread_stop = wsgi_thread_stop,
	.interrupt = deadline_interrupt,
	.dump = deadline_dump)
