/* SPDX-License-Identifier: MIT */
#include "worker/later.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/must.h"
#include "conf/conf.h"
#include "worker/client.h"
#include "worker/exchange.h"
#include "worker/inbound.h"
#include "worker/lead.h"
#include "worker/output.h"
#include "worker/pool.h"
#include "worker/queue.h"
#include "worker/serve.h"
#include "worker/worker_private.h"

/*
 * So long at most, but for a thread that takes its time with the next one; and
 * only where as much is to be done for those that wait, so that nobody's
 * answer takes clearly longer for it.
 */
#define LATER_US 1000
/* Where requests are shorter, clients are still awake from the last answer. */
#define LONG_US 20
/* One answer, and all of them. */
#define ANSWER_MAX 4096
#define DATA_MAX 32768

void
later_init(struct later *l)
{
	lock_init(&l->lock, LOCK_LATER);
}

void
later_fini(struct later *l)
{
	/* The context ends with the process, which is what waits for it. */
	free(l->data);
	lock_fini(&l->lock);
}

static unsigned
count_of(const struct later *l)
{
	return atomic_load_explicit(&l->count, memory_order_relaxed);
}

/* --- keeping -------------------------------------------------------------- */

/* What is about to be written ends the answer. */
static bool
is_end(const struct exchange *x)
{
	return x->ending ||
	    (x->length >= 0 && x->taken == (uint64_t)x->length);
}

/* Nobody looks after what is kept while the acceptor waits for events. */
static bool
acceptor_leads(const struct worker *w)
{
	return atomic_load(&w->leader) == LEADER_ACCEPTOR;
}

static bool
may_wait(const struct exchange *x)
{
	const struct client *c = x->c;
	const struct inbound *in = c->in;

	return x->keep_open && is_end(x) && c->conn.tls == NULL &&
	    in->complete &&
	    inbound_is_all(in) &&
	    !c->lent && outbound_empty(&c->out) && !acceptor_leads(x->w) &&
	    queue_busy_us(x->w->queue) >= LONG_US &&
	    queue_ahead_us(x->w->queue) >= LATER_US;
}

