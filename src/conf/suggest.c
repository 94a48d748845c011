/* SPDX-License-Identifier: MIT */
#include "conf/suggest.h"

#include <limits.h>

#include "conf/table.h"

#define LONGEST 63

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static char
fold(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c | 0x20);
	return c == '-' ? '_' : c;
}

/* One cell of the table of distances (optimal string alignment). */
static unsigned
cell(unsigned rows[3][LONGEST + 1], struct span a, struct span b, size_t i,
    size_t j)
{
	unsigned *now = rows[i % 3], *last = rows[(i + 2) % 3];
	unsigned *before = rows[(i + 1) % 3];
	bool same = fold(a.ptr[i - 1]) == fold(b.ptr[j - 1]);
	unsigned d = least(last[j] + 1, now[j - 1] + 1);

	d = least(d, last[j - 1] + (same ? 0 : 1));
	if (i > 1 && j > 1 && fold(a.ptr[i - 1]) == fold(b.ptr[j - 2]) &&
	    fold(a.ptr[i - 2]) == fold(b.ptr[j - 1]))
		d = least(d, before[j - 2] + 1);
	return d;
}

unsigned
suggest_distance(struct span a, struct span b)
{
	unsigned rows[3][LONGEST + 1];

	if (a.len > LONGEST || b.len > LONGEST)
		return UINT_MAX;
	for (size_t j = 0; j <= b.len; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a.len; i++) {
		rows[i % 3][0] = (unsigned)i;
		for (size_t j = 1; j <= b.len; j++)
			rows[i % 3][j] = cell(rows, a, b, i, j);
	}
	return rows[a.len % 3][b.len];
}

struct suggest
suggest_for(struct span word)
{
	/* A third of the letters may be wrong, and one more. */
	return (struct suggest){ word, SPAN_NONE,
		(unsigned)(word.len < 4 ? 2 : word.len / 3 + 2) };
}

void
suggest_offer(struct suggest *g, struct span candidate, struct span answer)
{
	unsigned d = suggest_distance(g->word, candidate);

	if (d < g->distance) {
		g->distance = d;
		g->best = answer;
	}
}

static struct span
without_dashes(struct span flag)
{
	while (flag.len > 0 && flag.ptr[0] == '-') {
		flag.ptr++;
		flag.len--;
	}
	return flag;
}

static void
offer_flags(struct suggest *g, const char *flags, struct span answer)
{
	struct span flag;

	while (flags_next(&flags, &flag))
		if (flag.len > 2)
			suggest_offer(g, without_dashes(flag), answer);
}

void
suggest_settings(struct suggest *g, bool as_flag)
{
	g->word = without_dashes(g->word);
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		const struct setting *s = &setting_table[i];
		struct span answer = as_flag ? flags_main(s->flags) :
					       span_of(s->name);

		if (answer.len == 0)
			continue;
		suggest_offer(g, span_of(s->name), answer);
		offer_flags(g, s->flags, answer);
	}
	for (size_t i = 0; as_flag && i < EXTRA_COUNT; i++)
		offer_flags(g, extra_table[i].flags,
		    flags_main(extra_table[i].flags));
}
