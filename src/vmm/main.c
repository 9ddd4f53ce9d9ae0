/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command *const commands[] = {
	&cmd_run,    &cmd_snapshot, &cmd_restore, &cmd_merge,   &cmd_check, &cmd_pause, &cmd_resume,
	&cmd_stop,   &cmd_status,   &cmd_list,	  &cmd_balloon, &cmd_disk,  &cmd_layout, &cmd_cpu,
	&cmd_host,
};

int print_json(json_t *j)
{
	bool ok = j;

	/* What cannot be written shows when main() flushes. */
	if (ok && (json_dumpf(j, stdout, JSON_INDENT(2)) || putchar('\n') == EOF))
		ok = ferror(stdout);
	json_decref(j);
	if (ok)
		return STATUS_DONE;
	fprintf(stderr, "vmm: out of memory\n");
	return STATUS_FAILED;
}

static int help(void)
{
	puts("usage: vmm COMMAND ...\n\n"
	     "Run, snapshot, restore and check virtual machines on Linux/KVM.\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
	puts("\n'vmm COMMAND --help' tells more. Exit status: 0 done, 1 failed, 2 usage,\n"
	     "3 incompatible.");
	return STATUS_DONE;
}

/* Standard descriptors that are closed would be given to files opened later. Opened the wrong way
 * round, so that using one is still an error. */
static void fill_standard(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) < 0)
			exit(STATUS_FAILED); /* and nowhere to say it */
}

static int flush(int status)
{
	int failed = ferror(stdout);

	if (!fflush(stdout) && !failed)
		return status;
	fprintf(stderr, "vmm: cannot write to standard output: %s\n", strerror(errno));
	return STATUS_FAILED;
}

int main(int argc, char **argv)
{
	/* One heap for all threads: glibc opens files in /proc and /sys to manage more of them, which
	 * the sandbox answers with SIGSYS. Nothing here allocates often. */
	mallopt(M_ARENA_MAX, 1);
	/* A reader that goes away, or a file that may not grow, is an error of write(), not a reason
	 * to die. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	fill_standard();
	if (argc < 2) {
		fprintf(stderr, "vmm: no command given (vmm --help)\n");
		return STATUS_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return flush(help());
	if (!strcmp(argv[1], "--version")) {
		puts("vmm " VMM_VERSION);
		return flush(STATUS_DONE);
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (!strcmp(commands[i]->name, argv[1])) {
			int status = commands[i]->run(commands[i], argc - 1, argv + 1);
			/* One that failed has said why. */
			return status == STATUS_FAILED ? status : flush(status);
		}
	fprintf(stderr, "vmm: no command %s (vmm --help)\n", argv[1]);
	return STATUS_USAGE;
}
