/* SPDX-License-Identifier: MIT */
/* The scanner for 64-bit ARM. */
#include "http/scan_bits.h"

#if defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>

struct tables {
	uint8x16_t rows;
	uint8x16_t stop;
	uint8x16_t plain;
};

/* All bits of a byte set where it is a member of the set. */
static inline uint8x16_t
members(uint8x16_t v, uint8x16_t rows, uint8x16_t set)
{
	return vtstq_u8(vqtbl1q_u8(set, vandq_u8(v, vdupq_n_u8(15))),
	    vqtbl1q_u8(rows, vshrq_n_u8(v, 4)));
}

/* One bit of each byte: pairs are added until 64 bytes are 64 bits. */
static inline uint64_t
gather(const uint8x16_t m[4])
{
	static const uint8_t each[16] = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4,
		8, 16, 32, 64, 128 };
	uint8x16_t weight = vld1q_u8(each);
	uint8x16_t a =
	    vpaddq_u8(vandq_u8(m[0], weight), vandq_u8(m[1], weight));
	uint8x16_t b =
	    vpaddq_u8(vandq_u8(m[2], weight), vandq_u8(m[3], weight));

	a = vpaddq_u8(a, b);
	a = vpaddq_u8(a, a);
	return vgetq_lane_u64(vreinterpretq_u64_u8(a), 0);
}

static inline struct http_bits
scan64(const char *p, const struct tables *t)
{
	uint8x16_t stop[4], name[4];

	for (unsigned i = 0; i < 4; i++) {
		uint8x16_t v = vld1q_u8((const uint8_t *)p + i * 16);

		stop[i] = members(v, t->rows, t->stop);
		name[i] = members(v, t->rows, t->plain);
	}
	return (struct http_bits){ gather(stop), ~gather(name) };
}

void
http_scan_neon(
    const char *data, size_t len, size_t before, struct http_masks *out)
{
	const struct tables t = { vld1q_u8(http_sets.rows),
		vld1q_u8(http_sets.stop), vld1q_u8(http_sets.plain) };
	size_t word, rest = len % 64;

	for (word = 0; word < len / 64; word++)
		http_bits_put(out, word, scan64(data + word * 64, &t));
	http_bits_put_last(out, word,
	    before + len < 64
		? http_scan_bytes(data, len)
		: http_bits_last(scan64(data + len - 64, &t), rest),
	    rest);
}

#endif
