/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/client.h"
#include "vmm/commands.h"

#include <stdio.h>

static void print_text(const json_t *result)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)result, key, v)
	{
		if (json_is_boolean(v))
			printf("%-20s %s\n", key, json_is_true(v) ? "yes" : "no");
		else
			printf("%-20s %lld\n", key, (long long)json_integer_value(v));
	}
}

static int run(const struct command *self, int argc, char **argv)
{
	bool json = false;
	const struct option_spec spec[] = {
	    {0, "json", NULL, OPT_FLAG, &json, "print JSON"},
	};
	const char *word[2] = {NULL, NULL};
	json_t *params = NULL, *result;
	uint64_t bytes;
	struct err e = ERR_INIT;
	int status = options_parse(self, spec, ARRAY_LEN(spec), argc, argv, 1, 2, word);

	if (status >= 0)
		return status;
	if (word[1]) {
		if (num_parse_size(word[1], &bytes) || bytes > INT64_MAX) {
			err_set(&e, ERR_USAGE, "balloon: %s is not a size", word[1]);
			return fail(&e);
		}
		params = json_pack("{s:I}", "memory_bytes", (json_int_t)bytes);
	}
	if (client_simple(word[0], "balloon", params, &result, &e))
		return fail(&e);
	if (json)
		return print_json(result);
	print_text(result);
	json_decref(result);
	return STATUS_DONE;
}

const struct command cmd_balloon = {"balloon", "NAME [SIZE] [--json]",
				    "how much memory a VM's guest is to have", run};
