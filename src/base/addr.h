/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_ADDR_H
#define BICORN_BASE_ADDR_H

/* Addresses of peers: their text, and lists of networks.  Any thread. */

#include <stdbool.h>
#include <stddef.h>
#include <netinet/in.h>

#include "base/span.h"

struct err;

/* The peer of a connection; family AF_UNSPEC stands for a unix socket. */
struct addr {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
};

#define ADDR_TEXT_MAX 46 /* INET6_ADDRSTRLEN */

/*
 * Writes the numeric address, terminated, and returns its length; 0 for a
 * unix socket.  A v4 address mapped into v6 is written as v4.
 */
size_t addr_text(const struct addr *a, char out[ADDR_TEXT_MAX]);

unsigned addr_port(const struct addr *a);

/*
 * A numeric address of that family, and nothing else, as the 4 or 16 bytes
 * that a packet has; false: it is none.
 */
bool addr_read(struct span text, int family, void *out);

/* Of such bytes; port is in the order of the network, too. */
void addr_set(struct addr *a, bool v6, const void *bytes, in_port_t port);

/* A numeric address, of either version, and nothing else; false: it is none. */
bool addr_parse(struct span text, unsigned port, struct addr *out);

/*
 * A list of networks: "127.0.0.1", "10.0.0.0/8", "::1", "*" for all.  Unix
 * peers are always in it.  A v4 address mapped into v6 counts as v4.  An
 * item that is no network, or has bits beyond its prefix, is an error that
 * names it; empty items are skipped.
 */
struct addr_list;

int addr_list_new(const char *const *items, size_t count,
    struct addr_list **out, struct err *err);
bool addr_list_has(const struct addr_list *list, const struct addr *a);
void addr_list_free(struct addr_list **lp);

#endif
