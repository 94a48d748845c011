/* SPDX-License-Identifier: MIT */
/*
 * How fast heads are parsed, in GB/s: by each scanner of http/scan.h, and by
 * two loops without vectors that do the same work: byte by byte over a table,
 * and 8 bytes at a time in a register.  Measures, asserts no time; that all
 * find the same fields is asserted.
 *
 *	http_head [SECONDS [NAME]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/must.h"
#include "http/bytes.h"
#include "http/head_private.h"

/* A page load by a browser, 700 bytes. */
static const char browser[] =
    "GET /articles/2026/11/a-page?id=42&view=full HTTP/1.1\r\n"
    "Host: www.example.org\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 "
    "Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,"
    "image/avif,image/webp,*/*;q=0.8\r\n"
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Referer: https://www.example.org/articles/index.html\r\n"
    "DNT: 1\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: sessionid=0123456789abcdef0123456789abcdef; theme=dark; "
    "csrftoken=ZmVkY2JhOTg3NjU0MzIxMDEy; cart=0\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Priority: u=0, i\r\n"
    "Cache-Control: max-age=0\r\n"
    "\r\n";

/* What a load generator sends. */
static const char small[] = "GET / HTTP/1.1\r\n"
			    "Host: 127.0.0.1:8000\r\n"
			    "\r\n";

/*
 * No two clients send the same.  One head over and over is learned by heart
 * by the branch predictor; VARIANTS of them, of the same kind and size in
 * the mean, are what a server meets.
 */
#define VARIANTS 400
#define VARIANT_MAX 2000

struct sample {
	const char *name;
	char (*texts)[VARIANT_MAX];
	size_t count;
	size_t len; /* of all */
};

static uint32_t
draw(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)*seed * below >> 32);
}

/* Appends between from and to letters. */
static void
noise(char *out, uint32_t *seed, uint32_t from, uint32_t to)
{
	char *p = out + strlen(out);

	for (uint32_t n = from + draw(seed, to - from + 1); n > 0; n--)
		*p++ = (char)('a' + draw(seed, 26));
	*p = '\0';
}

/* NAME, value begin, fewest and most letters that follow; in percent, how
 * often it is there. */
static const struct {
	const char *text;
	uint32_t from, to, often;
} kinds[] = {
	{ "User-Agent: Mozilla/5.0 (X11; Linux x86_64) ", 25, 75, 100 },
	{ "Accept: text/html,application/xml;q=0.9,*/*;", 0, 80, 100 },
	{ "Accept-Language: en-", 2, 30, 95 },
	{ "Accept-Encoding: gzip, deflate", 0, 10, 100 },
	{ "Referer: https://www.example.org/", 0, 60, 80 },
	{ "DNT: 1", 0, 0, 50 },
	{ "Connection: keep-alive", 0, 0, 90 },
	{ "Cookie: sessionid=", 30, 170, 90 },
	{ "Upgrade-Insecure-Requests: 1", 0, 0, 80 },
	{ "Sec-Fetch-Dest: document", 0, 0, 90 },
	{ "Sec-Fetch-Mode: navigate", 0, 0, 90 },
	{ "Sec-Fetch-Site: ", 4, 11, 90 },
	{ "Priority: u=", 1, 4, 60 },
	{ "Cache-Control: max-age=0", 0, 0, 60 },
	{ "sec-ch-ua: ", 20, 60, 40 },
	{ "X-Forwarded-For: 192.0.2.1", 0, 20, 40 },
	{ "If-None-Match: ", 10, 40, 30 },
};

static void
vary(char *out, uint32_t *seed)
{
	const uint32_t count = sizeof(kinds) / sizeof(kinds[0]);
	uint32_t first = draw(seed, count);

	strcpy(out, "GET /");
	noise(out, seed, 0, 60);
	strcat(out, " HTTP/1.1\r\nHost: ");
	noise(out, seed, 5, 25);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t k = (first + i) % count;

		if (draw(seed, 100) >= kinds[k].often)
			continue;
		strcat(out, "\r\n");
		strcat(out, kinds[k].text);
		noise(out, seed, kinds[k].from, kinds[k].to);
	}
	strcat(out, "\r\n\r\n");
}

