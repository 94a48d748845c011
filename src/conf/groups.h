/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CONF_GROUPS_H
#define BICORN_CONF_GROUPS_H

/*
 * The groups of the setting listen.  Each has a store of its own, in which
 * the settings that it does not name are those of the whole.
 */

#include <stdbool.h>

struct buf;
struct err;
struct listen_groups;
struct setting;
struct store;

/* Whether the group with this store names s itself. */
bool groups_names(const struct store *own, const struct setting *s);

/* As bicorn.conf(5) wants it, over several lines; false: out of memory. */
bool groups_conf(struct buf *b, const struct listen_groups *g);

/*
 * Once everything else is known: fills in what the groups leave out, checks
 * them, and makes settings.listens.  0, or -1 and err.
 */
int groups_derive(struct store *st, struct err *err);

/* Frees what the groups keep beside the arena of their store. */
void groups_fini(const struct listen_groups *g);

#endif
