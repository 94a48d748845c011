/* SPDX-License-Identifier: MIT */
#include "conf/table.h"

#include <string.h>

#define OFFSET_BOOL(name) offsetof(struct settings, name)
#define OFFSET_INT(name) offsetof(struct settings, name)
#define OFFSET_TIME(name) offsetof(struct settings, name##_ms)
#define OFFSET_SIZE(name) offsetof(struct settings, name##_bytes)
#define OFFSET_TEXT(name) offsetof(struct settings, name)
#define OFFSET_LIST(name) offsetof(struct settings, name)
#define OFFSET_GROUPS(name) offsetof(struct settings, name)

const struct setting setting_table[SETTING_COUNT] = {
#define SETTING(n, k, d, lo, hi, w, s, f, a, h) \
	{ #n, KIND_##k, OFFSET_##k(n), d, lo, hi, WHEN_##w, s, f, a, h },
#include "conf/settings.def"
#undef SETTING
};

const struct extra extra_table[EXTRA_COUNT] = {
	{ "-c --config", "FILE", CONF_RUN,
	    "The settings file. The default is bicorn.conf in the current "
	    "directory or else the system's, where there is one." },
	{ "--check-config", NULL, CONF_CHECK,
	    "Load the application, say whether that works, and exit." },
	{ "--print-config", NULL, CONF_PRINT,
	    "Print every setting and where it comes from, and exit." },
	{ "--explain", NULL, CONF_EXPLAIN,
	    "Print every setting, gunicorn's too, with its value, where it "
	    "comes from and what becomes of it, and exit." },
	{ "-h --help", NULL, CONF_HELP, "Print this and exit." },
	{ "-v --version", NULL, CONF_VERSION,
	    "Print the version and what is built in, and exit." },
};

const struct setting *
setting_find(const char *name)
{
	for (size_t i = 0; i < SETTING_COUNT; i++)
		if (strcmp(setting_table[i].name, name) == 0)
			return &setting_table[i];
	return NULL;
}

enum setting_id
setting_id(const struct setting *s)
{
	return (enum setting_id)(s - setting_table);
}

bool
flags_next(const char **cursor, struct span *flag_out)
{
	const char *at = *cursor;
	size_t len;

	*flag_out = SPAN_NONE;
	if (at == NULL)
		return false;
	at += strspn(at, " ");
	len = strcspn(at, " ");
	*flag_out = (struct span){ at, len };
	*cursor = at + len;
	return len > 0;
}

struct span
flags_main(const char *flags)
{
	struct span flag;

	while (flags_next(&flags, &flag))
		if (flag.len > 2 && flag.ptr[1] == '-')
			break;
	return flag;
}

bool
setting_is_of_listener(const struct setting *s)
{
	static const enum setting_id ids[] = {
		SETTING_bind,
		SETTING_backlog,
		SETTING_redirect_https,
		SETTING_redirect_port,
		SETTING_protocol,
		SETTING_uwsgi_allow_ips,
		SETTING_proxy_protocol,
		SETTING_proxy_allow_ips,
	};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		if (ids[i] == setting_id(s))
			return true;
	return false;
}

bool
setting_is_of_tls(const struct setting *s)
{
	switch (setting_id(s)) {
	case SETTING_max_handshakes:
	case SETTING_tls_ticket_lifetime:
	case SETTING_tls_ticket_keys:
		return false; /* these are about all listeners */
	default:
		return strcmp(s->section, "TLS") == 0;
	}
}

bool
setting_keeps_commas(const struct setting *s)
{
	return s->kind == KIND_LIST &&
	    (strcmp(s->arg, "NAME=VALUE") == 0 || strcmp(s->arg, "FILE") == 0);
}
