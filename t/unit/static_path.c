/* SPDX-License-Identifier: MIT */
/* Names of files from paths of requests, and paths for Location. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hosts/static/path.h"

static void
accepts(const char *raw, const char *name)
{
	char out[PATH_NAME_MAX];
	size_t len;

	assert_true(path_decode(bicorn_str(raw), out, &len));
	assert_string_equal(out, name);
	assert_int_equal(len, strlen(name));
}

static void
refuses(const char *raw)
{
	char out[PATH_NAME_MAX];
	size_t len;

	assert_false(path_decode(bicorn_str(raw), out, &len));
}

static void
test_names(void **state)
{
	(void)state;
	accepts("/", "");
	accepts("/a", "a");
	accepts("/a/b.txt", "a/b.txt");
	accepts("/a/", "a/");
	accepts("//a///b//", "a/b/");
	accepts("////", "");
	accepts("/%61%2E%74xt", "a.txt");
	accepts("/a%20b", "a b");
	accepts("/100%", "100%");
	accepts("/100%4", "100%4");
	accepts("/%zz%4g", "%zz%4g");
	accepts("/%25%32%65", "%2e");
	accepts("/a%5cb", "a\\b");
	accepts("/a..b/c.", "a..b/c.");
	accepts("/.well-known/acme", ".well-known/acme");
	accepts("//.well-known/", ".well-known/");
}

static void
test_refused(void **state)
{
	(void)state;
	refuses("");
	refuses("*");
	refuses("a");
	refuses("/..");
	refuses("/../a");
	refuses("/a/..");
	refuses("/a/../b");
	refuses("/./a");
	refuses("/a/.");
	refuses("/.git/config");
	refuses("/a/.htaccess");
	refuses("/...");
	refuses("/%2e%2e/a");
	refuses("/%2E./a");
	refuses("/.%2e/a");
	refuses("/%2egit/config");
	refuses("/a%2fb");
	refuses("/a%2F..%2Fb");
	refuses("/%00");
	refuses("/a%00.txt");
	refuses("/..%5c..%5ca");
	refuses("/a/.well-known/x");
	refuses("/.well-knownx/x");
	refuses("/.well-known/.x");
	refuses("/.well-known/../.x");
}

static void
test_nul(void **state)
{
	struct bicorn_str raw = { "/a\0b", 4 };
	char out[PATH_NAME_MAX];
	size_t len;

	(void)state;
	assert_false(path_decode(raw, out, &len));
}

static void
test_length(void **state)
{
	char raw[2 * PATH_MAX + 2], out[PATH_NAME_MAX];
	size_t len, i;

	(void)state;
	memset(raw, 'a', sizeof(raw));
	raw[0] = '/';
	for (i = PATH_MAX - 2; i < PATH_MAX + 3; i++) {
		struct bicorn_str s = { raw, i };
		bool fits = i <= PATH_MAX;

		assert_int_equal(path_decode(s, out, &len), fits);
		if (fits)
			assert_int_equal(len, i - 1);
	}
	/* Slashes that count as one do not count. */
	memset(raw, '/', sizeof(raw));
	assert_true(path_decode((struct bicorn_str){ raw, sizeof(raw) }, out,
	    &len));
	assert_int_equal(len, 0);
}

static void
test_index(void **state)
{
	char name[PATH_NAME_MAX];
	size_t len;

	(void)state;
	assert_true(path_decode(bicorn_str("/"), name, &len));
	path_add_index(name, &len);
	assert_string_equal(name, "index.html");
	assert_true(path_decode(bicorn_str("/a/"), name, &len));
	path_add_index(name, &len);
	assert_string_equal(name, "a/index.html");
	assert_int_equal(len, 12);
	assert_true(path_decode(bicorn_str("/a"), name, &len));
	path_add_index(name, &len);
	assert_string_equal(name, "a");
}

/* The longest name that is taken leaves room for the index behind it. */
static void
test_index_room(void **state)
{
	char raw[PATH_MAX], name[PATH_NAME_MAX];
	size_t len;

	(void)state;
	memset(raw, 'a', sizeof(raw));
	raw[0] = raw[PATH_MAX - 1] = '/';
	assert_true(path_decode((struct bicorn_str){ raw, PATH_MAX }, name,
	    &len));
	path_add_index(name, &len);
	assert_int_equal(strlen(name), len);
}

static void
locates(const char *raw, const char *query, const char *location)
{
	char name[PATH_NAME_MAX], *text;
	size_t len;

	assert_true(path_decode(bicorn_str(raw), name, &len));
	text = path_location(name, len, bicorn_str(query));
	assert_non_null(text);
	assert_string_equal(text, location);
	free(text);
}

static void
test_location(void **state)
{
	(void)state;
	locates("/a", "", "/a/");
	locates("/a", "x=1&y=%20", "/a/?x=1&y=%20");
	locates("//evil.example", "", "/evil.example/");
	locates("///evil.example", "", "/evil.example/");
	locates("/%5cevil.example", "", "/%5Cevil.example/");
	locates("/\\evil.example", "", "/%5Cevil.example/");
	locates("/a%0d%0aSet-Cookie:x", "", "/a%0D%0ASet-Cookie:x/");
	locates("/a%20b%25%3f%23", "", "/a%20b%25%3F%23/");
	locates("/%c3%a9\xc3\xa9", "", "/%C3%A9%C3%A9/");
	locates("/a", "\"<>\\\xff", "/a/?%22%3C%3E%5C%FF");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_index_room),
		cmocka_unit_test(test_location),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
