/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/err.h"
#include "conf/conf.h"
#include "conf/file.h"
#include "conf/store.h"

#include "files.h"

static char *
printed(void (*print)(FILE *out))
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	print(out);
	fclose(out);
	return text;
}

static char *
print_settings(const struct settings *s)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	settings_print(s, out);
	fclose(out);
	return text;
}

static struct settings *
load(int argc, const char *const *argv)
{
	struct settings *s = NULL;
	enum conf_action action;
	struct err err = { "" };
	int status;

	if (settings_load(argc, (char *const *)(uintptr_t)argv, NULL, &s,
		&action, &status, &err) != 0)
		fail_msg("%s", err.text);
	return s;
}

/* Every setting of both is the same text. */
static void
same(const struct settings *a, const struct settings *b)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const char *name = setting_table[i].name;
		const char *x = settings_text(a, name);
		const char *y = settings_text(b, name);

		if (x == NULL || y == NULL)
			assert_ptr_equal(x, y);
		else
			assert_string_equal(x, y);
	}
}

static void
test_print_again(void **state)
{
	char path[] = "/tmp/bicorn-dump-XXXXXX";
	const char *first[] = { "bicorn", "-c", "/dev/null", "-w", "auto",
		"--keep-alive", "0.25", "-e", "A=a \"quoted\\\" b, c\n\x01",
		"--limit-request-body", "5000000001", "--max-requests",
		"9000000000", "--no-sendfile", "--name", "caf\xc3\xa9",
		"--body-buffer", "1500", "--umask", "0022", "a:b(\"c\")" };
	const char *again[] = { "bicorn", "-c", path };
	struct settings *a, *b;
	char *text;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	a = load(sizeof(first) / sizeof(*first), first);
	text = print_settings(a);
	put_file(path, text);
	b = load(3, again);
	same(a, b);
	assert_true(b->workers_auto);
	free(text);
	settings_free(&a);
	settings_free(&b);
	unlink(path);
}

static void
test_sources(void **state)
{
	const char *argv[] = { "bicorn", "-c", "/dev/null", "-w", "3", "a" };
	struct settings *s;
	char *text;

	(void)state;
	setenv("BICORN_THREADS", "7", 1);
	setenv("PORT", "9", 1);
	setenv("BICORN_CMD_ARGS", "--backlog 5", 1);
	s = load(6, argv);
	text = print_settings(s);
	assert_non_null(strstr(text, "\nworkers = 3;                    "
				     "# command line\n"));
	assert_non_null(strstr(text, "\nthreads = 7;                    "
				     "# BICORN_THREADS\n"));
	assert_non_null(strstr(text, "\nbind = [ \"0.0.0.0:9\" ];         "
				     "# PORT\n"));
	assert_non_null(strstr(text, "\nbacklog = 5;                    "
				     "# BICORN_CMD_ARGS\n"));
	assert_non_null(strstr(text, "\nkeepalive = 75;                 "
				     "# default\n"));
	assert_non_null(strstr(text, "\nwsgi_app = \"a\";                 "
				     "# command line\n"));
	free(text);
	settings_free(&s);
	unsetenv("BICORN_THREADS");
	unsetenv("PORT");
	unsetenv("BICORN_CMD_ARGS");
}

/* etc/bicorn.conf with its settings uncommented is what is built in. */
static void
test_sample(void **state)
{
	const char *argv[] = { "bicorn", "-c", "/dev/null", "a" };
	struct settings *s = load(4, argv);
	struct err err = { "" };
	char *text = printed(conf_sample), *plain, *to;
	struct store st = { 0 };

	(void)state;
	/* As it is, it says nothing. */
	assert_int_equal(file_apply_text(&st, "x", text, strlen(text), &err),
	    0);
	assert_int_equal(st.slots[SETTING_threads].written.source.kind,
	    SOURCE_DEFAULT);
	to = plain = malloc(strlen(text) + 1);
	for (const char *at = text; *at != '\0'; at++)
		if (!(*at == '#' && at[1] >= 'a' && at[1] <= 'z'))
			*to++ = *at;
	*to = '\0';
	if (file_apply_text(&st, "x", plain, strlen(plain), &err) != 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < SETTING_COUNT; i++)
		assert_int_equal(st.slots[i].written.source.kind, SOURCE_FILE);
	assert_int_equal(st.settings.threads, s->threads);
	assert_int_equal(st.settings.keepalive_ms, s->keepalive_ms);
	assert_int_equal(st.settings.sendfile, s->sendfile);
	assert_string_equal(st.settings.access_log_format,
	    s->access_log_format);
	assert_int_equal(st.settings.secure_scheme_headers.count, 3);
	arena_fini(&st.arena);
	settings_free(&s);
	free(plain);
	free(text);
}

static void
narrow(const char *text, size_t most)
{
	for (; *text != '\0'; text += *text == '\n') {
		size_t len = strcspn(text, "\n");

		if (len > most && text[0] != '#')
			fail_msg("%zu columns: %.*s", len, (int)len, text);
		assert_null(memchr(text, '\t', len));
		text += len;
	}
}

/* Every row is in every text. */
static void
test_texts(void **state)
{
	char *help = printed(conf_help), *sample = printed(conf_sample);
	char *options = printed(conf_manual_options);
	char *file = printed(conf_manual_file);
	char *version = printed(conf_version);
	char want[256];

	(void)state;
	narrow(help, 79);
	narrow(sample, 79);
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting *s = &setting_table[i];
		struct span flag = flags_main(s->flags);

		snprintf(want, sizeof(want), "\n#%s = ", s->name);
		assert_non_null(strstr(sample, want));
		snprintf(want, sizeof(want), "\n.It Ic %s No = ", s->name);
		assert_non_null(strstr(file, want));
		if (s->flags == NULL)
			continue;
		snprintf(want, sizeof(want), " %.*s", (int)flag.len, flag.ptr);
		assert_non_null(strstr(help, want));
		snprintf(want, sizeof(want), "Fl %.*s", (int)flag.len - 1,
		    flag.ptr + 1);
		assert_non_null(strstr(options, want));
	}
	assert_non_null(strstr(version, "bicorn (version "));
	free(help);
	free(sample);
	free(options);
	free(file);
	free(version);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_print_again),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_sample),
		cmocka_unit_test(test_texts),
	};

	/* What the developer's shell exports is none of our business. */
	clearenv();
	/* The environment also said how results are to be printed. */
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
