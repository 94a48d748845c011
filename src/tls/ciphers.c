/* SPDX-License-Identifier: MIT */
#include "tls/ciphers.h"

#ifdef HAVE_TLS

#include <mbedtls/ssl_ciphersuites.h>
#include <string.h>

#include "base/err.h"
#include "base/span.h"
#include "conf/suggest.h"
#include "tls/compat.h"

/* What a suite is made of; a group is a set of these. */
enum {
	KX_ECDHE = 1 << 0,
	KX_DHE = 1 << 1,
	KX_RSA = 1 << 2,
	KX_ANY = KX_ECDHE | KX_DHE | KX_RSA,
	AU_RSA = 1 << 3,
	AU_ECDSA = 1 << 4,
	AU_ANY = AU_RSA | AU_ECDSA,
	ENC_128 = 1 << 5,
	ENC_256 = 1 << 6,
	ENC_CHACHA = 1 << 7,
	ENC_ANY = ENC_128 | ENC_256 | ENC_CHACHA,
	MODE_GCM = 1 << 8,
	MODE_CCM = 1 << 9,
	MODE_CCM8 = 1 << 10,
	MODE_CBC = 1 << 11,
	MODE_CHACHA = 1 << 12,
	MODE_ANY = MODE_GCM | MODE_CCM | MODE_CCM8 | MODE_CBC | MODE_CHACHA,
	MAC_SHA1 = 1 << 13,
	MAC_SHA256 = 1 << 14,
	MAC_SHA384 = 1 << 15,
	MAC_AEAD = 1 << 16,
	MAC_ANY = MAC_SHA1 | MAC_SHA256 | MAC_SHA384 | MAC_AEAD,
	IS_1_3 = 1 << 17,
	IS_DEFAULT = 1 << 18,
};

#define EC_RSA (KX_ECDHE | AU_RSA)
#define EC_EC (KX_ECDHE | AU_ECDSA)
#define DH_RSA (KX_DHE | AU_RSA)
#define RSA_RSA (KX_RSA | AU_RSA)
#define A128 ENC_128
#define A256 ENC_256
#define GCM (MODE_GCM | MAC_AEAD)
#define CCM (MODE_CCM | MAC_AEAD)
#define CCM8 (MODE_CCM8 | MAC_AEAD)
#define CHACHA (ENC_CHACHA | MODE_CHACHA | MAC_AEAD)
#define SHA1 (MODE_CBC | MAC_SHA1)
#define SHA256 (MODE_CBC | MAC_SHA256)
#define SHA384 (MODE_CBC | MAC_SHA384)
#define DEF IS_DEFAULT

struct suite {
	int id;
	const char *openssl;
	const char *iana;
	unsigned traits;
};

/*
 * Every suite that is allowed, the best first: what encrypts and
 * authenticates at once before CBC, forward secrecy before none.
 */
