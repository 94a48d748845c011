/* SPDX-License-Identifier: MIT */

/* The head of a response: every byte that an application could put there. */

#include "../../src/hosts/wsgi/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "wsgi_python.h"

static struct wsgi_response response;

static int
set(const char *status, const char *headers)
{
	PyObject *s = PyUnicode_FromString(status), *h = evaluate(headers);
	int rc = head_set(&response, s, h);

	Py_DECREF(h);
	Py_DECREF(s);
	return rc;
}

static void
assert_refused(int rc, PyObject *type)
{
	assert_int_equal(rc, -1);
	assert_true(PyErr_ExceptionMatches(type));
	PyErr_Clear();
	assert_int_equal(response.count, 0);
	assert_null(response.status);
}

static void
test_status(void **state)
{
	(void)state;
	assert_int_equal(set("200 OK", "[]"), 0);
	assert_int_equal(response.code, 200);
	assert_true(bicorn_str_eq(response.reason, "OK"));
	head_clear(&response);
	assert_int_equal(set("299", "[]"), 0);
	assert_null(response.reason.ptr);
	head_clear(&response);
	assert_int_equal(set("404 Not  found \t", "[]"), 0);
	assert_true(bicorn_str_eq(response.reason, "Not  found \t"));
	head_clear(&response);
	assert_int_equal(set("999 ", "[]"), 0);
	assert_null(response.reason.ptr);
	head_clear(&response);
	assert_refused(set("", "[]"), PyExc_ValueError);
	assert_refused(set("20", "[]"), PyExc_ValueError);
	assert_refused(set("200OK", "[]"), PyExc_ValueError);
	assert_refused(set("2000 OK", "[]"), PyExc_ValueError);
	assert_refused(set("099 x", "[]"), PyExc_ValueError);
	assert_refused(set("100 Continue", "[]"), PyExc_ValueError);
	assert_refused(set("200 a\nb", "[]"), PyExc_ValueError);
	assert_refused(set("200 a\x7f", "[]"), PyExc_ValueError);
}

static void
test_name_bytes(void **state)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	struct bicorn_str out;
	char text[3] = "a?b";
	int c;

	(void)state;
	for (c = 0; c < 256; c++) {
		PyObject *name;
		int good = c != 0 && strchr(token, c) != NULL;

		text[1] = (char)c;
		name = PyUnicode_DecodeLatin1(text, 3, NULL);
		assert_int_equal(head_name(name, false, &out),
		    good ? 0 : -1);
		PyErr_Clear();
		Py_DECREF(name);
	}
}

static void
test_value_bytes(void **state)
{
	struct bicorn_str out;
	char text[3] = "a?b";
	int c;

	(void)state;
	for (c = 0; c < 256; c++) {
		PyObject *value;
		int good = c == '\t' || (c >= 0x20 && c != 0x7f);

		text[1] = (char)c;
		value = PyBytes_FromStringAndSize(text, 3);
		assert_int_equal(head_value(value, true, &out),
		    good ? 0 : -1);
		if (good)
			assert_memory_equal(out.ptr, text, 3);
		PyErr_Clear();
		assert_int_equal(head_value(value, false, &out), -1);
		assert_true(PyErr_ExceptionMatches(PyExc_TypeError));
		PyErr_Clear();
		Py_DECREF(value);
	}
}

/* Eight bytes at a time, and what is left. */
static void
test_value_places(void **state)
{
	struct bicorn_str out;
	char text[27];
	int c, at;

	(void)state;
	for (at = 0; at < (int)sizeof(text); at++) {
		for (c = 0; c < 256; c++) {
			PyObject *value;
			int good = c == '\t' || (c >= 0x20 && c != 0x7f);

			memset(text, c % 2 != 0 ? 'a' : 0xff, sizeof(text));
			text[at] = (char)c;
			value = PyUnicode_DecodeLatin1(text, sizeof(text),
			    NULL);
			assert_int_equal(head_value(value, false, &out),
			    good ? 0 : -1);
			PyErr_Clear();
			Py_DECREF(value);
		}
	}
}

