/* SPDX-License-Identifier: MIT */
/* The title that ps shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/title.h"

static struct title title;

/* What the kernel shows, up to the zeroes at its end. */
static void
expect(const char *want)
{
	size_t len = 0;
	char *text = fd_slurp("/proc/self/cmdline", 1 << 20, &len);

	assert_non_null(text);
	assert_string_equal(text, want);
	for (size_t i = strlen(text); i < len; i++)
		assert_int_equal(text[i], 0);
	free(text);
}

static void
test_shown(void **state)
{
	(void)state;
	title_set(&title, "bicorn: %s [%d]", "master", 42);
	expect("bicorn: master [42]");
	title_set(&title, "x");
	expect("x");
	title_set(&title, "bicorn: worker, a longer title than the one before");
	expect("bicorn: worker, a longer title than the one before");
}

static void
test_too_long_is_cut(void **state)
{
	char *text = malloc(1 << 20);

	(void)state;
	memset(text, 'y', 1 << 20);
	text[(1 << 20) - 1] = '\0';
	title_set(&title, "%s", text);
	title_set(&title, "short");
	expect("short");
	free(text);
}

static void
test_copies_survive(void **state)
{
	(void)state;
	title_set(&title, "something else");
	assert_non_null(strstr(title.argv[0], "base_title"));
	assert_null(title.argv[1]);
	assert_string_equal(getenv("BICORN_TITLE_TEST"), "kept");
	setenv("BICORN_TITLE_TEST_2", "new", 1);
	assert_string_equal(getenv("BICORN_TITLE_TEST_2"), "new");
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_too_long_is_cut),
		cmocka_unit_test(test_copies_survive),
	};
	int failed;

	/* What is in the environment at the start is what gets moved. */
	if (getenv("BICORN_TITLE_TEST") == NULL) {
		setenv("BICORN_TITLE_TEST", "kept", 1);
		execv("/proc/self/exe", argv);
		return 1;
	}
	if (title_init(&title, argc, argv) != 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	title_fini(&title);
	return failed;
}
