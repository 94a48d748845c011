/* SPDX-License-Identifier: MIT */

/* The table of field names: right keys, whatever clients send. */

#include "../../src/hosts/wsgi/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wsgi_python.h"

static PyObject *common;
static struct wsgi_names *names;

static int
setup(void **state)
{
	(void)state;
	common = names_common();
	names = names_new();
	return common != NULL && names != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	names_free(&names);
	names_free(&names);
	Py_CLEAR(common);
	return 0;
}

static struct wsgi_name *
find(const char *text)
{
	struct wsgi_name *name = names_find(names, common, bicorn_str(text));

	assert_non_null(name);
	return name;
}

static void
assert_key(const char *text, const char *key)
{
	assert_int_equal(PyUnicode_CompareWithASCIIString(find(text)->key,
	    key), 0);
}

static void
test_keys(void **state)
{
	(void)state;
	assert_key("Host", "HTTP_HOST");
	assert_key("x-one_Two3", "HTTP_X_ONE_TWO3");
	assert_key("Content-Type", "CONTENT_TYPE");
	assert_key("content-LENGTH", "CONTENT_LENGTH");
	assert_key("Content_Length", "HTTP_CONTENT_LENGTH");
	assert_key("Content-Lengthy", "HTTP_CONTENT_LENGTHY");
	assert_key("x", "HTTP_X");
	assert_key("SCRIPT_NAME", "HTTP_SCRIPT_NAME");
	assert_int_equal(find("SCRIPT_NAME")->kind, NAME_SCRIPT_NAME);
	assert_int_equal(find("Script-Name")->kind, NAME_PLAIN);
	assert_int_equal(find("COOKIE")->kind, NAME_COOKIE);
	assert_int_equal(find("transfer-encoding")->kind,
	    NAME_TRANSFER_ENCODING);
}

static void
test_remembers(void **state)
{
	struct wsgi_name *name = find("User-Agent");
	PyObject *constant = PyUnicode_InternFromString("HTTP_USER_AGENT");
	PyObject *one, *two;

	(void)state;
	assert_ptr_equal(find("User-Agent"), name);
	/* The object is the one that code compares by identity. */
	assert_ptr_equal(name->key, constant);
	assert_ptr_equal(find("user-agent")->key, constant);
	Py_DECREF(constant);

	one = names_value(name, bicorn_str("curl"));
	two = names_value(name, bicorn_str("curl"));
	assert_ptr_equal(one, two);
	Py_DECREF(two);
	two = names_value(name, bicorn_str("wget"));
	assert_int_equal(PyUnicode_CompareWithASCIIString(two, "wget"), 0);
	Py_DECREF(one);
	Py_DECREF(two);
}

static void
test_keeps_no_secrets(void **state)
{
	static const char *const secret[] = {
		"Cookie", "Authorization", "proxy-authorization",
	};
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct wsgi_name *name = find(secret[i]);

		Py_DECREF(names_value(name, bicorn_str("secret")));
		assert_null(name->value);
	}
}

/* Thousands of names, long ones among them, around a few that return. */
static void
test_flood(void **state)
{
	char text[200], key[220];
	int n, i, len;

	(void)state;
	for (n = 0; n < 20000; n++) {
		len = snprintf(text, sizeof(text), "x-%d-", n);
		for (i = 0; i < n % 101; i++)
			text[len++] = 'y';
		text[len] = '\0';
		snprintf(key, sizeof(key), "HTTP_X_%d_", n);
		len = (int)strlen(key);
		for (i = 0; i < n % 101; i++)
			key[len++] = 'Y';
		key[len] = '\0';
		assert_key(text, key);
		if (n % 10 == 0)
			assert_key("Accept-Language", "HTTP_ACCEPT_LANGUAGE");
	}
}

static void
test_same(void **state)
{
	PyObject *str = PyUnicode_DecodeLatin1("\xe9t\0x", 4, NULL);
	struct bicorn_str s = { "\xe9t\0x", 4 };
	struct bicorn_str none = { NULL, 0 };
	PyObject *empty = PyUnicode_FromString("");

	(void)state;
	assert_true(names_same(str, s));
	s.len = 3;
	assert_false(names_same(str, s));
	assert_false(names_same(str, none));
	assert_true(names_same(empty, none));
	Py_DECREF(str);
	Py_DECREF(empty);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remembers, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_keeps_no_secrets, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test(test_same),
	};

	return cmocka_run_group_tests(tests, python_start, python_stop);
}
