/* SPDX-License-Identifier: MIT */
#include "base/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t
count_of(char *const *list)
{
	size_t n = 0;

	while (list != NULL && list[n] != NULL)
		n++;
	return n;
}

static size_t
bytes_of(char *const *list)
{
	size_t bytes = 0;

	for (size_t i = 0; i < count_of(list); i++)
		bytes += strlen(list[i]) + 1;
	return bytes;
}

/* Copies the texts of a list to *at, which moves on. */
static void
copy_list(char **to, char *const *from, char **at)
{
	size_t i;

	for (i = 0; from != NULL && from[i] != NULL; i++) {
		size_t len = strlen(from[i]) + 1;

		memcpy(*at, from[i], len);
		to[i] = *at;
		*at += len;
	}
	to[i] = NULL;
}

/* Where the texts of a list that follows `end` without a gap end. */
static char *
end_of(char *const *list, char *end)
{
	for (size_t i = 0; i < count_of(list); i++)
		if (list[i] == end)
			end += strlen(list[i]) + 1;
	return end;
}

int
title_init(struct title *t, int argc, char **argv)
{
	char *at, *end;

	memset(t, 0, sizeof(*t));
	t->argv = calloc((size_t)argc + 1, sizeof(*t->argv));
	t->env = calloc(count_of(environ) + 1, sizeof(*t->env));
	t->text = malloc(bytes_of(argv) + bytes_of(environ) + 1);
	if (t->argv == NULL || t->env == NULL || t->text == NULL) {
		title_fini(t);
		return -1;
	}
	at = t->text;
	copy_list(t->argv, argv, &at);
	copy_list(t->env, environ, &at);
	if (argc > 0) {
		end = end_of(environ, end_of(argv, argv[0]));
		t->area = argv[0];
		t->room = (size_t)(end - argv[0]);
	}
	environ = t->env;
	return 0;
}

void
title_set(struct title *t, const char *fmt, ...)
{
	va_list ap;
	int len;

	if (t->area == NULL || t->room < 2)
		return;
	va_start(ap, fmt);
	len = vsnprintf(t->area, t->room, fmt, ap);
	va_end(ap);
	/* What the last title left behind it would be shown as well. */
	if (len >= 0 && (size_t)len < t->room)
		memset(t->area + len, 0, t->room - (size_t)len);
}

bool
title_is_ours(const struct title *t, const char *begin)
{
	size_t len = strlen(begin);

	return t->area != NULL && t->room > len &&
	    memcmp(t->area, begin, len) == 0;
}

void
title_fini(struct title *t)
{
	if (t->env != NULL)
		environ = NULL; /* whoever grew it, its texts go */
	free(t->text);
	free(t->env);
	free(t->argv);
	memset(t, 0, sizeof(*t));
}
