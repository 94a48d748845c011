/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_BULLETIN_H
#define BICORN_BASE_BULLETIN_H

/*
 * A run of bytes that one process pins up for its children to read, before
 * their fork or at any time after it: keys and certificates.  The memory is
 * kept out of core dumps and, where that is allowed, out of swap.
 *
 * There is no lock: a reader that meets a change reads again.  A child that
 * has called bulletin_confine() cannot change anything, whatever it runs.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bulletin;
struct err;
struct iovec;

/* One that takes up to `room` bytes; memory is used as they come. */
struct bulletin *bulletin_new(const char *name, size_t room, struct err *err);
void bulletin_free(struct bulletin **bp);

/* In a child, after the fork: from now on it can only be read.  0 or -1. */
int bulletin_confine(struct bulletin *b, struct err *err);

/*
 * Replaces what is there by the parts, one behind the other; what was there
 * is overwritten.  False when they are more than there is room for.  Only
 * the process that made it.
 */
bool bulletin_pin(struct bulletin *b, const struct iovec *parts,
    size_t count);

/* 0: nothing was pinned up yet; changes with each bulletin_pin(). */
uint64_t bulletin_version(const struct bulletin *b);

/*
 * A copy of up to `room` bytes, whole and of one version; the length, or -1
 * when it is longer or nothing is there.  Any process and thread.
 */
ptrdiff_t bulletin_read(const struct bulletin *b, void *out, size_t room,
    uint64_t *version_out);

/* The same on the heap: the caller wipes and frees it.  NULL: see above. */
char *bulletin_copy(const struct bulletin *b, size_t *len_out,
    uint64_t *version_out);

#endif
