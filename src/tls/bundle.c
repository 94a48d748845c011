/* SPDX-License-Identifier: MIT */
/*
 * An entry is a head of three numbers, then name and text, each with a NUL
 * behind it.  The bytes stay on this machine: its own byte order will do.
 */
#include "tls/bundle.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tls/tls.h"

struct tls_bundle {
	char *data;
	size_t len;
	size_t room;
};

struct entry_head {
	uint32_t kind;
	uint32_t name_len;
	uint32_t text_len;
};

void
bundle_wipe(void *ptr, size_t len)
{
	if (ptr == NULL)
		return;
	explicit_bzero(ptr, len);
	free(ptr);
}

struct tls_bundle *
bundle_new(void)
{
	return calloc(1, sizeof(struct tls_bundle));
}

/* Not realloc(), which leaves copies of keys where the memory was. */
static bool
reserve(struct tls_bundle *b, size_t more)
{
	size_t room = b->room + b->room / 2 + more;
	char *data;

	if (b->room - b->len >= more)
		return true;
	data = malloc(room);
	if (data == NULL)
		return false;
	if (b->len > 0)
		memcpy(data, b->data, b->len);
	bundle_wipe(b->data, b->len);
	b->data = data;
	b->room = room;
	return true;
}

static void
put(struct tls_bundle *b, const void *data, size_t len)
{
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
}

bool
bundle_add(struct tls_bundle *b, enum bundle_kind kind, const char *name,
    const char *text, size_t len)
{
	struct entry_head head = {
		.kind = (uint32_t)kind,
		.name_len = (uint32_t)strlen(name),
		.text_len = (uint32_t)len,
	};

	if (!reserve(b, sizeof(head) + head.name_len + 1 + len + 1))
		return false;
	put(b, &head, sizeof(head));
	put(b, name, head.name_len + 1);
	put(b, text, len);
	put(b, "", 1);
	return true;
}

bool
bundle_next(const struct tls_bundle *b, size_t *at, struct bundle_entry *out)
{
	struct entry_head head;
	uint64_t size;

	if (b->len - *at < sizeof(head))
		return false;
	memcpy(&head, b->data + *at, sizeof(head));
	size = (uint64_t)sizeof(head) + head.name_len + 1 + head.text_len + 1;
	if (size > b->len - *at)
		return false;
	out->kind = (enum bundle_kind)head.kind;
	out->name = b->data + *at + sizeof(head);
	out->text = out->name + head.name_len + 1;
	out->len = head.text_len;
	*at += (size_t)size;
	return out->name[head.name_len] == '\0' && out->text[out->len] == '\0';
}

size_t
bundle_library_len(const struct bundle_entry *e)
{
	return strstr(e->text, "-----BEGIN ") != NULL ? e->len + 1 : e->len;
}

const void *
tls_bundle_bytes(const struct tls_bundle *b, size_t *len_out)
{
	*len_out = b->len;
	return b->data;
}

struct tls_bundle *
tls_bundle_of(const void *bytes, size_t len)
{
	struct tls_bundle *b = bundle_new();
	struct bundle_entry e;
	size_t at = 0;

	if (b == NULL || !reserve(b, len + 1)) {
		free(b);
		return NULL;
	}
	put(b, bytes, len);
	while (bundle_next(b, &at, &e))
		continue;
	if (at != len)
		tls_bundle_free(&b);
	return b;
}

void
tls_bundle_paths(const struct tls_bundle *b,
    void (*fn)(void *arg, const char *path), void *arg)
{
	struct bundle_entry e;

	for (size_t at = 0; bundle_next(b, &at, &e);)
		fn(arg, e.name);
}

void
tls_bundle_free(struct tls_bundle **bp)
{
	struct tls_bundle *b = *bp;

	*bp = NULL;
	if (b == NULL)
		return;
	bundle_wipe(b->data, b->len);
	free(b);
}
