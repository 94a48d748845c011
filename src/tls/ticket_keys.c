/* SPDX-License-Identifier: MIT */
#include "tls/ticket_keys.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bulletin.h"
#include "base/err.h"
#include "base/fd.h"

/* What nginx reads: a name, a key to sign with and one to encrypt with. */
#define FILE_KEY_LEN 80
#define FILE_SHORT_LEN 48

struct bulletin *
ticket_keys_new(struct err *err)
{
	return bulletin_new("ticket keys", sizeof(struct ticket_keys), err);
}

bool
ticket_keys_get(const struct bulletin *b, struct ticket_keys *out)
{
	uint64_t version;

	return bulletin_read(b, out, sizeof(*out), &version) ==
	    (ptrdiff_t)sizeof(*out) && out->count > 0 &&
	    out->count <= TICKET_KEYS_MOST;
}

static void
put(struct bulletin *b, struct ticket_keys *keys)
{
	const struct iovec part = { keys, sizeof(*keys) };

	bulletin_pin(b, &part, 1); /* it was made for one of these */
	explicit_bzero(keys, sizeof(*keys));
}

/* A ticket may be as old as its lifetime, and its key that much older. */
static bool
is_of_use(const struct ticket_key *k, uint32_t lifetime_s, int64_t now_s)
{
	return k->made_s != 0 && k->made_s <= now_s &&
	    now_s - k->made_s <= 2 * (int64_t)lifetime_s;
}

int
ticket_keys_rotate(struct bulletin *b, uint32_t lifetime_s, int64_t now_s,
    struct err *err)
{
	struct ticket_keys old, new = { .count = 1, .lifetime_s = lifetime_s };
	struct ticket_key *first = &new.keys[0];

	if (getrandom(first->name, sizeof(first->name), 0) !=
		(ssize_t)sizeof(first->name) ||
	    getrandom(first->secret, sizeof(first->secret), 0) !=
		(ssize_t)sizeof(first->secret)) {
		err_sys(err, "a key for session tickets");
		return -1;
	}
	first->made_s = now_s;
	if (!ticket_keys_get(b, &old))
		old.count = 0;
	for (uint32_t i = 0; i < old.count &&
	     new.count < TICKET_KEYS_MOST; i++)
		if (is_of_use(&old.keys[i], lifetime_s, now_s))
			new.keys[new.count++] = old.keys[i];
	put(b, &new);
	explicit_bzero(&old, sizeof(old));
	return 0;
}

uint32_t
ticket_keys_lifetime_s(const struct bulletin *b)
{
	struct ticket_keys keys;
	uint32_t lifetime_s = 0;

	if (ticket_keys_get(b, &keys))
		lifetime_s = keys.lifetime_s;
	explicit_bzero(&keys, sizeof(keys));
	return lifetime_s;
}

int64_t
ticket_keys_due_s(const struct bulletin *b)
{
	struct ticket_keys keys;
	int64_t due = 0;

	if (ticket_keys_get(b, &keys) && keys.keys[0].made_s != 0)
		due = keys.keys[0].made_s + keys.lifetime_s;
	explicit_bzero(&keys, sizeof(keys));
	return due;
}

/* --- a file of them ------------------------------------------------------- */

static int
parse(const char *path, const char *text, size_t len,
    struct ticket_keys *out, struct err *err)
{
	size_t each = len % FILE_KEY_LEN == 0 ? FILE_KEY_LEN : FILE_SHORT_LEN;

	if (len == 0 || len % each != 0) {
		err_set(err, "tls_ticket_keys = %s: holds %zu bytes; must be "
		    "one or more keys of 80 random bytes, or of 48", path,
		    len);
		return -1;
	}
	if (len / each > TICKET_KEYS_MOST) {
		err_set(err, "tls_ticket_keys = %s: more than %d keys", path,
		    TICKET_KEYS_MOST);
		return -1;
	}
	for (size_t at = 0; at < len; at += each) {
		struct ticket_key *k = &out->keys[out->count++];

		memcpy(k->name, text + at, sizeof(k->name));
		memcpy(k->secret, text + at + each - sizeof(k->secret),
		    sizeof(k->secret));
	}
	return 0;
}

int
ticket_keys_read(struct bulletin *b, const char *path, uint32_t lifetime_s,
    bool *changed_out, struct err *err)
{
	struct ticket_keys new = { .lifetime_s = lifetime_s }, old;
	size_t len = 0;
	char *text = fd_slurp(path, FILE_KEY_LEN * TICKET_KEYS_MOST + 1, &len);
	int rc;

	*changed_out = false;
	if (text == NULL) {
		err_sys(err, "tls_ticket_keys = %s", path);
		return -1;
	}
	rc = parse(path, text, len, &new, err);
	explicit_bzero(text, len);
	free(text);
	if (rc == 0) {
		*changed_out = !ticket_keys_get(b, &old) ||
		    memcmp(&old, &new, sizeof(new)) != 0;
		explicit_bzero(&old, sizeof(old));
	}
	if (*changed_out)
		put(b, &new);
	explicit_bzero(&new, sizeof(new));
	return rc;
}

/* --- to a successor ------------------------------------------------------- */

int
ticket_keys_save(const struct bulletin *b, int *fd_out, struct err *err)
{
	struct ticket_keys keys;
	int rc = -1, fd = -1;

	*fd_out = -1;
	if (!ticket_keys_get(b, &keys)) {
		err_set(err, "there are no keys for session tickets");
		return -1;
	}
	fd = memfd_create("ticket keys", MFD_CLOEXEC);
	if (fd >= 0 && fd_pwrite_all(fd, &keys, sizeof(keys), 0) == 0)
		rc = 0;
	else
		err_sys(err, "keys for session tickets");
	explicit_bzero(&keys, sizeof(keys));
	if (rc != 0)
		fd_close(&fd);
	*fd_out = fd;
	return rc;
}

int
ticket_keys_restore(struct bulletin *b, int fd, struct err *err)
{
	struct ticket_keys keys;
	ssize_t n = fd_pread_all(fd, &keys, sizeof(keys), 0);

	fd_close(&fd);
	if (n != (ssize_t)sizeof(keys) || keys.count == 0 ||
	    keys.count > TICKET_KEYS_MOST) {
		err_set(err, "keys for session tickets: not what was "
			     "expected");
		return -1;
	}
	put(b, &keys);
	return 0;
}
