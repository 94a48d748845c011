/* SPDX-License-Identifier: MIT */
#include "conf/file.h"

#include <libconfig.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

#include "base/err.h"
#include "conf/expand.h"
#include "conf/file_private.h"
#include "conf/foreign.h"
#include "conf/python.h"
#include "conf/rules.h"
#include "conf/store.h"
#include "conf/suggest.h"

#define NAME "bicorn.conf"
#define TEXT_OF(x) #x
#define DOTTED(a, b, c) TEXT_OF(a) "." TEXT_OF(b) "." TEXT_OF(c)

const char *
file_library(void)
{
	return DOTTED(LIBCONFIG_VER_MAJOR, LIBCONFIG_VER_MINOR,
	    LIBCONFIG_VER_REVISION);
}

/* --- a value of libconfig as text ---------------------------------------- */

/*
 * A number as number.c reads it; NULL when e is none, or is one with a
 * fraction where that has no sense.
 */
static const char *
number_text(struct arena *a, const config_setting_t *e, bool fraction)
{
	switch (config_setting_type(e)) {
	case CONFIG_TYPE_INT:
		return arena_fmt(a, "%d", config_setting_get_int(e));
	case CONFIG_TYPE_INT64:
		return arena_fmt(a, "%lld", config_setting_get_int64(e));
	case CONFIG_TYPE_FLOAT:
		if (fraction)
			return arena_fmt(a, "%.9f",
			    config_setting_get_float(e));
		return NULL;
	default:
		return NULL;
	}
}

/* The text for store_text(), or NULL when the type is wrong for s. */
static const char *
scalar_text(struct arena *a, const struct setting *s,
    const config_setting_t *e)
{
	const char *string = config_setting_get_string(e);

	switch (s->kind) {
	case KIND_BOOL:
		if (config_setting_type(e) == CONFIG_TYPE_BOOL)
			return config_setting_get_bool(e) ? "true" : "false";
		return NULL;
	case KIND_INT:
		if (setting_id(s) == SETTING_workers && string != NULL &&
		    strcmp(string, "auto") == 0)
			return string;
		return number_text(a, e, false);
	case KIND_TIME:
	case KIND_SIZE:
		if (string != NULL)
			return string;
		return number_text(a, e, s->kind == KIND_TIME);
	case KIND_TEXT:
		/* Of these a number is as good as a name. */
		if (string == NULL && (setting_id(s) == SETTING_user ||
			setting_id(s) == SETTING_group ||
			setting_id(s) == SETTING_cert_reqs))
			return number_text(a, e, false);
		if (config_setting_type(e) == CONFIG_TYPE_FLOAT &&
		    setting_id(s) == SETTING_tls_min_version)
			return arena_fmt(a, "%g", config_setting_get_float(e));
		return string;
	case KIND_LIST:
		return string;
	case KIND_GROUPS:
		return NULL;
	}
	return NULL;
}

/* How a value looks in an error line. */
static const char *
shown_value(struct arena *a, const config_setting_t *e)
{
	const char *text = NULL;

	switch (config_setting_type(e)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		text = number_text(a, e, false);
		break;
	case CONFIG_TYPE_FLOAT:
		text = arena_fmt(a, "%g", config_setting_get_float(e));
		break;
	case CONFIG_TYPE_BOOL:
		text = config_setting_get_bool(e) ? "true" : "false";
		break;
	case CONFIG_TYPE_STRING:
		text = arena_fmt(a, "\"%s\"",
		    shown(a, config_setting_get_string(e)));
		break;
	case CONFIG_TYPE_GROUP:
		text = "{ ... }";
		break;
	default:
		text = "[ ... ]";
		break;
	}
	return text != NULL ? text : "?";
}

/* --- one setting --------------------------------------------------------- */

