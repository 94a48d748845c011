/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_BUF_H
#define BICORN_BASE_BUF_H

/*
 * A growing run of bytes with one owner.  Functions return false when out
 * of memory and then leave the buffer as it was.  A zeroed struct buf is an
 * empty buffer.
 */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct buf {
	char *data;
	size_t len;  /* bytes in use */
	size_t room; /* bytes allocated */
};

/* Frees the memory; the buffer is empty again. */
void buf_fini(struct buf *b);

/* Makes room for `more` bytes behind the ones in use. */
bool buf_reserve(struct buf *b, size_t more);

/* Inline, as most of what is added is short and has room. */
static inline bool
buf_add(struct buf *b, const void *data, size_t len)
{
	if (len > b->room - b->len && !buf_reserve(b, len))
		return false;
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	return true;
}

bool buf_str(struct buf *b, const char *text);
bool buf_fmt(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Gives back room that is not in use, where that is much; keeps at least so
 * much of it.  Never fails.
 */
void buf_trim(struct buf *b, size_t room);

/* Drops the first n bytes and moves the rest to the front. */
void buf_drop(struct buf *b, size_t n);

#endif
