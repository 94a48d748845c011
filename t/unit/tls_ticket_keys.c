/* SPDX-License-Identifier: MIT */
/* Keys for session tickets come, serve, and are forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bulletin.h"
#include "base/err.h"
#include "tls/ticket_keys.h"

#define LIFETIME 1000

static struct bulletin *
make(void)
{
	struct err err;
	struct bulletin *b = ticket_keys_new(&err);

	assert_non_null(b);
	return b;
}

static struct ticket_keys
rotate(struct bulletin *b, int64_t now_s)
{
	struct ticket_keys keys;
	struct err err;

	assert_int_equal(ticket_keys_rotate(b, LIFETIME, now_s, &err), 0);
	assert_true(ticket_keys_get(b, &keys));
	assert_int_equal(keys.keys[0].made_s, now_s);
	return keys;
}

static void
test_rotation(void **state)
{
	struct bulletin *b = make();
	struct ticket_keys first, second, third, keys;

	(void)state;
	assert_false(ticket_keys_get(b, &keys));
	assert_int_equal(ticket_keys_due_s(b), 0);
	first = rotate(b, 5000);
	assert_int_equal(first.count, 1);
	assert_int_equal(ticket_keys_due_s(b), 6000);
	second = rotate(b, 6000);
	assert_int_equal(second.count, 2);
	assert_memory_equal(&second.keys[1], &first.keys[0],
	    sizeof(first.keys[0]));
	assert_memory_not_equal(second.keys[0].secret, first.keys[0].secret,
	    TICKET_SECRET_LEN);
	third = rotate(b, 7000);
	assert_int_equal(third.count, 3); /* its tickets are just expiring */
	third = rotate(b, 8000);
	assert_int_equal(third.count, 3);
	assert_memory_equal(&third.keys[2], &second.keys[0],
	    sizeof(second.keys[0]));
	bulletin_free(&b);
}

/* Of a clock that was set back, keys of the future are not kept. */
static void
test_clock(void **state)
{
	struct bulletin *b = make();

	(void)state;
	rotate(b, 5000);
	assert_int_equal(rotate(b, 4000).count, 1);
	bulletin_free(&b);
}

static int
read_text(struct bulletin *b, const void *text, size_t len, bool *changed)
{
	char path[] = "/tmp/ticket-keys-XXXXXX";
	int fd = mkstemp(path), rc;
	struct err err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	rc = ticket_keys_read(b, path, LIFETIME, changed, &err);
	if (rc != 0)
		assert_non_null(strstr(err.text, path));
	close(fd);
	unlink(path);
	return rc;
}

static void
test_file(void **state)
{
	struct bulletin *b = make();
	struct ticket_keys keys;
	unsigned char text[80 * 17];
	bool changed;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (unsigned char)(i * 7 + i / 256);
	assert_int_equal(read_text(b, text, 160, &changed), 0);
	assert_true(changed);
	assert_true(ticket_keys_get(b, &keys));
	assert_int_equal(keys.count, 2);
	assert_int_equal(keys.lifetime_s, LIFETIME);
	assert_memory_equal(keys.keys[1].name, text + 80, 16);
	assert_memory_equal(keys.keys[1].secret, text + 128, 32);
	assert_int_equal(read_text(b, text, 160, &changed), 0);
	assert_false(changed);
	assert_int_equal(read_text(b, text, 48, &changed), 0);
	assert_true(ticket_keys_get(b, &keys));
	assert_int_equal(keys.count, 1);
	assert_memory_equal(keys.keys[0].secret, text + 16, 32);
	/* What is wrong changes nothing. */
	assert_int_equal(read_text(b, text, 0, &changed), -1);
	assert_int_equal(read_text(b, text, 81, &changed), -1);
	assert_int_equal(read_text(b, text, sizeof(text), &changed), -1);
	assert_false(changed);
	assert_true(ticket_keys_get(b, &keys));
	assert_int_equal(keys.count, 1);
	bulletin_free(&b);
}

static void
test_successor(void **state)
{
	struct bulletin *old = make(), *new = make();
	struct ticket_keys keys, same;
	struct err err;
	int fd, fds[2];

	(void)state;
	assert_int_equal(ticket_keys_save(old, &fd, &err), -1);
	assert_int_equal(fd, -1);
	keys = rotate(old, 5000);
	assert_int_equal(ticket_keys_save(old, &fd, &err), 0);
	assert_int_equal(ticket_keys_restore(new, fd, &err), 0);
	assert_true(ticket_keys_get(new, &same));
	assert_memory_equal(&keys, &same, sizeof(keys));
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(ticket_keys_restore(new, fds[0], &err), -1);
	close(fds[1]);
	bulletin_free(&old);
	bulletin_free(&new);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_successor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
