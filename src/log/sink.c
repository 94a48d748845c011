/* SPDX-License-Identifier: MIT */
/* Opening, opening again and writing: see sink.h. */
#include "log/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "log/patience.h"

#define OPEN_FLAGS (O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

#define TELL_EVERY_MS 10000

/*
 * Root does not follow a symbolic link that somebody else has made, as the
 * user of the workers may where the log is in a directory of his: it could
 * lead to a file that he is not to write, or to be given.
 */
static int
open_carefully(const char *path)
{
	struct stat st;
	int fd;

	if (geteuid() != 0)
		return open(path, OPEN_FLAGS | O_CREAT, 0644);
	fd = open(path, OPEN_FLAGS | O_CREAT | O_NOFOLLOW, 0644);
	if (fd >= 0 || errno != ELOOP)
		return fd;
	if (lstat(path, &st) != 0)
		return -1;
	if (S_ISLNK(st.st_mode) && st.st_uid != 0) {
		errno = ELOOP;
		return -1;
	}
	return open(path, OPEN_FLAGS | O_CREAT, 0644);
}

/*
 * Opens a path that is our own.  O_NONBLOCK means nothing to a file; a pipe
 * without a reader would stop us here without it.
 */
static int
open_path(const char *path, uid_t uid, gid_t gid, struct err *err)
{
	int fd = open_carefully(path);
	struct stat st;

	if (fd < 0 && errno == ENXIO) {
		err_set(err, "%s: no process reads from it", path);
		return -1;
	}
	if (fd < 0 && errno == ELOOP) {
		err_set(err, "%s: root does not follow this symbolic link, "
			"which does not belong to root", path);
		return -1;
	}
	if (fd < 0) {
		err_sys(err, "%s", path);
		return -1;
	}
	/*
	 * Only a privileged process can give a file away, and only such a
	 * one has workers of another user, so failing does no harm.
	 */
	if (uid != (uid_t)-1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_nlink == 1 &&
	    (st.st_uid != uid || (gid != (gid_t)-1 && st.st_gid != gid)) &&
	    fchown(fd, uid, gid) != 0 && geteuid() == 0) {
		err_sys(err, "%s: cannot give it to user %ld", path, (long)uid);
		fd_close(&fd);
	}
	return fd;
}

/*
 * A stream that others share must stay in blocking mode for them.  A pipe
 * can be opened once more, which makes a description of our own.
 */
static int
open_pipe_again(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, OPEN_FLAGS);
}

static void
use_standard(struct sink *s, int standard)
{
	struct stat st;

	s->fd = standard;
	if (fstat(standard, &st) != 0)
		return;
	s->is_socket = S_ISSOCK(st.st_mode);
	if (S_ISFIFO(st.st_mode)) {
		int fd = open_pipe_again(standard);

		if (fd >= 0) {
			s->fd = fd;
			s->owned = true;
		}
	}
}

/* The streams by their paths: a socket cannot be opened by such a path. */
static int
standard_of(const char *target, int standard)
{
	if (strcmp(target, "-") == 0)
		return standard;
	if (strcmp(target, "/dev/stdout") == 0)
		return STDOUT_FILENO;
	if (strcmp(target, "/dev/stderr") == 0)
		return STDERR_FILENO;
	return -1;
}

int
sink_open(struct sink *s, const char *target, int standard, uid_t uid,
    gid_t gid, struct err *err)
{
	memset(s, 0, sizeof(*s));
	s->uid = uid;
	s->gid = gid;
	s->fd = -1;
	standard = standard_of(target, standard);
	if (standard >= 0) {
		use_standard(s, standard);
		return 0;
	}
	s->path = strdup(target);
	if (s->path == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	s->fd = open_path(target, uid, gid, err);
	s->owned = true;
	if (s->fd < 0) {
		sink_close(s);
		return -1;
	}
	return 0;
}

int
sink_reopen(struct sink *s, struct err *err)
{
	int fd, rc = 0;

	if (s->path == NULL)
		return 0;
	fd = open_path(s->path, s->uid, s->gid, err);
	if (fd < 0)
		return -1;
	/* A write in progress keeps the old file until it is done. */
	if (dup3(fd, s->fd, O_CLOEXEC) < 0) {
		err_sys(err, "%s", s->path);
		rc = -1;
	}
	fd_close(&fd);
	return rc;
}

int
sink_detach(struct sink *s, struct err *err)
{
	int fd;

	if (s->owned || s->fd < 0)
		return 0;
	fd = fcntl(s->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0) {
		err_sys(err, "log");
		return -1;
	}
	s->fd = fd;
	s->owned = true;
	return 0;
}

void
sink_close(struct sink *s)
{
	if (s->owned)
		fd_close(&s->fd);
	free(s->path);
	s->path = NULL;
	s->fd = -1;
	s->owned = false;
}

static ssize_t
put_some(struct sink *s, const char *data, size_t len)
{
	if (s->is_socket)
		return send(s->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	return write(s->fd, data, len);
}

/*
 * Of a line that did not fit onto the disk the part that did is taken back:
 * the next one would be glued to it.  Whoever else writes finds the disk full
 * as well, so that the part is what the file ends with.  A stream that others
 * have opened may not be in append mode: its offset goes back, too.
 */
static void
take_back(struct sink *s, size_t part)
{
	bool appends = (fcntl(s->fd, F_GETFL) & O_APPEND) != 0;
	struct stat st;
	off_t end;

	if (part == 0 || fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	end = st.st_size - (off_t)part;
	if (end < 0 || (!appends && lseek(s->fd, 0, SEEK_CUR) != st.st_size))
		return;
	if (ftruncate(s->fd, end) == 0 && !appends)
		lseek(s->fd, end, SEEK_SET);
}

static bool
put_all(struct sink *s, const char *data, size_t len)
{
	size_t done = 0;
	int why;

	while (done < len) {
		ssize_t n = put_some(s, data + done, len - done);

		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		why = n < 0 ? errno : EIO;
		if (why == EINTR ||
		    (why == EAGAIN && patience_wait(s->fd, &s->stuck)))
			continue;
		atomic_store_explicit(&s->why, why, memory_order_relaxed);
		take_back(s, done);
		return false;
	}
	return true;
}

void
sink_write(struct sink *s, const char *data, size_t len)
{
	int saved = errno;
	bool through = put_all(s, data, len);

	if (!through)
		atomic_fetch_add_explicit(&s->lost, 1, memory_order_relaxed);
	else if (atomic_load_explicit(&s->stuck, memory_order_relaxed))
		atomic_store_explicit(&s->stuck, false, memory_order_relaxed);
	if (atomic_load_explicit(&s->failing, memory_order_relaxed) == through)
		atomic_store_explicit(&s->failing, !through,
		    memory_order_relaxed);
	errno = saved;
}

uint64_t
sink_tell_lost(struct sink *s, int *why_out)
{
	int64_t now_ms = clock_ms();
	int64_t told_ms =
	    atomic_load_explicit(&s->told_ms, memory_order_relaxed);

	if (told_ms != 0 && now_ms - told_ms < TELL_EVERY_MS)
		return 0;
	if (!atomic_compare_exchange_strong_explicit(&s->told_ms, &told_ms,
		now_ms, memory_order_relaxed, memory_order_relaxed))
		return 0; /* another thread tells */
	*why_out = atomic_load_explicit(&s->why, memory_order_relaxed);
	return sink_take_lost(s);
}
