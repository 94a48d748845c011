/* SPDX-License-Identifier: MIT */
/*
 * Load on a server over keep-alive connections to 127.0.0.1, from one thread:
 *
 *	load [-c CONNECTIONS] [-d SECONDS] [-p DEPTH] [-r RATE] [-i] PORT [PATH]
 *	load -u BYTES [-d SECONDS] PORT [PATH]
 *
 * Each connection has DEPTH (1) requests under way.  With a RATE, so many
 * requests are sent each second, whether the server keeps up or not, and their
 * time counts from when they were due; otherwise the next is sent when one is
 * answered.  -i opens the connections, uses each once, says "idle", and waits
 * for the end of its input.  -u sends bodies of so many bytes over one
 * connection, one after the other.
 *
 * Prints one line of JSON: requests, bytes (of answers, also of those that are
 * not complete, or of bodies), seconds, errors, p50_us, p99_us, max_us, least
 * and most (answers on the connection that got fewest and most), cpu_s (its
 * own processor time).  All answers have to have the size of the first.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 64
#define READ_SIZE (256 * 1024)
/* With a rate, requests are sent at most so often, all that are due. */
#define TICK_NS 100000
/* Times up to a second, in buckets that are an eighth apart at most. */
#define BUCKETS 512

struct link {
	int fd;
	uint64_t left;     /* bytes until the answer under way is complete */
	unsigned waiting;  /* requests under way */
	unsigned oldest;   /* the first of them, in sent[] */
	int64_t sent[DEPTH_MAX];
	uint64_t answers;
};

struct load {
	int epoll;
	int timer;
	struct link *links;
	unsigned count;
	unsigned depth;
	uint64_t rate;
	char request[4096];
	size_t request_len;
	uint64_t size; /* of an answer */
	uint64_t done, errors, bytes;
	uint64_t upload; /* bytes of each body, or 0 */
	uint64_t bucket[BUCKETS];
	int64_t max_ns;
	int64_t due_ns; /* of the next request, with a rate */
	unsigned next;  /* and its connection */
	char *buf;
};

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- times ---------------------------------------------------------------- */

/* Eight buckets for each doubling, from 1 us on. */
static unsigned
bucket_of(int64_t ns)
{
	uint64_t us = ns < 1000 ? 1 : (uint64_t)ns / 1000;
	unsigned log = 63 - (unsigned)__builtin_clzll(us);
	unsigned part = log >= 3 ? (us >> (log - 3)) & 7
				 : (us << (3 - log)) & 7;

	return log * 8 + part < BUCKETS ? log * 8 + part : BUCKETS - 1;
}

/* The upper end of a bucket. */
static double
bucket_us(unsigned b)
{
	return (double)(UINT64_C(1) << (b / 8)) * (1 + (b % 8 + 1) / 8.0);
}

static double
percentile(const struct load *l, double share)
{
	uint64_t sum = 0, want = (uint64_t)((double)l->done * share);

	for (unsigned b = 0; b < BUCKETS; b++) {
		sum += l->bucket[b];
		if (sum > want)
			return bucket_us(b);
	}
	return 0;
}

/* --- connections ---------------------------------------------------------- */

static int
open_link(unsigned port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void
send_request(const struct load *l, int fd)
{
	if (send(fd, l->request, l->request_len, MSG_NOSIGNAL) !=
	    (ssize_t)l->request_len)
		die("send");
}

/* Waits for a whole answer and returns its size. */
static uint64_t
receive_whole(struct load *l, int fd)
{
	size_t have = 0;
	char *end = NULL, *field;
	uint64_t size, got;

	while (end == NULL) {
		ssize_t n = read(fd, l->buf + have, READ_SIZE - 1 - have);

		if (n <= 0)
			die("read");
		have += (size_t)n;
		l->buf[have] = '\0';
		end = strstr(l->buf, "\r\n\r\n");
	}
	if (strncmp(l->buf, "HTTP/1.1 200", 12) != 0 ||
	    (field = strcasestr(l->buf, "\r\ncontent-length:")) == NULL) {
		fprintf(stderr, "load: not a 200 with a length: %.80s\n",
		    l->buf);
		exit(1);
	}
	size = (uint64_t)(end + 4 - l->buf) + strtoull(field + 17, NULL, 10);
	for (got = have; got < size;) {
		ssize_t n = read(fd, l->buf, READ_SIZE);

		if (n <= 0)
			die("read");
		got += (uint64_t)n;
	}
	return size;
}

static void
open_links(struct load *l, unsigned port)
{
	l->links = calloc(l->count, sizeof(*l->links));
	if (l->links == NULL)
		die("calloc");
	for (unsigned i = 0; i < l->count; i++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.u32 = i };
		struct link *k = &l->links[i];

		k->fd = open_link(port);
		send_request(l, k->fd);
		l->size = receive_whole(l, k->fd);
		k->left = l->size;
		if (fcntl(k->fd, F_SETFL, O_NONBLOCK) != 0 ||
		    epoll_ctl(l->epoll, EPOLL_CTL_ADD, k->fd, &ev) != 0)
			die("epoll_ctl");
	}
}

