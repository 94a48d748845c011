/* SPDX-License-Identifier: MIT */
#include "tls/pbes2.h"

#ifdef HAVE_TLS

#include "tls/compat.h"

#if MBEDTLS_VERSION_NUMBER < 0x03060000

#include <mbedtls/aes.h>
#include <mbedtls/asn1.h>
#include <mbedtls/md.h>
#include <mbedtls/pem.h>
#include <mbedtls/pkcs5.h>
#include <mbedtls/platform_util.h>
#include <stdlib.h>
#include <string.h>

#include "tls/bundle.h"
#include "tls/tls_private.h"

#define PEM_BEGIN "-----BEGIN ENCRYPTED PRIVATE KEY-----"
#define PEM_END "-----END ENCRYPTED PRIVATE KEY-----"
#define SEQUENCE (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)
#define IV_LEN 16
/* More rounds than anybody takes would only be a way to be stuck. */
#define ROUNDS_MOST 50000000

#define OID_PBES2 "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d"
#define OID_PBKDF2 "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c"
/* With the number of the hash, or of the length of the key, behind it. */
#define OID_HMAC "\x2a\x86\x48\x86\xf7\x0d\x02"
#define OID_AES "\x60\x86\x48\x01\x65\x03\x04\x01"

struct locked {
	mbedtls_asn1_buf salt;
	int rounds;
	mbedtls_md_type_t hash;
	unsigned bits;
	unsigned char iv[IV_LEN];
	unsigned char *text;
	size_t len;
};

static bool
starts(const mbedtls_asn1_buf *oid, const char *with, size_t len)
{
	return oid->len >= len && memcmp(oid->p, with, len) == 0;
}

static bool
hash_of(const mbedtls_asn1_buf *oid, struct locked *l)
{
	if (!starts(oid, OID_HMAC, sizeof(OID_HMAC) - 1) ||
	    oid->len != sizeof(OID_HMAC))
		return false;
	switch (oid->p[oid->len - 1]) {
	case 7:
		l->hash = MBEDTLS_MD_SHA1;
		return true;
	case 9:
		l->hash = MBEDTLS_MD_SHA256;
		return true;
	case 10:
		l->hash = MBEDTLS_MD_SHA384;
		return true;
	case 11:
		l->hash = MBEDTLS_MD_SHA512;
		return true;
	default:
		return false;
	}
}

static bool
bits_of(const mbedtls_asn1_buf *oid, struct locked *l)
{
	if (!starts(oid, OID_AES, sizeof(OID_AES) - 1) ||
	    oid->len != sizeof(OID_AES))
		return false;
	switch (oid->p[oid->len - 1]) {
	case 2:
		l->bits = 128;
		return true;
	case 22:
		l->bits = 192;
		return true;
	case 42:
		l->bits = 256;
		return true;
	default:
		return false;
	}
}

/* SEQUENCE { salt, rounds, [length of the key], [prf] } */
static bool
read_derivation(const mbedtls_asn1_buf *params, struct locked *l)
{
	unsigned char *p = params->p;
	const unsigned char *end = p + params->len;
	mbedtls_asn1_buf oid, none;
	int key_len;

	l->hash = MBEDTLS_MD_SHA1;
	if (params->tag != SEQUENCE ||
	    mbedtls_asn1_get_tag(&p, end, &l->salt.len,
		MBEDTLS_ASN1_OCTET_STRING) != 0)
		return false;
	l->salt.p = p;
	p += l->salt.len;
	if (mbedtls_asn1_get_int(&p, end, &l->rounds) != 0 || l->rounds < 1 ||
	    l->rounds > ROUNDS_MOST)
		return false;
	if (p < end && *p == MBEDTLS_ASN1_INTEGER &&
	    mbedtls_asn1_get_int(&p, end, &key_len) != 0)
		return false;
	return p == end || (mbedtls_asn1_get_alg(&p, end, &oid, &none) == 0 &&
		hash_of(&oid, l));
}

