/* SPDX-License-Identifier: MIT */
#include "arbiter/origin.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

/* $PWD, when it tells the truth. */
static const char *
logical_path(void)
{
	const char *path = getenv("PWD");
	struct stat named, real;

	if (path == NULL || path[0] != '/' || stat(path, &named) != 0 ||
	    stat(".", &real) != 0)
		return NULL;
	return named.st_dev == real.st_dev && named.st_ino == real.st_ino ?
		   path :
		   NULL;
}

static int
copy(const char *from, char **out)
{
	*out = from != NULL ? strdup(from) : NULL;
	return from == NULL || *out != NULL ? 0 : -1;
}

int
origin_init(struct origin *o, const char *chdir, struct err *err)
{
	o->path = o->chdir = NULL;
	o->fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (o->fd >= 0 && copy(logical_path(), &o->path) == 0 &&
	    copy(chdir, &o->chdir) == 0)
		return 0;
	err_sys(err, "the current directory");
	origin_fini(o);
	return -1;
}

void
origin_fini(struct origin *o)
{
	fd_close(&o->fd);
	free(o->path);
	free(o->chdir);
	o->path = o->chdir = NULL;
}

int
origin_enter(const struct origin *o, struct err *err)
{
	if ((o->path != NULL && chdir(o->path) == 0) || fchdir(o->fd) == 0)
		return 0;
	err_sys(err, "the directory of the start");
	return -1;
}

int
origin_leave(const struct origin *o, struct err *err)
{
	if (o->chdir == NULL || chdir(o->chdir) == 0)
		return 0;
	err_sys(err, "chdir = %s", o->chdir);
	return -1;
}
