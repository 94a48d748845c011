/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_FD_H
#define BICORN_BASE_FD_H

/* File descriptors: the calls that every room would otherwise repeat. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Closes *fd when it is open and sets it to -1.  Keeps errno. */
void fd_close(int *fd);

/* Closes all from first to last that are open. */
void fd_close_range(unsigned first, unsigned last);

/*
 * Opens /dev/null for those of 0, 1 and 2 that are closed: a socket must never
 * become somebody's standard output.  0, or -1 with errno.
 */
int fd_standard(void);

/* 0, or -1 with errno. */
int fd_nonblock(int fd, bool on);
int fd_cloexec(int fd, bool on);

/* Wakes who reads an eventfd; a full counter does that as well. */
void fd_wake(int fd);

/* Writes all of it, over EINTR and short counts; 0 or -1 with errno. */
int fd_write_all(int fd, const void *buf, size_t len);

/*
 * Reads until len bytes or the end of the file; the count, or -1 with
 * errno.  fd is in blocking mode.
 */
ssize_t fd_read_all(int fd, void *buf, size_t len);

/* As fd_read_all(), at an offset, which does not move the file's own. */
ssize_t fd_pread_all(int fd, void *buf, size_t len, off_t at);
int fd_pwrite_all(int fd, const void *buf, size_t len, off_t at);

/*
 * The whole of a file, terminated, on the heap, the caller frees; NULL with
 * errno (EFBIG above limit bytes).  len_out may be NULL.
 */
char *fd_slurp(const char *path, size_t limit, size_t *len_out);

#endif