/* clang-format off */
static const struct suite suites[] = {
	{ 0x1301, "TLS_AES_128_GCM_SHA256", "", IS_1_3 | DEF },
	{ 0x1302, "TLS_AES_256_GCM_SHA384", "", IS_1_3 | DEF },
	{ 0x1303, "TLS_CHACHA20_POLY1305_SHA256", "", IS_1_3 | DEF },
	{ 0x1304, "TLS_AES_128_CCM_SHA256", "", IS_1_3 },
	{ 0x1305, "TLS_AES_128_CCM_8_SHA256", "", IS_1_3 },
	{ 0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", EC_EC | A128 | GCM | DEF },
	{ 0xc02f, "ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", EC_RSA | A128 | GCM | DEF },
	{ 0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", EC_EC | A256 | GCM | DEF },
	{ 0xc030, "ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", EC_RSA | A256 | GCM | DEF },
	{ 0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", EC_EC | CHACHA | DEF },
	{ 0xcca8, "ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", EC_RSA | CHACHA | DEF },
	{ 0xc0ac, "ECDHE-ECDSA-AES128-CCM", "TLS_ECDHE_ECDSA_WITH_AES_128_CCM", EC_EC | A128 | CCM },
	{ 0xc0ad, "ECDHE-ECDSA-AES256-CCM", "TLS_ECDHE_ECDSA_WITH_AES_256_CCM", EC_EC | A256 | CCM },
	{ 0xc0ae, "ECDHE-ECDSA-AES128-CCM8", "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", EC_EC | A128 | CCM8 },
	{ 0xc0af, "ECDHE-ECDSA-AES256-CCM8", "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8", EC_EC | A256 | CCM8 },
	{ 0x009e, "DHE-RSA-AES128-GCM-SHA256", "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", DH_RSA | A128 | GCM },
	{ 0x009f, "DHE-RSA-AES256-GCM-SHA384", "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", DH_RSA | A256 | GCM },
	{ 0xccaa, "DHE-RSA-CHACHA20-POLY1305", "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256", DH_RSA | CHACHA },
	{ 0xc023, "ECDHE-ECDSA-AES128-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", EC_EC | A128 | SHA256 },
	{ 0xc027, "ECDHE-RSA-AES128-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", EC_RSA | A128 | SHA256 },
	{ 0xc024, "ECDHE-ECDSA-AES256-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", EC_EC | A256 | SHA384 },
	{ 0xc028, "ECDHE-RSA-AES256-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", EC_RSA | A256 | SHA384 },
	{ 0xc009, "ECDHE-ECDSA-AES128-SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", EC_EC | A128 | SHA1 },
	{ 0xc013, "ECDHE-RSA-AES128-SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", EC_RSA | A128 | SHA1 },
	{ 0xc00a, "ECDHE-ECDSA-AES256-SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", EC_EC | A256 | SHA1 },
	{ 0xc014, "ECDHE-RSA-AES256-SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", EC_RSA | A256 | SHA1 },
	{ 0x0067, "DHE-RSA-AES128-SHA256", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256", DH_RSA | A128 | SHA256 },
	{ 0x006b, "DHE-RSA-AES256-SHA256", "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256", DH_RSA | A256 | SHA256 },
	{ 0x0033, "DHE-RSA-AES128-SHA", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", DH_RSA | A128 | SHA1 },
	{ 0x0039, "DHE-RSA-AES256-SHA", "TLS_DHE_RSA_WITH_AES_256_CBC_SHA", DH_RSA | A256 | SHA1 },
	{ 0x009c, "AES128-GCM-SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256", RSA_RSA | A128 | GCM },
	{ 0x009d, "AES256-GCM-SHA384", "TLS_RSA_WITH_AES_256_GCM_SHA384", RSA_RSA | A256 | GCM },
	{ 0xc09c, "AES128-CCM", "TLS_RSA_WITH_AES_128_CCM", RSA_RSA | A128 | CCM },
	{ 0xc09d, "AES256-CCM", "TLS_RSA_WITH_AES_256_CCM", RSA_RSA | A256 | CCM },
	{ 0x003c, "AES128-SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA256", RSA_RSA | A128 | SHA256 },
	{ 0x003d, "AES256-SHA256", "TLS_RSA_WITH_AES_256_CBC_SHA256", RSA_RSA | A256 | SHA256 },
	{ 0x002f, "AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA", RSA_RSA | A128 | SHA1 },
	{ 0x0035, "AES256-SHA", "TLS_RSA_WITH_AES_256_CBC_SHA", RSA_RSA | A256 | SHA1 },
};
/* clang-format on */

#define COUNT (sizeof(suites) / sizeof(*suites))

/* A suite is in a group when it has one trait of each sort that is named. */
static const struct {
	const char *name;
	unsigned traits;
} groups[] = {
	{ "ALL", 0 },
	{ "HIGH", 0 },
	{ "DEFAULT", IS_DEFAULT },
	{ "ECDHE", KX_ECDHE },
	{ "EECDH", KX_ECDHE },
	{ "kECDHE", KX_ECDHE },
	{ "kEECDH", KX_ECDHE },
	{ "DHE", KX_DHE },
	{ "EDH", KX_DHE },
	{ "DH", KX_DHE },
	{ "kDHE", KX_DHE },
	{ "kEDH", KX_DHE },
	{ "kRSA", KX_RSA },
	{ "RSA", KX_RSA },
	{ "aRSA", AU_RSA },
	{ "aECDSA", AU_ECDSA },
	{ "ECDSA", AU_ECDSA },
	{ "AES", ENC_128 | ENC_256 },
	{ "AES128", ENC_128 },
	{ "AES256", ENC_256 },
	{ "AESGCM", MODE_GCM },
	{ "AESCCM", MODE_CCM | MODE_CCM8 },
	{ "AESCCM8", MODE_CCM8 },
	{ "CHACHA20", MODE_CHACHA },
	{ "SHA", MAC_SHA1 },
	{ "SHA1", MAC_SHA1 },
	{ "SHA256", MAC_SHA256 },
	{ "SHA384", MAC_SHA384 },
	{ "AEAD", MAC_AEAD },
	{ "CBC", MODE_CBC },
	{ "TLSv1.2", MAC_SHA256 | MAC_SHA384 | MAC_AEAD },
	{ "TLSv1", MAC_SHA1 },
	{ "TLSv1.0", MAC_SHA1 },
	{ "SSLv3", MAC_SHA1 },
};

/*
 * What OpenSSL has names for and bicorn has not: to leave it out means
 * nothing, to ask for it is refused.
 */
static const char *const unsafe[] = { "aNULL", "eNULL", "NULL", "ADH", "AECDH",
	"EXP", "EXPORT", "EXPORT40", "EXPORT56", "LOW", "MEDIUM", "DES", "3DES",
	"RC4", "RC2", "MD5", "IDEA", "SEED", "SSLv2", "kDH", "kDHr", "kDHd",
	"aDH", "kECDH", "kECDHe", "kECDHr", "aECDH", "ECDH", "DSS", "aDSS" };
static const char *const unusual[] = { "PSK", "kPSK", "aPSK", "kECDHEPSK",
	"kDHEPSK", "kRSAPSK", "SRP", "kSRP", "aSRP", "ARIA", "ARIA128",
	"ARIA256", "ARIAGCM", "CAMELLIA", "CAMELLIA128", "CAMELLIA256", "GOST",
	"aGOST", "kGOST", "GOST94", "GOST89MAC", "aGOST01", "KRB5", "FZA",
	"COMPLEMENTOFALL", "COMPLEMENTOFDEFAULT", "CBC3", "ECCdraft" };

enum found {
	FOUND_NONE,
	FOUND_SET,     /* *traits or *at */
	FOUND_UNSAFE,
	FOUND_UNUSUAL, /* neither harmful nor there */
};

/* What "A+B" stands for. */
struct choice {
	const struct suite *one; /* NULL: all that the sets have in common */
	unsigned sets[8];
	size_t count;
	bool empty;
};

struct list {
	const char *text;
	size_t order[COUNT];
	size_t count;
	bool banned[COUNT];
	bool names_1_3;
};

static bool
is_there(const struct suite *s)
{
	return mbedtls_ssl_ciphersuite_from_id(s->id) != NULL &&
	    ((s->traits & IS_1_3) == 0 || COMPAT_HAS_1_3);
}

static bool
among(struct span word, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_ieq(word, span_of(words[i])))
			return true;
	return false;
}

static const struct suite *
find_suite(struct span word)
{
	for (size_t i = 0; i < COUNT; i++)
		if (span_ieq(word, span_of(suites[i].openssl)) ||
		    span_ieq(word, span_of(suites[i].iana)))
			return &suites[i];
	return NULL;
}

static bool
holds(struct span word, const char *part)
{
	return memmem(word.ptr, word.len, part, strlen(part)) != NULL;
}

/* Names of single suites that OpenSSL has or had. */
static enum found
sort_of(struct span word)
{
	if (among(word, unsafe, sizeof(unsafe) / sizeof(*unsafe)) ||
	    holds(word, "RC4") || holds(word, "DES-CBC") ||
	    holds(word, "3DES") || holds(word, "DES_CBC") ||
	    holds(word, "NULL-") || holds(word, "EXP-"))
		return FOUND_UNSAFE;
	if (among(word, unusual, sizeof(unusual) / sizeof(*unusual)) ||
	    holds(word, "CAMELLIA") || holds(word, "PSK-") ||
	    holds(word, "SRP-") || holds(word, "ARIA") ||
	    holds(word, "-DSS-") || holds(word, "SEED-"))
		return FOUND_UNUSUAL;
	return FOUND_NONE;
}

/* Adds what one word stands for to c. */
static enum found
look_up(struct span word, struct choice *c)
{
	const struct suite *s = find_suite(word);

	if (s != NULL) {
		c->empty = c->empty || (c->one != NULL && c->one != s);
		c->one = s;
		return FOUND_SET;
	}
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++)
		if (span_ieq(word, span_of(groups[i].name)) &&
		    c->count < sizeof(c->sets) / sizeof(*c->sets)) {
			c->sets[c->count++] = groups[i].traits;
			return FOUND_SET;
		}
	c->empty = true;
	return sort_of(word);
}

static bool
chosen(const struct suite *s, const struct choice *c)
{
	if (c->empty || (c->one != NULL && c->one != s))
		return false;
	/* A group is about TLS 1.2, as with OpenSSL. */
	if (c->one == NULL && (s->traits & IS_1_3))
		return false;
	for (size_t i = 0; i < c->count; i++)
		if (c->sets[i] != 0 && (s->traits & c->sets[i]) == 0)
			return false;
	return true;
}

/* --- the list ------------------------------------------------------------- */

static void
take_out(struct list *l, size_t suite)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->count; i++)
		if (l->order[i] != suite)
			l->order[kept++] = l->order[i];
	l->count = kept;
}

static bool
is_in(const struct list *l, size_t suite)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->order[i] == suite)
			return true;
	return false;
}

