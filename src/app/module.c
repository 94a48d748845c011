/* SPDX-License-Identifier: MIT */
#include "app/module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/python.h"
#include "app/target.h"
#include "base/err.h"
#include "base/fd.h"
#include "conf/conf.h"

#ifndef BICORN_PKGLIBDIR
#define BICORN_PKGLIBDIR "/usr/local/lib/bicorn"
#endif
#ifndef BICORN_PYTHON_TAG
#define BICORN_PYTHON_TAG ""
#endif

#define EXIT_APP BICORN_LOAD_NOT_FOUND

/* Up to and with the member handle: what every module must have. */
#define APP_SIZE_MIN \
	(offsetof(struct bicorn_app, handle) + \
	    sizeof(((struct bicorn_app *)0)->handle))

static bool
is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The directory of this executable, without a slash at its end. */
static bool
executable_dir(char *out, size_t room)
{
	ssize_t n = readlink("/proc/self/exe", out, room - 1);
	char *slash;

	if (n <= 0)
		return false;
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (slash == NULL)
		return false;
	*slash = '\0';
	return true;
}

/*
 * Finds a host: in the build tree beside the executable, where libtool puts
 * it, else where it was installed, also when the whole installation was
 * moved.  name is "static.so" or "cpython-311/wsgi.so".
 */
static bool
find_host(const char *name, char *out, size_t room)
{
	const char *base = strrchr(name, '/');
	const char *dir = getenv("BICORN_MODULES");
	char exe[PATH_MAX];

	if (dir != NULL && *dir != '\0') {
		snprintf(out, room, "%s/%s", dir, name);
		return is_file(out);
	}
	if (executable_dir(exe, sizeof(exe))) {
		const char *tag = BICORN_PYTHON_TAG;
		bool ours = base == NULL ||
		    (!strncmp(name, tag, strlen(tag)) &&
			name + strlen(tag) == base);

		snprintf(out, room, "%s/.libs/%s", exe,
		    base != NULL ? base + 1 : name);
		if (ours && is_file(out))
			return true;
		snprintf(out, room, "%s/../lib/bicorn/%s", exe, name);
		if (is_file(out))
			return true;
	}
	snprintf(out, room, "%s/%s", BICORN_PKGLIBDIR, name);
	return is_file(out);
}

/* "3.9, 3.13t": every version of Python that there is a WSGI host for. */
static void
list_wsgi(char *out, size_t room)
{
	char name[64], path[PATH_MAX];
	size_t used = 0;

	*out = '\0';
	for (unsigned i = 0; i < 200 && used + 9 < room; i++) {
		const char *abi = i % 2 != 0 ? "t" : "";
		unsigned minor = i / 2;

		snprintf(name, sizeof(name), "cpython-3%u%s/wsgi.so", minor,
		    abi);
		if (find_host(name, path, sizeof(path)))
			used += (size_t)snprintf(out + used, room - used,
			    "%s3.%u%s", used > 0 ? ", " : "", minor, abi);
	}
}

static void
wsgi_is_missing(const char *tag, const char *venv, struct err *err)
{
	char there[256];

	list_wsgi(there, sizeof(there));
	err_set(err, "virtual environment %s: made for Python 3.%s, "
	    "but bicorn has a WSGI host for Python %s only; build "
	    "one with ./configure PYTHON=%s/bin/python", venv,
	    tag + strlen("cpython-3"), *there != '\0' ? there : "none", venv);
}

/* The path of the WSGI host for the Python that is in use. */
static int
find_wsgi(const struct settings *s, char *out, size_t room, struct err *err)
{
	const char *built = BICORN_PYTHON_TAG;
	const char *venv;
	char tag[32], name[64];

	if (*built == '\0') {
		err_set(err, "%s: this bicorn was built without Python "
		    "(configure --with-python builds the WSGI host)",
		    s->app != NULL ? s->app : "settings in Python");
		return -1;
	}
	if (python_tag(s, tag, sizeof(tag), &venv, err) != 0)
		return -1;
	snprintf(name, sizeof(name), "%s/wsgi.so", tag);
	if (find_host(name, out, room))
		return 0;
	if (venv != NULL && strcmp(tag, built) != 0)
		wsgi_is_missing(tag, venv, err);
	else
		err_set(err, "the WSGI host is not installed: %s", out);
	return -1;
}

static int
find_native(const char *path, char *out, size_t room, struct err *err)
{
	/* Without a slash dlopen() would look in the library path. */
	snprintf(out, room, "%s%s", strchr(path, '/') != NULL ? "" : "./",
	    path);
	if (access(out, R_OK) == 0)
		return 0;
	err_sys(err, "%s", path);
	return -1;
}

static int
find_object(const struct settings *s, const struct target *t, char *out,
    size_t room, struct err *err)
{
	switch (t->kind) {
	case TARGET_NATIVE:
		return find_native(t->path, out, room, err);
	case TARGET_STATIC:
		if (find_host("static.so", out, room))
			return 0;
		err_set(err, "the static host is not installed: %s", out);
		return -1;
	case TARGET_WSGI:
		return find_wsgi(s, out, room, err);
	}
	return -1;
}

