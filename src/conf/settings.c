/* SPDX-License-Identifier: MIT */
/* Where all sources of settings come together, in order of precedence. */
#include "conf/conf.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/must.h"
#include "conf/cli.h"
#include "conf/derive.h"
#include "conf/env.h"
#include "conf/file.h"
#include "conf/groups.h"
#include "conf/python.h"
#include "conf/store.h"
#include "conf/value.h"
#include "conf/words.h"

#define STATUS_SETTING 1
#define STATUS_COMMAND_LINE 2

/* The two command lines. */
struct lines {
	struct arena arena;
	struct cli argv;
	struct cli cmd_args;
	const struct conf_evaluator *python;
	int argc;
	char *const *words; /* of argv */
};

static int
apply_defaults(struct store *st, struct err *err)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting *s = &setting_table[i];
		const struct written w = { .subject = s->name };

		if (store_text(st, s, s->def, true, &w, err) != 0)
			return -1;
	}
	return 0;
}

static int
parse_cmd_args(struct lines *l, struct err *err)
{
	const char *text = env_get("BICORN_CMD_ARGS");
	char *const *words;
	size_t count;

	l->cmd_args.variable = "BICORN_CMD_ARGS";
	if (text == NULL) {
		text = env_get("GUNICORN_CMD_ARGS");
		l->cmd_args.variable = "GUNICORN_CMD_ARGS";
	}
	if (text == NULL)
		return 0;
	if (words_split(&l->arena, text, &words, &count, err) != 0) {
		err_prefix(err, "%s (environment): ", l->cmd_args.variable);
		return -1;
	}
	return cli_parse(&l->cmd_args, &l->arena, words, count, err);
}

static bool
wants_settings(enum conf_action action)
{
	return action != CONF_HELP && action != CONF_VERSION;
}

/* Finds out what the words of both command lines are. */
static int
parse_lines(struct lines *l, int argc, char *const *argv, struct err *err)
{
	if (argc > 0 && cli_parse(&l->argv, &l->arena, argv + 1,
			    (size_t)argc - 1, err) != 0)
		return -1;
	/* --help works whatever the environment says. */
	return wants_settings(l->argv.action) ? parse_cmd_args(l, err) : 0;
}

/* The file that was named; NULL: none was. */
static const char *
named_file(const struct lines *l)
{
	if (l->argv.config != NULL)
		return l->argv.config;
	if (l->cmd_args.config != NULL)
		return l->cmd_args.config;
	return env_get("BICORN_CONFIG");
}

static enum conf_action
wanted_action(const struct lines *l)
{
	return l->argv.action != CONF_RUN ? l->argv.action :
					    l->cmd_args.action;
}

/* The texts of settings_text(), made once so that any thread may ask. */
static int
make_texts(struct store *st, struct err *err)
{
	struct buf b = { 0 };
	bool ok = true;

	for (size_t i = 0; ok && i < SETTING_COUNT; i++) {
		struct value v;

		b.len = 0;
		value_load(&st->settings, &setting_table[i], &v);
		ok = value_plain(&b, &setting_table[i], &v);
		if (!ok || b.len == 0)
			continue;
		st->slots[i].text = arena_dup(&st->arena,
		    (struct span){ b.data, b.len });
		ok = st->slots[i].text != NULL;
	}
	buf_fini(&b);
	if (!ok)
		err_set(err, "out of memory");
	return ok ? 0 : -1;
}

/* What Python shows of the start: sys.path, sys.argv. */
static int
note_start(struct store *st, const struct lines *l, struct err *err)
{
	struct settings *s = &st->settings;
	char here[PATH_MAX];

	s->command = arena_dup(&st->arena,
	    span_of(l->argc > 0 ? l->words[0] : ""));
	for (int i = 1; s->command != NULL && i < l->argc; i++)
		s->command = arena_fmt(&st->arena, "%s\n%s", s->command,
		    l->words[i]);
	/* Without a directory there is none to find modules in. */
	if (getcwd(here, sizeof(here)) == NULL)
		return 0;
	s->start_dir = arena_dup(&st->arena, span_of(here));
	if (s->start_dir != NULL && s->command != NULL)
		return 0;
	err_set(err, "out of memory");
	return -1;
}

/*
 * The settings without those of the file, for the Python that reads it: it
 * runs in a virtual environment, and finds modules, as the workers will.
 */
