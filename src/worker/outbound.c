/* SPDX-License-Identifier: MIT */
#include "worker/outbound.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/fd.h"
#include "net/conn.h"

#define IOV_MAX_HERE 16
#define PIECE_ROOM_MIN 4096

struct piece {
	struct piece *next;
	int fd;      /* -1: bytes in data */
	off_t at;    /* of the next byte, in the file or in data */
	size_t len;  /* bytes left */
	size_t room; /* of data */
	char data[];
};

static struct piece *
piece_new(struct outbound *o, size_t room)
{
	struct piece *p = malloc(sizeof(*p) + room);

	if (p == NULL)
		return NULL;
	p->next = NULL;
	p->fd = -1;
	p->at = 0;
	p->len = 0;
	p->room = room;
	if (o->head == NULL)
		o->head = p;
	else
		o->tail->next = p;
	o->tail = p;
	return p;
}

static void
drop_head(struct outbound *o)
{
	struct piece *p = o->head;

	o->head = p->next;
	fd_close(&p->fd);
	free(p);
}

bool
outbound_add(struct outbound *o, const void *data, size_t len)
{
	struct piece *p = o->head != NULL ? o->tail : NULL;
	size_t used;

	if (len == 0)
		return true;
	used = p != NULL ? (size_t)p->at + p->len : 0;
	if (p == NULL || p->fd >= 0 || p->room - used < len) {
		p = piece_new(o, len > PIECE_ROOM_MIN ? len : PIECE_ROOM_MIN);
		if (p == NULL)
			return false;
		used = 0;
	}
	memcpy(p->data + used, data, len);
	p->len += len;
	o->memory += len;
	return true;
}

bool
outbound_add_file(struct outbound *o, int fd, off_t at, size_t len)
{
	struct piece *p;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		return false;
	p = piece_new(o, 0);
	if (p == NULL) {
		fd_close(&copy);
		return false;
	}
	p->fd = copy;
	p->at = at;
	p->len = len;
	return true;
}

/* Accounts for n bytes that went from the front. */
static void
consume(struct outbound *o, size_t n)
{
	while (n > 0) {
		struct piece *p = o->head;
		size_t part = n < p->len ? n : p->len;

		p->at += (off_t)part;
		p->len -= part;
		n -= part;
		if (p->fd < 0)
			o->memory -= part;
		if (p->len == 0)
			drop_head(o);
	}
}

static enum io
flush_memory(struct outbound *o, struct conn *c, size_t *put_out)
{
	struct iovec iov[IOV_MAX_HERE];
	struct piece *p = o->head;
	int n = 0;

	for (; p != NULL && p->fd < 0 && n < IOV_MAX_HERE; p = p->next)
		iov[n++] = (struct iovec){ p->data + p->at, p->len };
	return c->transport->write(c, iov, n, p != NULL, put_out);
}

static enum io
flush_file(struct outbound *o, struct conn *c, size_t *put_out)
{
	struct piece *p = o->head;
	enum io io = c->transport->sendfile(c, p->fd, p->at, p->len, put_out);

	return io == IO_EOF ? IO_ERROR : io;
}

enum io
outbound_flush(struct outbound *o, struct conn *c, bool *progress_out)
{
	*progress_out = false;
	while (o->head != NULL) {
		size_t put;
		enum io io = o->head->fd < 0 ? flush_memory(o, c, &put)
					     : flush_file(o, c, &put);

		if (io != IO_OK)
			return io;
		*progress_out = true;
		consume(o, put);
	}
	return IO_OK;
}

void
outbound_drop(struct outbound *o)
{
	while (o->head != NULL)
		drop_head(o);
	o->memory = 0;
}
