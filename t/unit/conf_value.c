/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/arena.h"
#include "conf/value.h"

/* text of a setting, as settings_text() and as a file have it. */
static void
reads(enum setting_id id, const char *text, const char *plain,
    const char *conf)
{
	const struct setting *s = &setting_table[id];
	struct settings settings = { 0 };
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct err err = { "" };
	struct value v;

	if (value_parse(&a, s, text, true, &v, &err) != 0)
		fail_msg("%s = %s: %s", s->name, text, err.text);
	value_store(&settings, s, &v);
	memset(&v, 0xff, sizeof(v));
	value_load(&settings, s, &v);
	assert_true(value_plain(&b, s, &v) && buf_add(&b, "", 1));
	assert_string_equal(b.data, plain);
	b.len = 0;
	assert_true(value_conf(&b, s, &v) && buf_add(&b, "", 1));
	assert_string_equal(b.data, conf);
	buf_fini(&b);
	arena_fini(&a);
}

static void
refuses(enum setting_id id, const char *text, const char *expected)
{
	const struct setting *s = &setting_table[id];
	struct arena a = { 0 };
	struct err err = { "" };
	struct value v;

	assert_int_equal(value_parse(&a, s, text, true, &v, &err), -1);
	assert_string_equal(err.text, expected);
	arena_fini(&a);
}

static void
test_kinds(void **state)
{
	(void)state;
	reads(SETTING_daemon, "true", "true", "true");
	reads(SETTING_daemon, "OFF", "false", "false");
	reads(SETTING_daemon, "1", "true", "true");
	reads(SETTING_threads, "12", "12", "12");
	reads(SETTING_max_requests, "3000000000", "3000000000", "3000000000L");
	reads(SETTING_timeout, "90s", "90", "90");
	reads(SETTING_timeout, "250ms", "0.25", "0.25");
	reads(SETTING_body_buffer, "128k", "131072", "\"128k\"");
	reads(SETTING_body_buffer, "1500", "1500", "1500");
	reads(SETTING_limit_request_body, "5000000001", "5000000001",
	    "5000000001L");
	reads(SETTING_proc_name, "a \"b\" \\ \n\x01\xc3\xa9",
	    "a \"b\" \\ \n\x01\xc3\xa9",
	    "\"a \\\"b\\\" \\\\ \\n\\x01\xc3\xa9\"");
	reads(SETTING_user, "", "", "\"\"");
	reads(SETTING_pythonpath, "", "", "[]");
	reads(SETTING_pythonpath, " a , b,,c\\,d", "a,b,c\\,d",
	    "[ \"a\", \"b\", \"c,d\" ]");
	reads(SETTING_pythonpath, "a\\b", "a\\b", "[ \"a\\\\b\" ]");
}

static void
test_ranges(void **state)
{
	(void)state;
	reads(SETTING_threads, "1", "1", "1");
	reads(SETTING_threads, "1024", "1024", "1024");
	refuses(SETTING_threads, "0", "must be 1..1024");
	refuses(SETTING_threads, "1025", "must be 1..1024");
	refuses(SETTING_threads, "-1", "must be 1..1024");
	refuses(SETTING_threads, "99999999999999999999", "must be 1..1024");
	refuses(SETTING_threads, "auto", "must be a whole number, 1..1024");
	refuses(SETTING_workers, "AUTO",
	    "must be a whole number, 1..1024 or auto");
	reads(SETTING_header_timeout, "100ms", "0.1", "0.1");
	refuses(SETTING_header_timeout, "99ms", "must be 0.1..86400 seconds");
	reads(SETTING_body_buffer, "1k", "1024", "\"1k\"");
	refuses(SETTING_body_buffer, "1023", "must be 1k..1G");
	refuses(SETTING_body_buffer, "1.1G", "must be 1k..1G");
	refuses(SETTING_daemon, "", "must be true or false");
	refuses(SETTING_loglevel, "", "must not be empty");
	refuses(SETTING_bind, "a:1,b:x",
	    "must be an address with a port of 0..65535");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