static void
apply(struct list *l, char sign, const struct choice *c)
{
	for (size_t i = 0; i < COUNT; i++) {
		bool in = is_in(l, i);

		if (!chosen(&suites[i], c))
			continue;
		l->names_1_3 |= sign == '\0' && (suites[i].traits & IS_1_3);
		l->banned[i] |= sign == '!';
		if (sign == '!' || sign == '-' || (sign == '+' && in))
			take_out(l, i);
		if ((sign == '\0' && !in && !l->banned[i]) ||
		    (sign == '+' && in))
			l->order[l->count++] = i;
	}
}

static int
unknown(const struct list *l, struct span word, struct err *err)
{
	struct suggest g = suggest_for(word);

	for (size_t i = 0; i < COUNT; i++) {
		suggest_offer(&g, span_of(suites[i].openssl),
		    span_of(suites[i].openssl));
		suggest_offer(&g, span_of(suites[i].iana),
		    span_of(suites[i].openssl));
	}
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++)
		suggest_offer(&g, span_of(groups[i].name),
		    span_of(groups[i].name));
	err_set(err, "ciphers = %.300s: there is no cipher suite %.*s%s%.*s%s",
	    l->text, word.len < 60 ? (int)word.len : 60, word.ptr,
	    g.best.len > 0 ? "; did you mean " : "", (int)g.best.len,
	    g.best.len > 0 ? g.best.ptr : "", g.best.len > 0 ? "?" : "");
	return -1;
}

