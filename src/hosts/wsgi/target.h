/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_TARGET_H
#define BICORN_HOSTS_WSGI_TARGET_H

/* "MODULE", "MODULE:NAME" or "MODULE:FACTORY(...)": which application. */

#include "wsgi.h"

/*
 * Imports the application and sets w->application, with the interpreter
 * lock.  Returns enum bicorn_load_result; why it failed is in error, one
 * line, and a traceback where it helps in the log.
 */
int target_load(struct wsgi *w, const char *target, char *error,
    size_t error_size);

#endif
