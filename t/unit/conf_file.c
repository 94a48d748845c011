/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "conf/file.h"
#include "conf/groups.h"
#include "conf/store.h"

#include "files.h"

static void
fini(struct store *st)
{
	groups_fini(&st->settings.listen);
	arena_fini(&st->arena);
	memset(st, 0, sizeof(*st));
}

static int
apply(struct store *st, const char *text, struct err *err)
{
	memset(st, 0, sizeof(*st));
	return file_apply_text(st, "x.conf", text, strlen(text), err);
}

static void
takes(const char *text)
{
	struct err err = { "" };
	struct store st;

	if (apply(&st, text, &err) != 0)
		fail_msg("%s: %s", text, err.text);
	fini(&st);
}

/* The whole error line. */
static void
refuses(const char *text, const char *expected)
{
	struct err err = { "" };
	struct store st;

	assert_int_equal(apply(&st, text, &err), -1);
	assert_string_equal(err.text, expected);
	fini(&st);
}

static void
test_types(void **state)
{
	struct err err = { "" };
	struct store st;
	struct settings *s = &st.settings;

	(void)state;
	assert_int_equal(apply(&st,
		"threads = 8; workers : 3, daemon = TRUE\n"
		"timeout = 0.5; keepalive = \"2m\"; body_timeout = 1e1;\n"
		"limit_request_body = 5000000000; body_buffer = \"128k\";\n"
		"response_buffer = 0x10000; max_requests = 6000000000L;\n"
		"bind = [ \":1\", \":2\" ]; pythonpath = \"a, b\";\n"
		"raw_env = \"A=b,c\"; user = 0; group = \"0\";\n"
		"forwarded_allow_ips = (\"::1\"); proc_name = \"a\" \"b\";\n"
		"accesslog = \"\\x41\\\\\\\"\\t\";\n", &err), 0);
	assert_int_equal(s->threads, 8);
	assert_int_equal(s->workers, 3);
	assert_true(s->daemon);
	assert_int_equal(s->timeout_ms, 500);
	assert_int_equal(s->keepalive_ms, 120000);
	assert_int_equal(s->body_timeout_ms, 10000);
	assert_int_equal(s->limit_request_body_bytes, 5000000000);
	assert_int_equal(s->body_buffer_bytes, 131072);
	assert_int_equal(s->response_buffer_bytes, 65536);
	assert_int_equal(s->max_requests, 6000000000);
	assert_int_equal(s->bind.count, 2);
	assert_string_equal(s->bind.items[1], ":2");
	assert_int_equal(s->pythonpath.count, 2);
	assert_string_equal(s->pythonpath.items[1], "b");
	assert_int_equal(s->raw_env.count, 1);
	assert_string_equal(s->raw_env.items[0], "A=b,c");
	assert_string_equal(s->user, "0");
	assert_int_equal(s->forwarded_allow_ips.count, 1);
	assert_string_equal(s->proc_name, "ab");
	assert_string_equal(s->accesslog, "A\\\"\t");
	assert_int_equal(st.slots[SETTING_keepalive].written.source.line, 2);
	fini(&st);
}

static void
test_good(void **state)
{
	(void)state;
	takes("");
	takes("\n\n");
	takes("# x");
	takes("// x\n/* y\n z */ threads = 4 # a\n");
	takes("\xef\xbb\xbfthreads = 4\r\nworkers = 2\r\n");
	takes("threads=4");
	takes("threads=4 workers=2");
	takes("workers = \"auto\"");
	takes("bind = [\n\":1\",\n\":2\"\n]\n;");
	takes("raw_env = []");
	takes("chdir = \"\"");
	takes("proc_name = \"caf\xc3\xa9\"");
	takes("proc_name = \"# // /* \"");
	takes("@include \"no-such-*.conf\"\nthreads = 4");
}

