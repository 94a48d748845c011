/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_REPORT_H
#define BICORN_HOSTS_WSGI_REPORT_H

/* What goes wrong in Python, on its way to the error log. */

#include "wsgi.h"

/* Logs the exception that is set, with its traceback, under a heading. */
void report_exception(const struct wsgi *w, const char *heading);

/* The same for a request: "Error handling request GET /x". */
void report_request(const struct wsgi *w, const struct bicorn_request *r);

/* "TypeError: text" of the exception that is set, which is cleared. */
void report_line(char *out, size_t size);

/* Logs a str, without the white space at its end. */
void report_text(const struct bicorn_server *server, int level,
    PyObject *text);

#endif
