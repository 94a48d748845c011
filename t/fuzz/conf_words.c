/* SPDX-License-Identifier: MIT */
/* BICORN_CMD_ARGS: any text gives options or one line of error. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "conf/cli.h"
#include "conf/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cli cli = { .kind = SOURCE_CMD_ARGS };
	struct store st = { 0 };
	struct err err = { "" };
	char *const *words;
	char *text = arena_dup(&st.arena,
	    (struct span){ (const char *)data, size });
	size_t count;

	must(text != NULL);
	if (words_split(&st.arena, text, &words, &count, &err) == 0 &&
	    cli_parse(&cli, &st.arena, words, count, &err) == 0)
		(void)cli_apply(&cli, &st, &err);
	must(strchr(err.text, '\n') == NULL);
	arena_fini(&st.arena);
	return 0;
}
