/* SPDX-License-Identifier: MIT */
/* PROXY headers: both versions, split at every byte. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/proxy.h"

#define BOTH (PROXY_V1 | PROXY_V2)
#define MARK "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\x00\x02\x01\x0a\x00\x00\x01\x30\x39\x01\xbb"

/* The verdict on the whole, after that on every beginning was MORE. */
static enum proxy_verdict
parse(const char *data, size_t len, unsigned versions, struct proxy_header *h)
{
	enum proxy_verdict v = PROXY_MORE;
	char *copy;

	for (size_t n = 0; n <= len && v == PROXY_MORE; n++) {
		copy = malloc(n + 1);
		memcpy(copy, data, n);
		v = proxy_parse(copy, n, versions, h);
		free(copy);
		if (v == PROXY_DONE)
			assert_int_equal(h->length, n);
	}
	if (v == PROXY_DONE)
		v = proxy_parse(data, len, versions, h);
	return v;
}

static void
v1(const char *line, const char *source, unsigned port, const char *dest)
{
	struct proxy_header h;
	char text[ADDR_TEXT_MAX];

	assert_int_equal(parse(line, strlen(line), BOTH, &h), PROXY_DONE);
	addr_text(&h.source, text);
	assert_string_equal(text, source);
	assert_int_equal(addr_port(&h.source), port);
	addr_text(&h.dest, text);
	assert_string_equal(text, dest);
}

