/* SPDX-License-Identifier: MIT */
#include "score/counts.h"

const struct count_info count_infos[COUNT_COUNT] = {
#define COUNTER(id, family, label, value, help) \
	[COUNT_##id] = { family, label, value, help },
#include "score/counters.def"
#undef COUNTER
};

const char *const hist_names[HIST_COUNT] = {
	[HIST_QUEUE] = "queue",
	[HIST_APP] = "application",
	[HIST_SEND] = "send",
	[HIST_TOTAL] = "total",
};

uint64_t
counts_answers(const struct score_counts *n)
{
	uint64_t sum = 0;

	for (unsigned i = COUNT_ANSWERS_1XX; i <= COUNT_ANSWERS_5XX; i++)
		sum += counts_get(n, (enum count_id)i);
	return sum;
}

void
counts_merge(struct score_counts *to, const struct score_counts *from)
{
	for (unsigned i = 0; i < COUNT_COUNT; i++) {
		uint64_t more = counts_get(from, (enum count_id)i);

		if (more != 0)
			counts_add(to, (enum count_id)i, more);
	}
	for (unsigned i = 0; i < HIST_COUNT; i++)
		hist_merge(&to->hist[i], &from->hist[i]);
}
