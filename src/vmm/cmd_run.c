/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backends.h"
#include "vmm/commands.h"
#include "vmm/cpu.h"
#include "vmm/image.h"
#include "vmm/machine.h"
#include "vmm/process.h"
#include "vmm/runtime.h"

#include "devices/virtio.h"
#include "layout/compat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
	const char *name, *layout, *console, *virtio_console;
	struct image_files image;
	const char *cpu, *phys_bits, *watchdog;
	uint64_t memory, swiotlb;
	uint32_t cpus, gic;
	struct option_list disk, net, serial;
	bool hugepages, balloon, debug_exit, allow_emulated, detach, paused;
};

/* Everything that is open, so that one function closes it. */
struct setup {
	struct loop *loop;
	int kvm_fd, listen_fd;
	struct image image;
	struct layout *layout;
	struct machine *machine;
	struct host *host;
	struct cpu_policy *cpu; /* NULL: all that the host can give */
	struct backends backends;
};

/* An operating system would take hours, or hang: better said now. */
static int check_speed(const struct options *o, struct setup *s, struct err *e)
{
	struct arch_speed speed;

	if (o->allow_emulated)
		return 0;
	int r = arch_host_speed(s->kvm_fd, &speed, e);
	if (r || speed.native)
		return r;
	return err_set(
	    e, ERR_INCOMPATIBLE,
	    "this host's KVM emulates kernel code (%u million instructions a second): an "
	    "operating system will not boot (--allow-emulated tries it all the same)",
	    speed.kernel_mips);
}

static int read_cpu(const struct options *o, struct setup *s, struct err *e)
{
	int r = arch_host(s->kvm_fd, s->host, e);

	if (r || cpu_is_host(o->cpu))
		return r;
	s->cpu = calloc(1, sizeof *s->cpu);
	if (!s->cpu)
		return err_set(e, ERR_NOMEM, "out of memory");
	return cpu_load(o->cpu, s->cpu, e);
}

/* The address bits are the machine's: "host" is for one that never leaves hosts like this one. */
static int set_phys_bits(const struct options *o, const struct setup *s,
			 const struct layout_def *def, struct layout_params *p, struct err *e)
{
	uint64_t v, most = layout_def_phys_bits_max(def);

	if (!strcmp(o->phys_bits, "host"))
		v = s->host->phys_bits < most ? s->host->phys_bits : most;
	else if (num_parse_size(o->phys_bits, &v) || v > UINT8_MAX)
		return err_set(e, ERR_USAGE, "--phys-bits %s: a number, or host", o->phys_bits);
	p->phys_bits = (uint8_t)v;
	return 0;
}

/* The rules that a snapshot of this machine would be refused by, right after it was made. */
static int check_host(const struct setup *s, struct err *e)
{
	struct findings *f = calloc(1, sizeof *f);

	if (!f)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (compat_host(s->layout, s->host, s->host, f) && s->cpu)
		cpu_policy_check(s->cpu, s->host, f);
	int r = findings_error(f, e);
	free(f);
	return r;
}

/* The best interrupt controller that this host can make, for definitions that have one; or the one
 * that was asked for. */
static void set_gic(const struct options *o, const struct host *h, const struct layout_def *def,
		    struct layout_params *p)
{
	p->gic_version = host_has(h, "GICV3") ? 3 : 2;
	p->gic_its = host_has(h, "ITS");
	layout_params_fit(def, p);
	if (o->gic)
		p->gic_version = o->gic > UINT8_MAX ? UINT8_MAX : (uint8_t)o->gic;
	p->gic_its &= p->gic_version == 3;
}

