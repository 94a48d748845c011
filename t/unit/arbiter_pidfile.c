/* SPDX-License-Identifier: MIT */
/* The pid file's rules. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
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

#include "arbiter/pidfile.h"
#include "base/err.h"
#include "base/fd.h"

#include "files.h"

static char dir[] = "/tmp/bicorn-pidfile.XXXXXX";
static char path[64];

static int
make_dir(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/pid", dir);
	return chdir(dir);
}

static int
remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void
expect(pid_t pid)
{
	char *text = fd_slurp(path, 100, NULL), want[32];
	struct stat st;

	snprintf(want, sizeof(want), "%d\n", (int)pid);
	assert_non_null(text);
	assert_string_equal(text, want);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	free(text);
}

static void
test_written_and_removed(void **state)
{
	struct pidfile p;
	struct err err;

	(void)state;
	umask(077);
	assert_int_equal(pidfile_open(&p, path, &err), 0);
	assert_int_equal(pidfile_restore(&p, &err), 0);
	assert_int_equal(access(path, F_OK), -1); /* nobody is ready yet */
	assert_int_equal(pidfile_write(&p, &err), 0);
	expect(getpid());
	unlink(path);
	assert_int_equal(pidfile_restore(&p, &err), 0);
	expect(getpid());
	pidfile_close(&p);
	assert_int_equal(access(path, F_OK), -1);
}

static void
test_relative_path_is_kept(void **state)
{
	struct pidfile p;
	struct err err;

	(void)state;
	assert_int_equal(pidfile_open(&p, "pid", &err), 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(pidfile_write(&p, &err), 0);
	expect(getpid());
	pidfile_close(&p);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(chdir(dir), 0);
}

static void
test_live_one_is_respected(void **state)
{
	struct pidfile p;
	struct err err;
	char text[32];

	(void)state;
	snprintf(text, sizeof(text), "%d\n", (int)getppid());
	put_file(path, text);
	assert_int_equal(pidfile_open(&p, path, &err), -1);
	assert_non_null(strstr(err.text, path));
	assert_null(p.path);
	put_file(path, "1"); /* EPERM unless we are root, and alive in any case */
	assert_int_equal(pidfile_open(&p, path, &err), -1);
	unlink(path);
	assert_int_equal(pidfile_open(&p, path, &err), 0);
	put_file(path, "1"); /* who was ready first */
	assert_int_equal(pidfile_write(&p, &err), -1);
	pidfile_close(&p);
	assert_int_equal(access(path, F_OK), 0);
}

/* A number that was somebody's and is nobody's. */
static pid_t
dead_pid(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	return pid;
}

static void
test_stale_ones_are_replaced(void **state)
{
	static const char long_one[] = /* more than any pid needs */
	    "                                                        "
	    "                  12\n";
	static const char *const junk[] = { "", "\n", "x", "-1\n", "0\n",
		"99999999999999999999\n", "12 34\n", "4294967297\n",
		long_one };
	struct pidfile p;
	struct err err;
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
		put_file(path, junk[i]);
		assert_int_equal(pidfile_open(&p, path, &err), 0);
		assert_int_equal(access(path, F_OK), -1);
		assert_int_equal(pidfile_write(&p, &err), 0);
		expect(getpid());
		pidfile_close(&p);
	}
	snprintf(text, sizeof(text), " %d\r\n", (int)dead_pid());
	put_file(path, text);
	assert_int_equal(pidfile_open(&p, path, &err), 0);
	/* Ours already, as after a restart of a container. */
	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	put_file(path, text);
	assert_int_equal(pidfile_write(&p, &err), 0);
	pidfile_close(&p);
}

static void
test_somebody_elses_is_left(void **state)
{
	struct pidfile p;
	struct err err;

	(void)state;
	assert_int_equal(pidfile_open(&p, path, &err), 0);
	assert_int_equal(pidfile_write(&p, &err), 0);
	put_file(path, "1\n");
	pidfile_close(&p);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

static void
test_errors_name_the_file(void **state)
{
	struct pidfile p;
	struct err err;

	(void)state;
	assert_int_equal(pidfile_open(&p, "/no/such/dir/pid", &err), -1);
	assert_non_null(strstr(err.text, "/no/such/dir/pid"));
	assert_non_null(strstr(err.text, "No such file"));
	assert_int_equal(pidfile_open(&p, dir, &err), -1);
	assert_int_equal(pidfile_open(&p, "/dev/null", &err), -1);
	assert_non_null(strstr(err.text, "device"));
	assert_int_equal(pidfile_open(&p, NULL, &err), 0);
	assert_int_equal(pidfile_write(&p, &err), 0);
	pidfile_close(&p);
}

/* Who ended counts as gone before its parent has noticed. */
static void
test_zombie(void **state)
{
	pid_t pid = fork();
	struct pidfile p;
	struct err err;
	char text[32];
	siginfo_t info;

	(void)state;
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT),
	    0);
	snprintf(text, sizeof(text), "%d\n", (int)pid);
	put_file(path, text);
	assert_int_equal(pidfile_open(&p, path, &err), 0);
	pidfile_close(&p);
	waitpid(pid, NULL, 0);
}

/* One of our name counts as the owner, whatever the clock says. */
static void
test_namesake(void **state)
{
	const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	pid_t pid = fork();
	struct pidfile p;
	struct err err;
	char text[32];

	(void)state;
	if (pid == 0) {
		alarm(20);
		pause();
	}
	snprintf(text, sizeof(text), "%d\n", (int)pid);
	put_file(path, text);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_int_equal(pidfile_open(&p, path, &err), -1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
}

/* Of somebody else, who may not be asked. */
static void
test_another_user(void **state)
{
	struct pidfile p;
	struct err err;
	int status;
	pid_t pid;

	(void)state;
	if (getuid() != 0)
		skip();
	put_file(path, "1\n");
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chmod(dir, 0755), 0);
	pid = fork();
	if (pid == 0)
		_exit(setuid(65534) == 0 &&
			    pidfile_open(&p, path, &err) == -1 &&
			    strstr(err.text, "already running") != NULL
		    ? 0
		    : 1);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	unlink(path);
}

/* Nobody writes to it, and nobody waits for that. */
static void
test_fifo(void **state)
{
	struct pidfile p;
	struct err err;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(20);
	assert_int_equal(pidfile_open(&p, path, &err), 0);
	alarm(0);
	pidfile_close(&p);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_and_removed),
		cmocka_unit_test(test_relative_path_is_kept),
		cmocka_unit_test(test_live_one_is_respected),
		cmocka_unit_test(test_stale_ones_are_replaced),
		cmocka_unit_test(test_somebody_elses_is_left),
		cmocka_unit_test(test_errors_name_the_file),
		cmocka_unit_test(test_zombie),
		cmocka_unit_test(test_namesake),
		cmocka_unit_test(test_another_user),
		cmocka_unit_test(test_fifo),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
