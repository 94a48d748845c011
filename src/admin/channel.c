/* SPDX-License-Identifier: MIT */
#include "admin/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"

#define FDS 2

/* Room for the descriptors, aligned as it has to be. */
union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(FDS * sizeof(int))];
};

int
channel_open(int ends_out[2])
{
	return socketpair(AF_UNIX,
	    SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_out);
}

static void
attach(struct msghdr *h, union control *room, const int fds[FDS])
{
	struct cmsghdr *c;

	memset(room, 0, sizeof(*room));
	h->msg_control = room;
	h->msg_controllen = sizeof(room->room);
	c = CMSG_FIRSTHDR(h);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(FDS * sizeof(int));
	memcpy(CMSG_DATA(c), fds, FDS * sizeof(int));
}

bool
channel_send(int fd, const struct channel_message *m)
{
	const int fds[FDS] = { m->board, m->settings };
	struct iovec iov = { (void *)m, sizeof(*m) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control room;
	ssize_t n;

	if (m->kind == CHANNEL_GENERATION)
		attach(&h, &room, fds);
	do
		n = sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(*m);
}

/* Takes the two that came along; one that came alone is closed. */
static void
take_fds(struct msghdr *h, struct channel_message *out)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		int fds[FDS] = { -1, -1 };

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
		    c->cmsg_len > CMSG_LEN(sizeof(fds)))
			continue;
		memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
		if (c->cmsg_len < CMSG_LEN(sizeof(fds)))
			fd_close(&fds[0]);
		out->board = fds[0];
		out->settings = fds[1];
	}
}

enum channel_result
channel_receive(int fd, struct channel_message *out)
{
	struct iovec iov = { out, sizeof(*out) };
	union control room;
	struct msghdr h = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &room,
		.msg_controllen = sizeof(room.room),
	};
	ssize_t n;

	do
		n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return CHANNEL_NONE;
	out->board = out->settings = -1;
	if (n != (ssize_t)sizeof(*out))
		return CHANNEL_END;
	take_fds(&h, out);
	out->text[CHANNEL_TEXT - 1] = '\0';
	return CHANNEL_GOT;
}
