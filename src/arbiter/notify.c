/* SPDX-License-Identifier: MIT */
#include "arbiter/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arbiter/activation.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"

/* How long the manager may take to hear of an heir. */
#define HEARD_MS 2000

/* A longer time between two signs of life is as good as none. */
#define WATCHDOG_MAX_US (24ULL * 3600 * 1000 * 1000)

/* How soon a manager that had no room is tried again. */
#define AGAIN_MS 1000

/* --- what the manager wants ----------------------------------------------- */

/* A path, or behind an @ a name that is no file's. */
static int
read_address(struct notify *n, const char *name, struct err *err)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 ||
	    len >= sizeof(n->address.sun_path)) {
		err_set(err, "NOTIFY_SOCKET=%s: cannot be used", name);
		return -1;
	}
	n->address.sun_family = AF_UNIX;
	memcpy(n->address.sun_path, name, len);
	if (name[0] == '@')
		n->address.sun_path[0] = '\0';
	n->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return 0;
}

/* Half of what it waits for: one that comes late is not missed. */
static int64_t
read_watchdog(void)
{
	unsigned long long us = activation_number("WATCHDOG_USEC");
	bool ours = getenv("WATCHDOG_PID") == NULL ||
	    activation_number("WATCHDOG_PID") == (unsigned long long)getpid();

	if (us == 0 || us > WATCHDOG_MAX_US || !ours)
		return 0;
	return us < 2000 ? 1 : (int64_t)(us / 2000);
}

int
notify_open(struct notify *n, struct err *err)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int rc = 0;

	*n = (struct notify){ .fd = -1, .due_ms = CLOCK_NEVER };
	if (name != NULL && name[0] != '\0')
		rc = read_address(n, name, err);
	if (rc == 0 && n->length > 0) {
		n->watchdog_ms = read_watchdog();
		n->fd = socket(AF_UNIX,
		    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (n->fd < 0) {
			err_sys(err, "NOTIFY_SOCKET");
			rc = -1;
		}
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return rc;
}

void
notify_close(struct notify *n)
{
	fd_close(&n->fd);
}

/* --- what we say ---------------------------------------------------------- */

/* False when the manager has no room for it now. */
static bool
send_text(struct notify *n, const char *text)
{
	ssize_t sent;

	if (n->fd < 0 || n->mute)
		return true;
	do
		sent = sendto(n->fd, text, strlen(text), MSG_NOSIGNAL,
		    (const struct sockaddr *)&n->address, n->length);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0 || errno != EAGAIN)
		return true;
	n->behind = true;
	return false;
}

/* A turning point: those before it need not be told any more. */
static void
send_turn(struct notify *n, const char *text)
{
	bool sent = send_text(n, text);

	snprintf(n->owed, sizeof(n->owed), "%s", sent ? "" : text);
}

void
notify_ready(struct notify *n, int64_t now_ms)
{
	char text[64];

	/* It may have started a process that is not we: --daemon. */
	snprintf(text, sizeof(text), "READY=1\nMAINPID=%d", (int)getpid());
	send_turn(n, text);
	n->due_ms = n->watchdog_ms > 0 ? now_ms : CLOCK_NEVER;
}

void
notify_reloading(struct notify *n)
{
	char text[64];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)clock_us());
	send_turn(n, text);
}

void
notify_stopping(struct notify *n)
{
	send_turn(n, "STOPPING=1");
}

void
notify_status(struct notify *n, const char *text)
{
	static const char name[] = "STATUS=";
	const size_t skip = sizeof(name) - 1;
	char line[sizeof(name) + sizeof(n->status)];
	size_t i;

	if (n->fd < 0 || n->mute)
		return;
	snprintf(line, sizeof(line), "%s%.*s", name,
	    (int)sizeof(n->status) - 1, text);
	/* One line, and nothing that a cut may have made half a letter. */
	for (i = 0; line[i] != '\0'; i++)
		if ((unsigned char)line[i] < 0x20 ||
		    (unsigned char)line[i] > 0x7e)
			line[i] = '?';
	if (strcmp(line + skip, n->status) == 0)
		return;
	if (send_text(n, line))
		memcpy(n->status, line + skip, i - skip + 1);
}

/* Sends text along with a descriptor; false when that failed. */
static bool
send_with(const struct notify *n, const char *text, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = "" };
	struct iovec iov = { (void *)text, strlen(text) };
	struct msghdr message = {
		.msg_name = (void *)&n->address,
		.msg_namelen = n->length,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room),
	};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
	return sendmsg(n->fd, &message, MSG_NOSIGNAL) >= 0;
}

/* The manager closes what it was sent once all before that is done. */
static void
wait_heard(const struct notify *n)
{
	struct pollfd p = { .fd = -1 };
	int ends[2];
	bool sent;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return;
	sent = send_with(n, "BARRIER=1", ends[1]);
	fd_close(&ends[1]);
	p.fd = ends[0];
	while (sent && poll(&p, 1, HEARD_MS) < 0 && errno == EINTR)
		;
	fd_close(&ends[0]);
}

/* What is sent from now on waits until there is room, for a moment. */
static void
wait_for_room(const struct notify *n)
{
	const struct timeval most = { .tv_sec = HEARD_MS / 1000 };

	if (setsockopt(n->fd, SOL_SOCKET, SO_SNDTIMEO, &most,
		sizeof(most)) == 0)
		fd_nonblock(n->fd, false);
}

void
notify_heir(struct notify *n, pid_t pid)
{
	char text[64];

	if (n->fd < 0 || n->mute)
		return;
	snprintf(text, sizeof(text), "MAINPID=%d", (int)pid);
	wait_for_room(n);
	send_text(n, text);
	wait_heard(n);
	n->mute = true;
}

void
notify_environment(const struct notify *n)
{
	char name[sizeof(n->address.sun_path) + 1] = "", us[32];
	size_t len = n->length - offsetof(struct sockaddr_un, sun_path);

	if (n->fd < 0)
		return;
	memcpy(name, n->address.sun_path, len);
	if (name[0] == '\0')
		name[0] = '@';
	snprintf(us, sizeof(us), "%lld", (long long)n->watchdog_ms * 2000);
	setenv("NOTIFY_SOCKET", name, 1);
	if (n->watchdog_ms > 0)
		setenv("WATCHDOG_USEC", us, 1);
}

void
notify_alive(struct notify *n, int64_t now_ms)
{
	bool soon = !send_text(n, "WATCHDOG=1") && n->watchdog_ms > AGAIN_MS;

	n->due_ms = now_ms + (soon ? AGAIN_MS : n->watchdog_ms);
}

void
notify_again(struct notify *n)
{
	n->behind = false;
	if (n->owed[0] != '\0' && send_text(n, n->owed))
		n->owed[0] = '\0';
}

int64_t
notify_deadline(const struct notify *n, int64_t now_ms)
{
	return n->behind && now_ms + AGAIN_MS < n->due_ms ? now_ms + AGAIN_MS
							  : n->due_ms;
}
