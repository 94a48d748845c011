/* SPDX-License-Identifier: MIT */
/* Connections counted by client address. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>

#include <cmocka.h>

#include "base/addr.h"
#include "worker/peers.h"

static struct addr
v4(const char *text)
{
	struct addr a = { .v4 = { .sin_family = AF_INET } };

	assert_int_equal(inet_pton(AF_INET, text, &a.v4.sin_addr), 1);
	return a;
}

static struct addr
v6(const char *text)
{
	struct addr a = { .v6 = { .sin6_family = AF_INET6 } };

	assert_int_equal(inet_pton(AF_INET6, text, &a.v6.sin6_addr), 1);
	return a;
}

static void
leave(struct peers *p, struct peer *peer)
{
	peers_closing(peer);
	peers_leave(p, peer);
}

static void
test_limit(void **state)
{
	struct peers *p = peers_new(2, 64);
	struct addr a = v4("192.0.2.1"), b = v4("192.0.2.2");
	struct peer *one, *two, *other;

	(void)state;
	one = peers_enter(p, &a);
	two = peers_enter(p, &a);
	assert_non_null(one);
	assert_ptr_equal(one, two);
	assert_null(peers_enter(p, &a));
	other = peers_enter(p, &b);
	assert_non_null(other);
	assert_ptr_not_equal(one, other);
	leave(p, one);
	two = peers_enter(p, &a);
	assert_non_null(two);
	/* It stays while somebody is there, who counts no more. */
	peers_closing(two);
	peers_closing(two);
	peers_leave(p, two);
	assert_ptr_equal(peers_enter(p, &a), two);
	peers_leave(p, two);
	leave(p, two);
	leave(p, other);
	peers_free(&p);
	assert_null(p);
}

/* The network of an IPv6 address counts, its host does not. */
static void
test_networks(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned prefix;
		int same;
	} cases[] = {
		{ "2001:db8::1", "2001:db8::2", 64, 1 },
		{ "2001:db8::1", "2001:db8:0:0:ffff::1", 64, 1 },
		{ "2001:db8::1", "2001:db8:0:1::1", 64, 0 },
		{ "2001:db8:0:1::", "2001:db8:0:2::", 48, 1 },
		{ "2001:db8:0:1::", "2001:db8:0:2::", 62, 1 },
		{ "2001:db8:0:1::", "2001:db8:0:2::", 63, 0 },
		{ "2001:db8::1", "2001:db8::2", 128, 0 },
		{ "2001:db8::2", "2001:db8::3", 127, 1 },
		{ "8000::", "::1", 1, 0 },
		{ "8000::", "ffff::1", 1, 1 },
		{ "::ffff:192.0.2.1", "::ffff:192.0.2.2", 64, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct peers *p = peers_new(2, cases[i].prefix);
		struct addr a = v6(cases[i].a), b = v6(cases[i].b);
		struct peer *x = peers_enter(p, &a), *y = peers_enter(p, &b);

		assert_int_equal(x == y, cases[i].same);
		leave(p, x);
		leave(p, y);
		peers_free(&p);
	}
}

/* A client counts the same, whichever kind of socket it comes to. */
static void
test_mapped(void **state)
{
	struct peers *p = peers_new(2, 64);
	struct addr a = v4("192.0.2.1"), b = v6("::ffff:192.0.2.1");
	struct peer *x = peers_enter(p, &a), *y = peers_enter(p, &b);

	(void)state;
	assert_ptr_equal(x, y);
	leave(p, x);
	leave(p, y);
	peers_free(&p);
}

static void
test_many(void **state)
{
	enum { MANY = 20000 };
	static struct peer *all[MANY];
	struct peers *p = peers_new(1, 64);
	struct addr a = v4("10.0.0.0");

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		a.v4.sin_addr.s_addr = htonl(0x0a000000 + i);
		all[i] = peers_enter(p, &a);
		assert_non_null(all[i]);
		assert_null(peers_enter(p, &a));
	}
	for (unsigned i = 0; i < MANY; i++)
		leave(p, all[i * 7919 % MANY]);
	peers_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
