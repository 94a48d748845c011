/* SPDX-License-Identifier: MIT */
/*
 * A library to be preloaded into bicorn: system calls and allocations that
 * its workers make fail, or come back short, when a test wants it.
 *
 * FAULTS names a file that the test shares with it: struct control below,
 * which test_faults.py writes.  Nothing fails in the arbiter, and nothing in
 * calls that do not come from bicorn and its modules themselves: how Python
 * or an application takes it is not what is tested.
 *
 * What the kernel never does is not done here: a recv() without bytes to
 * read is the only one that says EAGAIN, for the edge that tells of more
 * would not come.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define CALLER() ((uintptr_t)__builtin_return_address(0))

/* The order is that of OPS in test_faults.py. */
enum op {
	OP_RECV,
	OP_SEND,
	OP_SENDFILE,
	OP_READ,
	OP_WRITE,
	OP_PREAD,
	OP_PWRITE,
	OP_ACCEPT,
	OP_EPOLL_CTL,
	OP_EPOLL_WAIT,
	OP_POLL,
	OP_OPEN,
	OP_FCNTL,
	OP_MALLOC,
	OP_MMAP,
	OP_IO_SETUP,
	OP_IO_SUBMIT,
	OP_COUNT
};

#define SHORT (-1)
#define ERRORS_MAX 6

/* What each may come to; the test may choose one. */
static const int natural[OP_COUNT][ERRORS_MAX] = {
	[OP_RECV] = { SHORT, SHORT, EINTR, ECONNRESET },
	[OP_SEND] = { SHORT, SHORT, EINTR, EAGAIN, EPIPE },
	[OP_SENDFILE] = { SHORT, SHORT, EINTR, EAGAIN, EIO },
	[OP_READ] = { EINTR, EAGAIN },
	[OP_WRITE] = { SHORT, EINTR, EAGAIN, ENOSPC },
	[OP_PREAD] = { SHORT, EINTR, EIO },
	[OP_PWRITE] = { SHORT, EINTR, ENOSPC, EIO },
	[OP_ACCEPT] = { EINTR, ECONNABORTED, EMFILE, ENFILE, ENOMEM, EAGAIN },
	[OP_EPOLL_CTL] = { ENOMEM, ENOSPC },
	[OP_EPOLL_WAIT] = { EINTR, ENOMEM },
	[OP_POLL] = { EINTR, ENOMEM },
	[OP_OPEN] = { EMFILE, ENFILE, ENOMEM, ENOSPC, EINTR },
	[OP_FCNTL] = { EMFILE },
	[OP_MALLOC] = { ENOMEM },
	[OP_MMAP] = { ENOMEM },
	[OP_IO_SETUP] = { EAGAIN, ENOSYS },
	[OP_IO_SUBMIT] = { SHORT, SHORT, EAGAIN },
};

struct rule {
	uint32_t chance; /* of 65536 calls, so many fail */
	int32_t error;   /* errno or SHORT; 0: one of the natural ones */
	_Atomic uint64_t nth; /* the call that fails, counting down; 0: none */
	_Atomic uint64_t calls;
	_Atomic uint64_t hits;
};

struct control {
	_Atomic uint32_t on;
	uint32_t seed;
	struct rule rules[OP_COUNT];
};

static struct control *control;
static bool in_worker;

/* Where the code of bicorn and its modules lies. */
static struct {
	uintptr_t from, to;
} ranges[8];
static atomic_int range_count;
static atomic_flag looking = ATOMIC_FLAG_INIT;

/* --- set-up --------------------------------------------------------------- */

static bool
is_ours(const char *name)
{
	const char *base = strrchr(name, '/');

	base = base != NULL ? base + 1 : name;
	return *name == '\0' || strcmp(base, "static.so") == 0 ||
	    strcmp(base, "wsgi.so") == 0 || strncmp(base, "libmbed", 7) == 0;
}

static int
note_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	int *count = arg;

	(void)size;
	/* The first object is the executable; its name is empty. */
	if (!is_ours(info->dlpi_name) || *count == 8 ||
	    (*info->dlpi_name == '\0' && *count > 0))
		return 0;
	for (int i = 0; i < info->dlpi_phnum && *count < 8; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_LOAD || (p->p_flags & PF_X) == 0)
			continue;
		ranges[*count].from = info->dlpi_addr + p->p_vaddr;
		ranges[*count].to = ranges[*count].from + p->p_memsz;
		(*count)++;
	}
	return 0;
}

