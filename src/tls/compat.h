/* SPDX-License-Identifier: MIT */
#ifndef BICORN_TLS_COMPAT_H
#define BICORN_TLS_COMPAT_H

/* What differs between Mbed TLS 2.28, 3.x and 4.x. */

#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if MBEDTLS_VERSION_NUMBER >= 0x03000000
#include <psa/crypto.h>
#endif

/* What 3.x hides, 2.28 does not. */
#ifndef MBEDTLS_PRIVATE
#define MBEDTLS_PRIVATE(member) member
#endif

typedef int compat_rng_fn(void *arg, unsigned char *out, size_t len);

/* Whether an attribute of a name is the common one. */
static inline bool
compat_is_cn(const mbedtls_asn1_buf *oid)
{
	return oid->len == 3 && memcmp(oid->p, "\x55\x04\x03", 3) == 0;
}

/* To be called once per process before anything else. */
static inline int
compat_start(void)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	return psa_crypto_init() == PSA_SUCCESS ? 0 : -1;
#else
	return 0;
#endif
}

static inline int
compat_parse_key(mbedtls_pk_context *key, const unsigned char *text,
    size_t len, const unsigned char *pass, size_t pass_len,
    compat_rng_fn *rng)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000 && \
    MBEDTLS_VERSION_NUMBER < 0x04000000
	return mbedtls_pk_parse_key(key, text, len, pass, pass_len, rng, NULL);
#else
	(void)rng;
	return mbedtls_pk_parse_key(key, text, len, pass, pass_len);
#endif
}

static inline int
compat_check_pair(const mbedtls_pk_context *pub, const mbedtls_pk_context *key,
    compat_rng_fn *rng)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000 && \
    MBEDTLS_VERSION_NUMBER < 0x04000000
	return mbedtls_pk_check_pair(pub, key, rng, NULL);
#else
	(void)rng;
	return mbedtls_pk_check_pair(pub, key);
#endif
}

static inline void
compat_conf_rng(mbedtls_ssl_config *conf, compat_rng_fn *rng)
{
#if MBEDTLS_VERSION_NUMBER < 0x04000000
	mbedtls_ssl_conf_rng(conf, rng, NULL);
#else
	(void)conf;
	(void)rng;
#endif
}

#if defined(MBEDTLS_SSL_PROTO_TLS1_3) && MBEDTLS_VERSION_NUMBER >= 0x03000000
#define COMPAT_HAS_1_3 1
#else
#define COMPAT_HAS_1_3 0
#endif

/* minor: 2 or 3, of TLS 1.2 and 1.3. */
static inline void
compat_conf_min_version(mbedtls_ssl_config *conf, unsigned minor)
{
#if COMPAT_HAS_1_3
	mbedtls_ssl_conf_min_tls_version(conf, minor == 3 ?
	    MBEDTLS_SSL_VERSION_TLS1_3 : MBEDTLS_SSL_VERSION_TLS1_2);
#elif MBEDTLS_VERSION_NUMBER >= 0x03020000
	(void)minor;
	mbedtls_ssl_conf_min_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_2);
#else
	(void)minor;
	mbedtls_ssl_conf_min_version(conf, MBEDTLS_SSL_MAJOR_VERSION_3,
	    MBEDTLS_SSL_MINOR_VERSION_3);
#endif
}

/*
 * Says what the defaults say too, so that it stays so: a connection is
 * negotiated once, and authentication covers what was encrypted.
 */
static inline void
compat_conf_hardened(mbedtls_ssl_config *conf)
{
#if defined(MBEDTLS_SSL_RENEGOTIATION)
	mbedtls_ssl_conf_renegotiation(conf,
	    MBEDTLS_SSL_RENEGOTIATION_DISABLED);
	mbedtls_ssl_conf_legacy_renegotiation(conf,
	    MBEDTLS_SSL_LEGACY_NO_RENEGOTIATION);
#endif
#if defined(MBEDTLS_SSL_ENCRYPT_THEN_MAC)
	mbedtls_ssl_conf_encrypt_then_mac(conf, MBEDTLS_SSL_ETM_ENABLED);
#endif
#if defined(MBEDTLS_SSL_EXTENDED_MASTER_SECRET)
	mbedtls_ssl_conf_extended_master_secret(conf,
	    MBEDTLS_SSL_EXTENDED_MS_ENABLED);
#endif
}

