/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_SERVE_H
#define BICORN_WORKER_SERVE_H

/* Serving one client: what a pool thread does, and what ends a request. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct exchange;
struct worker;

/*
 * Answers the complete request of c, and those that the client sent behind
 * it while nobody else waits.  The calling pool thread owns c and hands it
 * on before this returns.
 */
void serve_client(struct exchange *x, struct client *c);

/*
 * Answers c->in->refusal with a small page, without the application, and
 * leaves c in CLIENT_FLUSH or CLIENT_LINGER with its deadline set.  Writes
 * the line of the access log.  Called by the owner of c, never blocks.
 */
void refuse_client(struct worker *w, struct client *c, int64_t now_ms);

/*
 * The same for a client that spoke plain HTTP where TLS is spoken.  False
 * when out of memory.
 */
bool refuse_plain(struct worker *w, struct client *c, int64_t now_ms);

/*
 * Answers request `number` of that thread, which is in the application and
 * will not be waited for, with that status.  False when it answers itself, or
 * is over.  Who leads; the client stays the thread's.
 */
bool serve_given_up(struct exchange *x, uint64_t number, unsigned status,
    const char *why);

/* Ends c, which vanished before its request ran.  The owner of c. */
void finish_vanished(struct worker *w, struct client *c);

/* Whether the complete request of c is for health_path. */
bool asks_health(const struct worker *w, const struct client *c);

/*
 * Answers it, without the application.  The client may stay: leaves c in
 * CLIENT_IDLE, FLUSH or LINGER, with its deadline set.  Writes the line of
 * the access log.  The owner of c.
 */
void answer_health(struct worker *w, struct client *c, int64_t now_ms);

/*
 * Leaves c in CLIENT_FLUSH, with what is in c->out to be sent before c->keep
 * says how to go on.  The owner of c.
 */
void flush_client(struct worker *w, struct client *c, int64_t now_ms);

/*
 * Half-closes c, whose last response was given to the socket, so that the
 * client can read it: CLIENT_LINGER.  It has so long for what it sends, longer
 * while it receives the response.  The owner of c.
 */
#define LINGER_MS 5000
void linger_client(struct client *c, int64_t now_ms);

/*
 * What comes after an answer that was sent later: all of it went, or all but
 * that, or the connection broke.  The owner of c, whose client it no longer is
 * then.
 */
void serve_next(struct exchange *x, struct client *c);
void serve_rest(struct worker *w, struct client *c, const char *data,
    size_t len);
void serve_broken(struct worker *w, struct client *c);

#endif
