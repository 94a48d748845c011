/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_FILEWRAPPER_H
#define BICORN_HOSTS_WSGI_FILEWRAPPER_H

/* wsgi.file_wrapper: a file as a body, sent by the kernel where it can be. */

#include "wsgi.h"

PyTypeObject *filewrapper_type_new(void);

struct wsgi_file {
	int fd; /* the file object's */
	int64_t offset;
	int64_t rest; /* bytes from offset to the end */
};

/*
 * Whether the object has a regular file whose bytes are what its read()
 * gives.  Leaves no exception.
 */
bool filewrapper_file(PyObject *self, struct wsgi_file *out);

#endif