/* What was checked is known again, what was refused is not. */
static void
test_again(void **state)
{
	PyObject *good = evaluate("[('A', 'b'), ('Content-Length', '3')]");
	PyObject *bad = evaluate("[('A:', 'b')]"), *ok, *odd;
	PyObject *lengthy;
	Py_ssize_t references;

	(void)state;
	ok = PyUnicode_FromString("201 Created");
	odd = PyUnicode_FromString("200 a\nb");
	lengthy = PyUnicode_FromFormat("404 %070d", 0);
	references = Py_REFCNT(ok);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(head_set(&response, ok, good), 0);
		assert_int_equal(response.code, 201);
		assert_true(bicorn_str_eq(response.reason, "Created"));
		assert_true(bicorn_str_eq(response.headers[0].name, "A"));
		assert_int_equal(response.length, 3);
		head_clear(&response);
		assert_refused(head_set(&response, odd, good),
		    PyExc_ValueError);
		assert_refused(head_set(&response, ok, bad),
		    PyExc_ValueError);
		/* One that is too long to be kept does not leave its code. */
		assert_int_equal(head_set(&response, lengthy, good), 0);
		assert_int_equal(response.code, 404);
		head_clear(&response);
	}
	head_forget(&response);
	assert_null(response.last_status);
	assert_int_equal(Py_REFCNT(ok), references);
	Py_DECREF(lengthy);
	Py_DECREF(good);
	Py_DECREF(bad);
	Py_DECREF(ok);
	Py_DECREF(odd);
}

static void
test_trim(void **state)
{
	(void)state;
	assert_int_equal(set("200 OK",
	    "[('a', ' \\t b c\\t '), ('d', ' \\t '), ('e', '')]"), 0);
	assert_int_equal(response.count, 3);
	assert_true(bicorn_str_eq(response.headers[0].value, "b c"));
	assert_true(bicorn_str_eq(response.headers[1].value, ""));
	assert_true(bicorn_str_eq(response.headers[2].value, ""));
	head_clear(&response);
}

static void
test_length(void **state)
{
	(void)state;
	assert_int_equal(set("200 OK", "[]"), 0);
	assert_int_equal(response.length, -1);
	head_clear(&response);
	assert_int_equal(set("200 OK", "[('CONTENT-length', ' 0042 ')]"), 0);
	assert_int_equal(response.length, 42);
	head_clear(&response);
	assert_int_equal(set("200 OK",
	    "[('Content-Length', '7'), ('content-length', '7')]"), 0);
	assert_int_equal(response.length, 7);
	head_clear(&response);
	assert_int_equal(set("200 OK",
	    "[('Content-Length', '922337203685477580')]"), 0);
	assert_true(response.length == INT64_C(922337203685477580));
	head_clear(&response);
	assert_refused(set("200 OK",
	    "[('Content-Length', '92233720368547758070')]"),
	    PyExc_ValueError);
	assert_refused(set("200 OK", "[('Content-Length', '+1')]"),
	    PyExc_ValueError);
	assert_refused(set("200 OK", "[('Content-Length', '1 1')]"),
	    PyExc_ValueError);
	assert_refused(set("200 OK",
	    "[('Content-Length', '1'), ('Content-Length', '2')]"),
	    PyExc_ValueError);
}

static void
test_many(void **state)
{
	(void)state;
	assert_int_equal(set("200 OK",
	    "[('name-%d' % n, 'value %d' % n) for n in range(5000)]"), 0);
	assert_int_equal(response.count, 5000);
	assert_true(bicorn_str_eq(response.headers[4999].name, "name-4999"));
	assert_true(bicorn_str_eq(response.headers[17].value, "value 17"));
	head_clear(&response);
	assert_refused(set("200 OK", "[('a', 'b')] * 100 + [('a', 'b\\n')]"),
	    PyExc_ValueError);
	assert_refused(set("200 OK", "[('a', 'b')] * 100 + [5]"),
	    PyExc_TypeError);
	assert_refused(set("200 OK", "[('a', '\\u0100')]"),
	    PyExc_ValueError);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_name_bytes),
		cmocka_unit_test(test_value_bytes),
		cmocka_unit_test(test_value_places),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, python_start, python_stop);
}
