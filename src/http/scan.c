/* SPDX-License-Identifier: MIT */
#include "http/scan.h"

#include <string.h>

#include "http/bytes.h"

/* Bits from the last byte on are set: what ends every search. */
static void
close_masks(struct http_masks *out, size_t len)
{
	size_t word = len / 64;
	uint64_t behind = ~UINT64_C(0) << (len % 64);

	if (len % 64 == 0)
		out->stop[word] = out->name[word] = out->mark[word] = 0;
	out->stop[word] |= behind;
	out->name[word] |= behind;
	out->mark[word] |= behind;
}

#define ONES UINT64_C(0x0101010101010101)

/* Bit 0 of byte k of x becomes bit k. */
static inline uint64_t
gather(uint64_t x)
{
	return ((x & ONES) * UINT64_C(0x0102040810204080)) >> 56;
}

static inline uint64_t
classes8(const unsigned char *p)
{
	uint64_t x = 0;

	for (unsigned k = 0; k < 8; k++)
		x |= (uint64_t)http_bytes[p[k]] << (8 * k);
	return x;
}

static void
scan_block(const unsigned char *p, struct http_masks *out, size_t word)
{
	uint64_t stop = 0, name = 0, mark = 0;

	for (unsigned k = 0; k < 64; k += 8) {
		uint64_t x = classes8(p + k);

		stop |= gather(x) << k;
		name |= gather(x >> 1) << k;
		mark |= gather(x >> 2) << k;
	}
	out->stop[word] = stop;
	out->name[word] = name;
	out->mark[word] = mark;
}

static void
scan_portable(const char *data, size_t len, size_t before,
    struct http_masks *out)
{
	const unsigned char *p = (const unsigned char *)data;
	unsigned char last[64] = { 0 };
	size_t word;

