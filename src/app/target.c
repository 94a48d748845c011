/* SPDX-License-Identifier: MIT */
#include "app/target.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/span.h"

static const struct {
	struct span prefix;
	enum target_kind kind;
} hosts[] = {
	{ { "native=", 7 }, TARGET_NATIVE },
	{ { "static=", 7 }, TARGET_STATIC },
	{ { "wsgi=", 5 }, TARGET_WSGI },
};

static bool
is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Where ".so" ends the path of an application in C; 0: it is none. */
static size_t
native_length(const char *app)
{
	const char *colon = strrchr(app, ':');
	size_t len = strlen(app);

	if (len > 3 && !strcmp(app + len - 3, ".so"))
		return len;
	if (colon != NULL && colon - app > 3 && !strncmp(colon - 3, ".so", 3))
		return (size_t)(colon - app);
	return 0;
}

static enum target_kind
guess(const char *app)
{
	if (native_length(app) > 0)
		return TARGET_NATIVE;
	if (strchr(app, '/') != NULL && is_directory(app))
		return TARGET_STATIC;
	return TARGET_WSGI;
}

static int
fill_native(const char *app, struct target *t)
{
	size_t len = native_length(app);

	if (len == 0)
		len = strlen(app);
	t->path = span_dup((struct span){ app, len });
	t->symbol = strdup(app[len] == ':' ? app + len + 1 : "bicorn_app");
	return t->path != NULL && t->symbol != NULL ? 0 : -1;
}

int
target_read(const char *app, struct target *out)
{
	bool named = false;

	*out = (struct target){ 0 };
	if (!strncmp(app, "paste=", strlen("paste="))) {
		/* The WSGI host knows what to make of it. */
		out->kind = TARGET_WSGI;
		named = true;
	}
	for (size_t i = 0; !named && i < sizeof(hosts) / sizeof(*hosts);
	     i++)
		if (!strncmp(app, hosts[i].prefix.ptr, hosts[i].prefix.len)) {
			out->kind = hosts[i].kind;
			app += hosts[i].prefix.len;
			named = true;
			break;
		}
	if (!named)
		out->kind = guess(app);
	if (out->kind == TARGET_NATIVE && fill_native(app, out) != 0)
		goto out;
	if (out->kind != TARGET_NATIVE)
		out->path = strdup(app);
	if (out->path != NULL)
		return 0;
out:
	target_fini(out);
	return -1;
}

void
target_fini(struct target *t)
{
	free(t->path);
	free(t->symbol);
	t->path = t->symbol = NULL;
}
