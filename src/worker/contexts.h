/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_CONTEXTS_H
#define BICORN_WORKER_CONTEXTS_H

/*
 * What the listeners of a worker need to speak TLS: certificates, keys and
 * how to use them, as the arbiter has left them in the vault.  When it puts
 * new ones there, the next connection has them made by a thread of their own,
 * and gets them unless they are so many that this takes long; those that are
 * open keep the ones that they began with.
 *
 * Owned by the thread for handshakes, once that runs.
 */

#include <stdbool.h>

struct conn;
struct contexts;
struct err;
struct heritage;
struct settings;

/* *out is NULL when no listener speaks TLS. */
int contexts_new(const struct heritage *h, struct contexts **out,
    struct err *err);
void contexts_free(struct contexts **xp);

/*
 * Makes c, which was accepted by a listener that speaks TLS, such a
 * connection.  False when out of memory.
 */
bool contexts_attach(struct contexts *x, struct conn *c);

/* Whether contexts can be made of the files that s names: --check-config. */
int contexts_check(const struct settings *s, struct err *err);

#endif
