/* SPDX-License-Identifier: MIT */
/* bicorn(8): settings, then run, check or print. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arbiter/arbiter.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/title.h"
#include "conf/conf.h"
#include "log/log.h"
#include "worker/helper.h"

static int
complain(const char *text)
{
	log_complain("error", text);
	return 1;
}

static int
check(const struct settings *s, FILE *out)
{
	struct err err = { "" };

	if (arbiter_check(s, &err) != 0)
		return complain(err.text);
	/* What a start would say to the log. */
	for (size_t i = 0; i < s->warnings.count; i++)
		log_complain("warning", s->warnings.items[i]);
	fprintf(out, "bicorn: %s: the application and its settings are fine\n",
	    s->app);
	return 0;
}

static int
say(enum conf_action action, const struct settings *s, FILE *out)
{
	switch (action) {
	case CONF_RUN:
		break;
	case CONF_CHECK:
		return check(s, out);
	case CONF_PRINT:
		settings_print(s, out);
		break;
	case CONF_EXPLAIN:
		settings_explain(s, out);
		break;
	case CONF_HELP:
		conf_help(out);
		break;
	case CONF_VERSION:
		conf_version(out);
		break;
	}
	return 0;
}

/* What goes to stdout counts only when it got there: it is written at once. */
static int
print(enum conf_action action, const struct settings *s)
{
	struct err err = { "" };
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int status;

	if (out == NULL)
		return complain(strerror(errno));
	status = say(action, s, out);
	if (fclose(out) != 0 || fd_write_all(STDOUT_FILENO, text, len) != 0) {
		err_sys(&err, "cannot write to the standard output");
		status = complain(err.text);
	}
	free(text);
	return status;
}

static int
act(enum conf_action action, int argc, char *const *argv, struct settings *s,
    struct title *title)
{
	int status;

	if (action == CONF_RUN)
		return arbiter_run(argc, argv, s, title);
	status = print(action, s);
	settings_free(&s);
	return status;
}

int
main(int argc, char **argv)
{
	const struct conf_evaluator python = { helper_evaluate, NULL };
	enum conf_action action = CONF_RUN;
	struct settings *s = NULL;
	struct title title;
	struct err err;
	int status = 1;

	if (fd_standard() != 0) {
		err_sys(&err, "/dev/null");
		return complain(err.text);
	}
	if (title_init(&title, argc, argv) != 0)
		return complain(strerror(errno));
	if (settings_load(argc, title.argv, &python, &s, &action,
		&status, &err) == 0)
		status = act(action, argc, title.argv, s, &title);
	else
		complain(err.text);
	title_fini(&title);
	return status;
}
