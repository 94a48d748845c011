/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "conf/cli.h"

#define MOST 12

/* The words of a line, as cli_parse() gets them. */
struct line {
	struct arena arena;
	struct cli cli;
	struct err err;
	const char *words[MOST];
	size_t count;
};

static int
parse(struct line *l, va_list ap)
{
	const char *word;

	memset(l, 0, sizeof(*l));
	l->cli.kind = SOURCE_ARGV;
	while ((word = va_arg(ap, const char *)) != NULL)
		l->words[l->count++] = word;
	return cli_parse(&l->cli, &l->arena, (char *const *)(void *)l->words,
	    l->count, &l->err);
}

/* "setting=text flag" of what was given, each followed by ';'. */
static void
gives(const char *expected, ...)
{
	char text[512] = "";
	struct line l;
	va_list ap;
	int rc;

	va_start(ap, expected);
	rc = parse(&l, ap);
	va_end(ap);
	if (rc != 0)
		fail_msg("%s: %s", expected, l.err.text);
	for (size_t i = 0; i < l.cli.count; i++) {
		const struct given *g = &l.cli.given[i];
		const char *value = g->on ? "on" : "off";
		size_t used = strlen(text);

		if (g->text != NULL)
			value = g->text;
		snprintf(text + used, sizeof(text) - used, "%s=%s %s;",
		    g->setting != NULL ? g->setting->name :
		    g->foreign->name, value, g->flag ? g->flag : "APP");
	}
	assert_string_equal(text, expected);
	arena_fini(&l.arena);
}

static void
refuses(const char *expected, ...)
{
	struct line l;
	va_list ap;
	int rc;

	va_start(ap, expected);
	rc = parse(&l, ap);
	va_end(ap);
	assert_int_equal(rc, -1);
	assert_string_equal(l.err.text, expected);
	arena_fini(&l.arena);
}

static void
test_forms(void **state)
{
	(void)state;
	gives("", NULL);
	gives("wsgi_app=a:b APP;", "a:b", NULL);
	gives("workers=4 -w;wsgi_app=a APP;", "-w", "4", "a", NULL);
	gives("workers=4 -w;", "-w4", NULL);
	gives("workers=4 -w;", "-w=4", NULL);
	gives("workers= -w;", "-w=", NULL);
	gives("workers=4 --workers;", "--workers", "4", NULL);
	gives("workers=4 --workers;", "--workers=4", NULL);
	gives("workers= --workers;", "--workers=", NULL);
	gives("wsgi_app=a APP;workers=4 --workers;", "a", "--workers=4", NULL);
	gives("raw_env=A=b=c -e;", "-eA=b=c", NULL);
	gives("raw_env=A=b=c --env;", "--env=A=b=c", NULL);
	gives("daemon=on -D;wsgi_app=a APP;", "-D", "a", NULL);
	gives("daemon=off --no-daemon;", "--no-daemon", NULL);
	gives("sendfile=off --no-sendfile;", "--no-sendfile", NULL);
	gives("sendfile=on --sendfile;", "--sendfile", NULL);
	gives("wsgi_app=-w APP;", "--", "-w", NULL);
	gives("workers=-1 -w;", "-w", "-1", NULL);
	gives("accesslog=- --access-logfile;wsgi_app=a APP;",
	    "--access-logfile", "-", "a", NULL);
	gives("access_log_format=-a b --access-logformat;",
	    "--access-logformat", "-a b", NULL);
	gives("wsgi_app=- APP;", "-", NULL);
	gives("bind=:1 -b;bind=:2 --bind;", "-b:1", "--bind", ":2", NULL);
	gives("worker_tmp_dir=x --worker-tmp-dir;", "--worker-tmp-dir", "x",
	    NULL);
	gives("strip_header_spaces=on --strip-header-spaces;",
	    "--strip-header-spaces", NULL);
	gives("strip_header_spaces=off --no-strip-header-spaces;",
	    "--no-strip-header-spaces", NULL);
	gives("limit_request_field_size=1 --limit-request-field-size;",
	    "--limit-request-field-size=1", NULL);
}

