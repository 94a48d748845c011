/* SPDX-License-Identifier: MIT */
/* TLS as a transport: non-blocking steps over one socket. */
#include "tls/tls.h"

#ifdef HAVE_TLS

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net/conn.h"
#include "tls/session.h"
#include "tls/tls_private.h"

/*
 * The library asks for a record's header, then for the rest; reading ahead
 * makes one system call of the two.
 */
#define AHEAD 4096
/* As much as fits one record. */
#define RECORD_MAX 16384
/*
 * More than any handshake takes.  The library passes over warnings, however
 * many come, and would never return to who has to watch the deadline.
 */
#define VAIN_MOST (256 * 1024)

/* --- what the library calls ----------------------------------------------- */

static ssize_t
receive(struct session *s, void *buf, size_t room)
{
	ssize_t n;

	do {
		n = recv(s->fd, buf, room, 0);
	} while (n < 0 && errno == EINTR);
	s->drained = n < (ssize_t)room;
	s->vain += n > 0 ? (size_t)n : 0;
	return n;
}

static int
result_of(ssize_t n, int again)
{
	if (n >= 0)
		return (int)n;
	return errno == EAGAIN || errno == EWOULDBLOCK
	    ? again
	    : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

/*
 * A handshake begins with a record of its own type, which is no letter; a
 * request of HTTP begins with one.
 */
static bool
is_foreign(struct session *s)
{
	if (s->begun)
		return false;
	s->begun = true;
	s->plain = s->ahead[0] >= 'A' && s->ahead[0] <= 'Z';
	return s->plain;
}

static int
take_ahead(struct session *s, unsigned char *buf, size_t len)
{
	if (len > s->ahead_len - s->ahead_at)
		len = s->ahead_len - s->ahead_at;
	memcpy(buf, s->ahead + s->ahead_at, len);
	s->ahead_at += len;
	return (int)len;
}

static int
on_recv(void *arg, unsigned char *buf, size_t len)
{
	struct session *s = arg;
	ssize_t n;

	if (s->in_record == NULL)
		s->in_record = buf;
	s->between = buf == s->in_record;
	if (s->ahead_at == s->ahead_len) {
		if (s->drained && s->satisfied)
			return MBEDTLS_ERR_SSL_WANT_READ;
		if (s->vain > VAIN_MOST)
			return MBEDTLS_ERR_SSL_INVALID_RECORD;
		if (len >= AHEAD)
			return result_of(receive(s, buf, len),
			    MBEDTLS_ERR_SSL_WANT_READ);
		n = receive(s, s->ahead, AHEAD);
		if (n <= 0)
			return result_of(n, MBEDTLS_ERR_SSL_WANT_READ);
		s->ahead_at = 0;
		s->ahead_len = (size_t)n;
		if (is_foreign(s))
			return MBEDTLS_ERR_SSL_INVALID_RECORD;
	}
	return take_ahead(s, buf, len);
}

static int
on_send(void *arg, const unsigned char *buf, size_t len)
{
	struct session *s = arg;
	ssize_t n;

	if (s->out_record == NULL)
		s->out_record = (unsigned char *)(uintptr_t)buf;
	do {
		n = send(s->fd, buf, len,
		    MSG_NOSIGNAL | (s->opening ? MSG_MORE : 0));
	} while (n < 0 && errno == EINTR);
	s->pushes |= s->opening && n > 0;
	return result_of(n, MBEDTLS_ERR_SSL_WANT_WRITE);
}

/*
 * The library sends each message of a handshake by itself.  They are held
 * back up to the end of the step, and go together: setting TCP_NODELAY, on a
 * socket that has it, sends what is there.
 */
static void
push(struct session *s)
{
	const int on = 1;

	if (s->pushes)
		setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->pushes = false;
}

/* --- reading ahead -------------------------------------------------------- */

/* room, of AHEAD bytes, holds what is read ahead until keep_ahead(). */
static void
use_ahead(struct session *s, unsigned char *room)
{
	size_t left = s->ahead_len - s->ahead_at;

	if (left > 0)
		memcpy(room, s->ahead + s->ahead_at, left);
	free(s->ahead);
	s->ahead = room;
	s->ahead_at = 0;
	s->ahead_len = left;
}

/* False when out of memory: bytes are lost, and with them the connection. */
static bool
keep_ahead(struct session *s)
{
	const unsigned char *from = s->ahead + s->ahead_at;
	size_t left = s->ahead_len - s->ahead_at;

	s->ahead = NULL;
	s->ahead_at = s->ahead_len = 0;
	if (left == 0)
		return true;
	s->ahead = malloc(left);
	if (s->ahead == NULL)
		return false;
	memcpy(s->ahead, from, left);
	s->ahead_len = left;
	return true;
}

/* --- the transport -------------------------------------------------------- */

static bool
is_again(int rc)
{
	return rc == MBEDTLS_ERR_SSL_WANT_READ ||
	    rc == MBEDTLS_ERR_SSL_WANT_WRITE;
}

static void tls_fini(struct conn *c);

static enum io
tls_handshake(struct conn *c)
{
	struct session *s = c->tls;
	unsigned char room[AHEAD];
	unsigned before;
	bool kept;
	int rc;

	s->satisfied = false;
	use_ahead(s, room);
	before = tls_resumed(s->tls);
	s->opening = true;
	rc = mbedtls_ssl_handshake(&s->ssl);
	s->opening = false;
	push(s);
	c->resumed = c->resumed || tls_resumed(s->tls) != before;
	kept = keep_ahead(s);
	if (rc == 0)
		return kept ? refuse_unfit(s, c) : IO_ERROR;
	if (is_again(rc))
		return IO_AGAIN;
	if (s->plain) {
		tls_fini(c);
		c->transport = &transport_plain;
		return IO_FOREIGN;
	}
	refuse_failed(s, c, rc);
	return IO_ERROR;
}

/* What a read that brought nothing comes to. */
static enum io
verdict_of_read(int rc)
{
	if (is_again(rc))
		return IO_AGAIN;
	if (rc == 0 || rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY ||
	    rc == MBEDTLS_ERR_SSL_CONN_EOF)
		return IO_EOF;
	return IO_ERROR;
}

/*
 * Once something was read, a recv() that could only say EAGAIN is spared:
 * the one before found less than it could take.
 */
static enum io
tls_read(struct conn *c, char *buf, size_t room, size_t *got_out,
    bool *drained_out)
{
	struct session *s = c->tls;
	unsigned char ahead[AHEAD];
	enum io io = s->ended;

	*got_out = 0;
	*drained_out = false;
	s->satisfied = false;
	use_ahead(s, ahead);
	while (io == IO_OK && *got_out < room) {
		int rc = mbedtls_ssl_read(&s->ssl,
		    (unsigned char *)buf + *got_out, room - *got_out);

		if (rc <= 0) {
			io = verdict_of_read(rc);
			if (io == IO_ERROR)
				refuse_broken(c, "reading", rc);
			break;
		}
		*got_out += (size_t)rc;
		s->satisfied = true;
		s->vain = 0;
	}
	if (!keep_ahead(s))
		io = IO_ERROR;
	if (io == IO_AGAIN)
		*drained_out = true;
	else
		s->ended = io; /* told by the next call when there are bytes */
	return *got_out > 0 ? IO_OK : io;
}

/* Joins the front of iov into one record's worth of bytes. */
static const unsigned char *
gather(const struct iovec *iov, int count, unsigned char *room, size_t *len)
{
	*len = 0;
	if (count == 1 || iov->iov_len >= RECORD_MAX) {
		*len = iov->iov_len < RECORD_MAX ? iov->iov_len : RECORD_MAX;
		return iov->iov_base;
	}
	for (int i = 0; i < count && *len < RECORD_MAX; i++) {
		size_t part = iov[i].iov_len;

		if (part == 0)
			continue; /* it may be nowhere */
		if (part > RECORD_MAX - *len)
			part = RECORD_MAX - *len;
		memcpy(room + *len, iov[i].iov_base, part);
		*len += part;
	}
	return room;
}

/*
 * One record a call.  A record that the socket took in part is not yet
 * reported as put: the caller comes again with the same bytes in front, and
 * the library then sends what it has, without looking at them.
 */
static enum io
tls_write(struct conn *c, const struct iovec *iov, int count, bool more,
    size_t *put_out)
{
	struct session *s = c->tls;
	unsigned char room[RECORD_MAX];
	const unsigned char *data;
	size_t len;
	int rc;

	(void)more;
	*put_out = 0;
	data = gather(iov, count, room, &len);
	if (s->unsent > 0)
		len = s->unsent;
	rc = mbedtls_ssl_write(&s->ssl, data, len);
	if (is_again(rc)) {
		s->unsent = len;
		return IO_AGAIN;
	}
	s->unsent = 0;
	if (rc <= 0) {
		refuse_broken(c, "writing", rc);
		return IO_ERROR;
	}
	*put_out = (size_t)rc;
	return IO_OK;
}

static void
tls_shutdown(struct conn *c)
{
	struct session *s = c->tls;

	if (s->unsent == 0)
		mbedtls_ssl_close_notify(&s->ssl);
	shutdown(c->fd, SHUT_WR);
}

static void
tls_fini(struct conn *c)
{
	struct session *s = c->tls;

	if (s == NULL)
		return;
	mbedtls_ssl_free(&s->ssl);
	facts_free(&s->facts);
	free(s->unfit);
	free(s->name);
	free(s->ahead);
	tls_free(&s->tls);
	free(s);
	c->tls = NULL;
}

/* --- idle connections ----------------------------------------------------- */

#ifndef MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH

#if defined(MBEDTLS_SSL_IN_CONTENT_LEN)
#define IN_LEN MBEDTLS_SSL_IN_CONTENT_LEN
#define OUT_LEN MBEDTLS_SSL_OUT_CONTENT_LEN
#else
#define IN_LEN RECORD_MAX
#define OUT_LEN RECORD_MAX
#endif
/* The header of a record and what else may be kept around it. */
#define RECORD_FRONT 512

/*
 * Gives the whole pages behind the front of a record's buffer back to the
 * system; they come again, zeroed, when they are next written to.
 */
static void
give_back(unsigned char *record, size_t len)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from, to;

	if (record == NULL)
		return;
	from = ((uintptr_t)record + RECORD_FRONT + page - 1) & ~(page - 1);
	to = ((uintptr_t)record + len) & ~(page - 1);
	if (from < to)
		madvise((void *)from, to - from, MADV_DONTNEED);
}