static void
test_values(void **state)
{
	(void)state;
	refuses("\n\nthreads = 0;",
	    "threads = 0 (x.conf, line 3): must be 1..1024");
	refuses("threads = -5",
	    "threads = -5 (x.conf, line 1): must be 1..1024");
	refuses("threads = 4294967300",
	    "threads = 4294967300 (x.conf, line 1): must be 1..1024");
	refuses("threads = 0x100000001",
	    "threads = 4294967297 (x.conf, line 1): must be 1..1024");
	refuses("threads = 99999999999999999999",
	    "threads = 99999999999999999999 (x.conf, line 1): is too large a "
	    "number");
	refuses("threads = \"4\"",
	    "threads = \"4\" (x.conf, line 1): must be a whole number, "
	    "without quotes");
	refuses("threads = 4.5",
	    "threads = 4.5 (x.conf, line 1): must be a whole number, "
	    "without quotes");
	refuses("threads = true",
	    "threads = true (x.conf, line 1): must be a whole number, "
	    "without quotes");
	refuses("threads = [ 4 ]",
	    "threads = [ ... ] (x.conf, line 1): must be a whole number, "
	    "without quotes");
	refuses("workers = \"many\"",
	    "workers = \"many\" (x.conf, line 1): must be a whole number, "
	    "without quotes, or \"auto\"");
	refuses("threads = \"auto\"",
	    "threads = \"auto\" (x.conf, line 1): must be a whole number, "
	    "without quotes");
	refuses("daemon = 1",
	    "daemon = 1 (x.conf, line 1): must be true or false, without "
	    "quotes");
	refuses("timeout = 1e300",
	    "timeout = 1e+300 (x.conf, line 1): must be 0..86400 seconds");
	refuses("timeout = -1",
	    "timeout = -1 (x.conf, line 1): must be 0..86400 seconds");
	refuses("timeout = 0.0001",
	    "timeout = 0.0001 (x.conf, line 1): is less than a millisecond");
	refuses("header_timeout = 0",
	    "header_timeout = 0 (x.conf, line 1): must be 0.1..86400 seconds");
	refuses("timeout = \"soon\"",
	    "timeout = \"soon\" (x.conf, line 1): must be a duration, "
	    "0..86400 seconds, or have a unit: ms, s, m or h");
	refuses("body_buffer = \"1X\"",
	    "body_buffer = \"1X\" (x.conf, line 1): must be a size in bytes, "
	    "1k..1G, or have a unit: k, M, G or T");
	refuses("umask = 18",
	    "umask = 18 (x.conf, line 1): must be a text in double quotes");
	refuses("bind = [ \":1\",\n \":x\" ]",
	    "bind = \":x\" (x.conf, line 1): must be an address with a port "
	    "of 0..65535");
	refuses("bind = ( \":1\", 5 )",
	    "bind = 5 (x.conf, line 1): must be a list of texts, "
	    "[ \"...\", \"...\" ], or one");
	refuses("loglevel = \"\"",
	    "loglevel = \"\" (x.conf, line 1): must not be empty");
	refuses("pidfile = \"\\n\\x1b[31m\"; loglevel = \"a\\nb\\x1b\"",
	    "loglevel = \"a?b?\" (x.conf, line 1): must be debug, info, "
	    "warning, error or critical");
}

static void
test_names(void **state)
{
	(void)state;
	refuses("tread = 4", "tread = 4 (x.conf, line 1): no such setting; did "
			     "you mean threads?");
	refuses("Threads = 4", "Threads = 4 (x.conf, line 1): no such setting; "
			       "did you mean threads?");
	refuses("qwertzuiop = 4",
	    "qwertzuiop = 4 (x.conf, line 1): no such setting");
	refuses("threads = 4;\n\nthreads = 5",
	    "threads (x.conf, line 3): set twice; first in x.conf, line 1");
	refuses("server = { threads = 4; }",
	    "server = { ... } (x.conf, line 1): settings stand by themselves, "
	    "not in groups");
	refuses("threads = { }",
	    "threads = { ... } (x.conf, line 1): settings stand by "
	    "themselves, not in groups");
}

