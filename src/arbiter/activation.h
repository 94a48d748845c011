/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_ACTIVATION_H
#define BICORN_ARBITER_ACTIVATION_H

/*
 * Sockets that the service manager opened for us: LISTEN_PID names this
 * process, LISTEN_FDS says how many there are, from descriptor 3 on, and
 * LISTEN_FDNAMES what they are called.
 */

#include <stdbool.h>

#include "conf/conf.h"

struct err;

/* A variable of the environment that is a number; 0 when it is none. */
unsigned long long activation_number(const char *name);

/*
 * Lists them as fd://3, fd://4#NAME, ...; leaves *out as it is when the
 * variables are not meant for us.  Removes the variables.  Freed with
 * activation_free().
 */
int activation_take(struct strlist *out, struct err *err);

/* Adds a socket that came otherwise, by its spec or its number. */
int activation_add_spec(struct strlist *list, const char *spec,
    struct err *err);
int activation_add_fd(struct strlist *list, long fd, struct err *err);

/* The name of an inherited socket, or NULL. */
const char *activation_name(const char *spec);

/* Whether fd://N or fd://NAME, which somebody asked for, is that one. */
bool activation_is(const char *spec, const char *asked);

void activation_free(struct strlist *list);

#endif
