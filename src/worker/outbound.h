/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_OUTBOUND_H
#define BICORN_WORKER_OUTBOUND_H

/*
 * Output that a socket did not take at once: bytes in memory, bytes in a
 * spool file once they are too many for memory, and ranges of files, in
 * order.  Belongs to its client and so to the client's owner.  A zeroed
 * struct is empty.
 */

#include <stdbool.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/transport.h"

struct conn;
struct piece;

struct spool_file;

/*
 * Where sendfile() cannot be used, a file goes through memory in pieces of
 * this size.  All who copy use the same: a TLS record that the socket took in
 * part is offered again whole.
 */
#define OUTBOUND_COPY 16384

/*
 * A range of a file of which so much is left is sent in full segments: 40 %
 * fewer, 2.4 GB/s in place of 2.0 over loopback.  With smaller ones many
 * clients would wait for their first bytes.
 */
#define OUTBOUND_BULK (4 * 1024 * 1024)

struct outbound {
	struct piece *head;
	struct piece *tail; /* meaningless while head is NULL */
	size_t memory;      /* bytes that wait in memory */
	size_t over;        /* bytes that went although they were not yet
			       kept: the rest of a record that the transport
			       had been offered before; the caller's to clear */
	struct spool_file *spool; /* NULL: all is in memory */
	unsigned files;     /* ranges of files that wait */
};

/* How much may be kept; constant for a worker. */
struct outbound_limits {
	size_t memory;     /* of one connection */
	uint64_t spool;    /* bytes in the file of one connection */
	const char *dir;   /* where the file is made, NULL: the default */
	bool copies;       /* the application's files are not for sendfile() */
	_Atomic int64_t *buffered; /* memory of the whole worker ... */
	int64_t buffered_max;      /* ... above which all goes to files */
};

enum outbound_add {
	OUTBOUND_KEPT,
	OUTBOUND_FULL,   /* nothing was kept: some must be sent first */
	OUTBOUND_FAILED, /* out of memory, or of space for the file */
};

static inline bool
outbound_empty(const struct outbound *o)
{
	return o->head == NULL;
}

/* Copies bytes behind what is there: all, or none. */
enum outbound_add outbound_add(struct outbound *o,
    const struct outbound_limits *limits, const void *data, size_t len);

/*
 * A range of a file: a short one is copied, for another fd is duplicated.
 * False when that fails.
 */
bool outbound_add_file(struct outbound *o, const struct outbound_limits *limits,
    int fd, off_t at, size_t len);

/*
 * Writes what the socket takes.  IO_OK: all of it, or, unless it is empty
 * now, enough for one turn; IO_AGAIN: some is left; IO_ERROR: the connection,
 * or a file that became shorter, makes the rest impossible.  *put_out: bytes
 * that went.
 */
enum io outbound_flush(struct outbound *o, const struct outbound_limits *limits,
    struct conn *c, uint64_t *put_out);

/* Frees everything. */
void outbound_drop(struct outbound *o, const struct outbound_limits *limits);

#endif
