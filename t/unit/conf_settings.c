/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <unistd.h>

#include "base/err.h"
#include "conf/conf.h"

#include "files.h"

/*
 * Everything from argv and the environment to struct settings, in an empty
 * directory and an empty environment.
 */
static char dir[] = "/tmp/bicorn-settings-XXXXXX";

static int
begin(void **state)
{
	(void)state;
	clearenv();
	/* The environment also said how results are to be printed. */
	cmocka_set_message_output(CM_OUTPUT_TAP);
	strcpy(dir, "/tmp/bicorn-settings-XXXXXX");
	return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	return chdir("/") != 0 || remove_folder(dir) != 0;
}

struct run {
	struct settings *s;
	enum conf_action action;
	int status;
	struct err err;
};

/* Loads; the words after argv[0] are separated by spaces. */
static int
load(struct run *r, const char *line)
{
	static char copy[512];
	char *argv[20] = { copy };
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok(copy, " "); w != NULL; w = strtok(NULL, " "))
		argv[argc++] = w;
	memset(r, 0, sizeof(*r));
	return settings_load(argc, argv, NULL, &r->s, &r->action, &r->status,
	    &r->err);
}

static struct settings *
loaded(struct run *r, const char *line)
{
	if (load(r, line) != 0)
		fail_msg("%s: %s", line, r->err.text);
	assert_int_equal(r->status, 0);
	return r->s;
}

static void
refuses(const char *line, int status, const char *expected)
{
	struct run r;

	assert_int_equal(load(&r, line), -1);
	assert_null(r.s);
	assert_string_equal(r.err.text, expected);
	assert_int_equal(r.status, status);
}

static void
test_defaults(void **state)
{
	struct run r;
	struct settings *s = loaded(&r, "a:b");

	(void)state;
	assert_string_equal(s->app, "a:b");
	assert_null(s->file);
	assert_int_equal(s->workers, 1);
	assert_false(s->workers_auto);
	assert_int_equal(s->threads, 4);
	assert_int_equal(s->keepalive_ms, 75000);
	assert_int_equal(s->limit_request_body_bytes, 1 << 30);
	assert_true(s->sendfile);
	assert_int_equal(s->bind.count, 1);
	assert_string_equal(s->bind.items[0], "127.0.0.1:8000");
	assert_int_equal(s->forwarded_allow_ips.count, 2);
	assert_int_equal(s->secure_scheme_headers.count, 3);
	assert_null(s->user);
	assert_null(s->accesslog);
	assert_int_equal(s->uid, (uid_t)-1);
	assert_int_equal(s->gid, (gid_t)-1);
	assert_int_equal(s->umask_mode, 0);
	assert_int_equal(s->log_level, 1);
	assert_int_equal(s->warnings.count, 0);
	assert_string_equal(settings_text(s, "threads"), "4");
	assert_string_equal(settings_text(s, "sendfile"), "true");
	assert_string_equal(settings_text(s, "header_timeout"), "30");
	assert_string_equal(settings_text(s, "body_buffer"), "65536");
	assert_string_equal(settings_text(s, "forwarder_headers"),
	    "SCRIPT_NAME,PATH_INFO");
	assert_null(settings_text(s, "user"));
	assert_null(settings_text(s, "pythonpath"));
	assert_null(settings_text(s, "nonsense"));
	settings_free(&r.s);
	assert_null(r.s);
	settings_free(&r.s);
}

