/* SPDX-License-Identifier: MIT */
/* What strangers send, made fit for a line. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/span.h"
#include "log/escape.h"

static void
gives(struct span in, unsigned flags, const char *expected)
{
	char out[512];
	size_t n = escape_put(out, sizeof(out) - 1, &in.ptr, &in.len, flags);

	out[n] = '\0';
	assert_string_equal(out, expected);
	assert_int_equal(in.len, 0);
}

static void
test_plain(void **state)
{
	(void)state;
	gives(SPAN(""), 0, "");
	gives(SPAN("a"), ESCAPE_QUOTES, "a");
	gives(SPAN("Mozilla/5.0 (X11; Linux x86_64)"), ESCAPE_QUOTES,
	    "Mozilla/5.0 (X11; Linux x86_64)");
	gives(SPAN("a \"b\" \\c"), 0, "a \"b\" \\c");
}

static void
test_quotes_and_controls(void **state)
{
	(void)state;
	gives(SPAN("a\"b\\c"), ESCAPE_QUOTES, "a\\\"b\\\\c");
	gives(SPAN("12345678\"12345678"), ESCAPE_QUOTES,
	    "12345678\\\"12345678");
	gives(SPAN("a\r\nb\tc\0d\x1b[31m\x7f"), 0,
	    "a\\x0d\\x0ab\\x09c\\x00d\\x1b[31m\\x7f");
	gives(SPAN("line\n\tnext\r\x1b"), ESCAPE_LINES,
	    "line\n\tnext\\x0d\\x1b");
	gives(SPAN("a b        c"), ESCAPE_QUOTES | ESCAPE_SPACES,
	    "a\\x20b\\x20\\x20\\x20\\x20\\x20\\x20\\x20\\x20c");
}

static void
test_utf8(void **state)
{
	(void)state;
	gives(SPAN("gr\xc3\xbc\xc3\x9f dich"), ESCAPE_QUOTES,
	    "gr\xc3\xbc\xc3\x9f dich");
	gives(SPAN("\xe2\x82\xac \xf0\x9f\x90\xae"), 0,
	    "\xe2\x82\xac \xf0\x9f\x90\xae");
	/* A control character of Latin-1, which terminals obey. */
	gives(SPAN("\xc2\x9b" "31m"), 0, "\\xc2\\x9b" "31m");
	gives(SPAN("\xc2\xa0"), 0, "\xc2\xa0");
	/* Overlong, surrogate, beyond the end, cut, alone. */
	gives(SPAN("\xc0\xaf"), 0, "\\xc0\\xaf");
	gives(SPAN("\xe0\x80\xaf"), 0, "\\xe0\\x80\\xaf");
	gives(SPAN("\xed\xa0\x80"), 0, "\\xed\\xa0\\x80");
	gives(SPAN("\xf4\x90\x80\x80"), 0, "\\xf4\\x90\\x80\\x80");
	gives(SPAN("\xf5\x80\x80\x80"), 0, "\\xf5\\x80\\x80\\x80");
	gives(SPAN("\xf0\x80\x80\x80"), 0, "\\xf0\\x80\\x80\\x80");
	gives(SPAN("\xe2\x82"), 0, "\\xe2\\x82");
	gives((struct span){ "\xc3\xa4", 1 }, 0, "\\xc3");
	gives(SPAN("\xbf"), 0, "\\xbf");
	gives(SPAN("\xe2\x28\xa1"), 0, "\\xe2(\\xa1");
}

/* Whatever the room, no escape is cut and nothing is lost or doubled. */
static void
check_room(unsigned flags)
{
	static const char in[] = "abcdefgh\"\x01\xc3\xbc\xff 123456789\n\\zz";
	char whole[256];
	struct span all = { in, sizeof(in) - 1 };
	size_t total = escape_put(whole, sizeof(whole), &all.ptr, &all.len,
	    flags);

	for (size_t room = 0; room < 64; room++) {
		char *block = malloc(room + 1); /* ASan sees the end */
		char *out = block + 1;
		struct span rest = { in, sizeof(in) - 1 };
		size_t n = escape_put(out, room, &rest.ptr, &rest.len,
		    flags);
		size_t more;
		char tail[256];

		assert_true(n <= room);
		assert_memory_equal(out, whole, n);
		more = escape_put(tail, sizeof(tail), &rest.ptr, &rest.len,
		    flags);
		assert_int_equal(n + more, total);
		assert_memory_equal(tail, whole + n, more);
		free(block);
	}
}

static void
test_room(void **state)
{
	(void)state;
	check_room(ESCAPE_QUOTES);
	check_room(ESCAPE_QUOTES | ESCAPE_JSON); /* six bytes for one */
}

/* The eight at a time find every byte that the one at a time finds. */
static void
test_every_byte_everywhere(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		for (size_t at = 0; at < 16; at++) {
			char in[16], out[64];
			struct span s = { in, sizeof(in) };
			bool plain = c >= 0x20 && c < 0x7f && c != '"' &&
			    c != '\\';
			size_t n;

			memset(in, 'a', sizeof(in));
			in[at] = (char)c;
			n = escape_put(out, sizeof(out), &s.ptr, &s.len,
			    ESCAPE_QUOTES);
			assert_int_equal(n, plain ? 16 :
				c == '"' || c == '\\' ? 17 : 19);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_quotes_and_controls),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_every_byte_everywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
