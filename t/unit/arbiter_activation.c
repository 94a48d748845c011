/* SPDX-License-Identifier: MIT */
/* LISTEN_PID and LISTEN_FDS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "arbiter/activation.h"
#include "base/err.h"

static size_t
take(const char *pid, const char *fds, struct strlist *out)
{
	struct err err;

	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", fds, 1);
	setenv("LISTEN_FDNAMES", "http", 1);
	assert_int_equal(activation_take(out, &err), 0);
	assert_null(getenv("LISTEN_PID"));
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_FDNAMES"));
	return out->count;
}

static void
test_ours(void **state)
{
	struct strlist list = { NULL, 0 };
	char pid[16];

	(void)state;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_int_equal(take(pid, "2", &list), 2);
	assert_string_equal(list.items[0], "fd://3");
	assert_string_equal(list.items[1], "fd://4");
	activation_free(&list);
	assert_int_equal(list.count, 0);
	assert_int_equal(take(pid, "0", &list), 0);
	assert_int_equal(take(pid, "-1", &list), 0);
	assert_int_equal(take(pid, "99999999999", &list), 0);
	assert_int_equal(take(pid, "x", &list), 0);
}

static void
test_not_ours(void **state)
{
	struct strlist list = { NULL, 0 };
	struct err err;

	(void)state;
	assert_int_equal(take("1", "2", &list), 0);
	assert_int_equal(take("", "2", &list), 0);
	assert_int_equal(activation_take(&list, &err), 0);
	assert_int_equal(list.count, 0);
	activation_free(&list);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ours),
		cmocka_unit_test(test_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