static void
test_precedence(void **state)
{
	struct run r;

	(void)state;
	setenv("WEB_CONCURRENCY", "2", 1);
	assert_int_equal(loaded(&r, "a")->workers, 2);
	settings_free(&r.s);
	put_file("bicorn.conf", "workers = 3; raw_env = [ \"A=1\", \"B=2\" ];");
	assert_int_equal(loaded(&r, "a")->workers, 3);
	assert_string_equal(r.s->file, "bicorn.conf");
	settings_free(&r.s);
	setenv("BICORN_WORKERS", "4", 1);
	assert_int_equal(loaded(&r, "a")->workers, 4);
	settings_free(&r.s);
	setenv("BICORN_CMD_ARGS", "--workers 5 -e 'C=x y'", 1);
	assert_int_equal(loaded(&r, "a")->workers, 5);
	assert_int_equal(r.s->raw_env.count, 1);
	assert_string_equal(r.s->raw_env.items[0], "C=x y");
	settings_free(&r.s);
	assert_int_equal(loaded(&r, "-w 6 -e A=1 -e B=2,3 a")->workers, 6);
	assert_int_equal(r.s->raw_env.count, 2);
	assert_string_equal(r.s->raw_env.items[1], "B=2,3");
	assert_string_equal(settings_text(r.s, "raw_env"), "A=1,B=2\\,3");
	settings_free(&r.s);
	/* The last word counts, and switches go both ways. */
	assert_int_equal(loaded(&r, "-w 6 -w 7 -D --no-daemon a")->workers, 7);
	assert_false(r.s->daemon);
	settings_free(&r.s);
	/* APP too has all these sources. */
	unsetenv("BICORN_CMD_ARGS");
	put_file("bicorn.conf", "wsgi_app = \"file\";");
	assert_string_equal(loaded(&r, "")->app, "file");
	settings_free(&r.s);
	setenv("BICORN_WSGI_APP", "variable", 1);
	assert_string_equal(loaded(&r, "")->app, "variable");
	settings_free(&r.s);
	setenv("BICORN_CMD_ARGS", "args", 1);
	assert_string_equal(loaded(&r, "")->app, "args");
	settings_free(&r.s);
	assert_string_equal(loaded(&r, "line")->app, "line");
	settings_free(&r.s);
}

static void
test_which_file(void **state)
{
	struct run r;

	(void)state;
	put_file("bicorn.conf", "threads = 1;");
	put_file("env.conf", "threads = 2;");
	put_file("args.conf", "threads = 3;");
	put_file("line.conf", "threads = 4;");
	assert_int_equal(loaded(&r, "a")->threads, 1);
	settings_free(&r.s);
	setenv("BICORN_CONFIG", "env.conf", 1);
	assert_int_equal(loaded(&r, "a")->threads, 2);
	settings_free(&r.s);
	setenv("BICORN_CMD_ARGS", "-c args.conf", 1);
	assert_int_equal(loaded(&r, "a")->threads, 3);
	settings_free(&r.s);
	assert_int_equal(loaded(&r, "-c line.conf a")->threads, 4);
	assert_string_equal(r.s->file, "line.conf");
	settings_free(&r.s);
	refuses("-c none.conf a", 1, "none.conf: No such file or directory");
}

static void
test_environment(void **state)
{
	struct run r;

	(void)state;
	/* Empty is unset. */
	setenv("WEB_CONCURRENCY", "", 1);
	setenv("PORT", "", 1);
	setenv("BICORN_THREADS", "", 1);
	setenv("BICORN_CMD_ARGS", "", 1);
	setenv("BICORN_CONFIG", "", 1);
	setenv("FORWARDED_ALLOW_IPS", "", 1);
	setenv("VIRTUAL_ENV", "", 1);
	assert_int_equal(loaded(&r, "a")->threads, 4);
	assert_int_equal(r.s->workers, 1);
	assert_null(r.s->venv);
	settings_free(&r.s);

	setenv("PORT", "5000", 1);
	setenv("FORWARDED_ALLOW_IPS", "*", 1);
	setenv("SENDFILE", "0", 1);
	setenv("VIRTUAL_ENV", "/venv", 1);
	setenv("BICORN_KEEPALIVE", "1.5", 1);
	setenv("BICORN_PYTHONPATH", "a, b\\,c,,d", 1);
	setenv("BICORN_DAEMON", "Yes", 1);
	assert_string_equal(loaded(&r, "a")->bind.items[0], "0.0.0.0:5000");
	assert_int_equal(r.s->forwarded_allow_ips.count, 1);
	assert_false(r.s->sendfile);
	assert_true(r.s->daemon);
	assert_string_equal(r.s->venv, "/venv");
	assert_int_equal(r.s->keepalive_ms, 1500);
	assert_string_equal(settings_text(r.s, "keepalive"), "1.5");
	assert_int_equal(r.s->pythonpath.count, 3);
	assert_string_equal(r.s->pythonpath.items[1], "b,c");
	settings_free(&r.s);

	/* Others' variables that are not needed may be anything. */
	setenv("PORT", "tcp://10.0.0.1:80", 1);
	setenv("WEB_CONCURRENCY", "lots", 1);
	assert_int_equal(loaded(&r, "-b :1 -w 2 a")->workers, 2);
	settings_free(&r.s);
	refuses("-b :1 a", 1, "WEB_CONCURRENCY=lots (environment): must be a "
			      "whole number, 1..1024 or auto");
	refuses("-w 1 a", 1, "PORT=tcp://10.0.0.1:80 (environment): must be "
			     "HOST:PORT, [v6]:PORT, unix:PATH or fd://N");
	setenv("WEB_CONCURRENCY", "auto", 1);
	assert_true(loaded(&r, "-b :1 a")->workers_auto);
	settings_free(&r.s);
}

