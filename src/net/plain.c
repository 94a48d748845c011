/* SPDX-License-Identifier: MIT */
/* Plain TCP and unix sockets: the transport without a layer of its own. */
#include "net/transport.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fd.h"
#include "net/conn.h"

/* Of a file, where the kernel cannot send it by itself. */
#define COPY_BYTES 16384

static enum io
plain_handshake(struct conn *c)
{
	(void)c;
	return IO_OK;
}

static enum io
verdict_of_errno(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK ? IO_AGAIN : IO_ERROR;
}

static enum io
plain_read(struct conn *c, char *buf, size_t room, size_t *got_out,
    bool *drained_out)
{
	ssize_t n;

	*got_out = 0;
	do {
		n = recv(c->fd, buf, room, 0);
	} while (n < 0 && errno == EINTR);
	*drained_out = n < (ssize_t)room;
	if (n < 0)
		return verdict_of_errno();
	if (n == 0)
		return IO_EOF;
	*got_out = (size_t)n;
	return IO_OK;
}

static enum io
plain_write(struct conn *c, const struct iovec *iov, int count, bool more,
    size_t *put_out)
{
	struct msghdr msg = {
		.msg_iov = (struct iovec *)iov,
		.msg_iovlen = (size_t)count,
	};
	int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
	ssize_t n;

	*put_out = 0;
	do {
		n = count == 1
		    ? send(c->fd, iov->iov_base, iov->iov_len, flags)
		    : sendmsg(c->fd, &msg, flags);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return verdict_of_errno();
	*put_out = (size_t)n;
	return IO_OK;
}

/*
 * sendfile() hands pieces of 64 KiB to the socket, which sends each with a
 * short last segment, unless it is told to wait for more.  A unix socket has
 * no segments, and says that it does not know the option.
 */
static void
cork(const struct conn *c, int on)
{
	int error = errno;

	setsockopt(c->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	errno = error;
}

/* True when sendfile() found fault with the file, not with the socket. */
static bool
file_errno(void)
{
	return errno == EBADF || errno == EINVAL || errno == EIO ||
	    errno == ESPIPE || errno == EOVERFLOW || errno == EISDIR ||
	    errno == EACCES;
}

/*
 * Some file systems (FUSE for one) and sandboxes have no sendfile(): then a
 * part of the file goes through memory, as if one had asked for so little.
 */
static ssize_t
send_copied(struct conn *c, int fd, off_t at, size_t len)
{
	char buf[COPY_BYTES];
	ssize_t got = fd_pread_all(fd, buf,
	    len < sizeof(buf) ? len : sizeof(buf), at);
	ssize_t n;

	if (got <= 0)
		return got;
	do {
		n = send(c->fd, buf, (size_t)got, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n;
}

static bool
has_no_sendfile(void)
{
	return errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP ||
	    errno == EPERM;
}

static enum io
plain_sendfile(struct conn *c, int fd, off_t at, size_t len, bool bulk,
    size_t *put_out)
{
	ssize_t n;

	*put_out = 0;
	if (bulk)
		cork(c, 1);
	do {
		n = sendfile(c->fd, fd, &at, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && has_no_sendfile())
		n = send_copied(c, fd, at, len);
	if (bulk)
		cork(c, 0);
	if (n < 0)
		return file_errno() ? IO_EOF : verdict_of_errno();
	if (n == 0)
		return IO_EOF;
	*put_out = (size_t)n;
	return IO_OK;
}

static void
plain_shutdown(struct conn *c)
{
	shutdown(c->fd, SHUT_WR);
}

static void
plain_fini(struct conn *c)
{
	(void)c;
}

static void
plain_idle(struct conn *c)
{
	(void)c;
}

const struct transport transport_plain = {
	.handshake = plain_handshake,
	.read = plain_read,
	.write = plain_write,
	.sendfile = plain_sendfile,
	.shutdown = plain_shutdown,
	.idle = plain_idle,
	.fini = plain_fini,
};
