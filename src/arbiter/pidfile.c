/* SPDX-License-Identifier: MIT */
#include "arbiter/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/span.h"

/* More than any pid with white space around it. */
#define PIDFILE_MAX 64

#define DYING_MS 500
#define DYING_STEP_MS 20

/* More than a line of /proc/PID/stat has. */
#define STAT_MAX 4096

/* Others hold the lock for as long as two of them look and write. */
#define LOCK_MS 2000
#define LOCK_STEP_MS 10

/* A process has a number before it writes its file. */
#define BEGAN_MARGIN_S 5

/*
 * The process that the file names; 0 when it names none.  Others may have put
 * something there on whose other end we would wait.
 */
static pid_t
recorded(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	unsigned long long n = 0;
	char text[PIDFILE_MAX];
	ssize_t len = 0;

	if (fd >= 0)
		len = fd_read_all(fd, text, sizeof(text));
	fd_close(&fd);
	if (len <= 0 || len == (ssize_t)sizeof(text))
		return 0;
	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
		len--;
	if (!span_uint(span_trim((struct span){ text, (size_t)len }), &n) ||
	    n > INT_MAX)
		n = 0;
	return (pid_t)n;
}

/* What the kernel says of a process; false: it says nothing. */
struct facts {
	char name[32];
	char state;
	long long began; /* in ticks since the machine was started */
};

static bool
look_up(pid_t pid, struct facts *out)
{
	char path[64], *text, *name, *end;
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	text = fd_slurp(path, STAT_MAX, NULL);
	if (text == NULL)
		return false;
	name = strchr(text, '(');
	end = strrchr(text, ')'); /* of the name, which may hold anything */
	if (name != NULL && end != NULL &&
	    sscanf(end, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u "
			"%*u %*d %*d %*d %*d %*d %*d %lld",
		&out->state, &out->began) == 2) {
		*end = '\0';
		snprintf(out->name, sizeof(out->name), "%s", name + 1);
		found = true;
	}
	free(text);
	return found;
}

/* It has ended, and its parent has not taken notice yet. */
static bool
is_zombie(pid_t pid)
{
	struct facts f;

	return look_up(pid, &f) && f.state == 'Z';
}

/*
 * Whether a process that goes by another name than this one began after the
 * file was written: it cannot be who wrote it.  So it is after a loss of power
 * or in a container that was started again, where numbers are soon others'.
 * Ages are compared, and the name besides, as the clock may have been set.
 */
static bool
is_stranger(pid_t pid, const char *path)
{
	long ticks = sysconf(_SC_CLK_TCK);
	struct facts own, other;
	struct timespec now;
	struct stat sb;

	if (ticks <= 0 || stat(path, &sb) != 0 ||
	    clock_gettime(CLOCK_BOOTTIME, &now) != 0 ||
	    !look_up(getpid(), &own) || !look_up(pid, &other) ||
	    strcmp(own.name, other.name) == 0)
		return false;
	return now.tv_sec - other.began / ticks + BEGAN_MARGIN_S <
	    time(NULL) - sb.st_mtime;
}

/* EPERM: it lives and belongs to somebody else. */
static bool
is_alive(pid_t pid)
{
	return (kill(pid, 0) == 0 || errno == EPERM) && !is_zombie(pid);
}

/* One that was just killed may take a moment to be gone. */
static bool
stays_alive(pid_t pid)
{
	for (int ms = 0; ms < DYING_MS; ms += DYING_STEP_MS) {
		if (!is_alive(pid))
			return false;
		poll(NULL, 0, DYING_STEP_MS);
	}
	return true;
}

static int
refuse_running(const char *path, struct err *err)
{
	pid_t pid = recorded(path);

	if (pid <= 0 || pid == getpid() || is_stranger(pid, path) ||
	    !stays_alive(pid))
		return 0;
	err_set(err, "pidfile = %s: already running with pid %d (or the file "
		     "is stale and another process has that number)",
	    path, (int)pid);
	return -1;
}

/* The directory may change in a reload: the file must not. */
static char *
absolute(const char *path)
{
	char dir[PATH_MAX];
	char *out = NULL;

	if (path[0] == '/')
		return strdup(path);
	if (getcwd(dir, sizeof(dir)) == NULL ||
	    asprintf(&out, "%s/%s", dir, path) < 0)
		return NULL;
	return out;
}

/*
 * Two that are started at the same time look one after the other: whoever is
 * second sees what the first has written.  The file's directory is locked, as
 * each writes a file of its own; where that cannot be, we go on without.
 */
