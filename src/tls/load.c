/* SPDX-License-Identifier: MIT */
/*
 * Files to a bundle.  Runs where they may be read, in the arbiter; nothing of
 * them is understood here but whether a text is a certificate or a key.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "tls/bundle.h"
#include "tls/tls.h"

/* Far more than any chain of certificates. */
#define FILE_MAX_BYTES (4 * 1024 * 1024)

struct loading {
	const struct tls_config *config;
	struct tls_bundle *bundle;
	tls_warn_fn *warn;
	void *arg;
	struct err *err;
};

struct file {
	const char *setting;
	const char *path;
	char *text;
	size_t len;
};

static void __attribute__((format(printf, 2, 3)))
warn(const struct loading *l, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (l->warn == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	l->warn(l->arg, text);
}

static int
no_memory(const struct loading *l)
{
	err_set(l->err, "TLS: out of memory");
	return -1;
}

/* In one piece: a buffer that grew would leave parts of keys behind. */
static char *
slurp(const char *path, size_t *len_out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	struct stat sb;
	ssize_t n = -1;

	*len_out = 0;
	if (fd < 0 || fstat(fd, &sb) != 0)
		goto out;
	errno = S_ISDIR(sb.st_mode) ? EISDIR : EFBIG;
	if (errno == EISDIR || sb.st_size > FILE_MAX_BYTES)
		goto out;
	/* A pipe does not say how long it is. */
	*len_out = S_ISREG(sb.st_mode) ? (size_t)sb.st_size : FILE_MAX_BYTES;
	text = malloc(*len_out + 1);
	if (text != NULL)
		n = fd_read_all(fd, text, *len_out);
out:
	fd_close(&fd);
	if (n < 0) {
		free(text);
		return NULL;
	}
	*len_out = (size_t)n;
	text[n] = '\0';
	return text;
}

static int
read_file(const struct loading *l, struct file *f)
{
	f->text = slurp(f->path, &f->len);
	if (f->text != NULL)
		return 0;
	err_sys(l->err, "%s = %s", f->setting, f->path);
	return -1;
}

static void
file_fini(struct file *f)
{
	bundle_wipe(f->text, f->len);
	f->text = NULL;
}

static bool
holds_key(const struct file *f)
{
	const char *at = f->text;

	while ((at = strstr(at, "-----BEGIN ")) != NULL) {
		const char *end = strstr(at += 11, "-----");

		if (end == NULL)
			return false;
		if (end - at >= 11 && memcmp(end - 11, "PRIVATE KEY", 11) == 0)
			return true;
	}
	return false;
}

/* What everybody may read is no secret.  A group may be meant to. */
void
tls_check_mode(const char *setting, const char *path, tls_warn_fn *warning,
    void *arg)
{
	const struct loading l = { .warn = warning, .arg = arg };
	struct stat sb;

	if (stat(path, &sb) != 0 || !S_ISREG(sb.st_mode) ||
	    (sb.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) == 0)
		return;
	warn(&l, "%s = %s: others may %s this file (mode %04o); chmod 600 it",
	    setting, path,
	    sb.st_mode & (S_IWOTH | S_IWGRP) ? "change" : "read",
	    (unsigned)sb.st_mode & 07777);
}

static void
check_mode(const struct loading *l, const char *setting, const char *path)
{
	tls_check_mode(setting, path, l->warn, l->arg);
}

static int
add(const struct loading *l, enum bundle_kind kind, const struct file *f)
{
	return bundle_add(l->bundle, kind, f->path, f->text, f->len) ? 0 :
	    no_memory(l);
}

/* --- named pairs ---------------------------------------------------------- */

/* key: NULL when it is in the certificate's file. */
static int
load_pair(const struct loading *l, const char *cert, const char *key,
    const char *setting)
{
	struct file c = { .setting = setting, .path = cert };
	struct file k = { .setting = "keyfile", .path = key ? key : cert };
	int rc = -1;

	if (read_file(l, &c) != 0 || read_file(l, &k) != 0)
		goto out;
	check_mode(l, k.setting, k.path);
	if (add(l, BUNDLE_CERT, &c) == 0 && add(l, BUNDLE_KEY, &k) == 0)
		rc = 0;
out:
	file_fini(&k);
	file_fini(&c);
	return rc;
}

static int
load_named(const struct loading *l)
{
	const struct strlist *certs = &l->config->certfile;
	const struct strlist *keys = &l->config->keyfile;

	if (keys->count > 0 && keys->count != certs->count) {
		err_set(l->err, "keyfile: %zu of them for %zu of certfile; "
		    "name one for each, in the same order", keys->count,
		    certs->count);
		return -1;
	}
	for (size_t i = 0; i < certs->count; i++)
		if (load_pair(l, certs->items[i],
			keys->count > 0 ? keys->items[i] : NULL,
			"certfile") != 0)
			return -1;
	return 0;
}

/* --- a directory of pairs ------------------------------------------------- */

static bool
ends_in(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len > end_len && strcmp(name + len - end_len, end) == 0;
}

static bool
is_file(const char *path)
{
	struct stat sb;

	return stat(path, &sb) == 0 && S_ISREG(sb.st_mode);
}

/*
 * NAME.pem or NAME.crt: the key is in it, or in NAME.key beside it.  A file
 * without a certificate (a key, parameters) is none of ours.
 */
static int
load_beside(const struct loading *l, const char *path)
{
	struct file c = { .setting = "certdir", .path = path };
	size_t stem = strlen(path) - strlen(".pem");
	char key[4096];
	bool within, cert;

	if (read_file(l, &c) != 0)
		return -1;
	within = holds_key(&c);
	cert = strstr(c.text, "-----BEGIN CERTIFICATE-----") != NULL ||
	    strstr(c.text, "-----BEGIN ") == NULL;
	file_fini(&c);
	if (!cert)
		return 0;
	if (within)
		return load_pair(l, path, NULL, "certdir");
	snprintf(key, sizeof(key), "%.*s.key", (int)stem, path);
	if (is_file(key))
		return load_pair(l, path, key, "certdir");
	err_set(l->err, "certdir: %s has no private key, and there is no %s",
	    path, key);
	return -1;
}

/* A folder as certbot and its like make them: fullchain.pem, privkey.pem. */
static int
load_folder(const struct loading *l, const char *path)
{
	char cert[4096], key[4096];

	snprintf(cert, sizeof(cert), "%.4000s/fullchain.pem", path);
	snprintf(key, sizeof(key), "%.4000s/privkey.pem", path);
	if (!is_file(cert) || !is_file(key))
		return 0;
	if (!bundle_add(l->bundle, BUNDLE_DIR, path, "", 0))
		return no_memory(l);
	return load_pair(l, cert, key, "certdir");
}

static int
load_entry(const struct loading *l, const char *dir, const char *name)
{
	char path[4096];
	struct stat sb;

	snprintf(path, sizeof(path), "%.3000s/%.1000s", dir, name);
	if (stat(path, &sb) != 0) {
		if (errno == ENOENT)
			return 0; /* just removed, or a link to nothing */
		err_sys(l->err, "certdir: %s", path);
		return -1;
	}
	if (S_ISDIR(sb.st_mode))
		return load_folder(l, path);
	/* Nobody named it: a pipe must not keep the arbiter waiting. */
	if (!S_ISREG(sb.st_mode))
		return 0;
	if (ends_in(name, ".pem") || ends_in(name, ".crt"))
		return load_beside(l, path);
	return 0;
}

static int
visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* default.* comes first, so that it is the default; else by name. */
static int
by_name(const struct dirent **a, const struct dirent **b)
{
	bool first = strncmp((*a)->d_name, "default.", 8) == 0;
	bool second = strncmp((*b)->d_name, "default.", 8) == 0;

	if (first != second)
		return first ? -1 : 1;
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
load_dir(const struct loading *l)
{
	const char *dir = l->config->certdir;
	struct dirent **entries = NULL;
	int count, rc = 0;

	if (dir == NULL)
		return 0;
	count = scandir(dir, &entries, visible, by_name);
	if (count < 0) {
		err_sys(l->err, "certdir = %s", dir);
		return -1;
	}
	if (!bundle_add(l->bundle, BUNDLE_DIR, dir, "", 0))
		rc = no_memory(l);
	for (int i = 0; i < count; i++) {
		if (rc == 0)
			rc = load_entry(l, dir, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

/* --- the rest ------------------------------------------------------------- */

static int
load_one(const struct loading *l, enum bundle_kind kind, const char *setting,
    const char *path)
{
	struct file f = { .setting = setting, .path = path };
	int rc;

	if (path == NULL)
		return 0;
	rc = read_file(l, &f) == 0 ? add(l, kind, &f) : -1;
	file_fini(&f);
	return rc;
}

/* The first line of the file; the editor's line end is no part of it. */
static int
load_passphrase(const struct loading *l)
{
	const char *path = l->config->keyfile_passphrase_file;
	struct file f = { "keyfile_passphrase_file", path, NULL, 0 };
	size_t all;
	int rc = -1;

	if (path == NULL)
		return 0;
	if (read_file(l, &f) != 0)
		return -1;
	check_mode(l, f.setting, path);
	all = f.len;
	f.len = strcspn(f.text, "\r\n");
	if (f.len == 0)
		err_set(l->err, "keyfile_passphrase_file = %s: its first line "
		    "is empty", path);
	else
		rc = add(l, BUNDLE_PASSPHRASE, &f);
	f.len = all;
	file_fini(&f);
	return rc;
}

static bool
has_certificate(const struct tls_bundle *b)
{
	struct bundle_entry e;

	for (size_t at = 0; bundle_next(b, &at, &e);)
		if (e.kind == BUNDLE_CERT)
			return true;
	return false;
}

static int
load_all(const struct loading *l)
{
	const struct tls_config *c = l->config;

	if (load_passphrase(l) != 0 || load_named(l) != 0 ||
	    load_dir(l) != 0 ||
	    load_one(l, BUNDLE_CA, "ca_certs", c->ca_certs) != 0 ||
	    load_one(l, BUNDLE_CRL, "crlfile", c->crlfile) != 0)
		return -1;
	if (has_certificate(l->bundle))
		return 0;
	err_set(l->err, "certdir = %s: there is no certificate in it: no "
	    "NAME.pem or NAME.crt, no NAME/fullchain.pem",
	    c->certdir != NULL ? c->certdir : "");
	return -1;
}

int
tls_load(const struct tls_config *c, tls_warn_fn *warning, void *arg,
    struct tls_bundle **out, struct err *err)
{
	struct loading l = { c, bundle_new(), warning, arg, err };

	*out = NULL;
	if (l.bundle == NULL)
		return no_memory(&l);
	if (load_all(&l) != 0) {
		tls_bundle_free(&l.bundle);
		return -1;
	}
	*out = l.bundle;
	return 0;
}
