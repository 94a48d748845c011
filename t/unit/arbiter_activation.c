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
	assert_string_equal(list.items[0], "fd://3#http");
	assert_string_equal(activation_name(list.items[0]), "http");
	assert_null(activation_name(list.items[1]));
	assert_string_equal(list.items[1], "fd://4");
	activation_free(&list);
	assert_int_equal(list.count, 0);
	assert_int_equal(take(pid, "0", &list), 0);
	assert_int_equal(take(pid, "-1", &list), 0);
	assert_int_equal(take(pid, "99999999999", &list), 0);
	assert_int_equal(take(pid, "x", &list), 0);
}

static void
test_names(void **state)
{
	struct strlist list = { NULL, 0 };
	struct err err;
	char pid[16];

	(void)state;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "7", 1);
	setenv("LISTEN_FDNAMES", "web:unknown::a#b:bicorn.socket:3:3a", 1);
	assert_int_equal(activation_take(&list, &err), 0);
	assert_int_equal(list.count, 7);
	assert_string_equal(list.items[0], "fd://3#web");
	assert_string_equal(list.items[1], "fd://4");
	assert_string_equal(list.items[2], "fd://5");
	assert_string_equal(list.items[3], "fd://6");
	assert_string_equal(list.items[4], "fd://7#bicorn.socket");
	assert_string_equal(list.items[5], "fd://8");
	assert_string_equal(list.items[6], "fd://9#3a");
	activation_free(&list);
}

static void
test_which(void **state)
{
	(void)state;
	assert_true(activation_is("fd://3#web", "fd://3#web"));
	assert_true(activation_is("fd://3#web", "fd://web"));
	assert_true(activation_is("fd://3#web", "fd://3"));
	assert_true(activation_is("fd://3", "fd://3"));
	assert_false(activation_is("fd://3#web", "fd://31"));
	assert_false(activation_is("fd://3#web", "fd://we"));
	assert_false(activation_is("fd://31#web", "fd://3"));
	assert_false(activation_is("fd://3", "fd://4"));
	assert_false(activation_is("unix:/x#web", "fd://web"));
	assert_null(activation_name("unix:/x#web"));
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
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_which),
		cmocka_unit_test(test_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
