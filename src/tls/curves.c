/* SPDX-License-Identifier: MIT */
#include "tls/ciphers.h"

#ifdef HAVE_TLS

#include <string.h>

#include "base/err.h"
#include "base/span.h"
#include "conf/suggest.h"
#include "tls/compat.h"

/* By the registry of TLS; the first name is the one to show. */
static const struct {
	uint16_t id;
	const char *names[4];
} groups[] = {
	{ 29, { "X25519" } },
	{ 23, { "P-256", "prime256v1", "secp256r1" } },
	{ 24, { "P-384", "secp384r1" } },
	{ 25, { "P-521", "secp521r1" } },
	{ 30, { "X448" } },
	{ 26, { "brainpoolP256r1" } },
	{ 27, { "brainpoolP384r1" } },
	{ 28, { "brainpoolP512r1" } },
};

#define COUNT (sizeof(groups) / sizeof(*groups))

static int
refuse(struct span word, const char *all, struct err *err)
{
	struct suggest g = suggest_for(word);

	for (size_t i = 0; i < COUNT; i++)
		for (size_t j = 0; j < 4 && groups[i].names[j] != NULL; j++)
			suggest_offer(&g, span_of(groups[i].names[j]),
			    span_of(groups[i].names[j]));
	if (g.best.len > 0)
		err_set(err, "curves = %s: there is no %.*s; did you mean "
		    "%.*s?", all, (int)word.len, word.ptr, (int)g.best.len,
		    g.best.ptr);
	else
		err_set(err, "curves = %s: there is no %.*s; there are X25519, "
		    "P-256, P-384, P-521", all, (int)word.len, word.ptr);
	return -1;
}

static bool
find(struct span word, size_t *at)
{
	for (*at = 0; *at < COUNT; ++*at)
		for (size_t j = 0; j < 4; j++)
			if (groups[*at].names[j] != NULL &&
			    span_ieq(word, span_of(groups[*at].names[j])))
				return true;
	return false;
}

static bool
is_listed(const uint16_t *ids, size_t count, uint16_t id)
{
	for (size_t i = 0; i < count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

int
curves_parse(const char *text, uint16_t out[CURVES_MOST], struct err *err)
{
	size_t count = 0, at, len;

	if (text == NULL)
		text = "X25519:P-256:P-384";
	for (const char *c = text; *c != '\0'; c += len) {
		struct span word;

		c += strspn(c, ":, ");
		len = strcspn(c, ":, ");
		word = (struct span){ c, len };
		if (len == 0)
			break;
		if (!find(word, &at))
			return refuse(word, text, err);
		if (!compat_has_group(groups[at].id)) {
			err_set(err, "curves = %s: Mbed TLS %s does not offer "
			    "%s", text, MBEDTLS_VERSION_STRING,
			    groups[at].names[0]);
			return -1;
		}
		if (!is_listed(out, count, groups[at].id))
			out[count++] = groups[at].id;
	}
	out[count] = 0;
	if (count > 0)
		return 0;
	err_set(err, "curves = %s: names none", text);
	return -1;
}

#endif
