/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_SOCKETS_H
#define BICORN_ARBITER_SOCKETS_H

/*
 * The listeners of a generation.  A listener that an older generation has,
 * by the same spec, is the same socket under another descriptor, so that
 * nothing in its backlog is lost and each generation closes its own.
 */

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"

struct err;
struct listener;

struct sockets {
	struct listener **items;
	size_t count;
};

/* The sets of generations that are in service; either may be NULL. */
struct sockets_peers {
	const struct sockets *sets[2];
};

/*
 * Opens what the settings name, each once, sharing with the peers; or, when
 * there are any, the sockets that were inherited, which get the settings of
 * the listener of the same name.  s is kept.  On an error nothing is open,
 * and errno is EADDRINUSE when an address was taken.
 */
int sockets_open(struct sockets *out, const struct strlist *inherited,
    const struct settings *s, const struct sockets_peers *peers,
    struct err *err);

/* Those that had to share their port with an older one need not any more. */
void sockets_settle(const struct sockets *k, const struct settings *s);

/*
 * Gives mode and owner, as the settings have them now, to the unix sockets,
 * which may be older than the settings.  Logs what does not work.
 */
void sockets_give(const struct sockets *k, const struct settings *s);

/* Nobody new connects to those that no peer has. */
void sockets_quiet(const struct sockets *k, const struct sockets_peers *peers);

/*
 * Closes them.  Paths of unix sockets are removed too, but those that one
 * of the peers has as well.
 */
void sockets_close(struct sockets *k, const struct sockets_peers *peers);

/* Only this process's descriptors: nothing is removed. */
void sockets_forget(struct sockets *k);

/*
 * In a worker, while it still may bind to that port: with reuse_port gives
 * it sockets of its own.  They do not listen before the worker is READY.
 */
int sockets_again(struct sockets *k, const struct settings *s,
    struct err *err);

/* "http://127.0.0.1:8000,unix:/run/x", on the heap; NULL without memory. */
char *sockets_names(const struct sockets *k);

#endif
