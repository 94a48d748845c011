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

#include "call.h"
#include "deadline.h"
#include "environ.h"
#include "errors.h"
#include "filewrapper.h"
#include "fork.h"
#include "handle.h"
#include "hooks.h"
#include "input.h"
#include "interpreter.h"
#include "logconfig.h"
#include "names.h"
#include "preload.h"
#include "report.h"
#include "socket.h"
#include "support.h"
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
	w->close = PyUnicode_InternFromString("close");
	w->names = names_common();
	w->call_type = call_type_new();
	w->input_type = input_type_new();
	w->errors_type = errors_type_new();
	w->file_wrapper_type = filewrapper_type_new();
	w->socket_type = socket_type_new();
	if (w->close == NULL || w->names == NULL || w->call_type == NULL ||
	    w->input_type == NULL || w->errors_type == NULL ||
	    w->file_wrapper_type == NULL || w->socket_type == NULL)
		return -1;
	if (environ_init(w) < 0 || fork_watch(w) < 0 || deadline_init(w) < 0)
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
	Py_CLEAR(w->hooks);
	Py_CLEAR(w->spew);
	Py_CLEAR(w->failure);
	Py_CLEAR(w->page_files);
	Py_CLEAR(w->support);
	Py_CLEAR(w->loggers);
	Py_CLEAR(w->close);
	Py_CLEAR(w->call_type);
	Py_CLEAR(w->input_type);
	Py_CLEAR(w->errors_type);
	Py_CLEAR(w->file_wrapper_type);
	Py_CLEAR(w->socket_type);
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
	PyObject *run, *done = NULL;

	hooks_give_up(w);
	run = import_attr("atexit", "_run_exitfuncs");
	if (run != NULL)
		done = PyObject_CallObject(run, NULL);
	Py_XDECREF(done);
	Py_XDECREF(run);
	PyErr_Clear();
	thread_flush_files();
	drop(w);
	PyEval_SaveThread();
}

static int
start_spew(struct wsgi *w)
{
	PyObject *set = NULL, *done = NULL;

	if (!support_is_on(w->server, "spew"))
		return 0;
	if (support_of(w) == NULL)
		return -1;
	w->spew = PyObject_CallMethod(w->support, "spew", NULL);
	if (w->spew != NULL)
		set = import_attr("threading", "settrace");
	if (set != NULL)
		done = PyObject_CallFunctionObjArgs(set, w->spew, NULL);
	Py_XDECREF(set);
	Py_XDECREF(done);
	return done != NULL ? spew_thread(w) : -1;
}

/*
 * With --reload: compiled files are not kept, as they are told from stale
 * ones by whole seconds.
 */
static int
prepare_reload(const struct bicorn_load *l)
{
	if (!support_is_on(l->server, "reload"))
		return 0;
	return PySys_SetObject("dont_write_bytecode", Py_True);
}

/*
 * With --reload, an application that does not load is stood in for by a page
 * that says why, until somebody mends it.
 */
static int
stand_in(struct wsgi *w, const struct bicorn_load *l, int rc)
{
	PyObject *both = NULL;

	if (!support_is_on(w->server, "reload") ||
	    (l->flags & BICORN_LOAD_CHECK) != 0)
		return rc;
	if (w->failure == NULL)
		w->failure = PyObject_CallFunction(PyExc_RuntimeError, "s",
		    l->error);
	if (w->failure != NULL && support_of(w) != NULL)
		both = PyObject_CallMethod(w->support, "error_page", "O",
		    w->failure);
	if (both == NULL || !PyArg_ParseTuple(both, "OO", &w->application,
	    &w->page_files)) {
		report_exception(w, "no page could be made");
		return rc;
	}
	Py_INCREF(w->application);
	Py_INCREF(w->page_files);
	Py_DECREF(both);
	bicorn_logf(w->server, BICORN_LOG_ERROR, "%s; a page says so until "
	    "it is mended", l->error);
	return BICORN_LOADED;
}

/*
 * Whether one thread at a time runs Python.  One built to do without its
 * lock takes it back when an extension is imported that needs it.
 */
static bool
has_lock(const struct bicorn_server *server)
{
#ifdef Py_GIL_DISABLED
	PyObject *ask = PySys_GetObject("_is_gil_enabled"); /* borrowed */
	PyObject *said = ask != NULL ? PyObject_CallNoArgs(ask) : NULL;
	bool on = said != Py_False;

	PyErr_Clear();
	Py_XDECREF(said);
	bicorn_logf(server, BICORN_LOG_INFO,
	    "Python " PY_VERSION " runs %s its lock: %s",
	    on ? "with" : "without", on ? "one thread of a worker at a time, "
	    "because PYTHON_GIL or an extension module wants it" :
	    "threads of a worker at the same time");
	return on;
#else
	(void)server;
	return true;
#endif
}

/*
 * What an application does at import that does not go with its server.
 * Python runs the handlers of signals on a thread that runs none here, and
 * locks made for greenlets know of one thread alone: who waits for one that
 * another thread holds is never woken.
 */
static const char find_trouble[] =
    "import sys, threading\n"
    "signal, handlers = sys.modules.get('signal'), ''\n"
    "if hasattr(signal, 'Signals'):\n"
    "    known = (None, signal.SIG_DFL, signal.SIG_IGN,\n"
    "             signal.default_int_handler)\n"
    "    handlers = ', '.join(s.name for s in signal.Signals\n"
    "                         if signal.getsignal(s) not in known)\n"
    "locks = type(threading.Lock()).__module__.partition('.')[0]\n"
    "if locks == '_thread':\n"
    "    locks = ''\n";

