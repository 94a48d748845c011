/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_INTERPRETER_H
#define BICORN_HOSTS_WSGI_INTERPRETER_H

/* The embedded interpreter: which Python it takes itself for, and where it
 * finds modules. */

#include <stddef.h>

struct bicorn_server;

/*
 * Starts Python: the one of the virtual environment, where there is one,
 * otherwise the one that configure found.  The caller then holds the
 * interpreter lock.  -1 with one line in error.
 */
int interpreter_start(const struct bicorn_server *server, char *error,
    size_t error_size);

/* Puts the working directory and pythonpath first on sys.path; -1 with an
 * exception. */
int interpreter_path(const struct bicorn_server *server);

/* Makes sys.stdout send each line at once; -1 with an exception. */
int interpreter_files(void);

#endif
