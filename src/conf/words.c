/* SPDX-License-Identifier: MIT */
#include "conf/words.h"

#include <string.h>

#include "base/err.h"
#include "conf/arena.h"

static const char blanks[] = " \t\r\n";

/* Copies what is between quotes; from is behind the first.  NULL: no end. */
static const char *
copy_quoted(const char *from, char **to)
{
	char quote = from[-1];

	for (; *from != quote; from++) {
		if (*from == '\0')
			return NULL;
		if (quote == '"' && *from == '\\' && from[1] != '\0' &&
		    strchr("\"\\$`", from[1]) != NULL)
			from++;
		*(*to)++ = *from;
	}
	return from + 1;
}

/* Copies a word to *to, terminated.  NULL: a quote or a '\' has no end. */
static const char *
copy_word(const char *from, char **to)
{
	while (from != NULL && *from != '\0' && strchr(blanks, *from) == NULL)
		if (*from == '\'' || *from == '"') {
			from = copy_quoted(from + 1, to);
		} else {
			if (*from == '\\' && *++from == '\0')
				return NULL;
			*(*to)++ = *from++;
		}
	*(*to)++ = '\0';
	return from;
}

int
words_split(struct arena *a, const char *text, char *const **words_out,
    size_t *count_out, struct err *err)
{
	size_t len = strlen(text), count = 0;
	char *to = arena_alloc(a, 2 * len + 2);
	char **words = arena_alloc(a, (len / 2 + 2) * sizeof(*words));

	*words_out = words;
	*count_out = 0;
	if (to == NULL || words == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	for (text += strspn(text, blanks); *text != '\0';
	    text += strspn(text, blanks)) {
		words[count++] = to;
		text = copy_word(text, &to);
		if (text == NULL) {
			err_set(err, "a quote or a backslash at its end "
				     "keeps nothing");
			return -1;
		}
	}
	*count_out = count;
	return 0;
}