static int
make_base(struct store *base, void *arg, struct err *err)
{
	const struct lines *l = arg;

	if (apply_defaults(base, err) != 0 || env_apply(base, err) != 0 ||
	    cli_apply(&l->cmd_args, base, err) != 0 ||
	    cli_apply(&l->argv, base, err) != 0 ||
	    env_fallback(base, err) != 0)
		return -1;
	base->settings.app = base->settings.wsgi_app;
	return note_start(base, l, err) != 0 ? -1 : make_texts(base, err);
}

/* All sources in rising precedence; *status_out says whose fault it is. */
static int
apply_all(struct store *st, struct lines *l, int *status_out,
    struct err *err)
{
	const struct python p = { l->python, make_base, l };

	*status_out = STATUS_SETTING;
	if (apply_defaults(st, err) != 0 ||
	    file_apply(st, named_file(l), &p, err) != 0 ||
	    env_apply(st, err) != 0)
		return -1;
	*status_out = STATUS_COMMAND_LINE;
	if (cli_apply(&l->cmd_args, st, err) != 0 ||
	    cli_apply(&l->argv, st, err) != 0)
		return -1;
	*status_out = STATUS_SETTING;
	if (python_paste(st, &p, err) != 0 || env_fallback(st, err) != 0)
		return -1;
	return derive(st, err);
}

/* What settings_text() says of names that are no settings. */
static const char *
other_text(const struct store *st, const char *name)
{
	const struct foreign *f = foreign_find(name);

	if (strcmp(name, "config") == 0)
		return st->settings.file_path;
	if (strcmp(name, "target") == 0)
		return st->settings.app;
	if (strcmp(name, "start_dir") == 0)
		return st->settings.start_dir;
	if (strcmp(name, "command") == 0)
		return st->settings.command;
	return f != NULL ? st->foreign[f - foreign_table].text : NULL;
}

static int
need_app(const struct settings *s, enum conf_action action, int *status_out,
    struct err *err)
{
	if (s->app != NULL || action == CONF_PRINT || action == CONF_EXPLAIN)
		return 0;
	*status_out = STATUS_COMMAND_LINE;
	err_set(err, "No application module specified: bicorn [OPTIONS] APP, "
		     "for example bicorn -w 4 myapp:app; see bicorn --help");
	return -1;
}

/* Everything behind the command lines, when settings are wanted. */
static int
load(struct lines *l, enum conf_action action, struct settings **out,
    int *status_out, struct err *err)
{
	struct store *st = calloc(1, sizeof(*st));

	*status_out = STATUS_SETTING;
	if (st == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	*out = &st->settings;
	st->explains = action == CONF_EXPLAIN;
	if (note_start(st, l, err) != 0 ||
	    apply_all(st, l, status_out, err) != 0 ||
	    make_texts(st, err) != 0 ||
	    need_app(*out, action, status_out, err) != 0) {
		settings_free(out);
		return -1;
	}
	st->settings.warnings = st->warnings;
	*status_out = 0;
	return 0;
}

int
settings_load(int argc, char *const *argv,
    const struct conf_evaluator *python, struct settings **out,
    enum conf_action *action_out, int *status_out, struct err *err)
{
	struct lines l = { .argv = { .kind = SOURCE_ARGV },
		.cmd_args = { .kind = SOURCE_CMD_ARGS },
		.python = python,
		.argc = argc,
		.words = argv };
	struct err unused;
	int rc;

	*out = NULL;
	*action_out = CONF_RUN;
	*status_out = STATUS_COMMAND_LINE;
	if (err == NULL)
		err = &unused;
	rc = parse_lines(&l, argc, argv, err);
	if (rc == 0) {
		*action_out = wanted_action(&l);
		*status_out = 0;
		if (wants_settings(*action_out))
			rc = load(&l, *action_out, out, status_out, err);
	}
	arena_fini(&l.arena);
	return rc;
}

void
settings_free(struct settings **sp)
{
	if (*sp == NULL)
		return;
	groups_fini(&(*sp)->listen);
	arena_fini(&store_of(*sp)->arena);
	free(store_of(*sp));
	*sp = NULL;
}

const char *
settings_text(const struct settings *s, const char *name)
{
	const struct setting *row = setting_find(name);

	if (row == NULL)
		return other_text(store_of_const(s), name);
	return store_of_const(s)->slots[setting_id(row)].text;
}

void
settings_blame(const struct settings *s, const char *name, struct err *err)
{
	const struct setting *row = setting_find(name);
	const struct written *w;

	must(row != NULL);
	w = &store_of_const(s)->slots[setting_id(row)].written;
	if (w->subject != NULL)
		written_blame(w, err);
}
