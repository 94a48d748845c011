/* SPDX-License-Identifier: MIT */
/* The memory that arbiter and workers share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "worker/scoreboard.h"

static struct scoreboard *
new_board(size_t workers, size_t threads)
{
	struct err err;
	struct scoreboard *b = scoreboard_new(workers, threads, &err);

	if (b == NULL)
		fail_msg("%s", err.text);
	return b;
}

static void
begin(struct score_thread *t, const char *method, const char *target,
    int64_t now_ms)
{
	score_begin(t, method, strlen(method), target, strlen(target), now_ms);
}

static void
wait_child(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
test_layout(void **state)
{
	struct scoreboard *b = new_board(3, 5);

	(void)state;
	assert_int_equal(scoreboard_workers(b), 3);
	assert_int_equal(scoreboard_threads(b), 5);
	/* No two writers share a line of the cache. */
	for (size_t i = 0; i < 3; i++) {
		struct score_worker *w = scoreboard_worker(b, i);

		assert_int_equal((uintptr_t)w % 64, 0);
		assert_int_equal(w->state, WORKER_NONE);
		for (size_t j = 0; j < 5; j++)
			assert_int_equal(
			    (uintptr_t)scoreboard_thread(b, i, j) % 64, 0);
	}
	assert_int_equal(sizeof(struct score_thread) % 64, 0);
	scoreboard_free(&b);
	assert_null(b);
	scoreboard_free(&b);
}

/* What a worker writes, the arbiter reads, also after the worker's death. */
static void
test_across_fork(void **state)
{
	struct scoreboard *b = new_board(2, 2);
	struct score_worker *w = scoreboard_worker(b, 1);
	int64_t started;
	char text[256];
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		w->state = WORKER_READY;
		w->beat_ms = 77;
		begin(scoreboard_thread(b, 1, 0), "GET", "/a", 1);
		score_end(scoreboard_thread(b, 1, 0));
		begin(scoreboard_thread(b, 1, 1), "POST", "/b?c=d", 1234);
		_exit(0);
	}
	wait_child(pid);
	assert_int_equal(w->state, WORKER_READY);
	assert_int_equal(w->beat_ms, 77);
	assert_int_equal(scoreboard_requests(b, 1), 1);
	assert_int_equal(scoreboard_requests(b, 0), 0);
	assert_false(score_read(scoreboard_thread(b, 1, 0), text, sizeof(text),
	    &started));
	assert_true(score_read(scoreboard_thread(b, 1, 1), text, sizeof(text),
	    &started));
	assert_string_equal(text, "POST /b?c=d");
	assert_int_equal(started, 1234);

	scoreboard_clear(b, 1);
	assert_int_equal(w->state, WORKER_NONE);
	assert_int_equal(scoreboard_requests(b, 1), 0);
	assert_false(score_read(scoreboard_thread(b, 1, 1), text, sizeof(text),
	    &started));
	scoreboard_free(&b);
}

static void
test_event(void **state)
{
	struct scoreboard *b = new_board(1, 1);
	struct pollfd p = { .fd = scoreboard_event(b), .events = POLLIN };
	pid_t pid;

	(void)state;
	assert_int_equal(poll(&p, 1, 0), 0);
	pid = fork();
	if (pid == 0) {
		scoreboard_notify(b);
		scoreboard_notify(b);
		_exit(0);
	}
	assert_int_equal(poll(&p, 1, 10000), 1);
	wait_child(pid);
	scoreboard_free(&b);
}

/* One of those that wait is woken, and knows by whom. */
static void
test_leave(void **state)
{
	struct scoreboard *b = new_board(3, 1);
	struct pollfd p = { .fd = scoreboard_left(b), .events = POLLIN };
	pid_t pid;

	(void)state;
	assert_int_equal(poll(&p, 1, 0), 0);
	pid = fork();
	if (pid == 0) {
		scoreboard_leave(b, 2);
		_exit(0);
	}
	assert_int_equal(poll(&p, 1, 10000), 1);
	wait_child(pid);
	assert_int_equal(scoreboard_left_by(b), 2);
	scoreboard_free(&b);
}

