/* SPDX-License-Identifier: MIT */
#include "conf/wrap.h"

void
wrap_text(FILE *out, const struct wrap *w, int at, struct span text)
{
	int begin = w->indent + (int)strlen(w->prefix);
	bool first = true;
	struct span word;

	while (span_next(&text, ' ', &word)) {
		if (word.len == 0)
			continue;
		if (!first && at + 1 + (int)word.len > w->width) {
			fprintf(out, "\n%*s%s", w->indent, "", w->prefix);
			at = begin;
			first = true;
		}
		at += fprintf(out, "%s%.*s", first ? "" : " ", (int)word.len,
		    word.ptr);
		first = false;
	}
	fputc('\n', out);
}

bool
wrap_sentence(struct span *rest, struct span *sentence_out)
{
	struct span s = *rest;
	size_t end = 0;

	*sentence_out = SPAN_NONE;
	if (s.len == 0)
		return false;
	while (end < s.len && !(s.ptr[end] == '.' &&
				  (end + 1 == s.len || s.ptr[end + 1] == ' ')))
		end++;
	end += end < s.len;
	*sentence_out = (struct span){ s.ptr, end };
	while (end < s.len && s.ptr[end] == ' ')
		end++;
	*rest = (struct span){ s.ptr + end, s.len - end };
	return true;
}
