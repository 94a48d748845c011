/* SPDX-License-Identifier: MIT */
#ifndef BICORN_TLS_TICKET_KEYS_H
#define BICORN_TLS_TICKET_KEYS_H

/*
 * The keys that session tickets are sealed with: one list for all workers
 * of all generations, so that a client may come back to any of them.  The
 * first key seals, all of them open.  The arbiter makes and forgets them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bulletin;
struct err;

#define TICKET_NAME_LEN 16
#define TICKET_SECRET_LEN 32
#define TICKET_KEYS_MOST 16

struct ticket_key {
	unsigned char name[TICKET_NAME_LEN]; /* in front of each ticket */
	unsigned char secret[TICKET_SECRET_LEN];
	int64_t made_s; /* wall clock; 0: of a file */
};

struct ticket_keys {
	uint32_t count;
	uint32_t lifetime_s; /* of a ticket */
	struct ticket_key keys[TICKET_KEYS_MOST];
};

/* An empty list; freed with bulletin_free(). */
struct bulletin *ticket_keys_new(struct err *err);

/*
 * A fresh key comes to the front, and those go that can open nothing any
 * more.  -1: there is no randomness to be had.
 */
int ticket_keys_rotate(struct bulletin *b, uint32_t lifetime_s,
    int64_t now_s, struct err *err);

/* How long tickets are good; 0: there are no keys yet. */
uint32_t ticket_keys_lifetime_s(const struct bulletin *b);

/* When the next rotation is due, by the wall clock. */
int64_t ticket_keys_due_s(const struct bulletin *b);

/*
 * Replaces them by those of a file that several machines share: one or more
 * of 80 or 48 random bytes, as nginx has them; the first 16 are the name.
 * *changed_out: they are others than before.
 */
int ticket_keys_read(struct bulletin *b, const char *path,
    uint32_t lifetime_s, bool *changed_out, struct err *err);

/*
 * For a successor of the arbiter: a memory file that holds the list, which
 * the caller closes; and the list of such a descriptor, which is closed.
 */
int ticket_keys_save(const struct bulletin *b, int *fd_out, struct err *err);
int ticket_keys_restore(struct bulletin *b, int fd, struct err *err);

/* A copy, to be wiped by the caller; false: there are none. */
bool ticket_keys_get(const struct bulletin *b, struct ticket_keys *out);

#endif
