/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

/* Which options go with a command. */
enum { O_JSON = 1, O_SCHEMA = 2, O_DRAW = 4, O_AGAINST = 8, O_HOST = 16, O_KEY = 32 };

struct command {
	const char *name, *usage, *summary;
	int (*run)(const struct inspect_args *a, struct err *e);
	unsigned options;
	bool file;
	int max_operands;
};

/* clang-format off */
static const struct command commands[] = {
    {"info", "[--json] FILE", "what the snapshot is of, and how it is stored", cmd_info,
     O_JSON, true, 1},
    {"layout", "[--json] FILE", "the guest's physical memory map", cmd_layout, O_JSON, true, 1},
    {"map", "[--json|--svg|--html] [--against FILE|ID] FILE", "the same, drawn, also beside another",
     cmd_map, O_JSON | O_DRAW | O_AGAINST, true, 1},
    {"state", "[--json] FILE [ID]", "every saved record, or those of one type or id", cmd_state,
     O_JSON, true, 2},
    {"cpu", "[--json] FILE", "the records of the vCPUs", cmd_cpu, O_JSON, true, 1},
    {"verify", "[--json] FILE", "check every byte of the file", cmd_verify, O_JSON, true, 1},
    {"check", "[--json] [--host PROFILE] [--against FILE|ID] FILE",
     "would it restore with this version, on that host, in that map?", cmd_check,
     O_JSON | O_HOST | O_AGAINST, true, 1},
    {"schema", "[--cddl|--markdown] [NAME]", "the records there may be", cmd_schema, O_SCHEMA, false, 1},
};
/* clang-format on */

static void print_help(const struct command *c, FILE *out)
{
	if (c) {
		fprintf(out, "usage: snapinspect %s %s\n\n%s\n", c->name, c->usage, c->summary);
		return;
	}
	fputs("usage: snapinspect COMMAND [OPTIONS] FILE\n\n", out);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\n  --json              for programs\n"
	      "  --svg, --html       of map: a picture, or a page with picture and table\n"
	      "  --against FILE|ID   of map and check: another snapshot's map, or a definition's\n"
	      "  --host PROFILE      of check: a host's exported profile\n"
	      "  --key KEY           opens an encrypted file: key=FILE, key-fd=N,\n"
	      "                      passphrase-file=FILE, passphrase-fd=N or passphrase\n"
	      "  --verify-key FILE   public key (PEM) that must have signed the file\n"
	      "  --cddl, --markdown  of schema\n"
	      "  --help              of a command as well\n  --version\n\n"
	      "exit status: 0 done, 1 failed, 2 usage, 3 incompatible (check)\n",
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

static int load_keys(struct inspect_args *a, struct snap_key *key, uint8_t *signer, struct err *e)
{
	int r = a->verify_key ? ed25519_read_public(a->verify_key, signer, e) : 0;

	if (!r && a->key)
		r = snap_key_load(a->key, false, key, e);
	a->opts.signer = a->verify_key ? signer : NULL;
	a->opts.key = a->key ? key : NULL;
	return r;
}

static int open_and_run(const struct command *c, struct inspect_args *a, struct err *e)
{
	int r = snap_open_file(a->argv[0], &a->opts, &a->snap, e);

	if (r == -ERR_KEY && !a->key && c->run == cmd_info)
		return cmd_info_outside(a, e);
	return r ? r : c->run(a, e);
}

static int run_on_file(const struct command *c, struct inspect_args *a, struct err *e)
{
	uint8_t signer[ED25519_PUBLIC_BYTES];
	struct snap_key key = {0};
	int r = load_keys(a, &key, signer, e);

	if (!r)
		r = open_and_run(c, a, e);
	snap_key_fini(&key);
	/* One about another file has that name already. */
	if (r)
		err_file(e, a->argv[0]);
	snap_close(a->snap);
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
		return *a->status;
	err_text(&e, text, sizeof text);
	fprintf(stderr, "snapinspect: %s\n", text);
	return exit_status(r);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"json", no_argument, NULL, 'j'},	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},    {"cddl", no_argument, NULL, 'c'},
	    {"markdown", no_argument, NULL, 'm'},   {"svg", no_argument, NULL, 's'},
	    {"html", no_argument, NULL, 'w'},	    {"against", required_argument, NULL, 'a'},
	    {"host", required_argument, NULL, 'H'}, {"key", required_argument, NULL, 'k'},
	    {"verify-key", required_argument, NULL, 'v'}, {NULL, 0, NULL, 0},
	};
	int status = EXIT_DONE, o;
	struct inspect_args a = {.status = &status};
	bool help = false;
	unsigned given = 0;

	opterr = 0;
	while ((o = getopt_long(argc, argv, ":h", options, NULL)) != -1)
		switch (o) {
		case 'j':
			a.json = true;
			given |= O_JSON;
			break;
		case 'h':
			help = true;
			break;
		case 'c':
		case 'm':
			a.cddl |= o == 'c';
			given |= O_SCHEMA;
			break;
		case 's':
		case 'w':
			a.svg |= o == 's';
			a.html |= o == 'w';
			given |= O_DRAW;
			break;
		case 'a':
			a.against = optarg;
			given |= O_AGAINST;
			break;
		case 'H':
			a.host = optarg;
			given |= O_HOST;
			break;
		case 'k':
		case 'v':
			*(o == 'k' ? &a.key : &a.verify_key) = optarg;
			given |= O_KEY;
			break;
		case 'V':
			puts("snapinspect " VMM_VERSION);
			return EXIT_DONE;
		default:
			return usage(o == ':' ? "no value for " : "unknown option ",
				     argv[optind - 1]);
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
	if (given & ~(c->options | (c->file ? O_KEY : 0u)))
		return usage("option does not go with ", c->name);
	return run(c, &a);
}
