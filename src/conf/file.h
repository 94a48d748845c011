/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_FILE_H
#define BICORN_CONF_FILE_H

/*
 * The settings file, read by libconfig.  Settings stand at the top, and some
 * once more in the groups of listen; each has the type that its kind wants.
 */

#include <stddef.h>

struct err;
struct python;
struct store;

/*
 * Reads the file: path, or when that is NULL ./bicorn.conf or else
 * ./gunicorn.conf.py or else the system's, where there is one;
 * settings.file says which.  0, or -1.
 */
int file_apply(struct store *st, const char *path, const struct python *p,
    struct err *err);

/* The same for a text in memory. */
int file_apply_text(struct store *st, const char *name, const char *text,
    size_t len, struct err *err);

/* "1.5.0": the libconfig this was built with. */
const char *file_library(void);

#endif
