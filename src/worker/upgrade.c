/* SPDX-License-Identifier: MIT */
/* Informational responses, and taking a connection over. */
#include <sys/uio.h>

#include "worker/client.h"
#include "worker/exchange.h"
#include "worker/inbound.h"
#include "worker/output.h"
#include "worker/response_private.h"

static bool
send_buf(struct exchange *x)
{
	size_t at = client_begun(x->c);
	struct iovec iov = { x->out.data + at, x->out.len - at };

	if (!output_write(x->w, x->c, &iov, 1, false))
		x->broken = true;
	x->out.len = 0;
	return !x->broken;
}

/* Nothing that frames a body, of which there is none (RFC 9110, 8.6). */
static bool
is_sent(const struct exchange *x, struct bicorn_str name, bool takes_over)
{
	switch (http_response_field(span_from(name))) {
	case HTTP_R_PASS:
		return !takes_over || !response_is_id(x, name);
	case HTTP_R_CONNECTION:
	case HTTP_R_UPGRADE:
		return takes_over;
	default:
		return false;
	}
}

static int
add_checked(struct exchange *x, const struct bicorn_header *headers,
    size_t count, bool takes_over)
{
	if (headers == NULL && count > 0)
		return BICORN_INVALID;
	for (size_t i = 0; i < count; i++) {
		if (!response_field_ok(&headers[i]))
			return BICORN_INVALID;
		if (is_sent(x, headers[i].name, takes_over) &&
		    !response_add_field(&x->out, &headers[i]))
			return BICORN_NO_MEMORY;
	}
	return RESPONSE_ADD(&x->out, "\r\n") ? BICORN_OK : BICORN_NO_MEMORY;
}

int
response_inform(struct exchange *x, unsigned status,
    const struct bicorn_header *headers, size_t count)
{
	int rc;

	if (x->state != RESPONSE_NONE)
		return BICORN_STATE;
	if (x->broken)
		return BICORN_GONE;
	if (status < 100 || status > 199 || status == 101)
		return BICORN_INVALID;
	x->out.len = 0;
	if (!response_add_status_line(&x->out, status, http_reason(status)))
		return BICORN_NO_MEMORY;
	rc = add_checked(x, headers, count, false);
	if (rc != BICORN_OK || x->c->in->head.minor == 0)
		return rc;
	return exchange_take_turn(x) && send_buf(x) ? BICORN_OK : BICORN_GONE;
}

/* Whether all that there is to read and to write goes through the socket. */
static bool
is_bare(const struct client *c)
{
	const struct inbound *in = c->in;

	return c->conn.tls == NULL && in->cgi == NULL && in->complete &&
	    inbound_is_all(in) && c->begun == 0;
}

/* The socket itself; the log says 101, as that is what it is for. */
static int
give_socket(struct exchange *x)
{
	if (!is_bare(x->c))
		return BICORN_INVALID;
	x->status = 101;
	x->state = RESPONSE_RAW;
	x->keep_open = false;
	x->bare = true;
	x->broken = !output_drain(x->w, x->c);
	return x->broken ? BICORN_GONE : BICORN_OK;
}

int
response_take_over(struct exchange *x, unsigned status,
    const struct bicorn_header *headers, size_t count)
{
	int rc;

	if (x->state != RESPONSE_NONE)
		return BICORN_STATE;
	if (x->broken || !exchange_take_turn(x))
		return BICORN_GONE;
	if (status == 0)
		return give_socket(x);
	if (status != 101 && (status < 200 || status > 299))
		return BICORN_INVALID;
	x->status = status;
	x->out.len = 0;
	if (!response_add_first(x, http_reason(status)))
		return BICORN_NO_MEMORY;
	rc = add_checked(x, headers, count, true);
	if (rc != BICORN_OK)
		return rc;
	x->state = RESPONSE_RAW;
	x->keep_open = false;
	/* All of it: the application may wait for the client to answer. */
	if (!send_buf(x) || !output_drain(x->w, x->c))
		x->broken = true;
	return x->broken ? BICORN_GONE : BICORN_OK;
}