static void
test_syntax(void **state)
{
	(void)state;
	refuses("threads", "x.conf, line 1: threads has no value");
	refuses("threads\nworkers = 2", "x.conf, line 1: threads has no value");
	refuses("\nthreads =\n\n", "x.conf, line 2: threads has no value");
	refuses("threads = ;", "x.conf, line 1: threads has no value");
	refuses("= 4", "x.conf, line 1: unexpected =");
	refuses("4", "x.conf, line 1: unexpected 4");
	refuses("threads = 4;;", "x.conf, line 1: unexpected ;");
	refuses("threads = 4 5", "x.conf, line 1: unexpected 5");
	refuses("[", "x.conf, line 1: unexpected [");
	refuses("}", "x.conf, line 1: } closes nothing");
	refuses("bind = [ \":1\"", "x.conf, line 1: a bracket is not closed");
	refuses("$x = 4", "x.conf, line 1: unexpected $");
	refuses("threads = 4\x01", "x.conf, line 1: unexpected byte 0x01");
	refuses("\xff", "x.conf, line 1: unexpected byte 0xff");
	refuses("/* a\nb", "x.conf, line 1: this comment has no end");
	refuses("loglevel = \"debug\nthreads = 4",
	    "x.conf, line 1: a text has no closing \" in its line");
	refuses("loglevel = \"a\\b\"", "x.conf, line 1: a \\ in a text that "
				       "stands for itself is written twice");
	refuses("loglevel = \"a\\x00b\"",
	    "x.conf, line 1: a \\ in a text that "
	    "stands for itself is written twice");
	refuses("loglevel = debug",
	    "loglevel = debug (x.conf, line 1): is not true or false, and a "
	    "text stands in double quotes");
	refuses("timeout = 90s",
	    "timeout = 90s (x.conf, line 1): is no number, and a text stands "
	    "in double quotes");
	refuses("umask = 022",
	    "umask = 022 (x.conf, line 1): a number does not begin with 0; an "
	    "octal mode is a text in double quotes");
	refuses("threads = 4 @include \"y\"",
	    "x.conf, line 1: @include \"FILE\" stands in a line of its own");
	refuses("bind = [\n@include \"y\"\n]",
	    "x.conf, line 2: @include is not for inside brackets");
	refuses("@include y", "x.conf, line 1: @include needs a \"FILE\"");
	refuses("@include \"\"", "x.conf, line 1: @include needs a \"FILE\"");
	refuses("@include \"/nonexistent/y\"",
	    "x.conf, line 1: cannot include /nonexistent/y: No such file or "
	    "directory");
	refuses("bind = ((((((((((((((((((((((((((((((((",
	    "x.conf, line 1: a bracket is not closed");
	refuses("bind = (((((((((((((((((((((((((((((((((",
	    "x.conf, line 1: brackets are more than 32 deep");
	refuses("an_example_of_a_name_that_is_40_bytes_lo = 1",
	    "an_example_of_a_name_that_is_40_bytes_lo = 1 (x.conf, line 1): "
	    "no such setting");
	refuses("an_example_of_a_name_that_is_41_bytes_lon = 1",
	    "x.conf, line 1: an_example_of_a_name_that_is_41_bytes_lo...: no "
	    "setting has so long a name");
}

static void
test_zero_byte(void **state)
{
	struct err err = { "" };
	struct store st = { 0 };

	(void)state;
	assert_int_equal(file_apply_text(&st, "x.conf", "a\0b", 3, &err), -1);
	assert_non_null(strstr(err.text, "x.conf, line 1: "));
	assert_int_equal(file_apply_text(&st, "x.conf", "a = \"\0\"", 7, &err),
	    -1);
	assert_non_null(strstr(err.text, "value 0"));
	fini(&st);
}

/* --- real files ---------------------------------------------------------- */

static char dir[] = "/tmp/bicorn-file-XXXXXX";

static int
begin(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/bicorn-file-XXXXXX");
	return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	return chdir("/") != 0 || remove_folder(dir) != 0;
}

static void
file_refused(const char *path, const char *expected)
{
	struct err err = { "" };
	struct store st = { 0 };

	assert_int_equal(file_apply(&st, path, NULL, &err), -1);
	if (strstr(err.text, expected) == NULL)
		fail_msg("%s: not %s", err.text, expected);
	fini(&st);
}

