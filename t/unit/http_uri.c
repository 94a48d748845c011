/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/uri.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define S(literal)                                                             \
	{                                                                      \
		(literal), sizeof(literal) - 1                                 \
	}

static void
decodes(void **state)
{
	static const struct {
		struct span in, out;
	} cases[] = {
		{ S(""), S("") },
		{ S("/"), S("/") },
		{ S("/a%20b"), S("/a b") },
		{ S("%41%62%c3%A4"), S("Ab\xc3\xa4") },
		{ S("%00"), S("\0") },
		{ S("%"), S("%") },
		{ S("a%"), S("a%") },
		{ S("a%4"), S("a%4") },
		{ S("a%4g"), S("a%4g") },
		{ S("a%g4"), S("a%g4") },
		{ S("%%41"), S("%A") },
		{ S("%2541"), S("%41") },
		{ S("%zz%41%"), S("%zzA%") },
		{ S("a+b"), S("a+b") },
		{ S("%ff\xff"), S("\xff\xff") },
		/* What follows is not a part of it. */
		{ { "%41", 2 }, S("%4") },
		{ { "%41", 1 }, S("%") },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *out = malloc(cases[i].in.len + 1);
		struct span got = { out, 0 };

		assert_non_null(out);
		got.len = http_uri_decode(cases[i].in, out);
		assert_true(span_eq(got, cases[i].out));
		/* In place. */
		memcpy(out, cases[i].in.ptr, cases[i].in.len);
		got.len =
		    http_uri_decode((struct span){ out, cases[i].in.len }, out);
		assert_true(span_eq(got, cases[i].out));
		free(out);
	}
	assert_int_equal(http_uri_decode(SPAN_NONE, NULL), 0);
}

static void
authorities(void **state)
{
	static const struct {
		struct span in, host, port;
	} cases[] = {
		{ S("a"), S("a"), S("") },
		{ S("a:"), S("a"), S("") },
		{ S("a:0"), S("a"), S("0") },
		{ S("a:65535"), S("a"), S("65535") },
		{ S("a:00080"), S("a"), S("00080") },
		{ S("[::1]"), S("[::1]"), S("") },
		{ S("[::1]:8000"), S("[::1]"), S("8000") },
		{ S("[1:2:3:4:5:6:7:8]"), S("[1:2:3:4:5:6:7:8]"), S("") },
		{ S("[vF.a:b]:1"), S("[vF.a:b]"), S("1") },
		{ S("a%20b"), S("a%20b"), S("") },
		{ S("%61%62:1"), S("%61%62"), S("1") },
		{ S("a-b_c~d.e!$&'()*+,;="), S("a-b_c~d.e!$&'()*+,;="), S("") },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span host, port;

		assert_true(http_uri_authority(cases[i].in, &host, &port));
		assert_true(span_eq(host, cases[i].host));
		assert_true(span_eq(port, cases[i].port));
	}
}

static void
no_authorities(void **state)
{
	static const struct span cases[] = {
		S(""),
		S(":"),
		S(":1"),
		S("a:x"),
		S("a:1x"),
		S("a:-1"),
		S("a:65536"),
		S("a:1:2"),
		S("a b"),
		S(" a"),
		S("a "),
		S("a@b"),
		S("a/b"),
		S("a\\b"),
		S("a?b"),
		S("a#b"),
		S("a\0b"),
		{ "a%41", 3 },
		S("a\x7f"),
		S("\x80"),
		S("%"),
		S("%4"),
		S("%4x"),
		S("a%"),
		S("[]"),
		S("["),
		S("]"),
		S("[::1"),
		S("::1]"),
		S("[::1]1"),
		S("[::1]:x"),
		S("[::1::2]"),
		S("[12345::]"),
		S("[1:2:3:4:5:6:7:8:9]"),
		S("[::1%eth0]"),
		S("[::1\0]"),
		S("[ ::1]"),
		S("[v]"),
		S("[v1]"),
		S("[v1.]"),
		S("[v.1]"),
		S("[v1.[]"),
		S("[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:"
		  "0000:0000:0000]"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span host = S("x"), port = S("x");

		assert_false(http_uri_authority(cases[i], &host, &port));
		assert_int_equal(host.len, 0);
		assert_int_equal(port.len, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes),
		cmocka_unit_test(authorities),
		cmocka_unit_test(no_authorities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
