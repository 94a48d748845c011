/* SPDX-License-Identifier: MIT */
#ifndef T_UNIT_FILES_H
#define T_UNIT_FILES_H

/* Files and folders of unit tests; behind <cmocka.h>. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* Makes a file of that text. */
static inline void
put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* A folder with all that is in it; 0 or another number. */
static inline int
remove_folder(const char *path)
{
	char command[PATH_MAX];

	snprintf(command, sizeof(command), "/bin/rm -rf '%s'", path);
	return system(command);
}

#endif
