/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/clones.h"
#include "vmm/cmd_restore.h"
#include "vmm/commands.h"
#include "vmm/machine.h"
#include "vmm/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a compressed file: once for all. */
static int load_for_all(const struct restore_options *o, struct restore_parts *s, struct err *e)
{
	struct progress bar;
	const struct snap_load_opts opts = {.threads = o->threads,
					    .progress = {progress_show, &bar, NULL}};
	bool is_raw = snap_info(s->snap)->is_raw;
	int r = is_raw ? 0 : mem_init(&s->ram, snap_layout(s->snap), e);

	progress_init(&bar, "restoring");
	if (!r && !is_raw)
		r = snap_load_ram(s->snap, &s->ram, &opts, e);
	else if (!r && o->verify)
		r = snap_verify(s->snap, &opts, e);
	progress_end(&bar);
	if (r)
		err_file(e, o->file);
	else if (is_raw && !o->verify)
		restore_say_unchecked_(o);
	return r || is_raw ? r : mem_share(&s->ram, e);
}

static int number(const char **text, const struct clone *c)
{
	if (!*text)
		return 0;
	*text = clones_text(*text, c->number); /* until the process ends */
	return *text ? 0 : -ERR_NOMEM;
}

static int number_all(struct restore_options *o, const struct clone *c)
{
	struct option_list *const list[] = {&o->disk, &o->net, &o->serial};
	int r = number(&o->console, c) | number(&o->virtio_console, c) | number(&o->overlays, c);

	for (size_t l = 0; l < ARRAY_LEN(list); l++)
		for (uint32_t i = 0; i < list[l]->n; i++)
			r |= number(&list[l]->text[i], c);
	o->name = c->name;
	return r;
}

static void set_macs(struct machine *m, const char *name)
{
	for (uint32_t i = 0; i < m->device_n; i++)
		if (!strcmp(m->device[i].type, "virtio-net"))
			machine_mac(name, m->device[i].id, m->device[i].mac);
}

struct source {
	struct restore_options *o;
	struct restore_parts *s;
};

static int run_clone(void *arg, struct clone *self)
{
	struct source *src = arg;
	struct restore_options o = *src->o;
	struct restore_parts *s = src->s;
	struct err e = ERR_INIT;

	s->machine = malloc(sizeof *s->machine);
	if (!s->machine || number_all(&o, self)) {
		err_set(&e, ERR_NOMEM, "out of memory");
		return fail(&e);
	}
	*s->machine = *snap_machine(s->snap);
	set_macs(s->machine, o.name);
	o.verify = false; /* it has been, if it was to be */
	self->process.paused = o.paused;
	self->backends = &s->backends;
	return restore_go_on_(&o, s, &self->process);
}

static json_t *net_json(const struct machine *m, const char *name)
{
	json_t *list = json_array();
	char text[18];
	uint8_t mac[6];

	for (uint32_t i = 0; i < m->device_n; i++) {
		if (strcmp(m->device[i].type, "virtio-net"))
			continue;
		machine_mac(name, m->device[i].id, mac);
		snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
			 mac[3], mac[4], mac[5]);
		json_array_append_new(list,
				      json_pack("{s:s, s:s}", "id", m->device[i].id, "mac", text));
	}
	return list;
}

static int print_clones(const struct restore_options *o, const struct restore_parts *s,
			const struct clones *c)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < c->n; i++) {
		const struct clone *k = &c->item[i];
		if (!o->json)
			printf("%s\n", k->name);
		json_array_append_new(list, json_pack("{s:s, s:i, s:o}", "name", k->name, "pid",
						      (int)k->pid, "net",
						      net_json(snap_machine(s->snap), k->name)));
	}
	if (o->json)
		return print_json(json_pack("{s:o}", "clones", list));
	json_decref(list);
	return STATUS_DONE;
}

int restore_clones_(struct restore_options *o, struct restore_parts *s)
{
	struct source src = {o, s};
	struct clones c = {0};
	struct err e = ERR_INIT;
	int r = restore_open_(o, s, &e);

	if (!r)
		r = clones_init(&c, o->clones, o->name, &e);
	if (!r)
		r = load_for_all(o, s, &e);
	int status = r ? fail(&e) : clones_run(&c, run_clone, &src);
	if (status == STATUS_DONE)
		status = print_clones(o, s, &c);
	clones_fini(&c);
	return status;
}

/* What each of them needs for itself has its number in its name. */
static int check_numbered(const struct option_list *list, const char *option, const char *kind,
			  struct err *e)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (strstr(list->text[i], kind) && !strstr(list->text[i], "%d"))
			return err_set(e, ERR_USAGE,
				       "--%s %s: with --clones it needs a %%d for the number",
				       option, list->text[i]);
	return 0;
}

int restore_check_clones_(const struct restore_options *o, struct err *e)
{
	const struct option_list console = {1, {o->console}},
				 hvc = {!!o->virtio_console, {o->virtio_console}};
	const char *other = o->lazy ? "--lazy" : o->hugepages ? "--hugepages" : NULL;

	if (!o->clones)
		return o->json ? err_set(e, ERR_USAGE, "restore: --json is for --clones") : 0;
	if (o->clones > CLONES_MAX)
		return err_set(e, ERR_USAGE, "--clones %u: at most %d", o->clones, CLONES_MAX);
	if (other)
		return err_set(e, ERR_USAGE, "restore: %s and --clones do not go together", other);
	int r = check_numbered(&o->net, "net", "", e);
	if (!r)
		r = check_numbered(&o->serial, "serial", ":", e);
	if (!r)
		r = check_numbered(&console, "console", ":", e);
	return r ? r : check_numbered(&hvc, "virtio-console", ":", e);
}
