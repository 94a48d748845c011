/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/channel.h"

static void
test_there_and_back(void **state)
{
	struct channel_message m = { .kind = CHANNEL_COMMAND, .id = 7,
		.argument = -1, .board = -1, .settings = -1 };
	struct channel_message got;
	int ends[2];

	(void)state;
	assert_int_equal(channel_open(ends), 0);
	assert_int_equal(channel_receive(ends[0], &got), CHANNEL_NONE);
	assert_true(channel_send(ends[1], &m));
	assert_int_equal(channel_receive(ends[0], &got), CHANNEL_GOT);
	assert_int_equal(got.id, 7);
	assert_int_equal(got.argument, -1);
	assert_int_equal(got.board, -1);
	close(ends[1]);
	assert_int_equal(channel_receive(ends[0], &got), CHANNEL_END);
	assert_false(channel_send(ends[0], &m));
	close(ends[0]);
}

static void
test_descriptors(void **state)
{
	struct channel_message m = { .kind = CHANNEL_GENERATION, .id = 1 };
	struct channel_message got;
	char text[4] = "";
	int ends[2];

	(void)state;
	m.board = memfd_create("a", 0);
	m.settings = memfd_create("b", 0);
	assert_int_equal(write(m.settings, "abc", 3), 3);
	assert_int_equal(channel_open(ends), 0);
	assert_true(channel_send(ends[0], &m));
	close(m.board);
	close(m.settings);
	assert_int_equal(channel_receive(ends[1], &got), CHANNEL_GOT);
	assert_int_equal(pread(got.settings, text, 3, 0), 3);
	assert_string_equal(text, "abc");
	close(got.board);
	close(got.settings);
	close(ends[0]);
	close(ends[1]);
}

/* One that comes alone is not kept open. */
static void
test_one_descriptor(void **state)
{
	struct channel_message m = { .kind = CHANNEL_GENERATION }, got;
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = "" };
	struct iovec iov = { &m, sizeof(m) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control) };
	int ends[2], before;

	(void)state;
	assert_int_equal(channel_open(ends), 0);
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &ends[0], sizeof(int));
	assert_int_equal(sendmsg(ends[0], &h, 0), sizeof(m));
	before = dup(ends[0]); /* the lowest that is free */
	close(before);
	assert_int_equal(channel_receive(ends[1], &got), CHANNEL_GOT);
	assert_int_equal(got.board, -1);
	assert_int_equal(got.settings, -1);
	assert_int_equal(dup(ends[0]), before);
	close(before);
	close(ends[0]);
	close(ends[1]);
}

/* One that does not read holds up nobody. */
static void
test_full(void **state)
{
	const struct channel_message m = { .kind = CHANNEL_GONE, .board = -1,
		.settings = -1 };
	int ends[2], n = 0;

	(void)state;
	assert_int_equal(channel_open(ends), 0);
	while (channel_send(ends[0], &m))
		n++;
	assert_true(n > 10);
	close(ends[0]);
	close(ends[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_one_descriptor),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
