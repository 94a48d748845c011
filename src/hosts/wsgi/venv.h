/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_VENV_H
#define BICORN_HOSTS_WSGI_VENV_H

/* Virtual environments. */

#include <limits.h>
#include <stddef.h>

struct bicorn_server;

struct venv {
	char dir[PATH_MAX];    /* "": there is none */
	char home[PATH_MAX];   /* where the Python it was made by lives, "": not
				  said */
	char version[32];      /* "3.11.2", "" likewise */
	const char *source;    /* of dir: the setting or the variable */
};

/*
 * Reads the virtual environment that the setting venv or VIRTUAL_ENV names,
 * if either does.  -1 with one line in error when it is none, or one for
 * another Python.
 */
int venv_find(const struct bicorn_server *server, struct venv *out,
    char *error, size_t error_size);

#endif