static int build_layout(const struct options *o, struct setup *s, struct err *e)
{
	const struct layout_def *def = layout_def_find(o->layout);
	struct layout_params p;

	if (!def)
		return err_set(e, ERR_NAME, "no layout %s (vmm layout list)", o->layout);
	if (strncmp(layout_def_id(def), s->host->arch, strlen(s->host->arch)))
		return err_set(e, ERR_INCOMPATIBLE, "layout %s on a host of %s", layout_def_id(def),
			       s->host->arch);
	layout_params_init(&p, o->memory);
	p.vcpus = o->cpus;
	set_gic(o, s->host, def, &p);
	p.swiotlb_bytes = o->swiotlb;
	int r = o->phys_bits ? set_phys_bits(o, s, def, &p, e) : 0;
	if (!r)
		r = arch_image_params(s->image.arch, def, &p, e);
	if (!r)
		r = layout_build(def, &p, s->layout, e);
	return r ? r : check_host(s, e);
}

static const char *key(const char *text, const char *name, const char *fallback, char *buf,
		       size_t size)
{
	const char *v = options_key(text, name, buf, size);

	return v ? v : fallback;
}

static int add_disk(const char *text, uint32_t i, struct setup *s, struct err *e)
{
	static const char *const keys[] = {"path", "id", "ro", NULL};
	char path[1024], id[64], fallback[16];
	struct machine_device md;
	struct disk *disk;
	bool read_only = options_key(text, "ro", path, sizeof path);
	int r = 0;

	if (!options_key(text, "path", path, sizeof path))
		r = err_set(e, ERR_USAGE, "--disk %s: path=FILE is missing", text);
	if (!r)
		r = options_check_keys(text, keys, e);
	if (r)
		return r;
	snprintf(fallback, sizeof fallback, "disk%u", i);
	const char *name = key(text, "id", fallback, id, sizeof id);
	r = backends_disk(&s->backends, name, path, read_only, &disk, e);
	if (r)
		return r;
	virtio_blk_describe(&md, name, disk_bytes(disk) / 512, read_only);
	return machine_add(s->machine, &md, e);
}

static int parse_mac(const char *text, uint8_t mac[static 6], struct err *e)
{
	unsigned b[6];
	char end;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
		   &end) != 6 ||
	    b[0] & 1)
		return err_set(e, ERR_USAGE,
			       "mac=%s: six bytes like 02:00:00:00:00:01, the first even", text);
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
	return 0;
}

static int add_net(const char *vm, const char *text, uint32_t i, struct setup *s, struct err *e)
{
	static const char *const keys[] = {"tap", "id", "mac", NULL};
	char tap[64], id[64], mac_text[64], fallback[16];
	uint8_t mac[6];
	struct machine_device md;
	int r = 0;

	if (!options_key(text, "tap", tap, sizeof tap))
		r = err_set(e, ERR_USAGE, "--net %s: tap=NAME is missing", text);
	if (!r)
		r = options_check_keys(text, keys, e);
	snprintf(fallback, sizeof fallback, "net%u", i);
	const char *name = key(text, "id", fallback, id, sizeof id);
	machine_mac(vm, name, mac);
	if (!r && options_key(text, "mac", mac_text, sizeof mac_text))
		r = parse_mac(mac_text, mac, e);
	if (!r)
		r = backends_tap(&s->backends, name, tap, e);
	if (r)
		return r;
	virtio_net_describe(&md, name, mac);
	return machine_add(s->machine, &md, e);
}

static int build_machine(const struct options *o, struct setup *s, struct err *e)
{
	struct machine_device md;
	int r =
	    machine_begin(s->layout, s->cpu ? s->cpu->name : "host", o->debug_exit, s->machine, e);

	s->machine->watchdog_stops = o->watchdog && !strcmp(o->watchdog, "stop");
	for (uint32_t i = 0; !r && i < o->disk.n; i++)
		r = add_disk(o->disk.text[i], i, s, e);
	for (uint32_t i = 0; !r && i < o->net.n; i++)
		r = add_net(o->name, o->net.text[i], i, s, e);
	if (!r) {
		virtio_rng_describe(&md, "rng");
		r = machine_add(s->machine, &md, e);
	}
	if (!r && o->virtio_console) {
		virtio_console_describe(&md, "hvc");
		r = machine_add(s->machine, &md, e);
	}
	if (!r && o->balloon) {
		virtio_balloon_describe(&md, "balloon");
		r = machine_add(s->machine, &md, e);
	}
	if (!r)
		r = backends_consoles(&s->backends, o->console, &o->serial, o->virtio_console, e);
	return r ? r : machine_finish(s->layout, s->machine, e);
}

