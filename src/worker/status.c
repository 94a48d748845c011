/* SPDX-License-Identifier: MIT */
/*
 * How this worker is, for those who look on: the admin process, ps(1).  The
 * acceptor's thread, once a second, so that no request pays for it.
 */

#include "base/title.h"
#include "log/log.h"
#include "worker/acceptor_private.h"
#include "worker/client.h"
#include "worker/heritage.h"
#include "worker/scoreboard.h"
#include "worker/watchdog.h"
#include "worker/worker_private.h"

#define STATUS_MS 1000
/* Connections are looked at one by one only while somebody asked of late. */
#define WATCHED_MS (3 * 60 * 1000)
/* So many bytes are worth giving back when they were not needed for so long. */
#define GIVE_BACK (32 * 1024 * 1024)
#define GIVE_BACK_MS 5000

static enum score_connection
connection_state(const struct client *c)
{
	/* Only the owner may look at the state. */
	if (atomic_load_explicit(&c->owner, memory_order_acquire) != 0)
		return SCORE_ACTIVE;
	switch (c->state) {
	case CLIENT_PROXY:
	case CLIENT_HANDSHAKE:
		return SCORE_HANDSHAKE;
	case CLIENT_IDLE:
		return c->fresh ? SCORE_HEAD : SCORE_IDLE;
	case CLIENT_HEAD:
		return SCORE_HEAD;
	case CLIENT_BODY:
		return SCORE_BODY;
	case CLIENT_FLUSH:
		return SCORE_FLUSH;
	case CLIENT_LINGER:
		return SCORE_LINGER;
	default:
		return SCORE_ACTIVE;
	}
}

static void
count_connections(struct acceptor *a)
{
	struct score_worker *s = a->w->score;
	uint32_t n[SCORE_CONNECTIONS] = { 0 };

	for (const struct client *c = a->open; c != NULL; c = c->next_open)
		n[connection_state(c)]++;
	for (size_t i = 0; i < SCORE_CONNECTIONS; i++)
		atomic_store_explicit(&s->by_state[i], n[i],
		    memory_order_relaxed);
}

static unsigned
count_busy(const struct acceptor *a)
{
	const struct heritage *h = a->w->heritage;
	unsigned busy = 0;

	for (size_t i = 0; i < scoreboard_threads(h->board); i++)
		busy += atomic_load_explicit(
			    &scoreboard_thread(h->board, h->slot, i)
				 ->started_ms,
			    memory_order_relaxed) != 0;
	return busy;
}

/* An application that set a title of its own keeps it. */
static void
show_title(struct acceptor *a)
{
	const struct heritage *h = a->w->heritage;
	unsigned busy = count_busy(a);

	if (h->title == NULL || busy == a->busy ||
	    !title_is_ours(h->title, "bicorn: worker ["))
		return;
	a->busy = busy;
	title_set(h->title, "bicorn: worker [%s] %u/%zu busy", h->name, busy,
	    scoreboard_threads(h->board));
}

/* The arbiter may have been told another level than that of the settings. */
static void
heed_log_level(const struct acceptor *a)
{
	uint32_t level = atomic_load_explicit(
	    &scoreboard_head(a->w->heritage->board)->log_level,
	    memory_order_relaxed);

	if (level > 0)
		log_level_set((enum log_level)(level - 1));
}

/*
 * What a crowd of slow clients has filled would stay with the process when
 * they have left: the allocator keeps it.
 */
static void
give_memory_back(struct acceptor *a)
{
	int64_t filled = atomic_load_explicit(&a->w->buffered,
	    memory_order_relaxed);

	if (filled > a->filled / 4) {
		if (filled > a->filled)
			a->filled = filled;
		a->filled_ms = a->now_ms;
	} else if (a->filled >= GIVE_BACK &&
	    a->now_ms - a->filled_ms >= GIVE_BACK_MS) {
		a->filled = filled;
		watchdog_trim(a->w->watchdog);
	}
}

void
status_update(struct acceptor *a)
{
	struct score_worker *s = a->w->score;
	struct score_head *head;

	a->status_ms = a->now_ms + STATUS_MS - WHEEL_TICK_MS;
	head = scoreboard_head(a->w->heritage->board);
	if (a->now_ms - atomic_load_explicit(&head->looked_ms,
			    memory_order_relaxed) < WATCHED_MS)
		count_connections(a);
	show_title(a);
	heed_log_level(a);
	give_memory_back(a);
	watchdog_dump_board(a->w->watchdog,
	    atomic_load_explicit(&s->dump_wanted, memory_order_relaxed));
}
