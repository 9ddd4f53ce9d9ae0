/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPECS_MAX  40
#define HELP_WIDTH 28

int fail(const struct err *e)
{
	char text[512];

	err_text(e, text, sizeof text);
	/* One line, whatever a file or an argument is called. */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	fprintf(stderr, "vmm: %s\n", text);
	return e->code == ERR_INCOMPATIBLE ? STATUS_INCOMPATIBLE
	       : e->code == ERR_USAGE	   ? STATUS_USAGE
					   : STATUS_FAILED;
}

static void print_help(const struct command *cmd, const struct option_spec *spec, size_t n)
{
	printf("usage: vmm %s %s\n\n%s\n", cmd->name, cmd->usage, cmd->summary);
	if (n)
		printf("\noptions:\n");
	for (size_t i = 0; i < n; i++) {
		char left[64], letter[8] = "    ";
		if (spec[i].letter)
			snprintf(letter, sizeof letter, "-%c, ", spec[i].letter);
		snprintf(left, sizeof left, "%s--%s%s%s", letter, spec[i].name,
			 spec[i].arg ? " " : "", spec[i].arg ? spec[i].arg : "");
		printf("  %-*s %s\n", HELP_WIDTH, left, spec[i].help);
	}
}

static int store(const struct option_spec *s, const char *value, struct err *e)
{
	uint64_t v;
	struct option_list *list;

	switch (s->kind) {
	case OPT_FLAG:
		*(bool *)s->to = true;
		return 0;
	case OPT_TEXT:
		*(const char **)s->to = value;
		return 0;
	case OPT_LIST:
		list = s->to;
		if (list->n == OPTION_LIST_MAX)
			return err_set(e, ERR_USAGE, "--%s: at most %d times", s->name,
				       OPTION_LIST_MAX);
		list->text[list->n++] = value;
		return 0;
	case OPT_SIZE:
		if (num_parse_size(value, s->to))
			return err_set(e, ERR_USAGE, "--%s %s: a size like 512M or 4G", s->name,
				       value);
		return 0;
	case OPT_COUNT:
		if (num_parse_size(value, &v) || v > UINT32_MAX)
			return err_set(e, ERR_USAGE, "--%s %s: a number", s->name, value);
		*(uint32_t *)s->to = (uint32_t)v;
		return 0;
	}
	return err_set(e, ERR_BUG, "--%s", s->name);
}

static int usage_error(const struct command *cmd, const char *what)
{
	fprintf(stderr, "vmm: %s: %s (vmm %s --help)\n", cmd->name, what, cmd->name);
	return STATUS_USAGE;
}

int options_parse(const struct command *cmd, const struct option_spec *spec, size_t n, int argc,
		  char **argv, unsigned least, unsigned most, const char **words)
{
	struct option longs[SPECS_MAX + 2] = {0};
	char shorts[2 * SPECS_MAX + 3] = ":h", what[160];
	size_t used = 2;

	for (size_t i = 0; i < n; i++) {
		longs[i] = (struct option){spec[i].name, spec[i].arg ? 1 : 0, NULL, (int)(256 + i)};
		if (spec[i].letter)
			shorts[used++] = spec[i].letter;
		if (spec[i].letter && spec[i].arg)
			shorts[used++] = ':';
	}
	longs[n] = (struct option){"help", 0, NULL, 'h'};

	optind = 0;
	for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
		struct err e = ERR_INIT;
		size_t i = 0;
		if (c == 'h') {
			print_help(cmd, spec, n);
			return STATUS_DONE;
		}
		if (c == '?' || c == ':') {
			snprintf(what, sizeof what, c == '?' ? "no option %s" : "%s needs a value",
				 argv[optind - 1]);
			return usage_error(cmd, what);
		}
		while (i < n && c != (int)(256 + i) && c != spec[i].letter)
			i++;
		if (store(&spec[i], optarg, &e))
			return fail(&e);
	}
	unsigned given = (unsigned)(argc - optind);
	if (given < least || given > most) {
		snprintf(what, sizeof what, "usage: vmm %s %s", cmd->name, cmd->usage);
		return usage_error(cmd, what);
	}
	for (unsigned i = 0; i < given; i++)
		words[i] = argv[optind + (int)i];
	for (unsigned i = given; i < most; i++)
		words[i] = NULL;
	return -1;
}

/* Calls @each for "key" and its length in a comma list. */
static const char *next_key(const char *at, size_t *key_len, const char **value, size_t *value_len)
{
	size_t n = strcspn(at, ",");
	const char *eq = memchr(at, '=', n);

	*key_len = eq ? (size_t)(eq - at) : n;
	*value = eq ? eq + 1 : "";
	*value_len = eq ? n - *key_len - 1 : 0;
	return at[n] ? at + n + 1 : NULL;
}

const char *options_key(const char *text, const char *key, char *buf, size_t size)
{
	size_t key_len, value_len;
	const char *value;

	for (const char *at = text; at;) {
		const char *here = at;
		at = next_key(at, &key_len, &value, &value_len);
		if (key_len == strlen(key) && !memcmp(here, key, key_len)) {
			snprintf(buf, size, "%.*s", (int)value_len, value);
			return buf;
		}
	}
	return NULL;
}

int options_check_keys(const char *text, const char *const *keys, struct err *e)
{
	size_t key_len, value_len;
	const char *value;

	for (const char *at = text; at;) {
		const char *here = at;
		bool known = false;
		at = next_key(at, &key_len, &value, &value_len);
		for (size_t i = 0; keys[i]; i++)
			known |= key_len == strlen(keys[i]) && !memcmp(here, keys[i], key_len);
		if (!known)
			return err_set(e, ERR_USAGE, "'%s': no key '%.*s'", text, (int)key_len,
				       here);
	}
	return 0;
}