static int prepare(const struct options *o, struct setup *s, struct err *e)
{
	int r = runtime_check_name(o->name, e);

	s->layout = calloc(1, sizeof *s->layout);
	s->machine = calloc(1, sizeof *s->machine);
	s->host = calloc(1, sizeof *s->host);
	if (!r && (!s->layout || !s->machine || !s->host))
		r = err_set(e, ERR_NOMEM, "out of memory");
	if (!r)
		r = arch_kvm_open(&s->kvm_fd, e);
	if (!r)
		r = read_cpu(o, s, e);
	if (!r)
		r = image_open(&o->image, o->layout, &s->image, e);
	if (!r)
		r = check_speed(o, s, e);
	if (!r)
		r = build_layout(o, s, e);
	if (!r)
		r = runtime_listen(o->name, &s->listen_fd, e);
	if (!r)
		r = loop_new(&s->loop, e);
	s->backends.loop = s->loop;
	return r ? r : build_machine(o, s, e);
}

static int build_vm(const struct options *o, struct setup *s, struct vm **out, struct err *e)
{
	const struct vm_setup setup = {
	    .name = o->name,
	    .loop = s->loop,
	    .kvm_fd = s->kvm_fd,
	    .host = s->host,
	    .layout = s->layout,
	    .machine = s->machine,
	    .cpu = s->cpu,
	    .hugepages = o->hugepages,
	    .backend = s->backends.item,
	    .backend_n = s->backends.n,
	};
	int r = vm_new(&setup, out, e);

	return r ? r : vm_boot(*out, &s->image, e);
}

static void close_all(struct setup *s)
{
	backends_close(&s->backends);
	loop_free(s->loop);
	image_close(&s->image);
	free(s->layout);
	free(s->machine);
	free(s->host);
	free(s->cpu);
	/* The rest ends with the process. */
}

static int run_vm(const struct options *o)
{
	struct setup s = {.kvm_fd = -1, .listen_fd = -1};
	struct process p = {.detach = o->detach, .paused = o->paused};
	struct vm *vm = NULL;
	struct err e = ERR_INIT;
	int status;

	/* Whatever was inherited is not meant for a guest's VMM. */
	close_range(3, ~0u, 0);
	int r = process_detach(&p, &e);
	if (!r)
		r = prepare(o, &s, &e);
	if (!r)
		r = build_vm(o, &s, &vm, &e);
	status = r ? fail(&e) : process_run(&p, vm, s.listen_fd);
	vm_free(vm);
	close_all(&s);
	return status;
}

static int check_watchdog(const struct options *o, struct err *e)
{
	if (!o->watchdog)
		return 0;
	if (strcmp(o->watchdog, "reset") && strcmp(o->watchdog, "stop"))
		return err_set(e, ERR_USAGE, "--watchdog %s: reset or stop", o->watchdog);
	if (!machine_has(o->layout, "stall-detector"))
		return err_set(e, ERR_USAGE, "--watchdog: a machine of layout %s has no watchdog",
			       o->layout);
	return 0;
}

