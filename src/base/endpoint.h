/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_ENDPOINT_H
#define BICORN_BASE_ENDPOINT_H

/*
 * Where somebody listens, as the operator writes it: "udp://HOST:PORT",
 * "tcp://HOST:PORT", "unix://PATH#dgram".  Parsing only; pure.
 */

#include <stdbool.h>
#include <sys/un.h>

struct err;

enum endpoint_kind {
	ENDPOINT_UDP,
	ENDPOINT_TCP,
	ENDPOINT_UNIX_DGRAM,
	ENDPOINT_UNIX_STREAM,
	ENDPOINT_UNIX, /* a datagram socket or, if it is none, a stream */
};

struct endpoint {
	enum endpoint_kind kind;
	char host[256]; /* UDP and TCP; an IPv6 address without brackets */
	char port[6];
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* of unix */
};

/*
 * Without a scheme it is UDP where plain, else an error.  Without a port it
 * is default_port.  The error says what would be right.
 */
int endpoint_parse(const char *text, bool plain, const char *default_port,
    struct endpoint *out, struct err *err);

#endif
