/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
	const char *name, *operands, *summary;
	int (*run)(const struct inspect_args *a, struct err *e);
	bool file;
	int max_operands;
};

static const struct command commands[] = {
    {"info", "FILE", "what the snapshot is of, and how it is stored", cmd_info, true, 1},
    {"layout", "FILE", "the guest's physical memory map", cmd_layout, true, 1},
    {"map", "FILE", "the same, drawn with --svg or --html", cmd_map, true, 1},
    {"state", "FILE [ID]", "every saved record, or those of one type or id", cmd_state, true, 2},
    {"cpu", "FILE", "the records of the vCPUs", cmd_cpu, true, 1},
    {"verify", "FILE", "check every byte of the file", cmd_verify, true, 1},
    {"schema", "[NAME]", "the records there may be; --cddl or --markdown", cmd_schema, false, 1},
};

static void print_help(const struct command *c, FILE *out)
{
	if (c) {
		fprintf(out, "usage: snapinspect %s %s%s\n\n%s\n", c->name,
			c->run == cmd_map ? "[--svg|--html [--against FILE2]] "
			: c->file	  ? "[--json] "
					  : "[--cddl|--markdown] ",
			c->operands, c->summary);
		return;
	}
	fputs("usage: snapinspect COMMAND [--json] FILE\n\n", out);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(out, "  %-8s %-10s %s\n", commands[i].name, commands[i].operands,
			commands[i].summary);
	fputs("\n  --json     for programs\n"
	      "  --svg, --html, --against FILE2\n"
	      "             of map: draw it, or two side by side\n"
	      "  --help     of a command as well\n"
	      "  --version\n\nexit status: 0 done, 1 failed, 2 usage\n",
	      out);
}

static int usage(const char *what, const char *arg)
{
	fprintf(stderr, "snapinspect: %s%s: try snapinspect --help\n", what, arg);
	return EXIT_USAGE;
}

static int exit_status(int r)
{
	return r == -ERR_USAGE || r == -ERR_NAME ? EXIT_USAGE : EXIT_FAILED;
}

static int run_on_file(const struct command *c, struct inspect_args *a, struct err *e)
{
	struct io_src src;
	int fd = open(a->argv[0], O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "cannot open");
	int r = io_src_fd(&src, fd, e);
	if (!r)
		r = snap_open(&src, &a->snap, e);
	if (!r)
		r = c->run(a, e);
	snap_close(a->snap);
	close(fd);
	return r;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int run(const struct command *c, struct inspect_args *a)
{
	struct err e = ERR_INIT;
	char text[512];

	int r = c->file ? run_on_file(c, a, &e) : c->run(a, &e);
	if (!r && fflush(stdout))
		r = err_sys(&e, ERR_IO, errno, "cannot write");
	if (!r)
		return EXIT_DONE;
	err_text(&e, text, sizeof text);
	if (c->file)
		fprintf(stderr, "snapinspect: %s: %s\n", a->argv[0], text);
	else
		fprintf(stderr, "snapinspect: %s\n", text);
	return exit_status(r);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"json", no_argument, NULL, 'j'},	  {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},  {"cddl", no_argument, NULL, 'c'},
	    {"markdown", no_argument, NULL, 'm'}, {"svg", no_argument, NULL, 's'},
	    {"html", no_argument, NULL, 'w'},	  {"against", required_argument, NULL, 'a'},
	    {NULL, 0, NULL, 0},
	};
	struct inspect_args a = {0};
	bool help = false, schema = false;
	int o;

	opterr = 0;
	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1)
		switch (o) {
		case 'j':
			a.json = true;
			break;
		case 'h':
			help = true;
			break;
		case 'c':
			a.cddl = schema = true;
			break;
		case 'm':
			schema = true;
			break;
		case 's':
			a.svg = true;
			break;
		case 'w':
			a.html = true;
			break;
		case 'a':
			a.against = optarg;
			break;
		case 'V':
			puts("snapinspect " VMM_VERSION);
			return EXIT_DONE;
		default:
			return usage("unknown option ", argv[optind - 1]);
		}
	const struct command *c = optind < argc ? find_command(argv[optind]) : NULL;
	if (help) {
		print_help(c, stdout);
		return EXIT_DONE;
	}
	if (optind == argc)
		return usage("no command", "");
	if (!c)
		return usage("no such command: ", argv[optind]);
	a.argc = argc - optind - 1;
	a.argv = argv + optind + 1;
	if (a.argc < (c->file ? 1 : 0))
		return usage("no file given to ", c->name);
	if (a.argc > c->max_operands)
		return usage("too many operands for ", c->name);
	bool drawn = a.svg || a.html || a.against;
	if ((c->file ? schema : a.json) || (drawn && c->run != cmd_map))
		return usage("option does not go with ", c->name);
	return run(c, &a);
}
