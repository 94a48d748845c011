/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "score/ledger.h"

static struct ledger *
new_ledger(void)
{
	struct err err;
	struct ledger *l = ledger_new(&err);

	assert_non_null(l);
	return l;
}

static void
test_one_step(void **state)
{
	struct ledger *l = new_ledger();
	uint32_t look = ledger_look(l);

	(void)state;
	assert_true(ledger_seen(l, look));
	ledger_begin(l);
	assert_false(ledger_seen(l, look));
	assert_false(ledger_seen(l, ledger_look(l)));
	ledger_end(l);
	assert_false(ledger_seen(l, look));
	assert_true(ledger_seen(l, ledger_look(l)));
	ledger_free(&l);
	assert_null(l);
	ledger_free(&l);
}

static void
test_error_text(void **state)
{
	struct ledger *l = new_ledger();
	char text[LEDGER_TEXT], longer[2 * LEDGER_TEXT];

	(void)state;
	ledger_get_error(l, text);
	assert_string_equal(text, "");
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	ledger_set_error(l, longer);
	ledger_get_error(l, text);
	assert_int_equal(strlen(text), LEDGER_TEXT - 1);
	ledger_free(&l);
}

/* What one saves, the next has, together with the workers that lived. */
static void
test_saved(void **state)
{
	struct ledger *from = new_ledger(), *to = new_ledger();
	static struct score_counts live;
	int fd = memfd_create("saved", 0);

	(void)state;
	for (unsigned i = 0; i < COUNT_COUNT; i++)
		from->past.value[i] = i + 1;
	live.value[COUNT_ANSWERS_2XX] = 1000;
	for (unsigned i = 0; i < HIST_COUNT; i++)
		for (int64_t us = 1; us < INT64_C(1) << 40; us *= 3)
			hist_add(&from->past.hist[i], us + i);
	hist_add(&live.hist[HIST_APP], 5);
	from->restarts[RESTART_MEMORY] = 7;
	from->lost = 3;
	assert_int_equal(ledger_save(from, &live, fd), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(ledger_load(to, fd), 0);
	for (unsigned i = 0; i < COUNT_COUNT; i++)
		assert_int_equal(to->past.value[i],
		    i + 1 + (i == COUNT_ANSWERS_2XX ? 1000 : 0));
	hist_add(&from->past.hist[HIST_APP], 5);
	for (unsigned i = 0; i < HIST_COUNT; i++)
		assert_memory_equal(&to->past.hist[i], &from->past.hist[i],
		    sizeof(struct hist));
	assert_int_equal(to->restarts[RESTART_MEMORY], 7);
	assert_int_equal(to->lost, 3);
	close(fd);
	ledger_free(&from);
	ledger_free(&to);
}

/* From another version, or broken: what is known is taken. */
static void
test_strange_lines(void **state)
{
	static const char text[] = "requests 2xx 5\nnonsense\nnew - 9\n"
				   "hist_queue x 1\nhist_none 5 1\n"
				   "requests 9xx 3\nlost - 2\nlost";
	struct ledger *l = new_ledger();
	int fd = memfd_create("saved", 0);

	(void)state;
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(ledger_load(l, fd), 0);
	assert_int_equal(l->past.value[COUNT_ANSWERS_2XX], 5);
	assert_int_equal(counts_answers(&l->past), 5);
	assert_int_equal(l->lost, 2);
	close(fd);
	ledger_free(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_step),
		cmocka_unit_test(test_error_text),
		cmocka_unit_test(test_saved),
		cmocka_unit_test(test_strange_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
