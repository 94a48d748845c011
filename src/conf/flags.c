/* SPDX-License-Identifier: MIT */
#include "conf/flags.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/arena.h"
#include "conf/foreign.h"
#include "conf/suggest.h"

/* Flags of one row, and as many "--no-" forms. */
#define FLAGS_PER_ROW 8

static bool
begins(struct span s, struct span with)
{
	return s.len >= with.len && memcmp(s.ptr, with.ptr, with.len) == 0;
}

/* Adds "--no-sendfile" for "--sendfile". */
static int
add_negation(struct flags *f, struct arena *a, const struct flag *flag)
{
	struct flag *no = &f->items[f->count];
	char *name = arena_fmt(a, "--no-%.*s", (int)flag->name.len - 2,
	    flag->name.ptr + 2);

	if (name == NULL)
		return -1;
	*no = *flag;
	no->name = span_of(name);
	no->off = true;
	f->count++;
	return 0;
}

static int
add_row(struct flags *f, struct arena *a, const char *flags, struct flag flag)
{
	bool is_switch = flag.extra == NULL && !flag_takes_value(&flag);

	while (flags_next(&flags, &flag.name)) {
		/* The table's own --no- forms are made below anyway. */
		if (is_switch && flag.setting != NULL &&
		    begins(flag.name, SPAN("--no-")))
			continue;
		f->items[f->count++] = flag;
		if (is_switch && flag.name.len > 2 &&
		    add_negation(f, a, &flag) != 0)
			return -1;
	}
	return 0;
}

int
flags_collect(struct flags *f, struct arena *a, struct err *err)
{
	int rc = 0;

	f->count = 0;
	f->items = arena_alloc(a, sizeof(*f->items) * FLAGS_PER_ROW *
	    (SETTING_COUNT + EXTRA_COUNT + FOREIGN_COUNT));
	if (f->items == NULL)
		rc = -1;
	for (size_t i = 0; rc == 0 && i < EXTRA_COUNT; i++)
		rc = add_row(f, a, extra_table[i].flags,
		    (struct flag){ .extra = &extra_table[i] });
	for (size_t i = 0; rc == 0 && i < SETTING_COUNT; i++)
		rc = add_row(f, a, setting_table[i].flags,
		    (struct flag){ .setting = &setting_table[i] });
	for (size_t i = 0; rc == 0 && i < FOREIGN_COUNT; i++)
		if (!foreign_is_own(&foreign_table[i]))
			rc = add_row(f, a, foreign_table[i].flags,
			    (struct flag){ .foreign = &foreign_table[i] });
	if (rc != 0)
		err_set(err, "out of memory");
	return rc;
}

bool
flag_takes_value(const struct flag *flag)
{
	if (flag->extra != NULL)
		return flag->extra->arg != NULL;
	if (flag->foreign != NULL)
		return flag->foreign->takes != TAKES_NONE;
	return flag->setting->kind != KIND_BOOL;
}

const struct flag *
flags_exact(const struct flags *f, struct span name)
{
	for (size_t i = 0; i < f->count; i++)
		if (span_eq(f->items[i].name, name))
			return &f->items[i];
	return NULL;
}

static bool
same_meaning(const struct flag *a, const struct flag *b)
{
	return a->setting == b->setting && a->extra == b->extra &&
	    a->foreign == b->foreign && a->off == b->off;
}

/* The flag that begins with name; NULL and *several, with their names. */
static const struct flag *
find_prefix(const struct flags *f, struct span name, struct buf *several)
{
	const struct flag *found = NULL;
	bool one = true;

	for (size_t i = 0; i < f->count; i++) {
		const struct flag *flag = &f->items[i];

		if (!begins(flag->name, name))
			continue;
		/* Ours come first in the list, and in what is meant. */
		if (flag->foreign != NULL && found != NULL &&
		    found->foreign == NULL)
			continue;
		if (found == NULL)
			found = flag;
		else if (!same_meaning(found, flag))
			one = false;
		buf_fmt(several, "%s%.*s", several->len > 0 ? ", " : "",
		    (int)flag->name.len, flag->name.ptr);
	}
	return one ? found : NULL;
}

static void
say_unknown(struct span name, struct err *err)
{
	struct suggest g = suggest_for(name);

	/* Short flags are too short to guess. */
	if (name.len > 2)
		suggest_settings(&g, true);
	err_set(err, "no such option");
	if (g.best.len > 0)
		err_set(err, "no such option; did you mean %.*s?",
		    (int)g.best.len, g.best.ptr);
}

const struct flag *
flags_find(const struct flags *f, struct span name, struct err *err)
{
	const struct flag *found = flags_exact(f, name);
	struct buf several = { 0 };

	if (found != NULL)
		return found;
	/* "--" and "-w" have no longer forms. */
	if (name.len > 2 && begins(name, SPAN("--")))
		found = find_prefix(f, name, &several);
	if (found == NULL && several.len > 0)
		err_set(err, "may mean %.*s", (int)several.len, several.data);
	else if (found == NULL)
		say_unknown(name, err);
	buf_fini(&several);
	return found;
}
