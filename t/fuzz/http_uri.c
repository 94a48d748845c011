/* SPDX-License-Identifier: MIT */
/* Any bytes as an authority and as something to decode. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "http/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
decode(const char *data, size_t size)
{
	char *out = malloc(size + 1), *in_place = malloc(size + 1);
	size_t len;

	must(out != NULL && in_place != NULL);
	memcpy(in_place, data, size);
	len = http_uri_decode((struct span){ data, size }, out);
	must(len <= size);
	must(http_uri_decode((struct span){ in_place, size }, in_place) == len);
	must(!memcmp(out, in_place, len));
	free(out);
	free(in_place);
}

static void
split(const char *data, size_t size)
{
	struct span host, port, in = { data, size };

	if (!http_uri_authority(in, &host, &port)) {
		must(host.len == 0 && port.len == 0);
		return;
	}
	must(host.ptr == data && host.len > 0 && host.len <= size);
	must(port.len <= 20 || port.ptr[0] == '0');
	if (host.len < size) {
		must(data[host.len] == ':');
		must(port.ptr == data + host.len + 1);
		must(port.len == size - host.len - 1);
	}
	for (size_t i = 0; i < size; i++)
		must((unsigned char)data[i] > ' ' &&
		     (unsigned char)data[i] < 0x7f && data[i] != '@' &&
		     data[i] != '/' && data[i] != '?' && data[i] != '#');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of just that size, so that reading beyond is noticed. */
	char *copy = malloc(size > 0 ? size : 1);

	must(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	decode(copy, size);
	split(copy, size);
	free(copy);
	return 0;
}
