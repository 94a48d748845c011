/* SPDX-License-Identifier: MIT */
#include "score/ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/fence.h"

/* A text of this size holds all numbers many times over. */
#define SAVED_MAX (1024 * 1024)

const char *const restart_reasons[RESTART_COUNT] = {
#define RESTART(id, reason) [RESTART_##id] = reason,
#include "score/restarts.def"
#undef RESTART
};

struct ledger *
ledger_new(struct err *err)
{
	struct ledger *l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (l == MAP_FAILED) {
		err_sys(err, "ledger");
		return NULL;
	}
	return l;
}

void
ledger_free(struct ledger **lp)
{
	if (*lp != NULL)
		munmap(*lp, sizeof(**lp));
	*lp = NULL;
}

void
ledger_begin(struct ledger *l)
{
	atomic_fetch_add_explicit(&l->sequence, 1, memory_order_relaxed);
	fence(memory_order_seq_cst);
}

void
ledger_end(struct ledger *l)
{
	fence(memory_order_seq_cst);
	atomic_fetch_add_explicit(&l->sequence, 1, memory_order_release);
}

uint32_t
ledger_look(const struct ledger *l)
{
	return atomic_load_explicit(&l->sequence, memory_order_acquire);
}

bool
ledger_seen(const struct ledger *l, uint32_t look)
{
	fence(memory_order_seq_cst);
	return look % 2 == 0 &&
	    atomic_load_explicit(&l->sequence, memory_order_relaxed) == look;
}

void
ledger_set_error(struct ledger *l, const char *text)
{
	atomic_fetch_add_explicit(&l->text_sequence, 1, memory_order_seq_cst);
	snprintf(l->reload_error, sizeof(l->reload_error), "%.*s",
	    LEDGER_TEXT - 1, text);
	atomic_fetch_add_explicit(&l->text_sequence, 1, memory_order_seq_cst);
}

void
ledger_get_error(const struct ledger *l, char out[LEDGER_TEXT])
{
	for (int i = 0; i < 100; i++) {
		uint32_t look = atomic_load_explicit(&l->text_sequence,
		    memory_order_seq_cst);

		memcpy(out, l->reload_error, LEDGER_TEXT);
		out[LEDGER_TEXT - 1] = '\0';
		if (look % 2 == 0 &&
		    atomic_load_explicit(&l->text_sequence,
			memory_order_seq_cst) == look)
			return;
	}
}

/* --- from one arbiter to the next ----------------------------------------- */

/* A number that is saved by its name. */
struct named {
	const char *family;
	const char *value; /* or NULL */
	_Atomic uint64_t *at;
};

static bool
save_one(struct buf *b, const char *family, const char *value, uint64_t n)
{
	return n == 0 ||
	    buf_fmt(b, "%s %s %" PRIu64 "\n", family,
		value != NULL ? value : "-", n);
}

static bool
save_counts(struct buf *b, const struct score_counts *n)
{
	bool ok = true;

	for (unsigned i = 0; i < COUNT_COUNT; i++)
		ok = ok && save_one(b, count_infos[i].family,
		    count_infos[i].value, counts_get(n, (enum count_id)i));
	for (unsigned i = 0; i < HIST_COUNT; i++) {
		const struct hist *h = &n->hist[i];
		char family[64], end[32];

		snprintf(family, sizeof(family), "hist_%s", hist_names[i]);
		ok = ok && save_one(b, family, "sum",
		    atomic_load(&h->sum_us));
		for (unsigned j = 0; j < HIST_BUCKETS; j++) {
			snprintf(end, sizeof(end), "%" PRIu64, hist_end(j));
			ok = ok && save_one(b, family, end,
			    atomic_load(&h->buckets[j]));
		}
	}
	return ok;
}

static bool
save_all(struct buf *b, const struct ledger *l, const struct score_counts *live)
{
	bool ok = save_counts(b, &l->past) &&
	    save_one(b, "lost", NULL, atomic_load(&l->lost)) &&
	    save_one(b, "reloads", NULL, atomic_load(&l->reloads)) &&
	    save_one(b, "failed_reloads", NULL,
		atomic_load(&l->failed_reloads)) &&
	    save_one(b, "forks", NULL, atomic_load(&l->forks));

	for (unsigned i = 0; i < RESTART_COUNT; i++)
		ok = ok && save_one(b, "restarts", restart_reasons[i],
		    atomic_load(&l->restarts[i]));
	/* Both sets have the same names: they are added when they are read. */
	return ok && (live == NULL || save_counts(b, live));
}

int
ledger_save(const struct ledger *l, const struct score_counts *live, int fd)
{
	struct buf b = { 0 };
	int rc = -1;

	if (save_all(&b, l, live))
		rc = fd_write_all(fd, b.data, b.len);
	else
		errno = ENOMEM;
	buf_fini(&b);
	return rc;
}

static bool
same(const char *a, const char *b)
{
	return strcmp(a, b != NULL ? b : "-") == 0;
}

static _Atomic uint64_t *
find_hist(struct ledger *l, const char *name, const char *value)
{
	uint64_t end = strtoull(value, NULL, 10);

	for (unsigned i = 0; i < HIST_COUNT; i++) {
		struct hist *h = &l->past.hist[i];

		if (strcmp(name, hist_names[i]) != 0)
			continue;
		if (strcmp(value, "sum") == 0)
			return &h->sum_us;
		return end > 0 ? &h->buckets[hist_bucket(end - 1)] : NULL;
	}
	return NULL;
}

static _Atomic uint64_t *
find(struct ledger *l, const char *family, const char *value)
{
	const struct named singles[] = {
		{ "lost", NULL, &l->lost },
		{ "reloads", NULL, &l->reloads },
		{ "failed_reloads", NULL, &l->failed_reloads },
		{ "forks", NULL, &l->forks },
	};

	if (strncmp(family, "hist_", 5) == 0)
		return find_hist(l, family + 5, value);
	for (size_t i = 0; i < sizeof(singles) / sizeof(singles[0]); i++)
		if (strcmp(family, singles[i].family) == 0)
			return singles[i].at;
	for (unsigned i = 0; i < RESTART_COUNT; i++)
		if (strcmp(family, "restarts") == 0 &&
		    strcmp(value, restart_reasons[i]) == 0)
			return &l->restarts[i];
	for (unsigned i = 0; i < COUNT_COUNT; i++)
		if (strcmp(family, count_infos[i].family) == 0 &&
		    same(value, count_infos[i].value))
			return &l->past.value[i];
	return NULL;
}

static void
load_line(struct ledger *l, const char *line)
{
	char family[64], value[64];
	_Atomic uint64_t *at;
	uint64_t n;

	if (sscanf(line, "%63s %63s %" SCNu64, family, value, &n) != 3)
		return;
	at = find(l, family, value);
	if (at != NULL)
		ledger_count(at, n);
}

int
ledger_load(struct ledger *l, int fd)
{
	char *text = malloc(SAVED_MAX), *line, *rest;
	ssize_t n;

	if (text == NULL)
		return -1;
	n = fd_read_all(fd, text, SAVED_MAX - 1);
	if (n >= 0) {
		text[n] = '\0';
		ledger_begin(l);
		for (line = strtok_r(text, "\n", &rest); line != NULL;
		     line = strtok_r(NULL, "\n", &rest))
			load_line(l, line);
		ledger_end(l);
	}
	free(text);
	return n >= 0 ? 0 : -1;
}