/* --- requests ------------------------------------------------------------- */

/* Sends n requests, all due at that time. */
static void
ask(struct load *l, struct link *k, unsigned n, int64_t due_ns)
{
	char text[DEPTH_MAX * 256];
	size_t len = 0;

	if (k->fd < 0)
		return;
	for (unsigned i = 0; i < n; i++) {
		k->sent[(k->oldest + k->waiting++) % DEPTH_MAX] = due_ns;
		memcpy(text + len, l->request, l->request_len);
		len += l->request_len;
	}
	/* Requests are small and few: a socket that takes none is broken. */
	if (send(k->fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
		l->errors++;
}

static void
answered(struct load *l, struct link *k, int64_t now)
{
	int64_t took = now - k->sent[k->oldest];

	k->oldest = (k->oldest + 1) % DEPTH_MAX;
	k->waiting--;
	k->answers++;
	l->done++;
	l->bucket[bucket_of(took)]++;
	if (took > l->max_ns)
		l->max_ns = took;
}

static void
receive(struct load *l, struct link *k)
{
	ssize_t n = read(k->fd, l->buf, READ_SIZE);
	int64_t now = now_ns();
	unsigned ready = 0;
	uint64_t left;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		l->errors++;
		close(k->fd);
		k->fd = -1;
		return;
	}
	l->bytes += (uint64_t)n;
	for (left = (uint64_t)n; left >= k->left && k->waiting > 0; ready++) {
		left -= k->left;
		k->left = l->size;
		answered(l, k, now);
	}
	k->left -= left;
	if (l->rate == 0 && ready > 0)
		ask(l, k, ready, now);
}

/* --- a steady rate -------------------------------------------------------- */

/*
 * Not more often than each tick: to be woken for each request would take all
 * of a processor, and the delay would be measured as the server's.
 */
static void
set_timer(struct load *l, int64_t now)
{
	int64_t next = l->due_ns > now + TICK_NS ? l->due_ns : now + TICK_NS;
	struct itimerspec t = { .it_value = {
		.tv_sec = next / 1000000000,
		.tv_nsec = next % 1000000000 } };

	if (timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &t, NULL) != 0)
		die("timerfd_settime");
}

/* Sends what is due, each on the next connection with room. */
static void
send_due(struct load *l)
{
	int64_t now = now_ns(), step = 1000000000 / (int64_t)l->rate;

	for (; l->due_ns <= now; l->due_ns += step) {
		struct link *k = NULL;

		for (unsigned i = 0; i < l->count && k == NULL; i++) {
			k = &l->links[l->next++ % l->count];
			if (k->waiting >= l->depth)
				k = NULL;
		}
		if (k == NULL)
			break; /* later; its time counts from when it was due */
		ask(l, k, 1, l->due_ns);
	}
	set_timer(l, now);
}

static void
start(struct load *l)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = UINT32_MAX };

	if (l->rate == 0) {
		for (unsigned i = 0; i < l->count; i++)
			ask(l, &l->links[i], l->depth, now_ns());
		return;
	}
	l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	if (l->timer < 0 ||
	    epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->timer, &ev) != 0)
		die("timerfd");
	l->due_ns = now_ns() + 1000000;
	set_timer(l, l->due_ns);
}

