/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "conf/foreign.h"
#include "conf/store.h"

static void
test_table(void **state)
{
	(void)state;
	assert_int_equal(FOREIGN_COUNT, 119);
	for (size_t i = 0; i < FOREIGN_COUNT; i++) {
		const struct foreign *f = &foreign_table[i];
		bool own = foreign_is_own(f);

		assert_ptr_equal(foreign_find(f->name), f);
		/* What is not ours says why, and has a flag if it had one. */
		if (!own && f->why[0] == '\0')
			fail_msg("%s: no reason", f->name);
		if (own && f->verdict > VERDICT_HOOK)
			fail_msg("%s: is ours, but has the verdict of another",
			    f->name);
		if (!own && f->verdict < VERDICT_HOOK)
			fail_msg("%s: is not ours", f->name);
	}
	assert_null(foreign_find("nothing"));
	assert_true(foreign_is_own(foreign_find("check_config")));
	assert_true(foreign_is_own(foreign_find("config")));
	assert_false(foreign_is_own(foreign_find("post_fork")));
}

/* What foreign_check() makes of one value. */
static int
check(const char *name, const char *text, bool explains, struct err *err)
{
	struct store *st = calloc(1, sizeof(*st));
	struct settings *s = &st->settings;
	const struct written w = { .source = { SOURCE_ARGV, NULL, 0 },
		.subject = name };
	int rc;

	err->text[0] = '\0';
	st->explains = explains;
	foreign_store(st, foreign_find(name), text, &w);
	rc = foreign_check(st, err);
	if (rc == 0)
		rc = (int)st->warnings.count;
	settings_free(&s);
	return rc;
}

static void
test_check(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(check("worker_tmp_dir", "", false, &err), 0);
	assert_int_equal(check("worker_tmp_dir", "/x", false, &err), 1);
	assert_int_equal(check("worker_tmp_dir", "/x", true, &err), 0);
	assert_int_equal(check("dirty_workers", "0", false, &err), 0);
	assert_int_equal(check("dirty_workers", "2", false, &err), -1);
	assert_non_null(strstr(err.text, "dirty_workers (command line): "));
	assert_int_equal(check("dirty_workers", "2", true, &err), 0);
	assert_int_equal(check("http2_cleartext", "false", false, &err), 0);
	assert_int_equal(check("http2_cleartext", "no", false, &err), 0);
	assert_int_equal(check("http2_cleartext", "true", false, &err), -1);
	assert_int_equal(check("suppress_ragged_eofs", "true", false, &err),
	    0);
	assert_int_equal(check("suppress_ragged_eofs", "false", false, &err),
	    1);
}

static void
test_worker_class(void **state)
{
	(void)state;
	assert_null(foreign_worker_class("sync"));
	assert_null(foreign_worker_class("gthread"));
	assert_null(foreign_worker_class("egg:gunicorn#gthread"));
	assert_null(foreign_worker_class(
	    "gunicorn.workers.gthread.ThreadWorker"));
	assert_non_null(strstr(foreign_worker_class("gevent"), "threads"));
	assert_non_null(strstr(foreign_worker_class(
	    "uvicorn.workers.UvicornWorker"), "ASGI"));
	assert_non_null(strstr(foreign_worker_class("a.b.C"), "hooks"));
	assert_non_null(strstr(foreign_worker_class("x"), "gthread"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_worker_class),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
