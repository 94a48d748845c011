/* SPDX-License-Identifier: MIT */
/* Growing buffers. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static void
test_add(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_true(buf_str(&b, "one"));
	assert_true(buf_add(&b, "\0two", 4));
	assert_true(buf_add(&b, NULL, 0));
	assert_true(buf_fmt(&b, " %d-%s", 3, "x"));
	assert_int_equal(b.len, 11);
	assert_memory_equal(b.data, "one\0two 3-x", 11);
	buf_fini(&b);
	assert_null(b.data);
	assert_int_equal(b.len + b.room, 0);
	buf_fini(&b);
}

/* Many small pieces stay what they were while the memory moves. */
static void
test_growth(void **state)
{
	struct buf b = { 0 };

	(void)state;
	for (unsigned i = 0; i < 10000; i++)
		assert_true(buf_add(&b, &i, sizeof(i)));
	assert_int_equal(b.len, 10000 * sizeof(unsigned));
	for (unsigned i = 0; i < 10000; i++)
		assert_memory_equal(b.data + i * sizeof(i), &i, sizeof(i));
	buf_fini(&b);
}

static void
test_drop(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_true(buf_str(&b, "abcdef"));
	buf_drop(&b, 0);
	buf_drop(&b, 2);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "cdef", 4);
	buf_drop(&b, 4);
	assert_int_equal(b.len, 0);
	assert_true(buf_str(&b, "x"));
	assert_memory_equal(b.data, "x", 1);
	buf_fini(&b);
}

/* A length that no memory can hold is refused, and nothing is lost. */
static void
test_too_much(void **state)
{
	struct buf b = { 0 };

	(void)state;
	assert_true(buf_str(&b, "kept"));
	assert_false(buf_reserve(&b, SIZE_MAX));
	assert_false(buf_reserve(&b, SIZE_MAX / 4));
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "kept", 4);
	buf_fini(&b);
}

/* Room is given back, but not below what is asked, and no byte is lost. */
static void
test_trim(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_trim(&b, 0);
	assert_null(b.data);
	assert_true(buf_add(&b, "kept", 4));
	assert_true(buf_reserve(&b, 100000));
	buf_trim(&b, 4096);
	assert_int_equal(b.room, 4096);
	buf_trim(&b, 4096);
	buf_trim(&b, 3000);
	assert_int_equal(b.room, 4096);
	buf_trim(&b, 0);
	assert_int_equal(b.room, 4);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "kept", 4);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_trim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
