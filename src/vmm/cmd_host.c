/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/commands.h"
#include "vmm/output.h"

#include "arch/arch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int this_host(struct host *out, struct err *e)
{
	int kvm_fd, r = arch_kvm_open(&kvm_fd, e);

	if (r)
		return r;
	r = arch_host(kvm_fd, out, e);
	close(kvm_fd);
	return r;
}

static void print_vectors(const struct host *h)
{
	const char *before = "SVE vectors  ";

	for (unsigned n = 0; n < 64 * HOST_SVE_WORDS; n++)
		if (h->sve_lengths[n / 64] >> n % 64 & 1) {
			printf("%s %u", before, (n + 1) * 128);
			before = ",";
		}
	if (*before == ',')
		puts(" bits");
}

static void print_text(const struct host *h, const struct arch_speed *speed)
{
	printf("architecture  %s\nkernel        %s\nprocessor     %s\n", h->arch, h->kernel,
	       h->cpu_model);
	printf("vCPUs         up to %u in a VM\nmemory slots  %u\nphysical bits %u\n", h->vcpus,
	       h->memslots, h->phys_bits);
	if (h->tsc_khz)
		printf("TSC           %u kHz%s\n", h->tsc_khz,
		       h->tsc_scaling ? ", can be scaled" : "");
	if (h->counter_hz)
		printf("counters      %u Hz\nregisters     %u for each vCPU\n", h->counter_hz,
		       h->reg_n);
	print_vectors(h);
	printf("userfaultfd   %s\n", h->userfaultfd ? "yes" : "no");
	printf("kernel code   %u million instructions a second: %s\n", speed->kernel_mips,
	       speed->native ? "runs on the processor"
			     : "emulated, too slow to boot an operating system");
	printf("capabilities ");
	for (uint32_t i = 0; i < h->cap_n; i++)
		if (h->cap[i].value)
			printf(" %s", h->cap[i].name);
	printf("\nabsent       ");
	for (uint32_t i = 0; i < h->cap_n; i++)
		if (!h->cap[i].value)
			printf(" %s", h->cap[i].name);
	putchar('\n');
}

static int export_profile(const struct host *h, const char *path, struct err *e)
{
	json_t *j = state_file_json(&host_desc, h);
	char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
	struct output out = OUTPUT_INIT;
	int r = text ? output_open(path, &out, e) : err_set(e, ERR_NOMEM, "out of memory");

	if (!r)
		r = io_write_all(out.fd, text, strlen(text), e);
	if (!r)
		r = io_write_all(out.fd, "\n", 1, e);
	/* For other people and machines: as readable as any new file. */
	mode_t mask = umask(0);
	umask(mask);
	if (!r && out.fd > 2 && fchmod(out.fd, 0666 & ~mask))
		r = err_sys(e, ERR_IO, errno, "%s", path);
	if (!r)
		r = output_publish(path, &out, e);
	output_close(&out);
	free(text);
	json_decref(j);
	return r;
}

static int run(const struct command *self, int argc, char **argv)
{
	bool json = false;
	const char *export = NULL;
	const struct option_spec spec[] = {
	    {0, "export", "FILE", OPT_TEXT, &export,
	     "write the profile that checks elsewhere take"},
	    {0, "json", NULL, OPT_FLAG, &json, "print JSON"},
	};
	struct err e = ERR_INIT;
	struct arch_speed speed;
	int kvm_fd = -1;
	int status = options_parse(self, spec, ARRAY_LEN(spec), argc, argv, 0, 0, NULL);

	if (status >= 0)
		return status;
	struct host *h = calloc(1, sizeof *h);
	int r = h ? arch_kvm_open(&kvm_fd, &e) : err_set(&e, ERR_NOMEM, "out of memory");
	if (!r)
		r = arch_host(kvm_fd, h, &e);
	if (!r && export)
		r = export_profile(h, export, &e);
	else if (!r)
		r = arch_host_speed(kvm_fd, &speed, &e);
	if (r) {
		status = fail(&e);
	} else if (export) {
		status = STATUS_DONE;
	} else if (json) {
		json_t *j = state_json(&host_desc, h);
		json_object_set_new(j, "kernel_mips", json_integer(speed.kernel_mips));
		json_object_set_new(j, "native", json_boolean(speed.native));
		status = print_json(j);
	} else {
		print_text(h, &speed);
		status = STATUS_DONE;
	}
	if (kvm_fd >= 0)
		close(kvm_fd);
	free(h);
	return status;
}

const struct command cmd_host = {"host", "[--json | --export FILE]",
				 "what this host can carry, and how fast its KVM is", run};
