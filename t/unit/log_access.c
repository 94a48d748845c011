/* SPDX-License-Identifier: MIT */
/* The access log: formats, atoms, escaping, bounds, rotation. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/fd.h"
#include "log/access.h"

#define DEFAULT_FORMAT \
	"%(h)s %(l)s %(u)s %(t)s \"%(r)s\" %(s)s %(b)s \"%(f)s\" \"%(a)s\""

static char dir[64];
static char path[96];

static int
make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/log_access.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/access.log", dir);
	setenv("TZ", "UTC", 1);
	return 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

struct pair {
	char kind;
	const char *name;
	const char *value;
};

static struct span
find(void *arg, char kind, struct span name)
{
	for (const struct pair *p = arg; p->name != NULL; p++)
		if (p->kind == kind && span_ieq(name, span_of(p->name)))
			return span_of(p->value);
	return SPAN_NONE;
}

static struct access_record
record(const struct pair *fields)
{
	return (struct access_record){
		.remote = SPAN("127.0.0.1"),
		.method = SPAN("GET"),
		.target = SPAN("/a%20b?c=d"),
		.path = SPAN("/a b"),
		.query = SPAN("c=d"),
		.protocol = SPAN("HTTP/1.1"),
		.status = 200,
		.body_bytes = 14,
		.started_wall = 1795224876,
		.us = 12345678,
		.lookup = fields != NULL ? find : NULL,
		.lookup_arg = (void *)fields,
	};
}

static char *
line_of(const char *format, const struct access_record *r)
{
	struct access_log *a;
	struct err err = { "" };
	char *text;

	unlink(path);
	if (access_open(path, false, format, (uid_t)-1, (gid_t)-1, &a,
		&err) != 0)
		fail_msg("%s", err.text);
	access_write(a, r);
	access_free(&a);
	text = fd_slurp(path, 1 << 20, NULL);
	assert_non_null(text);
	return text;
}

static void
writes(const char *format, const struct access_record *r,
    const char *expected)
{
	char *text = line_of(format, r);

	assert_string_equal(text, expected);
	free(text);
}

static void
test_default(void **state)
{
	static const struct pair fields[] = {
		{ 'i', "Referer", "http://x/" },
		{ 'i', "User-Agent", "curl/8" },
		{ 'i', "Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" },
		{ 0, NULL, NULL },
	};
	struct access_record r = record(fields);

	(void)state;
	writes(DEFAULT_FORMAT, &r,
	    "127.0.0.1 - Aladdin [21/Nov/2026:01:34:36 +0000] "
	    "\"GET /a%20b?c=d HTTP/1.1\" 200 14 \"http://x/\" \"curl/8\"\n");
}

static void
test_atoms(void **state)
{
	static const struct pair fields[] = {
		{ 'i', "X-One", "1" },
		{ 'o', "Content-Type", "text/plain" },
		{ 'e', "REMOTE_ADDR", "::1" },
		{ 0, NULL, NULL },
	};
	struct access_record r = record(fields);
	char expected[64];

	(void)state;
	writes("%(h)s|%(l)s|%(m)s|%(U)s|%(q)s|%(H)s|%(s)s", &r,
	    "127.0.0.1|-|GET|/a b|c=d|HTTP/1.1|200\n");
	writes("%(B)s|%(b)d|%(T)s|%(M)s|%(D)s|%(L)s", &r,
	    "14|14|12|12345|12345678|12.345678\n");
	writes("%({x-one}i)s %({CONTENT-TYPE}o)s %({remote_addr}e)s "
	       "%({none}i)s",
	    &r, "1 text/plain ::1 -\n");
	snprintf(expected, sizeof(expected), "<%ld>\n", (long)getpid());
	writes("%(p)s", &r, expected);
	writes("100%% of %%(h)s%%", &r, "100% of %(h)s%\n");
	writes("", &r, "\n");
	r.us = 5;
	writes("%(T)s %(L)s", &r, "0 0.000005\n");
	r.body_bytes = 0;
	writes("%(b)s %(B)s", &r, "0 0\n");
	r.body_bytes = UINT64_MAX;
	writes("%(b)s", &r, "18446744073709551615\n");
}

static void
test_missing(void **state)
{
	struct access_record r = { .started_wall = 0 };

	(void)state;
	writes(DEFAULT_FORMAT, &r,
	    "- - - [01/Jan/1970:00:00:00 +0000] \"-\" - 0 \"-\" \"-\"\n");
	r.method = SPAN("GET");
	r.target = SPAN("/");
	writes("%(r)s", &r, "GET / -\n");
	r.remote = SPAN("");
	writes("%(h)s", &r, "-\n");
}

static void
test_forging(void **state)
{
	static const struct pair fields[] = {
		{ 'i', "User-Agent", "x\" 200 \"\\\n127.0.0.1 - - \x1b[2J" },
		{ 0, NULL, NULL },
	};
	struct access_record r = record(fields);

	(void)state;
	writes("\"%(a)s\"", &r,
	    "\"x\\\" 200 \\\"\\\\\\x0a127.0.0.1 - - \\x1b[2J\"\n");
}

static void
user_is(const char *authorization, const char *expected)
{
	const struct pair fields[] = {
		{ 'i', "authorization", authorization },
		{ 0, NULL, NULL },
	};
	struct access_record r = record(fields);
	char line[300];

	snprintf(line, sizeof(line), "%s\n", expected);
	writes("%(u)s", &r, line);
}

/* 255 bytes are a user, 256 none. */
static void
test_long_user(void **state)
{
	char field[6 + 85 * 4 + 5] = "Basic ", user[256] = "";

	(void)state;
	for (int i = 0; i < 85; i++) {
		strcat(field, "YWFh");
		strcat(user, "aaa");
	}
	strcpy(field + 6 + 85 * 4, "Og==");
	user_is(field, user);
	strcpy(field + 6 + 85 * 4, "YTo=");
	user_is(field, "-");
}

