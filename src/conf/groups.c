/* SPDX-License-Identifier: MIT */
#include "conf/groups.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/derive.h"
#include "conf/store.h"
#include "conf/value.h"

bool
groups_names(const struct store *own, const struct setting *s)
{
	const struct slot *slot = &own->slots[setting_id(s)];

	return slot->written.subject != NULL && !slot->inherited;
}

/* --- as text -------------------------------------------------------------- */

static bool
conf_one(struct buf *b, const struct store *own, const struct setting *s,
    const char *before)
{
	struct value v;

	if (!groups_names(own, s))
		return true;
	value_load(&own->settings, s, &v);
	return buf_fmt(b, "%s%s = ", before, s->name) &&
	    value_conf(b, s, &v) && buf_str(b, ";");
}

static bool
conf_group(struct buf *b, const struct listen_group *g)
{
	bool ok = buf_str(b, "\n    {");

	for (size_t i = 0; ok && i < SETTING_COUNT; i++)
		if (!setting_is_of_tls(&setting_table[i]))
			ok = conf_one(b, g->own, &setting_table[i], " ");
	if (!g->tls)
		return ok && buf_str(b, " }");
	ok = ok && buf_str(b, "\n      tls = {");
	for (size_t i = 0; ok && i < SETTING_COUNT; i++)
		if (setting_is_of_tls(&setting_table[i]))
			ok = conf_one(b, g->own, &setting_table[i],
			    "\n        ");
	return ok && buf_str(b, " }; }");
}

bool
groups_conf(struct buf *b, const struct listen_groups *g)
{
	bool ok = buf_str(b, "(");

	for (size_t i = 0; ok && i < g->count; i++)
		ok = (i == 0 || buf_str(b, ",")) &&
		    conf_group(b, &g->items[i]);
	return ok && buf_str(b, g->count > 0 ? "\n)" : ")");
}

/* --- filling in ----------------------------------------------------------- */

/*
 * Keys belong to their certificates: a group with certificates of its own
 * does not get any from elsewhere.
 */
static bool
falls_back(const struct store *own, const struct setting *s)
{
	enum setting_id id = setting_id(s);

	if (groups_names(own, s))
		return false;
	if (id != SETTING_certfile && id != SETTING_keyfile &&
	    id != SETTING_certdir)
		return true;
	return !groups_names(own, &setting_table[SETTING_certfile]) &&
	    !groups_names(own, &setting_table[SETTING_certdir]);
}

static void
fill_in(const struct store *st, struct store *own)
{
	struct settings whole = st->settings;

	for (size_t i = 0; i < SETTING_COUNT; i++) {
		struct value v;

		if (falls_back(own, &setting_table[i])) {
			own->slots[i] = st->slots[i];
			own->slots[i].inherited = true;
			continue;
		}
		value_load(&own->settings, &setting_table[i], &v);
		value_store(&whole, &setting_table[i], &v);
	}
	whole.listen = (struct listen_groups){ NULL, 0 };
	own->settings = whole;
}

/* --- checks --------------------------------------------------------------- */

static int
refuse(const struct store *own, const char *why, struct err *err)
{
	err_set(err, "%s", why);
	written_blame(&own->where, err);
	return -1;
}

static int
check_group(const struct listen_group *g, struct err *err)
{
	struct store *own = g->own;
	const struct settings *s = &own->settings;

	g->own->settings.tls = false;
	derive_proxy(own);
	if (!g->tls)
		return 0;
	if (derive_tls(own, err) != 0) {
		err_prefix(err, "%s: ", own->where.subject);
		return -1;
	}
	if (!s->tls)
		return refuse(own, "its group tls needs certfile or certdir, "
			"there or outside of listen", err);
	if (s->redirect_https &&
	    groups_names(own, &setting_table[SETTING_redirect_https])) {
		err_set(err, "is for listeners without TLS");
		written_blame(&own->slots[SETTING_redirect_https].written,
		    err);
		err_prefix(err, "%s: ", own->where.subject);
		return -1;
	}
	return 0;
}

static bool
is_told(const struct store *st, const char *line)
{
	for (size_t i = 0; i < st->warnings.count; i++)
		if (strcmp(st->warnings.items[i], line) == 0)
			return true;
	return false;
}

/* What the checks of a group had to say, unless it is about the whole. */
static int
pass_warnings(struct store *st, const struct store *own, struct err *err)
{
	for (size_t i = 0; i < own->warnings.count; i++) {
		const char *line = own->warnings.items[i];

		if (is_told(st, line))
			continue;
		if (!store_warn(st, arena_fmt(&st->arena, "%s: %s",
			    own->where.subject, line))) {
			err_set(err, "out of memory");
			return -1;
		}
	}
	return 0;
}

static int
check_twice(const struct settings *s, struct err *err)
{
	const char *const *items = s->addresses.items;

	for (size_t i = 1; i < s->addresses.count; i++)
		for (size_t j = 0; j < i; j++)
			if (derive_is_twice(items[i], items[j])) {
				err_set(err, "bind = %s: is there twice, in "
					"listen or in bind and listen",
				    items[i]);
				return -1;
			}
	return 0;
}

/* --- all addresses -------------------------------------------------------- */

static void
add(struct store *st, struct listen_at *listens, const char **addresses,
    const struct settings *s, bool tls)
{
	for (size_t i = 0; i < s->bind.count; i++) {
		size_t at = st->settings.addresses.count++;

		addresses[at] = s->bind.items[i];
		listens[at] = (struct listen_at){ s->bind.items[i], s, tls };
	}
}

/* Where nobody wrote a bind, listen says it all. */
static void
drop_default_bind(struct store *st)
{
	enum source_kind from = st->slots[SETTING_bind].written.source.kind;

	if (st->settings.listen.count > 0 &&
	    (from == SOURCE_DEFAULT || from == SOURCE_FALLBACK))
		st->settings.bind.count = 0;
}

int
groups_derive(struct store *st, struct err *err)
{
	struct settings *s = &st->settings;
	const struct listen_groups *g = &s->listen;
	struct listen_at *listens;
	const char **addresses;
	size_t count;

	drop_default_bind(st);
	count = s->bind.count;
	for (size_t i = 0; i < g->count; i++)
		count += g->items[i].own->settings.bind.count;
	listens = arena_alloc(&st->arena, (count + 1) * sizeof(*listens));
	addresses = arena_alloc(&st->arena, (count + 1) * sizeof(*addresses));
	if (listens == NULL || addresses == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	for (size_t i = 0; i < g->count; i++) {
		fill_in(st, g->items[i].own);
		if (check_group(&g->items[i], err) != 0 ||
		    pass_warnings(st, g->items[i].own, err) != 0)
			return -1;
	}
	s->listens = listens;
	s->addresses = (struct strlist){ addresses, 0 };
	add(st, listens, addresses, s, s->tls);
	for (size_t i = 0; i < g->count; i++)
		add(st, listens, addresses, &g->items[i].own->settings,
		    g->items[i].tls);
	return check_twice(s, err);
}

void
groups_fini(const struct listen_groups *g)
{
	for (size_t i = 0; i < g->count; i++) {
		if (g->items[i].own != NULL)
			arena_fini(&g->items[i].own->arena);
		free(g->items[i].own);
	}
}
