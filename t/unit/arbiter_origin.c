/* SPDX-License-Identifier: MIT */
/* The directory of the start, and the way back to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "arbiter/origin.h"
#include "base/err.h"

static char dir[] = "/tmp/bicorn-origin.XXXXXX";

static int
make_dirs(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL || chdir(dir) != 0 ||
	    mkdir("a", 0755) != 0 || mkdir("a/app", 0755) != 0 ||
	    mkdir("b", 0755) != 0 || mkdir("b/app", 0755) != 0 ||
	    symlink("a", "current") != 0;
}

static int
remove_dirs(void **state)
{
	(void)state;
	return chdir(dir) != 0 || unlink("current") != 0 ||
	    rmdir("a/app") != 0 || rmdir("b/app") != 0 || rmdir("a") != 0 ||
	    rmdir("b") != 0 || rmdir(dir) != 0;
}

static void
expect_cwd(const char *tail)
{
	char cwd[256], want[256];

	assert_non_null(getcwd(cwd, sizeof(cwd)));
	snprintf(want, sizeof(want), "%s/%s", dir, tail);
	assert_string_equal(cwd, want);
}

/* A deployment turns the link and reloads. */
static void
test_follows_a_link_that_was_turned(void **state)
{
	struct origin o;
	struct err err;
	char pwd[256];

	(void)state;
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(chdir("current"), 0);
	snprintf(pwd, sizeof(pwd), "%s/current", dir);
	setenv("PWD", pwd, 1);
	assert_int_equal(origin_init(&o, "app", &err), 0);
	assert_int_equal(origin_leave(&o, &err), 0);
	expect_cwd("a/app");
	assert_int_equal(unlink("../../current"), 0);
	assert_int_equal(symlink("b", "../../current"), 0);
	assert_int_equal(origin_enter(&o, &err), 0);
	expect_cwd("b");
	assert_int_equal(origin_leave(&o, &err), 0);
	expect_cwd("b/app");
	origin_fini(&o);
}

static void
test_a_wrong_pwd_is_not_believed(void **state)
{
	struct origin o;
	struct err err;

	(void)state;
	assert_int_equal(chdir(dir), 0);
	setenv("PWD", "/", 1);
	assert_int_equal(origin_init(&o, NULL, &err), 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(origin_leave(&o, &err), 0);
	assert_int_equal(origin_enter(&o, &err), 0);
	assert_int_equal(access("current", F_OK), 0);
	origin_fini(&o);
}

static void
test_errors_name_the_setting(void **state)
{
	struct origin o;
	struct err err;

	(void)state;
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(origin_init(&o, "nowhere", &err), 0);
	assert_int_equal(origin_leave(&o, &err), -1);
	assert_string_equal(err.text,
	    "chdir = nowhere: No such file or directory");
	origin_fini(&o);
	assert_int_equal(o.fd, -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_follows_a_link_that_was_turned),
		cmocka_unit_test(test_a_wrong_pwd_is_not_believed),
		cmocka_unit_test(test_errors_name_the_setting),
	};

	return cmocka_run_group_tests(tests, make_dirs, remove_dirs);
}