static int
lock_directory_of(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t len = slash > path ? (size_t)(slash - path) : 1;
	int fd;

	if (slash == NULL || len >= sizeof(dir))
		return -1;
	memcpy(dir, path, len);
	dir[len] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int ms = 0; fd >= 0 && ms < LOCK_MS; ms += LOCK_STEP_MS) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
			break;
		poll(NULL, 0, LOCK_STEP_MS);
	}
	return fd;
}

/* A new file beside it; its name is in temp. */
static int
make_temp(const struct pidfile *p, char temp[PATH_MAX], struct err *err)
{
	struct stat sb;
	int fd;

	if (snprintf(temp, PATH_MAX, "%s.XXXXXX", p->path) >= PATH_MAX) {
		err_set(err, "pidfile = %s: too long", p->path);
		return -1;
	}
	/* Of /dev/null there would be no more. */
	if (stat(p->path, &sb) == 0 && (S_ISDIR(sb.st_mode) ||
	    S_ISCHR(sb.st_mode) || S_ISBLK(sb.st_mode))) {
		err_set(err, "pidfile = %s: is a %s", p->path,
		    S_ISDIR(sb.st_mode) ? "directory" : "device");
		return -1;
	}
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		err_sys(err, "pidfile = %s", p->path);
	return fd;
}

static int
write_file(const struct pidfile *p, struct err *err)
{
	char temp[PATH_MAX], text[32];
	int fd = make_temp(p, temp, err), rc = -1, len;

	if (fd < 0)
		return -1;
	len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (fd_write_all(fd, text, (size_t)len) == 0 && fchmod(fd, 0644) == 0 &&
	    rename(temp, p->path) == 0)
		rc = 0;
	if (rc != 0) {
		err_sys(err, "pidfile = %s", p->path);
		unlink(temp);
	}
	fd_close(&fd);
	return rc;
}

int
pidfile_write(struct pidfile *p, struct err *err)
{
	int lock, rc;

	if (p->path == NULL || p->written)
		return 0;
	lock = lock_directory_of(p->path);
	rc = refuse_running(p->path, err);
	if (rc == 0)
		rc = write_file(p, err);
	p->written = rc == 0;
	fd_close(&lock);
	return rc;
}

int
pidfile_restore(const struct pidfile *p, struct err *err)
{
	return p->written ? write_file(p, err) : 0;
}

/*
 * What would be in the way later had better be known now.  A stale file says
 * that somebody serves, which is not so yet.
 */
static int
prepare(const struct pidfile *p, struct err *err)
{
	int lock = lock_directory_of(p->path);
	char temp[PATH_MAX];
	int fd = -1;

	if (refuse_running(p->path, err) == 0)
		fd = make_temp(p, temp, err);
	if (fd >= 0) {
		unlink(temp);
		unlink(p->path);
		fd_close(&fd);
		fd_close(&lock);
		return 0;
	}
	fd_close(&lock);
	return -1;
}

int
pidfile_open(struct pidfile *p, const char *path, struct err *err)
{
	*p = (struct pidfile){ .path = NULL };
	if (path == NULL)
		return 0;
	p->path = absolute(path);
	if (p->path == NULL) {
		err_sys(err, "pidfile = %s", path);
		return -1;
	}
	if (prepare(p, err) == 0)
		return 0;
	free(p->path);
	p->path = NULL;
	return -1;
}

int
pidfile_open_second(struct pidfile *p, const char *path, struct err *err)
{
	char *second = NULL;
	int rc;

	if (path == NULL)
		return pidfile_open(p, NULL, err);
	if (asprintf(&second, "%s.2", path) < 0) {
		err_sys(err, "pidfile = %s", path);
		return -1;
	}
	rc = pidfile_open(p, second, err);
	free(second);
	if (rc != 0)
		return -1;
	p->final = absolute(path);
	if (p->final != NULL)
		return 0;
	err_sys(err, "pidfile = %s", path);
	pidfile_close(p);
	return -1;
}

int
pidfile_promote(struct pidfile *p, struct err *err)
{
	if (p->final == NULL)
		return 0;
	if (refuse_running(p->final, err) != 0)
		return -1;
	if (p->written && rename(p->path, p->final) != 0) {
		err_sys(err, "pidfile = %s", p->final);
		return -1;
	}
	free(p->path);
	p->path = p->final;
	p->final = NULL;
	return 0;
}

void
pidfile_forget_second(const struct pidfile *p, pid_t pid)
{
	char *second = NULL;

	if (p->path == NULL || asprintf(&second, "%s.2", p->path) < 0)
		return;
	if (recorded(second) == pid)
		unlink(second);
	free(second);
}

void
pidfile_close(struct pidfile *p)
{
	if (p->path != NULL && recorded(p->path) == getpid())
		unlink(p->path);
	free(p->path);
	free(p->final);
	p->path = p->final = NULL;
}
