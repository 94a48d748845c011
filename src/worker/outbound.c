/* SPDX-License-Identifier: MIT */
#include "worker/outbound.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/fd.h"
#include "net/conn.h"
#include "worker/spool.h"

#define IOV_MAX_HERE 16
#define PIECE_ROOM_MIN 4096
/* Sent to one client before the others have their turn. */
#define TURN_BYTES (1024 * 1024)

enum piece_kind {
	PIECE_MEMORY,
	PIECE_FILE,  /* fd is the piece's own */
	PIECE_SPOOL, /* fd is the spool file's */
};

struct piece {
	struct piece *next;
	enum piece_kind kind;
	int fd;
	off_t at;    /* of the next byte, in the file or in data */
	size_t len;  /* bytes left */
	size_t room; /* of data */
	char data[];
};

struct spool_file {
	int fd;
	uint64_t len;
};

/* --- adding --------------------------------------------------------------- */

static struct piece *
piece_new(struct outbound *o, enum piece_kind kind, size_t room)
{
	struct piece *p = malloc(sizeof(*p) + room);

	if (p == NULL)
		return NULL;
	p->next = NULL;
	p->kind = kind;
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
count_memory(struct outbound *o, const struct outbound_limits *limits,
    size_t before)
{
	int64_t change = (int64_t)o->memory - (int64_t)before;

	if (change != 0)
		atomic_fetch_add_explicit(limits->buffered, change,
		    memory_order_relaxed);
}

static bool
fits_memory(const struct outbound *o, const struct outbound_limits *limits,
    size_t len)
{
	return len <= limits->memory && o->memory <= limits->memory - len &&
	    atomic_load_explicit(limits->buffered, memory_order_relaxed) +
		    (int64_t)len <= limits->buffered_max;
}

static enum outbound_add
add_memory(struct outbound *o, const void *data, size_t len)
{
	struct piece *p = o->head != NULL ? o->tail : NULL;
	size_t used;

	used = p != NULL && p->kind == PIECE_MEMORY ? (size_t)p->at + p->len
						    : 0;
	if (p == NULL || p->kind != PIECE_MEMORY || p->room - used < len) {
		p = piece_new(o, PIECE_MEMORY,
		    len > PIECE_ROOM_MIN ? len : PIECE_ROOM_MIN);
		if (p == NULL)
			return OUTBOUND_FAILED;
		used = 0;
	}
	memcpy(p->data + used, data, len);
	p->len += len;
	o->memory += len;
	return OUTBOUND_KEPT;
}

static bool
spool_begin(struct outbound *o, const char *dir)
{
	struct spool_file *s;

	if (o->spool != NULL)
		return true;
	s = malloc(sizeof(*s));
	if (s == NULL)
		return false;
	s->len = 0;
	s->fd = spool_open(dir);
	if (s->fd < 0) {
		free(s);
		return false;
	}
	o->spool = s;
	return true;
}

static enum outbound_add
add_spool(struct outbound *o, const struct outbound_limits *limits,
    const void *data, size_t len)
{
	uint64_t have = o->spool != NULL ? o->spool->len : 0;
	struct spool_file *s;
	struct piece *p;

	if (have > limits->spool || len > limits->spool - have)
		return OUTBOUND_FULL;
	if (!spool_begin(o, limits->dir))
		return OUTBOUND_FULL; /* the client has to be waited for */
	s = o->spool;
	if (fd_pwrite_all(s->fd, data, len, (off_t)s->len) != 0)
		return OUTBOUND_FULL;
	p = o->head != NULL ? o->tail : NULL;
	if (p == NULL || p->kind != PIECE_SPOOL) {
		p = piece_new(o, PIECE_SPOOL, 0);
		if (p == NULL)
			return OUTBOUND_FAILED;
		p->fd = s->fd;
		p->at = (off_t)s->len;
	}
	p->len += len;
	s->len += len;
	return OUTBOUND_KEPT;
}

enum outbound_add
outbound_add(struct outbound *o, const struct outbound_limits *limits,
    const void *data, size_t len)
{
	size_t before = o->memory;
	enum outbound_add rc;

	if (len == 0)
		return OUTBOUND_KEPT;
	if (!fits_memory(o, limits, len))
		return add_spool(o, limits, data, len);
	rc = add_memory(o, data, len);
	count_memory(o, limits, before);
	return rc;
}

/* A short rest is not worth a descriptor.  False when it needs one. */
static bool
add_short(struct outbound *o, const struct outbound_limits *limits, int fd,
    off_t at, size_t len)
{
	char buf[OUTBOUND_COPY];

	return len <= sizeof(buf) &&
	    fd_pread_all(fd, buf, len, at) == (ssize_t)len &&
	    outbound_add(o, limits, buf, len) == OUTBOUND_KEPT;
}

bool
outbound_add_file(struct outbound *o, const struct outbound_limits *limits,
    int fd, off_t at, size_t len)
{
	struct piece *p;
	int copy;

	if (add_short(o, limits, fd, at, len))
		return true;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return false;
	p = piece_new(o, PIECE_FILE, 0);
	if (p == NULL) {
		fd_close(&copy);
		return false;
	}
	o->files++;
	p->fd = copy;
	p->at = at;
	p->len = len;
	return true;
}

/* --- sending -------------------------------------------------------------- */

static void
drop_head(struct outbound *o)
{
	struct piece *p = o->head;

	o->head = p->next;
	if (p->kind == PIECE_FILE) {
		fd_close(&p->fd);
		o->files--;
	}
	free(p);
}

static void
drop_spool(struct outbound *o)
{
	if (o->spool == NULL)
		return;
	fd_close(&o->spool->fd);
	free(o->spool);
	o->spool = NULL;
}

/* Accounts for n bytes that went from the front. */
static void
consume(struct outbound *o, size_t n)
{
	while (n > 0 && o->head != NULL) {
		struct piece *p = o->head;
		size_t part = n < p->len ? n : p->len;

		p->at += (off_t)part;
		p->len -= part;
		n -= part;
		if (p->kind == PIECE_MEMORY)
			o->memory -= part;
		if (p->len == 0)
			drop_head(o);
	}
	o->over += n;
}

static enum io
flush_memory(struct outbound *o, struct conn *c, size_t *put_out)
{
	struct iovec iov[IOV_MAX_HERE];
	struct piece *p = o->head;
	int n = 0;

	for (; p != NULL && p->kind == PIECE_MEMORY && n < IOV_MAX_HERE;
	     p = p->next)
		iov[n++] = (struct iovec){ p->data + p->at, p->len };
	return c->transport->write(c, iov, n, p != NULL, put_out);
}

/* A transport that encrypts cannot send from a file. */
static enum io
flush_copied(struct piece *p, struct conn *c, size_t *put_out)
{
	char buf[OUTBOUND_COPY];
	size_t part = p->len < sizeof(buf) ? p->len : sizeof(buf);
	struct iovec iov = { buf, part };

	*put_out = 0;
	if (fd_pread_all(p->fd, buf, part, p->at) != (ssize_t)part)
		return IO_ERROR;
	return c->transport->write(c, &iov, 1, p->len > part, put_out);
}

static enum io
flush_file(struct outbound *o, const struct outbound_limits *limits,
    struct conn *c, size_t *put_out)
{
	struct piece *p = o->head;
	size_t len = p->len < TURN_BYTES ? p->len : TURN_BYTES;
	enum io io;

	if (c->transport->sendfile == NULL ||
	    (limits->copies && p->kind == PIECE_FILE))
		return flush_copied(p, c, put_out);
	io = c->transport->sendfile(c, p->fd, p->at, len,
	    p->len >= OUTBOUND_BULK, put_out);
	return io == IO_EOF ? IO_ERROR : io;
}

enum io
outbound_flush(struct outbound *o, const struct outbound_limits *limits,
    struct conn *c, uint64_t *put_out)
{
	size_t before = o->memory;
	enum io io = IO_OK;

	*put_out = 0;
	while (o->head != NULL && io == IO_OK && *put_out < TURN_BYTES) {
		size_t put;

		io = o->head->kind == PIECE_MEMORY ? flush_memory(o, c, &put)
						   : flush_file(o, limits, c,
							 &put);
		*put_out += put;
		consume(o, put);
	}
	if (o->head == NULL)
		drop_spool(o);
	count_memory(o, limits, before);
	return io;
}

void
outbound_drop(struct outbound *o, const struct outbound_limits *limits)
{
	size_t before = o->memory;

	while (o->head != NULL)
		drop_head(o);
	drop_spool(o);
	o->memory = 0;
	count_memory(o, limits, before);
}
