/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_BEQUEST_H
#define BICORN_ARBITER_BEQUEST_H

/*
 * What an arbiter leaves to the one that it starts in its place: a memory
 * file with lines "KIND VALUE", so that the two may be of different
 * versions; a kind that the other does not know is passed over.  A value
 * that begins with the number of a descriptor hands that one over.
 *
 *	generations N     made so far
 *	workers N         forked so far
 *	inherited SPEC    the sockets are those of the service manager
 *	listener FD DEV INO SPEC
 *	counters FD       a file for ledger_save(), written at the end
 *	tickets FD        of the keys for TLS session tickets
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

struct err;

/* --- leaving something ---------------------------------------------------- */

struct bequest {
	struct buf text; /* the lines */
	int *fds;        /* named in them; not ours to close */
	size_t fd_count;
	bool failed;     /* out of memory */
};

/* Adds a line. */
void bequest_add(struct bequest *b, const char *kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds a line that begins with a descriptor; fmt is what follows. */
void bequest_add_fd(struct bequest *b, const char *kind, int fd,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/*
 * In the process that is about to become the new arbiter: lets all that was
 * added, and the lines themselves, survive the exec.
 */
int bequest_send(struct bequest *b, pid_t from, struct err *err);

void bequest_fini(struct bequest *b);

/* --- and finding it ------------------------------------------------------- */

struct legacy {
	pid_t from; /* the arbiter that started us; 0: there is none */
	char *text; /* NULL: it has left nothing but sockets */
	char *fds;  /* of gunicorn: descriptors with commas between; or NULL */
};

/*
 * Reads what the parent left, and removes the variables that tell of it.
 * Without any, *l is all zero.  0 or -1.
 */
int legacy_take(struct legacy *l, struct err *err);
void legacy_fini(struct legacy *l);

/*
 * The next line of a kind behind *at, which is NULL at first, as a text on
 * the heap; NULL when there is none left.
 */
char *legacy_next(const struct legacy *l, const char *kind, const char **at);

/* The number that the only line of a kind begins with, or -1. */
long long legacy_number(const struct legacy *l, const char *kind);

#endif
