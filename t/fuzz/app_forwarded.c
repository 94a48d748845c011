/* SPDX-License-Identifier: MIT */
/*
 * Any value as X-Forwarded-For and as Forwarded: reading ends, nothing
 * beyond the value is looked at, and what stands in front of the last comma
 * does not change what the last item is.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/forwarded.h"
#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must_be_inside(struct span part, const char *data, size_t len)
{
	must(part.ptr == NULL ||
	    (part.ptr >= data && part.ptr + part.len <= data + len));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char last[] = ", for=192.0.2.1";
	char *copy = malloc(size + sizeof(last)), text[ADDR_TEXT_MAX];
	struct span list, item, node, proto;
	struct addr a;
	size_t n = 0;

	must(copy != NULL);
	memcpy(copy, data, size);
	memcpy(copy + size, last, sizeof(last) - 1);
	list = (struct span){ copy, size + sizeof(last) - 1 };
	must(forwarded_last(&list, &item));
	must(span_eq(item, SPAN("for=192.0.2.1")));
	list = (struct span){ copy, size };
	while (forwarded_last(&list, &item)) {
		must(++n <= size + 1);
		must_be_inside(item, copy, size);
		if (forwarded_address(item, &a))
			must(addr_text(&a, text) > 0);
		if (forwarded_element(item, &node, &proto)) {
			must_be_inside(node, copy, size);
			must_be_inside(proto, copy, size);
			if (node.ptr != NULL)
				forwarded_address(node, &a);
		}
	}
	free(copy);
	return 0;
}
