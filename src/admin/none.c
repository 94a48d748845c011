/* SPDX-License-Identifier: MIT */
/* A build without jansson has no admin process. */
#include "admin/admin.h"

bool
admin_is_built_in(void)
{
	return false;
}

int
admin_main(const struct admin_options *o)
{
	(void)o;
	return 1;
}