/* sign: of the word, '\0' when it asks for what it names. */
static int
read_word(struct list *l, struct span word, char sign, struct err *err)
{
	struct choice c = { 0 };
	struct span rest = word, part;

	while (span_next(&rest, '+', &part)) {
		enum found found = look_up(part, &c);

		if (found == FOUND_NONE)
			return unknown(l, part, err);
		if (found == FOUND_UNSAFE && sign == '\0') {
			err_set(err, "ciphers = %.300s: %.*s is not safe, and "
			    "not offered", l->text, (int)part.len, part.ptr);
			return -1;
		}
	}
	if (sign == '\0' && c.one != NULL && !c.empty && !is_there(c.one)) {
		/* TLS 1.3 with a library that has none: what is left counts. */
		if (c.one->traits & IS_1_3)
			return 0;
		err_set(err, "ciphers = %.300s: Mbed TLS %s does not have "
		    "%.*s", l->text, MBEDTLS_VERSION_STRING, (int)word.len,
		    word.ptr);
		return -1;
	}
	apply(l, sign, &c);
	return 0;
}

static bool
by_strength(const struct suite *a, const struct suite *b)
{
	bool a_256 = a->traits & (ENC_256 | ENC_CHACHA);
	bool b_256 = b->traits & (ENC_256 | ENC_CHACHA);

	return a_256 && !b_256;
}