struct written
file_written(struct store *st, const struct expansion *x,
    const config_setting_t *e, const char *name, const config_setting_t *value)
{
	struct place place = expand_place(x, config_setting_source_line(e));
	struct written w = { .source = { .kind = SOURCE_FILE,
				 .line = place.line } };

	/* The name of the file must outlive the expansion. */
	w.source.name = arena_dup(&st->arena, span_of(place.file));
	w.subject = arena_fmt(&st->arena, "%s = %s", name,
	    shown_value(&st->arena, value));
	if (w.source.name == NULL || w.subject == NULL)
		w = (struct written){ .subject = "out of memory" };
	return w;
}

static int
wrong_type(const struct setting *s, const struct written *w, struct err *err)
{
	static const char *const wants[] = {
		[KIND_BOOL] = "true or false, without quotes",
		[KIND_INT] = "a whole number, without quotes",
		[KIND_TIME] = "a number of seconds, or a text such as \"90s\"",
		[KIND_SIZE] = "a number of bytes, or a text such as \"64k\"",
		[KIND_TEXT] = "a text in double quotes",
		[KIND_LIST] = "a list of texts, [ \"...\", \"...\" ], or one",
	};

	err_set(err, "must be %s%s", wants[s->kind],
	    setting_id(s) == SETTING_workers ? ", or \"auto\"" : "");
	written_blame(w, err);
	return -1;
}

static bool
is_list(const config_setting_t *e)
{
	int type = config_setting_type(e);

	return type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST;
}

static int
apply_list(struct store *st, const struct expansion *x,
    const struct setting *s, const config_setting_t *e, const char *name,
    struct err *err)
{
	struct written w = file_written(st, x, e, name, e);
	unsigned count = (unsigned)config_setting_length(e);
	const char **items = arena_alloc(&st->arena,
	    (count + 1) * sizeof(*items));

	if (items == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	for (unsigned i = 0; i < count; i++) {
		const config_setting_t *item = config_setting_get_elem(e, i);
		struct written wi = file_written(st, x, e, name, item);

		items[i] = config_setting_get_string(item);
		if (items[i] == NULL)
			return wrong_type(s, &wi, err);
		if (rules_check(s, items[i], err) != 0) {
			written_blame(&wi, err);
			return -1;
		}
	}
	return store_list(st, s, items, count, &w, err);
}

/* A setting of gunicorn's, as text. */
static void
apply_foreign(struct store *st, const struct foreign *f,
    const config_setting_t *e, const struct written *w)
{
	const char *text = is_list(e) || config_setting_is_group(e) ? "..." :
	    config_setting_get_string(e);

	foreign_store(st, f, text != NULL ? arena_dup(&st->arena,
	    span_of(text)) : shown_value(&st->arena, e), w);
}

static int
unknown(const char *name, const struct written *w, struct err *err)
{
	struct suggest g = suggest_for(span_of(name));

	suggest_settings(&g, false);
	err_set(err, "no such setting");
	if (g.best.len > 0)
		err_set(err, "no such setting; did you mean %.*s?",
		    (int)g.best.len, g.best.ptr);
	written_blame(w, err);
	return -1;
}

int
file_setting(struct store *st, const struct expansion *x,
    const struct setting *s, const config_setting_t *e, const char *name,
    struct err *err)
{
	struct written w = file_written(st, x, e, name, e);
	const char *text = NULL;