static void
look_for_code(void)
{
	int count = 0;

	if (atomic_flag_test_and_set(&looking))
		return;
	dl_iterate_phdr(note_object, &count);
	atomic_store(&range_count, count);
}

static void
forked(void)
{
	in_worker = true;
}

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("FAULTS");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return;
	control = map;
	pthread_atfork(NULL, NULL, forked);
}

/* --- the decision --------------------------------------------------------- */

static uint32_t
draw(void)
{
	static _Thread_local uint64_t state;

	if (state == 0)
		state = (control->seed + UINT64_C(0x9e3779b97f4a7c15)) *
		    (uint64_t)gettid();
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32);
}

static bool
from_ours(uintptr_t caller)
{
	int count = atomic_load(&range_count);

	for (int i = 0; i < count; i++)
		if (caller >= ranges[i].from && caller < ranges[i].to)
			return true;
	return false;
}

static bool
is_due(struct rule *r)
{
	uint64_t nth = atomic_load(&r->nth);

	while (nth > 0)
		if (atomic_compare_exchange_weak(&r->nth, &nth, nth - 1))
			return nth == 1;
	return r->chance > 0 && (draw() & 0xffff) < r->chance;
}

/* 0: the call goes through; otherwise SHORT, or an error to be set. */
static int
fault(enum op op, uintptr_t caller)
{
	struct rule *r;
	int count = 0;

	if (!in_worker || control == NULL || !atomic_load(&control->on))
		return 0;
	if (atomic_load(&range_count) == 0)
		look_for_code();
	if (!from_ours(caller))
		return 0;
	r = &control->rules[op];
	atomic_fetch_add(&r->calls, 1);
	if (!is_due(r))
		return 0;
	atomic_fetch_add(&r->hits, 1);
	if (r->error != 0)
		return r->error;
	while (count < ERRORS_MAX && natural[op][count] != 0)
		count++;
	return natural[op][draw() % (unsigned)count];
}

/* True when the call has failed, with errno set. */
static bool
failed(int what)
{
	if (what <= 0)
		return false;
	errno = what;
	return true;
}

/* Some bytes, but not all, if there is more than one. */
static size_t
shorter(int what, size_t len)
{
	return what == SHORT && len > 1 ? 1 + draw() % (len - 1) : len;
}

#define NEXT(type, name)                                                      \
	static type next;                                                     \
	if (next == NULL)                                                     \
		next = (type)dlsym(RTLD_NEXT, name)

/* --- sockets -------------------------------------------------------------- */

typedef ssize_t (*recv_fn)(int, void *, size_t, int);
typedef ssize_t (*send_fn)(int, const void *, size_t, int);
typedef ssize_t (*sendmsg_fn)(int, const struct msghdr *, int);
typedef ssize_t (*sendfile_fn)(int, int, off_t *, size_t);
typedef int (*accept_fn)(int, struct sockaddr *, socklen_t *, int);

EXPORT ssize_t
recv(int fd, void *buf, size_t len, int flags)
{
	int what = fault(OP_RECV, CALLER());

	NEXT(recv_fn, "recv");
	return failed(what) ? -1 : next(fd, buf, shorter(what, len), flags);
}

EXPORT ssize_t
send(int fd, const void *buf, size_t len, int flags)
{
	int what = fault(OP_SEND, CALLER());

	NEXT(send_fn, "send");
	return failed(what) ? -1 : next(fd, buf, shorter(what, len), flags);
}

EXPORT ssize_t
sendmsg(int fd, const struct msghdr *msg, int flags)
{
	int what = fault(OP_SEND, CALLER());
	struct msghdr less = *msg;
	struct iovec first;

	NEXT(sendmsg_fn, "sendmsg");
	if (failed(what))
		return -1;
	if (what == SHORT && msg->msg_iovlen > 0) {
		first = msg->msg_iov[0];
		first.iov_len = shorter(what, first.iov_len);
		less.msg_iov = &first;
		less.msg_iovlen = 1;
	}
	return next(fd, &less, flags);
}

/* A function, and the one that libc calls for files beyond 2 GiB. */
#define SENDFILE(name, offset)                                                \
	EXPORT ssize_t name(int out, int in, offset *at, size_t len)          \
	{                                                                     \
		int what = fault(OP_SENDFILE, CALLER());                      \
                                                                              \
		NEXT(sendfile_fn, #name);                                     \
		return failed(what) ? -1                                      \
				    : next(out, in, at, shorter(what, len));  \
	}

SENDFILE(sendfile, off_t)
SENDFILE(sendfile64, off64_t)

EXPORT int
accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	int what = fault(OP_ACCEPT, CALLER());

	NEXT(accept_fn, "accept4");
	return failed(what) ? -1 : next(fd, addr, len, flags);
}

