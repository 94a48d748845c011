/* SPDX-License-Identifier: MIT */
/*
 * Addresses as text and as members of networks.  Nothing here blocks or
 * asks a name server.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/span.h"

/* A network; bytes[0..3] alone count for v4. */
struct network {
	unsigned char bytes[16];
	uint8_t bits; /* length of the prefix */
	bool v6;
};

struct addr_list {
	bool all;
	size_t count;
	struct network items[];
};

/* The four bytes of a v4 or mapped address, NULL when it is neither. */
static const unsigned char *
v4_bytes(const struct addr *a)
{
	if (a->any.sa_family == AF_INET)
		return (const unsigned char *)&a->v4.sin_addr;
	if (a->any.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
		return a->v6.sin6_addr.s6_addr + 12;
	return NULL;
}

static char *
put_byte(char *at, unsigned value)
{
	if (value >= 100) {
		*at++ = (char)('0' + value / 100);
		value %= 100;
		*at++ = (char)('0' + value / 10);
		value %= 10;
	} else if (value >= 10) {
		*at++ = (char)('0' + value / 10);
		value %= 10;
	}
	*at++ = (char)('0' + value);
	return at;
}

size_t
addr_text(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	const unsigned char *v4 = v4_bytes(a);
	char *at = out;

	if (v4 != NULL) {
		for (int i = 0; i < 4; i++) {
			at = put_byte(at, v4[i]);
			*at++ = '.';
		}
		*--at = '\0';
		return (size_t)(at - out);
	}
	out[0] = '\0';
	if (a->any.sa_family != AF_INET6 ||
	    inet_ntop(AF_INET6, &a->v6.sin6_addr, out, ADDR_TEXT_MAX) == NULL)
		return 0;
	return strlen(out);
}

unsigned
addr_port(const struct addr *a)
{
	if (a->any.sa_family == AF_INET)
		return ntohs(a->v4.sin_port);
	if (a->any.sa_family == AF_INET6)
		return ntohs(a->v6.sin6_port);
	return 0;
}

/* Whether the first `bits` bits are the same. */
static bool
prefix_eq(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	unsigned rest = bits % 8;

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return rest == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0;
}

/* Whether no bit behind the prefix is set. */
static bool
prefix_only(const struct network *n)
{
	static const unsigned char zero[16];
	unsigned whole = n->bits / 8, size = n->v6 ? 16 : 4;

	if (whole == size)
		return true;
	return (n->bytes[whole] & (0xffu >> n->bits % 8)) == 0 &&
	    memcmp(n->bytes + whole + 1, zero, size - whole - 1) == 0;
}

/* A mapped network is kept as the v4 one that it stands for. */
static void
unmap(struct network *n)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (!n->v6 || n->bits < 96 || memcmp(n->bytes, mapped, 12) != 0)
		return;
	memmove(n->bytes, n->bytes + 12, 4);
	n->bits -= 96;
	n->v6 = false;
}

bool
addr_read(struct span text, int family, void *out)
{
	char buf[ADDR_TEXT_MAX];

	if (text.len == 0 || text.len >= sizeof(buf) ||
	    memchr(text.ptr, '\0', text.len) != NULL)
		return false;
	memcpy(buf, text.ptr, text.len);
	buf[text.len] = '\0';
	return inet_pton(family, buf, out) == 1;
}

static bool
parse_address(struct span text, struct network *n)
{
	n->v6 = text.len > 0 && memchr(text.ptr, ':', text.len) != NULL;
	return addr_read(text, n->v6 ? AF_INET6 : AF_INET, n->bytes);
}

void
addr_set(struct addr *a, bool v6, const void *bytes, in_port_t port)
{
	if (v6) {
		a->v6.sin6_family = AF_INET6;
		a->v6.sin6_port = port;
		memcpy(&a->v6.sin6_addr, bytes, 16);
	} else {
		a->v4.sin_family = AF_INET;
		a->v4.sin_port = port;
		memcpy(&a->v4.sin_addr, bytes, 4);
	}
}

bool
addr_parse(struct span text, unsigned port, struct addr *out)
{
	struct network n;

	*out = (struct addr){ .any.sa_family = AF_UNSPEC };
	if (!parse_address(text, &n))
		return false;
	addr_set(out, n.v6, n.bytes, htons((uint16_t)port));
	return true;
}

static int
parse_network(const char *item, struct network *n, struct err *err)
{
	struct span rest = span_trim(span_of(item)), address;
	unsigned long long bits;
	unsigned most;

	memset(n, 0, sizeof(*n));
	span_next(&rest, '/', &address);
	if (!parse_address(address, n)) {
		err_set(err, "'%s' is not an address or network", item);
		return -1;
	}
	most = n->v6 ? 128 : 32;
	bits = most;
	if (rest.ptr != NULL && (!span_uint(rest, &bits) || bits > most)) {
		err_set(err, "'%s': the prefix behind '/' is 0 to %u", item,
		    most);
		return -1;
	}
	n->bits = (uint8_t)bits;
	if (!prefix_only(n)) {
		err_set(err, "'%s' has bits set beyond its prefix of %u", item,
		    n->bits);
		return -1;
	}
	unmap(n);
	return 0;
}

int
addr_list_new(const char *const *items, size_t count, struct addr_list **out,
    struct err *err)
{
	struct addr_list *list;
	int rc = -1;

	*out = NULL;
	list = calloc(1, sizeof(*list) + count * sizeof(list->items[0]));
	if (list == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	for (size_t i = 0; i < count; i++) {
		struct span item = span_trim(span_of(items[i]));

		if (item.len == 0)
			continue;
		if (span_eq(item, SPAN("*"))) {
			list->all = true;
			continue;
		}
		if (parse_network(items[i], &list->items[list->count], err))
			goto out;
		list->count++;
	}
	*out = list;
	list = NULL;
	rc = 0;
out:
	free(list);
	return rc;
}

bool
addr_list_has(const struct addr_list *list, const struct addr *a)
{
	const unsigned char *bytes = v4_bytes(a);
	bool v6 = bytes == NULL;

	if (v6 && a->any.sa_family != AF_INET6)
		return true;
	if (list->all)
		return true;
	if (v6)
		bytes = a->v6.sin6_addr.s6_addr;
	for (size_t i = 0; i < list->count; i++) {
		const struct network *n = &list->items[i];

		if (n->v6 == v6 && prefix_eq(n->bytes, bytes, n->bits))
			return true;
	}
	return false;
}

void
addr_list_free(struct addr_list **lp)
{
	free(*lp);
	*lp = NULL;
}
