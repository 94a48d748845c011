/* SPDX-License-Identifier: MIT */
/*
 * How a client changes hands: one thread plays the pool, another the
 * acceptor with its events, and neither may miss or break anything.  Most of
 * what this is about, ThreadSanitizer sees.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "net/conn.h"
#include "worker/client.h"
#include "worker/scoreboard.h"
#include "worker/worker_private.h"

struct fixture {
	struct worker w;
	struct scoreboard *board;
	_Atomic int64_t buffered;
};

static struct fixture *
new_fixture(void)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err err;

	f->board = scoreboard_new(1, 1, &err);
	assert_non_null(f->board);
	f->w.score = scoreboard_worker(f->board, 0);
	f->w.wake_fd = eventfd(0, EFD_NONBLOCK);
	f->w.epoll = epoll_create1(0);
	f->w.keep.buffered = &f->buffered;

	return f;
}

static void
free_fixture(struct fixture *f)
{

	close(f->w.wake_fd);
	close(f->w.epoll);
	scoreboard_free(&f->board);
	free(f);
}

static uint64_t
wakes(struct fixture *f)
{
	uint64_t count = 0;

	return read(f->w.wake_fd, &count, sizeof(count)) < 0 ? 0 : count;
}

/* --- one thread ----------------------------------------------------------- */

static void
test_release(void **state)
{
	struct client c = { .state = CLIENT_IDLE, .owner = OWNED_BY_POOL };

	(void)state;
	assert_true(client_release(&c));
	assert_int_equal(c.owner, 0);

	/* Something to read, or the end: the pool keeps it. */
	c.owner = OWNED_BY_POOL | EVENT_READ;
	assert_false(client_release(&c));
	assert_int_equal(c.owner, OWNED_BY_POOL);
	assert_true(c.readable);
	assert_false(c.peer_closed);

	c.readable = false;
	c.owner = OWNED_BY_POOL | EVENT_GONE;
	assert_false(client_release(&c));
	assert_true(c.readable && c.peer_closed);

	/* That it takes output is no news for an idle one. */
	c.readable = c.peer_closed = false;
	c.owner = OWNED_BY_POOL | EVENT_WRITE;
	assert_true(client_release(&c));
	assert_int_equal(c.owner, 0);
}

static void
test_gone(void **state)
{
	struct client c = { .owner = OWNED_BY_POOL };

	(void)state;
	assert_false(client_gone(&c));
	c.owner |= EVENT_READ;
	assert_false(client_gone(&c));
	c.owner |= EVENT_GONE;
	assert_true(client_gone(&c));
	c.owner = OWNED_BY_POOL;
	c.peer_closed = true;
	assert_true(client_gone(&c));
}

/* The first of those returned wakes the acceptor, the others need not. */
static void
test_return_wakes_once(void **state)
{
	struct fixture *f = new_fixture();
	struct client c[3] = { 0 };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		client_return(&f->w, &c[i]);
	assert_int_equal(wakes(f), 1);
	assert_ptr_equal(atomic_exchange(&f->w.returned, NULL), &c[2]);
	assert_ptr_equal(c[2].next, &c[1]);
	assert_ptr_equal(c[1].next, &c[0]);
	assert_null(c[0].next);
	client_return(&f->w, &c[0]);
	assert_int_equal(wakes(f), 1);
	free_fixture(f);
}

static void
open_client(struct fixture *f, struct client *c, int pair[2])
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET,
		.data.ptr = &c->source };

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    pair), 0);
	*c = (struct client){ .state = CLIENT_IDLE, .owner = OWNED_BY_POOL };
	c->conn.fd = pair[0];
	c->conn.transport = &transport_plain;
	assert_int_equal(epoll_ctl(f->w.epoll, EPOLL_CTL_ADD, pair[0], &ev), 0);
	atomic_fetch_add(&f->w.score->connections, 1);
}

/* Who waits for room, or to leave, is woken; others are left asleep. */
static void
test_finish(void **state)
{
	struct fixture *f = new_fixture();
	struct client c;
	int pair[2];

	(void)state;
	for (int i = 0; i < 3; i++) {
		open_client(f, &c, pair);
		f->w.hungry = i == 1;
		f->w.draining = i == 2;
		client_finish(&f->w, &c);
		assert_int_equal(c.state, CLIENT_CLOSED);
		assert_int_equal(c.conn.fd, -1);
		assert_int_equal(f->w.score->connections, 0);
		assert_ptr_equal(atomic_exchange(&f->w.finished, NULL), &c);
		assert_int_equal(wakes(f), i > 0);
		close(pair[1]);
	}
	free_fixture(f);
}

/* A copy of the socket, as a child has it, is no longer watched. */
static void
test_finish_with_a_copy(void **state)
{
	struct fixture *f = new_fixture();
	struct epoll_event ev;
	struct client c;
	int pair[2], copy;

	(void)state;
	open_client(f, &c, pair);
	copy = dup(pair[0]);
	client_finish(&f->w, &c);
	assert_int_equal(write(pair[1], "x", 1), 1);
	close(pair[1]);
	assert_int_equal(epoll_wait(f->w.epoll, &ev, 1, 50), 0);
	close(copy);
	free_fixture(f);
}