/* "@STRENGTH" sorts; the levels of OpenSSL's "@SECLEVEL=N" are its own. */
static int
read_command(struct list *l, struct span word, struct err *err)
{
	if (word.len > 10 && memcmp(word.ptr, "@SECLEVEL=", 10) == 0)
		return 0;
	if (!span_eq(word, SPAN("@STRENGTH"))) {
		err_set(err, "ciphers = %.300s: there is no command %.*s",
		    l->text, word.len < 60 ? (int)word.len : 60, word.ptr);
		return -1;
	}
	for (size_t i = 1; i < l->count; i++)
		for (size_t j = i; j > 0 && by_strength(
			 &suites[l->order[j]], &suites[l->order[j - 1]]); j--) {
			size_t swap = l->order[j];

			l->order[j] = l->order[j - 1];
			l->order[j - 1] = swap;
		}
	return 0;
}

static int
read_list(struct list *l, struct err *err)
{
	size_t len;

	for (const char *c = l->text; *c != '\0'; c += len) {
		struct span word;
		char sign = '\0';
		int rc;

		c += strspn(c, ":, ");
		len = strcspn(c, ":, ");
		if (len == 0)
			break;
		word = (struct span){ c, len };
		if (strchr("!-+", *c) != NULL) {
			sign = *word.ptr++;
			word.len--;
		}
		rc = *c == '@' ? read_command(l, word, err) :
		    read_word(l, word, sign, err);
		if (rc != 0)
			return -1;
	}
	return 0;
}

int
ciphers_parse(const char *text, int out[CIPHERS_MOST], struct err *err)
{
	struct list l = { .text = text != NULL ? text : "DEFAULT" };
	size_t count = 0, named = 0;

	out[0] = 0;
	if (read_list(&l, err) != 0)
		return -1;
	/* TLS 1.3 has none that are bad: they stay unless some are chosen. */
	for (size_t i = 0; i < COUNT; i++)
		if ((suites[i].traits & IS_1_3) && !l.names_1_3 &&
		    (suites[i].traits & IS_DEFAULT) && !l.banned[i] &&
		    is_there(&suites[i]))
			out[count++] = suites[i].id;
	for (size_t i = 0; i < l.count; i++)
		if (is_there(&suites[l.order[i]])) {
			out[count++] = suites[l.order[i]].id;
			named++;
		}
	out[count] = 0;
	if (named > 0)
		return 0;
	err_set(err, "ciphers = %.300s: leaves no cipher suite", l.text);
	return -1;
}

const char *
ciphers_name(int id)
{
	for (size_t i = 0; i < COUNT; i++)
		if (suites[i].id == id)
			return suites[i].openssl;
	return NULL;
}

#endif
