/* SPDX-License-Identifier: MIT */
#ifndef BICORN_TLS_SESSION_H
#define BICORN_TLS_SESSION_H

/* A connection under TLS.  For the files of this room that see the library. */

#include <stdbool.h>
#include <stddef.h>

#include "net/transport.h"
#include "tls/compat.h"

struct conn;
struct facts;
struct tls;

struct session {
	mbedtls_ssl_context ssl;
	struct tls *tls; /* what it was begun with; in use */
	int fd;
	bool drained;    /* the last recv() found less than it could take */
	bool satisfied;  /* there is something to return: do not ask in vain */
	bool begun;      /* the first bytes were seen */
	bool plain;      /* ... and are no TLS, but maybe HTTP */
	bool opening;    /* a step of the handshake runs */
	bool pushes;     /* ... and there are bytes to be sent at its end */
	bool between;    /* the library waits for the first byte of a record */
	enum io ended;   /* IO_OK: not yet; else what every read comes to */
	size_t unsent;   /* bytes of a record that the socket did not take */
	size_t vain;     /* bytes received since there was something in them */

	/*
	 * What was read ahead and not yet asked for: while a call runs, on its
	 * stack; in between, which is rare, on the heap.
	 */
	unsigned char *ahead;
	size_t ahead_at;
	size_t ahead_len;

	/* Where the library keeps records, as its calls showed, or NULL. */
	unsigned char *in_record;
	unsigned char *out_record;

	char *name;          /* that the client asked for; NULL: none */
	struct facts *facts; /* NULL: nobody asked yet */
	char *unfit;         /* in the handshake: whose certificate it is */
};

/* facts.c */
void facts_free(struct facts **fp);

/* refuse.c: the library asks about each certificate of the client's chain. */
int refuse_look(void *session, mbedtls_x509_crt *crt, int depth,
    uint32_t *flags);

/* refuse.c: whether the client's certificate will do; else it is told. */
enum io refuse_unfit(struct session *s, const struct conn *c);

/* refuse.c: tells the log why a handshake failed, and the client if need be. */
void refuse_failed(struct session *s, const struct conn *c, int rc);

/* refuse.c: tells the debug log how a connection ended that should not have. */
void refuse_broken(const struct conn *c, const char *doing, int rc);

#endif
