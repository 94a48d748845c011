/* SPDX-License-Identifier: MIT */
/* --explain: every setting, and gunicorn's, and what becomes of it. */
#include <string.h>

#include "config.h"

#include "base/buf.h"
#include "conf/store.h"
#include "conf/value.h"

#define NAME_COLUMN 34
#define VALUE_COLUMN 26
#define SOURCE_COLUMN 24

static const char *const verdicts[] = {
	[VERDICT_HONOURED] = "honoured",
	[VERDICT_TRANSLATED] = "translated",
	[VERDICT_HOOK] = "honoured",
	[VERDICT_IGNORED] = "ignored",
	[VERDICT_REFUSED] = "refused",
};

/* One line; columns that are too narrow push the next ones on. */
static void
line(FILE *out, const char *name, const char *value, const char *source,
    const char *verdict, const char *why)
{
	fprintf(out, "%-*s  %-*s  %-*s  %s%s%s\n", NAME_COLUMN, name,
	    VALUE_COLUMN, value, SOURCE_COLUMN, source, verdict,
	    *why != '\0' ? ": " : "", why);
}

/* The name of the variable says more than "environment". */
static const char *
origin(struct arena *a, const struct source *source)
{
	const char *text = source->name;

	if (source->kind != SOURCE_FALLBACK &&
	    source->kind != SOURCE_VARIABLE)
		text = source_text(a, source);
	return text != NULL ? text : "?";
}

/* "-" stands for no value, so that each line has as many words. */
static const char *
value_of(struct buf *b, const struct settings *s, const struct setting *row)
{
	struct value v;

	b->len = 0;
	value_load(s, row, &v);
	if (v.automatic)
		return "auto";
	if (!value_plain(b, row, &v) || !buf_add(b, "", 1))
		return "?";
	return b->len > 1 ? b->data : "-";
}

static void
own(FILE *out, const struct store *st, const struct setting *row,
    struct buf *value, struct arena *a)
{
	const struct foreign *f = foreign_find(row->name);
	const char *verdict = "bicorn's own", *why = "";

	if (f != NULL) {
		verdict = verdicts[foreign_verdict(f)];
		if (foreign_verdict(f) == VERDICT_TRANSLATED)
			why = f->why;
	}
	if (setting_id(row) == SETTING_worker_class &&
	    foreign_worker_class(st->settings.worker_class) != NULL) {
		verdict = verdicts[VERDICT_REFUSED];
		why = foreign_worker_class(st->settings.worker_class);
	}
	line(out, row->name, shown(a, value_of(value, &st->settings, row)),
	    origin(a, &st->slots[setting_id(row)].written.source), verdict,
	    why);
}

static void
foreign(FILE *out, const struct store *st, size_t i, struct arena *a)
{
	const struct foreign *f = &foreign_table[i];
	const struct slot *slot = &st->foreign[i];
	const char *value = slot->text != NULL ? slot->text : f->def;

	if (setting_find(f->name) != NULL)
		return;
	if (strcmp(f->name, "config") == 0 && st->settings.file != NULL)
		value = st->settings.file;
	line(out, f->name, *value != '\0' ? shown(a, value) : "-",
	    slot->text != NULL ? origin(a, &slot->written.source) : "default",
	    verdicts[foreign_verdict_in(st, f)], f->why);
}

void
settings_explain(const struct settings *s, FILE *out)
{
	const struct store *st = store_of_const(s);
	struct arena scratch = { 0 };
	struct buf value = { 0 };

	fprintf(out, "# bicorn %s; settings file: %s\n", PACKAGE_VERSION,
	    s->file != NULL ? s->file : "none");
	line(out, "# setting", "value", "source", "for gunicorn's", "");
	for (size_t i = 0; i < SETTING_COUNT; i++)
		own(out, st, &setting_table[i], &value, &scratch);
	for (size_t i = 0; i < FOREIGN_COUNT; i++)
		foreign(out, st, i, &scratch);
	for (size_t i = 0; i < s->warnings.count; i++)
		fprintf(out, "# %s\n", s->warnings.items[i]);
	buf_fini(&value);
	arena_fini(&scratch);
}
