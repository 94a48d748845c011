/* SPDX-License-Identifier: MIT */
/* Sinks that do not take what they are given. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "log/sink.h"

/* Opens a sink on the write end of a pipe, as on a standard stream. */
static void
open_pipe(struct sink *s, int ends[2])
{
	struct err err;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(sink_open(s, "-", ends[1], (uid_t)-1, (gid_t)-1,
		&err), 0);
}

/* Reads all that is there now. */
static size_t
empty(int fd)
{
	char buf[65536];
	size_t total = 0;
	ssize_t n;

	fd_nonblock(fd, true);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		total += (size_t)n;
	return total;
}

/*
 * A pipe that nobody reads holds one line up for a moment, no more, and the
 * loss is counted and told once there is room again.
 */
static void
test_full_pipe(void **state)
{
	struct sink s;
	char line[1000];
	int64_t before = clock_ms();
	int ends[2];
	int why;

	(void)state;
	open_pipe(&s, ends);
	memset(line, 'x', sizeof(line));
	errno = ENOENT;
	for (int i = 0; i < 1000; i++)
		sink_write(&s, line, sizeof(line));
	assert_int_equal(errno, ENOENT);
	assert_true(clock_ms() - before < 5000);
	assert_true(atomic_load(&s.stuck));
	assert_int_equal(sink_lost(&s, &why), 0); /* not while it is full */
	assert_true(empty(ends[0]) >= 60000);
	sink_write(&s, line, sizeof(line));
	assert_false(atomic_load(&s.stuck));
	assert_true(sink_lost(&s, &why) > 900);
	assert_int_equal(sink_lost(&s, &why), 0);
	assert_int_equal(empty(ends[0]), sizeof(line));
	/* Whoever shares the stream finds it as it was. */
	assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
	sink_close(&s);
	close(ends[0]);
	close(ends[1]);
}

static void
test_closed_pipe(void **state)
{
	struct sink s;
	int ends[2];
	int why;

	(void)state;
	open_pipe(&s, ends);
	close(ends[0]);
	sink_write(&s, "a\n", 2);
	sink_write(&s, "b\n", 2);
	assert_int_equal(sink_lost(&s, &why), 2);
	sink_close(&s);
	close(ends[1]);
}

static void
test_socket(void **state)
{
	struct sink s;
	struct err err;
	char line[4096] = "x", buf[16];
	int ends[2];
	int why;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(sink_open(&s, "-", ends[1], (uid_t)-1, (gid_t)-1,
		&err), 0);
	sink_write(&s, "hello\n", 6);
	assert_int_equal(read(ends[0], buf, sizeof(buf)), 6);
	for (int i = 0; i < 1000; i++)
		sink_write(&s, line, sizeof(line));
	assert_true(empty(ends[0]) > 0);
	sink_write(&s, "again\n", 6);
	assert_true(sink_lost(&s, &why) > 0);
	close(ends[0]);
	sink_write(&s, "gone\n", 5);
	sink_close(&s);
	close(ends[1]);
}

static void
test_file(void **state)
{
	char dir[] = "/tmp/log_sink.XXXXXX", path[64], *text;
	struct sink s, second;
	struct stat st;
	struct err err;
	mode_t mask = umask(0);

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	assert_int_equal(sink_open(&s, path, 1, (uid_t)-1, (gid_t)-1, &err), 0);
	assert_int_equal(sink_open(&second, path, 1, getuid(), getgid(), &err),
	    0);
	assert_int_equal(fstat(s.fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(fcntl(s.fd, F_GETFD), FD_CLOEXEC);
	sink_write(&s, "one\n", 4);
	sink_write(&second, "two\n", 4);
	sink_write(&s, "three\n", 6);
	assert_int_equal(sink_reopen(&s, &err), 0);
	assert_int_equal(fcntl(s.fd, F_GETFD), FD_CLOEXEC);
	sink_write(&s, "four\n", 5);
	text = fd_slurp(path, 100, NULL);
	assert_string_equal(text, "one\ntwo\nthree\nfour\n");
	free(text);
	sink_close(&s);
	sink_close(&second);
	unlink(path);
	rmdir(dir);
	umask(mask);
}

/* A full disk loses lines and nothing else. */
static void
test_full_disk(void **state)
{
	struct sink s;
	struct err err;
	int why;

	(void)state;
	assert_int_equal(sink_open(&s, "/dev/full", 1, (uid_t)-1, (gid_t)-1,
		&err), 0);
	sink_write(&s, "x\n", 2);
	assert_int_equal(sink_lost(&s, &why), 1);
	assert_int_equal(why, ENOSPC);
	/* Not again with every line. */
	for (int i = 0; i < 100; i++) {
		sink_write(&s, "x\n", 2);
		assert_int_equal(sink_lost(&s, &why), 0);
	}
	assert_int_equal(sink_take_lost(&s), 100);
	sink_close(&s);
}

/* No part of a line stays that the next one would be glued to. */
static void
part_of_a_line(bool by_path, int flags)
{
	char dir[] = "/tmp/log_sink.XXXXXX", path[64], *text;
	struct rlimit before, small;
	struct sink s;
	struct err err;
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	fd = open(path, O_WRONLY | O_CREAT | flags, 0600);
	assert_true(fd >= 0);
	assert_int_equal(sink_open(&s, by_path ? path : "-", fd, (uid_t)-1,
		(gid_t)-1, &err), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 14;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	sink_write(&s, "12345678\n", 9);
	sink_write(&s, "abcdefgh\n", 9);
	sink_write(&s, "xyz\n", 4);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	sink_write(&s, "again\n", 6);
	text = fd_slurp(path, 100, NULL);
	assert_string_equal(text, "12345678\nxyz\nagain\n");
	assert_int_equal(sink_take_lost(&s), 1);
	free(text);
	sink_close(&s);
	close(fd);
	unlink(path);
	rmdir(dir);
}

/* Also where a shell has opened it, by ">" or by ">>". */
static void
test_part_of_a_line(void **state)
{
	(void)state;
	part_of_a_line(true, 0);
	part_of_a_line(false, 0);
	part_of_a_line(false, O_APPEND);
}

static void
test_pipe_by_path(void **state)
{
	char dir[] = "/tmp/log_sink.XXXXXX", path[64], buf[16];
	struct sink s;
	struct err err;
	int reader;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pipe", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(sink_open(&s, path, 1, (uid_t)-1, (gid_t)-1, &err),
	    -1);
	assert_non_null(strstr(err.text, "no process reads from it"));
	reader = open(path, O_RDONLY | O_NONBLOCK);
	assert_int_equal(sink_open(&s, path, 1, (uid_t)-1, (gid_t)-1, &err), 0);
	sink_write(&s, "x\n", 2);
	assert_int_equal(read(reader, buf, sizeof(buf)), 2);
	sink_close(&s);
	close(reader);
	unlink(path);
	rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_pipe),
		cmocka_unit_test(test_closed_pipe),
		cmocka_unit_test(test_socket),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_part_of_a_line),
		cmocka_unit_test(test_pipe_by_path),
	};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