static void
test_prefixes(void **state)
{
	(void)state;
	gives("threads=3 --threads;", "--thr", "3", NULL);
	gives("workers=3 --workers;", "--workers", "3", NULL);
	gives("worker_class=x --worker-class;", "--worker-cl=x", NULL);
	gives("preload_app=off --no-preload;", "--no-pre", NULL);
	gives("limit_request_field_size=1 --limit-request-field_size;",
	    "--limit-request-field_s", "1", NULL);
	gives("pidfile=x --pid;", "--pid", "x", NULL);
	refuses("--worker (command line): may mean --workers, --worker-class, "
		"--worker-connections", "--worker", "3", NULL);
	refuses("--limit-request-field (command line): may mean "
		"--limit-request-fields, --limit-request-field_size, "
		"--limit-request-field-size", "--limit-request-field=1", NULL);
}

static void
test_refused(void **state)
{
	(void)state;
	refuses("--treads (command line): no such option; did you mean "
		"--threads?", "--treads", "4", NULL);
	refuses("--xyzzy-quux (command line): no such option",
	    "--xyzzy-quux=3", NULL);
	refuses("-z (command line): no such option", "-z", NULL);
	refuses("--worker-tmp-dir (command line): needs a value, VALUE",
	    "--worker-tmp-dir", NULL);
	refuses("-\xff (command line): no such option", "-\xff", NULL);
	refuses("-- (command line): no such option", "--=", NULL);
	refuses("-w (command line): needs a value, N", "-w", NULL);
	refuses("--bind (command line): needs a value, ADDRESS", "--bind",
	    NULL);
	refuses("--pid (command line): needs a value; one that begins with - "
		"is written with =", "--pid", "--daemon", "a", NULL);
	refuses("--daemon (command line): takes no value", "--daemon=1", NULL);
	refuses("--no-daemon (command line): takes no value", "--no-daemon=",
	    NULL);
	refuses("--help (command line): takes no value", "--help=x", NULL);
	refuses("-Dx (command line): takes no value", "-Dx", NULL);
	refuses("--no-workers (command line): no such option; did you mean "
		"--workers?", "--no-workers", NULL);
	refuses("b (command line): a second application", "a", "b", NULL);
	refuses("b (command line): a second application", "a", "--", "b",
	    NULL);
	refuses("'' (command line): the application has no name", "", NULL);
	refuses("-c (command line): needs the name of a file", "-c", "", NULL);
	refuses("-a?b\xc3\xa9 (command line): no such option", "-a\nb\xc3\xa9",
	    NULL);
}

static enum conf_action
action(const char *word)
{
	struct line l;
	enum conf_action found;

	memset(&l, 0, sizeof(l));
	l.words[0] = "-w4";
	l.words[1] = word;
	l.words[2] = "--nonsense"; /* nobody reads that far */
	l.count = 3;
	assert_int_equal(cli_parse(&l.cli, &l.arena,
	    (char *const *)(void *)l.words, l.count, &l.err), 0);
	found = l.cli.action;
	arena_fini(&l.arena);
	return found;
}

static void
test_actions(void **state)
{
	struct line l;

	(void)state;
	assert_int_equal(action("-h"), CONF_HELP);
	assert_int_equal(action("--help"), CONF_HELP);
	assert_int_equal(action("--hel"), CONF_HELP);
	assert_int_equal(action("-v"), CONF_VERSION);
	assert_int_equal(action("--version"), CONF_VERSION);
	memset(&l, 0, sizeof(l));
	l.words[0] = "--check-config";
	l.words[1] = "-cx";
	assert_int_equal(cli_parse(&l.cli, &l.arena,
	    (char *const *)(void *)l.words, 2, &l.err), 0);
	assert_int_equal(l.cli.action, CONF_CHECK);
	assert_string_equal(l.cli.config, "x");
	arena_fini(&l.arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_actions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
