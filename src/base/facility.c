/* SPDX-License-Identifier: MIT */
#include "base/facility.h"

#include <stddef.h>

#include "base/span.h"

static const struct {
	const char *name;
	unsigned number;
} facilities[] = {
	{ "kern", 0 }, { "user", 1 }, { "mail", 2 }, { "daemon", 3 },
	{ "auth", 4 }, { "security", 4 }, { "syslog", 5 }, { "lpr", 6 },
	{ "news", 7 }, { "uucp", 8 }, { "cron", 9 }, { "authpriv", 10 },
	{ "ftp", 11 }, { "local0", 16 }, { "local1", 17 }, { "local2", 18 },
	{ "local3", 19 }, { "local4", 20 }, { "local5", 21 },
	{ "local6", 22 }, { "local7", 23 },
};

bool
facility_parse(const char *name, unsigned *out)
{
	*out = 1;
	for (size_t i = 0; i < sizeof(facilities) / sizeof(*facilities); i++)
		if (span_ieq(span_of(name), span_of(facilities[i].name))) {
			*out = facilities[i].number;
			return true;
		}
	return false;
}
