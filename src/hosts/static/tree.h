/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_STATIC_TREE_H
#define BICORN_HOSTS_STATIC_TREE_H

/*
 * From names to open files, without leaving the served directory.
 *
 * The check is the opening: every file that is served was reached from the
 * directory's own descriptor by steps that cannot lead out of it, so there
 * is no moment between a check and a use in which somebody could exchange a
 * part of the path.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/*
 * A served directory as one thread sees it.  Owned by that thread; the
 * texts are borrowed or its own as said.
 */
struct tree {
	const char *name; /* as the operator gave it; borrowed */
	bool follow;      /* links may lead out */
	bool beneath;     /* the kernel has openat2() */
	int fd;           /* O_PATH, of the directory */
	char *real;       /* its absolute path without links; own */
	dev_t device;
	ino_t inode;
};

enum tree_verdict {
	TREE_FILE,      /* a regular file, open for reading */
	TREE_DIRECTORY, /* it is one; nothing is open */
	TREE_NOT_FOUND,
	TREE_FORBIDDEN, /* it is there but may not be read */
	TREE_BUSY,      /* out of descriptors or memory */
	TREE_ERROR,     /* the disk or the like; errno says what */
};

/* 0 or -1 with errno; the tree is closed then. */
int tree_open(struct tree *t, const char *name, bool follow);

/* Closes what tree_open() opened; also after it failed. */
void tree_close(struct tree *t);

/*
 * Looks whether the name stands for another directory by now, as after a
 * deployment that exchanges a link, and moves there.  When there is none at
 * the moment, the old one stays.
 */
void tree_refresh(struct tree *t);

/*
 * Opens a name relative to the tree; without "..", see path_decode().  On
 * TREE_FILE the caller owns *fd_out; otherwise it is -1.  A name with a
 * slash at its end never is a file.  Blocks for the disk, not for a FIFO.
 */
enum tree_verdict tree_resolve(const struct tree *t, const char *name,
    int *fd_out, struct stat *st_out);

/*
 * The part of tree_resolve() that does without openat2(): goes component by
 * component and reads links itself.  Flags are those of open(2).  A
 * descriptor, or -1 with errno; EXDEV when it would lead out.  Here for
 * tests on kernels that have openat2().
 */
int tree_walk(const struct tree *t, const char *name, int flags);

#endif