static void
run(struct load *l, double seconds)
{
	int64_t end = now_ns() + (int64_t)(seconds * 1e9);
	struct epoll_event events[256];

	while (now_ns() < end) {
		int n = epoll_wait(l->epoll, events, 256, 100);
		bool due = false;

		for (int i = 0; i < n; i++)
			if (events[i].data.u32 == UINT32_MAX)
				due = true;
			else
				receive(l, &l->links[events[i].data.u32]);
		if (due)
			send_due(l);
	}
}

/* --- bodies --------------------------------------------------------------- */

static void
send_body(struct load *l, int fd)
{
	for (uint64_t left = l->upload; left > 0;) {
		size_t part = left < READ_SIZE ? (size_t)left : READ_SIZE;
		ssize_t n = send(fd, l->buf, part, MSG_NOSIGNAL);

		if (n <= 0)
			die("send");
		left -= (uint64_t)n;
	}
	l->bytes += l->upload;
}

/* Bodies over one connection, each once the one before it is answered. */
static void
upload(struct load *l, unsigned port, double seconds)
{
	int64_t end = now_ns() + (int64_t)(seconds * 1e9), begun;

	l->links = calloc(1, sizeof(*l->links));
	if (l->links == NULL)
		die("calloc");
	l->links->fd = open_link(port);
	do {
		begun = now_ns();
		send_request(l, l->links->fd);
		send_body(l, l->links->fd);
		receive_whole(l, l->links->fd);
		l->links->sent[0] = begun;
		l->links->oldest = 0;
		answered(l, l->links, now_ns());
	} while (now_ns() < end);
}

static double
seconds_of(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void
report(const struct load *l, double seconds)
{
	uint64_t least = UINT64_MAX, most = 0;
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	for (unsigned i = 0; i < l->count; i++) {
		uint64_t n = l->links[i].answers;

		least = n < least ? n : least;
		most = n > most ? n : most;
	}
	printf("{\"requests\": %" PRIu64 ", \"bytes\": %" PRIu64
	    ", \"seconds\": %.3f, \"errors\": %" PRIu64
	    ", \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, "
	    "\"least\": %" PRIu64 ", \"most\": %" PRIu64
	    ", \"cpu_s\": %.3f}\n",
	    l->done, l->bytes, seconds, l->errors, percentile(l, .5),
	    percentile(l, .99), (double)l->max_ns / 1e3, least, most,
	    seconds_of(used.ru_utime) + seconds_of(used.ru_stime));
}

int
main(int argc, char **argv)
{
	struct load l = { .count = 64, .depth = 1 };
	struct rlimit files;
	double seconds = 3;
	bool idle = false;
	int64_t begun;
	int option;

	while ((option = getopt(argc, argv, "c:d:p:r:u:i")) != -1)
		switch (option) {
		case 'c': l.count = (unsigned)atoi(optarg); break;
		case 'd': seconds = atof(optarg); break;
		case 'p': l.depth = (unsigned)atoi(optarg); break;
		case 'r': l.rate = strtoull(optarg, NULL, 10); break;
		case 'u': l.upload = strtoull(optarg, NULL, 10); break;
		case 'i': idle = true; break;
		default: return 2;
		}
	if (optind >= argc || l.count == 0 || l.depth == 0 ||
	    l.depth > DEPTH_MAX)
		return 2;
	l.request_len = (size_t)snprintf(l.request, 256,
	    "%s %.100s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n",
	    l.upload > 0 ? "POST" : "GET",
	    optind + 1 < argc ? argv[optind + 1] : "/", argv[optind]);
	if (l.upload > 0)
		l.request_len += (size_t)sprintf(l.request + l.request_len,
		    "Content-Length: %" PRIu64 "\r\n", l.upload);
	l.request_len += (size_t)sprintf(l.request + l.request_len, "\r\n");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	l.buf = calloc(1, READ_SIZE);
	l.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l.buf == NULL || l.epoll < 0)
		die("load");
	if (l.upload > 0) {
		begun = now_ns();
		upload(&l, (unsigned)atoi(argv[optind]), seconds);
		report(&l, (double)(now_ns() - begun) / 1e9);
		return 0;
	}
	open_links(&l, (unsigned)atoi(argv[optind]));
	if (idle) {
		puts("idle");
		fflush(stdout);
		return getchar() == EOF ? 0 : 0;
	}
	begun = now_ns();
	start(&l);
	run(&l, seconds);
	report(&l, (double)(now_ns() - begun) / 1e9);
	return 0;
}