	if (s->kind == KIND_LIST && is_list(e))
		return apply_list(st, x, s, e, name, err);
	if (!is_list(e) && !config_setting_is_group(e))
		text = scalar_text(&st->arena, s, e);
	if (text == NULL)
		return wrong_type(s, &w, err);
	return store_text(st, s, text, !setting_keeps_commas(s), &w, err);
}

static int
apply_one(struct store *st, const struct expansion *x,
    const config_setting_t *e, struct err *err)
{
	const char *name = config_setting_name(e);
	const struct setting *s = setting_find(name);
	struct written w = file_written(st, x, e, name, e);

	if (s != NULL && s->kind == KIND_GROUPS)
		return file_groups(st, x, s, e, err);
	if (config_setting_is_group(e)) {
		err_set(err, "settings stand by themselves, not in groups");
		written_blame(&w, err);
		return -1;
	}
	if (s == NULL && foreign_find(name) != NULL &&
	    foreign_find(name)->verdict != VERDICT_HOOK) {
		apply_foreign(st, foreign_find(name), e, &w);
		return 0;
	}
	if (s == NULL)
		return unknown(name, &w, err);
	return file_setting(st, x, s, e, name, err);
}

/* --- the whole file ------------------------------------------------------ */

static int
apply_all(struct store *st, const struct expansion *x, const config_t *tree,
    struct err *err)
{
	const config_setting_t *root = config_root_setting(tree);
	int count = config_setting_length(root);

	for (int i = 0; i < count; i++)
		if (apply_one(st, x, config_setting_get_elem(root, (unsigned)i),
			err) != 0)
			return -1;
	return 0;
}

static int
parse(struct store *st, const struct expansion *x, struct err *err)
{
	struct place place;
	config_t tree;
	int rc = -1;

	config_init(&tree);
	if (config_read_string(&tree, x->text.data) == CONFIG_TRUE) {
		rc = apply_all(st, x, &tree, err);
	} else {
		place = expand_place(x, (unsigned)config_error_line(&tree));
		err_set(err, "%s, line %u: %s", place.file, place.line,
		    config_error_text(&tree));
	}
	config_destroy(&tree);
	return rc;
}

int
file_apply_text(struct store *st, const char *name, const char *text,
    size_t len, struct err *err)
{
	struct expansion x = { 0 };
	int rc = -1;

	if (expand_text(&x, name, text, len, err) == 0)
		rc = parse(st, &x, err);
	expand_fini(&x);
	return rc;
}

/* The file that is read when none was named; NULL: there is none. */
static const char *
usual_path(void)
{
	static const char *const paths[] = { NAME, "gunicorn.conf.py",
		BICORN_SYSCONFDIR "/" NAME };

	/* One that is there but cannot be read is an error, not skipped. */
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		if (access(paths[i], F_OK) == 0)
			return paths[i];
	return NULL;
}

static int
read_file(struct store *st, const char *path, struct err *err)
{
	struct expansion x = { 0 };
	int rc = -1;

	st->settings.file = arena_dup(&st->arena, span_of(path));
	if (st->settings.file == NULL)
		err_set(err, "out of memory");
	else if (expand_file(&x, path, err) == 0)
		rc = parse(st, &x, err);
	expand_fini(&x);
	return rc;
}

static bool
is_python(const char *line)
{
	static const char *const signs[] = { "import ", "from ", "def " };

	for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++)
		if (strncmp(line, signs[i], strlen(signs[i])) == 0)
			return true;
	return strstr(line, "= '") != NULL || strstr(line, "= None") != NULL;
}

/* gunicorn reads a program whatever it is called. */
static void
hint_at_python(const char *path, struct err *err)
{
	struct err plain = *err;
	FILE *file = NULL;
	char line[256];
	bool found = false;
	struct stat st;

	/* A pipe is read once. */
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
		file = fopen(path, "re");
	while (file != NULL && !found &&
	    fgets(line, (int)sizeof(line), file) != NULL)
		found = is_python(line);
	if (file != NULL)
		fclose(file);
	if (found)
		err_set(err, "%s; if it is in Python, let its name end in .py",
		    plain.text);
}

int
file_apply(struct store *st, const char *path, const struct python *p,
    struct err *err)
{
	if (path == NULL)
		path = usual_path();
	if (path == NULL)
		return 0;
	if (strncmp(path, "file:", strlen("file:")) == 0)
		path += strlen("file:");
	if (python_is_named(path))
		return python_apply(st, path, p, err);
	if (read_file(st, path, err) == 0)
		return 0;
	hint_at_python(path, err);
	return -1;
}