static void
test_user(void **state)
{
	(void)state;
	user_is("Basic YTpi", "a");
	user_is("basic   YTpi  ", "a");
	user_is("BASIC YSBiOmM=", "a\\x20b");
	user_is("Basic YQoiOmM=", "a\\x0a\\\"");
	user_is("Basic YQ==", "-");     /* no colon */
	user_is("Basic Omhp", "-");     /* no user */
	user_is("Basic Y*pi", "-");     /* no base64 */
	user_is("Basic ", "-");
	user_is("Basic", "-");
	user_is("Bearer YTpi", "-");
	user_is("", "-");
}

/* Long values are cut, the rest of the line is still there. */
static void
test_bounds(void **state)
{
	static char huge[70000];
	const struct pair fields[] = {
		{ 'i', "user-agent", huge },
		{ 'i', "referer", huge },
		{ 'i', "authorization", huge },
		{ 0, NULL, NULL },
	};
	struct access_record r = record(fields);

	(void)state;
	for (int c = 0; c < 2; c++) {
		char *text;
		size_t len;

		memset(huge, c == 0 ? 'a' : '\x01', sizeof(huge) - 1);
		memcpy(huge, "Basic ", 6);
		text = line_of("<%(f)s> %(u)s <%(a)s> <%(f)s>", &r);
		len = strlen(text);
		assert_true(len > 15000 && len <= 16384);
		assert_int_equal(strchr(text, '\n') - text, len - 1);
		assert_non_null(strstr(text, "...> - <"));
		assert_string_equal(text + len - 2, ">\n");
		free(text);
	}
}

/* The line of which what is late was filled in later. */
static char *
late_line_of(const char *format, const struct access_record *r)
{
	struct access_log *a;
	struct err err = { "" };
	size_t len;
	char *text;

	unlink(path);
	if (access_open(path, false, format, (uid_t)-1, (gid_t)-1, &a,
		&err) != 0)
		fail_msg("%s", err.text);
	text = access_begin(a, r, &len);
	assert_non_null(text);
	access_finish(a, text, len, r);
	access_free(&a);
	text = fd_slurp(path, 1 << 20, NULL);
	assert_non_null(text);
	return text;
}

/* ... is the same one; where it is full, a value may be cut elsewhere. */
static void
check_late(const char *format, const struct access_record *r)
{
	char *whole = line_of(format, r), *late = late_line_of(format, r);
	size_t len = strlen(whole), late_len = strlen(late);

	if (len < 16000)
		assert_int_equal(late_len, len);
	assert_true(late_len + 64 > len && late_len <= 16384);
	assert_memory_equal(late + late_len - 2, whole + len - 2, 2);
	free(whole);
	free(late);
}

/* Also where most of it stands behind what is late. */
static void
test_late(void **state)
{
	static char huge[10000];
	const struct pair fields[] = {
		{ 'i', "referer", huge },
		{ 0, NULL, NULL },
	};
	static const char *const formats[] = { DEFAULT_FORMAT,
		"%(s)s %(D)s %(f)s %(T)s %(M)s", "json", "json x=%(f)s",
		"%(s)5s|%(D)-20s|%(D)020s|%(f)s|", "%(f)s|%(f)s|%(D)s|%(s)s|" };
	struct access_record r = record(fields);

	(void)state;
	r.send_us = 77;
	for (size_t len = 10; len < sizeof(huge); len += 1664)
		for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
			memset(huge, 'a', len);
			huge[len] = '\0';
			check_late(formats[i], &r);
		}
}

