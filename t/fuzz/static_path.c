/* SPDX-License-Identifier: MIT */
/*
 * Paths of requests to the static host: whatever the bytes, a name that is
 * accepted stays inside, and the path made of it for Location leads back to
 * the same name.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "hosts/static/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_name(const char *name, size_t len)
{
	must(strlen(name) == len && len < PATH_MAX);
	must(name[0] != '/' && strstr(name, "//") == NULL);
	/* No component but the first may begin with a dot. */
	must(strstr(name, "/.") == NULL);
	if (name[0] == '.')
		must(strncmp(name, ".well-known", 11) == 0 &&
		    (name[11] == '\0' || name[11] == '/'));
}

static void
check_location(const char *name, size_t len, struct bicorn_str query)
{
	char again[PATH_NAME_MAX], *text = path_location(name, len, query);
	size_t path_len, again_len;

	must(text != NULL && text[0] == '/' && text[1] != '/');
	for (path_len = 0; text[path_len] != '\0'; path_len++)
		must(text[path_len] > ' ' && text[path_len] < 127 &&
		    strchr("\"<>\\^`{|}#", text[path_len]) == NULL);
	path_len = strcspn(text, "?");
	must(path_decode((struct bicorn_str){ text, path_len }, again,
		 &again_len) ||
	    len + 1 == PATH_MAX);
	if (again_len > 0 && again[again_len - 1] == '/' &&
	    (len == 0 || name[len - 1] != '/'))
		again[--again_len] = '\0';
	must(again_len == 0 || strcmp(again, name) == 0);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* As much as there is: reading behind it is seen. */
	char *text = malloc(size > 0 ? size : 1), name[PATH_NAME_MAX];
	const char *mark;
	struct bicorn_str path, query;
	size_t len;

	must(text != NULL);
	memcpy(text, data, size);
	mark = memchr(text, '?', size);
	path.ptr = text;
	path.len = mark != NULL ? (size_t)(mark - text) : size;
	query.ptr = mark != NULL ? mark + 1 : text + size;
	query.len = size - (size_t)(query.ptr - text);
	if (path_decode(path, name, &len)) {
		check_name(name, len);
		check_location(name, len, query);
		path_add_index(name, &len);
		must(strlen(name) == len && len > 0);
		must(name[len - 1] != '/');
	}
	free(text);
	return 0;
}
