/* SPDX-License-Identifier: MIT */

/*
 * A virtual environment is a directory with pyvenv.cfg in it, which says
 * which Python it was made for.  All that Python needs in order to use it is
 * to be told that it is bin/python there.
 */

#include "venv.h"

#include "wsgi.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
fail(const struct venv *v, char *error, size_t error_size, const char *what)
{
	snprintf(error, error_size, "virtual environment %s (%s): %s", v->dir,
	    v->source, what);
}

/* "key = value" of pyvenv.cfg, where the key is this one. */
static void
take_value(const char *line, const char *key, char *out, size_t size)
{
	size_t len = strlen(key);

	while (isspace((unsigned char)*line))
		line++;
	if (strncmp(line, key, len) != 0)
		return;
	line += len;
	while (isblank((unsigned char)*line))
		line++;
	if (*line++ != '=')
		return;
	while (isblank((unsigned char)*line))
		line++;
	snprintf(out, size, "%.*s", (int)strcspn(line, "\r\n"), line);
}

static int
read_config(struct venv *v, char *error, size_t error_size)
{
	char path[PATH_MAX + 16], line[PATH_MAX + 64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/pyvenv.cfg", v->dir);
	f = fopen(path, "re");
	if (f == NULL) {
		snprintf(line, sizeof(line), "%s: %s", path, strerror(errno));
		fail(v, error, error_size, line);
		return -1;
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		take_value(line, "home", v->home, sizeof(v->home));
		/* venv writes one of these, virtualenv the other or both. */
		take_value(line, "version", v->version, sizeof(v->version));
		take_value(line, "version_info", v->version,
		    sizeof(v->version));
	}
	fclose(f);
	return 0;
}

/* Whether "3.11.2" is of the minor version that this module is for. */
static bool
is_ours(const char *version)
{
	size_t len = strlen(WSGI_PYTHON_VERSION);

	return strncmp(version, WSGI_PYTHON_VERSION, len) == 0 &&
	    !isdigit((unsigned char)version[len]);
}

static int
check(const struct venv *v, char *error, size_t error_size)
{
	char what[PATH_MAX + 128];

	if (v->version[0] != '\0' && !is_ours(v->version)) {
		snprintf(what, sizeof(what), "made for Python %s, but this "
		    "module of bicorn is for Python " WSGI_PYTHON_VERSION,
		    v->version);
		fail(v, error, error_size, what);
		return -1;
	}
	if (v->home[0] != '\0' && access(v->home, X_OK) != 0) {
		snprintf(what, sizeof(what), "its Python is gone (%s: %s)",
		    v->home, strerror(errno));
		fail(v, error, error_size, what);
		return -1;
	}
	return 0;
}

int
venv_find(const struct bicorn_server *server, struct venv *out, char *error,
    size_t error_size)
{
	char absolute[PATH_MAX];
	const char *dir = bicorn_setting(server, "venv");

	memset(out, 0, sizeof(*out));
	out->source = "venv";
	if (dir == NULL || *dir == '\0') {
		out->source = "VIRTUAL_ENV";
		dir = getenv("VIRTUAL_ENV");
	}
	if (dir == NULL || *dir == '\0')
		return 0;
	snprintf(out->dir, sizeof(out->dir), "%s", dir);
	if (realpath(dir, absolute) == NULL) {
		fail(out, error, error_size, strerror(errno));
		return -1;
	}
	/* A name with symbolic links in it is kept as it is. */
	if (dir[0] != '/')
		snprintf(out->dir, sizeof(out->dir), "%s", absolute);
	if (read_config(out, error, error_size) < 0 ||
	    check(out, error, error_size) < 0)
		return -1;
	return 0;
}