typedef long (*syscall_fn)(long, ...);

#define LIST_MAX 64

/* Less of one of them, or less of them. */
static long
submit_some(syscall_fn next, long context, long count, struct iocb **list)
{
	struct iocb *some[LIST_MAX], less;

	if (count <= 0 || count > LIST_MAX)
		return next(SYS_io_submit, context, count, list);
	memcpy(some, list, (size_t)count * sizeof(*some));
	less = *some[count - 1];
	less.aio_nbytes = shorter(SHORT, (size_t)less.aio_nbytes);
	some[count - 1] = &less;
	return next(SYS_io_submit, context,
	    1 + (long)(draw() % (unsigned)count), some);
}

EXPORT long
syscall(long number, ...)
{
	long a[6];
	va_list ap;
	int what = 0;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	NEXT(syscall_fn, "syscall");
	if (number == SYS_io_setup)
		what = fault(OP_IO_SETUP, CALLER());
	else if (number == SYS_io_submit)
		what = fault(OP_IO_SUBMIT, CALLER());
	if (failed(what))
		return -1;
	if (what == SHORT)
		return submit_some(next, a[0], a[1], (struct iocb **)a[2]);
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* --- waiting -------------------------------------------------------------- */

typedef int (*epoll_ctl_fn)(int, int, int, struct epoll_event *);
typedef int (*epoll_wait_fn)(int, struct epoll_event *, int, int);
typedef int (*poll_fn)(struct pollfd *, nfds_t, int);

EXPORT int
epoll_ctl(int epoll, int what_to, int fd, struct epoll_event *ev)
{
	/* Taking out needs no memory. */
	int what = what_to != EPOLL_CTL_DEL ? fault(OP_EPOLL_CTL, CALLER())
					    : 0;

	NEXT(epoll_ctl_fn, "epoll_ctl");
	return failed(what) ? -1 : next(epoll, what_to, fd, ev);
}

EXPORT int
epoll_wait(int epoll, struct epoll_event *ev, int max, int timeout)
{
	int what = fault(OP_EPOLL_WAIT, CALLER());

	NEXT(epoll_wait_fn, "epoll_wait");
	return failed(what) ? -1 : next(epoll, ev, max, timeout);
}

EXPORT int
poll(struct pollfd *fds, nfds_t count, int timeout)
{
	int what = fault(OP_POLL, CALLER());

	NEXT(poll_fn, "poll");
	return failed(what) ? -1 : next(fds, count, timeout);
}

/* --- files ---------------------------------------------------------------- */

typedef ssize_t (*read_fn)(int, void *, size_t);
typedef ssize_t (*write_fn)(int, const void *, size_t);
typedef ssize_t (*pread_fn)(int, void *, size_t, off_t);
typedef ssize_t (*pwrite_fn)(int, const void *, size_t, off_t);
typedef int (*open_fn)(const char *, int, ...);
typedef int (*openat_fn)(int, const char *, int, ...);
typedef int (*mkostemp_fn)(char *, int);
typedef int (*fcntl_fn)(int, int, ...);

EXPORT ssize_t
read(int fd, void *buf, size_t len)
{
	int what = fault(OP_READ, CALLER());

	NEXT(read_fn, "read");
	return failed(what) ? -1 : next(fd, buf, shorter(what, len));
}

EXPORT ssize_t
write(int fd, const void *buf, size_t len)
{
	int what = fault(OP_WRITE, CALLER());

	NEXT(write_fn, "write");
	/* An eventfd takes eight bytes or none. */
	if (what == SHORT && len == 8)
		what = EINTR;
	return failed(what) ? -1 : next(fd, buf, shorter(what, len));
}

#define AT_OFFSET(name, op, type, bytes, offset)                              \
	EXPORT ssize_t name(int fd, bytes buf, size_t len, offset at)         \
	{                                                                     \
		int what = fault(op, CALLER());                               \
                                                                              \
		NEXT(type, #name);                                            \
		return failed(what)                                           \
		    ? -1                                                      \
		    : next(fd, buf, shorter(what, len), at);                  \
	}

AT_OFFSET(pread, OP_PREAD, pread_fn, void *, off_t)
AT_OFFSET(pread64, OP_PREAD, pread_fn, void *, off64_t)
AT_OFFSET(pwrite, OP_PWRITE, pwrite_fn, const void *, off_t)
AT_OFFSET(pwrite64, OP_PWRITE, pwrite_fn, const void *, off64_t)

/* The mode, where there is one. */
#define MODE(flags, mode)                                                     \
	do {                                                                  \
		va_list ap;                                                   \
		va_start(ap, flags);                                          \
		mode = (flags) & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) \
							 : 0;                 \
		va_end(ap);                                                   \
	} while (0)

EXPORT int
open(const char *path, int flags, ...)
{
	int what = fault(OP_OPEN, CALLER());
	mode_t mode;

	NEXT(open_fn, "open");
	MODE(flags, mode);
	return failed(what) ? -1 : next(path, flags, mode);
}

EXPORT int
open64(const char *path, int flags, ...)
{
	int what = fault(OP_OPEN, CALLER());
	mode_t mode;

	NEXT(open_fn, "open64");
	MODE(flags, mode);
	return failed(what) ? -1 : next(path, flags, mode);
}

EXPORT int
openat(int dir, const char *path, int flags, ...)
{
	int what = fault(OP_OPEN, CALLER());
	mode_t mode;

	NEXT(openat_fn, "openat");
	MODE(flags, mode);
	return failed(what) ? -1 : next(dir, path, flags, mode);
}

/* What a fortified build calls. */
EXPORT int __openat_2(int dir, const char *path, int flags);

EXPORT int
__openat_2(int dir, const char *path, int flags)
{
	int what = fault(OP_OPEN, CALLER());

	NEXT(openat_fn, "openat");
	return failed(what) ? -1 : next(dir, path, flags);
}

EXPORT int
openat64(int dir, const char *path, int flags, ...)
{
	int what = fault(OP_OPEN, CALLER());
	mode_t mode;

	NEXT(openat_fn, "openat64");
	MODE(flags, mode);
	return failed(what) ? -1 : next(dir, path, flags, mode);
}

EXPORT int
mkostemp(char *path, int flags)
{
	int what = fault(OP_OPEN, CALLER());

	NEXT(mkostemp_fn, "mkostemp");
	return failed(what) ? -1 : next(path, flags);
}

static int
control_file(const char *name, int fd, int command, void *arg,
    uintptr_t caller)
{
	int what = command == F_DUPFD_CLOEXEC ? fault(OP_FCNTL, caller) : 0;
	fcntl_fn next = (fcntl_fn)dlsym(RTLD_NEXT, name);

	return failed(what) ? -1 : next(fd, command, arg);
}

EXPORT int
fcntl(int fd, int command, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, command);
	arg = va_arg(ap, void *);
	va_end(ap);
	return control_file("fcntl", fd, command, arg, CALLER());
}

