/* SPDX-License-Identifier: MIT */
#include "conf/cli.h"

#include <string.h>

#include "base/err.h"
#include "conf/flags.h"
#include "conf/rules.h"

/* The words of one command line while they are read. */
struct reader {
	struct cli *cli;
	struct arena *arena;
	struct flags flags;
	char *const *words;
	size_t count;
	size_t at;        /* the next word */
	bool have_app;
};

/* Text of an error: a value as it would be typed. */
static const char *
typed(struct arena *a, const char *text)
{
	const char *copy = shown(a, text);

	if (*text != '\0' && strchr(text, ' ') == NULL)
		return copy;
	copy = arena_fmt(a, "'%s'", copy);
	return copy != NULL ? copy : "?";
}

static int
complain(struct reader *r, const char *word, struct err *err)
{
	const struct written w = {
		.source = { r->cli->kind, r->cli->variable, 0 },
		.subject = word != NULL ? typed(r->arena, word) : "?",
	};

	written_blame(&w, err);
	return -1;
}

static void
add(struct reader *r, struct given given)
{
	r->cli->given[r->cli->count++] = given;
}

static int
take_app(struct reader *r, const char *word, struct err *err)
{
	if (*word == '\0') {
		err_set(err, "the application has no name");
		return complain(r, word, err);
	}
	if (r->have_app) {
		err_set(err, "a second application");
		return complain(r, word, err);
	}
	r->have_app = true;
	add(r, (struct given){ .setting = &setting_table[SETTING_wsgi_app],
			   .text = word });
	return 0;
}

/*
 * Whether a word may be the value of the option in front of it.  As in
 * gunicorn, what looks like an option is none: --pid --daemon is a
 * forgotten value.
 */
static bool
looks_like_value(const char *word)
{
	if (word[0] != '-' || word[1] == '\0')
		return true;
	return (word[1] >= '0' && word[1] <= '9') || strchr(word, ' ') != NULL;
}

/* What stands for the value of an option in --help. */
static const char *
value_name(const struct flag *flag)
{
	if (flag->foreign != NULL)
		return "VALUE";
	return flag->extra != NULL ? flag->extra->arg : flag->setting->arg;
}

/*
 * Whether the value may be left out.  The next word is then taken for it
 * only if it is one: it could be the application.
 */
static bool
may_do_without(const struct reader *r, const struct flag *flag)
{
	struct err unused;

	return flag->setting != NULL && flag->setting->arg[0] == '[' &&
	    (r->at >= r->count ||
		rules_check(flag->setting, r->words[r->at], &unused) != 0);
}

/* The value of an option: the one attached, or the next word. */
static int
take_value(struct reader *r, const struct flag *flag, const char **text,
    struct err *err)
{
	if (*text != NULL && !flag_takes_value(flag)) {
		err_set(err, "takes no value");
		return -1;
	}
	if (*text != NULL || !flag_takes_value(flag) ||
	    may_do_without(r, flag))
		return 0;
	if (r->at < r->count && looks_like_value(r->words[r->at])) {
		*text = r->words[r->at++];
		return 0;
	}
	err_set(err, "needs a value, %s", value_name(flag));
	if (r->at < r->count && strcmp(r->words[r->at], "--") != 0)
		err_set(err, "needs a value; one that begins with - is "
			     "written with =");
	return -1;
}

static int
take_extra(struct reader *r, const struct extra *extra, const char *text,
    struct err *err)
{
	if (text == NULL) {
		r->cli->action = extra->action;
		return 0;
	}
	if (*text == '\0') {
		err_set(err, "needs the name of a file");
		return -1;
	}
	r->cli->config = text;
	return 0;
}

static int
take_flag(struct reader *r, const struct flag *flag, const char *text,
    struct err *err)
{
	char *name;

	if (take_value(r, flag, &text, err) != 0)
		return -1;
	if (flag->extra != NULL)
		return take_extra(r, flag->extra, text, err);
	name = arena_dup(r->arena, flag->name);
	if (name == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	add(r, (struct given){ flag->setting, flag->foreign, name, text,
			   !flag->off });
	return 0;
}

/* "--name", "--name=value" */
static int
take_long(struct reader *r, const char *word, struct err *err)
{
	struct span name = { word, strcspn(word, "=") };
	const struct flag *flag = flags_find(&r->flags, name, err);
	const char *value = word[name.len] == '=' ? word + name.len + 1 : NULL;

	if (flag == NULL || take_flag(r, flag, value, err) != 0)
		return complain(r, arena_dup(r->arena, name), err);
	return 0;
}

/* "-w", "-w4", "-w=4" */
static int
take_short(struct reader *r, const char *word, struct err *err)
{
	struct span name = { word, 2 };
	const struct flag *flag = flags_find(&r->flags, name, err);
	const char *value = NULL;

	if (word[2] != '\0')
		value = word + (word[2] == '=' ? 3 : 2);
	if (flag == NULL || take_flag(r, flag, value, err) != 0)
		return complain(r, word, err);
	return 0;
}

static bool
ended(const struct reader *r)
{
	return r->at >= r->count || r->cli->action == CONF_HELP ||
	    r->cli->action == CONF_VERSION;
}

int
cli_parse(struct cli *cli, struct arena *a, char *const *words, size_t count,
    struct err *err)
{
	struct reader r = { .cli = cli, .arena = a, .words = words,
		.count = count };
	bool only_apps = false;
	int rc = 0;

	cli->count = 0; /* each word is at most one */
	cli->given = arena_alloc(a, (count + 1) * sizeof(*cli->given));
	if (cli->given == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	if (flags_collect(&r.flags, a, err) != 0)
		return -1;
	while (rc == 0 && !ended(&r)) {
		const char *word = words[r.at++];

		if (!only_apps && strcmp(word, "--") == 0)
			only_apps = true;
		else if (only_apps || word[0] != '-' || word[1] == '\0')
			rc = take_app(&r, word, err);
		else if (word[1] == '-')
			rc = take_long(&r, word, err);
		else
			rc = take_short(&r, word, err);
	}
	return rc;
}

static int
apply_one(const struct cli *cli, const struct given *g, struct store *st,
    struct err *err)
{
	struct written w = { .source = { cli->kind, cli->variable, 0 } };
	const char *text = g->text;

	if (g->flag == NULL) /* APP itself */
		w.subject = typed(&st->arena, text);
	else if (text == NULL)
		w.subject = arena_dup(&st->arena, span_of(g->flag));
	else
		w.subject = arena_fmt(&st->arena, "%s %s", g->flag,
		    typed(&st->arena, text));
	if (w.subject == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	if (text == NULL)
		text = g->on ? "true" : "false";
	if (g->foreign != NULL) {
		text = arena_dup(&st->arena, span_of(text));
		foreign_store(st, g->foreign, text, &w);
		return 0;
	}
	return store_text(st, g->setting, text,
	    !setting_keeps_commas(g->setting), &w, err);
}

int
cli_apply(const struct cli *cli, struct store *st, struct err *err)
{
	for (size_t i = 0; i < cli->count; i++)
		if (apply_one(cli, &cli->given[i], st, err) != 0)
			return -1;
	return 0;
}
