/* SPDX-License-Identifier: MIT */
#include "base/bulletin.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/fence.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

/*
 * A writer is done within microseconds, unless it lost its processor, which
 * is waited for, or died half-way.
 */
#define TRIES 2000
#define TRIES_AT_ONCE 1000
#define PAUSE_NS 100000

struct head {
	_Atomic uint64_t sequence; /* odd while the rest changes */
	_Atomic uint64_t len;
};

/* The process's view; the memory is shared. */
struct bulletin {
	int fd;
	size_t size;
	struct head *head;
};

static char *
text_of(const struct bulletin *b)
{
	return (char *)(b->head + 1);
}

static void
shut(struct bulletin *b)
{
	if (b->head != MAP_FAILED && b->head != NULL)
		munmap(b->head, b->size);
	b->head = NULL;
}

/* Nobody but us, who has it mapped already, will be able to write. */
static void
seal(const struct bulletin *b)
{
	fcntl(b->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	fcntl(b->fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
	madvise(b->head, b->size, MADV_DONTDUMP);
}

struct bulletin *
bulletin_new(const char *name, size_t room, struct err *err)
{
	struct bulletin *b = calloc(1, sizeof(*b));

	if (b == NULL) {
		err_sys(err, "%s", name);
		return NULL;
	}
	b->size = sizeof(*b->head) + room;
	b->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (b->fd >= 0 && ftruncate(b->fd, (off_t)b->size) == 0)
		b->head = mmap(NULL, b->size, PROT_READ | PROT_WRITE,
		    MAP_SHARED, b->fd, 0);
	if (b->head == NULL || b->head == MAP_FAILED) {
		err_sys(err, "%s: shared memory", name);
		bulletin_free(&b);
		return NULL;
	}
	seal(b);
	return b;
}

void
bulletin_free(struct bulletin **bp)
{
	struct bulletin *b = *bp;

	*bp = NULL;
	if (b == NULL)
		return;
	shut(b);
	fd_close(&b->fd);
	free(b);
}

int
bulletin_confine(struct bulletin *b, struct err *err)
{
	shut(b);
	b->head = mmap(NULL, b->size, PROT_READ, MAP_SHARED, b->fd, 0);
	if (b->head == MAP_FAILED) {
		err_sys(err, "shared memory");
		return -1;
	}
	madvise(b->head, b->size, MADV_DONTDUMP);
	fd_close(&b->fd);
	return 0;
}

bool
bulletin_pin(struct bulletin *b, const struct iovec *parts, size_t count)
{
	uint64_t sequence = atomic_load(&b->head->sequence);
	size_t before = (size_t)atomic_load(&b->head->len), len = 0, at = 0;

	for (size_t i = 0; i < count; i++)
		len += parts[i].iov_len;
	if (len > b->size - sizeof(*b->head))
		return false;
	atomic_store(&b->head->sequence, sequence + 1);
	fence(memory_order_release);
	for (size_t i = 0; i < count; i++) {
		if (parts[i].iov_len > 0)
			memcpy(text_of(b) + at, parts[i].iov_base,
			    parts[i].iov_len);
		at += parts[i].iov_len;
	}
	if (before > len)
		explicit_bzero(text_of(b) + len, before - len);
	atomic_store(&b->head->len, len);
	atomic_store_explicit(&b->head->sequence, sequence + 2,
	    memory_order_release);
	mlock(b->head, sizeof(*b->head) + len); /* as far as that is allowed */
	return true;
}

uint64_t
bulletin_version(const struct bulletin *b)
{
	return atomic_load_explicit(&b->head->sequence, memory_order_acquire) /
	    2;
}

/* One try; -1: it is longer, -2: it changed meanwhile. */
static ptrdiff_t
read_once(const struct bulletin *b, void *out, size_t room,
    uint64_t *version_out)
{
	uint64_t sequence = atomic_load_explicit(&b->head->sequence,
	    memory_order_acquire);
	uint64_t len = atomic_load_explicit(&b->head->len,
	    memory_order_relaxed);

	if (sequence % 2 != 0)
		return -2;
	if (sequence == 0 || len > room || len > b->size - sizeof(*b->head))
		return -1;
	memcpy(out, text_of(b), (size_t)len);
	fence(memory_order_acquire);
	if (atomic_load_explicit(&b->head->sequence, memory_order_relaxed) !=
	    sequence)
		return -2;
	*version_out = sequence / 2;
	return (ptrdiff_t)len;
}

ptrdiff_t
bulletin_read(const struct bulletin *b, void *out, size_t room,
    uint64_t *version_out)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };

	for (int i = 0; i < TRIES; i++) {
		ptrdiff_t n = read_once(b, out, room, version_out);

		if (n != -2)
			return n;
		if (i >= TRIES_AT_ONCE)
			nanosleep(&pause, NULL);
	}
	return -1;
}

char *
bulletin_copy(const struct bulletin *b, size_t *len_out,
    uint64_t *version_out)
{
	*len_out = 0;
	/* It may have grown until it is read. */
	for (int i = 0; i < 3; i++) {
		size_t room = (size_t)atomic_load(&b->head->len);
		char *text;
		ptrdiff_t n;

		if (room > b->size - sizeof(*b->head))
			return NULL;
		text = malloc(room + 1);
		if (text == NULL)
			return NULL;
		n = bulletin_read(b, text, room, version_out);
		if (n >= 0) {
			text[n] = '\0';
			*len_out = (size_t)n;
			return text;
		}
		explicit_bzero(text, room);
		free(text);
	}
	return NULL;
}
