/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_FACTORY_H
#define BICORN_HOSTS_WSGI_FACTORY_H

/* What follows the colon: a name, or the call of one. */

#include "wsgi.h"

enum factory_result {
	FACTORY_FOUND,
	FACTORY_SYNTAX,      /* neither a name nor a call */
	FACTORY_NOT_LITERAL, /* an argument is not a literal */
	FACTORY_NO_NAME,     /* not in the module; the exception is set */
	FACTORY_ARGUMENTS,   /* they do not fit; the exception is set */
	FACTORY_RAISED,      /* it failed; the exception is set */
};

/* On FACTORY_FOUND a new reference is in out. */
enum factory_result factory_find(PyObject *module, const char *expr,
    PyObject **out);

#endif
