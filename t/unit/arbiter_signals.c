/* SPDX-License-Identifier: MIT */
/* Signals that are read, and how a worker gets its own back. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "arbiter/signals.h"
#include "base/err.h"

static bool
is_blocked(int number)
{
	sigset_t now;

	sigprocmask(SIG_SETMASK, NULL, &now);
	return sigismember(&now, number) == 1;
}

static void
test_read_in_the_loop(void **state)
{
	struct signals s;
	struct err err;

	(void)state;
	assert_int_equal(signals_init(&s, false, &err), 0);
	assert_int_equal(signals_next(&s), 0);
	signals_wait(&s, 0);
	kill(getpid(), SIGTERM);
	kill(getpid(), SIGHUP);
	kill(getpid(), SIGWINCH);
	signals_wait(&s, 10000);
	assert_int_equal(signals_next(&s), SIGHUP);
	assert_int_equal(signals_next(&s), SIGTERM);
	assert_int_equal(signals_next(&s), SIGWINCH);
	assert_int_equal(signals_next(&s), 0);
	signals_fini(&s);
	assert_int_equal(s.fd, -1);
	assert_false(is_blocked(SIGTERM));
	signals_fini(&s);
}

static void
test_echo_is_heard_once(void **state)
{
	struct signals s;
	struct err err;

	(void)state;
	assert_int_equal(signals_init(&s, false, &err), 0);
	kill(getpid(), SIGTERM);
	assert_int_equal(signals_next(&s), SIGTERM);
	kill(getpid(), SIGCHLD); /* may come between the two */
	assert_int_equal(signals_next(&s), SIGCHLD);
	kill(getpid(), SIGTERM);
	assert_int_equal(signals_next(&s), 0);
	kill(getpid(), SIGINT); /* another one is no echo */
	assert_int_equal(signals_next(&s), SIGINT);
	s.last_ms -= 1000;
	kill(getpid(), SIGINT); /* nor is one that comes later */
	assert_int_equal(signals_next(&s), SIGINT);
	for (int i = 0; i < 3; i++) { /* counted, each of them */
		kill(getpid(), SIGTTIN);
		assert_int_equal(signals_next(&s), SIGTTIN);
	}
	signals_fini(&s);
}

/* A parent that ignored SIGCHLD must not cost us our children. */
static void
test_children_can_be_waited_for(void **state)
{
	struct signals s;
	struct err err;
	pid_t pid;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	assert_int_equal(signals_init(&s, false, &err), 0);
	pid = fork();
	if (pid == 0)
		_exit(7);
	signals_wait(&s, 10000);
	assert_int_equal(signals_next(&s), SIGCHLD);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	signals_fini(&s);
}

/* Exit codes say what was wrong in the child. */
static int
in_child(void (*check)(struct signals *), bool ignore_hup, bool daemon)
{
	struct err err;
	struct signals s;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (ignore_hup)
			signal(SIGHUP, SIG_IGN);
		if (signals_init(&s, daemon, &err) != 0)
			_exit(99);
		check(&s);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void
dies_of_term(struct signals *s)
{
	kill(getpid(), SIGTERM); /* waits, being blocked ... */
	signals_restore(s);      /* ... and strikes now */
}

static void
survives_hup(struct signals *s)
{
	signals_restore(s);
	if (s->fd != -1 || is_blocked(SIGHUP) || is_blocked(SIGCHLD))
		_exit(1);
	kill(getpid(), SIGHUP);
	raise(SIGPIPE);
}

static void
test_worker_has_defaults(void **state)
{
	(void)state;
	assert_int_equal(in_child(dies_of_term, false, false), -SIGTERM);
	assert_int_equal(in_child(survives_hup, false, false), 0);
}

static void
hears_no_hup(struct signals *s)
{
	kill(getpid(), SIGHUP);
	_exit(signals_next(s) == 0 ? 0 : 1);
}

static void
hears_hup(struct signals *s)
{
	kill(getpid(), SIGHUP);
	_exit(signals_next(s) == SIGHUP ? 0 : 1);
}

static void
test_nohup(void **state)
{
	(void)state;
	assert_int_equal(in_child(hears_no_hup, true, false), 0);
	assert_int_equal(in_child(survives_hup, true, false), 0);
	assert_int_equal(in_child(hears_hup, true, true), 0);
	assert_int_equal(in_child(hears_hup, false, false), 0);
}

static void
test_names(void **state)
{
	char name[16];

	(void)state;
	assert_string_equal(signals_name(SIGHUP, name), "hup");
	assert_string_equal(signals_name(SIGTTIN, name), "ttin");
	assert_string_equal(signals_name(SIGUSR1, name), "usr1");
	assert_string_equal(signals_name(SIGRTMAX, name), "64");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_in_the_loop),
		cmocka_unit_test(test_echo_is_heard_once),
		cmocka_unit_test(test_children_can_be_waited_for),
		cmocka_unit_test(test_worker_has_defaults),
		cmocka_unit_test(test_nohup),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