/* A text among names; NULL: empty, or not there. */
static const char *
text_in(PyObject *names, const char *name)
{
	PyObject *value = PyDict_GetItemString(names, name); /* borrowed */
	const char *text = value != NULL ? PyUnicode_AsUTF8(value) : NULL;

	return text != NULL && *text != '\0' ? text : NULL;
}

static void
warn_of_trouble(const struct wsgi *w, unsigned threads)
{
	PyObject *names = Py_BuildValue("{s:O}", "__builtins__",
	    PyEval_GetBuiltins()), *done = NULL;
	const char *text;

	if (names == NULL)
		goto out;
	done = PyRun_String(find_trouble, Py_file_input, names, names);
	text = text_in(names, "handlers");
	if (text != NULL)
		bicorn_logf(w->server, BICORN_LOG_WARNING,
		    "The application's handlers of signals in Python do not "
		    "run in workers: %s. For the end of a worker there are "
		    "worker_exit, worker_int and atexit", text);
	text = text_in(names, "locks");
	if (text != NULL && threads > 1)
		bicorn_logf(w->server, BICORN_LOG_WARNING,
		    "The application had %s replace Python's locks (monkey "
		    "patching), and requests in different threads will hang: "
		    "leave that out, or use --threads 1", text);
out:
	PyErr_Clear();
	Py_XDECREF(done);
	Py_XDECREF(names);
}

/* With the interpreter lock.  Returns enum bicorn_load_result. */
static int
load_application(struct wsgi *w, struct bicorn_load *l)
{
	int rc;

	if (prepare(w) < 0 || prepare_reload(l) < 0 || start_spew(w) < 0 ||
	    logconfig_loggers(w) < 0 || hooks_read(w, l) < 0) {
		report_line(l->error, l->error_size);
		return BICORN_LOAD_FAILED;
	}
	/* A class of loggers does it by itself. */
	if (logconfig_class(w->server) == NULL &&
	    logconfig_apply(w->server) < 0) {
		report_exception(w, "Error in the configuration of logging");
		snprintf(l->error, l->error_size,
		    "logconfig: Python could not apply it");
		return BICORN_LOAD_FAILED;
	}
	if (hooks_start(w, l) < 0) {
		report_line(l->error, l->error_size);
		return BICORN_LOAD_FAILED;
	}
	/* A hook may have wanted it already. */
	rc = BICORN_LOADED;
	if (w->application == NULL)
		rc = target_load(w, l->target, l->error, l->error_size);
	if (rc != BICORN_LOADED)
		rc = stand_in(w, l, rc);
	if (rc == BICORN_LOADED && take_script_name(w) < 0) {
		snprintf(l->error, l->error_size, "out of memory");
		rc = BICORN_LOAD_FAILED;
	}
	if (rc == BICORN_LOADED)
		warn_of_trouble(w, l->threads);
	if (rc == BICORN_LOADED && has_lock(w->server))
		l->traits |= BICORN_TRAIT_SERIAL;
	return rc;
}

/* Whether the settings have a variable of the environment: "NAME=". */
static bool
is_in_raw_env(const struct bicorn_server *server, const char *start)
{
	const char *list = bicorn_setting(server, "raw_env");
	const char *at = list != NULL ? strstr(list, start) : NULL;

	return at != NULL && (at == list || at[-1] == ',');
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
	pthread_mutex_init(&w->gate, NULL);
	w->server = l->server;
	w->target = l->target;
	w->body_buffer = body_buffer(l->server);
	w->note_count = bicorn_notes(l->server, &w->notes);
	w->sendfile = !is_off(l->server, "sendfile");
	/*
	 * Libraries look there for what they run under, as in gunicorn; some
	 * know no other server.
	 */
	if (!is_in_raw_env(l->server, "SERVER_SOFTWARE="))
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
wsgi_thread_idle(void *app, void *thread)
{
	(void)app;
	handle_idle(thread);
}

static void
wsgi_thread_stop(void *app, void *thread)
{
	struct wsgi_thread *t = thread;

	(void)app;
	thread_free(&t);
}

/* The strings of a list. */
static void
add_files(PyObject *list, void (*add)(void *arg, const char *path), void *arg)
{
	Py_ssize_t i;

	for (i = 0; list != NULL && i < PyList_GET_SIZE(list); i++) {
		PyObject *bytes = PyUnicode_EncodeFSDefault(
		    PyList_GET_ITEM(list, i));

		if (bytes != NULL)
			add(arg, PyBytes_AS_STRING(bytes));
		Py_XDECREF(bytes);
	}
	PyErr_Clear();
}

static void
wsgi_files(void *app, void (*add)(void *arg, const char *path), void *arg)
{
	PyGILState_STATE gil = PyGILState_Ensure();
	struct wsgi *w = app;
	PyObject *list = NULL;

	if (support_of(w) != NULL)
		list = PyObject_CallMethod(w->support, "module_files", NULL);
	add_files(list, add, arg);
	add_files(w->page_files, add, arg);
	Py_XDECREF(list);
	PyGILState_Release(gil);
}

BICORN_APP(
	.handle = handle_exchange,
	.load = wsgi_load,
	.unload = wsgi_unload,
	.thread_start = wsgi_thread_start,
	.thread_stop = wsgi_thread_stop,
	.thread_idle = wsgi_thread_idle,
	.interrupt = deadline_interrupt,
	.fork_prepare = preload_prepare,
	.fork_parent = preload_parent,
	.fork_child = preload_child,
	.dump = deadline_dump,
	.events = HOOKS_EVENTS,
	.event = hooks_event,
	.helper = hooks_helper,
	.settings = support_settings,
	.files = wsgi_files)
