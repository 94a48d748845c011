/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_FILE_PRIVATE_H
#define BICORN_CONF_FILE_PRIVATE_H

/* Between file.c, the top of a file, and file_groups.c, its groups. */

#include "conf/store.h"

struct config_setting_t;
struct err;
struct expansion;

/*
 * Where e stands and how it is to be called in an error: "NAME = VALUE".
 * value is e, or that one of its items which is meant.
 */
struct written file_written(struct store *st, const struct expansion *x,
    const struct config_setting_t *e, const char *name,
    const struct config_setting_t *value);

/* Reads e as a value of s, which errors call name, into st.  0 or -1. */
int file_setting(struct store *st, const struct expansion *x,
    const struct setting *s, const struct config_setting_t *e,
    const char *name, struct err *err);

/* The same for the setting listen. */
int file_groups(struct store *st, const struct expansion *x,
    const struct setting *s, const struct config_setting_t *e,
    struct err *err);

#endif
