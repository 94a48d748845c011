/* SPDX-License-Identifier: MIT */
#include "ctl/link.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"

/* Longer than anything the other side waits for. */
#define ANSWER_MS 60000
#define ANSWER_MAX (64 * 1024 * 1024)
#define PART 65536
/* While somebody may want out, that is looked for so often. */
#define LOOK_MS 100

enum link_result
link_open(struct link *l, const char *path, struct err *err)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	l->fd = -1;
	if (strlen(path) >= sizeof(to.sun_path)) {
		err_set(err, "%s: the path is too long", path);
		return LINK_LOST;
	}
	memcpy(to.sun_path, path, strlen(path));
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l->fd < 0 ||
	    connect(l->fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		err_sys(err, "%s", path);
		link_close(l);
		return LINK_LOST;
	}
	return LINK_OK;
}

void
link_close(struct link *l)
{
	fd_close(&l->fd);
}

static enum link_result
lost(struct err *err, const char *why)
{
	err_set(err, "%s", why);
	return LINK_LOST;
}

/* Until there is something to read. */
static enum link_result
await(const struct link *l, int64_t end_ms, struct err *err)
{
	struct pollfd p = { .fd = l->fd, .events = POLLIN };

	for (;;) {
		int64_t left = end_ms - clock_ms();

		if (left <= 0)
			return lost(err, "bicorn does not answer");
		if (l->wants_out != NULL && left > LOOK_MS)
			left = LOOK_MS;
		if (poll(&p, 1, (int)left) > 0)
			return LINK_OK;
		if (l->wants_out != NULL && l->wants_out(l->arg))
			return LINK_LEFT;
	}
}

static enum link_result
read_line(struct link *l, struct buf *b, struct err *err)
{
	int64_t end_ms = clock_ms() + ANSWER_MS;

	while (b->len == 0 || b->data[b->len - 1] != '\n') {
		enum link_result rc;
		ssize_t n;

		if (b->len > ANSWER_MAX || !buf_reserve(b, PART))
			return lost(err, "the answer is too long");
		rc = await(l, end_ms, err);
		if (rc != LINK_OK)
			return rc;
		n = recv(l->fd, b->data + b->len, PART, MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return lost(err, "bicorn closed the connection; only "
			    "root and its own user may command it");
		b->len += (size_t)n;
	}
	return LINK_OK;
}

/* MSG_NOSIGNAL: its end is an error, and not ours. */
static int
send_line(struct link *l, json_t *line, struct err *err)
{
	char *text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
	size_t len = text != NULL ? strlen(text) : 0, at = 0;

	if (text != NULL)
		text[len++] = '\n'; /* in place of the end */
	while (at < len) {
		ssize_t n = send(l->fd, text + at, len - at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		at += (size_t)n;
	}
	free(text);
	if (at == len && len > 0)
		return 0;
	err_set(err, "bicorn is gone");
	return -1;
}

static enum link_result
take_answer(const json_t *answer, json_t **data_out, struct err *err)
{
	const char *why = json_string_value(json_object_get(answer, "error"));

	if (json_is_true(json_object_get(answer, "ok"))) {
		*data_out = json_incref(json_object_get(answer, "data"));
		return LINK_OK;
	}
	err_set(err, "%s", why != NULL ? why : "the answer makes no sense");
	return LINK_REFUSED;
}

enum link_result
link_ask(struct link *l, const char *command, json_t *argument,
    json_t **data_out, struct err *err)
{
	json_t *line = json_pack("{s:s}", "command", command), *answer = NULL;
	enum link_result rc = LINK_LOST;
	json_error_t error;
	struct buf b = { 0 };

	*data_out = NULL;
	if (argument != NULL)
		json_object_set_new(line, "argument", argument);
	if (send_line(l, line, err) != 0)
		goto out;
	rc = read_line(l, &b, err);
	if (rc != LINK_OK) {
		link_close(l); /* what may come yet answers no other command */
		goto out;
	}
	answer = json_loadb(b.data, b.len, 0, &error);
	rc = take_answer(answer, data_out, err);
out:
	json_decref(answer);
	json_decref(line);
	buf_fini(&b);
	return rc;
}

/*
 * A descriptor of the arbiter, which made the socket; another process answers
 * on it, and ends before the arbiter has.  -1 on kernels before 5.3, and when
 * the arbiter cannot be seen from here.
 */
static int
open_arbiter(const struct link *l)
{
#ifdef SYS_pidfd_open
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(l->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
	    who.pid > 0)
		return (int)syscall(SYS_pidfd_open, who.pid, 0);
#else
	(void)l;
#endif
	return -1;
}

void
link_await_end(struct link *l)
{
	struct pollfd arbiter = { .fd = open_arbiter(l), .events = POLLIN };
	char scratch[256];
	ssize_t n;

	do
		n = read(l->fd, scratch, sizeof(scratch));
	while (n > 0 || (n < 0 && errno == EINTR));
	while (arbiter.fd >= 0 && poll(&arbiter, 1, -1) < 0 && errno == EINTR)
		;
	fd_close(&arbiter.fd);
}
