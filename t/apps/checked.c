/* SPDX-License-Identifier: MIT */
/*
 * What t/checked.c asks:  /KIND READING?ID&LENGTH&MICROSECONDS, without the
 * blank.
 *
 * The answer has LENGTH bytes, which repeat ID, and a kind: (l)ength known,
 * (c)hunked, a (f)ile, (p)ieces that are sent as they come, (n)othing, or one
 * that (b)reaks off.  Of the body of the request is read (a)ll, (s)ome or
 * (n)othing; of all of it X-Sum tells size and sum.  What the request says is
 * looked at last, when all of the body has come, by a call that
 * AddressSanitizer sees in a module that was built without it.
 */
#define _GNU_SOURCE

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bicorn/app.h>

/* Adler-32, as zlib has it; begins with 1. */
static uint32_t
add_to_sum(uint32_t sum, const char *p, size_t len)
{
	uint32_t a = sum & 0xffff, b = sum >> 16;

	for (size_t i = 0; i < len; i++) {
		a = (a + (unsigned char)p[i]) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

/* "SIZE-SUM" of the body. */
static void
read_all(struct bicorn_exchange *x, char *text, size_t size)
{
	uint64_t total = 0;
	uint32_t sum = 1;
	char buf[5000];
	int64_t n;

	while ((n = bicorn_read(x, buf, sizeof(buf))) > 0) {
		sum = add_to_sum(sum, buf, (size_t)n);
		total += (uint64_t)n;
	}
	snprintf(text, size, "%" PRIu64 "-%" PRIu32, total, sum);
}

static void
send_file(struct bicorn_exchange *x, const char *data, size_t len)
{
	int fd = memfd_create("checked", MFD_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, data, len) == (ssize_t)len)
		bicorn_send_file(x, fd, 0, len);
	close(fd);
}

static void
send_pieces(struct bicorn_exchange *x, const char *data, size_t len, bool now)
{
	for (size_t at = 0; at < len; at += 7000) {
		bicorn_write(x, data + at, len - at < 7000 ? len - at : 7000);
		if (now)
			bicorn_flush(x);
	}
}

static void
answer(struct bicorn_exchange *x, char kind, const struct bicorn_header *h,
    const char *data, size_t len)
{
	bool known = kind == 'l' || kind == 'f' || kind == 'b';

	if (bicorn_respond(x, kind == 'n' ? 204 : 200, h, 2,
	    known ? (int64_t)len : -1) != BICORN_OK)
		return;
	switch (kind) {
	case 'l': bicorn_write(x, data, len); break;
	case 'c': send_pieces(x, data, len, false); break;
	case 'p': send_pieces(x, data, len, true); break;
	case 'f': send_file(x, data, len); break;
	case 'b':
		bicorn_write(x, data, len / 2);
		bicorn_flush(x);
		bicorn_abort(x);
		break;
	default: break;
	}
}

static void
handle(struct bicorn_exchange *x)
{
	const struct bicorn_request *r = x->request;
	char sum[48] = "-", id_text[16], query[64] = "", *data;
	unsigned id = 0, length = 0, us = 0;

	if (r->path.ptr[2] == 'a')
		read_all(x, sum, sizeof(sum));
	else if (r->path.ptr[2] == 's')
		bicorn_read(x, query, 7);
	if (r->query.len >= sizeof(query))
		return;
	memcpy(query, r->query.ptr, r->query.len);
	query[r->query.len] = '\0';
	sscanf(query, "%u&%u&%u", &id, &length, &us);
	if (us > 0)
		usleep(us);
	snprintf(id_text, sizeof(id_text), "%u", id);
	data = malloc(length + 16);
	if (data == NULL)
		return;
	for (size_t i = 0; i < length; i += 11)
		snprintf(data + i, 12, "%010u|", id);
	answer(x, r->path.ptr[1], (struct bicorn_header[]){
	    { bicorn_str("X-Id"), bicorn_str(id_text) },
	    { bicorn_str("X-Sum"), bicorn_str(sum) } }, data, length);
	free(data);
}

BICORN_APP(.handle = handle)
