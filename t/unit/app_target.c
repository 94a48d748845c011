/* SPDX-License-Identifier: MIT */
/* What APP on the command line means. */
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

#include "app/target.h"

static void
expect(const char *app, enum target_kind kind, const char *path,
    const char *symbol)
{
	struct target t;

	assert_int_equal(target_read(app, &t), 0);
	assert_int_equal(t.kind, kind);
	assert_string_equal(t.path, path);
	if (symbol != NULL)
		assert_string_equal(t.symbol, symbol);
	else
		assert_null(t.symbol);
	target_fini(&t);
	assert_null(t.path);
	assert_null(t.symbol);
	target_fini(&t);
}

static void
test_native(void **state)
{
	(void)state;
	expect("./hello.so", TARGET_NATIVE, "./hello.so", "bicorn_app");
	expect("hello.so", TARGET_NATIVE, "hello.so", "bicorn_app");
	expect("/a/b.so:other", TARGET_NATIVE, "/a/b.so", "other");
	expect("a:b.so:c", TARGET_NATIVE, "a:b.so", "c");
	expect("a:b.so", TARGET_NATIVE, "a:b.so", "bicorn_app");
	expect("native=x", TARGET_NATIVE, "x", "bicorn_app");
	expect("native=x.so:y", TARGET_NATIVE, "x.so", "y");
}

/* ".so" alone is no file of that kind, and neither is what has it inside. */
static void
test_almost_native(void **state)
{
	(void)state;
	expect(".so", TARGET_WSGI, ".so", NULL);
	expect(".so:x", TARGET_WSGI, ".so:x", NULL);
	expect("a.sox", TARGET_WSGI, "a.sox", NULL);
	expect("a.so.1", TARGET_WSGI, "a.so.1", NULL);
	expect("a.so:b:c", TARGET_WSGI, "a.so:b:c", NULL);
	expect("so", TARGET_WSGI, "so", NULL);
	expect("", TARGET_WSGI, "", NULL);
}

static void
test_wsgi(void **state)
{
	(void)state;
	expect("myapp", TARGET_WSGI, "myapp", NULL);
	expect("myapp:app", TARGET_WSGI, "myapp:app", NULL);
	expect("pkg.mod:make(\"a\", k=1)", TARGET_WSGI,
	    "pkg.mod:make(\"a\", k=1)", NULL);
	expect("pkg/wsgi.py", TARGET_WSGI, "pkg/wsgi.py", NULL);
	expect("wsgi=./x.so", TARGET_WSGI, "./x.so", NULL);
	expect("wsgi=", TARGET_WSGI, "", NULL);
	expect("m:f(a='native=1')", TARGET_WSGI, "m:f(a='native=1')", NULL);
}

/* A directory needs a '/' in its name: "myapp" may be a package. */
static void
test_static(void **state)
{
	char dir[] = "/tmp/bicorn-test-XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(mkdir("public", 0700), 0);
	assert_int_equal(mkdir("lib.so", 0700), 0);
	expect("public/", TARGET_STATIC, "public/", NULL);
	expect("./public", TARGET_STATIC, "./public", NULL);
	expect(".", TARGET_WSGI, ".", NULL);
	expect("./", TARGET_STATIC, "./", NULL);
	expect("public", TARGET_WSGI, "public", NULL);
	expect("static=public", TARGET_STATIC, "public", NULL);
	expect("static=nowhere", TARGET_STATIC, "nowhere", NULL);
	expect("./nowhere", TARGET_WSGI, "./nowhere", NULL);
	snprintf(path, sizeof(path), "%s/public", dir);
	expect(path, TARGET_STATIC, path, NULL);
	assert_int_equal(rmdir("lib.so"), 0);
	assert_int_equal(rmdir("public"), 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_native),
		cmocka_unit_test(test_almost_native),
		cmocka_unit_test(test_wsgi),
		cmocka_unit_test(test_static),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
