/* SPDX-License-Identifier: MIT */
/* Handshakes that come to nothing: what client and operator hear of it. */
#ifdef HAVE_TLS

#include <mbedtls/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "log/log.h"
#include "net/conn.h"
#include "tls/session.h"
#include "tls/tls_private.h"

/* Lines a second about refused clients; who wants to fill a disk cannot. */
#define LINES_MOST 10

/* Alerts: RFC 8446, 6. */
enum {
	ALERT_HANDSHAKE_FAILURE = 40,
	ALERT_BAD_CERTIFICATE = 42,
	ALERT_UNSUPPORTED_CERTIFICATE = 43,
	ALERT_CERTIFICATE_REVOKED = 44,
	ALERT_CERTIFICATE_EXPIRED = 45,
	ALERT_UNKNOWN_CA = 48,
	ALERT_CERTIFICATE_REQUIRED = 116,
};

/* The worst first. */
static const struct {
	uint32_t flag;
	unsigned char alert;
	const char *why;
} verdicts[] = {
	{ MBEDTLS_X509_BADCERT_REVOKED, ALERT_CERTIFICATE_REVOKED,
	    "was revoked" },
	{ MBEDTLS_X509_BADCERT_NOT_TRUSTED, ALERT_UNKNOWN_CA,
	    "is not signed by an authority of ca_certs" },
	{ MBEDTLS_X509_BADCERT_EXPIRED, ALERT_CERTIFICATE_EXPIRED,
	    "has expired" },
	{ MBEDTLS_X509_BADCERT_FUTURE, ALERT_CERTIFICATE_EXPIRED,
	    "is not yet valid" },
	{ MBEDTLS_X509_BADCRL_EXPIRED, ALERT_UNKNOWN_CA,
	    "cannot be checked: crlfile is out of date" },
	{ MBEDTLS_X509_BADCRL_FUTURE, ALERT_UNKNOWN_CA,
	    "cannot be checked: crlfile is not yet valid" },
	{ MBEDTLS_X509_BADCRL_NOT_TRUSTED, ALERT_UNKNOWN_CA,
	    "cannot be checked: crlfile is not by its authority" },
	{ MBEDTLS_X509_BADCERT_KEY_USAGE | MBEDTLS_X509_BADCERT_EXT_KEY_USAGE |
		MBEDTLS_X509_BADCERT_NS_CERT_TYPE,
	    ALERT_UNSUPPORTED_CERTIFICATE, "is not meant for clients" },
	{ MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK |
		MBEDTLS_X509_BADCERT_BAD_KEY,
	    ALERT_UNSUPPORTED_CERTIFICATE, "has a key or signature that is "
					   "too weak" },
	{ ~(uint32_t)0, ALERT_BAD_CERTIFICATE, "is not valid" },
};

static const char *
peer_of(const struct conn *c)
{
	return c->peer_len > 0 ? c->peer_text : "a unix socket";
}

/* One line, unless there were many in this second. */
static void
say(struct session *s, const struct conn *c, const char *what)
{
	unsigned unsaid;

	if (!log_wants(LEVEL_INFO) ||
	    !tls_may_say(s->tls, clock_coarse_ms(), LINES_MOST, &unsaid))
		return;
	if (unsaid > 0)
		log_info("TLS: %u more clients were refused", unsaid);
	log_info("TLS: refused %s: %s", peer_of(c), what);
}

/*
 * Judges nothing.  The library keeps no certificate that it refused, but the
 * log ought to say whose it was: kept until the handshake is over.
 */
int
refuse_look(void *session, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
	struct session *s = session;
	char name[256];

	(void)flags; /* not yet all that there will be */
	if (depth > 0)
		return 0;
	free(s->unfit);
	s->unfit = NULL;
	/* It makes '?' of what is not printable. */
	if (mbedtls_x509_dn_gets(name, sizeof(name), &crt->subject) > 0)
		s->unfit = strdup(name);
	return 0;
}

static void
describe(struct session *s, const struct conn *c, const char *why)
{
	const char *name = s->unfit != NULL ? s->unfit : "no name";
	char text[512];

	snprintf(text, sizeof(text), "its certificate %s (%s)", why, name);
	say(s, c, text);
}

static size_t
verdict_of(uint32_t flags)
{
	size_t i = 0;

	while ((flags & verdicts[i].flag) == 0)
		i++;
	return i;
}

static enum io
refuse_missing(struct session *s, const struct conn *c)
{
	mbedtls_ssl_send_alert_message(&s->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
	    compat_is_1_3(&s->ssl) ? ALERT_CERTIFICATE_REQUIRED :
	    ALERT_HANDSHAKE_FAILURE);
	say(s, c, "it has no certificate");
	return IO_ERROR;
}

/*
 * The library lets every client come so far, and leaves it to us to look.  No
 * session is resumed where certificates are asked for: there is one to see.
 */
enum io
refuse_unfit(struct session *s, const struct conn *c)
{
	uint32_t flags = mbedtls_ssl_get_verify_result(&s->ssl);
	size_t i;

	if (mbedtls_ssl_get_peer_cert(&s->ssl) == NULL)
		return tls_requires_certificate(s->tls) ? refuse_missing(s, c) :
							  IO_OK;
	if (flags == 0) {
		free(s->unfit);
		s->unfit = NULL;
		return IO_OK;
	}
	i = verdict_of(flags);
	mbedtls_ssl_send_alert_message(&s->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL,
	    verdicts[i].alert);
	describe(s, c, verdicts[i].why);
	return IO_ERROR;
}

void
refuse_failed(struct session *s, const struct conn *c, int rc)
{
	uint32_t flags = mbedtls_ssl_get_verify_result(&s->ssl);
	char why[160];

	if (s->unfit != NULL && flags != 0 && flags != ~(uint32_t)0) {
		describe(s, c, verdicts[verdict_of(flags)].why);
	} else if (log_wants(LEVEL_DEBUG)) {
		mbedtls_strerror(rc, why, sizeof(why));
		log_debug("TLS: the handshake with %s failed: %s (-0x%04x)",
		    peer_of(c), why, (unsigned)-rc);
	}
}

void
refuse_broken(const struct conn *c, const char *doing, int rc)
{
	char why[160];

	if (!log_wants(LEVEL_DEBUG))
		return;
	mbedtls_strerror(rc, why, sizeof(why));
	log_debug("TLS: %s ended the connection with %s: %s (-0x%04x)", doing,
	    peer_of(c), why, (unsigned)-rc);
}

#endif
