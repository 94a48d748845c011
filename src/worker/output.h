/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_OUTPUT_H
#define BICORN_WORKER_OUTPUT_H

/*
 * Output from a pool thread.  What the socket takes goes at once; the rest
 * is kept with the client, in memory up to response_buffer and in a file up
 * to response_spool, for the acceptor to send when the thread is done.  Only
 * beyond that the thread waits, as long as the client is not too slow.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "net/transport.h"

struct client;
struct iovec;
struct worker;

/*
 * Sends or keeps all of iov, which it changes.  more: further bytes follow
 * at once.  False when the client is gone, or was too slow.
 */
bool output_write(struct worker *w, struct client *c, struct iovec *iov,
    int count, bool more);

/*
 * Keeps all of iov, the end of a response, without offering it to the socket:
 * the thread goes on with a request that is there already, and one call then
 * sends the answers to several.  False when the rest of iov (which it
 * changes) has to be written: there is too much.
 */
bool output_hold(struct worker *w, struct client *c, struct iovec **iov,
    int *count);

/* Offers what was held.  False when the client is gone. */
bool output_offer(struct worker *w, struct client *c);

/*
 * Sends or keeps a range of a file.  IO_OK, IO_ERROR: the client is gone, or
 * IO_EOF: the file is shorter, or cannot be read or kept.
 */
enum io output_file(struct worker *w, struct client *c, int fd, off_t at,
    size_t len);

/* Waits until nothing is kept any more.  False as above. */
bool output_drain(struct worker *w, struct client *c);

/*
 * Waits until the socket can be read or written, whichever want says (of
 * poll(2)), up to timeout_ms; -1: for ever.  1 ready, 0 not in time, -1 gone.
 */
int output_wait(struct client *c, short want, int64_t timeout_ms);

#endif