/* Copies what fits; the bytes of it, 0 when it does not. */
static size_t
copy(struct later *l, const struct iovec *iov, int count)
{
	size_t len = 0;

	for (int i = 0; i < count; i++)
		len += iov[i].iov_len;
	if (count_of(l) == LATER_MAX || len > ANSWER_MAX ||
	    l->used + len > DATA_MAX)
		return 0;
	if (l->data == NULL)
		l->data = malloc(DATA_MAX);
	if (l->data == NULL)
		return 0;
	len = 0;
	for (int i = 0; i < count; i++) {
		memcpy(l->data + l->used + len, iov[i].iov_base,
		    iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return len;
}

/*
 * Takes the last one, that of the request in hand, from the list if so many
 * bytes of it, or none, are still to be sent, or none can.  *out says what is
 * left.
 */
static bool withdraw_locked(struct later *l, size_t wanted,
    struct later_answer *out) REQUIRES(l->lock);

static bool
withdraw_locked(struct later *l, size_t wanted, struct later_answer *out)
{
	unsigned last = count_of(l) - 1;

	*out = l->answers[last];
	if (out->len != 0 && out->len != wanted && !out->broken)
		return false;
	l->in_hand = false;
	atomic_store(&l->count, last);
	return true;
}

bool
later_put(struct exchange *x, const struct iovec *iov, int count)
{
	struct later *l = &x->later;
	struct later_answer a = { .c = x->c };
	bool gone, none;
	unsigned n;

	if (!may_wait(x))
		return false;
	/*
	 * In this order: who takes them over says so before there are none.
	 * Then nobody reads there any more.
	 */
	none = atomic_load(&l->count) == 0;
	if (atomic_load(&l->taken_over))
		return false;
	if (none)
		l->used = 0;
	a.at = (uint32_t)l->used;
	a.len = (uint32_t)copy(l, iov, count);
	if (a.len == 0)
		return false;
	lock_take(&l->lock);
	n = count_of(l);
	if (n == 0)
		atomic_store(&l->since_us, x->sent_us);
	l->answers[n] = a;
	l->in_hand = true;
	atomic_store(&l->count, n + 1);
	lock_drop(&l->lock);
	l->used += a.len;
	x->later_put = true;
	/*
	 * In this order, and the acceptor the other way round: one of the two
	 * sees what the other did.
	 */
	if (!acceptor_leads(x->w))
		return true;
	lock_take(&l->lock);
	gone = withdraw_locked(l, a.len, &a);
	lock_drop(&l->lock);
	x->later_put = !gone;
	x->broken = gone && a.broken;
	return !gone || a.len == 0 || a.broken;
}

void
later_back(struct exchange *x)
{
	struct later *l = &x->later;
	struct later_answer a;
	struct iovec iov;

	x->later_put = false;
	lock_take(&l->lock);
	withdraw_locked(l, l->answers[count_of(l) - 1].len, &a);
	lock_drop(&l->lock);
	iov = (struct iovec){ l->data + a.at, a.len };
	if (a.broken ||
	    (a.len > 0 && !output_write(x->w, x->c, &iov, 1, false)))
		x->broken = true;
}

bool
later_leave(struct exchange *x)
{
	struct later *l = &x->later;
	struct later_answer a;
	bool gone;

	x->later_put = false;
	lock_take(&l->lock);
	gone = withdraw_locked(l, 0, &a);
	l->in_hand = false;
	lock_drop(&l->lock);
	x->broken = gone && a.broken;
	return !gone;
}

/* --- sending -------------------------------------------------------------- */

/* What there is no system call for, and what that could not begin. */
static ssize_t
write_one(struct client *c, const char *data, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };
	size_t put;

	switch (c->conn.transport->write(&c->conn, &iov, 1, false, &put)) {
	case IO_OK:
		return (ssize_t)put;
	case IO_AGAIN:
		return 0;
	default:
		return -1;
	}
}

/*
 * The call has no MSG_NOSIGNAL.  SIGPIPE is ignored, unless the application
 * has changed that.
 */
static bool
may_submit(struct later *l)
{
	struct sigaction pipe;

	/* A filter may know the one and not the other. */
	if (l->state == AIO_UNKNOWN)
		l->state = syscall(SYS_io_setup, LATER_MAX, &l->aio) == 0 &&
			syscall(SYS_io_getevents, l->aio, 0, 0, NULL, NULL) ==
			    0
		    ? AIO_READY
		    : AIO_NONE;
	return l->state == AIO_READY &&
	    sigaction(SIGPIPE, NULL, &pipe) == 0 &&
	    pipe.sa_handler == SIG_IGN;
}

/*
 * Writes to sockets are done when io_submit() returns, as far as they can be
 * without waiting.  How many bytes of each went, or a negative number; those
 * that it did not come to are left as they are.
 */
static void
submit(struct later *l, const struct later_answer *answers, unsigned count,
    int64_t *put)
{
	struct iocb cbs[LATER_MAX], *list[LATER_MAX];
	struct io_event events[LATER_MAX];
	long begun, done;

	for (unsigned i = 0; i < count; i++) {
		cbs[i] = (struct iocb){
			.aio_data = i,
			.aio_lio_opcode = IOCB_CMD_PWRITE,
			.aio_fildes = (uint32_t)answers[i].c->conn.fd,
			.aio_buf = (uintptr_t)l->data + answers[i].at,
			.aio_nbytes = answers[i].len,
		};
		list[i] = &cbs[i];
	}
	begun = syscall(SYS_io_submit, l->aio, (long)count, list);
	for (long all = 0; all < begun; all += done) {
		done = syscall(SYS_io_getevents, l->aio, begun - all,
		    begun - all, events, NULL);
		if (done < 0 && errno == EINTR)
			done = 0;
		must(done >= 0);
		for (long i = 0; i < done; i++)
			put[events[i].data] = events[i].res == -EAGAIN
			    ? 0
			    : events[i].res;
	}
}

void
later_send(struct exchange *x)
{
	struct later *l = &x->later;
	struct later_answer answers[LATER_MAX];
	int64_t put[LATER_MAX];
	unsigned count = count_of(l);

	if (count == 0)
		return;
	/* From now on they are not to be taken over. */
	lock_take(&l->lock);
	count = count_of(l);
	memcpy(answers, l->answers, count * sizeof(*answers));
	atomic_store(&l->count, 0);
	lock_drop(&l->lock);
	for (unsigned i = 0; i < count; i++)
		put[i] = INT64_MAX;
	if (count > 1 && may_submit(l))
		submit(l, answers, count, put);
	for (unsigned i = 0; i < count; i++) {
		const struct later_answer *a = &answers[i];
		const char *data = l->data + a->at;

		if (put[i] == INT64_MAX)
			put[i] = write_one(a->c, data, a->len);
		if (put[i] < 0)
			serve_broken(x->w, a->c);
		else if (put[i] < a->len)
			serve_rest(x->w, a->c, data + put[i],
			    a->len - (size_t)put[i]);
		else
			serve_next(x, a->c);
	}
}

void
later_look(struct exchange *x)
{
	struct later *l = &x->later;
	unsigned count = count_of(l);

	if (count > 0 &&
	    (count == LATER_MAX || l->used + ANSWER_MAX > DATA_MAX ||
		x->ended_us - atomic_load_explicit(&l->since_us,
		    memory_order_relaxed) >= LATER_US ||
		acceptor_leads(x->w)))
		later_send(x);
}

/* --- the acceptor --------------------------------------------------------- */

/* Less of it is left then. */
static void
send_one(struct later *l, struct later_answer *a)
{
	ssize_t put = a->len > 0 && !a->broken
	    ? write_one(a->c, l->data + a->at, a->len)
	    : 0;

	a->broken = a->broken || put < 0;
	if (put > 0) {
		a->at += (uint32_t)put;
		a->len -= (uint32_t)put;
	}
}

/* Those that are not in hand, out of the list; returns how many. */
static unsigned take_locked(struct later *l, struct later_answer *out)
    REQUIRES(l->lock);

static unsigned
take_locked(struct later *l, struct later_answer *out)
{
	unsigned count = count_of(l), stays = l->in_hand ? 1 : 0;

	if (count == 0)
		return 0;
	memcpy(out, l->answers, (count - stays) * sizeof(*out));
	if (stays != 0) {
		l->answers[0] = l->answers[count - 1];
		send_one(l, &l->answers[0]);
	}
	atomic_store(&l->taken_over, true);
	atomic_store(&l->count, stays);
	return count - stays;
}

static void
take_over(struct worker *w, struct later *l, int64_t before_us)
{
	struct later_answer answers[LATER_MAX];
	unsigned count = 0;

	lock_take(&l->lock);
	if (atomic_load(&l->since_us) < before_us)
		count = take_locked(l, answers);
	lock_drop(&l->lock);
	for (unsigned i = 0; i < count; i++) {
		struct later_answer *a = &answers[i];

		send_one(l, a);
		if (a->broken)
			serve_broken(w, a->c);
		else
			serve_rest(w, a->c, l->data + a->at, a->len);
	}
	atomic_store_explicit(&l->taken_over, false, memory_order_release);
}

void
later_take_over(struct worker *w, int64_t before_us)
{
	for (size_t i = 0; i < (size_t)w->settings->threads; i++) {
		struct later *l = pool_later(w->pool, i);

		if (atomic_load(&l->count) > 0 &&
		    atomic_load(&l->since_us) < before_us)
			take_over(w, l, before_us);
	}
}
