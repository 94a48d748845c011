/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_RESPONSE_H
#define BICORN_HOSTS_WSGI_RESPONSE_H

/* The response: from what start_response() was told to the server. */

#include "wsgi.h"

void response_begin(struct wsgi_response *r, const struct bicorn_request *req);

/* Drops what the response holds; its memory is kept for the next one. */
void response_clear(struct wsgi_response *r);
void response_free(struct wsgi_response *r);

/*
 * Gathers bytes of which owner, a borrowed bytes object, is the owner.  Only
 * for the thread of the exchange, and not while response_full().
 */
void response_add(struct wsgi_response *r, PyObject *owner);
bool response_full(const struct wsgi_response *r);

/*
 * Hands the head, where that was not done, and the parts to the server.
 * Needs no interpreter lock, and the call to be entered or over.  With
 * flush they are sent before it returns.  Returns enum bicorn_result.
 */
int response_deliver(struct wsgi_response *r, struct bicorn_exchange *x,
    const struct bicorn_str *parts, size_t count, bool flush);

/*
 * Sends what was gathered, giving the interpreter lock up meanwhile.  -1
 * with an exception, except when the client is gone: then r->gone is set and
 * it returns 0.
 */
int response_send(struct wsgi_thread *t, bool flush);

/* The same for a range of a file. */
int response_send_file(struct wsgi_thread *t, int fd, int64_t offset,
    int64_t len);

/* Sends what was gathered, and ends the response. */
int response_end(struct wsgi_thread *t);

/*
 * What a send returns for the result of the server: 0, also when the client
 * is gone, or -1 with an exception.
 */
int response_sent(struct wsgi_response *r, int rc);

/* Sets the exception for a negative result of a server's function. */
void response_raise(int rc);

#endif