/* Wherever the line is full, what comes then keeps within it. */
static void
test_full(void **state)
{
	static char huge[10000];
	const struct pair fields[] = {
		{ 'i', "referer", huge },
		{ 0, NULL, NULL },
	};
	struct access_record r = record(fields);

	(void)state;
	memset(huge, 'a', sizeof(huge) - 1);
	for (int i = 0; i < 24; i++) {
		char format[128], *text;
		size_t len;

		snprintf(format, sizeof(format),
		    "%.*s%%(f)s%%(f)s%%(B)s%%(f)s%%(D)99s%%(D)-99s%%(p)s"
		    "%%(m)s%%(t)s|", i, "xxxxxxxxxxxxxxxxxxxxxxxx");
		text = line_of(format, &r);
		len = strlen(text);
		assert_true(len > 16000 && len <= 16384);
		assert_string_equal(text + len - 2, "|\n");
		free(text);
		snprintf(format, sizeof(format),
		    "%.*s%%(f)s%%(f)s%%(D)s||||||||||||", i,
		    "xxxxxxxxxxxxxxxxxxxxxxxx");
		check_late(format, &r);
	}
}

static void
refuses(const char *format, const char *part)
{
	struct err err = { "" };

	assert_int_equal(access_format_check(format, &err), -1);
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void
test_format_errors(void **state)
{
	static char big[5000], many[4000] = "json";
	struct err err;

	(void)state;
	assert_int_equal(access_format_check(DEFAULT_FORMAT, &err), 0);
	/* Atoms that there are not print as "-". */
	assert_int_equal(access_format_check("%(z)s%()s%({}i)s", &err), 0);
	refuses("json x", "'x' is not NAME=%(ATOM)s");
	refuses("json x=%(h)s%(a)s", "is not NAME=%(ATOM)s");
	refuses("json \"=%(h)s", "is not NAME=%(ATOM)s");
	refuses("%h", "%h");
	refuses("%(h)", "%(h)");
	refuses("%(h)x", "%(h)x");
	refuses("100%", "%");
	refuses("%(h", "%(h");
	refuses("a\nb", "\\x0a");
	refuses("\x7f", "\\x7f");
	refuses("%(h)100s", "%(h)100s");
	refuses("%(h)4294967297s", "%(h)4294967297s");
	assert_int_equal(access_format_check("%(h)99s", &err), 0);
	for (int i = 0; i < 400; i++)
		strcat(many, " a=%(h)s");
	refuses(many, "too many members");
	memset(big, 'x', sizeof(big) - 1);
	refuses(big, "longer than");
	big[4097] = '\0';
	refuses(big, "longer than");
	big[4096] = '\0';
	assert_int_equal(access_format_check(big, &err), 0);
}

static void
test_reopen(void **state)
{
	struct access_log *a;
	struct access_record r = record(NULL);
	struct err err;
	char aside[128], *text;

	(void)state;
	unlink(path);
	snprintf(aside, sizeof(aside), "%s.1", path);
	assert_int_equal(access_open(path, false, "%(m)s", (uid_t)-1,
		(gid_t)-1, &a, &err), 0);
	access_write(a, &r);
	assert_int_equal(rename(path, aside), 0);
	access_write(a, &r);
	assert_int_equal(access_reopen(a, &err), 0);
	access_write(a, &r);
	text = fd_slurp(aside, 1000, NULL);
	assert_string_equal(text, "GET\nGET\n");
	free(text);
	text = fd_slurp(path, 1000, NULL);
	assert_string_equal(text, "GET\n");
	free(text);
	unlink(aside);
	access_free(&a);
	access_write(NULL, &r);
}

static void
test_open_errors(void **state)
{
	struct access_log *a;
	struct err err;

	(void)state;
	assert_int_equal(access_open("/nonexistent/x", false, "%(h)s",
		(uid_t)-1, (gid_t)-1, &a, &err), -1);
	assert_null(a);
	assert_string_equal(err.text,
	    "accesslog = /nonexistent/x: No such file or directory");
	assert_int_equal(access_open(dir, false, "%(h)s", (uid_t)-1,
		(gid_t)-1, &a, &err), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_atoms),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_forging),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_long_user),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_format_errors),
		cmocka_unit_test(test_reopen),
		cmocka_unit_test(test_open_errors),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
