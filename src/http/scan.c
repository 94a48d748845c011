/* SPDX-License-Identifier: MIT */
/* The portable scanner, and which scanner to use. */
#include "http/scan.h"

#include <stdbool.h>

#include "http/scan_bits.h"

#define ROW(is, c) (is((c)) ? 1 << ((c) >> 4) : 0)
#define SET1(is, lo)                                                           \
	(ROW(is, lo) | ROW(is, lo + 16) | ROW(is, lo + 32) |                   \
	    ROW(is, lo + 48) | ROW(is, lo + 64) | ROW(is, lo + 80) |           \
	    ROW(is, lo + 96) | ROW(is, lo + 112))
#define SET4(is, lo)                                                           \
	SET1(is, lo), SET1(is, lo + 1), SET1(is, lo + 2), SET1(is, lo + 3)
#define SET16(is) SET4(is, 0), SET4(is, 4), SET4(is, 8), SET4(is, 12)

const struct http_sets http_sets = {
	.rows = { 1, 2, 4, 8, 16, 32, 64, 128 },
	.stop = { SET16(HTTP_IS_STOP) },
	.plain = { SET16(HTTP_IS_PLAIN_NAME) },
};

struct http_bits
http_scan_bytes(const char *p, size_t len)
{
	struct http_bits b = { 0 };

	for (size_t i = 0; i < len; i++) {
		uint64_t byte = http_bytes[(unsigned char)p[i]];

		b.stop |= (byte & 1) << i;
		b.name |= (byte >> 1 & 1) << i;
	}
	return b;
}

#define ONES UINT64_C(0x0101010101010101)

/* Bit 0 of byte k of x becomes bit k. */
static inline uint64_t
gather(uint64_t x)
{
	return ((x & ONES) * UINT64_C(0x0102040810204080)) >> 56;
}

static inline uint64_t
classes8(const char *p)
{
	uint64_t x = 0;

	for (unsigned k = 0; k < 8; k++)
		x |= (uint64_t)http_bytes[(unsigned char)p[k]] << (8 * k);
	return x;
}

static inline struct http_bits
scan64(const char *p)
{
	struct http_bits b = { 0 };

	for (unsigned k = 0; k < 64; k += 8) {
		uint64_t x = classes8(p + k);

		b.stop |= gather(x) << k;
		b.name |= gather(x >> 1) << k;
	}
	return b;
}

static void
scan_portable(
    const char *data, size_t len, size_t before, struct http_masks *out)
{
	size_t word;

	(void)before;
	for (word = 0; word < len / 64; word++)
		http_bits_put(out, word, scan64(data + word * 64));
	http_bits_put_last(
	    out, word, http_scan_bytes(data + word * 64, len % 64), len % 64);
}

#if defined(__x86_64__) && defined(__GNUC__)

static bool
has_avx512(void)
{
	return __builtin_cpu_supports("avx512vbmi") &&
	       __builtin_cpu_supports("avx512bw");
}

http_scan_fn *
http_scan_at(enum http_scan_level level)
{
	switch (level) {
	case HTTP_SCAN_PORTABLE:
		return scan_portable;
	case HTTP_SCAN_SSE:
		return __builtin_cpu_supports("ssse3") ? http_scan_sse : NULL;
	case HTTP_SCAN_AVX2:
		return __builtin_cpu_supports("avx2") ? http_scan_avx2 : NULL;
	case HTTP_SCAN_AVX512:
		return has_avx512() ? http_scan_avx512 : NULL;
	default:
		return NULL;
	}
}

http_scan_fn *
http_scan_best(void)
{
	if (has_avx512())
		return http_scan_avx512;
	if (__builtin_cpu_supports("avx2"))
		return http_scan_avx2;
	return __builtin_cpu_supports("ssse3") ? http_scan_sse : scan_portable;
}

#elif defined(__aarch64__) && defined(__ARM_NEON)

/* Every 64-bit ARM has it. */
http_scan_fn *
http_scan_at(enum http_scan_level level)
{
	if (level == HTTP_SCAN_NEON)
		return http_scan_neon;
	return level == HTTP_SCAN_PORTABLE ? scan_portable : NULL;
}

http_scan_fn *
http_scan_best(void)
{
	return http_scan_neon;
}

#else

http_scan_fn *
http_scan_at(enum http_scan_level level)
{
	return level == HTTP_SCAN_PORTABLE ? scan_portable : NULL;
}

http_scan_fn *
http_scan_best(void)
{
	return scan_portable;
}

#endif
