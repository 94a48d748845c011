/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a date: what is read as one is written and read again as the
 * same.  The first 8 bytes are a time to be written and read, too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "http/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LAST INT64_C(253402300799)

static void
round_trip(int64_t seconds)
{
	char out[HTTP_DATE_LEN];
	int64_t want = seconds < 0 ? 0 : seconds > LAST ? LAST : seconds;

	http_date(seconds, out);
	must(http_date_parse((struct span){ out, sizeof(out) }) == want);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size > 0 ? size : 1);
	struct span text = { copy, size };
	int64_t seconds;

	must(copy != NULL);
	if (size > 0)
		memcpy(copy, data, size);
	seconds = http_date_parse(text);
	must(seconds >= -1 && seconds <= LAST + 1);
	if (seconds >= 0)
		round_trip(seconds);
	if (size >= 8) {
		memcpy(&seconds, copy, 8);
		round_trip(seconds);
		round_trip(seconds & INT64_C(0x3fffffffff));
	}
	(void)http_value_ok(text);
	(void)http_name_ok(text);
	(void)http_response_field(text);
	(void)http_list_has(text, SPAN("close"));
	free(copy);
	return 0;
}