static int
check_interface(const char *path, const struct bicorn_app *a, struct err *err)
{
	if (a->abi_major != BICORN_ABI_MAJOR ||
	    a->abi_minor > BICORN_ABI_MINOR) {
		err_set(err, "%s: made for version %u.%u of the application "
		    "interface, this bicorn has %u.%u: compile it again "
		    "against the installed bicorn/app.h", path, a->abi_major,
		    a->abi_minor, BICORN_ABI_MAJOR, BICORN_ABI_MINOR);
		return -1;
	}
	if (a->size < APP_SIZE_MIN || a->handle == NULL) {
		err_set(err, "%s: struct bicorn_app has no handle function",
		    path);
		return -1;
	}
	return 0;
}

static int
open_object(const char *path, const char *symbol, struct app *out,
    struct err *err)
{
	out->object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (out->object == NULL) {
		err_set(err, "cannot load: %s", dlerror());
		return -1;
	}
	out->ops = dlsym(out->object, symbol);
	if (out->ops == NULL) {
		err_set(err, "%s: exports no struct bicorn_app named %s "
		    "(BICORN_APP defines bicorn_app; APP may name another "
		    "one: %s:NAME)", path, symbol, path);
		return -1;
	}
	return check_interface(path, out->ops, err);
}

static int
call_load(const struct settings *s, const struct bicorn_server *server,
    const struct app_start *start, struct app *a, struct err *err)
{
	char why[512] = "";
	struct bicorn_load l = {
		.size = sizeof(l),
		.server = server,
		.target = a->target,
		.threads = (unsigned)s->threads,
		.error = why,
		.error_size = sizeof(why),
		.flags = start->flags,
		.number = start->number,
		.arbiter = start->arbiter,
	};
	int rc;

	if (APP_HAS(a->ops, traits))
		a->traits = a->ops->traits;
	if (!APP_HAS(a->ops, load))
		return 0;
	rc = a->ops->load(&l);
	fd_standard(); /* it may have closed them, as daemon(3) does */
	a->instance = l.app;
	a->traits |= l.traits;
	if (rc == BICORN_LOADED)
		return 0;
	why[sizeof(why) - 1] = '\0';
	err_set(err, "%s: %s", s->app,
	    why[0] != '\0' ? why : "the application failed to load");
	return rc == BICORN_LOAD_NOT_FOUND ? EXIT_APP : BICORN_LOAD_FAILED;
}

/* Finds and opens what t means. */
static int
open_target(const struct settings *s, const struct target *t,
    struct app *out, struct err *err)
{
	char path[PATH_MAX + 64];

	if (find_object(s, t, path, sizeof(path), err) != 0)
		return -1;
	return open_object(path, t->symbol != NULL ? t->symbol : "bicorn_app",
	    out, err);
}

int
app_open(const struct settings *s, struct app *out, struct err *err)
{
	struct target t;
	int rc = -1;

	*out = (struct app){ 0 };
	if (target_read(s->app, &t) == 0)
		rc = open_target(s, &t, out, err);
	else
		err_set(err, "%s: out of memory", s->app);
	target_fini(&t);
	return rc;
}

int
app_open_python(const struct settings *s, struct app *out, struct err *err)
{
	const struct target wsgi = { .kind = TARGET_WSGI };

	*out = (struct app){ 0 };
	return open_target(s, &wsgi, out, err);
}

int
app_event(const struct app *a, const struct bicorn_event *e)
{
	if (a->ops == NULL || !app_hears(a, e->moment))
		return 0;
	return a->ops->event(a->instance, e);
}

/*
 * The fork is over, and nothing of the application has run yet.  A host
 * does the same in load(), once it can.
 */
static int
tell_forked(const struct settings *s, const struct bicorn_server *server,
    const struct app_start *start, const struct app *a, struct err *err)
{
	const struct bicorn_event e = {
		.size = sizeof(e),
		.server = server,
		.moment = BICORN_POST_FORK,
		.arbiter = start->arbiter,
		.worker = (int)getpid(),
		.number = start->number,
		.workers = (unsigned)s->workers,
	};

	if (start->flags != 0 || app_event(a, &e) == 0)
		return 0;
	err_set(err, "%s: post_fork failed", s->app);
	return BICORN_LOAD_FAILED;
}

int
app_load(const struct settings *s, const struct bicorn_server *server,
    const struct app_start *start, struct app *out, struct err *err)
{
	struct target t;
	int rc = EXIT_APP;

	*out = (struct app){ 0 };
	if (target_read(s->app, &t) != 0) {
		err_set(err, "%s: out of memory", s->app);
		return BICORN_LOAD_FAILED;
	}
	if (open_target(s, &t, out, err) != 0)
		goto out;

	/* The application keeps it as long as it lives. */
	out->target = strdup(t.kind == TARGET_NATIVE ? "" : t.path);
	if (out->target == NULL) {
		err_set(err, "%s: out of memory", s->app);
		goto out;
	}
	rc = tell_forked(s, server, start, out, err);
	if (rc == 0)
		rc = call_load(s, server, start, out, err);
out:
	target_fini(&t);
	return rc;
}

void
app_unload(struct app *a)
{
	if (a->ops != NULL && APP_HAS(a->ops, unload))
		a->ops->unload(a->instance);
	a->ops = NULL;
	free(a->target);
	a->target = NULL;
}
