/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ctype.h>

#include "conf/table.h"
#include "conf/value.h"

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting *s = &setting_table[i];
		bool number = s->kind == KIND_INT || s->kind == KIND_TIME ||
		    s->kind == KIND_SIZE;
		size_t len = strlen(s->help);

		assert_ptr_equal(setting_find(s->name), s);
		assert_int_equal(setting_id(s), i);
		assert_true(number == (s->max > 0));
		assert_true(s->min <= s->max);
		/* Only a switch needs no word for its value. */
		assert_true((s->kind == KIND_BOOL) == (s->arg == NULL));
		assert_true(len > 0 && s->help[len - 1] == '.');
		assert_true(isupper((unsigned char)s->help[0]));
		assert_true(s->flags == NULL || flags_main(s->flags).len > 3);
		/* The rows of a section stand together. */
		for (size_t j = 0; j < i; j++)
			if (strcmp(setting_table[j].section, s->section) == 0)
				assert_string_equal(s[-1].section, s->section);
	}
	assert_null(setting_find("nonsense"));
	assert_null(setting_find(""));
}

static void
test_flags_are_unique(void **state)
{
	struct span all[4 * SETTING_COUNT];
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < SETTING_COUNT + EXTRA_COUNT; i++) {
		const char *flags = i < SETTING_COUNT ?
		    setting_table[i].flags :
		    extra_table[i - SETTING_COUNT].flags;
		struct span flag;

		while (flags_next(&flags, &flag)) {
			assert_true(flag.len == 2 || flag.len > 3);
			for (size_t j = 0; j < count; j++)
				assert_false(span_eq(all[j], flag));
			all[count++] = flag;
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_flags_are_unique),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
