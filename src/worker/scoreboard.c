/* SPDX-License-Identifier: MIT */
#include "worker/scoreboard.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/fence.h"
#include "base/must.h"

/*
 * The process's view; the memory behind it is shared: the head, a slot for
 * each worker, its lines, its counts (whole pages, so that they can be given
 * back), its dump.
 */
struct scoreboard {
	size_t workers;
	size_t threads;
	size_t bytes;
	size_t bytes_counts;
	char *base; /* NULL: not mapped */
	struct score_worker *slots;
	struct score_thread *lines; /* threads for each worker, in order */
	char *counts;
	char *dumps;
	int fd;
	int no_fd; /* an errno: why there is none */
	int event;
	int left;
};

#define PAGE_BYTES 4096

static size_t
whole_pages(size_t bytes)
{
	return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

/* Where things are; returns how much there is in all. */
static size_t
lay_out(struct scoreboard *b)
{
	size_t slots = whole_pages(sizeof(struct score_head));
	size_t lines = slots + b->workers * sizeof(struct score_worker);
	size_t counts = whole_pages(lines +
	    b->workers * b->threads * sizeof(struct score_thread));
	size_t dumps;

	b->bytes_counts = whole_pages(
	    (b->threads + 1) * sizeof(struct score_counts));
	dumps = counts + b->workers * b->bytes_counts;
	if (b->base != NULL) {
		b->slots = (void *)(b->base + slots);
		b->lines = (void *)(b->base + lines);
		b->counts = b->base + counts;
		b->dumps = b->base + dumps;
	}
	return dumps + b->workers * SCORE_DUMP_MAX;
}

/*
 * A limit on the size of files (ulimit -f) is not meant for this, and would
 * end the process.  Where it cannot be lifted, the board has no descriptor,
 * and only those that are forked from here see it.
 */
static void
open_memory(struct scoreboard *b)
{
	struct rlimit limit, before;

	b->no_fd = EFBIG;
	if (getrlimit(RLIMIT_FSIZE, &before) != 0)
		return;
	limit = before;
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < b->bytes || setrlimit(RLIMIT_FSIZE, &limit) != 0)
		return;
	b->fd = memfd_create("bicorn-scoreboard", MFD_CLOEXEC);
	if (b->fd < 0 || ftruncate(b->fd, (off_t)b->bytes) != 0) {
		b->no_fd = errno;
		fd_close(&b->fd);
	}
	setrlimit(RLIMIT_FSIZE, &before);
}

static int
map(struct scoreboard *b)
{
	int anonymous = b->fd < 0 ? MAP_ANONYMOUS : 0;
	void *base = mmap(NULL, b->bytes, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_NORESERVE | anonymous, b->fd, 0);

	if (base == MAP_FAILED)
		return -1;
	b->base = base;
	lay_out(b);
	return 0;
}

struct scoreboard *
scoreboard_new(size_t workers, size_t threads, struct err *err)
{
	struct scoreboard *b = calloc(1, sizeof(*b));

	if (b == NULL) {
		err_sys(err, "scoreboard");
		return NULL;
	}
	b->workers = workers;
	b->threads = threads;
	b->fd = b->event = b->left = -1;
	b->bytes = lay_out(b);
	open_memory(b);
	b->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	b->left = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (b->event < 0 || b->left < 0 || map(b) != 0) {
		err_sys(err, "scoreboard of %zu bytes", b->bytes);
		scoreboard_free(&b);
		return NULL;
	}
	*scoreboard_head(b) = (struct score_head){
		.size = sizeof(struct score_head),
		.workers = (uint32_t)workers,
		.threads = (uint32_t)threads,
		.bytes_counts = (uint32_t)b->bytes_counts,
		.bytes = b->bytes,
	};
	return b;
}

/* Whether the head is one of ours, as big as it says. */
static bool
is_sound(const struct scoreboard *b, const struct score_head *h)
{
	struct stat st;

	return h->size == sizeof(*h) && h->workers > 0 && h->threads > 0 &&
	    h->workers <= 1 << 16 && h->threads <= 1 << 16 &&
	    fstat(b->fd, &st) == 0 && (uint64_t)st.st_size == h->bytes;
}