	(void)before;
	for (word = 0; word < len / 64; word++)
		scan_block(p + word * 64, out, word);
	if (len % 64 > 0) {
		memcpy(last, p + word * 64, len % 64);
		scan_block(last, out, word);
	}
	close_masks(out, len);
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

/*
 * A set of ASCII bytes as two tables of 16: byte c is a member when
 * SET_ROW of its low nibble and the bit of its high nibble have a bit in
 * common.  Bytes above 127 are members of none: the shuffle gives 0.
 */
#define BIT(is, c) (is((c)) ? 1 << ((c) >> 4) : 0)
#define SET_ROW(is, lo) \
	(char)(BIT(is, lo) | BIT(is, lo + 16) | BIT(is, lo + 32) | \
	    BIT(is, lo + 48) | BIT(is, lo + 64) | BIT(is, lo + 80) | \
	    BIT(is, lo + 96) | BIT(is, lo + 112))
#define SET(is) \
	SET_ROW(is, 0), SET_ROW(is, 1), SET_ROW(is, 2), SET_ROW(is, 3), \
	    SET_ROW(is, 4), SET_ROW(is, 5), SET_ROW(is, 6), SET_ROW(is, 7), \
	    SET_ROW(is, 8), SET_ROW(is, 9), SET_ROW(is, 10), SET_ROW(is, 11), \
	    SET_ROW(is, 12), SET_ROW(is, 13), SET_ROW(is, 14), SET_ROW(is, 15)
#define NIBBLE_BITS 1, 2, 4, 8, 16, 32, 64, (char)128, 0, 0, 0, 0, 0, 0, 0, 0

struct bits {
	uint64_t stop;
	uint64_t token;
	uint64_t mark;
};

__attribute__((target("ssse3"))) static inline uint64_t
members16(__m128i v, __m128i high, __m128i set)
{
	__m128i in = _mm_and_si128(_mm_shuffle_epi8(set, v), high);
	__m128i out = _mm_cmpeq_epi8(in, _mm_setzero_si128());

	return (uint16_t)~_mm_movemask_epi8(out);
}

__attribute__((target("ssse3"))) static inline struct bits
scan16(const char *p)
{
	__m128i v = _mm_loadu_si128((const __m128i *)p);
	__m128i high = _mm_shuffle_epi8(_mm_setr_epi8(NIBBLE_BITS),
	    _mm_and_si128(_mm_srli_epi16(v, 4), _mm_set1_epi8(15)));

	return (struct bits){
		members16(v, high, _mm_setr_epi8(SET(HTTP_IS_STOP))),
		members16(v, high, _mm_setr_epi8(SET(HTTP_IS_TOKEN))),
		members16(v, high, _mm_setr_epi8(SET(HTTP_IS_MARK))),
	};
}

__attribute__((target("ssse3"))) static inline void
scan64_sse(const char *p, struct http_masks *out, size_t word)
{
	struct bits a = scan16(p), b = scan16(p + 16), c = scan16(p + 32),
		    d = scan16(p + 48);

	out->stop[word] =
	    a.stop | b.stop << 16 | c.stop << 32 | d.stop << 48;
	out->name[word] =
	    ~(a.token | b.token << 16 | c.token << 32 | d.token << 48);
	out->mark[word] =
	    a.mark | b.mark << 16 | c.mark << 32 | d.mark << 48;
}

__attribute__((target("ssse3"))) static void
scan_sse(const char *data, size_t len, size_t before, struct http_masks *out)
{
	char last[64] = { 0 };
	size_t word;

	(void)before;
	for (word = 0; word < len / 64; word++)
		scan64_sse(data + word * 64, out, word);
	if (len % 64 > 0) {
		memcpy(last, data + word * 64, len % 64);
		scan64_sse(last, out, word);
	}
	close_masks(out, len);
}

__attribute__((target("avx2"))) static inline uint64_t
members32(__m256i v, __m256i high, __m256i set)
{
	__m256i in = _mm256_and_si256(_mm256_shuffle_epi8(set, v), high);
	__m256i out = _mm256_cmpeq_epi8(in, _mm256_setzero_si256());

	return (uint32_t)~_mm256_movemask_epi8(out);
}

__attribute__((target("avx2"))) static inline struct bits
scan32(const char *p)
{
	__m256i v = _mm256_loadu_si256((const __m256i *)p);
	__m256i high = _mm256_shuffle_epi8(
	    _mm256_setr_epi8(NIBBLE_BITS, NIBBLE_BITS),
	    _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15)));

	return (struct bits){
		members32(v, high,
		    _mm256_setr_epi8(SET(HTTP_IS_STOP), SET(HTTP_IS_STOP))),
		members32(v, high,
		    _mm256_setr_epi8(SET(HTTP_IS_TOKEN), SET(HTTP_IS_TOKEN))),
		members32(v, high,
		    _mm256_setr_epi8(SET(HTTP_IS_MARK), SET(HTTP_IS_MARK))),
	};
}

__attribute__((target("avx2"))) static inline void
scan64_avx2(const char *p, struct http_masks *out, size_t word)
{
	struct bits a = scan32(p), b = scan32(p + 32);

	out->stop[word] = a.stop | b.stop << 32;
	out->name[word] = ~(a.token | b.token << 32);
	out->mark[word] = a.mark | b.mark << 32;
}

__attribute__((target("avx2"))) static void
scan_avx2(const char *data, size_t len, size_t before, struct http_masks *out)
{
	char last[64] = { 0 };
	size_t word;

	(void)before;
	for (word = 0; word < len / 64; word++)
		scan64_avx2(data + word * 64, out, word);
	if (len % 64 > 0) {
		memcpy(last, data + word * 64, len % 64);
		scan64_avx2(last, out, word);
	}
	close_masks(out, len);
}

http_scan_fn *
http_scan_at(enum http_scan_level level)
{
	switch (level) {
	case HTTP_SCAN_PORTABLE:
		return scan_portable;
	case HTTP_SCAN_SSE:
		return __builtin_cpu_supports("ssse3") ? scan_sse : NULL;
	case HTTP_SCAN_AVX2:
		return __builtin_cpu_supports("avx2") ? scan_avx2 : NULL;
	default:
		return NULL;
	}
}

http_scan_fn *
http_scan_best(void)
{
	if (__builtin_cpu_supports("avx2"))
		return scan_avx2;
	return __builtin_cpu_supports("ssse3") ? scan_sse : scan_portable;
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
