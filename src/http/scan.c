/* SPDX-License-Identifier: MIT */
#include "http/scan.h"

#include <stdbool.h>

#include "http/bytes.h"

/*
 * Each scanner does whole blocks of 64 bytes, then the rest.  The rest is
 * the end of a last block that reaches back over bytes already seen, where
 * there are that many; a head of less than 64 bytes is done in overlapping
 * smaller pieces.  Nothing behind the end is ever read.
 */

struct bits {
	uint64_t stop;
	uint64_t name;
};

static inline void
put(struct http_masks *out, size_t word, struct bits b)
{
	out->stop[word] = b.stop;
	out->name[word] = b.name;
}

/*
 * The last word: n < 64 bits count, the others are set to end searches.
 * Another such word is for those who look at two words at once.
 */
static inline void
put_last(struct http_masks *out, size_t word, struct bits b, size_t n)
{
	uint64_t behind = ~UINT64_C(0) << n;

	out->stop[word] = b.stop | behind;
	out->name[word] = b.name | behind;
	out->stop[word + 1] = ~UINT64_C(0);
	out->name[word + 1] = ~UINT64_C(0);
}

/* b without its first n bits. */
static inline struct bits
later(struct bits b, size_t n)
{
	return (struct bits){ b.stop >> n, b.name >> n };
}

/* a, and b from bit n on. */
static inline struct bits
both(struct bits a, struct bits b, size_t n)
{
	return (struct bits){ a.stop | b.stop << n, a.name | b.name << n };
}

