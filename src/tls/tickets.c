/* SPDX-License-Identifier: MIT */
/*
 * A ticket: the name of its key, a nonce, then sealed with AES-256-GCM the
 * time when it was made and the session as the library writes it.
 */
#ifdef HAVE_TLS

#include "tls/tickets.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls/compat.h"
#include "tls/ticket_keys.h"
#include "tls/tls_private.h"

#define NONCE_LEN 12
#define TAG_LEN 16
#define FRONT_LEN (TICKET_NAME_LEN + NONCE_LEN)
#define BINDING_MOST 64

struct tickets {
	const struct bulletin *keys;
	size_t binding_len;
	unsigned char binding[BINDING_MOST];
	unsigned opened;
};

struct tickets *
tickets_new(const struct bulletin *keys, const unsigned char *binding,
    size_t len)
{
	struct tickets *t = calloc(1, sizeof(*t));

	if (t == NULL || len > sizeof(t->binding)) {
		free(t);
		return NULL;
	}
	t->keys = keys;
	t->binding_len = len;
	memcpy(t->binding, binding, len);
	return t;
}

void
tickets_free(struct tickets **tp)
{
	free(*tp);
	*tp = NULL;
}

/* Makes a ticket.  A failure only means that the client gets none. */
static int
on_write(void *arg, const mbedtls_ssl_session *session, unsigned char *start,
    const unsigned char *end, size_t *len_out, uint32_t *lifetime_out)
{
	struct tickets *t = arg;
	struct ticket_keys keys;
	unsigned char *body = start + FRONT_LEN;
	int64_t now_s = (int64_t)time(NULL);
	size_t len = 0;
	int rc = MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL;

	*len_out = 0;
	*lifetime_out = 0;
	if ((size_t)(end - start) <= FRONT_LEN + sizeof(now_s) + TAG_LEN)
		return rc;
	if (!ticket_keys_get(t->keys, &keys))
		return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
	memcpy(start, keys.keys[0].name, TICKET_NAME_LEN);
	memcpy(body, &now_s, sizeof(now_s));
	rc = mbedtls_ssl_session_save(session, body + sizeof(now_s),
	    (size_t)(end - body) - sizeof(now_s) - TAG_LEN, &len);
	if (rc == 0)
		rc = tls_random(NULL, start + TICKET_NAME_LEN, NONCE_LEN);
	len += sizeof(now_s);
	if (rc == 0)
		rc = compat_seal(keys.keys[0].secret, start + TICKET_NAME_LEN,
		    NONCE_LEN, t->binding, t->binding_len, body, len,
		    body + len, TAG_LEN);
	if (rc == 0) {
		*len_out = FRONT_LEN + len + TAG_LEN;
		*lifetime_out = keys.lifetime_s;
	}
	explicit_bzero(&keys, sizeof(keys));
	return rc;
}

static const struct ticket_key *
find(const struct ticket_keys *keys, const unsigned char *name)
{
	for (uint32_t i = 0; i < keys->count; i++)
		if (memcmp(keys->keys[i].name, name, TICKET_NAME_LEN) == 0)
			return &keys->keys[i];
	return NULL;
}

/* body: len bytes, sealed; opened where they are. */
static int
open_body(const struct tickets *t, const struct ticket_keys *keys,
    const unsigned char *ticket, unsigned char *body, size_t len)
{
	const struct ticket_key *key = find(keys, ticket);

	if (key == NULL || compat_open(key->secret, ticket + TICKET_NAME_LEN,
		NONCE_LEN, t->binding, t->binding_len, body, len, body + len,
		TAG_LEN) != 0)
		return MBEDTLS_ERR_SSL_INVALID_MAC;
	return 0;
}

/* An error makes a whole handshake of it. */
static int
on_parse(void *arg, mbedtls_ssl_session *session, unsigned char *ticket,
    size_t size)
{
	struct tickets *t = arg;
	unsigned char *body = ticket + FRONT_LEN;
	int64_t made_s, age_s;
	struct ticket_keys keys;
	size_t len;
	int rc;

	if (size <= FRONT_LEN + sizeof(made_s) + TAG_LEN)
		return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
	if (!ticket_keys_get(t->keys, &keys))
		return MBEDTLS_ERR_SSL_INVALID_MAC;
	len = size - FRONT_LEN - TAG_LEN;
	rc = open_body(t, &keys, ticket, body, len);
	if (rc == 0) {
		memcpy(&made_s, body, sizeof(made_s));
		age_s = (int64_t)time(NULL) - made_s;
		/* Machines that share keys may not agree to the second. */
		if (age_s < -60 || age_s > (int64_t)keys.lifetime_s)
			rc = MBEDTLS_ERR_SSL_SESSION_TICKET_EXPIRED;
	}
	if (rc == 0)
		rc = mbedtls_ssl_session_load(session, body + sizeof(made_s),
		    len - sizeof(made_s));
	explicit_bzero(&keys, sizeof(keys));
	t->opened += rc == 0;
	return rc;
}

unsigned
tickets_opened(const struct tickets *t)
{
	return t->opened;
}

void
tickets_configure(struct tickets *t, void *conf)
{
	mbedtls_ssl_conf_session_tickets_cb(conf, on_write, on_parse, t);
	compat_conf_resumption(conf);
}

#endif
