/* SPDX-License-Identifier: MIT */
/*
 * Fields of requests to the static host: ranges lie in the file and are no
 * more work than all of it, dates come back as they were, and conditions
 * of any bytes have a verdict.  The first byte chooses the field.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "hosts/static/conditional.h"
#include "hosts/static/date.h"
#include "hosts/static/range.h"

#define NOW INT64_C(1795255200)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_range(struct bicorn_str value, int64_t size)
{
	struct range parts[RANGE_MAX];
	int64_t total = 0;
	size_t count, i;
	enum range_verdict verdict = range_parse(value, size, parts, &count);

	must((verdict == RANGE_PARTS) == (count > 0) && count <= RANGE_MAX);
	for (i = 0; i < count; i++) {
		must(parts[i].first >= 0 && parts[i].len > 0);
		must(parts[i].len <= size - parts[i].first);
		must(parts[i].len <= size - total);
		total += parts[i].len;
	}
}

static void
check_date(struct bicorn_str value)
{
	int64_t at = date_parse(value, NOW);
	char text[DATE_LEN];

	must(at >= -1);
	if (at < 0)
		return;
	date_format(at, text);
	must(date_parse((struct bicorn_str){ text, DATE_LEN }, NOW) == at);
}

static void
check_condition(const char *name, struct bicorn_str value)
{
	const struct bicorn_header headers[] = {
		{ bicorn_str(name), value },
		{ bicorn_str("Range"), bicorn_str("bytes=0-1") },
	};
	const struct bicorn_request r = { .headers = headers,
		.header_count = 2 };
	const struct validators v = { { "\"a-1\"", 5 }, NOW - 5, NOW };
	struct conditions c;

	conditional_collect(&r, &c);
	must(conditional_check(&c, &v) <= CONDITIONAL_FAILED);
	conditional_range(&c, &v);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "If-Match", "If-None-Match",
		"If-Modified-Since", "If-Unmodified-Since", "If-Range" };
	struct bicorn_str value;
	char *text;

	if (size == 0)
		return 0;
	/* As much as there is: reading behind it is seen. */
	text = malloc(size);
	must(text != NULL);
	memcpy(text, data + 1, size - 1);
	value.ptr = text;
	value.len = size - 1;
	switch (data[0] % 8) {
	case 0:
		check_range(value, 100);
		check_range(value, 0);
		check_range(value, INT64_MAX);
		break;
	case 1:
		check_date(value);
		break;
	default:
		check_condition(names[data[0] % 5], value);
		break;
	}
	free(text);
	return 0;
}