static struct bits
scan_bytes(const unsigned char *p, size_t len)
{
	struct bits b = { 0 };

	for (size_t i = 0; i < len; i++) {
		uint64_t byte = http_bytes[p[i]];

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
classes8(const unsigned char *p)
{
	uint64_t x = 0;

	for (unsigned k = 0; k < 8; k++)
		x |= (uint64_t)http_bytes[p[k]] << (8 * k);
	return x;
}

static inline struct bits
scan64(const unsigned char *p)
{
	struct bits b = { 0 };

	for (unsigned k = 0; k < 64; k += 8) {
		uint64_t x = classes8(p + k);

		b.stop |= gather(x) << k;
		b.name |= gather(x >> 1) << k;
	}
	return b;
}

static void
scan_portable(const char *data, size_t len, size_t before,
    struct http_masks *out)
{
	const unsigned char *p = (const unsigned char *)data;
	size_t word;

	(void)before;
	for (word = 0; word < len / 64; word++)
		put(out, word, scan64(p + word * 64));
	put_last(out, word, scan_bytes(p + word * 64, len % 64), len % 64);
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

#define SSE __attribute__((target("ssse3")))
#define AVX2 __attribute__((target("avx2")))
#define AVX512 \
	__attribute__((target("avx512f,avx512bw,avx512vbmi")))

SSE static inline uint64_t
members16(__m128i v, __m128i high, __m128i set)
{
	__m128i in = _mm_and_si128(_mm_shuffle_epi8(set, v), high);
	__m128i out = _mm_cmpeq_epi8(in, _mm_setzero_si128());

	return (uint16_t)~_mm_movemask_epi8(out);
}

SSE static inline struct bits
scan16(const char *p)
{
	__m128i v = _mm_loadu_si128((const __m128i *)p);
	__m128i high = _mm_shuffle_epi8(_mm_setr_epi8(NIBBLE_BITS),
	    _mm_and_si128(_mm_srli_epi16(v, 4), _mm_set1_epi8(15)));

	return (struct bits){
		members16(v, high, _mm_setr_epi8(SET(HTTP_IS_STOP))),
		members16(v, high, _mm_setr_epi8(SET(HTTP_IS_PLAIN_NAME))) ^ 0xffff,
	};
}

SSE static inline struct bits
scan64_sse(const char *p)
{
	return both(both(scan16(p), scan16(p + 16), 16),
	    both(scan16(p + 32), scan16(p + 48), 16), 32);
}

/* Less than 64 bytes, nothing in front of them. */
SSE static struct bits
scan_short(const char *p, size_t len)
{
	struct bits b;

	if (len < 16)
		return scan_bytes((const unsigned char *)p, len);
	b = scan16(p);
	for (size_t i = 16; i + 16 <= len; i += 16)
		b = both(b, scan16(p + i), i);
	return both(b, scan16(p + len - 16), len - 16);
}

SSE static void
scan_sse(const char *data, size_t len, size_t before, struct http_masks *out)
{
	size_t word, rest = len % 64;

	for (word = 0; word < len / 64; word++)
		put(out, word, scan64_sse(data + word * 64));
	put_last(out, word,
	    before + len < 64 ?
		scan_short(data, len) :
		later(later(scan64_sse(data + len - 64), 63 - rest), 1),
	    rest);
}

/* Bit i: whether byte i is no member; inverted by the caller at will. */
AVX2 static inline uint64_t
strangers32(__m256i v, __m256i high, __m256i set)
{
	__m256i in = _mm256_and_si256(_mm256_shuffle_epi8(set, v), high);
	__m256i out = _mm256_cmpeq_epi8(in, _mm256_setzero_si256());

	return (uint32_t)_mm256_movemask_epi8(out);
}

AVX2 static inline struct bits
scan32(const char *p)
{
	__m256i v = _mm256_loadu_si256((const __m256i *)p);
	__m256i high = _mm256_shuffle_epi8(
	    _mm256_setr_epi8(NIBBLE_BITS, NIBBLE_BITS),
	    _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15)));

	return (struct bits){
		strangers32(v, high,
		    _mm256_setr_epi8(SET(HTTP_IS_STOP), SET(HTTP_IS_STOP))),
		strangers32(v, high,
		    _mm256_setr_epi8(SET(HTTP_IS_PLAIN_NAME), SET(HTTP_IS_PLAIN_NAME))),
	};
}

AVX2 static inline struct bits
scan64_avx2(const char *p)
{
	struct bits b = both(scan32(p), scan32(p + 32), 32);

	b.stop = ~b.stop;
	return b;
}

AVX2 static void
scan_avx2(const char *data, size_t len, size_t before, struct http_masks *out)
{
	size_t word, rest = len % 64;

	for (word = 0; word < len / 64; word++)
		put(out, word, scan64_avx2(data + word * 64));
	put_last(out, word,
	    before + len < 64 ?
		scan_short(data, len) :
		later(later(scan64_avx2(data + len - 64), 63 - rest), 1),
	    rest);
}

/*
 * From Ice Lake and Zen 4 on: the table of 128 bytes fits two registers, and
 * a masked load ends where the data ends.  Earlier processors with AVX-512
 * lack the instruction, and with it the drop in clock rate that they pay for
 * wide registers.
 */
AVX512 static inline struct bits
scan64_avx512(__m512i v)
{
	__m512i low = _mm512_loadu_si512(http_bytes);
	__m512i high = _mm512_loadu_si512(http_bytes + 64);
	__m512i class = _mm512_permutex2var_epi8(low, v, high);
	uint64_t beyond = _mm512_movepi8_mask(v);

	return (struct bits){
		_mm512_test_epi8_mask(class, _mm512_set1_epi8(HTTP_B_STOP)) &
		    ~beyond,
		_mm512_test_epi8_mask(class,
		    _mm512_set1_epi8(HTTP_B_NOT_PLAIN)) | beyond,
	};
}

AVX512 static void
scan_avx512(const char *data, size_t len, size_t before,
    struct http_masks *out)
{
	size_t word, rest = len % 64;
	__mmask64 there = (UINT64_C(1) << rest) - 1;

	(void)before;
	for (word = 0; word < len / 64; word++)
		put(out, word,
		    scan64_avx512(_mm512_loadu_si512(data + word * 64)));
	put_last(out, word,
	    scan64_avx512(_mm512_maskz_loadu_epi8(there, data + word * 64)),
	    rest);
}

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
		return __builtin_cpu_supports("ssse3") ? scan_sse : NULL;
	case HTTP_SCAN_AVX2:
		return __builtin_cpu_supports("avx2") ? scan_avx2 : NULL;
	case HTTP_SCAN_AVX512:
		return has_avx512() ? scan_avx512 : NULL;
	default:
		return NULL;
	}
}

http_scan_fn *
http_scan_best(void)
{
	if (has_avx512())
		return scan_avx512;
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
