/* SPDX-License-Identifier: MIT */
/*
 * Any bytes in front of a connection: whole and byte by byte the parser of
 * PROXY headers comes to the same, and what it accepts makes sense.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "net/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A block of its own: reading beyond is noticed. */
static enum proxy_verdict
feed(const uint8_t *data, size_t len, unsigned versions)
{
	char *copy = malloc(len + 1);
	struct proxy_header h;
	enum proxy_verdict v;
	struct proxy_info *info;
	struct addr hop = { 0 };

	must(copy != NULL);
	memcpy(copy + 1, data, len);
	v = proxy_parse(copy + 1, len, versions, &h);
	must(v != PROXY_BAD || h.reason != NULL);
	must(v != PROXY_MORE || len < PROXY_LENGTH_MAX);
	if (v == PROXY_DONE) {
		must(h.length > 0 && h.length <= len);
		must(h.length <= PROXY_LENGTH_MAX);
		info = proxy_info_new(&h, &hop);
		must(info != NULL && info->count > 0);
		for (size_t i = 0; i < info->count; i++)
			must(info->variables[i].name.len > 6);
		free(info);
	}
	free(copy);
	return v;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum proxy_verdict whole, part = PROXY_MORE;
	unsigned versions;

	if (size == 0)
		return 0;
	versions = data[0] & (PROXY_V1 | PROXY_V2);
	data++;
	size--;
	whole = feed(data, size, versions);
	for (size_t n = 0; n <= size && part == PROXY_MORE; n++)
		part = feed(data, n, versions);
	must(part == whole);
	return 0;
}
