/* SPDX-License-Identifier: MIT */
/* The error log: levels, shape of an entry, escaping, colours, rotation. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/fd.h"
#include "log/log.h"

#define HEAD "^\\[[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} " \
	     "[-+][0-9]{4}\\] \\[[0-9]+\\] "

static char dir[64];
static char path[96];

static void
open_log(enum log_level level)
{
	struct err err;

	unlink(path);
	if (log_open(path, level, (uid_t)-1, (gid_t)-1, &err) != 0)
		fail_msg("%s", err.text);
}

static int
make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/log_log.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/error.log", dir);
	return 0;
}

static int
remove_dir(void **state)
{
	struct err err;

	(void)state;
	log_open("-", LEVEL_INFO, (uid_t)-1, (gid_t)-1, &err);
	unlink(path);
	return rmdir(dir);
}

static void
matches(const char *text, const char *pattern)
{
	regex_t re;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&re, text, 0, NULL, 0) != 0)
		fail_msg("\"%s\" does not match %s", text, pattern);
	regfree(&re);
}

static char *
content(void)
{
	char *text = fd_slurp(path, 1 << 24, NULL);

	assert_non_null(text);
	return text;
}

static void
logged(const char *pattern)
{
	char *text = content();

	matches(text, pattern);
	free(text);
}

static void
test_entry(void **state)
{
	char pattern[256];

	(void)state;
	open_log(LEVEL_INFO);
	errno = ENOENT;
	log_info("Listening at: %s (%d)", "http://127.0.0.1:8000", 7);
	assert_int_equal(errno, ENOENT);
	snprintf(pattern, sizeof(pattern), "%s", HEAD "\\[INFO\\] "
	    "Listening at: http://127.0.0.1:8000 \\(7\\)\n$");
	logged(pattern);
}

static void
test_json(void **state)
{
	char *text;

	(void)state;
	open_log(LEVEL_INFO);
	log_json_set(true);
	log_warning("a \"b\"\n\\ %c", 0xff);
	log_plain(LEVEL_INFO, "its own\n", 8);
	log_json_set(false);
	text = content();
	matches(text, "^\\{\"time\":\"[-0-9]{10}T[0-9:]{8}\\.[0-9]{3}Z\","
	    "\"pid\":[0-9]+,\"level\":\"WARNING\",\"message\":"
	    "\"a \\\\\"b\\\\\"\\\\u000a\\\\\\\\ \\\\ufffd\"\\}\nits own\n$");
	free(text);
}

static void
test_levels(void **state)
{
	static const char *const names[] = { "debug", "Info", "WARNING",
		"error", "critical" };
	enum log_level level;
	char *text;

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_true(log_level_parse(names[i], &level));
		assert_int_equal(level, i);
	}
	assert_false(log_level_parse("notice", &level));
	assert_false(log_level_parse("", &level));

	open_log(LEVEL_WARNING);
	assert_false(log_wants(LEVEL_INFO));
	assert_true(log_wants(LEVEL_WARNING));
	log_info("not this");
	log_text(LEVEL_INFO, "nor this", 8);
	log_warning("one");
	log_level_set(LEVEL_DEBUG);
	log_debug("two");
	log_critical("three");
	text = content();
	assert_null(strstr(text, "this"));
	assert_non_null(strstr(text, "[WARNING] one\n"));
	assert_non_null(strstr(text, "[DEBUG] two\n"));
	assert_non_null(strstr(text, "[CRITICAL] three\n"));
	free(text);
}

static void
test_escapes(void **state)
{
	(void)state;
	open_log(LEVEL_INFO);
	log_info("a%sb\n\n", "\n[2026] forged\x1b[2J\r");
	logged(HEAD "\\[INFO\\] a\\\\x0a\\[2026\\] forged\\\\x1b\\[2J"
		    "\\\\x0db\n$");
}

static void
test_text_keeps_lines(void **state)
{
	static const char trace[] = "Traceback:\n\tline 1\n  \x1b[31mEr\0r\n";

	(void)state;
	open_log(LEVEL_INFO);
	log_text(LEVEL_ERROR, trace, sizeof(trace) - 1);
	logged(HEAD "\\[ERROR\\] Traceback:\n\tline 1\n  \\\\x1b\\[31m"
		    "Er\\\\x00r\n$");
}

static void
test_long(void **state)
{
	size_t len = 300000;
	char *big = malloc(len + 1), *text;

	(void)state;
	assert_non_null(big);
	memset(big, 'x', len);
	big[len] = '\0';
	open_log(LEVEL_INFO);
	log_text(LEVEL_INFO, big, len);
	text = content();
	assert_true(strlen(text) > len);
	free(text);

	open_log(LEVEL_INFO);
	log_info("%s", big); /* has a bound */
	text = content();
	assert_true(strlen(text) > 60000 && strlen(text) < 70000);
	free(text);

	open_log(LEVEL_INFO);
	log_info("%.*s|", 2000, big); /* more than fits on the stack */
	text = content();
	assert_non_null(strstr(text, "x|\n"));
	free(text);
	free(big);
}

/* What is not a terminal gets no colours; see t/test_logs.py for one. */
static void
test_no_colours(void **state)
{
	char *text;

	(void)state;
	open_log(LEVEL_INFO);
	log_error("plain");
	text = content();
	assert_null(strchr(text, '\033'));
	free(text);
}

struct writer {
	pthread_t thread;
	int number;
};

#define WRITERS 4
#define EACH 2000

static void *
write_many(void *arg)
{
	const struct writer *w = arg;

	for (int i = 0; i < EACH; i++)
		log_info("writer %d entry %d end", w->number, i);
	return NULL;
}

static size_t
count_whole(const char *file)
{
	char *text = fd_slurp(file, 1 << 26, NULL), *next = text;
	size_t n = 0;

	assert_non_null(text);
	for (char *line; (line = strsep(&next, "\n")) != NULL; n++) {
		if (*line == '\0')
			break;
		assert_int_equal(line[0], '[');
		assert_string_equal(line + strlen(line) - 4, " end");
	}
	free(text);
	return n;
}

/* Entries neither tear nor get lost while the file is rotated. */
static void
test_rotation_under_load(void **state)
{
	struct writer writers[WRITERS];
	size_t n = 0;
	struct err err;
	char aside[128];
	int fd;

	(void)state;
	open_log(LEVEL_INFO);
	fd = log_fd();
	for (int i = 0; i < WRITERS; i++) {
		writers[i].number = i;
		assert_int_equal(pthread_create(&writers[i].thread, NULL,
			write_many, &writers[i]), 0);
	}
	for (int i = 0; i < 5; i++) {
		snprintf(aside, sizeof(aside), "%s.%d", path, i);
		assert_int_equal(rename(path, aside), 0);
		assert_int_equal(log_reopen(&err), 0);
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	assert_int_equal(log_fd(), fd);
	for (int i = 0; i < 5; i++) {
		snprintf(aside, sizeof(aside), "%s.%d", path, i);
		n += count_whole(aside);
		unlink(aside);
	}
	n += count_whole(path);
	assert_int_equal(n, WRITERS * EACH);
}

static void
test_failed_reopen_keeps_the_old(void **state)
{
	struct err err = { "" };

	(void)state;
	open_log(LEVEL_INFO);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(log_reopen(&err), -1);
	assert_non_null(strstr(err.text, path));
	log_info("goes on");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(log_reopen(&err), 0);
	log_info("again");
	logged("again");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entry),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_text_keeps_lines),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_no_colours),
		cmocka_unit_test(test_rotation_under_load),
		cmocka_unit_test(test_failed_reopen_keeps_the_old),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
