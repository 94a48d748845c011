/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HTTP_SCAN_H
#define BICORN_HTTP_SCAN_H

/*
 * The first pass over a head: bytes become bits, one for each byte and
 * question, so that the second pass finds the ends of names and values by
 * counting zeros and never looks at a byte in between.  All vector code of
 * the parser is behind this interface.  For the files of this room, its
 * tests and its benchmark.
 */

#include <stddef.h>
#include <stdint.h>

#define HTTP_SCAN_WORDS 16
#define HTTP_SCAN_MAX (HTTP_SCAN_WORDS * 64)

/*
 * Bit i of word i / 64 stands for byte i.  Bits behind the last byte are
 * set, to the end of its word and in the word behind it, so that a search
 * needs no bound.
 */
struct http_masks {
	uint64_t stop[HTTP_SCAN_WORDS + 2]; /* HTTP_IS_STOP */
	uint64_t name[HTTP_SCAN_WORDS + 2]; /* not HTTP_IS_PLAIN_NAME */
};

/*
 * Looks at data[0..len), len <= HTTP_SCAN_MAX.  `before` bytes in front of
 * data are the caller's too and may be read, none behind.
 */
typedef void http_scan_fn(
    const char *data, size_t len, size_t before, struct http_masks *out);

enum http_scan_level {
	HTTP_SCAN_PORTABLE,
	HTTP_SCAN_SSE, /* SSSE3 */
	HTTP_SCAN_AVX2,
	HTTP_SCAN_AVX512, /* with VBMI */
	HTTP_SCAN_NEON,
	HTTP_SCAN_LEVELS
};

/* That level's scanner; NULL when this machine cannot run it. */
http_scan_fn *http_scan_at(enum http_scan_level level);

/* The best of this machine.  Costs a load and a test. */
http_scan_fn *http_scan_best(void);

#endif
