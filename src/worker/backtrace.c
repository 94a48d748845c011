/* SPDX-License-Identifier: MIT */
#include "worker/backtrace.h"

#ifdef HAVE_EXECINFO_H

#include <errno.h>
#include <execinfo.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/must.h"

#define FRAMES_MAX 64
#define WAIT_S 1

/* A real-time signal, which carries a value and is nobody else's. */
#define BACKTRACE_SIGNAL (SIGRTMIN + 5)

/*
 * Asked by one thread, answered by the handler in another.  A question that
 * gets no answer in time is never freed: the answer may still come.
 */
struct question {
	int fd;
	sem_t answered;
	atomic_bool asked; /* what is above is there to be read */
};

static void
on_signal(int number, siginfo_t *info, void *context)
{
	struct question *q = info->si_value.sival_ptr;
	void *frames[FRAMES_MAX];
	int saved = errno, n;

	(void)number;
	(void)context;
	if (info->si_code == SI_QUEUE && q != NULL &&
	    atomic_load_explicit(&q->asked, memory_order_acquire)) {
		n = backtrace(frames, FRAMES_MAX);
		backtrace_symbols_fd(frames, n, q->fd);
		sem_post(&q->answered);
	}
	errno = saved;
}

void
backtrace_prepare(void)
{
	struct sigaction sa = {
		.sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};
	void *frame[1];

	/* The first call loads libgcc, which a handler must not do. */
	backtrace(frame, 1);
	sigemptyset(&sa.sa_mask);
	sigaction(BACKTRACE_SIGNAL, &sa, NULL);
}

/* True once the handler is done with q. */
static bool
wait_answer(struct question *q)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_S;
	while (sem_timedwait(&q->answered, &until) != 0)
		if (errno != EINTR)
			return false;
	return true;
}

void
backtrace_thread(pthread_t id, int fd)
{
	struct question *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return;
	q->fd = fd;
	must(sem_init(&q->answered, 0, 0) == 0);
	atomic_store_explicit(&q->asked, true, memory_order_release);
	if (pthread_sigqueue(id, BACKTRACE_SIGNAL,
		(union sigval){ .sival_ptr = q }) == 0 && !wait_answer(q))
		return;
	sem_destroy(&q->answered);
	free(q);
}

#else /* musl */

#include <unistd.h>

void
backtrace_prepare(void)
{
}

void
backtrace_thread(pthread_t id, int fd)
{
	static const char text[] = "unknown: this C library cannot tell\n";

	(void)id;
	if (write(fd, text, sizeof(text) - 1) < 0)
		return; /* there is nobody else to tell */
}

#endif
