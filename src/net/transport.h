/* SPDX-License-Identifier: MIT */
#ifndef BICORN_NET_TRANSPORT_H
#define BICORN_NET_TRANSPORT_H

/*
 * How bytes get in and out of a connection: plain TCP here, TLS in tls/.
 * No call blocks.  All are made by the owner of the connection, whichever
 * thread that is; a transport needs no lock.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct conn;
struct iovec;

/* What a step came to. */
enum io {
	IO_OK,    /* done, or at least one byte moved */
	IO_AGAIN, /* nothing moved; an epoll edge says when to try again */
	IO_EOF,   /* read: the peer has ended its side */
	IO_ERROR, /* the connection is of no more use */
	IO_FOREIGN, /* handshake: the client speaks something plain, and the
		       connection has become so; what it sent so far is gone */
};

struct transport {
	/* A step of opening; IO_OK: ready for read and write. */
	enum io (*handshake)(struct conn *c);

	/*
	 * Reads up to room bytes.  *drained_out: nothing more is there now, so
	 * that the next bytes will raise an edge.
	 */
	enum io (*read)(struct conn *c, char *buf, size_t room, size_t *got_out,
	    bool *drained_out);

	/*
	 * Writes from the front of iov; *put_out bytes were taken, maybe
	 * fewer than there are.  more: further bytes follow at once.
	 */
	enum io (*write)(struct conn *c, const struct iovec *iov, int count,
	    bool more, size_t *put_out);

	/*
	 * Sends a range of a file; IO_EOF: the file is shorter than that, or
	 * cannot be read.
	 * bulk: megabytes of it follow, so that few full segments are worth
	 * more than an early first byte.
	 */
	enum io (*sendfile)(struct conn *c, int fd, off_t at, size_t len,
	    bool bulk, size_t *put_out);

	/* Says that nothing more will be written. */
	void (*shutdown)(struct conn *c);

	/* Nothing came or went for some seconds: gives memory back. */
	void (*idle)(struct conn *c);

	/* Frees what the transport keeps; the socket stays open. */
	void (*fini)(struct conn *c);
};

extern const struct transport transport_plain;

#endif
