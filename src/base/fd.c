/* SPDX-License-Identifier: MIT */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

void
fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

/* The call came with Linux 5.9, and later to C libraries. */
void
fd_close_range(unsigned first, unsigned last)
{
	long open_max;

	if (first > last)
		return;
#ifdef SYS_close_range
	if (syscall(SYS_close_range, first, last, 0) == 0)
		return;
#endif
	open_max = sysconf(_SC_OPEN_MAX);
	for (long fd = first; fd <= (long)last && fd < open_max; fd++)
		close((int)fd);
}

static int
set_flag(int fd, int get, int set, int flag, bool on)
{
	int old = fcntl(fd, get), new;

	if (old < 0)
		return -1;
	new = on ? old | flag : old & ~flag;
	return old == new ? 0 : fcntl(fd, set, new);
}

int
fd_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

int
fd_nonblock(int fd, bool on)
{
	return set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int
fd_cloexec(int fd, bool on)
{
	return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

void
fd_wake(int fd)
{
	const uint64_t one = 1;
	ssize_t n;

	do
		n = write(fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
}

int
fd_write_all(int fd, const void *buf, size_t len)
{
	const char *at = buf;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* at -1: from where the file stands. */
static ssize_t
read_all(int fd, char *buf, size_t len, off_t at)
{
	size_t have = 0;

	while (have < len) {
		ssize_t n = at < 0
		    ? read(fd, buf + have, len - have)
		    : pread(fd, buf + have, len - have, at + (off_t)have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

ssize_t
fd_read_all(int fd, void *buf, size_t len)
{
	return read_all(fd, buf, len, -1);
}

ssize_t
fd_pread_all(int fd, void *buf, size_t len, off_t at)
{
	return read_all(fd, buf, len, at);
}

int
fd_pwrite_all(int fd, const void *buf, size_t len, off_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(fd, (const char *)buf + done, len - done,
		    at + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

char *
fd_slurp(const char *path, size_t limit, size_t *len_out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *buf = NULL, *grown;
	size_t have = 0, room = 0;
	ssize_t n = -1;

	if (fd < 0)
		return NULL;
	do {
		if (have + 1 >= room) {
			room = room == 0 ? 4096 : room * 2;
			grown = realloc(buf, room);
			if (grown == NULL)
				goto out;
			buf = grown;
		}
		n = fd_read_all(fd, buf + have, room - have - 1);
		if (n < 0)
			goto out;
		have += (size_t)n;
		if (have > limit) {
			errno = EFBIG;
			n = -1;
			goto out;
		}
	} while (n > 0);
	buf[have] = '\0';
	if (len_out != NULL)
		*len_out = have;
out:
	fd_close(&fd);
	if (n != 0) {
		free(buf);
		buf = NULL;
	}
	return buf;
}