/*
 * The library keeps two buffers of 16 kB for as long as a connection lasts.
 * Between two records there is nothing in them.
 */
static void
tls_idle(struct conn *c)
{
	struct session *s = c->tls;

	if (!s->between || s->unsent > 0 ||
	    mbedtls_ssl_get_bytes_avail(&s->ssl) > 0 ||
	    mbedtls_ssl_check_pending(&s->ssl))
		return;
	give_back(s->in_record, IN_LEN);
	give_back(s->out_record, OUT_LEN);
}

#else

/* Such a library makes its buffers as small as they can be itself. */
static void
tls_idle(struct conn *c)
{
	(void)c;
}

#endif

static const struct transport transport_tls = {
	.handshake = tls_handshake,
	.read = tls_read,
	.write = tls_write,
	.sendfile = NULL, /* bytes must be encrypted: they go through memory */
	.shutdown = tls_shutdown,
	.idle = tls_idle,
	.fini = tls_fini,
};

bool
tls_attach(struct tls *t, struct conn *c)
{
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return false;
	mbedtls_ssl_init(&s->ssl);
	if (mbedtls_ssl_setup(&s->ssl, tls_ssl_config(t)) != 0) {
		mbedtls_ssl_free(&s->ssl);
		free(s);
		return false;
	}
	s->tls = tls_use(t);
	s->fd = c->fd;
	compat_set_session(&s->ssl, s);
	mbedtls_ssl_set_verify(&s->ssl, refuse_look, s);
	mbedtls_ssl_set_bio(&s->ssl, s, on_send, on_recv, NULL);
	c->tls = s;
	c->transport = &transport_tls;
	return true;
}

#endif