struct scoreboard *
scoreboard_attach(int fd, struct err *err)
{
	struct scoreboard *b = calloc(1, sizeof(*b));
	struct score_head head;

	if (b == NULL) {
		err_sys(err, "scoreboard");
		fd_close(&fd);
		return NULL;
	}
	b->fd = fd;
	b->event = b->left = -1;
	if (fd_pread_all(fd, &head, sizeof(head), 0) == sizeof(head) &&
	    is_sound(b, &head)) {
		b->workers = head.workers;
		b->threads = head.threads;
		b->bytes = lay_out(b);
		if (b->bytes == head.bytes && map(b) == 0)
			return b;
	}
	err_set(err, "this is no scoreboard");
	scoreboard_free(&b);
	return NULL;
}

void
scoreboard_free(struct scoreboard **bp)
{
	struct scoreboard *b = *bp;

	*bp = NULL;
	if (b == NULL)
		return;
	if (b->base != NULL)
		munmap(b->base, b->bytes);
	fd_close(&b->fd);
	fd_close(&b->event);
	fd_close(&b->left);
	free(b);
}

size_t
scoreboard_workers(const struct scoreboard *b)
{
	return b->workers;
}

size_t
scoreboard_threads(const struct scoreboard *b)
{
	return b->threads;
}

struct score_worker *
scoreboard_worker(struct scoreboard *b, size_t i)
{
	must(i < b->workers);
	return &b->slots[i];
}

struct score_thread *
scoreboard_thread(struct scoreboard *b, size_t worker, size_t thread)
{
	must(worker < b->workers && thread < b->threads);
	return &b->lines[worker * b->threads + thread];
}

struct score_head *
scoreboard_head(struct scoreboard *b)
{
	return (void *)b->base;
}

int
scoreboard_fd(const struct scoreboard *b)
{
	if (b->fd < 0)
		errno = b->no_fd;
	return b->fd;
}

static struct score_counts *
counts_of(struct scoreboard *b, size_t worker)
{
	must(worker < b->workers);
	return (void *)(b->counts + worker * b->bytes_counts);
}

struct score_counts *
scoreboard_shared_counts(struct scoreboard *b, size_t worker)
{
	return counts_of(b, worker);
}

struct score_counts *
scoreboard_counts(struct scoreboard *b, size_t worker, size_t thread)
{
	must(thread < b->threads);
	return counts_of(b, worker) + 1 + thread;
}

void
scoreboard_sum(struct scoreboard *b, size_t worker, struct score_counts *to)
{
	for (size_t i = 0; i <= b->threads; i++)
		counts_merge(to, counts_of(b, worker) + i);
}

char *
scoreboard_dump(struct scoreboard *b, size_t worker)
{
	must(worker < b->workers);
	return b->dumps + worker * SCORE_DUMP_MAX;
}

void
scoreboard_clear(struct scoreboard *b, size_t worker)
{
	/* Gives the pages back, which then read as zeroes. */
	if (madvise(counts_of(b, worker), b->bytes_counts, MADV_REMOVE) != 0)
		memset(counts_of(b, worker), 0, b->bytes_counts);
	(void)madvise(scoreboard_dump(b, worker), SCORE_DUMP_MAX, MADV_REMOVE);
	memset(scoreboard_worker(b, worker), 0, sizeof(struct score_worker));
	memset(scoreboard_thread(b, worker, 0), 0,
	    b->threads * sizeof(struct score_thread));
}

void
scoreboard_why(struct scoreboard *b, size_t worker, const char *text)
{
	struct score_worker *w = scoreboard_worker(b, worker);

	snprintf(w->why, sizeof(w->why), "%.*s", (int)sizeof(w->why) - 1,
	    text);
}

uint64_t
scoreboard_requests(struct scoreboard *b, size_t worker)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < b->threads; i++)
		sum += atomic_load_explicit(
		    &scoreboard_thread(b, worker, i)->requests,
		    memory_order_relaxed);
	return sum;
}

int
scoreboard_event(const struct scoreboard *b)
{
	return b->event;
}

void
scoreboard_notify(const struct scoreboard *b)
{
	fd_wake(b->event);
}

int
scoreboard_left(const struct scoreboard *b)
{
	return b->left;
}

void
scoreboard_leave(struct scoreboard *b, size_t slot)
{
	atomic_store_explicit(&scoreboard_head(b)->left_by, (uint32_t)slot,
	    memory_order_relaxed);
	fd_wake(b->left);
}

