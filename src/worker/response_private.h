/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_RESPONSE_PRIVATE_H
#define BICORN_WORKER_RESPONSE_PRIVATE_H

/* What the files that make a response share.  The thread of x. */

#include <stdbool.h>
#include <stddef.h>

#include <bicorn/app.h>

#include "base/buf.h"
#include "base/span.h"

struct exchange;

#define RESPONSE_ADD(b, literal) buf_add((b), (literal), sizeof(literal) - 1)

static inline struct span
span_from(struct bicorn_str s)
{
	return (struct span){ s.ptr, s.len };
}

/* "HTTP/1.1 200 OK"; false when out of memory, as all that append. */
bool response_add_status_line(struct buf *b, unsigned status,
    struct span reason);

/* Status line, Server and Date, to x->out. */
bool response_add_first(struct exchange *x, struct span reason);

/* Whether that is the field of the request's id, which is added already. */
bool response_is_id(const struct exchange *x, struct bicorn_str name);

/*
 * Whether h may be sent: a name and a value that HTTP allows, and lengths
 * that are ones.  NULL may not.
 */
bool response_field_ok(const struct bicorn_header *h);

/* One field line, as it is. */
bool response_add_field(struct buf *b, const struct bicorn_header *h);

/*
 * Completes the head, which moves up against the fields: from now on it
 * cannot be replaced.  complete: all of the body is in x->out.
 */
void response_commit(struct exchange *x, bool complete);

#endif
