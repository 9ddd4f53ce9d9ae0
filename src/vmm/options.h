/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command-line options, declared once: parsing, --help and completion come from one table.
 *
 * Prefix: options_.
 */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include "base/base.h"

/* Exit status of every command. */
enum status { STATUS_DONE, STATUS_FAILED, STATUS_USAGE, STATUS_INCOMPATIBLE };

enum option_kind {
	OPT_FLAG, /* bool */
	OPT_TEXT, /* const char * */
	OPT_SIZE, /* uint64_t, with K, M, G, T */
	OPT_COUNT, /* uint32_t */
	OPT_LIST, /* struct option_list: may be given again and again */
};

#define OPTION_LIST_MAX 32
struct option_list {
	uint32_t n;
	const char *text[OPTION_LIST_MAX];
};

struct option_spec {
	char letter;	  /* 0 for none */
	const char *name; /* without the dashes */
	const char *arg;  /* what the value is called in --help; NULL for flags */
	enum option_kind kind;
	void *to;
	const char *help;
};

/* A command: `vmm NAME …`. */
struct command {
	const char *name;
	const char *usage; /* what follows the name */
	const char *summary;
	int (*run)(const struct command *self, int argc, char **argv);
};

/**
 * options_parse() - @argv[0] is the command's name
 * @least, @most: words that are not options; they end up at @words, which has room for @most
 *
 * Returns -1 to go on, else the exit status: after --help, or a line on stderr.
 */
int options_parse(const struct command *cmd, const struct option_spec *spec, size_t n, int argc,
		  char **argv, unsigned least, unsigned most, const char **words);

/** options_key() - value of "key=" in a list "a=1,b=2,flag"; NULL if absent, "" for a flag.
 * @text: from the option; @buf: where the value is put. */
const char *options_key(const char *text, const char *key, char *buf, size_t size);

/** options_check_keys() - -ERR_USAGE when @text has a key that is not among @keys (NULL-terminated). */
int options_check_keys(const char *text, const char *const *keys, struct err *e) MUST_CHECK;

/** fail() - one line on stderr, "vmm: …"; returns the exit status that goes with it. */
int fail(const struct err *e);

#endif
