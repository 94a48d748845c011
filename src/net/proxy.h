/* SPDX-License-Identifier: MIT */
#ifndef BICORN_NET_PROXY_H
#define BICORN_NET_PROXY_H

/*
 * The PROXY protocol, versions 1 and 2: what a proxy that passes bytes on
 * says of the connection, in front of them.  The parser is pure; what it
 * found is kept with the connection.  Any thread, one owner at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/span.h"

/* Versions, as bits. */
enum proxy_version { PROXY_V1 = 1, PROXY_V2 = 2 };

/* Longer headers are refused; room for the certificate of a client. */
#define PROXY_LENGTH_MAX 16384

enum proxy_verdict {
	PROXY_MORE, /* nothing wrong so far; more bytes are needed */
	PROXY_DONE,
	PROXY_NONE, /* these bytes do not begin a header */
	PROXY_BAD,  /* they do, and it is wrong */
};

enum proxy_kind {
	PROXY_UNKNOWN, /* a connection, but not whose */
	PROXY_LOCAL,   /* the proxy's own, to see whether we are well */
	PROXY_TCP4,
	PROXY_TCP6,
};

struct proxy_header {
	size_t length;     /* of the header, after PROXY_DONE */
	enum proxy_kind kind;
	struct addr source;  /* TCP4 and TCP6 */
	struct addr dest;
	struct span tlvs;    /* into the bytes: what version 2 adds */
	const char *reason;  /* after PROXY_BAD: static text */
};

/* A part of tlvs. */
struct proxy_tlv {
	unsigned type;
	struct span value;
};

/*
 * Looks for a header of one of these versions at the beginning of data.
 * Stateless: called again with the same bytes and more behind them.  What is
 * wrong is refused at the first byte that makes it wrong; the types, lengths
 * and the checksum in tlvs are checked.
 */
enum proxy_verdict proxy_parse(const char *data, size_t len,
    unsigned versions, struct proxy_header *out);

/* Cuts the next one off rest; false when there is none, or no whole one. */
bool proxy_tlv_next(struct span *rest, struct proxy_tlv *out);

/* --- what is kept -------------------------------------------------------- */

/* A variable for the application, PROXY_ADDR and the like. */
struct proxy_variable {
	struct span name;
	struct span value;
};

struct proxy_info {
	struct addr hop; /* the peer of the socket, who sent the header */
	bool ssl;        /* the client speaks TLS to the proxy */
	size_t count;
	struct proxy_variable *variables;
};

/* NULL when out of memory.  Copies all it needs; free() frees it. */
struct proxy_info *proxy_info_new(const struct proxy_header *h,
    const struct addr *hop);

#endif
