/* SPDX-License-Identifier: MIT */
/* X-Forwarded-For and Forwarded, item by item from the end. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app/forwarded.h"

/* The items from last to first, joined by '|'. */
static void
items(const char *text, const char *expected)
{
	struct span list = span_of(text), item;
	char out[200] = "";

	while (forwarded_last(&list, &item))
		snprintf(out + strlen(out), sizeof(out) - strlen(out),
		    "%.*s|", (int)item.len, item.ptr);
	assert_string_equal(out, expected);
}

static void
test_items(void **state)
{
	(void)state;
	items("", "|");
	items("a", "a|");
	items("a, b ,c", "c|b|a|");
	items(",a,", "|a||");
	items("for=\"a,b\", for=c", "for=c|for=\"a,b\"|");
	items("a, \"b\\\",c\"", "\"b\\\",c\"|a|");
	/* What a client left open does not reach what a proxy adds. */
	items("for=\", for=1.2.3.4", "for=1.2.3.4|for=\"|");
	items("\", \", b", "b|\", \"|");
}

static void
address(const char *text, const char *expected, unsigned port)
{
	char out[ADDR_TEXT_MAX];
	struct addr a;

	if (!forwarded_address(span_of(text), &a)) {
		assert_null(expected);
		return;
	}
	addr_text(&a, out);
	assert_non_null(expected);
	assert_string_equal(out, expected);
	assert_int_equal(addr_port(&a), port);
}

static void
test_addresses(void **state)
{
	(void)state;
	address("192.0.2.1", "192.0.2.1", 0);
	address("192.0.2.1:80", "192.0.2.1", 80);
	address("\"192.0.2.1:80\"", "192.0.2.1", 80);
	address("2001:db8::1", "2001:db8::1", 0);
	address("[2001:db8::1]", "2001:db8::1", 0);
	address("\"[2001:db8::1]:4711\"", "2001:db8::1", 4711);
	address("::ffff:192.0.2.1", "192.0.2.1", 0);
	address("", NULL, 0);
	address("\"\"", NULL, 0);
	address("unknown", NULL, 0);
	address("_hidden", NULL, 0);
	address("192.0.2.1:", NULL, 0);
	address("192.0.2.1:65536", NULL, 0);
	address("192.0.2.1:x", NULL, 0);
	address("192.0.2.1:_x", NULL, 0);
	address("192.0.2", NULL, 0);
	address("192.0.2.1/8", NULL, 0);
	address("[192.0.2.1]", NULL, 0);
	address("[::1", NULL, 0);
	address("[::1]80", NULL, 0);
	address("[]", NULL, 0);
	address("example.org", NULL, 0);
}

static void
test_elements(void **state)
{
	struct span node, proto;

	(void)state;
	assert_true(forwarded_element(
	    SPAN("For=\"[::1]:80\" ; PROTO=https;by=x"), &node, &proto));
	assert_true(span_eq(node, SPAN("[::1]:80")));
	assert_true(span_eq(proto, SPAN("https")));
	assert_true(forwarded_element(SPAN("by=x"), &node, &proto));
	assert_null(node.ptr);
	assert_null(proto.ptr);
	assert_true(forwarded_element(SPAN(""), &node, &proto));
	assert_false(forwarded_element(SPAN("192.0.2.1"), &node, &proto));
	assert_false(forwarded_element(SPAN("for=a;b"), &node, &proto));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_elements),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
