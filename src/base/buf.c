/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

void
buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}

bool
buf_reserve(struct buf *b, size_t more)
{
	size_t want, room;
	char *data;

	if (more <= b->room - b->len)
		return true;
	if (more > SIZE_MAX / 4 - b->len)
		return false;
	want = b->len + more;
	room = b->room < 256 ? 256 : b->room;
	while (room < want)
		room *= 2;
	data = realloc(b->data, room);
	if (data == NULL)
		return false;
	b->data = data;
	b->room = room;
	return true;
}

void
buf_trim(struct buf *b, size_t room)
{
	char *data;

	if (room < b->len)
		room = b->len;
	if (room == 0 || b->room / 2 < room)
		return;
	data = realloc(b->data, room);
	if (data == NULL)
		return;
	b->data = data;
	b->room = room;
}

bool
buf_str(struct buf *b, const char *text)
{
	return buf_add(b, text, strlen(text));
}

bool
buf_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int need;

	va_start(ap, fmt);
	need = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (need < 0 || !buf_reserve(b, (size_t)need + 1))
		return false;
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)need + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)need;
	return true;
}

void
buf_drop(struct buf *b, size_t n)
{
	must(n <= b->len);
	b->len -= n;
	if (n > 0 && b->len > 0)
		memmove(b->data, b->data + n, b->len);
}
