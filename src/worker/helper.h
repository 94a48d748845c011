/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_HELPER_H
#define BICORN_WORKER_HELPER_H

/*
 * Processes beside the workers that run code for the arbiter, which runs
 * none: one that reads a settings file in Python and ends, and the helper,
 * which hears of the moments of the arbiter (enum bicorn_moment).
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <bicorn/app.h>

#include "base/buf.h"
#include "conf/conf.h"

struct err;

/*
 * For struct conf_evaluator: forks a process that reads the file, takes what
 * it says and waits for its end, half a minute at most.  own is not used.
 */
int helper_evaluate(void *own, const struct settings *base,
    const char *name, conf_take_fn take, void *arg, struct err *err);

/*
 * The same for a caller that has other things to do meanwhile.  It is over
 * once pid is 0 and fd is -1.
 */
struct helper_reading {
	pid_t pid;         /* of the process; 0: it has ended */
	int fd;            /* there is something to take, or the end; or -1 */
	int64_t due_ms;    /* it is to be looked at then */
	int status;        /* of its end */
	int error;         /* why there is no answer: an errno, or 0 */
	struct buf answer;
};

/* Forks the process.  On -1 there is nothing to free. */
int helper_read_start(struct helper_reading *r, const struct settings *base,
    const char *name, struct err *err);

/* Takes what is there, without waiting; kills one that takes too long. */
void helper_read_some(struct helper_reading *r, int64_t now_ms);

/* Its process was reaped. */
void helper_read_ended(struct helper_reading *r, int status);

bool helper_read_is_over(const struct helper_reading *r);

/* Calls take for each value of the answer.  0 or -1. */
int helper_read_deliver(const struct helper_reading *r, const char *name,
    conf_take_fn take, void *arg, struct err *err);

/* Kills the process, if it is still there, which is for others to reap. */
void helper_read_fini(struct helper_reading *r);

/* A moment, as it goes from the arbiter to the helper. */
struct helper_message {
	uint32_t moment; /* enum bicorn_moment */
	int32_t worker;
	uint32_t number;
	int32_t status;
	uint32_t workers;
	uint32_t workers_before;
};

/* And back. */
struct helper_reply {
	uint32_t moment; /* HELPER_HELLO: what is wanted, in bits */
	int32_t result;  /* of event(), or enum bicorn_load_result */
	uint32_t events;
};

#define HELPER_HELLO UINT32_MAX

/*
 * Not a moment: behind the message stand the listeners, for each as
 * terminated texts its name, spec, host, port, and 1 or 0 for unix and TLS.
 * There is no answer.
 */
#define HELPER_LISTENERS (UINT32_MAX - 1)
#define HELPER_TEXT_MAX 65536

/* Whether settings s may need a helper: a hook, or an application in C. */
bool helper_is_wanted(const struct settings *s);

/*
 * The helper's life, after the fork: says what it wants to hear of, hears
 * of it over fd (SOCK_SEQPACKET) and answers each.  Returns the exit code
 * when the arbiter has closed its end.
 */
int helper_main(const struct settings *s, int fd, pid_t arbiter);

/*
 * Waits until a process of these has ended; at end_ms it is killed, and the
 * result is false.
 */
bool helper_wait(pid_t pid, int64_t end_ms, int *status);

#endif
