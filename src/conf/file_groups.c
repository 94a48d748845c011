/* SPDX-License-Identifier: MIT */
/* The setting listen: a list of groups, each with settings of its own. */
#include <libconfig.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "conf/file_private.h"
#include "conf/groups.h"
#include "conf/suggest.h"
#include "conf/value.h"

#define TLS_GROUP "tls"
/* Far more than anybody needs; each takes some memory. */
#define MOST_GROUPS 256

/* A group while it is read. */
struct reading {
	struct store *own;
	const struct expansion *x;
	const char *label; /* "listen, group 2" */
	bool tls;          /* it is the group tls in one of listen */
};

/* err = "LABEL: NAME = VALUE (FILE, line N): why"; -1. */
static int
refuse(const struct reading *r, const config_setting_t *e, const char *why,
    struct err *err)
{
	const char *name = config_setting_name(e);
	struct written w = file_written(r->own, r->x, e,
	    name != NULL ? name : "", e);

	if (name == NULL)
		w.subject = r->label;
	err_set(err, "%s", why);
	written_blame(&w, err);
	if (name != NULL)
		err_prefix(err, "%s: ", r->label);
	return -1;
}

static bool
belongs(const struct reading *r, const struct setting *s)
{
	return r->tls ? setting_is_of_tls(s) : setting_is_of_listener(s);
}

/* Why name, which may be a setting, has no place here. */
static int
misplaced(const struct reading *r, const config_setting_t *e,
    const struct setting *s, struct err *err)
{
	struct suggest g = suggest_for(span_of(config_setting_name(e)));
	char why[120];

	if (s != NULL && !r->tls && setting_is_of_tls(s))
		return refuse(r, e, "belongs in the group tls = { ... }", err);
	if (s != NULL && r->tls && setting_is_of_listener(s))
		return refuse(r, e, "belongs outside of the group tls", err);
	if (s != NULL)
		return refuse(r, e,
		    "counts for all listeners: it stands outside of listen",
		    err);
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		struct span name = span_of(setting_table[i].name);

		if (belongs(r, &setting_table[i]))
			suggest_offer(&g, name, name);
	}
	snprintf(why, sizeof(why), "no such setting%s%.*s%s",
	    g.best.len > 0 ? "; did you mean " : "", (int)g.best.len,
	    g.best.len > 0 ? g.best.ptr : "", g.best.len > 0 ? "?" : "");
	return refuse(r, e, why, err);
}

static int
read_one(const struct reading *r, const config_setting_t *e, struct err *err)
{
	const char *name = config_setting_name(e);
	const struct setting *s = setting_find(name);

	if (s == NULL || !belongs(r, s))
		return misplaced(r, e, s, err);
	if (file_setting(r->own, r->x, s, e, name, err) == 0)
		return 0;
	err_prefix(err, "%s: ", r->label);
	return -1;
}

static int
read_group(const struct reading *r, const config_setting_t *group,
    struct err *err)
{
	int count = config_setting_length(group);

	for (int i = 0; i < count; i++) {
		const config_setting_t *e =
		    config_setting_get_elem(group, (unsigned)i);
		struct reading inner = *r;
		bool is_tls = strcmp(config_setting_name(e), TLS_GROUP) == 0;

		if (r->tls || !is_tls) {
			if (read_one(r, e, err) != 0)
				return -1;
			continue;
		}
		if (!config_setting_is_group(e))
			return refuse(r, e, "must be a group, { ... }", err);
		inner.tls = true;
		inner.label = arena_fmt(&r->own->arena, "%s, tls", r->label);
		if (inner.label == NULL)
			inner.label = r->label;
		if (read_group(&inner, e, err) != 0)
			return -1;
	}
	return 0;
}

static int
no_memory(struct err *err)
{
	err_set(err, "out of memory");
	return -1;
}

/* One item of listen. */
static int
read_item(struct store *st, const struct expansion *x,
    const config_setting_t *e, size_t number, struct listen_group *out,
    struct err *err)
{
	const struct setting *bind = &setting_table[SETTING_bind];
	struct reading r = { .x = x };

	r.own = calloc(1, sizeof(*r.own));
	r.label = arena_fmt(&st->arena, "listen, group %zu", number);
	out->own = r.own; /* from here on it is freed with st */
	if (r.own == NULL || r.label == NULL)
		return no_memory(err);
	if (!config_setting_is_group(e))
		return refuse(&r, e, "must be a group, { bind = ...; }", err);
	out->tls = config_setting_get_member((config_setting_t *)(uintptr_t)e,
		       TLS_GROUP) != NULL;
	r.own->where = file_written(st, x, e, "", e);
	r.own->where.subject = r.label;
	if (read_group(&r, e, err) != 0)
		return -1;
	if (!groups_names(r.own, bind) || r.own->settings.bind.count == 0)
		return refuse(&r, e, "needs bind, an address", err);
	return 0;
}

int
file_groups(struct store *st, const struct expansion *x,
    const struct setting *s, const config_setting_t *e, struct err *err)
{
	struct slot *slot = &st->slots[setting_id(s)];
	size_t count = (size_t)config_setting_length(e);
	struct listen_group *items;
	struct value v = { 0 };

	slot->written = file_written(st, x, e, s->name, e);
	if (config_setting_type(e) != CONFIG_TYPE_LIST) {
		err_set(err, "must be a list of groups, ( { bind = "
			"\"ADDRESS\"; }, ... )");
		written_blame(&slot->written, err);
		return -1;
	}
	if (count > MOST_GROUPS) {
		err_set(err, "must be %d groups at most; bind in a group may "
			"be a list", MOST_GROUPS);
		written_blame(&slot->written, err);
		return -1;
	}
	items = arena_alloc(&st->arena, (count + 1) * sizeof(*items));
	if (items == NULL)
		return no_memory(err);
	v.groups = (struct listen_groups){ items, count };
	value_store(&st->settings, s, &v);
	for (size_t i = 0; i < count; i++)
		if (read_item(st, x, config_setting_get_elem(e, (unsigned)i),
			i + 1, &items[i], err) != 0)
			return -1;
	return 0;
}
