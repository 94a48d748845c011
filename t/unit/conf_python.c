/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "conf/python.h"
#include "conf/store.h"

/* What the process that runs the file would say. */
struct said {
	const char *name;
	enum conf_kind kind;
	const char *texts[3];
	size_t count;
};

static const struct said *the_values; /* ends with a name of NULL */

static int
evaluate(void *own, const struct settings *base, const char *name,
    conf_take_fn take, void *arg, struct err *err)
{
	static const char *const file[] = { "conf.py" };
	struct conf_value v = { "", 0, CONF_SOURCE, { file, 1 } };
	int rc = take(arg, &v, err);

	assert_null(own);
	assert_non_null(base);
	assert_string_equal(name, "conf.py");
	for (const struct said *s = the_values; rc == 0 && s->name; s++) {
		v = (struct conf_value){ s->name,
			(unsigned)(s - the_values) + 1, s->kind,
			{ s->texts, s->count } };
		rc = take(arg, &v, err);
	}
	return rc;
}

static int
make_base(struct store *base, void *arg, struct err *err)
{
	(void)base;
	(void)arg;
	(void)err;
	return 0;
}

static const struct conf_evaluator evaluator = { evaluate, NULL };
static const struct python python = { &evaluator, make_base, NULL };

/* The store after reading such a file, or NULL and err. */
static struct store *
apply(const struct said *values, struct err *err)
{
	struct store *st = calloc(1, sizeof(*st));
	struct settings *s = &st->settings;

	the_values = values;
	err->text[0] = '\0';
	if (python_apply(st, "conf.py", &python, err) == 0)
		return st;
	settings_free(&s);
	return NULL;
}

static void
done(struct store *st)
{
	struct settings *s = &st->settings;

	settings_free(&s);
}

static void
test_names(void **state)
{
	(void)state;
	assert_true(python_is_named("x.py"));
	assert_true(python_is_named("/etc/shop/gunicorn.conf"));
	assert_true(python_is_named("python:shop.conf"));
	assert_false(python_is_named("bicorn.conf"));
	assert_false(python_is_named("/etc/gunicorn/bicorn.conf"));
	assert_false(python_is_named("py"));
}

static void
test_values(void **state)
{
	static const struct said values[] = {
		{ "threads", CONF_NUMBER, { "7" }, 1 },
		{ "daemon", CONF_TRUTH, { "true" }, 1 },
		{ "bind", CONF_LIST, { ":1", ":2" }, 2 },
		{ "pythonpath", CONF_TEXT, { "a,b" }, 1 },
		{ "accesslog", CONF_NONE, { NULL }, 0 },
		{ "post_fork", CONF_HOOK, { "own" }, 1 },
		{ "A", CONF_VARIABLE, { "A=1" }, 1 },
		{ "wrokers", CONF_NUMBER, { "1" }, 1 },
		{ "colour", CONF_TEXT, { "red" }, 1 },
		{ "size", CONF_NUMBER, { "1" }, 1 },
		{ "helper", CONF_HOOK, { "imported" }, 1 },
		{ NULL, CONF_NONE, { NULL }, 0 },
	};
	struct err err;
	struct store *st = apply(values, &err);

	(void)state;
	assert_non_null(st);
	assert_int_equal(st->settings.threads, 7);
	assert_true(st->settings.daemon);
	assert_int_equal(st->settings.bind.count, 2);
	assert_string_equal(st->settings.bind.items[1], ":2");
	assert_int_equal(st->settings.pythonpath.count, 2);
	assert_int_equal(st->settings.file_env.count, 1);
	assert_string_equal(st->settings.file_env.items[0], "A=1");
	assert_string_equal(st->foreign[FOREIGN_post_fork].text,
	    "conf.py, line 6");
	assert_int_equal(st->warnings.count, 2);
	assert_string_equal(st->warnings.items[0], "wrokers = 1 (conf.py, "
	    "line 8): no such setting; did you mean workers?");
	assert_string_equal(st->warnings.items[1],
	    "conf.py: no settings: colour, size");
	assert_int_equal(st->settings.file_path[0], '/');
	done(st);
}

static void
refuses(const char *expected, struct said value)
{
	const struct said values[] = { value,
		{ NULL, CONF_NONE, { NULL }, 0 } };
	struct err err;

	assert_null(apply(values, &err));
	assert_string_equal(err.text, expected);
}

static void
test_refused(void **state)
{
	(void)state;
	refuses("threads = 0 (conf.py, line 1): must be 1..1024",
	    (struct said){ "threads", CONF_NUMBER, { "0" }, 1 });
	refuses("threads = true (conf.py, line 1): must be a whole number",
	    (struct said){ "threads", CONF_TRUTH, { "true" }, 1 });
	refuses("loglevel = a,b (conf.py, line 1): must be a string",
	    (struct said){ "loglevel", CONF_LIST, { "a", "b" }, 2 });
	refuses("bind = a function (conf.py, line 1): must be a list of "
		"strings, or one",
	    (struct said){ "bind", CONF_HOOK, { "own" }, 1 });
	refuses("on_exit = 1 (conf.py, line 1): must be a function",
	    (struct said){ "on_exit", CONF_NUMBER, { "1" }, 1 });
}

static void
test_without_python(void **state)
{
	const struct python none = { NULL, make_base, NULL };
	struct store *st = calloc(1, sizeof(*st));
	struct err err;

	(void)state;
	assert_int_equal(python_apply(st, "conf.py", &none, &err), -1);
	assert_non_null(strstr(err.text, "conf.py"));
	done(st);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_without_python),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