static void
test_errors(void **state)
{
	(void)state;
	refuses("--threads 0 a", 2,
	    "--threads 0 (command line): must be 1..1024");
	refuses("--thr=0 a", 2, "--threads 0 (command line): must be 1..1024");
	refuses("-w x a", 2, "-w x (command line): must be a whole number, "
			     "1..1024 or auto");
	refuses("--bogus a", 2, "--bogus (command line): no such option");
	refuses("", 2,
	    "No application module specified: bicorn [OPTIONS] APP, for "
	    "example bicorn -w 4 myapp:app; see bicorn --help");
	refuses("--check-config", 2,
	    "No application module specified: bicorn [OPTIONS] APP, for "
	    "example bicorn -w 4 myapp:app; see bicorn --help");
	setenv("BICORN_THREADS", "0", 1);
	refuses("a", 1, "BICORN_THREADS=0 (environment): must be 1..1024");
	unsetenv("BICORN_THREADS");
	setenv("BICORN_CMD_ARGS", "--threads 0", 1);
	refuses("a", 2, "--threads 0 (BICORN_CMD_ARGS): must be 1..1024");
	setenv("BICORN_CMD_ARGS", "'x", 1);
	refuses("a", 2, "BICORN_CMD_ARGS (environment): a quote or a backslash "
			"at its end keeps nothing");
	unsetenv("BICORN_CMD_ARGS");
	put_file("bicorn.conf", "\nthreads = 0");
	refuses("a", 1, "threads = 0 (bicorn.conf, line 2): must be 1..1024");
	put_file("bicorn.conf", "");
	refuses("--chdir /nonexistent a", 1,
	    "--chdir /nonexistent (command line): No such file or directory");
	refuses("--chdir bicorn.conf a", 1,
	    "--chdir bicorn.conf (command line): is no directory");
	refuses("-b :1 -b :2 -b :1 a", 1,
	    "-b :1 (command line): :1 is there twice");
	refuses("--keyfile x a", 1,
	    "--keyfile x (command line): needs certfile as well");
	refuses("-u nobody-of-that-name a", 1,
	    "-u nobody-of-that-name (command line): there is no such user");
	refuses("-g nobody-of-that-name a", 1,
	    "-g nobody-of-that-name (command line): there is no such group");
	refuses("-u 4000000001 a", 1,
	    "-u 4000000001 (command line): no user has this number, so say a "
	    "group too");
	refuses("-u 4294967295 a", 1,
	    "-u 4294967295 (command line): there is no such user");
	refuses("-g 99999999999 a", 1,
	    "-g 99999999999 (command line): there is no such group");
	refuses("-u -1 a", 1, "-u -1 (command line): there is no such user");
}