static void
sample_make(struct sample *s, const char *name, const char *text, size_t count)
{
	uint32_t seed = 1;

	*s = (struct sample){ .name = name, .count = count };
	s->texts = calloc(count, sizeof(*s->texts));
	must(s->texts != NULL);
	for (size_t i = 0; i < count; i++) {
		if (text != NULL)
			strcpy(s->texts[i], text);
		else
			vary(s->texts[i], &seed);
		s->len += strlen(s->texts[i]);
	}
}

static const struct http_limits limits = { 4094, 100, 8190, 0 };

/* --- the comparison ------------------------------------------------------ */

/* The two ways to find the end of something. */
struct ends {
	const char *(*name)(const char *p, const char *end);
	const char *(*value)(const char *p, const char *end);
	const char *(*target)(const char *p, const char *end);
};

static inline const char *
byte_loop(const char *p, const char *end, uint8_t stop)
{
	while (end - p >= 4) {
		if (http_bytes[(unsigned char)p[0]] & stop)
			return p;
		if (http_bytes[(unsigned char)p[1]] & stop)
			return p + 1;
		if (http_bytes[(unsigned char)p[2]] & stop)
			return p + 2;
		if (http_bytes[(unsigned char)p[3]] & stop)
			return p + 3;
		p += 4;
	}
	while (p < end && !(http_bytes[(unsigned char)*p] & stop))
		p++;
	return p;
}

static inline const char *
byte_name(const char *p, const char *end)
{
	return byte_loop(p, end, HTTP_B_NOT_TOKEN);
}

static inline const char *
byte_value(const char *p, const char *end)
{
	return byte_loop(p, end, HTTP_B_STOP);
}

static inline const char *
byte_target(const char *p, const char *end)
{
	return byte_loop(p, end, HTTP_B_MARK);
}

/* Skips 8 bytes at a time that are neither controls nor DEL. */
static inline const char *
word_value(const char *p, const char *end)
{
	while (end - p >= 8) {
		uint64_t x = http_load8(p);

		if (http_below(x, ' ') | http_equal(x, 0x7f))
			break;
		p += 8;
	}
	return byte_loop(p, end, HTTP_B_STOP);
}

static inline bool
plain_line(struct http_head *h, const char *data, const char **pp,
    const char *end, const struct ends *ends)
{
	const char *p = data, *from;

	while (p < end && p - data <= 20 &&
	       (http_bytes[(unsigned char)*p] & HTTP_B_METHOD))
		p++;
	h->method = (struct http_part){ 0, (uint32_t)(p - data) };
	if (p == end || *p != ' ' || h->method.len < 3)
		return false;
	from = ++p;
	for (;; p++) {
		p = ends->target(p, end);
		if (p == end)
			return false;
		if (*p == '?' && h->query.at == 0)
			h->query.at = (uint32_t)(p - data) + 1;
		else if (*p != '?')
			break;
	}
	h->target.at = (uint32_t)(from - data);
	h->target.len = (uint32_t)(p - from);
	if (*p != ' ' || end - p < 11 || p - data > limits.line)
		return false;
	if (memcmp(p, " HTTP/1.1\r\n", 11) != 0)
		return false;
	h->minor = 1;
	*pp = p + 11;
	return http_head_target(h, data) == HTTP_DONE;
}

static inline bool
plain_field(struct http_head *h, const char *data, const char **pp,
    const char *end, const struct ends *ends)
{
	struct http_field *f = &h->fields[h->field_count];
	const char *p = *pp, *from = p, *last;

	p = ends->name(p, end);
	if (p == end || *p != ':' || p == from ||
	    h->field_count == h->field_room)
		return false;
	f->name.at = (uint32_t)(from - data);
	f->name.len = (uint32_t)(p - from);
	f->underscore = memchr(from, '_', f->name.len) != NULL;
	for (p++; p < end && (*p == ' ' || *p == '\t'); p++)
		;
	from = p;
	p = ends->value(p, end);
	if (end - p < 2 || p[0] != '\r' || p[1] != '\n' ||
	    p - *pp > limits.field_size)
		return false;
	for (last = p; last > from && (last[-1] == ' ' || last[-1] == '\t');)
		last--;
	f->value.at = (uint32_t)(from - data);
	f->value.len = (uint32_t)(last - from);
	*pp = p + 2;
	f->id = (uint8_t)http_field_id(data + f->name.at, f->name.len);
	if (f->id != HTTP_F_OTHER &&
	    http_head_field_done(h, data, f) != HTTP_DONE)
		return false;
	h->field_count++;
	return true;
}

