/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/commands.h"

#include "layout/layout.h"
#include "layout/picture.h"
#include "layout/print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

enum form { FORM_TEXT, FORM_JSON, FORM_SVG, FORM_HTML };

static int print(const struct layout *l, enum form form)
{
	const struct picture_map map = {l, l->id};

	switch (form) {
	case FORM_JSON:
		return print_json(layout_json(l));
	case FORM_SVG:
		picture_svg(&map, NULL, stdout);
		break;
	case FORM_HTML:
		picture_html(&map, NULL, stdout);
		break;
	default:
		layout_print_text(l, stdout);
	}
	return STATUS_DONE;
}

static int show(const char *id, const struct layout_params *p, enum form form)
{
	struct err e = ERR_INIT;
	const struct layout_def *def = layout_def_find(id);
	struct layout *l = calloc(1, sizeof *l);
	int r = !l	? err_set(&e, ERR_NOMEM, "out of memory")
		: !def	? err_set(&e, ERR_NAME, "no layout %s (vmm layout list)", id)
			: layout_build(def, p, l, &e);
	int status = r ? fail(&e) : print(l, form);

	free(l);
	return status;
}

static int run(const struct command *self, int argc, char **argv)
{
	bool json = false, svg = false, html = false;
	uint64_t memory = 512 * MIB, kernel = 0, initrd = 0;
	uint32_t cpus = 1, phys_bits = 0;
	const struct option_spec spec[] = {
		{0, "json", NULL, OPT_FLAG, &json, "print JSON"},
		{0, "svg", NULL, OPT_FLAG, &svg, "of show: draw the map, as SVG"},
		{0, "html", NULL, OPT_FLAG, &html, "the same as a page, with a table"},
		{'m', "memory", "SIZE", OPT_SIZE, &memory, "RAM (512M)"},
		{0, "cpus", "N", OPT_COUNT, &cpus, "virtual CPUs (1)"},
		{0, "phys-bits", "N", OPT_COUNT, &phys_bits, "physical address bits (40)"},
		{0, "kernel-size", "SIZE", OPT_SIZE, &kernel, "kernel's footprint"},
		{0, "initrd-size", "SIZE", OPT_SIZE, &initrd, "initial RAM disk"},
	};
	struct layout_params p;
	const char *words[2];
	int status = options_parse(self, spec, ARRAY_LEN(spec), argc, argv, 1, 2, words);

	if (status >= 0)
		return status;
	struct err e = ERR_INIT;
	if (json + svg + html > 1) {
		err_set(&e, ERR_USAGE, "layout: one of --json, --svg and --html");
		return fail(&e);
	}
	if (!strcmp(words[0], "list") && !words[1] && !svg && !html)
		return list(json);
	if (strcmp(words[0], "show") || !words[1]) {
		err_set(&e, ERR_USAGE, "layout: list, or show ID (vmm layout --help)");
		return fail(&e);
	}
	layout_params_init(&p, memory);
	p.vcpus = cpus;
	if (phys_bits)
		p.phys_bits = phys_bits > UINT8_MAX ? UINT8_MAX : (uint8_t)phys_bits;
	p.kernel_bytes = kernel;
	p.initrd_bytes = initrd;
	return show(words[1], &p,
		    json   ? FORM_JSON
		    : svg  ? FORM_SVG
		    : html ? FORM_HTML
			   : FORM_TEXT);
}

const struct command cmd_layout = {
	"layout", "list | show ID [--json|--svg|--html] [options]", "the memory maps that machines are built from", run};
