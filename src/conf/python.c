/* SPDX-License-Identifier: MIT */
#include "conf/python.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "conf/foreign.h"
#include "conf/store.h"
#include "conf/suggest.h"

/* A misspelt name is as near as this to the right one. */
#define NEAR 2

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool
ends(const char *text, const char *with)
{
	size_t a = strlen(text), b = strlen(with);

	return a >= b && strcmp(text + a - b, with) == 0;
}

bool
python_is_named(const char *name)
{
	const char *slash = strrchr(name, '/');

	return begins(name, "python:") || ends(name, ".py") ||
	    begins(slash != NULL ? slash + 1 : name, "gunicorn");
}

/* --- one value ----------------------------------------------------------- */

/* What takes the values of one file. */
struct taker {
	struct store *st;
	enum source_kind kind;
	const char *file;   /* as it is called in errors */
	const char *others; /* names of data that are no settings, or NULL */
};

static int
no_memory(struct err *err)
{
	err_set(err, "out of memory");
	return -1;
}

static bool
is_imported(const struct conf_value *v)
{
	return v->texts.count > 0 && strcmp(v->texts.items[0], "own") != 0;
}

static bool
is_class(const struct conf_value *v)
{
	return v->kind == CONF_OTHER && v->texts.count == 2;
}

/* The value as one text, as it would be typed; NULL: out of memory. */
static char *
one_text(struct arena *a, const struct conf_value *v)
{
	char *text = arena_dup(a, span_of(""));

	if (v->kind == CONF_HOOK)
		return arena_dup(a, span_of("a function"));
	for (size_t i = 0; text != NULL && i < v->texts.count; i++) {
		text = arena_fmt(a, "%s%s%s", text, i > 0 ? "," : "",
		    v->texts.items[i]);
		if (is_class(v))
			break;
	}
	return text;
}

static int
wrong_type(const struct setting *s, const struct written *w,
    struct err *err)
{
	static const char *const wants[] = {
		[KIND_BOOL] = "True or False",
		[KIND_INT] = "a whole number",
		[KIND_TIME] = "a number of seconds",
		[KIND_SIZE] = "a number of bytes",
		[KIND_TEXT] = "a string",
		[KIND_LIST] = "a list of strings, or one",
	};

	err_set(err, "must be %s", wants[s->kind]);
	written_blame(w, err);
	return -1;
}

static int
apply_list(struct store *st, const struct setting *s,
    const struct conf_value *v, const struct written *w, struct err *err)
{
	return store_list(st, s, v->texts.items, v->texts.count, w, err);
}

static int
apply_setting(const struct taker *t, const struct setting *s,
    const struct conf_value *v, const struct written *w, struct err *err)
{
	const char *text = v->texts.count > 0 ? v->texts.items[0] : "";

	if (v->kind == CONF_LIST && s->kind == KIND_LIST)
		return apply_list(t->st, s, v, w, err);
	/* None, and no text where there has to be one, is the default. */
	if (v->kind == CONF_NONE ||
	    (v->kind == CONF_TEXT && *text == '\0' && *s->def != '\0'))
		return 0;
	if (v->kind == CONF_LIST || v->kind == CONF_HOOK ||
	    (v->kind == CONF_OTHER && !is_class(v)) ||
	    (v->kind == CONF_TRUTH && s->kind != KIND_BOOL &&
		s->kind != KIND_TEXT))
		return wrong_type(s, w, err);
	return store_text(t->st, s, text, !setting_keeps_commas(s), w, err);
}

static int
apply_hook(const struct taker *t, const struct foreign *f,
    const struct conf_value *v, const struct written *w, struct err *err)
{
	const char *place;

	if (v->kind == CONF_NONE)
		return 0;
	if (v->kind != CONF_HOOK) {
		err_set(err, "must be a function");
		written_blame(w, err);
		return -1;
	}
	place = source_text(&t->st->arena, &w->source);
	if (place == NULL)
		return no_memory(err);
	foreign_store(t->st, f, place, w);
	return 0;
}

static int
apply_foreign(const struct taker *t, const struct foreign *f,
    const struct conf_value *v, const struct written *w, struct err *err)
{
	const char *text;

	if (f->verdict == VERDICT_HOOK)
		return apply_hook(t, f, v, w, err);
	/* Options of the command line: --check-config. */
	if (v->kind == CONF_NONE || foreign_is_own(f))
		return 0;
	text = one_text(&t->st->arena, v);
	if (text == NULL)
		return no_memory(err);
	foreign_store(t->st, f, text, w);
	return 0;
}

/* Offers the names of gunicorn's hooks and settings as well. */
static void
suggest_foreign(struct suggest *g)
{
	for (size_t i = 0; i < FOREIGN_COUNT; i++)
		suggest_offer(g, span_of(foreign_table[i].name),
		    span_of(foreign_table[i].name));
}

/*
 * A settings file is a program and may have names of its own.  Those that
 * are nearly a setting are told one by one, the rest together.
 */
