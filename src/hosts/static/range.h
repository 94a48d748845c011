/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_STATIC_RANGE_H
#define BICORN_HOSTS_STATIC_RANGE_H

/* Byte ranges, RFC 9110, section 14.  Pure functions, any thread. */

#include <stddef.h>
#include <stdint.h>

#include <bicorn/app.h>

/* More parts than this in one answer serve no honest client. */
#define RANGE_MAX 32

struct range {
	int64_t first;
	int64_t len; /* at least 1 */
};

enum range_verdict {
	RANGE_WHOLE,         /* no range, or one to ignore: send everything */
	RANGE_PARTS,         /* at least one part, in the order asked for */
	RANGE_UNSATISFIABLE, /* 416 */
};

/*
 * Reads the value of a Range field for a file of `size` bytes.
 *
 * RANGE_WHOLE is the answer to another unit, to what does not parse, and to
 * requests that would make more work than the whole file: more than
 * RANGE_MAX parts, or parts that overlap so far that together they are
 * longer than the file.
 */
enum range_verdict range_parse(struct bicorn_str value, int64_t size,
    struct range out[RANGE_MAX], size_t *count_out);

#endif