/* Groups: numbers of TLS's registry since 3.1, the library's own before. */
#if MBEDTLS_VERSION_NUMBER < 0x04000000
#include <mbedtls/ecp.h>
#endif
#if MBEDTLS_VERSION_NUMBER >= 0x03010000
typedef uint16_t compat_group;
#else
typedef mbedtls_ecp_group_id compat_group;
#endif

/* Whether the library has that group. */
static inline bool
compat_has_group(uint16_t id)
{
#if MBEDTLS_VERSION_NUMBER < 0x04000000
	return mbedtls_ecp_curve_info_from_tls_id(id) != NULL;
#else
	return id != 0;
#endif
}

/* room is kept by the caller for as long as conf. */
static inline void
compat_conf_groups(mbedtls_ssl_config *conf, const uint16_t *ids,
    compat_group *room)
{
	size_t i;

#if MBEDTLS_VERSION_NUMBER >= 0x03010000
	for (i = 0; ids[i] != 0; i++)
		room[i] = ids[i];
	room[i] = 0;
	mbedtls_ssl_conf_groups(conf, room);
#else
	for (i = 0; ids[i] != 0; i++)
		room[i] = mbedtls_ecp_curve_info_from_tls_id(ids[i])->grp_id;
	room[i] = MBEDTLS_ECP_DP_NONE;
	mbedtls_ssl_conf_curves(conf, room);
#endif
}

static inline bool
compat_is_ec(mbedtls_pk_context *key)
{
#if MBEDTLS_VERSION_NUMBER < 0x04000000
	return mbedtls_pk_can_do(key, MBEDTLS_PK_ECKEY) != 0;
#else
	return !PSA_KEY_TYPE_IS_RSA(mbedtls_pk_get_key_type(key));
#endif
}

/*
 * Of the curves for keys of certificates those that clients still take: TLS
 * 1.3 has the first three, and 1.2 Brainpool's as well (RFC 8422, 7027).
 */
static inline bool
compat_is_usual_curve(mbedtls_pk_context *key)
{
#if MBEDTLS_VERSION_NUMBER < 0x04000000 && !defined(MBEDTLS_PK_USE_PSA_EC_DATA)
	switch (mbedtls_pk_ec(*key)->MBEDTLS_PRIVATE(grp).id) {
	case MBEDTLS_ECP_DP_SECP256R1:
	case MBEDTLS_ECP_DP_SECP384R1:
	case MBEDTLS_ECP_DP_SECP521R1:
	case MBEDTLS_ECP_DP_BP256R1:
	case MBEDTLS_ECP_DP_BP384R1:
	case MBEDTLS_ECP_DP_BP512R1:
		return true;
	default:
		return false;
	}
#else
#if MBEDTLS_VERSION_NUMBER < 0x04000000
	psa_ecc_family_t family = key->MBEDTLS_PRIVATE(ec_family);
#else
	psa_ecc_family_t family = PSA_KEY_TYPE_ECC_GET_FAMILY(
	    mbedtls_pk_get_key_type(key));
#endif

	return mbedtls_pk_get_bitlen(key) >= 256 &&
	    (family == PSA_ECC_FAMILY_SECP_R1 ||
		family == PSA_ECC_FAMILY_BRAINPOOL_P_R1);
#endif
}

/* What hangs off a connection: the argument of our own calls. */
static inline void
compat_set_session(mbedtls_ssl_context *ssl, void *session)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	mbedtls_ssl_set_user_data_p(ssl, session);
#else
	(void)ssl;
	(void)session; /* mbedtls_ssl_set_bio() has it */
#endif
}

static inline void *
compat_session(mbedtls_ssl_context *ssl)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	return mbedtls_ssl_get_user_data_p(ssl);
#else
	return ssl->p_bio;
#endif
}

static inline bool
compat_is_1_3(const mbedtls_ssl_context *ssl)
{
#if COMPAT_HAS_1_3
	return mbedtls_ssl_get_version_number(ssl) ==
	    MBEDTLS_SSL_VERSION_TLS1_3;
#else
	(void)ssl;
	return false;
#endif
}

/* Whether the attribute behind n belongs to the same part of the name. */
static inline bool
compat_is_merged(const mbedtls_x509_name *n)
{
	return n->MBEDTLS_PRIVATE(next_merged) != 0;
}

/* --- session tickets ------------------------------------------------------ */

#ifndef MBEDTLS_ERR_SSL_SESSION_TICKET_EXPIRED
#define MBEDTLS_ERR_SSL_SESSION_TICKET_EXPIRED MBEDTLS_ERR_SSL_INVALID_MAC
#endif

