/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_OUTBOUND_H
#define BICORN_WORKER_OUTBOUND_H

/*
 * Output that a socket did not take at once: bytes in memory and ranges of
 * files, in order.  Belongs to its client and so to the client's owner.  A
 * zeroed struct is empty.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "net/transport.h"

struct conn;
struct piece;

struct outbound {
	struct piece *head;
	struct piece *tail; /* meaningless while head is NULL */
	size_t memory;      /* bytes that wait in memory */
};

static inline bool
outbound_empty(const struct outbound *o)
{
	return o->head == NULL;
}

/* Copies bytes behind what is there.  False when out of memory. */
bool outbound_add(struct outbound *o, const void *data, size_t len);

/* A range of a file.  fd is duplicated.  False when that fails. */
bool outbound_add_file(struct outbound *o, int fd, off_t at, size_t len);

/*
 * Writes what the socket takes.  IO_OK: all of it; IO_AGAIN: some is left,
 * and *progress_out says whether any went; IO_ERROR: the connection, or a
 * file that became shorter, makes the rest impossible.
 */
enum io outbound_flush(struct outbound *o, struct conn *c, bool *progress_out);

/* Frees everything. */
void outbound_drop(struct outbound *o);

#endif