/* SEQUENCE { SEQUENCE { PBES2, SEQUENCE { how to derive, cipher } }, text } */
static bool
read_head(unsigned char *p, size_t size, struct locked *l)
{
	const unsigned char *end = p + size, *end2;
	mbedtls_asn1_buf oid, params;
	size_t len;

	if (mbedtls_asn1_get_tag(&p, end, &len, SEQUENCE) != 0 ||
	    mbedtls_asn1_get_alg(&p, end, &oid, &params) != 0 ||
	    oid.len != sizeof(OID_PBES2) - 1 ||
	    !starts(&oid, OID_PBES2, oid.len) || params.tag != SEQUENCE ||
	    mbedtls_asn1_get_tag(&p, end, &l->len,
		MBEDTLS_ASN1_OCTET_STRING) != 0)
		return false;
	l->text = p;
	p = params.p;
	end2 = p + params.len;
	if (mbedtls_asn1_get_alg(&p, end2, &oid, &params) != 0 ||
	    oid.len != sizeof(OID_PBKDF2) - 1 ||
	    !starts(&oid, OID_PBKDF2, oid.len) || !read_derivation(&params, l))
		return false;
	if (mbedtls_asn1_get_alg(&p, end2, &oid, &params) != 0 ||
	    !bits_of(&oid, l) || params.tag != MBEDTLS_ASN1_OCTET_STRING ||
	    params.len != IV_LEN || l->len == 0 || l->len % 16 != 0)
		return false;
	memcpy(l->iv, params.p, IV_LEN);
	return true;
}

static int
derive(const struct locked *l, const struct bundle_entry *pass,
    unsigned char *key)
{
	mbedtls_md_context_t md;
	int rc;

	mbedtls_md_init(&md);
	rc = mbedtls_md_setup(&md, mbedtls_md_info_from_type(l->hash), 1);
	if (rc == 0)
		rc = mbedtls_pkcs5_pbkdf2_hmac(&md,
		    (const unsigned char *)pass->text, pass->len, l->salt.p,
		    l->salt.len, (unsigned)l->rounds, l->bits / 8, key);
	mbedtls_md_free(&md);
	return rc;
}

/* The padding says how much of it there is, in each of its bytes. */
static bool
unpad(const unsigned char *text, size_t *len)
{
	unsigned char pad = text[*len - 1];

	if (pad < 1 || pad > 16)
		return false;
	for (size_t i = 0; i < pad; i++)
		if (text[*len - 1 - i] != pad)
			return false;
	*len -= pad;
	return true;
}

static int
unlock(struct locked *l, const struct bundle_entry *pass, void *key)
{
	unsigned char secret[32], *plain = calloc(1, l->len);
	mbedtls_aes_context aes;
	size_t len = l->len;
	int rc = MBEDTLS_ERR_PK_ALLOC_FAILED;

	mbedtls_aes_init(&aes);
	if (plain == NULL)
		goto out;
	rc = derive(l, pass, secret);
	if (rc == 0)
		rc = mbedtls_aes_setkey_dec(&aes, secret, l->bits);
	if (rc == 0)
		rc = mbedtls_aes_crypt_cbc(&aes, MBEDTLS_AES_DECRYPT, len,
		    l->iv, l->text, plain);
	if (rc == 0 && (!unpad(plain, &len) ||
		compat_parse_key(key, plain, len, NULL, 0, tls_random) != 0))
		rc = MBEDTLS_ERR_PK_PASSWORD_MISMATCH;
out:
	mbedtls_aes_free(&aes);
	mbedtls_platform_zeroize(secret, sizeof(secret));
	bundle_wipe(plain, l->len);
	return rc;
}

bool
pbes2_parse_key(void *key, const struct bundle_entry *e,
    const struct bundle_entry *pass, int *rc_out)
{
	unsigned char *der = (unsigned char *)(uintptr_t)e->text;
	mbedtls_pem_context pem;
	struct locked l = { 0 };
	size_t len = e->len, used;
	bool tried = false;

	mbedtls_pem_init(&pem);
	if (strstr(e->text, PEM_BEGIN) != NULL) {
		if (mbedtls_pem_read_buffer(&pem, PEM_BEGIN, PEM_END,
			(const unsigned char *)e->text, NULL, 0, &used) != 0)
			goto out;
		der = pem.MBEDTLS_PRIVATE(buf);
		len = pem.MBEDTLS_PRIVATE(buflen);
	}
	tried = read_head(der, len, &l);
	if (tried)
		*rc_out = unlock(&l, pass, key);
out:
	mbedtls_pem_free(&pem);
	return tried;
}

#else

bool
pbes2_parse_key(void *key, const struct bundle_entry *e,
    const struct bundle_entry *passphrase, int *rc_out)
{
	(void)key;
	(void)e;
	(void)passphrase;
	(void)rc_out;
	return false;
}

#endif

#endif