#if MBEDTLS_VERSION_NUMBER < 0x04000000

#include <mbedtls/gcm.h>

/* AES-256-GCM, where the bytes are; the tag goes behind. */
static inline int
compat_seal(const unsigned char key[32], const unsigned char *nonce,
    size_t nonce_len, const unsigned char *binding, size_t binding_len,
    unsigned char *data, size_t len, unsigned char *tag, size_t tag_len)
{
	mbedtls_gcm_context gcm;
	int rc;

	mbedtls_gcm_init(&gcm);
	rc = mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 256);
	if (rc == 0)
		rc = mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, len,
		    nonce, nonce_len, binding, binding_len, data, data,
		    tag_len, tag);
	mbedtls_gcm_free(&gcm);
	return rc;
}

static inline int
compat_open(const unsigned char key[32], const unsigned char *nonce,
    size_t nonce_len, const unsigned char *binding, size_t binding_len,
    unsigned char *data, size_t len, const unsigned char *tag, size_t tag_len)
{
	mbedtls_gcm_context gcm;
	int rc;

	mbedtls_gcm_init(&gcm);
	rc = mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 256);
	if (rc == 0)
		rc = mbedtls_gcm_auth_decrypt(&gcm, len, nonce, nonce_len,
		    binding, binding_len, tag, tag_len, data, data);
	mbedtls_gcm_free(&gcm);
	return rc;
}

#else

static inline psa_status_t
compat_import(const unsigned char key[32], psa_key_usage_t usage,
    psa_key_id_t *id_out)
{
	psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;

	psa_set_key_usage_flags(&attributes, usage);
	psa_set_key_algorithm(&attributes, PSA_ALG_GCM);
	psa_set_key_type(&attributes, PSA_KEY_TYPE_AES);
	return psa_import_key(&attributes, key, 32, id_out);
}

/* What psa_aead_encrypt() and psa_aead_decrypt() have in common. */
typedef psa_status_t compat_aead_fn(psa_key_id_t key, psa_algorithm_t algorithm,
    const uint8_t *nonce, size_t nonce_len, const uint8_t *binding,
    size_t binding_len, const uint8_t *in, size_t in_len, uint8_t *out,
    size_t room, size_t *len_out);

/* From len bytes to out_len, where they are. */
static inline int
compat_aead(compat_aead_fn *convert, psa_key_usage_t usage,
    const unsigned char key[32], const unsigned char *nonce, size_t nonce_len,
    const unsigned char *binding, size_t binding_len, unsigned char *data,
    size_t len, size_t out_len)
{
	psa_key_id_t id;
	size_t done = 0;
	psa_status_t rc = compat_import(key, usage, &id);

	if (rc != PSA_SUCCESS)
		return -1;
	rc = convert(id, PSA_ALG_GCM, nonce, nonce_len, binding, binding_len,
	    data, len, data, out_len, &done);
	psa_destroy_key(id);
	return rc == PSA_SUCCESS ? 0 : -1;
}

/* The tag follows the bytes, which is how these functions have it. */
static inline int
compat_seal(const unsigned char key[32], const unsigned char *nonce,
    size_t nonce_len, const unsigned char *binding, size_t binding_len,
    unsigned char *data, size_t len, unsigned char *tag, size_t tag_len)
{
	(void)tag;
	return compat_aead(psa_aead_encrypt, PSA_KEY_USAGE_ENCRYPT, key, nonce,
	    nonce_len, binding, binding_len, data, len, len + tag_len);
}

static inline int
compat_open(const unsigned char key[32], const unsigned char *nonce,
    size_t nonce_len, const unsigned char *binding, size_t binding_len,
    unsigned char *data, size_t len, const unsigned char *tag, size_t tag_len)
{
	(void)tag;
	return compat_aead(psa_aead_decrypt, PSA_KEY_USAGE_DECRYPT, key, nonce,
	    nonce_len, binding, binding_len, data, len + tag_len, len);
}

#endif

/* Of TLS 1.3: one ticket a connection, and fresh secrets each time. */
static inline void
compat_conf_resumption(mbedtls_ssl_config *conf)
{
#if COMPAT_HAS_1_3 && defined(MBEDTLS_SSL_SESSION_TICKETS)
	mbedtls_ssl_conf_new_session_tickets(conf, 1);
	mbedtls_ssl_conf_tls13_key_exchange_modes(conf,
	    MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ALL);
#else
	(void)conf;
#endif
}

#endif
