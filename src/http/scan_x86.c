/* SPDX-License-Identifier: MIT */
/* Scanners for x86-64, each for processors that have what its name says. */
#include "http/scan_bits.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define SSE __attribute__((target("ssse3")))
#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vbmi")))

SSE static inline __m128i
set16(const uint8_t *set)
{
	return _mm_loadu_si128((const __m128i *)set);
}

/* A bit for each byte that is no member. */
SSE static inline uint64_t
strangers16(__m128i v, __m128i rows, const uint8_t *set)
{
	__m128i in = _mm_and_si128(_mm_shuffle_epi8(set16(set), v), rows);
	__m128i out = _mm_cmpeq_epi8(in, _mm_setzero_si128());

	return (uint16_t)_mm_movemask_epi8(out);
}

SSE static inline struct http_bits
scan16(const char *p)
{
	__m128i v = _mm_loadu_si128((const __m128i *)p);
	__m128i rows = _mm_shuffle_epi8(set16(http_sets.rows),
	    _mm_and_si128(_mm_srli_epi16(v, 4), _mm_set1_epi8(15)));

	return (struct http_bits){
		strangers16(v, rows, http_sets.stop) ^ 0xffff,
		strangers16(v, rows, http_sets.plain),
	};
}

SSE static inline struct http_bits
scan64_sse(const char *p)
{
	return http_bits_both(http_bits_both(scan16(p), scan16(p + 16), 16),
	    http_bits_both(scan16(p + 32), scan16(p + 48), 16), 32);
}

/* Less than 64 bytes, nothing in front of them. */
SSE static struct http_bits
scan_short(const char *p, size_t len)
{
	struct http_bits b;

	if (len < 16)
		return http_scan_bytes(p, len);
	b = scan16(p);
	for (size_t i = 16; i + 16 <= len; i += 16)
		b = http_bits_both(b, scan16(p + i), i);
	return http_bits_both(b, scan16(p + len - 16), len - 16);
}

SSE void
http_scan_sse(
    const char *data, size_t len, size_t before, struct http_masks *out)
{
	size_t word, rest = len % 64;

	for (word = 0; word < len / 64; word++)
		http_bits_put(out, word, scan64_sse(data + word * 64));
	http_bits_put_last(out, word,
	    before + len < 64
		? scan_short(data, len)
		: http_bits_last(scan64_sse(data + len - 64), rest),
	    rest);
}

AVX2 static inline __m256i
set32(const uint8_t *set)
{
	return _mm256_broadcastsi128_si256(
	    _mm_loadu_si128((const __m128i *)set));
}

AVX2 static inline uint64_t
strangers32(__m256i v, __m256i rows, const uint8_t *set)
{
	__m256i in = _mm256_and_si256(_mm256_shuffle_epi8(set32(set), v), rows);
	__m256i out = _mm256_cmpeq_epi8(in, _mm256_setzero_si256());

	return (uint32_t)_mm256_movemask_epi8(out);
}

/* The bits of stop are inverted. */
AVX2 static inline struct http_bits
scan32(const char *p)
{
	__m256i v = _mm256_loadu_si256((const __m256i *)p);
	__m256i rows = _mm256_shuffle_epi8(set32(http_sets.rows),
	    _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15)));

	return (struct http_bits){
		strangers32(v, rows, http_sets.stop),
		strangers32(v, rows, http_sets.plain),
	};
}

AVX2 static inline struct http_bits
scan64_avx2(const char *p)
{
	struct http_bits b = http_bits_both(scan32(p), scan32(p + 32), 32);

	b.stop = ~b.stop;
	return b;
}

AVX2 void
http_scan_avx2(
    const char *data, size_t len, size_t before, struct http_masks *out)
{
	size_t word, rest = len % 64;

	for (word = 0; word < len / 64; word++)
		http_bits_put(out, word, scan64_avx2(data + word * 64));
	http_bits_put_last(out, word,
	    before + len < 64
		? scan_short(data, len)
		: http_bits_last(scan64_avx2(data + len - 64), rest),
	    rest);
}

/*
 * From Ice Lake and Zen 4 on: the table of 128 bytes fits two registers, and
 * a masked load ends where the data ends.  Earlier processors with AVX-512
 * lack the instruction, and with it the drop in clock rate that they pay for
 * wide registers.
 */
AVX512 static inline struct http_bits
scan64_avx512(__m512i v)
{
	__m512i low = _mm512_loadu_si512(http_bytes);
	__m512i high = _mm512_loadu_si512(http_bytes + 64);
	__m512i class = _mm512_permutex2var_epi8(low, v, high);
	uint64_t beyond = _mm512_movepi8_mask(v);

	return (struct http_bits){
		_mm512_test_epi8_mask(class, _mm512_set1_epi8(HTTP_B_STOP)) &
		    ~beyond,
		_mm512_test_epi8_mask(
		    class, _mm512_set1_epi8(HTTP_B_NOT_PLAIN)) |
		    beyond,
	};
}

AVX512 void
http_scan_avx512(
    const char *data, size_t len, size_t before, struct http_masks *out)
{
	size_t word, rest = len % 64;
	__mmask64 there = (UINT64_C(1) << rest) - 1;

	(void)before;
	for (word = 0; word < len / 64; word++)
		http_bits_put(out, word,
		    scan64_avx512(_mm512_loadu_si512(data + word * 64)));
	http_bits_put_last(out, word,
	    scan64_avx512(_mm512_maskz_loadu_epi8(there, data + word * 64)),
	    rest);
}

#endif
