/* SPDX-License-Identifier: MIT */
/*
 * Unix sockets.  The path is bound directly, not through a temporary name
 * and a rename, because the kernel goes on showing the name that was bound:
 * to tools, and to a server that inherits the socket.
 */
#include "net/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "net/listen_private.h"

/* How long to wait for the lock of a directory. */
#define LOCK_TRIES 100
#define LOCK_STEP_MS 10

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

/* Makes way at path, where bind() found something. */
static int
remove_stale(const char *spec, const char *path,
    const struct sockaddr_un *un, socklen_t len, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0 : listen_fail(spec, err);
	if (!S_ISSOCK(st.st_mode))
		return listen_bad(spec, "that file exists and is no socket",
		    err);
	if (!is_stale(un, len)) {
		errno = EADDRINUSE;
		return listen_fail(spec, err);
	}
	if (unlink(path) != 0 && errno != ENOENT)
		return listen_fail(spec, err);
	return 0;
}

/*
 * Locks the directory of path, so that of two servers which start at once
 * neither takes the other's new socket, bound but not listening yet, for an
 * old one.  Where that is not possible, or somebody else has the directory
 * locked for long, we go on without.  Returns a descriptor to close, or -1.
 */
static int
lock_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[LISTEN_PATH_ROOM + 1] = ".";
	int fd, tries = LOCK_TRIES;

	if (path[0] == '@')
		return -1;
	if (slash != NULL) {
		memcpy(dir, path, (size_t)(slash - path) + 1);
		dir[slash - path + 1] = '\0';
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	while (flock(fd, LOCK_EX | LOCK_NB) != 0 && tries-- > 0)
		poll(NULL, 0, LOCK_STEP_MS);
	return fd;
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
	if (remove_stale(l->spec, path, &un, len, err) != 0)
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

/*
 * Notes which file is ours and gives it to its owner; by a descriptor, since
 * who may write to the directory may have put another file there meanwhile.
 */
static int
own_path(struct listener *l, const char *path, const struct listen_options *o,
    struct err *err)
{
	int fd = -1, rc = -1;
	struct stat st;

	if (path[0] == '@')
		return 0;
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		listen_fail(l->spec, err);
		goto out;
	}
	if (!S_ISSOCK(st.st_mode)) {
		listen_bad(l->spec, "somebody put another file there", err);
		goto out;
	}
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	rc = 0;
	if ((o->uid != (uid_t)-1 || o->gid != (gid_t)-1) &&
	    fchownat(fd, "", o->uid, o->gid, AT_EMPTY_PATH) != 0) {
		err_sys(err, "bind = %s: cannot give it to user %ld, group %ld",
		    l->spec, (long)o->uid, (long)o->gid);
		rc = -1;
	}
out:
	fd_close(&fd);
	return rc;
}

static int
bind_and_listen(struct listener *l, const char *path,
    const struct listen_options *o, struct err *err)
{
	if (bind_unix(l, path, o, err) != 0 || own_path(l, path, o, err) != 0)
		return -1;
	if (!o->hold && listen(l->fd, o->backlog) != 0)
		return listen_fail(l->spec, err);
	return 0;
}

int
listen_open_unix(struct listener *l, const char *path,
    const struct listen_options *o, struct err *err)
{
	int directory, rc;

	if (listen_describe_unix(l, path, err) != 0)
		return -1;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return listen_fail(l->spec, err);
	directory = lock_directory(path);
	rc = bind_and_listen(l, path, o, err);
	fd_close(&directory);
	return rc;
}

static bool
is_made(const struct listener *l, const struct stat *st)
{
	return l->ino != 0 && !l->borrowed && S_ISSOCK(st->st_mode) &&
	    st->st_dev == l->dev &&
	    st->st_ino == l->ino;
}

/* By a descriptor of the path itself, which nobody can exchange meanwhile. */
static int
give(int fd, const struct stat *st, const struct listen_options *o)
{
	mode_t mode = 0777 & ~o->umask;
	char name[64];

	if (((o->uid != (uid_t)-1 && o->uid != st->st_uid) ||
		(o->gid != (gid_t)-1 && o->gid != st->st_gid)) &&
	    fchownat(fd, "", o->uid, o->gid, AT_EMPTY_PATH) != 0)
		return -1;
	if ((st->st_mode & 0777) == mode)
		return 0;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return chmod(name, mode);
}

int
listen_give(const struct listener *l, const struct listen_options *options,
    struct err *err)
{
	struct stat st;
	int fd, rc = 0;

	if (!l->is_unix || l->ino == 0)
		return 0;
	fd = open(l->host, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && is_made(l, &st))
		rc = give(fd, &st, options);
	if (rc != 0)
		err_sys(err, "bind = %s: its mode and owner", l->spec);
	fd_close(&fd);
	return rc;
}

static bool
still_ours(const struct listener *l)
{
	struct stat st;

	return l->ino != 0 && lstat(l->host, &st) == 0 && is_made(l, &st);
}

bool
listen_is_lost(const struct listener *l)
{
	struct stat st;

	return l->is_unix && l->ino != 0 && !l->borrowed &&
	    lstat(l->host, &st) != 0 && errno == ENOENT;
}

void
listen_unlink(const struct listener *l)
{
	if (still_ours(l))
		unlink(l->host);
}
