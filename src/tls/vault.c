/* SPDX-License-Identifier: MIT */
/* The bytes: for each listener the length of its bundle, and the bundle. */
#include "tls/vault.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/bulletin.h"
#include "base/err.h"
#include "tls/tls.h"

/* Some ten thousand certificates.  Only what is filled takes memory. */
#define ROOM ((size_t)64 * 1024 * 1024)

struct bulletin *
vault_new(struct err *err)
{
	return bulletin_new("certificates", ROOM, err);
}

static void
wipe(char *text, size_t len)
{
	if (text != NULL)
		explicit_bzero(text, len);
	free(text);
}

/* Two parts for each: the length, and the bytes. */
static struct iovec *
parts_of(struct tls_bundle *const *bundles, size_t count, uint64_t *lens)
{
	struct iovec *parts = calloc(2 * count + 1, sizeof(*parts));

	for (size_t i = 0; parts != NULL && i < count; i++) {
		size_t len = 0;
		const void *bytes = NULL;

		if (bundles[i] != NULL)
			bytes = tls_bundle_bytes(bundles[i], &len);
		lens[i] = len;
		parts[2 * i] = (struct iovec){ &lens[i], sizeof(lens[i]) };
		parts[2 * i + 1] = (struct iovec){ (void *)(uintptr_t)bytes,
			len };
	}
	return parts;
}

int
vault_put(struct bulletin *v, struct tls_bundle *const *bundles, size_t count,
    struct err *err)
{
	uint64_t *lens = calloc(count + 1, sizeof(*lens));
	struct iovec *parts = NULL;
	int rc = -1;

	if (lens != NULL)
		parts = parts_of(bundles, count, lens);
	if (parts == NULL)
		err_set(err, "TLS: out of memory");
	else if (!bulletin_pin(v, parts, 2 * count))
		err_set(err, "TLS: the certificates are more than %zu MiB",
		    ROOM >> 20);
	else
		rc = 0;
	free(parts);
	free(lens);
	return rc;
}

/* The next bundle's bytes out of what is left; false: there is none. */
static bool
next(const char **at, size_t *left, const char **bytes_out, size_t *len_out)
{
	uint64_t len;

	if (*left < sizeof(len))
		return false;
	memcpy(&len, *at, sizeof(len));
	if (len > *left - sizeof(len))
		return false;
	*bytes_out = *at + sizeof(len);
	*len_out = (size_t)len;
	*at += sizeof(len) + len;
	*left -= sizeof(len) + (size_t)len;
	return true;
}

static int
unpack(const char *text, size_t left, struct tls_bundle **bundles,
    size_t count)
{
	const char *bytes;
	size_t len;

	for (size_t i = 0; i < count; i++) {
		if (!next(&text, &left, &bytes, &len))
			return -1;
		if (len == 0)
			continue;
		bundles[i] = tls_bundle_of(bytes, len);
		if (bundles[i] == NULL)
			return -1;
	}
	return 0;
}

int
vault_get(const struct bulletin *v, struct tls_bundle **bundles, size_t count,
    uint64_t *version_out, struct err *err)
{
	size_t len;
	char *text = bulletin_copy(v, &len, version_out);
	int rc = -1;

	memset(bundles, 0, count * sizeof(*bundles));
	if (text != NULL)
		rc = unpack(text, len, bundles, count);
	wipe(text, len);
	if (rc == 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		tls_bundle_free(&bundles[i]);
	err_set(err, "TLS: the certificates cannot be had from the arbiter");
	return -1;
}

static bool
same(const char *text, size_t left, struct tls_bundle *const *bundles,
    size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *bytes;
		const void *its = NULL;
		size_t len, its_len = 0;

		if (!next(&text, &left, &bytes, &len))
			return false;
		if (bundles[i] != NULL)
			its = tls_bundle_bytes(bundles[i], &its_len);
		if (len != its_len || (len > 0 && memcmp(bytes, its, len) != 0))
			return false;
	}
	return left == 0;
}

bool
vault_holds(const struct bulletin *v, struct tls_bundle *const *bundles,
    size_t count)
{
	uint64_t version;
	size_t len;
	char *text = bulletin_copy(v, &len, &version);
	bool rc = text != NULL && same(text, len, bundles, count);

	wipe(text, len);
	return rc;
}