size_t
scoreboard_left_by(struct scoreboard *b)
{
	return atomic_load_explicit(&scoreboard_head(b)->left_by,
	    memory_order_relaxed);
}

static uint8_t
copy_cut(char *to, size_t room, const char *from, size_t len)
{
	if (len > room)
		len = room;
	memcpy(to, from, len);
	return (uint8_t)len;
}

_Static_assert(sizeof(struct score_text) % sizeof(uint64_t) == 0,
    "the text goes word by word");

/* The words up to the end of the target; the rest is not looked at. */
static void
store_text(struct score_thread *t, const struct score_text *text)
{
	size_t bytes = offsetof(struct score_text, target) + text->target_len;
	uint64_t words[SCORE_WORDS];

	memcpy(words, text, bytes);
	for (size_t i = 0; i * sizeof(*words) < bytes; i++)
		atomic_store_explicit(&t->words[i], words[i],
		    memory_order_relaxed);
}

static void
load_text(const struct score_thread *t, struct score_text *text)
{
	uint64_t words[SCORE_WORDS];

	for (size_t i = 0; i < SCORE_WORDS; i++)
		words[i] = atomic_load_explicit(&t->words[i],
		    memory_order_relaxed);
	memcpy(text, words, sizeof(*text));
}

void
score_begin(struct score_thread *t, const char *method, size_t method_len,
    const char *target, size_t target_len, int64_t now_ms)
{
	uint32_t sequence = atomic_load_explicit(&t->sequence,
	    memory_order_relaxed);
	struct score_text text;

	text.method_len = copy_cut(text.method, sizeof(text.method), method,
	    method_len);
	text.target_len = copy_cut(text.target, sizeof(text.target), target,
	    target_len);
	atomic_store_explicit(&t->sequence, sequence + 1,
	    memory_order_relaxed);
	fence(memory_order_release);
	store_text(t, &text);
	atomic_store_explicit(&t->started_ms, now_ms, memory_order_relaxed);
	atomic_store_explicit(&t->sequence, sequence + 2,
	    memory_order_release);
}

void
score_end(struct score_thread *t)
{
	uint64_t requests = atomic_load_explicit(&t->requests,
	    memory_order_relaxed);

	atomic_store_explicit(&t->requests, requests + 1,
	    memory_order_relaxed);
	atomic_store_explicit(&t->started_ms, 0, memory_order_release);
}

static void
append_escaped(char *out, size_t room, const char *text, size_t len)
{
	size_t used = strlen(out);

	for (size_t i = 0; i < len && used + 5 < room; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
			out[used++] = (char)c;
		else
			used += (size_t)snprintf(out + used, room - used,
			    "\\x%02x", c);
	}
	out[used] = '\0';
}

/*
 * How often a line is looked at, and how often before the writer, who may have
 * been stopped, is let on the processor.  Where that is short of time, the
 * reader has it again only after all others.
 */
#define READ_TRIES 60
#define READ_SPINS 50

/* False when it was being written at each look. */
static bool
read_whole(const struct score_thread *t, struct score_text *copy_out,
    int64_t *started_ms_out)
{
	uint32_t before, after;

	for (int i = 0; i < READ_TRIES; i++) {
		if (i >= READ_SPINS)
			sched_yield();
		before = atomic_load_explicit(&t->sequence,
		    memory_order_acquire);
		load_text(t, copy_out);
		*started_ms_out = atomic_load_explicit(&t->started_ms,
		    memory_order_relaxed);
		fence(memory_order_acquire);
		after = atomic_load_explicit(&t->sequence,
		    memory_order_relaxed);
		if (before == after && before % 2 == 0)
			return true;
	}
	return false;
}

bool
score_read(const struct score_thread *t, char *out, size_t room,
    int64_t *started_ms_out)
{
	struct score_text copy;
	bool whole = read_whole(t, &copy, started_ms_out);

	out[0] = '\0';
	if (*started_ms_out == 0)
		return false;
	if (!whole) {
		/* Two texts, each in part. */
		snprintf(out, room, "%s", SCORE_HALF_WRITTEN);
		return true;
	}
	append_escaped(out, room, copy.method,
	    copy.method_len <= sizeof(copy.method) ? copy.method_len : 0);
	append_escaped(out, room, " ", 1);
	append_escaped(out, room, copy.target,
	    copy.target_len <= sizeof(copy.target) ? copy.target_len : 0);
	return true;
}