EXPORT int
fcntl64(int fd, int command, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, command);
	arg = va_arg(ap, void *);
	va_end(ap);
	return control_file("fcntl64", fd, command, arg, CALLER());
}

/* --- memory --------------------------------------------------------------- */

/* A sanitizer has allocators of its own, which come next. */
typedef void *(*malloc_fn)(size_t);
typedef void *(*calloc_fn)(size_t, size_t);
typedef void *(*realloc_fn)(void *, size_t);

EXPORT void *
malloc(size_t size)
{
	NEXT(malloc_fn, "malloc");
	return failed(fault(OP_MALLOC, CALLER())) ? NULL : next(size);
}

EXPORT void *
calloc(size_t count, size_t size)
{
	NEXT(calloc_fn, "calloc");
	return failed(fault(OP_MALLOC, CALLER())) ? NULL : next(count, size);
}

EXPORT void *
realloc(void *old, size_t size)
{
	NEXT(realloc_fn, "realloc");
	return failed(fault(OP_MALLOC, CALLER())) ? NULL : next(old, size);
}

typedef void *(*mmap_fn)(void *, size_t, int, int, int, off_t);

EXPORT void *
mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	int what = fault(OP_MMAP, CALLER());

	NEXT(mmap_fn, "mmap");
	return failed(what) ? MAP_FAILED
			    : next(at, len, prot, flags, fd, offset);
}

EXPORT void *
mmap64(void *at, size_t len, int prot, int flags, int fd, off64_t offset)
{
	int what = fault(OP_MMAP, CALLER());

	NEXT(mmap_fn, "mmap64");
	return failed(what) ? MAP_FAILED
			    : next(at, len, prot, flags, fd, offset);
}
