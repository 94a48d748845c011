/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_PYTHON_H
#define BICORN_CONF_PYTHON_H

/*
 * Settings files in Python, as gunicorn has them, and the server section of
 * a PasteDeploy file.  They are read by another process; here their values
 * become settings.
 */

#include <stdbool.h>

#include "conf/conf.h"

struct err;
struct store;

struct python {
	const struct conf_evaluator *with; /* NULL: there is no Python */
	/* Fills base with all that is known without the file; 0 or -1. */
	int (*make_base)(struct store *base, void *arg, struct err *err);
	void *arg;
};

/*
 * Whether a settings file of that name is in Python: "python:MODULE", a
 * name that ends in .py, or one that begins with gunicorn.
 */
bool python_is_named(const char *name);

/* Reads such a file.  0 or -1. */
int python_apply(struct store *st, const char *name, const struct python *p,
    struct err *err);

/*
 * Reads the server section of the file that the setting paste names, if
 * any, for settings that no source has given.  0 or -1.
 */
int python_paste(struct store *st, const struct python *p, struct err *err);

#endif