static int
apply_unknown(struct taker *t, const struct conf_value *v,
    const struct written *w, struct err *err)
{
	struct suggest g = suggest_for(span_of(v->name));
	struct arena *a = &t->st->arena;
	struct err line;

	if ((v->kind == CONF_HOOK && is_imported(v)) || is_class(v))
		return 0;
	suggest_settings(&g, false);
	suggest_foreign(&g);
	if (g.best.len > 0 && g.distance <= NEAR && strlen(v->name) > 4) {
		err_set(&line, "no such setting; did you mean %.*s?",
		    (int)g.best.len, g.best.ptr);
		written_blame(w, &line);
		return store_warn(t->st, arena_dup(a, span_of(line.text))) ?
		    0 : no_memory(err);
	}
	if (v->kind == CONF_HOOK)
		return 0;
	t->others = arena_fmt(a, "%s%s%s", t->others != NULL ? t->others : "",
	    t->others != NULL ? ", " : "", v->name);
	return t->others != NULL ? 0 : no_memory(err);
}

/* --- all of them --------------------------------------------------------- */

static int
add_variable(struct store *st, const struct conf_value *v, struct err *err)
{
	struct strlist *env = &st->settings.file_env;
	const char **all = arena_alloc(&st->arena,
	    (env->count + 1) * sizeof(*all));

	if (all == NULL)
		return no_memory(err);
	for (size_t i = 0; i < env->count; i++)
		all[i] = env->items[i];
	all[env->count] = arena_dup(&st->arena, span_of(v->texts.items[0]));
	if (all[env->count] == NULL)
		return no_memory(err);
	*env = (struct strlist){ all, env->count + 1 };
	return 0;
}

/* The server section counts only where nobody else has spoken. */
static bool
is_outdone(const struct taker *t, const struct setting *s)
{
	return t->kind == SOURCE_PASTE &&
	    t->st->slots[setting_id(s)].written.source.kind != SOURCE_DEFAULT;
}

static int
apply_named(struct taker *t, const struct conf_value *v, struct err *err)
{
	struct arena *a = &t->st->arena;
	const struct setting *s = setting_find(v->name);
	const struct foreign *f = foreign_find(v->name);
	struct written w = { .source = { t->kind, t->file, v->line } };
	const char *text = v->kind == CONF_NONE ? "None" : one_text(a, v);

	if (text != NULL)
		w.subject = arena_fmt(a, "%s = %s", shown(a, v->name),
		    shown(a, text));
	if (w.subject == NULL)
		return no_memory(err);
	if (s != NULL)
		return is_outdone(t, s) ? 0 : apply_setting(t, s, v, &w, err);
	if (f != NULL)
		return apply_foreign(t, f, v, &w, err);
	return apply_unknown(t, v, &w, err);
}

/* Workers read it again, in whatever directory they work. */
static int
keep_path(struct taker *t, struct err *err)
{
	struct settings *s = &t->st->settings;
	char *here;

	if (t->kind != SOURCE_FILE)
		return 0;
	s->file_path = t->file;
	if (t->file[0] == '/')
		return 0;
	here = getcwd(NULL, 0);
	if (here == NULL) {
		err_sys(err, "%s: working directory", t->file);
		return -1;
	}
	s->file_path = arena_fmt(&t->st->arena, "%s/%s", here, t->file);
	free(here);
	return s->file_path != NULL ? 0 : no_memory(err);
}

static int
take(void *arg, const struct conf_value *v, struct err *err)
{
	struct taker *t = arg;

	if (v->kind == CONF_SOURCE) {
		t->file = arena_dup(&t->st->arena,
		    span_of(v->texts.items[0]));
		return t->file != NULL ? keep_path(t, err) : no_memory(err);
	}
	if (v->kind == CONF_VARIABLE)
		return add_variable(t->st, v, err);
	return apply_named(t, v, err);
}

static int
evaluate(struct taker *t, const char *name, const struct python *p,
    struct err *err)
{
	struct store *base = calloc(1, sizeof(*base));
	struct settings *s;
	int rc = -1;

	if (base == NULL)
		return no_memory(err);
	s = &base->settings;
	if (p == NULL || p->with == NULL)
		err_set(err, "%s: settings in Python are not read here", name);
	else if (p->make_base(base, p->arg, err) == 0)
		rc = p->with->evaluate(p->with->own, s, name, take, t, err);
	settings_free(&s);
	if (rc != 0 || t->others == NULL)
		return rc;
	t->others = arena_fmt(&t->st->arena, "%s: no settings: %s", t->file,
	    t->others);
	return store_warn(t->st, t->others) ? 0 : no_memory(err);
}

int
python_apply(struct store *st, const char *name, const struct python *p,
    struct err *err)
{
	struct taker t = { st, SOURCE_FILE, name, NULL };

	st->settings.file = arena_dup(&st->arena, span_of(name));
	if (st->settings.file == NULL)
		return no_memory(err);
	return evaluate(&t, st->settings.file, p, err);
}

int
python_paste(struct store *st, const struct python *p, struct err *err)
{
	struct taker t = { st, SOURCE_PASTE, st->settings.paste, NULL };
	const char *name;

	if (st->settings.paste == NULL)
		return 0;
	name = arena_fmt(&st->arena, "paste=%s", st->settings.paste);
	return name != NULL ? evaluate(&t, name, p, err) : no_memory(err);
}
