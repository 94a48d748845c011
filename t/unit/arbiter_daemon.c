/* SPDX-License-Identifier: MIT */
/* Going to the background, and telling the terminal how that went. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "arbiter/daemon.h"
#include "base/err.h"
#include "base/fd.h"

enum fate { READY, FAILED, DIES };

/* Runs in the daemon; reports through fd whether all is as it should be. */
static _Noreturn void
be_daemon(int fd, enum fate fate)
{
	struct daemon d;
	struct err err;
	struct stat null, std;
	pid_t first = getpid();
	char ok;

	if (daemon_start(&d, false, &err) != 0)
		_exit(99);
	ok = getpid() != first && getsid(0) != getpid() &&
	    getpgrp() == getsid(0) && umask(0) == 022 &&
	    stat("/dev/null", &null) == 0;
	for (int i = 0; i <= 2; i++)
		ok = ok && fstat(i, &std) == 0 && std.st_rdev == null.st_rdev;
	fd_write_all(fd, &ok, 1);
	if (fate == DIES)
		_exit(0);
	if (fate == READY)
		daemon_ready(&d);
	if (fate == FAILED)
		daemon_failed(&d, 3, "the reason");
	daemon_failed(&d, 4, "a second report, which nobody hears");
	_exit(0);
}

/* The exit code of the process that was started; what it printed to out. */
static int
start(enum fate fate, char *out, size_t room)
{
	int said[2], fine[2], status;
	ssize_t n;
	char ok = 0;
	pid_t pid;

	assert_int_equal(pipe(said), 0);
	assert_int_equal(pipe(fine), 0);
	pid = fork();
	if (pid == 0) {
		dup2(said[1], STDERR_FILENO);
		close(said[1]);
		be_daemon(fine[1], fate);
	}
	close(said[1]);
	close(fine[1]);
	n = fd_read_all(said[0], out, room - 1);
	out[n > 0 ? n : 0] = '\0';
	assert_int_equal(fd_read_all(fine[0], &ok, 1), 1);
	assert_true(ok);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(said[0]);
	close(fine[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
test_reports(void **state)
{
	char out[1024];

	(void)state;
	assert_int_equal(start(READY, out, sizeof(out)), 0);
	assert_string_equal(out, "");
	assert_int_equal(start(FAILED, out, sizeof(out)), 3);
	assert_string_equal(out, "bicorn: error: the reason\n");
	assert_int_equal(start(DIES, out, sizeof(out)), 1);
	assert_string_equal(out,
	    "bicorn: error: the daemon died while it started\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
