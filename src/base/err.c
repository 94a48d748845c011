/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
set_va(struct err *err, const char *fmt, va_list ap)
{
	if (err != NULL)
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
}

void
err_set(struct err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_va(err, fmt, ap);
	va_end(ap);
}

void
err_sys(struct err *err, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	size_t used;

	if (err == NULL)
		return;
	va_start(ap, fmt);
	set_va(err, fmt, ap);
	va_end(ap);
	used = strlen(err->text);
	snprintf(err->text + used, sizeof(err->text) - used, ": %s",
	    strerror(saved));
	errno = saved;
}

void
err_prefix(struct err *err, const char *fmt, ...)
{
	struct err tail;
	va_list ap;
	size_t used;

	if (err == NULL)
		return;
	tail = *err;
	va_start(ap, fmt);
	set_va(err, fmt, ap);
	va_end(ap);
	used = strlen(err->text);
	snprintf(err->text + used, sizeof(err->text) - used, "%s", tail.text);
}