static void
text_is(const char *method, const char *target, size_t target_len,
    const char *expected)
{
	struct scoreboard *b = new_board(1, 1);
	struct score_thread *t = scoreboard_thread(b, 0, 0);
	int64_t started;
	char text[1024];

	score_begin(t, method, strlen(method), target, target_len, 5);
	assert_true(score_read(t, text, sizeof(text), &started));
	assert_string_equal(text, expected);
	scoreboard_free(&b);
}

/* One line of a log: whatever the client sent cannot make two of it. */
static void
test_escapes(void **state)
{
	(void)state;
	text_is("GET", "/\n\r\0\x7f\xff", 6, "GET /\\x0a\\x0d\\x00\\x7f\\xff");
	text_is("GET", "/\"\\x", 4, "GET /\\x22\\x5cx");
	text_is("G\x1b[1m", "/", 1, "G\\x1b[1m /");
	text_is("", "", 0, " ");
}

/* Long names are cut, and a short buffer is never overrun. */
static void
test_lengths(void **state)
{
	struct scoreboard *b = new_board(1, 1);
	struct score_thread *t = scoreboard_thread(b, 0, 0);
	char target[2000], text[1024];
	int64_t started;

	(void)state;
	memset(target, 'x', sizeof(target));
	score_begin(t, target, sizeof(target), target, sizeof(target), 5);
	assert_true(score_read(t, text, sizeof(text), &started));
	assert_int_equal(strlen(text), SCORE_METHOD_MAX + 1 + SCORE_TARGET_MAX);
	memset(target, 1, sizeof(target));
	score_begin(t, target, sizeof(target), target, sizeof(target), 5);
	for (size_t room = 1; room < sizeof(text); room++) {
		memset(text, 'z', sizeof(text));
		assert_true(score_read(t, text, room, &started));
		assert_true(strlen(text) < room);
		assert_int_equal(text[room], 'z');
	}
	scoreboard_free(&b);
}

/*
 * Texts of one letter: a mixture of two is seen.  A request takes longer than
 * to note it down.
 */
static void
write_for_ever(struct score_thread *t)
{
	char text[SCORE_TARGET_MAX];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0;; i++) {
		size_t len = 1 + i % sizeof(text);

		memset(text, 'a' + (int)(i % 26), len);
		score_begin(t, text, len < SCORE_METHOD_MAX
			? len
			: SCORE_METHOD_MAX, text, len, 1 + i % 26);
		for (volatile int spin = 0; spin < 2000; spin++)
			;
		if (i % 3 == 0)
			score_end(t);
	}
}

static void
test_torn_reads(void **state)
{
	struct scoreboard *b = new_board(1, 1);
	struct score_thread *t = scoreboard_thread(b, 0, 0);
	size_t seen = 0;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0)
		write_for_ever(t);
	for (int i = 0; i < 20000 || seen < 100; i++) {
		char text[512];
		int64_t started;

		/* The kernel may stop the writer half-way. */
		if (!score_read(t, text, sizeof(text), &started) ||
		    strcmp(text, SCORE_HALF_WRITTEN) == 0)
			continue;
		seen++;
		for (const char *p = text; *p != '\0'; p++)
			if (*p != ' ' && *p != text[0])
				fail_msg("torn: %s", text);
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	scoreboard_free(&b);
}

/*
 * A writer that died between two words does not hold up the reader, who is
 * told so, in a short buffer as well.
 */
static void
test_writer_died(void **state)
{
	struct scoreboard *b = new_board(1, 1);
	struct score_thread *t = scoreboard_thread(b, 0, 0);
	int64_t started;
	char text[512];

	(void)state;
	begin(t, "GET", "/", 7);
	t->sequence++;
	t->words[0] |= 0xffff; /* both lengths, in either byte order */
	t->words[0] |= UINT64_C(0xffff) << 48;
	assert_true(score_read(t, text, sizeof(text), &started));
	assert_int_equal(started, 7);
	assert_string_equal(text, SCORE_HALF_WRITTEN);
	memset(text, 'z', sizeof(text));
	assert_true(score_read(t, text, 10, &started));
	assert_string_equal(text, "a request");
	assert_int_equal(text[10], 'z');

	/* Before it noted when: not even that there is one is known. */
	t->started_ms = 0;
	assert_false(score_read(t, text, sizeof(text), &started));
	assert_string_equal(text, "");
	scoreboard_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_across_fork),
		cmocka_unit_test(test_event),
		cmocka_unit_test(test_leave),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_torn_reads),
		cmocka_unit_test(test_writer_died),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