static void
test_v1(void **state)
{
	struct proxy_header h;

	(void)state;
	v1("PROXY TCP4 192.0.2.1 10.0.0.1 12345 443\r\n", "192.0.2.1", 12345,
	    "10.0.0.1");
	v1("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", "2001:db8::1", 0, "::1");
	v1("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "192.0.2.1", 1, "::1");
	assert_int_equal(parse("PROXY UNKNOWN\r\n", 15, BOTH, &h), PROXY_DONE);
	assert_int_equal(h.kind, PROXY_UNKNOWN);
	assert_int_equal(parse("PROXY UNKNOWN some thing\r\n", 26, BOTH, &h),
	    PROXY_DONE);
	assert_int_equal(h.kind, PROXY_UNKNOWN);
}

static void
test_v1_wrong(void **state)
{
	static const char *const lines[] = {
		"PROXY \r\n",
		"PROXY TCP5 192.0.2.1 10.0.0.1 1 2\r\n",
		"PROXY tcp4 192.0.2.1 10.0.0.1 1 2\r\n",
		"PROXY UNKNOWNS\r\n",
		"PROXY TCP4\r\n",
		"PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n",
		"PROXY TCP4 192.0.2.1 10.0.0.1 1 \r\n",
		"PROXY TCP4 192.0.2.1 10.0.0.1 1 2 \r\n",
		"PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n",
		"PROXY TCP4  192.0.2.1 10.0.0.1 1 2\r\n",
		"PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n",
		"PROXY TCP4 192.0.2.01 10.0.0.1 1 2\r\n",
		"PROXY TCP4 ::1 ::1 1 2\r\n",
		"PROXY TCP6 192.0.2.1 10.0.0.1 1 2\r\n",
		"PROXY TCP4 192.0.2.1 10.0.0.1 65536 2\r\n",
		"PROXY TCP4 192.0.2.1 10.0.0.1 01 2\r\n",
		"PROXY TCP4 192.0.2.1 10.0.0.1 -1 2\r\n",
		"PROXY TCP4 192.0.2.1 10.0.0.1 1 2\n",
		"PROXY TCP4 192.0.2.1 10.0.0.1 1 22\n",
		"PROXY UNKNOWN x\n",
		"PROXY \n",
	};
	struct proxy_header h;
	char line[200];

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_int_equal(
		    parse(lines[i], strlen(lines[i]), BOTH, &h), PROXY_BAD);
	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	assert_int_equal(parse(line, sizeof(line), BOTH, &h), PROXY_BAD);
	memcpy(line + 105, "\r\n", 2);
	assert_int_equal(parse(line, 107, BOTH, &h), PROXY_DONE);
	memcpy(line + 105, "x\r\n", 3);
	assert_int_equal(parse(line, 108, BOTH, &h), PROXY_BAD);
	assert_int_equal(parse("PROXY TCP4 192.0.2.1 1\0.0.0.1 1 2\r\n", 35,
			     BOTH, &h),
	    PROXY_BAD);
}

static void
test_none(void **state)
{
	struct proxy_header h;

	(void)state;
	assert_int_equal(parse("GET / HT", 8, BOTH, &h), PROXY_NONE);
	assert_int_equal(parse("PROPFIND", 8, BOTH, &h), PROXY_NONE);
	assert_int_equal(parse("PROXYX", 6, BOTH, &h), PROXY_NONE);
	assert_int_equal(parse("\r\nGET /", 7, BOTH, &h), PROXY_NONE);
	assert_int_equal(parse("\x16\x03\x01", 3, BOTH, &h), PROXY_NONE);
	assert_int_equal(parse("PROXY UNKNOWN\r\n", 15, PROXY_V2, &h),
	    PROXY_NONE);
	assert_int_equal(parse(MARK "\x20\0\0\0", 16, PROXY_V1, &h),
	    PROXY_NONE);
	assert_int_equal(parse("x", 1, 0, &h), PROXY_NONE);
}

static void
test_v2(void **state)
{
	static const char v4[] = MARK "\x21\x11\0\x0c" V4;
	static const char v6[] = MARK "\x21\x21\0\x24"
	    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
	    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\x50\1\xbb";
	static const char local[] = MARK "\x20\xff\0\3xyz";
	static const char unspec[] = MARK "\x21\0\0\0";
	static const char datagram[] = MARK "\x21\x12\0\x0c" V4;
	struct proxy_header h;
	char text[ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(parse(v4, sizeof(v4) - 1, BOTH, &h), PROXY_DONE);
	assert_int_equal(h.kind, PROXY_TCP4);
	addr_text(&h.source, text);
	assert_string_equal(text, "192.0.2.1");
	assert_int_equal(addr_port(&h.source), 12345);
	addr_text(&h.dest, text);
	assert_string_equal(text, "10.0.0.1");
	assert_int_equal(addr_port(&h.dest), 443);
	assert_int_equal(parse(v6, sizeof(v6) - 1, BOTH, &h), PROXY_DONE);
	addr_text(&h.source, text);
	assert_string_equal(text, "2001:db8::1");
	assert_int_equal(addr_port(&h.source), 80);
	assert_int_equal(parse(local, sizeof(local) - 1, BOTH, &h),
	    PROXY_DONE);
	assert_int_equal(h.kind, PROXY_LOCAL);
	assert_int_equal(h.tlvs.len, 0);
	assert_int_equal(parse(unspec, sizeof(unspec) - 1, BOTH, &h),
	    PROXY_DONE);
	assert_int_equal(h.kind, PROXY_UNKNOWN);
	assert_int_equal(parse(datagram, sizeof(datagram) - 1, BOTH, &h),
	    PROXY_DONE);
	assert_int_equal(h.kind, PROXY_UNKNOWN);
}

#define REFUSED(bytes) { (bytes), sizeof(bytes) - 1 }

static void
test_v2_wrong(void **state)
{
	static const struct span wrong[] = {
		REFUSED(MARK "\x11\x11\0\x0c" V4),   /* version 1 */
		REFUSED(MARK "\x31\x11\0\x0c" V4),   /* version 3 */
		REFUSED(MARK "\x31"),               /* ... is seen at once */
		REFUSED(MARK "\x22\x11\0\x0c" V4),   /* command 2 */
		REFUSED(MARK "\x21\x41\0\x0c" V4),   /* family 4 */
		REFUSED(MARK "\x21\x13\0\x0c" V4),   /* transport 3 */
		REFUSED(MARK "\x21\x11\0\x0b" V4),   /* too short for v4 */
		REFUSED(MARK "\x21\x21\0\x0c" V4),   /* ... for v6 */
		REFUSED(MARK "\x21\x31\0\x0c" V4),   /* ... for a path */
		REFUSED(MARK "\x21\x11\0\x0d" V4 "\1"),      /* half a TLV */
		REFUSED(MARK "\x21\x11\0\x0f" V4 "\1\0\1"),  /* longer */
		REFUSED(MARK "\x21\x11\0\x11" V4 "\x20\0\2\1\1"), /* SSL */
		REFUSED(MARK "\x21\x11\0\x13" V4 "\x20\0\4\1\0\0\0"),
		REFUSED(MARK "\x21\x11\0\x15" V4 "\x20\0\6\1\0\0\0\0\x21"),
		REFUSED(MARK "\x21\x11\0\x13" V4 "\3\0\4\0\0\0\0"), /* sum */
		REFUSED(MARK "\x21\x11\0\x12" V4 "\3\0\3\0\0\0"),
		REFUSED(MARK "\x21\x11\xff\xff"),    /* too long */
		REFUSED(MARK "\x20\x11\x40\0"),
	};
	struct proxy_header h;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(parse(wrong[i].ptr, wrong[i].len, BOTH, &h),
		    PROXY_BAD);
}

/* A header with that much behind its fixed part: one TLV from `at` on. */
static enum proxy_verdict
with_tlv(char family, size_t len, size_t at, char type)
{
	char data[16 + 300] = MARK "\x21";
	struct proxy_header h;

	data[13] = family;
	data[14] = (char)(len >> 8);
	data[15] = (char)len;
	data[16 + at] = type;
	data[16 + at + 2] = (char)(len - at - 3);
	return parse(data, 16 + len, BOTH, &h);
}

static void
test_v2_lengths(void **state)
{
	(void)state;
	/* The paths of a unix socket take 216 bytes. */
	assert_int_equal(with_tlv(0x31, 216 + 3, 216, 4), PROXY_DONE);
	assert_int_equal(with_tlv(0x31, 215, 0, 4), PROXY_BAD);
	/* A unique id has 128 at most. */
	assert_int_equal(with_tlv(0x11, 12 + 3 + 128, 12, 5), PROXY_DONE);
	assert_int_equal(with_tlv(0x11, 12 + 3 + 129, 12, 5), PROXY_BAD);
}

/* The sum was computed by another program. */
static void
test_checksum(void **state)
{
	char data[] = MARK "\x21\x11\0\x13" V4 "\3\0\4\x4c\x74\x47\xa8";
	struct proxy_header h;

	(void)state;
	assert_int_equal(parse(data, sizeof(data) - 1, BOTH, &h), PROXY_DONE);
	data[20] ^= 1;
	assert_int_equal(parse(data, sizeof(data) - 1, BOTH, &h), PROXY_BAD);
}

static const char *
variable(const struct proxy_info *info, const char *name)
{
	static char text[64];

	for (size_t i = 0; i < info->count; i++)
		if (span_eq(info->variables[i].name, span_of(name))) {
			memcpy(text, info->variables[i].value.ptr,
			    info->variables[i].value.len);
			text[info->variables[i].value.len] = '\0';
			return text;
		}
	return NULL;
}

static void
test_variables(void **state)
{
	static const char data[] = MARK "\x21\x11\0\x5c" V4
	    "\1\0\2h2" "\2\0\7a.b.org" "\5\0\2id" "\2\0\1x"
	    "\x20\0\x25\3\0\0\0\1"
	    "\x21\0\7TLSv1.3" "\x22\0\4jane" "\x23\0\3AES" "\x40\0\1\xff"
	    "\x25\0\2EC" "\x04\0\1\0"
	    "\xea\0\4\1vpc" "\xe0\0\2\x01\xab";
	struct proxy_header h;
	struct proxy_info *info;
	struct addr hop = { .v4.sin_family = AF_INET };

	(void)state;
	assert_int_equal(sizeof(data) - 1 - 16, 0x5c);
	assert_int_equal(parse(data, sizeof(data) - 1, BOTH, &h), PROXY_DONE);
	info = proxy_info_new(&h, &hop);
	assert_non_null(info);
	assert_true(info->ssl);
	assert_string_equal(variable(info, "PROXY_PROTOCOL"), "TCP4");
	assert_string_equal(variable(info, "PROXY_ADDR"), "10.0.0.1");
	assert_string_equal(variable(info, "PROXY_PORT"), "443");
	assert_string_equal(variable(info, "PROXY_ALPN"), "h2");
	assert_string_equal(variable(info, "PROXY_AUTHORITY"), "a.b.org");
	assert_string_equal(variable(info, "PROXY_UNIQUE_ID"), "id");
	assert_string_equal(variable(info, "PROXY_SSL"), "on");
	assert_string_equal(variable(info, "PROXY_SSL_VERIFY"), "1");
	assert_string_equal(variable(info, "PROXY_SSL_VERSION"), "TLSv1.3");
	assert_string_equal(variable(info, "PROXY_SSL_CN"), "jane");
	assert_string_equal(variable(info, "PROXY_SSL_CIPHER"), "AES");
	assert_string_equal(variable(info, "PROXY_SSL_KEY_ALG"), "EC");
	assert_string_equal(variable(info, "PROXY_AWS_VPCE_ID"), "vpc");
	assert_string_equal(variable(info, "PROXY_TLV_E0"), "01ab");
	assert_string_equal(variable(info, "PROXY_TLV_40"), "ff");
	assert_null(variable(info, "PROXY_TLV_04"));
	assert_int_equal(info->count, 15); /* the second "\2" is none */
	free(info);
}

/* A client without TLS, whatever stands there; types mean what they do. */
static void
test_no_variables(void **state)
{
	static const char data[] = MARK "\x21\x11\0\x24" V4
	    "\x20\0\x0c\0\0\0\0\0" "\x21\0\4TLSv"
	    "\x21\0\1x" "\xea\0\2\2x";
	struct proxy_header h;
	struct proxy_info *info;
	struct addr hop = { .v4.sin_family = AF_INET };

	(void)state;
	assert_int_equal(parse(data, sizeof(data) - 1, BOTH, &h), PROXY_DONE);
	info = proxy_info_new(&h, &hop);
	assert_non_null(info);
	assert_false(info->ssl);
	assert_null(variable(info, "PROXY_SSL"));
	assert_null(variable(info, "PROXY_SSL_VERSION"));
	assert_string_equal(variable(info, "PROXY_TLV_21"), "78");
	assert_string_equal(variable(info, "PROXY_TLV_EA"), "0278");
	assert_int_equal(info->count, 5);
	free(info);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v1),
		cmocka_unit_test(test_v1_wrong),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_v2),
		cmocka_unit_test(test_v2_wrong),
		cmocka_unit_test(test_v2_lengths),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_variables),
		cmocka_unit_test(test_no_variables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
