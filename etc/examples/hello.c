#include <bicorn/app.h>

static void
hello(struct bicorn_exchange *x)
{
	bicorn_reply(x, 200, "text/plain", "Hello, World!\n", 14);
}

BICORN_APP(.handle = hello)
