/* SPDX-License-Identifier: MIT */
/* Any text as a bind setting and as an item of a list of networks. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/err.h"
#include "base/must.h"
#include "net/listen_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
spec(const char *text)
{
	struct target t;
	struct err err = { "" };

	if (target_parse(text, &t, &err) != 0) {
		must(err.text[0] != '\0' && errno == EINVAL);
		return;
	}
	switch (t.kind) {
	case TARGET_TCP:
		must(t.port <= 65535);
		must(strlen(t.host) <= LISTEN_HOST_MAX);
		break;
	case TARGET_UNIX:
		must(t.path[0] != '\0');
		must(strlen(t.path) < LISTEN_PATH_ROOM);
		break;
	case TARGET_FD:
		must(t.fd >= 0);
		break;
	}
}

static void
network(const char *text)
{
	struct addr a = { .v4.sin_family = AF_INET };
	struct addr_list *list;
	struct err err = { "" };
	char out[ADDR_TEXT_MAX];

	if (addr_list_new(&text, 1, &list, &err) != 0) {
		must(list == NULL && err.text[0] != '\0');
		return;
	}
	a.v4.sin_addr.s_addr = 0x0100007f;
	addr_list_has(list, &a);
	must(addr_text(&a, out) == strlen(out));
	addr_list_free(&list);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	must(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	spec(text);
	network(text);
	free(text);
	return 0;
}
