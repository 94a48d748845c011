/* SPDX-License-Identifier: MIT */
/* Text of addresses, and lists of networks. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "base/addr.h"
#include "base/err.h"

static struct addr
address(const char *text)
{
	struct addr a;

	memset(&a, 0, sizeof(a));
	if (strchr(text, ':') != NULL) {
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons(443);
		assert_int_equal(inet_pton(AF_INET6, text, &a.v6.sin6_addr), 1);
	} else {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons(8000);
		assert_int_equal(inet_pton(AF_INET, text, &a.v4.sin_addr), 1);
	}
	return a;
}

static void
prints(const char *in, const char *expected)
{
	char out[ADDR_TEXT_MAX];
	struct addr a = address(in);

	assert_int_equal(addr_text(&a, out), strlen(expected));
	assert_string_equal(out, expected);
}

static void
test_text(void **state)
{
	struct addr none = { 0 };
	char out[ADDR_TEXT_MAX] = "x";

	(void)state;
	prints("0.0.0.0", "0.0.0.0");
	prints("127.0.0.1", "127.0.0.1");
	prints("9.10.99.100", "9.10.99.100");
	prints("199.200.205.255", "199.200.205.255");
	prints("255.255.255.255", "255.255.255.255");
	prints("::1", "::1");
	prints("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1");
	prints("::ffff:192.0.2.7", "192.0.2.7");
	prints("1111:2222:3333:4444:5555:6666:7777:8888",
	    "1111:2222:3333:4444:5555:6666:7777:8888");
	assert_int_equal(addr_text(&none, out), 0);
	assert_string_equal(out, "");
}

/* Every value of a byte, against libc. */
static void
test_text_against_libc(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		struct addr a = address("0.0.0.0");
		char ours[ADDR_TEXT_MAX], theirs[INET_ADDRSTRLEN];

		a.v4.sin_addr.s_addr = htonl(i << 24 | (255 - i) << 16 |
		    (i ^ 0x55) << 8 | i);
		addr_text(&a, ours);
		inet_ntop(AF_INET, &a.v4.sin_addr, theirs, sizeof(theirs));
		assert_string_equal(ours, theirs);
	}
}

static void
test_port(void **state)
{
	struct addr v4 = address("127.0.0.1"), v6 = address("::1");
	struct addr none = { 0 };

	(void)state;
	assert_int_equal(addr_port(&v4), 8000);
	assert_int_equal(addr_port(&v6), 443);
	assert_int_equal(addr_port(&none), 0);
}

static struct addr_list *
list_of(const char *const *items, size_t count)
{
	struct addr_list *list;
	struct err err = { "" };

	if (addr_list_new(items, count, &list, &err) != 0)
		fail_msg("%s", err.text);
	return list;
}

static bool
has(const struct addr_list *list, const char *text)
{
	struct addr a = address(text);

	return addr_list_has(list, &a);
}

static void
test_list(void **state)
{
	static const char *const items[] = { "127.0.0.1", " 10.0.0.0/8 ", "",
		"192.168.4.0/22", "::1", "2001:db8::/33",
		"::ffff:172.16.0.0/108" };
	struct addr_list *list = list_of(items, 7);
	struct addr none = { 0 };

	(void)state;
	assert_true(has(list, "127.0.0.1"));
	assert_false(has(list, "127.0.0.2"));
	assert_true(has(list, "10.255.1.2"));
	assert_false(has(list, "11.0.0.0"));
	assert_true(has(list, "192.168.7.255"));
	assert_false(has(list, "192.168.8.0"));
	assert_false(has(list, "192.168.3.255"));
	assert_true(has(list, "::1"));
	assert_false(has(list, "::2"));
	assert_true(has(list, "2001:db8:7fff::1"));
	assert_false(has(list, "2001:db8:8000::1"));
	/* Mapped both ways. */
	assert_true(has(list, "::ffff:10.1.1.1"));
	assert_true(has(list, "172.31.0.1"));
	assert_false(has(list, "172.32.0.1"));
	/* Unix peers are always in. */
	assert_true(addr_list_has(list, &none));
	addr_list_free(&list);
	assert_null(list);
}

static void
test_list_all_and_none(void **state)
{
	static const char *const star[] = { "*" }, *const v6[] = { "::/0" };
	struct addr_list *list = list_of(star, 1);
	struct addr none = { 0 };

	(void)state;
	assert_true(has(list, "8.8.8.8"));
	assert_true(has(list, "2001::1"));
	addr_list_free(&list);

	list = list_of(NULL, 0);
	assert_false(has(list, "127.0.0.1"));
	assert_true(addr_list_has(list, &none));
	addr_list_free(&list);

	/* All of v6 does not mean v4. */
	list = list_of(v6, 1);
	assert_true(has(list, "2001::1"));
	assert_false(has(list, "8.8.8.8"));
	addr_list_free(&list);
}

static void
refuses(const char *item, const char *part)
{
	struct addr_list *list = (struct addr_list *)&list;
	struct err err = { "" };

	assert_int_equal(addr_list_new(&item, 1, &list, &err), -1);
	assert_null(list);
	assert_non_null(strstr(err.text, item));
	assert_non_null(strstr(err.text, part));
}

static void
test_list_errors(void **state)
{
	(void)state;
	refuses("localhost", "not an address");
	refuses("10.0.0", "not an address");
	refuses("10.0.0.0/33", "0 to 32");
	refuses("::/129", "0 to 128");
	refuses("10.0.0.0/", "0 to 32");
	refuses("10.0.0.0/-1", "0 to 32");
	refuses("10.0.0.1/8", "beyond its prefix of 8");
	refuses("10.0.0.128/24", "beyond");
	refuses("10.0.0.1/31", "beyond");
	refuses("2001:db8::1/64", "beyond");
	refuses("1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20", "not an");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_against_libc),
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_list_all_and_none),
		cmocka_unit_test(test_list_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
