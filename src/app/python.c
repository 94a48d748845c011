/* SPDX-License-Identifier: MIT */
#include "app/python.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/span.h"
#include "conf/conf.h"

#ifndef BICORN_PYTHON_TAG
#define BICORN_PYTHON_TAG ""
#endif

#define CFG_MAX (64 * 1024)

/* "version = 3.11.2" or "version_info = 3.11.2.final.0" of pyvenv.cfg. */
static bool
read_version(struct span text, unsigned long long *minor_out)
{
	struct span line, key, part;

	while (span_next(&text, '\n', &line)) {
		if (!span_next(&line, '=', &key) || line.ptr == NULL)
			continue;
		key = span_trim(key);
		if (!span_eq(key, SPAN("version")) &&
		    !span_eq(key, SPAN("version_info")))
			continue;
		line = span_trim(line);
		if (span_next(&line, '.', &part) && span_eq(part, SPAN("3")) &&
		    span_next(&line, '.', &part) &&
		    span_uint(part, minor_out))
			return true;
	}
	return false;
}

/*
 * One of a free-threaded Python, whose modules are no others', keeps them in
 * lib/python3.13t.
 */
static bool
is_free_threaded(const char *venv, unsigned long long minor)
{
	struct stat st;
	char path[4096];

	snprintf(path, sizeof(path), "%s/lib/python3.%llut", venv, minor);
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int
tag_of_venv(const char *venv, char *out, size_t room, struct err *err)
{
	char path[4096];
	char *text = NULL;
	size_t len = 0;
	unsigned long long minor;
	int rc = -1;

	if ((size_t)snprintf(path, sizeof(path), "%s/pyvenv.cfg", venv) >=
	    sizeof(path)) {
		err_set(err, "venv = %s: the name is too long", venv);
		return -1;
	}
	text = fd_slurp(path, CFG_MAX, &len);
	if (text == NULL) {
		err_sys(err, "venv = %s: not a virtual environment: %s", venv,
		    path);
		goto out;
	}
	if (!read_version((struct span){ text, len }, &minor) || minor > 99) {
		err_set(err, "venv = %s: %s names no version of Python 3",
		    venv, path);
		goto out;
	}
	snprintf(out, room, "cpython-3%llu%s", minor,
	    is_free_threaded(venv, minor) ? "t" : "");
	rc = 0;
out:
	free(text);
	return rc;
}

int
python_tag(const struct settings *s, char *out, size_t room,
    const char **venv_out, struct err *err)
{
	const char *venv = s->venv;

	if (venv == NULL)
		venv = getenv("VIRTUAL_ENV");
	if (venv != NULL && *venv == '\0')
		venv = NULL;
	*venv_out = venv;
	if (venv != NULL)
		return tag_of_venv(venv, out, room, err);
	snprintf(out, room, "%s", BICORN_PYTHON_TAG);
	return 0;
}
