/* SPDX-License-Identifier: MIT */
/* What one process pins up, others read whole, and cannot change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bulletin.h"
#include "base/err.h"

#define ROOM (1 << 20)

static struct bulletin *
make(void)
{
	struct err err;
	struct bulletin *b = bulletin_new("test", ROOM, &err);

	assert_non_null(b);
	return b;
}

static void
pin(struct bulletin *b, int byte, size_t len)
{
	char *text = malloc(len + 1);
	struct iovec parts[2] = { { text, len / 2 },
		{ text + len / 2, len - len / 2 } };

	assert_non_null(text);
	memset(text, byte, len);
	assert_true(bulletin_pin(b, parts, 2));
	free(text);
}

static void
test_read(void **state)
{
	struct bulletin *b = make();
	uint64_t version, first;
	char room[100];
	size_t len;
	char *copy;

	(void)state;
	assert_int_equal(bulletin_version(b), 0);
	assert_int_equal(bulletin_read(b, room, sizeof(room), &version), -1);
	pin(b, 'a', 50);
	first = bulletin_version(b);
	assert_int_equal(bulletin_read(b, room, sizeof(room), &version), 50);
	assert_int_equal(version, first);
	assert_int_equal(room[0], 'a');
	assert_int_equal(room[49], 'a');
	pin(b, 'b', 101);
	assert_true(bulletin_version(b) > first);
	assert_int_equal(bulletin_read(b, room, sizeof(room), &version), -1);
	copy = bulletin_copy(b, &len, &version);
	assert_non_null(copy);
	assert_int_equal(len, 101);
	assert_int_equal(copy[100], 'b');
	free(copy);
	pin(b, 'c', 0);
	assert_int_equal(bulletin_read(b, room, sizeof(room), &version), 0);
	bulletin_free(&b);
	assert_null(b);
}

static void
test_room(void **state)
{
	struct bulletin *b = make();
	struct iovec part = { calloc(1, ROOM + 1), ROOM + 1 };

	(void)state;
	assert_false(bulletin_pin(b, &part, 1));
	part.iov_len = ROOM;
	assert_true(bulletin_pin(b, &part, 1));
	free(part.iov_base);
	bulletin_free(&b);
}

/* The child's verdict as an exit status. */
static int
in_child(struct bulletin *b, int (*look)(struct bulletin *b))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(look(b));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int
read_confined(struct bulletin *b)
{
	uint64_t version;
	struct err err;
	char room[10];

	if (bulletin_confine(b, &err) != 0)
		return 1;
	return bulletin_read(b, room, sizeof(room), &version) == 10 &&
	    room[9] == 'x' ? 0 : 2;
}

/* Every read is of one version, however often it changes. */
static int
read_many(struct bulletin *b)
{
	for (int i = 0; i < 20000; i++) {
		char room[4096];
		uint64_t version;
		ptrdiff_t n = bulletin_read(b, room, sizeof(room), &version);

		for (ptrdiff_t at = 0; at < n; at++)
			if (room[at] != room[0])
				return 1;
		if (n <= 0 || n != 1000 + room[0])
			return 2;
	}
	return 0;
}

static void
test_confined(void **state)
{
	struct bulletin *b = make();

	(void)state;
	pin(b, 'x', 10);
	assert_int_equal(in_child(b, read_confined), 0);
	bulletin_free(&b);
}

static void
test_changes(void **state)
{
	struct bulletin *b = make();
	int status;
	pid_t pid;

	(void)state;
	pin(b, 1, 1001);
	pid = fork();
	if (pid == 0)
		_exit(read_many(b));
	for (int i = 0; waitpid(pid, &status, WNOHANG) == 0; i++)
		pin(b, i % 100, 1000 + (size_t)(i % 100));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	bulletin_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_confined),
		cmocka_unit_test(test_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
