/* SPDX-License-Identifier: MIT */
#include "ctl/link.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"

/* Longer than anything the other side waits for. */
#define ANSWER_MS 60000
#define ANSWER_MAX (64 * 1024 * 1024)
#define PART 65536

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

/* 0, or -1: it is not coming. */
static int
read_line(struct link *l, struct buf *b, struct err *err)
{
	struct pollfd p = { .fd = l->fd, .events = POLLIN };

	while (b->len == 0 || b->data[b->len - 1] != '\n') {
		ssize_t n;

		if (b->len > ANSWER_MAX || !buf_reserve(b, PART)) {
			err_set(err, "the answer is too long");
			return -1;
		}
		if (poll(&p, 1, ANSWER_MS) == 0) {
			err_set(err, "bicorn does not answer");
			return -1;
		}
		n = recv(l->fd, b->data + b->len, PART, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err_set(err, "bicorn closed the connection; only root "
				     "and its own user may command it");
			return -1;
		}
		b->len += (size_t)n;
	}
	return 0;
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
	if (send_line(l, line, err) != 0 || read_line(l, &b, err) != 0)
		goto out;
	answer = json_loadb(b.data, b.len, 0, &error);
	rc = take_answer(answer, data_out, err);
out:
	json_decref(answer);
	json_decref(line);
	buf_fini(&b);
	return rc;
}

void
link_await_end(struct link *l)
{
	char scratch[256];
	ssize_t n;

	do
		n = read(l->fd, scratch, sizeof(scratch));
	while (n > 0 || (n < 0 && errno == EINTR));
}
