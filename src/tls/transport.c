/* SPDX-License-Identifier: MIT */
/* TLS as a transport: non-blocking steps over one socket. */
#include "tls/tls.h"

#ifdef HAVE_TLS

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "net/conn.h"
#include "tls/compat.h"
#include "tls/tls_private.h"

/*
 * The library asks for a record's header, then for the rest; reading ahead
 * makes one system call of the two.
 */
#define AHEAD 4096
/* As much as fits one record. */
#define RECORD_MAX 16384

struct session {
	mbedtls_ssl_context ssl;
	int fd;
	bool drained;    /* the last recv() found less than it could take */
	bool satisfied;  /* there is something to return: do not ask in vain */
	enum io ended;   /* IO_OK: not yet; else what every read comes to */
	size_t unsent;   /* bytes of a record that the socket did not take */
	size_t ahead_at;
	size_t ahead_len;
	unsigned char ahead[AHEAD];
};

/* --- what the library calls ----------------------------------------------- */

static ssize_t
receive(struct session *s, void *buf, size_t room)
{
	ssize_t n;

	do {
		n = recv(s->fd, buf, room, 0);
	} while (n < 0 && errno == EINTR);
	s->drained = n < (ssize_t)room;
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

static int
on_recv(void *arg, unsigned char *buf, size_t len)
{
	struct session *s = arg;
	ssize_t n;

	if (s->ahead_at == s->ahead_len) {
		if (s->drained && s->satisfied)
			return MBEDTLS_ERR_SSL_WANT_READ;
		if (len >= AHEAD)
			return result_of(receive(s, buf, len),
			    MBEDTLS_ERR_SSL_WANT_READ);
		n = receive(s, s->ahead, AHEAD);
		if (n <= 0)
			return result_of(n, MBEDTLS_ERR_SSL_WANT_READ);
		s->ahead_at = 0;
		s->ahead_len = (size_t)n;
	}
	if (len > s->ahead_len - s->ahead_at)
		len = s->ahead_len - s->ahead_at;
	memcpy(buf, s->ahead + s->ahead_at, len);
	s->ahead_at += len;
	return (int)len;
}

static int
on_send(void *arg, const unsigned char *buf, size_t len)
{
	struct session *s = arg;
	ssize_t n;

	do {
		n = send(s->fd, buf, len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return result_of(n, MBEDTLS_ERR_SSL_WANT_WRITE);
}

/* --- the transport -------------------------------------------------------- */

static bool
is_again(int rc)
{
	return rc == MBEDTLS_ERR_SSL_WANT_READ ||
	    rc == MBEDTLS_ERR_SSL_WANT_WRITE;
}

static enum io
tls_handshake(struct conn *c)
{
	struct session *s = c->tls;
	int rc;

	s->satisfied = false;
	rc = mbedtls_ssl_handshake(&s->ssl);
	if (rc == 0)
		return IO_OK;
	return is_again(rc) ? IO_AGAIN : IO_ERROR;
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
	enum io io = s->ended;

	*got_out = 0;
	*drained_out = false;
	s->satisfied = false;
	while (io == IO_OK && *got_out < room) {
		int rc = mbedtls_ssl_read(&s->ssl,
		    (unsigned char *)buf + *got_out, room - *got_out);

		if (rc <= 0) {
			io = verdict_of_read(rc);
			break;
		}
		*got_out += (size_t)rc;
		s->satisfied = true;
	}
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
	if (rc <= 0)
		return IO_ERROR;
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
	free(s);
	c->tls = NULL;
}

static const struct transport transport_tls = {
	.handshake = tls_handshake,
	.read = tls_read,
	.write = tls_write,
	.sendfile = NULL, /* bytes must be encrypted: they go through memory */
	.shutdown = tls_shutdown,
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
	s->fd = c->fd;
	mbedtls_ssl_set_bio(&s->ssl, s, on_send, on_recv, NULL);
	c->tls = s;
	c->transport = &transport_tls;
	return true;
}

#endif
