/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_RECORD_H
#define BICORN_WORKER_RECORD_H

/* The line of the access log for one request. */

#include <stdint.h>

struct client;
struct exchange;
struct worker;

/* For a request that the application answered; before its end. */
void record_exchange(const struct exchange *x);

/* For one that was refused: only what could be understood is in it. */
void record_refusal(struct worker *w, const struct client *c,
    unsigned status, uint64_t body_bytes);

#endif