static void
test_include(void **state)
{
	struct err err = { "" };
	struct store st = { 0 };

	(void)state;
	assert_int_equal(mkdir("etc", 0755) | mkdir("etc/d", 0755) |
		mkdir("etc/[x]", 0755), 0);
	put_file("etc/main.conf", "backlog = 7\n@include \"d/*.conf\"\n"
			     "@include \"[x]/y.conf\" # z\ndaemon = true");
	put_file("etc/d/1.conf", "threads = 2");
	put_file("etc/d/2.conf", "\n@include \"sub\"\nworkers = 3\n");
	put_file("etc/d/sub", "max_requests = 9\n");
	put_file("etc/[x]/y.conf", "@include \"*.cfg\"\n");
	put_file("etc/[x]/z.cfg", "\n\n\nproc_name = \"z\"");
	if (file_apply(&st, "etc/main.conf", NULL, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(st.settings.threads, 2);
	assert_int_equal(st.settings.workers, 3);
	assert_int_equal(st.settings.max_requests, 9);
	assert_int_equal(st.settings.backlog, 7);
	assert_true(st.settings.daemon);
	assert_string_equal(st.settings.proc_name, "z");
	assert_string_equal(st.settings.file, "etc/main.conf");
	assert_string_equal(st.slots[SETTING_workers].written.source.name,
	    "etc/d/2.conf");
	assert_int_equal(st.slots[SETTING_workers].written.source.line, 3);
	assert_string_equal(st.slots[SETTING_proc_name].written.source.name,
	    "etc/[x]/z.cfg");
	assert_int_equal(st.slots[SETTING_proc_name].written.source.line, 4);
	assert_string_equal(st.slots[SETTING_daemon].written.source.name,
	    "etc/main.conf");
	assert_int_equal(st.slots[SETTING_daemon].written.source.line, 4);
	fini(&st);
	put_file("etc/d/sub", "\nmax_requests = x\n");
	file_refused("etc/main.conf",
	    "max_requests = x (etc/d/sub, line 2): is not true");
	put_file("etc/d/sub", "threads = 2\n");
	file_refused("etc/main.conf", "threads (etc/d/sub, line 1): set twice; "
				      "first in etc/d/1.conf, line 1");
	put_file("etc/d/sub", "bind = [\n");
	file_refused("etc/main.conf", "etc/d/sub, line 2: a bracket");
}

static void
test_files(void **state)
{
	struct err err = { "" };
	struct store st = { 0 };

	(void)state;
	file_refused("missing.conf", "missing.conf: No such file");
	file_refused(".", ".: Is a directory");
	file_refused("/dev/zero", "larger than 1 MiB");
	file_refused("gunicorn.conf.py", "settings in Python");
	file_refused("python:conf", "settings in Python");
	put_file("loop.conf", "@include \"loop.conf\"\n");
	file_refused("loop.conf", "does a file include itself?");
	put_file("bomb.conf", "@include \"bomb*.conf\"\n@include \"bomb*.conf\"\n");
	file_refused("bomb.conf", "bomb.conf, line");
	/* None is named, and there is none. */
	assert_int_equal(file_apply(&st, NULL, NULL, &err), 0);
	assert_null(st.settings.file);
	put_file("bicorn.conf", "threads = 9");
	assert_int_equal(file_apply(&st, NULL, NULL, &err), 0);
	assert_string_equal(st.settings.file, "bicorn.conf");
	assert_int_equal(st.settings.threads, 9);
	fini(&st);
	assert_int_equal(file_apply(&st, "file:bicorn.conf", NULL, &err), 0);
	fini(&st);
	put_file("bicorn.conf", "");
	assert_int_equal(file_apply(&st, NULL, NULL, &err), 0);
	fini(&st);
}

static void
test_many(void **state)
{
	size_t size = 3 << 20;
	char *text = malloc(size), *at = text;
	struct err err = { "" };
	struct store st = { 0 };

	(void)state;
	for (int i = 0; i < 20000; i++)
		at += sprintf(at, "a%d = 1\n", i);
	assert_int_equal(file_apply_text(&st, "x", text, (size_t)(at - text),
		&err), -1);
	assert_non_null(strstr(err.text, "more than 1000 settings"));
	fini(&st);
	at = text + sprintf(text, "bind = [ \":1\"");
	for (int i = 0; i < 20000; i++)
		at += sprintf(at, ", \":%d\"", i + 2);
	at += sprintf(at, "]");
	assert_int_equal(file_apply_text(&st, "x", text, (size_t)(at - text),
		&err), 0);
	assert_int_equal(st.settings.bind.count, 20001);
	fini(&st);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_zero_byte),
		cmocka_unit_test_setup_teardown(test_include, begin, end),
		cmocka_unit_test_setup_teardown(test_files, begin, end),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
