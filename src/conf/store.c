/* SPDX-License-Identifier: MIT */
#include "conf/store.h"

#include <string.h>

#include "base/err.h"
#include "conf/value.h"

/* Longer values are cut in error lines. */
#define SHOWN_BYTES 64

struct store *
store_of(struct settings *s)
{
	return (struct store *)(void *)s;
}

const struct store *
store_of_const(const struct settings *s)
{
	return (const struct store *)(const void *)s;
}

const char *
source_text(struct arena *a, const struct source *source)
{
	switch (source->kind) {
	case SOURCE_DEFAULT:
		return "default";
	case SOURCE_FALLBACK:
	case SOURCE_VARIABLE:
		return "environment";
	case SOURCE_PASTE:
	case SOURCE_FILE:
		if (source->line == 0)
			return source->name;
		return arena_fmt(a, "%s, line %u", source->name, source->line);
	case SOURCE_CMD_ARGS:
		return source->name;
	case SOURCE_ARGV:
		return "command line";
	}
	return NULL;
}

void
written_blame(const struct written *w, struct err *err)
{
	struct arena scratch = { 0 };
	const char *source = source_text(&scratch, &w->source);

	err_prefix(err, "%s (%s): ", w->subject,
	    source != NULL ? source : "?");
	arena_fini(&scratch);
}

/* A list of a command line, or of one file, may be given bit by bit. */
static bool
same_source(const struct source *a, const struct source *b)
{
	return a->kind == b->kind && a->kind >= SOURCE_CMD_ARGS;
}

/* more, with what is there in front. */
static int
append(struct store *st, const struct setting *s, struct value *more,
    struct err *err)
{
	struct value old;
	const char **both;

	value_load(&st->settings, s, &old);
	both = arena_alloc(&st->arena,
	    (old.list.count + more->list.count + 1) * sizeof(*both));
	if (both == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	for (size_t i = 0; i < old.list.count; i++)
		both[i] = old.list.items[i];
	for (size_t i = 0; i < more->list.count; i++)
		both[old.list.count + i] = more->list.items[i];
	more->list.items = both;
	more->list.count += old.list.count;
	return 0;
}

static int
keep(struct store *st, const struct setting *s, struct value *v,
    const struct written *w, struct err *err)
{
	struct slot *slot = &st->slots[setting_id(s)];

	if (s->kind == KIND_LIST &&
	    same_source(&slot->written.source, &w->source) &&
	    append(st, s, v, err) != 0)
		return -1;
	value_store(&st->settings, s, v);
	slot->written = *w;
	return 0;
}

int
store_text(struct store *st, const struct setting *s, const char *text,
    bool commas, const struct written *w, struct err *err)
{
	struct value v;

	if (value_parse(&st->arena, s, text, commas, &v, err) != 0 ||
	    keep(st, s, &v, w, err) != 0) {
		written_blame(w, err);
		return -1;
	}
	return 0;
}

int
store_list(struct store *st, const struct setting *s,
    const char *const *items, size_t count, const struct written *w,
    struct err *err)
{
	struct value v;

	if (value_list(&st->arena, s, items, count, &v, err) != 0 ||
	    keep(st, s, &v, w, err) != 0) {
		written_blame(w, err);
		return -1;
	}
	return 0;
}

const char *
shown(struct arena *a, const char *text)
{
	size_t len = strnlen(text, SHOWN_BYTES + 1);
	bool cut = len > SHOWN_BYTES;
	char *copy;

	copy = arena_fmt(a, "%.*s%s", (int)(cut ? SHOWN_BYTES : len), text,
	    cut ? "..." : "");
	if (copy == NULL)
		return "?";
	for (char *c = copy; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return copy;
}

bool
store_warn(struct store *st, const char *text)
{
	const char **all = arena_alloc(&st->arena,
	    (st->warnings.count + 1) * sizeof(*all));

	if (all == NULL || text == NULL)
		return false;
	for (size_t i = 0; i < st->warnings.count; i++)
		all[i] = st->warnings.items[i];
	all[st->warnings.count] = text;
	st->warnings = (struct strlist){ all, st->warnings.count + 1 };
	return true;
}