/* One pass, no resuming: less than the parser has to do. */
static inline bool
plain_parse(
    struct http_head *h, const char *data, size_t len, const struct ends *ends)
{
	const char *p = data, *end = data + len;

	h->content_length = -1;
	h->host = -1;
	if (!plain_line(h, data, &p, end, ends))
		return false;
	while (end - p >= 2 && (p[0] != '\r' || p[1] != '\n'))
		if (!plain_field(h, data, &p, end, ends))
			return false;
	h->length = (uint32_t)(p + 2 - data);
	return http_head_finish(h) == HTTP_DONE;
}

static const struct ends by_byte = { byte_name, byte_value, byte_target };
static const struct ends by_word = { byte_name, word_value, byte_target };

/* --- measuring ----------------------------------------------------------- */

struct subject {
	const char *name;
	http_scan_fn *scan;
	const struct ends *ends;
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static __attribute__((noinline)) bool
parse(
    struct http_head *h, const char *data, size_t len, const struct subject *s)
{
	http_head_reset(h);
	if (s->scan != NULL)
		return http_head_parse_with(h, data, len, &limits, s->scan) ==
		       HTTP_DONE;
	/* Constants, so that the loops are inlined. */
	if (s->ends == &by_byte)
		return plain_parse(h, data, len, &by_byte);
	return plain_parse(h, data, len, &by_word);
}

static double
round_of(const struct subject *s, const struct sample *in, struct http_head *h,
    const size_t *lens)
{
	size_t rounds = 1 + 2000 / in->count;
	double begin = now();

	for (size_t i = 0; i < rounds; i++)
		for (size_t k = 0; k < in->count; k++)
			must(parse(h, in->texts[k], lens[k], s));
	return (now() - begin) / (double)(rounds * in->count);
}

static void
measure(const struct subject *s, const struct sample *in, double seconds)
{
	struct http_head h = { 0 };
	double best = 1e9, end = now() + seconds;
	double mean = (double)in->len / (double)in->count;
	size_t lens[VARIANTS];

	for (size_t i = 0; i < in->count; i++)
		lens[i] = strlen(in->texts[i]);
	h.field_room = 64;
	h.fields = calloc(h.field_room, sizeof(*h.fields));
	must(h.fields != NULL);
	while (now() < end) {
		double took = round_of(s, in, &h, lens);

		best = took < best ? took : best;
	}
	printf("%-10s %-8s %6.1f bytes %8.1f ns  %6.2f GB/s\n", s->name,
	    in->name, mean, best * 1e9, mean / best / 1e9);
	http_head_fini(&h);
}

int
main(int argc, char **argv)
{
	const struct subject subjects[] = {
		{ "byte loop", NULL, &by_byte },
		{ "word loop", NULL, &by_word },
		{ "portable", http_scan_at(HTTP_SCAN_PORTABLE), NULL },
		{ "ssse3", http_scan_at(HTTP_SCAN_SSE), NULL },
		{ "avx2", http_scan_at(HTTP_SCAN_AVX2), NULL },
		{ "avx512", http_scan_at(HTTP_SCAN_AVX512), NULL },
		{ "neon", http_scan_at(HTTP_SCAN_NEON), NULL },
	};
	double seconds = argc > 1 ? atof(argv[1]) : 0.5;
	struct sample samples[3];

	sample_make(&samples[0], "varied", NULL, VARIANTS);
	sample_make(&samples[1], "browser", browser, 1);
	sample_make(&samples[2], "small", small, 1);
	for (size_t i = 0; i < 3 * sizeof(subjects) / sizeof(*subjects); i++) {
		const struct subject *s = &subjects[i / 3];

		if (s->scan == NULL && s->ends == NULL)
			continue;
		if (argc <= 2 || strcmp(argv[2], s->name) == 0)
			measure(s, &samples[i % 3], seconds);
	}
	for (size_t i = 0; i < 3; i++)
		free(samples[i].texts);
	return 0;
}
