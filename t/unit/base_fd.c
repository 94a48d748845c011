/* SPDX-License-Identifier: MIT */
/* Calls on file descriptors, over pipes and files. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"

#define BIG 300000 /* more than a pipe holds */

static void
test_close(void **state)
{
	int fd = open("/dev/null", O_RDONLY), copy = fd;

	(void)state;
	errno = ERANGE;
	fd_close(&fd);
	assert_int_equal(fd, -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(fcntl(copy, F_GETFD), -1);
	fd_close(&fd);
}

static void
test_flags(void **state)
{
	int fd = open("/dev/null", O_RDONLY);

	(void)state;
	assert_int_equal(fd_nonblock(fd, true), 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_nonblock(fd, true), 0);
	assert_int_equal(fd_nonblock(fd, false), 0);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_cloexec(fd, true), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fd_cloexec(fd, false), 0);
	assert_false(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	fd_close(&fd);
	assert_int_equal(fd_nonblock(-1, true), -1);
	assert_int_equal(errno, EBADF);
}

static void *
write_big(void *arg)
{
	int *fd = arg;
	char *data = malloc(BIG);
	int rc;

	for (size_t i = 0; i < BIG; i++)
		data[i] = (char)(i % 251);
	rc = fd_write_all(*fd, data, BIG);
	free(data);
	fd_close(fd);
	return rc == 0 ? arg : NULL;
}

/* A pipe takes and gives less than is asked for. */
static void
test_short_counts(void **state)
{
	char *data = malloc(BIG + 10);
	pthread_t thread;
	void *ok;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(
	    pthread_create(&thread, NULL, write_big, &ends[1]), 0);
	assert_int_equal(fd_read_all(ends[0], data, BIG + 10), BIG);
	assert_int_equal(pthread_join(thread, &ok), 0);
	assert_non_null(ok);
	for (size_t i = 0; i < BIG; i++)
		assert_true(data[i] == (char)(i % 251));
	fd_close(&ends[0]);
	free(data);
}

static void
test_offsets(void **state)
{
	char path[] = "/tmp/bicorn-fd-XXXXXX", back[8] = { 0 };
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(fd_pwrite_all(fd, "abcdef", 6, 2), 0);
	assert_int_equal(fd_pread_all(fd, back, 4, 4), 4);
	assert_string_equal(back, "cdef");
	assert_int_equal(fd_pread_all(fd, back, 4, 6), 2);
	assert_int_equal(fd_pread_all(fd, back, 4, 100), 0);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	fd_close(&fd);
	assert_int_equal(fd_pread_all(-1, back, 4, 0), -1);
	assert_int_equal(fd_pwrite_all(-1, back, 4, 0), -1);
	assert_int_equal(fd_read_all(-1, back, 4), -1);
	assert_int_equal(fd_write_all(-1, back, 4), -1);
}

static void
slurp(size_t size)
{
	char path[] = "/tmp/bicorn-fd-XXXXXX", *data = malloc(size + 1), *back;
	int fd = mkstemp(path);
	size_t len = 0;

	memset(data, 'z', size + 1);
	assert_int_equal(fd_write_all(fd, data, size), 0);
	fd_close(&fd);
	back = fd_slurp(path, size, &len);
	assert_non_null(back);
	assert_int_equal(len, size);
	assert_memory_equal(back, data, size);
	assert_int_equal(back[size], 0);
	free(back);
	back = fd_slurp(path, size, NULL);
	assert_non_null(back);
	free(back);
	if (size > 0) {
		errno = 0;
		assert_null(fd_slurp(path, size - 1, &len));
		assert_int_equal(errno, EFBIG);
	}
	free(data);
	assert_int_equal(unlink(path), 0);
}

static void
test_slurp(void **state)
{
	(void)state;
	slurp(0);
	slurp(1);
	slurp(4094);
	slurp(4095);
	slurp(4096);
	slurp(100000);
	assert_null(fd_slurp("/nowhere/at/all", 10, NULL));
	assert_int_equal(errno, ENOENT);
	assert_null(fd_slurp("/", 10, NULL));
	assert_int_equal(errno, EISDIR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_short_counts),
		cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_slurp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
