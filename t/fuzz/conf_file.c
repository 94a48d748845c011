/* SPDX-License-Identifier: MIT */
/* Settings files: any bytes give settings or one line of error. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "conf/file.h"
#include "conf/groups.h"
#include "conf/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = { "" };
	struct store st = { 0 };
	int rc;

	/* A file that includes others would read those of this machine. */
	if (memmem(data, size, "@include", 8) != NULL)
		return 0;
	rc = file_apply_text(&st, "fuzz.conf", (const char *)data, size, &err);
	must((rc == 0) == (err.text[0] == '\0'));
	must(strchr(err.text, '\n') == NULL);
	must(st.settings.threads >= 0 && st.settings.threads <= 1024);
	groups_fini(&st.settings.listen);
	arena_fini(&st.arena);
	return 0;
}
