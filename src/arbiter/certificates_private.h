/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_CERTIFICATES_PRIVATE_H
#define BICORN_ARBITER_CERTIFICATES_PRIVATE_H

/* Between certificates.c, which reads, and certificates_watch.c, when. */

#include <stdbool.h>
#include <stdint.h>

struct arbiter;
struct certificates;
struct err;
struct generation;
struct settings;

/*
 * Reads g's files again, and says what came of it; what it said before, only
 * when `loud`.
 */
void certificates_renew(struct arbiter *a, struct generation *g, bool loud);

/* What is to be said about certificates, as at the start, so often. */
#define REMIND_S 86400

/* Reads g's files again, and says all that they give reason to. */
void certificates_remind(struct arbiter *a, struct generation *g);

/*
 * A number made of what stat() says about the files; *newest_ms_out, which
 * may be NULL, is when the last of them was changed, by the wall clock.
 */
uint64_t certificates_signature(const struct certificates *c,
    int64_t *newest_ms_out);

/* Sees to it that there are keys for tickets, as s wants them. */
int certificates_keys(struct arbiter *a, const struct settings *s,
    struct err *err);

#endif
