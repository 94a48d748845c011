/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HTTP_SCAN_BITS_H
#define BICORN_HTTP_SCAN_BITS_H

/*
 * What the scanners share.
 *
 * Each scanner does whole blocks of 64 bytes, then the rest.  The rest is
 * the end of a last block that reaches back over bytes already seen, where
 * there are that many; a head of less than 64 bytes is done in overlapping
 * smaller pieces.  Nothing behind the end is ever read.
 */

#include "http/bytes.h"
#include "http/scan.h"

struct http_bits {
	uint64_t stop;
	uint64_t name;
};

static inline void
http_bits_put(struct http_masks *out, size_t word, struct http_bits b)
{
	out->stop[word] = b.stop;
	out->name[word] = b.name;
}

/*
 * The last word: n < 64 bits count, the others are set to end searches.
 * Another such word is for those who look at two words at once.
 */
static inline void
http_bits_put_last(
    struct http_masks *out, size_t word, struct http_bits b, size_t n)
{
	uint64_t behind = ~UINT64_C(0) << n;

	out->stop[word] = b.stop | behind;
	out->name[word] = b.name | behind;
	out->stop[word + 1] = ~UINT64_C(0);
	out->name[word + 1] = ~UINT64_C(0);
}

/* The last n < 64 bits of b. */
static inline struct http_bits
http_bits_last(struct http_bits b, size_t n)
{
	return (struct http_bits){ b.stop >> 1 >> (63 - n),
		b.name >> 1 >> (63 - n) };
}

/* a, and b from bit n on. */
static inline struct http_bits
http_bits_both(struct http_bits a, struct http_bits b, size_t n)
{
	return (struct http_bits){ a.stop | b.stop << n, a.name | b.name << n };
}

/* Byte by byte: what the others fall back to for a few bytes. */
struct http_bits http_scan_bytes(const char *p, size_t len);

/*
 * Sets of ASCII bytes as tables of 16, for shuffles: byte c is a member when
 * the entry of its low nibble in the table and the one of its high nibble in
 * `rows` have a bit in common.  Bytes above 127 are members of none.
 */
struct http_sets {
	uint8_t rows[16];
	uint8_t stop[16];
	uint8_t plain[16]; /* HTTP_IS_PLAIN_NAME */
};
extern const struct http_sets http_sets;

/* Which of them there are depends on the machine: see http_scan_at(). */
http_scan_fn http_scan_sse;
http_scan_fn http_scan_avx2;
http_scan_fn http_scan_avx512;
http_scan_fn http_scan_neon;

#endif
