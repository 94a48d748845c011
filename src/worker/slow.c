/* SPDX-License-Identifier: MIT */
#include "worker/slow.h"

#include "conf/conf.h"

/* The earlier of the timeout and the moment the average becomes too low. */
static int64_t
left_ms(const struct settings *s, const struct slow *slow, int64_t now_ms,
    int64_t timeout_ms, int64_t rate)
{
	int64_t spent = slow->spent_ms + now_ms - slow->since_ms, earned;

	if (rate == 0)
		return timeout_ms;
	/* No more than a year, which cannot overflow. */
	earned = slow->bytes / (uint64_t)rate > 31536000
	    ? INT64_C(31536000000)
	    : (int64_t)(slow->bytes * 1000 / (uint64_t)rate);
	earned += s->rate_grace_ms - spent;
	return earned < timeout_ms ? earned : timeout_ms;
}

int64_t
slow_wait_ms(const struct settings *s, const struct slow *slow,
    int64_t now_ms)
{
	return left_ms(s, slow, now_ms, s->send_timeout_ms,
	    s->send_min_rate_bytes);
}

int64_t
slow_body_ms(const struct settings *s, const struct slow *slow,
    int64_t now_ms)
{
	return left_ms(s, slow, now_ms, s->body_timeout_ms,
	    s->body_min_rate_bytes);
}