static int run(const struct command *self, int argc, char **argv)
{
	struct options o = {
	    .memory = 512 * MIB,
	    .cpus = 1,
	    .cpu = "host",
	};
	const struct option_spec spec[] = {
	    {'n', "name", "NAME", OPT_TEXT, &o.name, "how other commands call it"},
	    {'k', "kernel", "FILE", OPT_TEXT, &o.image.kernel, "kernel: bzImage, ELF, multiboot; Image on aarch64"},
	    {'i', "initrd", "FILE", OPT_TEXT, &o.image.initrd, "initial RAM disk"},
	    {'c', "cmdline", "TEXT", OPT_TEXT, &o.image.cmdline, "kernel command line"},
	    {0, "bios", "FILE", OPT_TEXT, &o.image.bios, "firmware instead of a kernel"},
	    {0, "pvm-firmware", "FILE", OPT_TEXT, &o.image.pvm_firmware,
	     "firmware of a protected VM, on aarch64"},
	    {'m', "memory", "SIZE", OPT_SIZE, &o.memory, "RAM, in steps of 2M (512M)"},
	    {0, "hugepages", NULL, OPT_FLAG, &o.hugepages, "memory in huge pages of the host"},
	    {0, "balloon", NULL, OPT_FLAG, &o.balloon, "let the guest give memory back"},
	    {0, "cpus", "N", OPT_COUNT, &o.cpus, "virtual CPUs, 1 to 16 (1)"},
	    {0, "layout", "ID", OPT_TEXT, &o.layout, "memory map (linux or bios, of this host)"},
	    {0, "cpu", "POLICY", OPT_TEXT, &o.cpu,
	     "features: host, x86_64-v2, x86_64-v3 or a FILE (host)"},
	    {0, "gic", "N", OPT_COUNT, &o.gic, "interrupt controller on aarch64: 2 or 3 (best)"},
	    {0, "swiotlb", "SIZE", OPT_SIZE, &o.swiotlb, "pool of memory for DMA, on aarch64"},
	    {0, "phys-bits", "N", OPT_TEXT, &o.phys_bits, "physical address bits, or host (40)"},
	    {'d', "disk", "DISK", OPT_LIST, &o.disk, "path=FILE[,id=ID][,ro]; repeatable"},
	    {0, "net", "NET", OPT_LIST, &o.net, "tap=NAME[,id=ID][,mac=MAC]; repeatable"},
	    {0, "console", "TARGET", OPT_TEXT, &o.console,
	     "first serial port: stdio, file:F, unix:F or none (stdio)"},
	    {0, "serial", "N=TARGET", OPT_LIST, &o.serial, "the others likewise, 2 to 4"},
	    {0, "virtio-console", "TARGET", OPT_TEXT, &o.virtio_console, "add /dev/hvc0, likewise"},
	    {0, "watchdog", "ACTION", OPT_TEXT, &o.watchdog,
	     "when a vCPU stalls, on aarch64: reset or stop (reset)"},
	    {0, "debug-exit", NULL, OPT_FLAG, &o.debug_exit, "a port by which test guests end it"},
	    {0, "allow-emulated", NULL, OPT_FLAG, &o.allow_emulated,
	     "even if KVM emulates kernel code"},
	    {0, "detach", NULL, OPT_FLAG, &o.detach, "return once the guest runs"},
	    {0, "paused", NULL, OPT_FLAG, &o.paused, "wait for 'vmm resume' to start"},
	};
	struct err e = ERR_INIT;
	int status = options_parse(self, spec, ARRAY_LEN(spec), argc, argv, 0, 0, NULL);

	if (status >= 0)
		return status;
	if (!o.console)
		o.console = o.detach ? "none" : "stdio";
	if (!o.layout)
		o.layout = image_layout(&o.image);
	int r = o.name ? image_check(&o.image, o.layout, &e)
		       : err_set(&e, ERR_USAGE, "run: --name is needed (vmm run --help)");
	if (!r)
		r = check_watchdog(&o, &e);
	if (!r && o.detach && !strcmp(o.console, "stdio"))
		err_set(&e, ERR_USAGE, "run: --detach and --console stdio do not go together");
	return e.code ? fail(&e) : run_vm(&o);
}

const struct command cmd_run = {"run", "--name NAME --kernel|--bios FILE [options]",
				"boot a virtual machine", run};
