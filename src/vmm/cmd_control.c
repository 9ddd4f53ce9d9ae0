/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that ask a running VM for one thing: pause, resume, stop, status, list. */
#include "vmm/client.h"
#include "vmm/commands.h"
#include "vmm/runtime.h"

#include <stdio.h>
#include <stdlib.h>

/* A method without parameters whose answer says nothing. */
static int ask(const struct command *self, int argc, char **argv)
{
	const char *name;
	json_t *result;
	struct err e = ERR_INIT;
	int status = options_parse(self, NULL, 0, argc, argv, 1, 1, &name);

	if (status >= 0)
		return status;
	if (client_simple(name, self->name, NULL, &result, &e))
		return fail(&e);
	json_decref(result);
	return STATUS_DONE;
}

const struct command cmd_pause = {"pause", "NAME", "stop a VM's processors for a while", ask};
const struct command cmd_resume = {"resume", "NAME", "let a paused VM go on", ask};

static int stop(const struct command *self, int argc, char **argv)
{
	bool force = false;
	const struct option_spec spec[] = {
	    {'f', "force", NULL, OPT_FLAG, &force, "do not ask the guest: end it now"},
	};
	const char *name;
	json_t *result;
	struct err e = ERR_INIT;
	int status = options_parse(self, spec, ARRAY_LEN(spec), argc, argv, 1, 1, &name);

	if (status >= 0)
		return status;
	if (force)
		return client_end(name, &e) ? fail(&e) : STATUS_DONE;
	if (client_simple(name, "stop", NULL, &result, &e))
		return fail(&e);
	json_decref(result);
	return STATUS_DONE;
}

const struct command cmd_stop = {"stop", "NAME [--force]", "press a VM's power button, or end it",
				 stop};

/* Its fields in one line. */
static void print_object(const char *key, const json_t *v)
{
	const char *k;
	json_t *field;

	printf("%s", key);
	json_object_foreach((json_t *)(uintptr_t)v, k, field)
	{
		char *text = json_dumps(field, JSON_ENCODE_ANY | JSON_COMPACT);
		printf("  %s=%s", k,
		       json_is_string(field) ? json_string_value(field)
		       : text		     ? text
					     : "");
		free(text);
	}
	putchar('\n');
}

static void print_value(const char *key, const json_t *v)
{
	size_t i;
	json_t *item;

	if (json_is_string(v))
		printf("%-14s %s\n", key, json_string_value(v));
	else if (json_is_integer(v))
		printf("%-14s %lld\n", key, (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		printf("%-14s %s\n", key, json_is_true(v) ? "yes" : "no");
	else if (json_is_object(v))
		print_object(key, v);
	json_array_foreach(v, i, item) print_object(key, item);
}

static int status_run(const struct command *self, int argc, char **argv)
{
	bool json = false;
	const struct option_spec spec[] = {
	    {0, "json", NULL, OPT_FLAG, &json, "print JSON"},
	};
	const char *name, *key;
	json_t *result, *value;
	struct err e = ERR_INIT;
	int status = options_parse(self, spec, ARRAY_LEN(spec), argc, argv, 1, 1, &name);

	if (status >= 0)
		return status;
	if (client_simple(name, "status", NULL, &result, &e))
		return fail(&e);
	if (json)
		return print_json(result);
	json_object_foreach(result, key, value) print_value(key, value);
	json_decref(result);
	return STATUS_DONE;
}

const struct command cmd_status = {"status", "NAME [--json]", "what a VM is and does", status_run};

static int list(const struct command *self, int argc, char **argv)
{
	bool json = false;
	const struct option_spec spec[] = {
	    {0, "json", NULL, OPT_FLAG, &json, "print JSON"},
	};
	struct err e = ERR_INIT;
	char **names;
	size_t n;
	int status = options_parse(self, spec, ARRAY_LEN(spec), argc, argv, 0, 0, NULL);

	if (status >= 0)
		return status;
	if (runtime_names(&names, &n, &e))
		return fail(&e);
	json_t *all = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *one;
		/* Asking is also what removes the sockets of VMs that died. */
		if (!client_simple(names[i], "status", NULL, &one, NULL))
			json_array_append_new(all, one);
		free(names[i]);
	}
	free(names);
	if (json)
		return print_json(all);
	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *one = json_array_get(all, i);
		printf("%-20s %-8s pid %lld\n", json_string_value(json_object_get(one, "name")),
		       json_string_value(json_object_get(one, "state")),
		       (long long)json_integer_value(json_object_get(one, "pid")));
	}
	json_decref(all);
	return STATUS_DONE;
}

const struct command cmd_list = {"list", "[--json]", "the VMs that run here", list};
