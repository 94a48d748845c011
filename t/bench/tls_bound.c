/* SPDX-License-Identifier: MIT */
/*
 * What the TLS library allows: how many full handshakes one core could serve
 * if nothing but the arithmetic of them were to be done, which is one
 * signature, one fresh key on a curve and one agreement with the client's.
 *
 *	tls_bound CERTKEY.pem [CURVE [SECONDS]]
 *
 * prints the milliseconds of CPU that each of them takes, and their sum.
 * CURVE is x25519, the default, or p256.
 */
#include <stdio.h>

#include "config.h"

#ifdef HAVE_TLS
#include <mbedtls/version.h>
#endif

#if defined(HAVE_TLS) && MBEDTLS_VERSION_NUMBER < 0x04000000

#include <mbedtls/ecdh.h>
#include <mbedtls/pk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

struct bench {
	mbedtls_pk_context key;
	mbedtls_ecp_group_id curve;
	unsigned char peer[200]; /* its point, as it is sent */
	size_t peer_len;
};

static int
randomness(void *arg, unsigned char *out, size_t len)
{
	(void)arg;
	return getrandom(out, len, 0) == (ssize_t)len ? 0 : -1;
}

static void
check(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "tls_bound: %s: -0x%04x\n", what, (unsigned)-rc);
	exit(1);
}

static double
cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
read_key(struct bench *b, const char *path)
{
	mbedtls_pk_init(&b->key);
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	check(mbedtls_pk_parse_keyfile(&b->key, path, NULL, randomness, NULL),
	    path);
#else
	check(mbedtls_pk_parse_keyfile(&b->key, path, NULL), path);
#endif
}

static void
sign(struct bench *b)
{
	unsigned char hash[32] = { 1 }, out[1024];
	size_t len;

#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	check(mbedtls_pk_sign(&b->key, MBEDTLS_MD_SHA256, hash, sizeof(hash),
	    out, sizeof(out), &len, randomness, NULL), "sign");
#else
	check(mbedtls_pk_sign(&b->key, MBEDTLS_MD_SHA256, hash, sizeof(hash),
	    out, &len, randomness, NULL), "sign");
#endif
}

/* A fresh key, and the secret that it makes with the peer's. */
static void
agree(struct bench *b)
{
	unsigned char out[200];
	mbedtls_ecdh_context ecdh;
	size_t len;

	mbedtls_ecdh_init(&ecdh);
	check(mbedtls_ecdh_setup(&ecdh, b->curve), "curve");
	check(mbedtls_ecdh_make_params(&ecdh, &len, out, sizeof(out),
	    randomness, NULL), "fresh key");
	check(mbedtls_ecdh_read_public(&ecdh, b->peer, b->peer_len), "point");
	check(mbedtls_ecdh_calc_secret(&ecdh, &len, out, sizeof(out),
	    randomness, NULL), "agreement");
	mbedtls_ecdh_free(&ecdh);
}

static void
make_peer(struct bench *b)
{
	mbedtls_ecdh_context ecdh;

	mbedtls_ecdh_init(&ecdh);
	check(mbedtls_ecdh_setup(&ecdh, b->curve), "curve");
	check(mbedtls_ecdh_make_public(&ecdh, &b->peer_len, b->peer,
	    sizeof(b->peer), randomness, NULL), "peer");
	mbedtls_ecdh_free(&ecdh);
}

static double
measure(struct bench *b, void (*step)(struct bench *b), double seconds)
{
	double begin = cpu_s(), now = begin;
	long count = 0;

	for (; now - begin < seconds; count++) {
		step(b);
		now = cpu_s();
	}
	return (now - begin) * 1000 / (double)count;
}

int
main(int argc, char **argv)
{
	struct bench b = { .curve = MBEDTLS_ECP_DP_CURVE25519 };
	double seconds = argc > 3 ? atof(argv[3]) : 1, signature, agreement;

	if (argc < 2) {
		fprintf(stderr, "usage: tls_bound KEY.pem [x25519|p256 "
				"[SECONDS]]\n");
		return 2;
	}
	if (argc > 2 && strcmp(argv[2], "p256") == 0)
		b.curve = MBEDTLS_ECP_DP_SECP256R1;
	read_key(&b, argv[1]);
	make_peer(&b);
	signature = measure(&b, sign, seconds);
	agreement = measure(&b, agree, seconds);
	printf("%.4f %.4f %.4f\n", signature, agreement,
	    signature + agreement);
	mbedtls_pk_free(&b.key);
	return 0;
}

#else

int
main(void)
{
	fputs("tls_bound: not with this TLS library, or none\n", stderr);
	return 1;
}

#endif
