/* SPDX-License-Identifier: MIT */
/* Error texts. */
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void
test_set(void **state)
{
	struct err e;

	(void)state;
	err_set(&e, "threads = %d: must be %d..%d", 0, 1, 1024);
	assert_string_equal(e.text, "threads = 0: must be 1..1024");
	err_set(&e, "%s", "again");
	assert_string_equal(e.text, "again");
	err_set(NULL, "nobody asked");
}

static void
test_sys(void **state)
{
	struct err e;

	(void)state;
	errno = ENOENT;
	err_sys(&e, "open %s", "/nowhere");
	assert_string_equal(e.text,
	    "open /nowhere: No such file or directory");
	assert_int_equal(errno, ENOENT);
	err_sys(NULL, "nobody asked");
}

static void
test_prefix(void **state)
{
	struct err e;

	(void)state;
	err_set(&e, "no such user");
	err_prefix(&e, "%s, line %d: ", "bicorn.conf", 3);
	assert_string_equal(e.text, "bicorn.conf, line 3: no such user");
	err_prefix(NULL, "nobody asked");
}

/* Too long a text is cut and stays terminated. */
static void
test_cut(void **state)
{
	struct err e;
	char big[2 * sizeof(e.text)];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_set(&e, "%s", big);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	errno = EIO;
	err_sys(&e, "%s", big);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	err_prefix(&e, "%s", "y");
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	assert_int_equal(e.text[0], 'y');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_sys),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
