/* SPDX-License-Identifier: MIT */
#include "arbiter/bequest.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

/* "PID FD": who leaves something, and where it is. */
#define VARIABLE "BICORN_UPGRADE"

#define TEXT_MAX (4 * 1024 * 1024)

/* --- leaving something ---------------------------------------------------- */

static void
add_line(struct bequest *b, const char *kind, const char *number,
    const char *fmt, va_list ap)
{
	char *value = NULL;

	if (vasprintf(&value, fmt, ap) < 0)
		value = NULL;
	if (value == NULL || strchr(value, '\n') != NULL ||
	    !buf_fmt(&b->text, "%s %s%s\n", kind, number, value))
		b->failed = true;
	free(value);
}

void
bequest_add(struct bequest *b, const char *kind, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_line(b, kind, "", fmt, ap);
	va_end(ap);
}

void
bequest_add_fd(struct bequest *b, const char *kind, int fd, const char *fmt,
    ...)
{
	int *more = realloc(b->fds, (b->fd_count + 1) * sizeof(*more));
	char number[24];
	va_list ap;

	if (more == NULL) {
		b->failed = true;
		return;
	}
	b->fds = more;
	b->fds[b->fd_count++] = fd;
	snprintf(number, sizeof(number), "%d%s", fd, *fmt != '\0' ? " " : "");
	va_start(ap, fmt);
	add_line(b, kind, number, fmt, ap);
	va_end(ap);
}

int
bequest_send(struct bequest *b, pid_t from, struct err *err)
{
	char value[64];
	int fd = -1;

	if (b->failed) {
		errno = ENOMEM;
		goto failed;
	}
	fd = memfd_create("bicorn-upgrade", 0);
	if (fd < 0 || fd_write_all(fd, b->text.data, b->text.len) != 0)
		goto failed;
	for (size_t i = 0; i < b->fd_count; i++)
		if (fd_cloexec(b->fds[i], false) != 0)
			goto failed;
	snprintf(value, sizeof(value), "%d %d", (int)from, fd);
	if (setenv(VARIABLE, value, 1) == 0)
		return 0;
failed:
	err_sys(err, "what the new arbiter needs");
	fd_close(&fd);
	return -1;
}

void
bequest_fini(struct bequest *b)
{
	buf_fini(&b->text);
	free(b->fds);
	*b = (struct bequest){ .fds = NULL };
}

/* --- and finding it ------------------------------------------------------- */

static int
read_lines(struct legacy *l, int fd, struct err *err)
{
	ssize_t n;

	l->text = malloc(TEXT_MAX);
	n = l->text != NULL ? fd_pread_all(fd, l->text, TEXT_MAX - 1, 0) : -1;
	if (n < 0) {
		err_sys(err, VARIABLE);
		return -1;
	}
	l->text[n] = '\0';
	return 0;
}

/*
 * A gunicorn whose executable became this one (USR2): its sockets, in the
 * order of its settings, are all that it leaves.
 */
static int
take_of_gunicorn(struct legacy *l, struct err *err)
{
	const char *pid = getenv("GUNICORN_PID"), *fds = getenv("GUNICORN_FD");

	if (pid == NULL || fds == NULL || atoll(pid) != getppid())
		return 0;
	l->fds = strdup(fds);
	if (l->fds == NULL) {
		err_sys(err, "GUNICORN_FD");
		return -1;
	}
	l->from = getppid();
	return 0;
}

static int
take(struct legacy *l, struct err *err)
{
	const char *value = getenv(VARIABLE);
	int pid, fd, rc;

	if (value == NULL)
		return take_of_gunicorn(l, err);
	/* A variable that somebody passed on by mistake is not for us. */
	if (sscanf(value, "%d %d", &pid, &fd) != 2 || pid != getppid())
		return 0;
	l->from = pid;
	rc = read_lines(l, fd, err);
	fd_close(&fd);
	return rc;
}

int
legacy_take(struct legacy *l, struct err *err)
{
	int rc;

	*l = (struct legacy){ .from = 0 };
	rc = take(l, err);
	unsetenv(VARIABLE);
	unsetenv("GUNICORN_PID");
	unsetenv("GUNICORN_FD");
	return rc;
}

void
legacy_fini(struct legacy *l)
{
	free(l->text);
	free(l->fds);
	*l = (struct legacy){ .from = 0 };
}

char *
legacy_next(const struct legacy *l, const char *kind, const char **at)
{
	size_t len = strlen(kind);
	const char *line = *at;

	if (line == NULL)
		line = l->text != NULL ? l->text : "";
	for (; *line != '\0'; line += strcspn(line, "\n"), line += *line != 0)
		if (strncmp(line, kind, len) == 0 && line[len] == ' ') {
			const char *value = line + len + 1;
			size_t size = strcspn(value, "\n");

			*at = value + size + (value[size] != '\0');
			return strndup(value, size);
		}
	*at = line;
	return NULL;
}

long long
legacy_number(const struct legacy *l, const char *kind)
{
	const char *at = NULL;
	char *value = legacy_next(l, kind, &at);
	long long n = value != NULL ? atoll(value) : -1;

	free(value);
	return n;
}
