/* SPDX-License-Identifier: MIT */
#ifndef BICORN_ARBITER_ORIGIN_H
#define BICORN_ARBITER_ORIGIN_H

/*
 * The directory bicorn was started in.  Settings are read there, in each
 * reload again, and chdir counts from there.
 */

struct err;

struct origin {
	int fd;
	char *path;  /* as the shell names it, symbolic links and all, so that
			a reload follows a link that was turned; or NULL */
	char *chdir; /* the setting, which counts until the next start */
};

/* chdir may be NULL.  The caller frees with origin_fini(). */
int origin_init(struct origin *o, const char *chdir, struct err *err);
void origin_fini(struct origin *o);

/* Changes to the directory bicorn was started in. */
int origin_enter(const struct origin *o, struct err *err);

/* From there to the one it works in. */
int origin_leave(const struct origin *o, struct err *err);

#endif
