/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/commands.h"
#include "vmm/cpu.h"

#include "layout/x86_cpu.h"
#include "state/arm64_registers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS_MAX 64

/* A policy of all that this host can give: the baseline of one. */
static int host_policy(struct cpu_policy *out, struct err *e)
{
	struct host *host = calloc(1, sizeof *host);
	int r = host ? this_host(host, e) : err_set(e, ERR_NOMEM, "out of memory");

	if (!r)
		r = cpu_policy_baseline((const struct host *const[]){host}, 1, "host", out, e);
	free(host);
	return r;
}

static void print_x86(const struct cpu_policy *p)
{
	char names[800];

	printf("vendor                %s\n", p->vendor[0] ? p->vendor : "any");
	for (size_t i = 0; i < x86_features_n; i++) {
		const struct x86_feature_reg *r = &x86_features[i];
		uint32_t bits =
		    x86_cpuid_reg(p->cpuid, p->cpuid_n, r->function, r->index, r->reg) & ~r->ignore;
		if (bits)
			printf("%-21s %s\n", r->text, x86_cpu_names(r, bits, names, sizeof names));
	}
}

static void print_fields(const struct arm64_reg *reg)
{
	char name[64];

	for (unsigned shift = 0; shift < 64; shift += 4) {
		const char *field = strchr(arm64_field_name(reg->id, shift, name, sizeof name), '.');
		if (field && reg->value >> shift & 15)
			printf(" %s=%u", field + 1, (unsigned)(reg->value >> shift & 15));
	}
}

static void print_arm64(const struct cpu_policy *p)
{
	static const struct {
		uint32_t feature;
		const char *name;
	} features[] = {
	    {ARM64_FEATURE_SVE, "SVE"},
	    {ARM64_FEATURE_PTRAUTH_ADDRESS, "pointer authentication"},
	    {ARM64_FEATURE_PTRAUTH_GENERIC, "generic authentication"},
	    {ARM64_FEATURE_PMU, "performance monitors"},
	};
	char name[64];

	for (size_t i = 0; i < ARRAY_LEN(features); i++)
		if (p->features & features[i].feature)
			printf("feature               %s\n", features[i].name);
	if (p->stolen_time)
		puts("feature               stolen time");
	for (uint32_t i = 0; i < p->reg_n; i++) {
		const struct arm64_reg *reg = &p->reg[i];
		printf("%-21s 0x%016" PRIx64, arm64_reg_name(reg->id, name, sizeof name), reg->value);
		print_fields(reg);
		putchar('\n');
	}
}

static void print_text(const struct cpu_policy *p)
{
	printf("name                  %s\narchitecture          %s\n", p->name, p->arch);
	if (p->phys_bits)
		printf("physical bits         %u\n", p->phys_bits);
	(strcmp(p->arch, "x86_64") ? print_arm64 : print_x86)(p);
}

static int show(const char *name, bool json)
{
	struct cpu_policy *p = calloc(1, sizeof *p);
	struct err e = ERR_INIT;
	int r = !p		    ? err_set(&e, ERR_NOMEM, "out of memory")
		: cpu_is_host(name) ? host_policy(p, &e)
				    : cpu_load(name, p, &e);
	int status = STATUS_DONE;

	if (r)
		status = fail(&e);
	else if (json)
		status = print_json(state_file_json(&cpu_policy_desc, p));
	else
		print_text(p);
	free(p);
	return status;
}

static int baseline(const char *const *paths, size_t n, const char *name, struct err *e)
{
	struct host *hosts = calloc(n, sizeof *hosts);
	const struct host *list[HOSTS_MAX];
	struct cpu_policy *p = calloc(1, sizeof *p);
	int r = hosts && p ? 0 : err_set(e, ERR_NOMEM, "out of memory");

	for (size_t i = 0; !r && i < n; i++) {
		list[i] = &hosts[i];
		r = state_read_file(&host_desc, paths[i], &hosts[i], e);
	}
	if (!r)
		r = cpu_policy_baseline(list, n, name, p, e);
	if (!r && print_json(state_file_json(&cpu_policy_desc, p)))
		r = err_set(e, ERR_NOMEM, "out of memory");
	free(hosts);
	free(p);
	return r;
}

static int run(const struct command *self, int argc, char **argv)
{
	bool json = false;
	const char *name = "baseline", *words[1 + HOSTS_MAX];
	const struct option_spec spec[] = {
	    {0, "json", NULL, OPT_FLAG, &json, "print JSON (baseline always does)"},
	    {0, "name", "NAME", OPT_TEXT, &name, "what snapshots call the baseline (baseline)"},
	};
	struct err e = ERR_INIT;
	int status =
	    options_parse(self, spec, ARRAY_LEN(spec), argc, argv, 1, ARRAY_LEN(words), words);

	if (status >= 0)
		return status;
	size_t n = 0;
	while (n < HOSTS_MAX && words[1 + n])
		n++;
	if (!strcmp(words[0], "show") && n <= 1)
		return show(n ? words[1] : "host", json);
	if (strcmp(words[0], "baseline") || !n) {
		err_set(&e, ERR_USAGE,
			"cpu: show [POLICY], or baseline PROFILE... (vmm cpu --help)");
		return fail(&e);
	}
	return baseline(words + 1, n, name, &e) ? fail(&e) : STATUS_DONE;
}

const struct command cmd_cpu = {"cpu", "show [POLICY] | baseline PROFILE... [options]",
				"which processor features guests get", run};
