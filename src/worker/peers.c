/* SPDX-License-Identifier: MIT */
#include "worker/peers.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/addr.h"
#include "base/must.h"

/* A power of two; lists stay short up to many thousands of addresses. */
#define BUCKETS 4096

struct peer {
	struct peer *next;
	uint64_t key[2];
	size_t users; /* until this is freed; the acceptor's */
	_Atomic size_t open; /* what counts; less by any thread */
};

struct peers {
	size_t limit;
	unsigned prefix_v6;
	uint64_t seed; /* so that nobody can choose addresses that collide */
	struct peer *buckets[BUCKETS];
};

struct peers *
peers_new(size_t limit, unsigned prefix_v6)
{
	struct peers *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->limit = limit;
	p->prefix_v6 = prefix_v6;
	if (getrandom(&p->seed, sizeof(p->seed), 0) != sizeof(p->seed))
		p->seed = (uint64_t)(uintptr_t)p;
	return p;
}

void
peers_free(struct peers **pp)
{
	struct peers *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		must(p->buckets[i] == NULL);
	free(p);
}

/* Keeps the first bits of 16 bytes. */
static void
mask(unsigned char bytes[16], unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned left = bits > 8 * i ? bits - 8 * i : 0;

		if (left < 8)
			bytes[i] &= (unsigned char)(0xff00u >> left);
	}
}

static void
key_of(const struct peers *p, const struct addr *address, uint64_t key[2])
{
	unsigned char bytes[16] = { 0 };

	if (address->any.sa_family == AF_INET6) {
		memcpy(bytes, &address->v6.sin6_addr, 16);
		if (!IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr))
			mask(bytes, p->prefix_v6);
	} else {
		bytes[10] = bytes[11] = 0xff; /* as mapped into IPv6 */
		memcpy(bytes + 12, &address->v4.sin_addr, 4);
	}
	memcpy(key, bytes, 16);
}

static struct peer **
bucket_of(struct peers *p, const uint64_t key[2])
{
	uint64_t h = (key[0] ^ p->seed) * UINT64_C(0x9e3779b97f4a7c15);

	h = (h ^ h >> 29 ^ key[1]) * UINT64_C(0xbf58476d1ce4e5b9);
	return &p->buckets[(h ^ h >> 32) % BUCKETS];
}

struct peer *
peers_enter(struct peers *p, const struct addr *address)
{
	struct peer **bucket, *peer;
	uint64_t key[2];

	key_of(p, address, key);
	bucket = bucket_of(p, key);
	for (peer = *bucket; peer != NULL; peer = peer->next)
		if (peer->key[0] == key[0] && peer->key[1] == key[1])
			break;
	if (peer == NULL) {
		peer = calloc(1, sizeof(*peer));
		if (peer == NULL)
			return NULL;
		memcpy(peer->key, key, sizeof(peer->key));
		peer->next = *bucket;
		*bucket = peer;
	}
	if (atomic_load_explicit(&peer->open, memory_order_relaxed) >=
	    p->limit)
		return NULL;
	peer->users++;
	atomic_fetch_add_explicit(&peer->open, 1, memory_order_relaxed);
	return peer;
}

void
peers_closing(struct peer *peer)
{
	atomic_fetch_sub_explicit(&peer->open, 1, memory_order_relaxed);
}

void
peers_leave(struct peers *p, struct peer *peer)
{
	struct peer **link;

	if (--peer->users > 0)
		return;
	link = bucket_of(p, peer->key);
	while (*link != peer)
		link = &(*link)->next;
	*link = peer->next;
	free(peer);
}
