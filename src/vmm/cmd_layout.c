/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/commands.h"
#include "vmm/keys.h"

#include "layout/compat.h"
#include "layout/picture.h"
#include "layout/print.h"
#include "snapshot/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
	bool json, svg, html, its;
	uint64_t memory, kernel, initrd, swiotlb, firmware, pvm_firmware;
	uint32_t cpus, phys_bits, gic;
	struct keys_in keys;
};

static int list(bool json)
{
	const struct layout_def *def;
	json_t *all = json_array();

	for (size_t i = 0; (def = layout_def_at(i)); i++) {
		if (json)
			json_array_append_new(all, json_pack("{s:s, s:s}", "id", layout_def_id(def),
							     "summary", layout_def_summary(def)));
		else
			printf("%-18s %s\n", layout_def_id(def), layout_def_summary(def));
	}
	if (json)
		return print_json(all);
	json_decref(all);
	return STATUS_DONE;
}

static void fill_params(const struct options *o, const struct layout_def *def,
			struct layout_params *p)
{
	layout_params_init(p, o->memory);
	p->vcpus = o->cpus;
	if (o->phys_bits)
		p->phys_bits = o->phys_bits > UINT8_MAX ? UINT8_MAX : (uint8_t)o->phys_bits;
	p->kernel_bytes = o->kernel;
	p->initrd_bytes = o->initrd;
	p->swiotlb_bytes = o->swiotlb;
	p->firmware_bytes = o->firmware;
	p->pvm_firmware_bytes = o->pvm_firmware;
	p->gic_version = o->gic > UINT8_MAX ? UINT8_MAX : (uint8_t)o->gic;
	p->gic_its = o->its;
	layout_params_complete(def, p);
}

static int from_file(const char *path, const struct options *o, struct layout *out, struct err *e)
{
	struct snap *snap = NULL;
	int r = snap_open_file(path, &o->keys.opts, &snap, e);

	if (!r)
		*out = *snap_layout(snap);
	snap_close(snap);
	return r;
}

/* A definition built with the options, or the map of a snapshot. */
static int obtain(const char *what, const struct options *o, struct layout *out, struct err *e)
{
	const struct layout_def *def = layout_def_find(what);
	struct layout_params p;

	if (!def && access(what, F_OK))
		return err_set(e, ERR_NAME,
			       "%s is neither a layout (vmm layout list) nor a snapshot", what);
	if (!def)
		return from_file(what, o, out, e);
	fill_params(o, def, &p);
	return layout_build(def, &p, out, e);
}

static int draw(const struct options *o, const struct layout *a, const char *a_name,
		const struct layout *b, const char *b_name)
{
	const struct picture_map left = {a, a_name}, right = {b, b_name};

	(o->svg ? picture_svg : picture_html)(&left, b ? &right : NULL, stdout);
	return STATUS_DONE;
}

static int show(const char *what, const struct options *o)
{
	struct err e = ERR_INIT;
	struct layout *l = calloc(1, sizeof *l);
	int r = l ? obtain(what, o, l, &e) : err_set(&e, ERR_NOMEM, "out of memory");
	int status = STATUS_DONE;

	if (r)
		status = fail(&e);
	else if (o->svg || o->html)
		status = draw(o, l, l->id, NULL, NULL);
	else if (o->json)
		status = print_json(layout_json(l));
	else
		layout_print_text(l, stdout);
	free(l);
	return status;
}

static int diff(const char *a, const char *b, const struct options *o)
{
	struct err e = ERR_INIT;
	struct layout *l = calloc(2, sizeof *l);
	struct findings *f = calloc(1, sizeof *f);
	int r = l && f ? obtain(a, o, &l[0], &e) : err_set(&e, ERR_NOMEM, "out of memory");
	int status;

	if (!r)
		r = obtain(b, o, &l[1], &e);
	if (r) {
		status = fail(&e);
	} else if (o->svg || o->html) {
		status = draw(o, &l[0], a, &l[1], b);
	} else {
		layout_compare(&l[0], &l[1], f);
		status = print_findings(f, o->json);
	}
	free(l);
	free(f);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct options o = {.memory = 512 * MIB, .cpus = 1};
	const struct option_spec spec[] = {
	    {0, "json", NULL, OPT_FLAG, &o.json, "print JSON"},
	    {0, "svg", NULL, OPT_FLAG, &o.svg, "draw the map"},
	    {0, "html", NULL, OPT_FLAG, &o.html, "a page with the picture and a table"},
	    {'m', "memory", "SIZE", OPT_SIZE, &o.memory, "RAM (512M)"},
	    {0, "cpus", "N", OPT_COUNT, &o.cpus, "virtual CPUs (1)"},
	    {0, "phys-bits", "N", OPT_COUNT, &o.phys_bits, "physical address bits (40)"},
	    {0, "kernel-size", "SIZE", OPT_SIZE, &o.kernel, "kernel's footprint"},
	    {0, "initrd-size", "SIZE", OPT_SIZE, &o.initrd, "initial RAM disk"},
	    {0, "firmware-size", "SIZE", OPT_SIZE, &o.firmware, "firmware (1M, of bios maps)"},
	    {0, "pvm-firmware-size", "SIZE", OPT_SIZE, &o.pvm_firmware,
	     "firmware of a protected VM"},
	    {0, "swiotlb", "SIZE", OPT_SIZE, &o.swiotlb, "static swiotlb (aarch64)"},
	    {0, "gic", "N", OPT_COUNT, &o.gic, "2 or 3 (3, aarch64)"},
	    {0, "its", NULL, OPT_FLAG, &o.its, "a GICv3 has an ITS (aarch64)"},
	    KEYS_IN_OPTIONS(o.keys),
	};
	struct err e = ERR_INIT;
	const char *words[3];
	int status = options_parse(self, spec, ARRAY_LEN(spec), argc, argv, 1, 3, words);

	if (status >= 0)
		return status;
	if (o.json + o.svg + o.html > 1) {
		err_set(&e, ERR_USAGE, "layout: one of --json, --svg and --html");
		return fail(&e);
	}
	if (!strcmp(words[0], "list") && !words[1] && !o.svg && !o.html)
		return list(o.json);
	bool show_one = !strcmp(words[0], "show") && words[1] && !words[2];
	bool diff_two = !strcmp(words[0], "diff") && words[1] && words[2];
	int r = show_one || diff_two
		    ? keys_in_load(&o.keys, &e)
		    : err_set(&e, ERR_USAGE,
			      "layout: list, show ID or diff A B (vmm layout --help)");
	status = r	    ? fail(&e)
		 : show_one ? show(words[1], &o)
			    : diff(words[1], words[2], &o);
	keys_in_fini(&o.keys);
	return status;
}

const struct command cmd_layout = {"layout", "list | show ID|FILE | diff A B [options]",
				   "the memory maps that machines are built from", run};
