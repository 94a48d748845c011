/* SPDX-License-Identifier: MIT */
/*
 * Unix sockets.  The path is bound directly, not through a temporary name
 * and a rename, because the kernel goes on showing the name that was bound:
 * to tools, and to a server that inherits the socket.
 */
#include "net/listen.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "net/listen_private.h"

/* A socket this young may be one whose owner has not called listen() yet. */
#define YOUNG_MS 500
#define YOUNG_STEP_MS 20

static socklen_t
unix_name(const char *path, struct sockaddr_un *un)
{
	size_t len = strlen(path);

	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, len);
	if (path[0] == '@') { /* abstract: no path, and the length counts */
		un->sun_path[0] = '\0';
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
		    len);
	}
	return (socklen_t)sizeof(*un);
}

/* Whether nobody answers on a socket: its owner is gone. */
static bool
is_stale(const struct sockaddr_un *un, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool stale = false;

	if (fd < 0)
		return false;
	if (connect(fd, (const struct sockaddr *)un, len) != 0)
		stale = errno == ECONNREFUSED;
	fd_close(&fd);
	return stale;
}

static int64_t
age_ms(const struct stat *st)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)(now.tv_sec - st->st_ctim.tv_sec) * 1000 +
	    (now.tv_nsec - st->st_ctim.tv_nsec) / 1000000;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/*
 * Removes the socket at path if it still is the one that was looked at.
 * Moved aside first: of two servers that start at once and find the same
 * old socket, the later one then sees that it holds the other's new one,
 * and puts it back.
 */
static int
remove_same(const char *path, const struct stat *seen)
{
	struct stat st;
	char *aside;
	int rc = -1;

	if (asprintf(&aside, "%s.old.%ld", path, (long)getpid()) < 0)
		return -1;
	if (rename(path, aside) != 0) {
		rc = errno == ENOENT ? 0 : -1;
		goto out;
	}
	if (lstat(aside, &st) == 0 && same_file(&st, seen)) {
		rc = unlink(aside);
		goto out;
	}
	if (link(aside, path) == 0)
		unlink(aside);
	errno = EADDRINUSE;
out:
	free(aside);
	return rc;
}

static void
pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

/* Makes way at path, where bind() found something. */
static int
replace_stale(const char *spec, const char *path,
    const struct sockaddr_un *un, socklen_t len, struct err *err)
{
	struct stat st;

	for (;;) {
		if (lstat(path, &st) != 0)
			return errno == ENOENT ? 0 : listen_fail(spec, err);
		if (!S_ISSOCK(st.st_mode))
			return listen_bad(spec,
			    "that file exists and is no socket", err);
		if (!is_stale(un, len)) {
			errno = EADDRINUSE;
			return listen_fail(spec, err);
		}
		if (age_ms(&st) < 0 || age_ms(&st) >= YOUNG_MS)
			break;
		pause_ms(YOUNG_STEP_MS);
	}
	return remove_same(path, &st) == 0 ? 0 : listen_fail(spec, err);
}

/* bind() with the mode that the operator asked for from the first moment. */
static int
bind_with_umask(int fd, const struct sockaddr_un *un, socklen_t len,
    mode_t mask)
{
	mode_t old = umask(mask);
	int rc = bind(fd, (const struct sockaddr *)un, len);

	umask(old);
	return rc;
}

static int
bind_unix(struct listener *l, const char *path,
    const struct listen_options *o, struct err *err)
{
	struct sockaddr_un un;
	socklen_t len = unix_name(path, &un);

	if (bind_with_umask(l->fd, &un, len, o->umask) == 0)
		return 0;
	if (errno != EADDRINUSE || path[0] == '@')
		return listen_fail(l->spec, err);
	if (replace_stale(l->spec, path, &un, len, err) != 0)
		return -1;
	if (bind_with_umask(l->fd, &un, len, o->umask) != 0)
		return listen_fail(l->spec, err);
	return 0;
}

/*
 * The path from the root, so that it is still ours to remove after a change
 * of directory; the name shows it as the operator wrote it.
 */
int
listen_describe_unix(struct listener *l, const char *path, struct err *err)
{
	char *cwd = NULL;
	int n;

	l->is_unix = true;
	if (asprintf(&l->name, "unix:%s", path) < 0) {
		l->name = NULL;
		return listen_no_memory(err);
	}
	if (path[0] != '/' && path[0] != '@')
		cwd = getcwd(NULL, 0);
	n = asprintf(&l->host, "%s%s%s", cwd != NULL ? cwd : "",
	    cwd != NULL ? "/" : "", path);
	free(cwd);
	if (n < 0) {
		l->host = NULL;
		return listen_no_memory(err);
	}
	return 0;
}

/* Notes which file is ours and gives it to its owner. */
static int
own_path(struct listener *l, const char *path, const struct listen_options *o,
    struct err *err)
{
	struct stat st;

	if (path[0] == '@')
		return 0;
	if (lstat(path, &st) != 0)
		return listen_fail(l->spec, err);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	if (o->uid == (uid_t)-1 && o->gid == (gid_t)-1)
		return 0;
	if (lchown(path, o->uid, o->gid) != 0) {
		err_sys(err, "bind = %s: cannot give it to user %ld, group %ld",
		    l->spec, (long)o->uid, (long)o->gid);
		return -1;
	}
	return 0;
}

int
listen_open_unix(struct listener *l, const char *path,
    const struct listen_options *o, struct err *err)
{
	if (listen_describe_unix(l, path, err) != 0)
		return -1;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return listen_fail(l->spec, err);
	if (bind_unix(l, path, o, err) != 0 || own_path(l, path, o, err) != 0)
		return -1;
	if (listen(l->fd, o->backlog) != 0)
		return listen_fail(l->spec, err);
	return 0;
}

static bool
still_ours(const struct listener *l)
{
	struct stat st;

	return l->ino != 0 && lstat(l->host, &st) == 0 &&
	    S_ISSOCK(st.st_mode) && st.st_dev == l->dev &&
	    st.st_ino == l->ino;
}

void
listen_unlink(const struct listener *l)
{
	if (still_ours(l))
		unlink(l->host);
}
