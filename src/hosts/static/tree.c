/* SPDX-License-Identifier: MIT */
/*
 * Opening below a directory: by openat2() where the kernel has it, step by
 * step otherwise, and for what openat2() refuses to judge.
 */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#endif
#endif

/* As many as the kernel follows before it says ELOOP. */
#define LINKS_MAX 40

/*
 * O_NONBLOCK: opening a FIFO must not wait for its writer.  It means nothing
 * for regular files.
 */
#define OPEN_FLAGS \
	(O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_LARGEFILE)

static void
close_keep_errno(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
}

static int
open_again(int at, const char *name, int flags)
{
	int fd;

	do
		fd = openat(at, name, flags);
	while (fd < 0 && errno == EINTR);
	return fd;
}

/* --- by the kernel ------------------------------------------------------- */

#if defined(SYS_openat2) && defined(RESOLVE_BENEATH)
static int
open_beneath(int at, const char *name, int flags)
{
	struct open_how how = {
		.flags = (unsigned long long)(unsigned)flags,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	do
		fd = syscall(SYS_openat2, at, name, &how, sizeof(how));
	while (fd < 0 && errno == EINTR);
	return (int)fd;
}
#else
static int
open_beneath(int at, const char *name, int flags)
{
	(void)at;
	(void)name;
	(void)flags;
	errno = ENOSYS;
	return -1;
}
#endif

/* Old kernels lack openat2(), and some sandboxes forbid it. */
static bool
kernel_has_beneath(int at)
{
	int fd = open_beneath(at, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	close_keep_errno(fd);
	return fd >= 0;
}

/* --- step by step -------------------------------------------------------- */

/*
 * A walk.  `done` is a path from the root in which no component is a link,
 * so that cutting its last component is what ".." means; `at` is that
 * directory, open.  `rest` is what is still to be walked.
 */
struct walk {
	const struct tree *tree;
	int at;
	unsigned links;
	char done[PATH_MAX];
	char rest[PATH_MAX];
};

static void
walk_move(struct walk *w, int fd)
{
	if (w->at != w->tree->fd)
		close_keep_errno(w->at);
	w->at = fd;
}

/* Takes the next component off rest; false when there is none. */
static bool
walk_next(struct walk *w, char component[NAME_MAX + 1])
{
	size_t skip = strspn(w->rest, "/");
	size_t len = strcspn(w->rest + skip, "/");

	if (len == 0)
		return false;
	if (len > NAME_MAX) {
		component[0] = '\0'; /* walk_step() says ENAMETOOLONG */
		return true;
	}
	memcpy(component, w->rest + skip, len);
	component[len] = '\0';
	memmove(w->rest, w->rest + skip + len,
	    strlen(w->rest + skip + len) + 1);
	return true;
}

/* Goes to a directory by a path without links, from the root. */
static int
walk_reopen(struct walk *w, const char *path)
{
	char copy[PATH_MAX], *save = NULL, *part;
	int at = w->tree->fd;

	strcpy(copy, path);
	for (part = strtok_r(copy, "/", &save); part != NULL;
	     part = strtok_r(NULL, "/", &save)) {
		int next = open_again(at, part,
		    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (at != w->tree->fd)
			close_keep_errno(at);
		if (next < 0)
			return -1;
		at = next;
	}
	walk_move(w, at);
	return 0;
}

static int
walk_up(struct walk *w)
{
	char *slash = strrchr(w->done, '/');

	if (w->done[0] == '\0') {
		errno = EXDEV;
		return -1;
	}
	*(slash != NULL ? slash : w->done) = '\0';
	return walk_reopen(w, w->done);
}

static int
walk_down(struct walk *w, const char *component)
{
	size_t len = strlen(w->done);
	int fd;

	if (len + 1 + strlen(component) >= sizeof(w->done)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = open_again(w->at, component,
	    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	walk_move(w, fd);
	if (len > 0)
		w->done[len++] = '/';
	strcpy(w->done + len, component);
	return 0;
}

/* What stands behind base in path; NULL when path is not below it. */
static const char *
behind(const char *base, const char *path)
{
	size_t len = strlen(base);

	while (len > 0 && base[len - 1] == '/')
		len--;
	if (strncmp(path, base, len) != 0)
		return NULL;
	return path[len] == '\0' || path[len] == '/' ? path + len : NULL;
}

/*
 * What an absolute path says from the root of the tree on; NULL when it
 * leads elsewhere.  The root may be known by two paths: its real one, and
 * the one that the operator gave, which may hold links itself.
 */
static const char *
below_root(const struct tree *t, const char *path)
{
	const char *rest = behind(t->real, path);

	if (rest == NULL && t->name[0] == '/')
		rest = behind(t->name, path);
	return rest;
}

/* Puts the target of a link in front of what is still to be walked. */
static int
walk_link(struct walk *w, const char *component)
{
	char target[PATH_MAX];
	const char *from = target;
	ssize_t len = readlinkat(w->at, component, target, sizeof(target) - 1);
	size_t rest_len = strlen(w->rest), from_len;

	if (len < 0)
		return -1;
	target[len] = '\0';
	if (++w->links > LINKS_MAX) {
		errno = ELOOP;
		return -1;
	}
	if (target[0] == '/') {
		from = below_root(w->tree, target);
		if (from == NULL) {
			errno = EXDEV;
			return -1;
		}
		w->done[0] = '\0';
		walk_move(w, w->tree->fd);
	}
	/* What is left begins with a slash, or there is nothing left. */
	from_len = strlen(from);
	if (from_len + rest_len >= sizeof(w->rest)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memmove(w->rest + from_len, w->rest, rest_len + 1);
	memcpy(w->rest, from, from_len);
	return 0;
}

/*
 * One component.  1: the walk goes on; 0: *fd_out is the end of it; -1 with
 * errno.
 */
static int
walk_step(struct walk *w, const char *component, int flags, int *fd_out)
{
	struct stat st;
	bool last = w->rest[0] == '\0';

	if (strcmp(component, ".") == 0)
		return 1;
	if (strcmp(component, "..") == 0)
		return walk_up(w) == 0 ? 1 : -1;
	if (component[0] == '\0') {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (fstatat(w->at, component, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	if (S_ISLNK(st.st_mode))
		return walk_link(w, component) == 0 ? 1 : -1;
	if (!last)
		return walk_down(w, component) == 0 ? 1 : -1;
	/* Became a link in between: O_NOFOLLOW makes that an error. */
	*fd_out = open_again(w->at, component, flags | O_NOFOLLOW);
	return *fd_out >= 0 ? 0 : -1;
}

int
tree_walk(const struct tree *t, const char *name, int flags)
{
	struct walk *w = malloc(sizeof(*w));
	char component[NAME_MAX + 1];
	int fd = -1, step = 1;

	if (w == NULL)
		return -1;
	w->tree = t;
	w->at = t->fd;
	w->links = 0;
	w->done[0] = '\0';
	if (strlen(name) >= sizeof(w->rest)) {
		errno = ENAMETOOLONG;
		goto out;
	}
	strcpy(w->rest, name);

	while (step > 0 && walk_next(w, component))
		step = walk_step(w, component, flags, &fd);
	/* It ended at a directory: by a slash, "..", or a link to the root. */
	if (step > 0)
		fd = open_again(w->at, ".", flags | O_DIRECTORY);
	walk_move(w, t->fd);
out:
	free(w);
	return fd;
}

/* --- both ---------------------------------------------------------------- */

static int
open_name(const struct tree *t, const char *name, int flags)
{
	int fd;

	if (name[0] == '\0')
		name = ".";
	if (t->follow)
		return open_again(t->fd, name, flags);
	if (!t->beneath)
		return tree_walk(t, name, flags);
	fd = open_beneath(t->fd, name, flags);
	/*
	 * EXDEV also comes for an absolute link that points into the tree, and
	 * EAGAIN when somebody renamed directories meanwhile.
	 */
	if (fd < 0 && (errno == EXDEV || errno == EAGAIN))
		fd = tree_walk(t, name, flags);
	return fd;
}

static enum tree_verdict
verdict_of_errno(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return TREE_FORBIDDEN;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return TREE_BUSY;
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
	case EXDEV:
	case ENAMETOOLONG:
	case ENXIO:  /* a socket, or a device that is not there */
	case ENODEV:
	case EINVAL: /* a name that the file system cannot have */
	case EILSEQ:
		return TREE_NOT_FOUND;
	default:
		return TREE_ERROR;
	}
}

/* A directory that may be passed but not read is a directory none the less. */
static bool
is_directory(const struct tree *t, const char *name)
{
	int fd = open_name(t, name, O_PATH | O_DIRECTORY | O_CLOEXEC);

	close_keep_errno(fd);
	return fd >= 0;
}

enum tree_verdict
tree_resolve(const struct tree *t, const char *name, int *fd_out,
    struct stat *st_out)
{
	enum tree_verdict verdict;
	int fd = open_name(t, name, OPEN_FLAGS);

	*fd_out = -1;
	if (fd < 0) {
		verdict = verdict_of_errno(errno);
		if (verdict == TREE_FORBIDDEN && is_directory(t, name))
			verdict = TREE_DIRECTORY;
		return verdict;
	}
	if (fstat(fd, st_out) != 0)
		verdict = TREE_ERROR;
	else if (S_ISDIR(st_out->st_mode))
		verdict = TREE_DIRECTORY;
	else if (S_ISREG(st_out->st_mode))
		verdict = TREE_FILE;
	else
		verdict = TREE_NOT_FOUND;

	if (verdict == TREE_FILE)
		*fd_out = fd;
	else
		close_keep_errno(fd);
	return verdict;
}

int
tree_open(struct tree *t, const char *name, bool follow)
{
	struct stat st;

	memset(t, 0, sizeof(*t));
	t->name = name;
	t->follow = follow;
	t->fd = open_again(AT_FDCWD, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (t->fd < 0)
		return -1;
	t->real = realpath(name, NULL);
	if (t->real == NULL || fstat(t->fd, &st) != 0) {
		tree_close(t);
		return -1;
	}
	t->device = st.st_dev;
	t->inode = st.st_ino;
	t->beneath = kernel_has_beneath(t->fd);
	return 0;
}

void
tree_close(struct tree *t)
{
	close_keep_errno(t->fd);
	t->fd = -1;
	free(t->real);
	t->real = NULL;
}

void
tree_refresh(struct tree *t)
{
	struct tree fresh;
	struct stat st;

	if (stat(t->name, &st) != 0 || !S_ISDIR(st.st_mode) ||
	    (st.st_dev == t->device && st.st_ino == t->inode))
		return;
	if (tree_open(&fresh, t->name, t->follow) != 0)
		return;
	tree_close(t);
	*t = fresh;
}