/* --- two threads ---------------------------------------------------------- */

#define TURNS 100000

/*
 * The acceptor's side of an event, as in acceptor.c.  True when the acceptor
 * owns c.
 */
static bool
acceptor_event(struct client *c, uint32_t bits)
{
	if (atomic_load_explicit(&c->owner, memory_order_acquire) != 0) {
		uint32_t before = atomic_fetch_or_explicit(&c->owner, bits,
		    memory_order_acq_rel);

		if (before & OWNED_BY_POOL)
			return false;
		atomic_store_explicit(&c->owner, 0, memory_order_relaxed);
	}
	client_take_events(c, bits);
	return true;
}

struct game {
	struct client c;
	_Atomic(struct client *) handed; /* acceptor to pool */
	atomic_bool leave;
	/* Written by whoever owns c: a race is one that TSan sees. */
	uint64_t events_seen;
	uint64_t changes;
};

static struct client *
await_client(struct game *g)
{
	struct client *c;

	while ((c = atomic_exchange_explicit(&g->handed, NULL,
		    memory_order_acquire)) == NULL &&
	    !atomic_load(&g->leave))
		;
	return c;
}

/* Answers, looks for more, lets go. */
static void *
pool_main(void *arg)
{
	struct game *g = arg;
	struct client *c;

	while ((c = await_client(g)) != NULL) {
		for (;;) {
			g->changes++;
			if (c->readable) {
				c->readable = false;
				g->events_seen++;
			}
			c->state = CLIENT_IDLE;
			c->deadline_ms++;
			if (client_release(c))
				break;
		}
	}
	return NULL;
}

/* Each event is seen by exactly one of the two, none is lost. */
static void
test_owner_word(void **state)
{
	struct game *g = calloc(1, sizeof(*g));
	uint64_t sent = 0, by_acceptor = 0;
	pthread_t pool;

	(void)state;
	g->c.state = CLIENT_IDLE;
	pthread_create(&pool, NULL, pool_main, g);
	for (int i = 0; i < TURNS; i++) {
		/* Events are edges: the next comes when one was dealt with. */
		if (acceptor_event(&g->c, EVENT_READ)) {
			g->changes++;
			g->c.readable = false;
			g->c.state = CLIENT_READY;
			by_acceptor++;
			atomic_store_explicit(&g->c.owner, OWNED_BY_POOL,
			    memory_order_relaxed);
			atomic_store_explicit(&g->handed, &g->c,
			    memory_order_release);
		}
		sent++;
		if (i % 64 == 0)
			while (atomic_load_explicit(&g->c.owner,
				   memory_order_acquire) != 0)
				;
	}
	while (atomic_load_explicit(&g->c.owner, memory_order_acquire) != 0)
		;
	atomic_store(&g->leave, true);
	pthread_join(pool, NULL);
	assert_false(g->c.readable);
	assert_int_equal(g->c.owner, 0);
	assert_true(by_acceptor > 0);
	assert_true(by_acceptor + g->events_seen <= sent);
	/* What the acceptor saw, it handed on; one more look for each event
	 * that came meanwhile. */
	assert_true(g->changes >= 2 * by_acceptor + g->events_seen -
	    (g->events_seen > 0 ? 1 : 0));
	free(g);
}

/* --- lists ---------------------------------------------------------------- */

#define MANY 20000

struct givers {
	struct fixture *f;
	struct client *clients;
	atomic_int next;
};

static void *
give_all(void *arg)
{
	struct givers *g = arg;
	int i;

	while ((i = atomic_fetch_add(&g->next, 1)) < MANY) {
		g->clients[i].deadline_ms = i;
		client_return(&g->f->w, &g->clients[i]);
	}
	return NULL;
}

/* Several threads return clients; the acceptor sleeps until it is woken. */
static void
test_nothing_returned_is_forgotten(void **state)
{
	struct givers g = { .f = new_fixture(),
		.clients = calloc(MANY, sizeof(struct client)) };
	struct epoll_event ev = { .events = EPOLLIN };
	int64_t sum = 0, end = clock_ms() + 20000;
	int taken = 0;
	pthread_t threads[3];

	(void)state;
	epoll_ctl(g.f->w.epoll, EPOLL_CTL_ADD, g.f->w.wake_fd, &ev);
	for (size_t i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, give_all, &g);
	while (taken < MANY && clock_ms() < end) {
		struct client *c;

		/* Without its wake-up it would sleep to the end. */
		assert_true(epoll_wait(g.f->w.epoll, &ev, 1, 10000) == 1);
		wakes(g.f);
		c = atomic_exchange_explicit(&g.f->w.returned, NULL,
		    memory_order_acquire);
		for (; c != NULL; c = c->next) {
			sum += c->deadline_ms;
			taken++;
		}
	}
	assert_int_equal(taken, MANY);
	assert_int_equal(sum, (int64_t)MANY * (MANY - 1) / 2);
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	free(g.clients);
	free_fixture(g.f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_return_wakes_once),
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_finish_with_a_copy),
		cmocka_unit_test(test_owner_word),
		cmocka_unit_test(test_nothing_returned_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
