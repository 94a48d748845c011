/* SPDX-License-Identifier: MIT */
#include "arbiter/activation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/span.h"

#define FIRST_FD 3
#define FDS_MAX 1024
#define PREFIX "fd://"

unsigned long long
activation_number(const char *name)
{
	unsigned long long n = 0;

	if (!span_uint(span_of(getenv(name)), &n))
		return 0;
	return n;
}

/*
 * "unknown" is what systemd calls those that nobody has named.  One of digits
 * alone is none: fd://4 is descriptor 4, whatever others are called.
 */
static bool
is_name(struct span text)
{
	size_t digits = 0;

	while (digits < text.len && text.ptr[digits] >= '0' &&
	    text.ptr[digits] <= '9')
		digits++;
	return digits < text.len && !span_eq(text, SPAN("unknown")) &&
	    memchr(text.ptr, '#', text.len) == NULL;
}

/* names: as of LISTEN_FDNAMES, "web:api"; may be NULL. */
static int
fill(const char **items, size_t count, const char *names)
{
	struct span rest = span_of(names), name;

	for (size_t i = 0; i < count; i++) {
		char *text;
		int len;

		if (!span_next(&rest, ':', &name))
			name = SPAN_NONE;
		len = is_name(name)
		    ? asprintf(&text, "fd://%zu#%.*s", FIRST_FD + i,
			  (int)name.len, name.ptr)
		    : asprintf(&text, "fd://%zu", FIRST_FD + i);
		if (len < 0)
			return -1;
		items[i] = text;
	}
	return 0;
}

int
activation_take(struct strlist *out, struct err *err)
{
	size_t count = 0;
	const char **items;
	int rc = 0;

	if (activation_number("LISTEN_PID") == (unsigned long long)getpid() &&
	    activation_number("LISTEN_FDS") <= FDS_MAX)
		count = (size_t)activation_number("LISTEN_FDS");
	if (count > 0) {
		activation_free(out);
		items = calloc(count, sizeof(*items));
		*out = (struct strlist){ items, count };
		if (items == NULL ||
		    fill(items, count, getenv("LISTEN_FDNAMES")) != 0) {
			err_sys(err, "LISTEN_FDS");
			activation_free(out);
			rc = -1;
		}
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return rc;
}

const char *
activation_name(const char *spec)
{
	const char *name = strchr(spec, '#');

	return strncmp(spec, PREFIX, strlen(PREFIX)) == 0 && name != NULL
	    ? name + 1 : NULL;
}

bool
activation_is(const char *spec, const char *asked)
{
	const char *name = activation_name(spec);

	if (strcmp(spec, asked) == 0)
		return true;
	if (name == NULL || strncmp(asked, PREFIX, strlen(PREFIX)) != 0)
		return false;
	return strcmp(asked + strlen(PREFIX), name) == 0 ||
	    span_eq((struct span){ spec, (size_t)(name - 1 - spec) },
		span_of(asked));
}

int
activation_add_spec(struct strlist *list, const char *spec, struct err *err)
{
	const char **items = calloc(list->count + 1, sizeof(*items));
	char *copy = strdup(spec);

	if (items == NULL || copy == NULL) {
		err_sys(err, "inherited sockets");
		free(items);
		free(copy);
		return -1;
	}
	for (size_t i = 0; i < list->count; i++)
		items[i] = list->items[i];
	items[list->count] = copy;
	free((void *)list->items);
	*list = (struct strlist){ items, list->count + 1 };
	return 0;
}

int
activation_add_fd(struct strlist *list, long fd, struct err *err)
{
	char spec[32];

	snprintf(spec, sizeof(spec), "fd://%ld", fd);
	return activation_add_spec(list, spec, err);
}

void
activation_free(struct strlist *list)
{
	for (size_t i = 0; list->items != NULL && i < list->count; i++)
		free((char *)list->items[i]);
	free((void *)list->items);
	*list = (struct strlist){ NULL, 0 };
}
