/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_VENV_H
#define BICORN_HOSTS_WSGI_VENV_H

/* Virtual environments. */

#include <stddef.h>

struct bicorn_server;

/*
 * Where the setting venv or VIRTUAL_ENV names a virtual environment, writes
 * the path of its interpreter into out, which is left alone otherwise.  -1
 * with one line in error when it is none, or one for another Python.
 */
int venv_executable(const struct bicorn_server *server, char *out,
    size_t size, char *error, size_t error_size);

#endif
