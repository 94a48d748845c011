/* SPDX-License-Identifier: MIT */
/* Which build of the WSGI host a virtual environment needs. */
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

#include "app/python.h"
#include "base/err.h"
#include "conf/conf.h"

#include "files.h"

static char venv[] = "/tmp/bicorn-test-XXXXXX";
static char cfg[64];

static int
make_venv(void **state)
{
	(void)state;
	if (mkdtemp(venv) == NULL)
		return -1;
	snprintf(cfg, sizeof(cfg), "%s/pyvenv.cfg", venv);
	return 0;
}

static int
remove_venv(void **state)
{
	(void)state;
	unlink(cfg);
	return rmdir(venv);
}

static int
tag(const char *setting, char out[32], const char **found, struct err *err)
{
	const struct settings s = { .venv = setting };

	err->text[0] = '\0';
	return python_tag(&s, out, 32, found, err);
}

static void
expect_tag(const char *text, const char *expected)
{
	const char *found;
	struct err err;
	char out[32];

	put_file(cfg, text);
	if (tag(venv, out, &found, &err) != 0)
		fail_msg("%s", err.text);
	assert_string_equal(out, expected);
	assert_string_equal(found, venv);
}

static void
expect_refused(const char *text)
{
	const char *found;
	struct err err;
	char out[32];

	put_file(cfg, text);
	assert_int_equal(tag(venv, out, &found, &err), -1);
	assert_non_null(strstr(err.text, venv));
	assert_null(strchr(err.text, '\n'));
}

/* As the venv module, virtualenv and others write it. */
static void
test_versions(void **state)
{
	(void)state;
	expect_tag("home = /usr/bin\ninclude-system-site-packages = false\n"
		   "version = 3.11.2\nexecutable = /usr/bin/python3.11\n",
	    "cpython-311");
	expect_tag("version=3.9.18\n", "cpython-39");
	expect_tag("version_info = 3.13.0.final.0\nversion = 3.13.0\n",
	    "cpython-313");
	expect_tag("home = /x\r\nversion = 3.12.1\r\n", "cpython-312");
	expect_tag("  version  =  3.10.1  ", "cpython-310");
	expect_tag("prompt = version\nversion = 3.11", "cpython-311");
	expect_tag("version = what\nversion_info = 3.11.0", "cpython-311");
}

/* Without its lock, told from the folder of its modules. */
static void
test_free_threaded(void **state)
{
	char lib[64], own[96], other[96];

	(void)state;
	snprintf(lib, sizeof(lib), "%s/lib", venv);
	snprintf(own, sizeof(own), "%s/python3.13t", lib);
	snprintf(other, sizeof(other), "%s/python3.12", lib);
	assert_int_equal(mkdir(lib, 0700) | mkdir(own, 0700) |
		mkdir(other, 0700), 0);
	expect_tag("version = 3.13.5\n", "cpython-313t");
	expect_tag("version = 3.12.1\n", "cpython-312");
	assert_int_equal(rmdir(own) | rmdir(other) | rmdir(lib), 0);
	expect_tag("version = 3.13.5\n", "cpython-313");
}

static void
test_refused(void **state)
{
	(void)state;
	expect_refused("");
	expect_refused("home = /usr/bin\n");
	expect_refused("version\n");
	expect_refused("version = \n");
	expect_refused("version = 2.7.18\n");
	expect_refused("version = 3\n");
	expect_refused("version = 3.\n");
	expect_refused("version = 3.x\n");
	expect_refused("version = 3.-1\n");
	expect_refused("version = 3.100\n");
	expect_refused("version = 3.99999999999999999999\n");
	expect_refused("#version = 3.11\n");
}

static void
test_not_there(void **state)
{
	const char *found;
	struct err err;
	char out[32], name[5000];

	(void)state;
	unlink(cfg);
	assert_int_equal(tag(venv, out, &found, &err), -1);
	assert_non_null(strstr(err.text, "not a virtual environment"));
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(tag(name, out, &found, &err), -1);
	assert_non_null(strstr(err.text, "venv = aaa"));
}

/* The setting counts before VIRTUAL_ENV, and an empty one is none. */
static void
test_precedence(void **state)
{
	const char *found;
	struct err err;
	char out[32];

	(void)state;
	put_file(cfg, "version = 3.11.2\n");
	setenv("VIRTUAL_ENV", venv, 1);
	assert_int_equal(tag(NULL, out, &found, &err), 0);
	assert_string_equal(out, "cpython-311");
	assert_string_equal(found, venv);
	setenv("VIRTUAL_ENV", "/nowhere", 1);
	assert_int_equal(tag(venv, out, &found, &err), 0);
	assert_string_equal(found, venv);
	assert_int_equal(tag(NULL, out, &found, &err), -1);
	setenv("VIRTUAL_ENV", "", 1);
	assert_int_equal(tag(NULL, out, &found, &err), 0);
	assert_null(found);
	unsetenv("VIRTUAL_ENV");
	assert_int_equal(tag(NULL, out, &found, &err), 0);
	assert_null(found);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_free_threaded),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_precedence),
	};

	return cmocka_run_group_tests(tests, make_venv, remove_venv);
}
