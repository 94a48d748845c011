/* SPDX-License-Identifier: MIT */
#include "conf/env.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "conf/store.h"
#include "conf/suggest.h"

#define PREFIX "BICORN_"

/* Variables of bicorn that are no settings. */
static const char *const reserved[] = { "CONFIG", "CMD_ARGS", "MODULES",
	"UPGRADE" };

/* Somebody else's variables. */
static const struct {
	const char *variable;
	enum setting_id id;
	const char *before; /* of the value, to make it the setting's */
} fallbacks[] = {
	{ "WEB_CONCURRENCY", SETTING_workers, "" },
	{ "PORT", SETTING_bind, "0.0.0.0:" },
	{ "FORWARDED_ALLOW_IPS", SETTING_forwarded_allow_ips, "" },
	{ "SENDFILE", SETTING_sendfile, "" },
	{ "VIRTUAL_ENV", SETTING_venv, "" },
};

const char *
env_get(const char *name)
{
	const char *text = getenv(name);

	return text != NULL && *text != '\0' ? text : NULL;
}

static char
upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c;
}

/*
 * What Kubernetes and Docker make of a service named bicorn: BICORN_PORT,
 * BICORN_PORT_8000_TCP_ADDR, BICORN_SERVICE_HOST ...
 */
static bool
is_service(struct span tail)
{
	static const char *const heads[] = { "PORT", "SERVICE_", "ENV_" };

	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		size_t len = strlen(heads[i]);

		if (tail.len >= len && memcmp(tail.ptr, heads[i], len) == 0)
			return true;
	}
	return span_eq(tail, SPAN("NAME"));
}

static const char *
upper_name(struct arena *a, const char *setting)
{
	char *name = arena_fmt(a, PREFIX "%s", setting);

	for (char *c = name; c != NULL && *c != '\0'; c++)
		*c = upper(*c);
	return name;
}

const char *
env_name(struct arena *a, const struct setting *s)
{
	return upper_name(a, s->name);
}

/* Whether tail is what stands behind BICORN_ for that setting. */
static bool
is_name_of(const char *name, struct span tail)
{
	size_t i = 0;

	while (i < tail.len && name[i] != '\0' &&
	    upper(name[i]) == tail.ptr[i])
		i++;
	return i == tail.len && name[i] == '\0';
}

/* text is the value for s that variable stands for. */
static int
apply(struct store *st, const struct setting *s, enum source_kind kind,
    const char *variable, const char *text, struct err *err)
{
	struct written w = { .source = { .kind = kind, .name = variable } };

	w.subject = arena_fmt(&st->arena, "%s=%s", variable,
	    shown(&st->arena, env_get(variable)));
	if (w.subject == NULL || text == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	return store_text(st, s, text, true, &w, err);
}

/* The name behind BICORN_ belongs to a setting or is known otherwise. */
static bool
is_known(struct span name)
{
	for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
		if (span_eq(name, span_of(reserved[i])))
			return true;
	for (size_t i = 0; i < SETTING_COUNT; i++)
		if (is_name_of(setting_table[i].name, name))
			return true;
	for (size_t i = 0; i < FOREIGN_COUNT; i++)
		if (foreign_table[i].verdict != VERDICT_HOOK &&
		    is_name_of(foreign_table[i].name, name))
			return true;
	return is_service(name);
}

/* variable is "BICORN_WORKER=4" */
static bool
warn_unknown(struct store *st, const char *variable)
{
	struct span name = { variable, strcspn(variable, "=") };
	struct span tail = { name.ptr + strlen(PREFIX),
		name.len - strlen(PREFIX) };
	struct suggest g = suggest_for(tail);
	const char *text;

	if (is_known(tail))
		return true;
	suggest_settings(&g, false);
	/* Closer than for a file: nobody promised that it is for us. */
	if (g.best.len == 0 || g.distance > 2 || tail.len < 5) {
		text = "";
	} else {
		text = arena_dup(&st->arena, g.best);
		if (text != NULL)
			text = env_name(&st->arena, setting_find(text));
		if (text != NULL)
			text = arena_fmt(&st->arena, "; did you mean %s?",
			    text);
	}
	if (text != NULL)
		text = arena_fmt(&st->arena,
		    "%s (environment): no such setting%s",
		    shown(&st->arena, arena_dup(&st->arena, name)), text);
	return text != NULL && store_warn(st, text);
}

/* BICORN_NAME for the settings of gunicorn's. */
static int
apply_foreign(struct store *st, const struct foreign *f, struct err *err)
{
	const char *name = upper_name(&st->arena, f->name);
	struct written w = { .source = { SOURCE_VARIABLE, name, 0 } };
	const char *text = name != NULL ? env_get(name) : NULL;

	if (text != NULL) {
		w.subject = arena_fmt(&st->arena, "%s=%s", name,
		    shown(&st->arena, text));
		text = arena_dup(&st->arena, span_of(text));
	}
	if (name == NULL || (text != NULL && w.subject == NULL)) {
		err_set(err, "out of memory");
		return -1;
	}
	if (text != NULL)
		foreign_store(st, f, text, &w);
	return 0;
}

int
env_apply(struct store *st, struct err *err)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting *s = &setting_table[i];
		const char *name = env_name(&st->arena, s);

		if (name == NULL) {
			err_set(err, "out of memory");
			return -1;
		}
		if (env_get(name) != NULL &&
		    apply(st, s, SOURCE_VARIABLE, name, env_get(name), err) !=
			0)
			return -1;
	}
	for (size_t i = 0; i < FOREIGN_COUNT; i++)
		if (!foreign_is_own(&foreign_table[i]) &&
		    foreign_table[i].verdict != VERDICT_HOOK &&
		    apply_foreign(st, &foreign_table[i], err) != 0)
			return -1;
	for (char **v = environ; v != NULL && *v != NULL; v++)
		if (strncmp(*v, PREFIX, strlen(PREFIX)) == 0 &&
		    !warn_unknown(st, *v)) {
			err_set(err, "out of memory");
			return -1;
		}
	return 0;
}

int
env_fallback(struct store *st, struct err *err)
{
	for (size_t i = 0; i < sizeof(fallbacks) / sizeof(*fallbacks); i++) {
		const char *text = env_get(fallbacks[i].variable);
		const struct slot *slot = &st->slots[fallbacks[i].id];

		if (text == NULL ||
		    slot->written.source.kind != SOURCE_DEFAULT)
			continue;
		text = arena_fmt(&st->arena, "%s%s", fallbacks[i].before,
		    text);
		if (apply(st, &setting_table[fallbacks[i].id], SOURCE_FALLBACK,
			fallbacks[i].variable, text, err) != 0)
			return -1;
	}
	return 0;
}
