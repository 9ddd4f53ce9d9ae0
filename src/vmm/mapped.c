/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/mapped.h"

#include "vmm/options.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a signal handler may look at. */
static struct {
	const uint8_t *host;
	uint64_t size;
	char line[512];
	size_t length;
} watched;

int mapped_lost(const char *file, struct err *e)
{
	err_set(
	    e, ERR_TRUNCATED,
	    "guest memory cannot be read any more: the file was cut off, or its storage failed");
	err_file(e, file);
	return -ERR_TRUNCATED;
}

bool mapped_cut_off(const struct guest_mem *mem)
{
	const struct mem_piece *last = &mem->piece[mem->piece_n - 1];
	struct stat st;

	return !fstat(mem->fd, &st) && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size < last->at + last->bytes;
}

/* There is nothing to go on with: to end is what a guest whose memory is lost can do at any point.
 */
static void on_bus_error(int sig, siginfo_t *info, void *context)
{
	const uint8_t *at = info->si_addr;

	if (at < watched.host || at >= watched.host + watched.size) {
		signal(SIGBUS, SIG_DFL);
		return; /* once more, and for good */
	}
	(void)!write(STDERR_FILENO, watched.line, watched.length);
	_exit(STATUS_FAILED);
}

void mapped_watch(const struct guest_mem *mem, const char *file)
{
	struct sigaction act = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
	struct err e = ERR_INIT;
	char text[sizeof watched.line - 8];

	mapped_lost(file, &e);
	err_text(&e, text, sizeof text);
	watched.host = mem->host;
	watched.size = mem->size;
	watched.length = (size_t)snprintf(watched.line, sizeof watched.line, "vmm: %s\n", text);
	sigaction(SIGBUS, &act, NULL);
}
