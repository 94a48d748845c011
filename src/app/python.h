/* SPDX-License-Identifier: MIT */
#ifndef BICORN_APP_PYTHON_H
#define BICORN_APP_PYTHON_H

/*
 * Which build of the WSGI host an application needs: one is installed for
 * each minor version of CPython, and for that version without its lock; a
 * virtual environment says which one it was made for.
 */

#include <stddef.h>

struct err;
struct settings;

/*
 * Writes the tag, "cpython-311" or "cpython-313t", of the virtual environment
 * in use (setting venv, else $VIRTUAL_ENV), or of the interpreter that bicorn
 * was built for when there is none.  *venv_out is the environment's directory
 * or NULL, borrowed.  -1 when venv names no virtual environment.
 */
int python_tag(const struct settings *s, char *out, size_t room,
    const char **venv_out, struct err *err);

#endif