static void
test_derived(void **state)
{
	const struct passwd *root;
	struct run r;

	(void)state;
	root = getpwnam("root");
	assert_non_null(root);
	assert_int_equal(loaded(&r, "-u root -m 027 a")->uid, root->pw_uid);
	assert_int_equal(r.s->gid, root->pw_gid);
	assert_int_equal(r.s->umask_mode, 027);
	settings_free(&r.s);
	assert_int_equal(loaded(&r, "-u 0 -g 5 a")->gid, 5);
	assert_int_equal(r.s->uid, 0);
	settings_free(&r.s);
	assert_int_equal(loaded(&r, "-u 4000000001 -g 6 a")->uid, 4000000001);
	assert_int_equal(r.s->gid, 6);
	settings_free(&r.s);
	assert_int_equal(loaded(&r, "-g root a")->gid,
	    getgrnam("root")->gr_gid);
	assert_int_equal(r.s->uid, (uid_t)-1);
	settings_free(&r.s);
	assert_int_equal(loaded(&r, "--log-level CRITICAL a")->log_level, 4);
	settings_free(&r.s);
	assert_true(loaded(&r, "-w auto a")->workers_auto);
	assert_true(r.s->workers >= 1 && r.s->workers <= 1024);
	assert_string_not_equal(settings_text(r.s, "workers"), "auto");
	settings_free(&r.s);
	assert_false(loaded(&r, "-w auto -w 3 a")->workers_auto);
	settings_free(&r.s);
	assert_null(loaded(&r, "--chdir= a")->chdir);
	settings_free(&r.s);
}

/* That variable sets nothing, and is told of. */
static void
warns_of(const char *name, const char *warning)
{
	struct run r;

	setenv(name, "5", 1);
	assert_int_equal(loaded(&r, "a")->threads, 4);
	assert_string_equal(r.s->warnings.items[0], warning);
	settings_free(&r.s);
	unsetenv(name);
}

static void
test_warnings(void **state)
{
	struct run r;

	(void)state;
	setenv("BICORN_WORKER", "4", 1);
	/* As Kubernetes sets them for a service named bicorn. */
	setenv("BICORN_PORT", "tcp://10.0.0.1:80", 1);
	setenv("BICORN_PORT_80_TCP_ADDR", "10.0.0.1", 1);
	setenv("BICORN_SERVICE_HOST", "10.0.0.1", 1);
	setenv("BICORN_MODULES", "/x", 1);
	assert_int_equal(loaded(&r, "a")->warnings.count, 1);
	assert_string_equal(r.s->warnings.items[0],
	    "BICORN_WORKER (environment): no such setting; did you mean "
	    "BICORN_WORKERS?");
	settings_free(&r.s);
	unsetenv("BICORN_WORKER");
	warns_of("BICORN_threads", "BICORN_threads (environment): no such "
	    "setting; did you mean BICORN_THREADS?");
	/* It may be somebody else's: a guess has to be a good one. */
	warns_of("BICORN_UMSK", "BICORN_UMSK (environment): no such setting");
	warns_of("BICORN_WORKERHOST",
	    "BICORN_WORKERHOST (environment): no such setting");
	assert_int_equal(
	    loaded(&r, "--worker-connections 2 a")->warnings.count, 1);
	settings_free(&r.s);
}

static void
test_actions(void **state)
{
	struct run r;

	(void)state;
	setenv("BICORN_CMD_ARGS", "'--broken", 1);
	put_file("bicorn.conf", "broken");
	assert_int_equal(load(&r, "--help"), 0);
	assert_int_equal(r.action, CONF_HELP);
	assert_int_equal(r.status, 0);
	assert_null(r.s);
	assert_int_equal(load(&r, "--version"), 0);
	assert_int_equal(r.action, CONF_VERSION);
	assert_null(r.s);
	unsetenv("BICORN_CMD_ARGS");
	put_file("bicorn.conf", "");
	assert_null(loaded(&r, "--print-config")->app);
	assert_int_equal(r.action, CONF_PRINT);
	settings_free(&r.s);
	assert_non_null(loaded(&r, "--check-config a")->app);
	assert_int_equal(r.action, CONF_CHECK);
	settings_free(&r.s);
	assert_int_equal(settings_load(0, NULL, NULL, &r.s, &r.action,
	    &r.status, NULL), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_defaults, begin, end),
		cmocka_unit_test_setup_teardown(test_precedence, begin, end),
		cmocka_unit_test_setup_teardown(test_which_file, begin, end),
		cmocka_unit_test_setup_teardown(test_environment, begin, end),
		cmocka_unit_test_setup_teardown(test_errors, begin, end),
		cmocka_unit_test_setup_teardown(test_derived, begin, end),
		cmocka_unit_test_setup_teardown(test_warnings, begin, end),
		cmocka_unit_test_setup_teardown(test_actions, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
