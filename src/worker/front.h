/* SPDX-License-Identifier: MIT */
#ifndef BICORN_WORKER_FRONT_H
#define BICORN_WORKER_FRONT_H

/*
 * What stands in front of a listener: proxies that put a PROXY header in
 * front of the bytes they pass on, or that send requests in the uwsgi
 * protocol; and which of them may.
 */

#include <stdbool.h>
#include <stddef.h>

struct addr;
struct client;
struct err;
struct fronts;
struct heritage;
struct settings;
struct worker;

/* For the listeners of h.  The caller frees with fronts_free(). */
int fronts_new(const struct heritage *h, struct fronts **out,
    struct err *err);
void fronts_free(struct fronts **fp);

/* Whether the peer of the socket of c may send a PROXY header. */
bool front_may_proxy(const struct worker *w, const struct client *c);

/* ... or a uwsgi request. */
bool front_may_uwsgi(const struct worker *w, const struct client *c);

/* Who sends the bytes of c: the peer of its socket, whatever PROXY says. */
const struct addr *front_hop(const struct client *c);

#endif
