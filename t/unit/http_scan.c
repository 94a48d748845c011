/* SPDX-License-Identifier: MIT */
/* The scanners: each against the grammar itself, and all against another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/bytes.h"
#include "http/scan.h"

static bool
bit(const uint64_t *mask, size_t i)
{
	return mask[i / 64] >> (i % 64) & 1;
}

/* The sets as the documents spell them, not as the tables are made. */
static bool
is_token(unsigned char c)
{
	return c != '\0' && strchr("!#$%&'*+-.^_`|~0123456789"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz",
				c) != NULL;
}

static bool
is_stop(unsigned char c)
{
	return (c < 32 && c != 9) || c == 127;
}

/* data[0..len) in a block that has just `before` bytes in front of it. */
static void
check(http_scan_fn *scan, const unsigned char *data, size_t len, size_t before)
{
	char *block = malloc(before + len + 1);
	struct http_masks masks;

	assert_non_null(block);
	memset(block, '\n', before);
	memcpy(block + before, data, len);
	memset(&masks, 0x5a, sizeof(masks));
	/* The last byte is there so that malloc(0) is not asked for. */
	block = realloc(block, before + len > 0 ? before + len : 1);
	assert_non_null(block);
	scan(block + before, len, before, &masks);
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(bit(masks.stop, i), is_stop(data[i]));
		assert_int_equal(
		    bit(masks.name, i), !is_token(data[i]) || data[i] == '_');
	}
	for (size_t i = len; i < (len / 64 + 2) * 64; i++) {
		assert_true(bit(masks.stop, i));
		assert_true(bit(masks.name, i));
	}
	free(block);
}

static void
every_byte(void **state)
{
	unsigned char all[256];

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		all[i] = (unsigned char)i;
	for (int level = 0; level < HTTP_SCAN_LEVELS; level++) {
		http_scan_fn *scan = http_scan_at((enum http_scan_level)level);

		if (scan != NULL)
			check(scan, all, sizeof(all), 0);
	}
}

static void
every_length(void **state)
{
	unsigned char data[HTTP_SCAN_MAX];
	uint32_t seed = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++) {
		seed = seed * 1664525u + 1013904223u;
		data[i] = (unsigned char)(seed >> 24);
	}
	for (int level = 0; level < HTTP_SCAN_LEVELS; level++) {
		http_scan_fn *scan = http_scan_at((enum http_scan_level)level);

		for (size_t len = 0; scan != NULL && len <= 300; len++)
			for (size_t before = 0; before < 70; before += 3)
				check(scan, data, len, before);
		if (scan != NULL) {
			check(scan, data, HTTP_SCAN_MAX - 1, 0);
			check(scan, data, HTTP_SCAN_MAX, 0);
		}
	}
}

static void
other_sets(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		bool lower = c >= 'a' && c <= 'z';
		bool method = is_token((unsigned char)c) && !lower && c != '#';
		bool mark = c <= 32 || c == 127 || c == '#' || c == '?';
		bool host = c != 0 && strchr("-._~!$&'()*+,;=0123456789"
					     "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					     "abcdefghijklmnopqrstuvwxyz",
					  (int)c) != NULL;
		const char *digits = "0123456789abcdefABCDEF", *at;
		int value = -1;

		assert_int_equal((http_bytes[c] & HTTP_B_MARK) != 0, mark);
		assert_int_equal((http_bytes[c] & HTTP_B_METHOD) != 0, method);
		assert_int_equal((http_bytes[c] & HTTP_B_HOST) != 0, host);
		at = c != 0 ? strchr(digits, (int)c) : NULL;
		if (at != NULL)
			value = (int)(at - digits);
		if (value > 15)
			value -= 6;
		assert_int_equal(http_hex((unsigned char)c), value);
	}
}

static void
best_is_there(void **state)
{
	bool found = false;

	(void)state;
	assert_non_null(http_scan_at(HTTP_SCAN_PORTABLE));
	assert_null(http_scan_at(HTTP_SCAN_LEVELS));
	for (int level = 0; level < HTTP_SCAN_LEVELS; level++)
		found |= http_scan_best() ==
			 http_scan_at((enum http_scan_level)level);
	assert_true(found);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte),
		cmocka_unit_test(every_length),
		cmocka_unit_test(other_sets),
		cmocka_unit_test(best_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
