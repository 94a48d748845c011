/* SPDX-License-Identifier: MIT */

/*
 * Starting the interpreter.  It behaves as `python` does: the environment
 * counts, site runs, sys.executable is a Python that can be started; but it
 * leaves signals and the command line alone.
 */

#include "interpreter.h"

#include "wsgi.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "venv.h"

/* The interpreter that configure found; its prefix is compiled in besides. */
#ifndef BICORN_PYTHON
#define BICORN_PYTHON WSGI_PYTHON_NAME
#endif

/*
 * Extension modules expect to find the names of libpython in the process,
 * but this module, and libpython with it, was loaded for itself alone.
 */
static void
share_library(void)
{
	void *handle = NULL;
	Dl_info info;

#ifdef BICORN_PYTHON_SONAME
	handle = dlopen(BICORN_PYTHON_SONAME,
	    RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
#endif
	if (handle == NULL && dladdr((void *)(uintptr_t)Py_GetVersion,
	    &info) != 0)
		handle = dlopen(info.dli_fname,
		    RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
	(void)handle; /* never closed: Python cannot be unloaded */
}

/*
 * What "python3" is may change with the next release of the system; the
 * name with the version in it, in the same folder, stays what it is.
 */
static void
choose_executable(char *out, size_t size)
{
	const char *slash = strrchr(BICORN_PYTHON, '/');

	snprintf(out, size, "%.*s/" WSGI_PYTHON_NAME,
	    slash != NULL ? (int)(slash - BICORN_PYTHON) : 0, BICORN_PYTHON);
	if (slash == NULL || access(out, X_OK) != 0)
		snprintf(out, size, "%s", BICORN_PYTHON);
}

/* PYTHONHOME without a standard library in it is fatal to Python. */
static int
check_home(char *error, size_t error_size)
{
	const char *home = getenv("PYTHONHOME"), *end;
	char path[PATH_MAX];

	if (home == NULL || *home == '\0')
		return 0;
	end = strchr(home, ':');
	snprintf(path, sizeof(path), "%.*s/lib/" WSGI_PYTHON_NAME "/os.py",
	    (int)(end != NULL ? end - home : (ptrdiff_t)strlen(home)), home);
	if (access(path, R_OK) == 0)
		return 0;
	snprintf(error, error_size,
	    "PYTHONHOME=%s holds no Python " WSGI_PYTHON_VERSION
	    " (%s: %s)", home, path, strerror(errno));
	return -1;
}

static PyStatus
preinitialize(void)
{
	PyPreConfig pre;

	PyPreConfig_InitPythonConfig(&pre);
	pre.parse_argv = 0;
	return Py_PreInitialize(&pre);
}

/* Whether two names are those of the same file. */
static bool
same_file(const char *one, const char *other)
{
	struct stat a, b;

	return stat(one, &a) == 0 && stat(other, &b) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/*
 * A virtual environment may be made by another build of the same version,
 * whose standard library has extension modules that do not fit our library.
 * Then the standard library has to be our own: out is its prefix.
 */
static void
own_library(const struct bicorn_server *server, const struct venv *v,
    const char *own, char *out, size_t size)
{
	char name[PATH_MAX + 32], real[PATH_MAX];
	char *slash;

	snprintf(name, sizeof(name), "%s/" WSGI_PYTHON_NAME, v->home);
	if (v->home[0] == '\0' || same_file(name, own) ||
	    realpath(own, real) == NULL)
		return;
	/* "/usr/bin/python3.11" -> "/usr" */
	for (int i = 0; i < 2; i++) {
		slash = strrchr(real, '/');
		if (slash == NULL)
			return;
		*slash = '\0';
	}
	snprintf(name, sizeof(name), "%s/lib/" WSGI_PYTHON_NAME "/os.py",
	    real);
	if (access(name, R_OK) != 0)
		return;
	snprintf(out, size, "%s", real);
	bicorn_logf(server, BICORN_LOG_INFO, "virtual environment %s: made by "
	    "%s/" WSGI_PYTHON_NAME ", runs with the standard library of %s",
	    v->dir, v->home, out);
}

struct start {
	char executable[PATH_MAX + 16]; /* what sys.executable shall be */
	char home[PATH_MAX];            /* prefix of the standard library; "":
					   found from executable */
};

/* sys.argv is the command line, of which applications ask for [1]. */
static PyStatus
add_arguments(PyWideStringList *list, const char *command)
{
	PyStatus status = PyStatus_Ok();
	char word[PATH_MAX];

	while (command != NULL && !PyStatus_Exception(status)) {
		size_t len = strcspn(command, "\n");
		wchar_t *wide;

		snprintf(word, sizeof(word), "%.*s", (int)len, command);
		wide = Py_DecodeLocale(word, NULL);
		if (wide == NULL)
			return PyStatus_NoMemory();
		status = PyWideStringList_Append(list, wide);
		PyMem_RawFree(wide);
		command = command[len] != '\0' ? command + len + 1 : NULL;
	}
	return status;
}

static PyStatus
initialize(const struct start *start, const char *command)
{
	PyStatus status;
	PyConfig config;

	PyConfig_InitPythonConfig(&config);
	config.parse_argv = 0;
	config.install_signal_handlers = 0;
	config.configure_c_stdio = 0;
	config.pathconfig_warnings = 0;
	status = PyConfig_SetBytesString(&config, &config.executable,
	    start->executable);
	if (!PyStatus_Exception(status))
		status = PyConfig_SetBytesString(&config,
		    &config.program_name, start->executable);
	if (!PyStatus_Exception(status) && start->home[0] != '\0')
		status = PyConfig_SetBytesString(&config, &config.home,
		    start->home);
	if (!PyStatus_Exception(status))
		status = add_arguments(&config.argv, command);
	if (!PyStatus_Exception(status))
		status = Py_InitializeFromConfig(&config);
	PyConfig_Clear(&config);
	return status;
}

/* Decides which Python to be. */
static int
choose(const struct bicorn_server *server, struct start *out, char *error,
    size_t error_size)
{
	char own[PATH_MAX];
	struct venv v;

	out->home[0] = '\0';
	choose_executable(own, sizeof(own));
	snprintf(out->executable, sizeof(out->executable), "%s", own);
	if (venv_find(server, &v, error, error_size) < 0 ||
	    check_home(error, error_size) < 0)
		return -1;
	if (v.dir[0] == '\0')
		return 0;
	snprintf(out->executable, sizeof(out->executable), "%s/bin/python",
	    v.dir);
	own_library(server, &v, own, out->home, sizeof(out->home));
	return 0;
}

int
interpreter_start(const struct bicorn_server *server, char *error,
    size_t error_size)
{
	struct start start;
	PyStatus status;

	if (choose(server, &start, error, error_size) < 0)
		return -1;
	share_library();
	status = preinitialize();
	if (!PyStatus_Exception(status))
		status = initialize(&start,
		    bicorn_setting(server, "command"));
	if (!PyStatus_Exception(status))
		return 0;
	snprintf(error, error_size,
	    "Python " WSGI_PYTHON_VERSION " does not start as %s: %s",
	    start.executable,
	    status.err_msg != NULL ? status.err_msg : "unknown");
	return -1;
}

/* The directory dir by the name the user gave it, symlinks and all. */
static const char *
logical(const struct bicorn_server *server, const char *dir)
{
	const char *names[2] = { bicorn_setting(server, "chdir"),
		getenv("PWD") };
	struct stat here, there;
	size_t i;

	for (i = 0; i < 2 && stat(dir, &here) == 0; i++)
		if (names[i] != NULL && names[i][0] == '/' &&
		    stat(names[i], &there) == 0 &&
		    there.st_dev == here.st_dev && there.st_ino == here.st_ino)
			return names[i];
	return dir;
}

/* Puts a directory in front of all others, if it is not among them. */
static int
put_first(PyObject *path, PyObject *dir)
{
	int there = dir != NULL ? PySequence_Contains(path, dir) : -1;

	if (there == 0)
		there = PyList_Insert(path, 0, dir);
	Py_XDECREF(dir);
	return there < 0 ? -1 : 0;
}

/* The same for an entry of pythonpath, which counts from where we are. */
static int
put_entry(PyObject *path, const char *cwd, const char *dir, size_t len)
{
	PyObject *module = PyImport_ImportModule("os.path"), *full = NULL;
	char text[PATH_MAX];

	if (dir[0] == '/')
		snprintf(text, sizeof(text), "%.*s", (int)len, dir);
	else
		snprintf(text, sizeof(text), "%s/%.*s", cwd, (int)len, dir);
	if (module != NULL)
		full = PyObject_CallMethod(module, "normpath", "N",
		    PyUnicode_DecodeFSDefault(text));
	Py_XDECREF(module);
	return put_first(path, full);
}

/* In the order of gunicorn: what is named last is looked at first. */
int
interpreter_path(const struct bicorn_server *server)
{
	PyObject *path = PySys_GetObject("path"); /* borrowed */
	const char *list = bicorn_setting(server, "pythonpath");
	const char *start = bicorn_setting(server, "start_dir"), *cwd;
	char buf[PATH_MAX];
	size_t len;

	if (path == NULL || !PyList_Check(path)) {
		PyErr_SetString(PyExc_RuntimeError, "sys.path is lost");
		return -1;
	}
	if (getcwd(buf, sizeof(buf)) == NULL) {
		PyErr_SetFromErrno(PyExc_OSError);
		return -1;
	}
	if (start != NULL && put_first(path,
		PyUnicode_DecodeFSDefault(logical(server, start))) < 0)
		return -1;
	cwd = logical(server, buf);
	if (put_first(path, PyUnicode_DecodeFSDefault(cwd)) < 0)
		return -1;
	while (list != NULL && *list != '\0') {
		len = strcspn(list, ",");
		if (len > 0 && put_entry(path, cwd, list, len) < 0)
			return -1;
		list += len + (list[len] == ',');
	}
	return 0;
}

int
interpreter_files(void)
{
	PyObject *out = PySys_GetObject("stdout"); /* borrowed */
	PyObject *method, *args, *kwargs, *done = NULL;

	/* It is None where the descriptor is closed. */
	if (out == NULL || !PyObject_HasAttrString(out, "reconfigure"))
		return 0;
	method = PyObject_GetAttrString(out, "reconfigure");
	args = PyTuple_New(0);
	kwargs = Py_BuildValue("{s:O}", "line_buffering", Py_True);
	if (method != NULL && args != NULL && kwargs != NULL)
		done = PyObject_Call(method, args, kwargs);
	Py_XDECREF(method);
	Py_XDECREF(args);
	Py_XDECREF(kwargs);
	Py_XDECREF(done);
	return done != NULL ? 0 : -1;
}
