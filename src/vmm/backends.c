/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/backends.h"

#include "devices/virtio.h"
#include "vmm/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct vm_backend *add(struct backends *b, const char *id, struct err *e)
{
	if (b->n == VM_BACKENDS_MAX) {
		err_set(e, ERR_USAGE, "more than %d devices", VM_BACKENDS_MAX);
		return NULL;
	}
	if (!*id || strlen(id) > DEVICE_ID_MAX) {
		err_set(e, ERR_USAGE, "device id '%s': 1 to %d characters", id, DEVICE_ID_MAX);
		return NULL;
	}
	struct vm_backend *item = &b->item[b->n];
	*item = (struct vm_backend){.tap_fd = -1};
	strcpy(item->id, id);
	return item;
}

int backends_add_disk(struct backends *b, const char *id, const struct disk_chain *chain,
		      bool read_only, struct disk **out, struct err *e)
{
	struct vm_backend *item = add(b, id, e);
	int r = item ? disk_open(b->loop, chain, read_only, &item->disk, e) : -ERR_USAGE;

	if (r)
		return r;
	b->n++;
	if (out)
		*out = item->disk;
	return 0;
}

int backends_disk(struct backends *b, const char *id, const char *path, bool read_only,
		  struct disk **out, struct err *e)
{
	struct disk_chain *chain = calloc(1, sizeof *chain);
	int r = chain ? disk_chain_open(path, !read_only, chain, e)
		      : err_set(e, ERR_NOMEM, "out of memory");

	if (!r) {
		r = backends_add_disk(b, id, chain, read_only, out, e);
		if (r)
			disk_chain_close(chain);
	}
	free(chain);
	return r;
}

int backends_tap(struct backends *b, const char *id, const char *name, struct err *e)
{
	struct vm_backend *item = add(b, id, e);
	int r = item ? tap_open(name, &item->tap_fd, e) : -ERR_USAGE;

	if (r)
		err_where(e, "%s", id);
	else
		b->n++;
	return r;
}

static void on_quit(void *arg)
{
	loop_stop(arg);
}

int backends_console(struct backends *b, const char *id, const char *target, struct err *e)
{
	struct vm_backend *item = add(b, id, e);
	int r = item ? console_open(target, on_quit, b->loop, &item->console, e) : -ERR_USAGE;

	if (!r)
		b->n++;
	return r;
}

int backends_consoles(struct backends *b, const char *console, const struct option_list *serial,
		      const char *virtio_console, struct err *e)
{
	int r = backends_console(b, "com1", console, e);

	for (uint32_t i = 0; !r && i < serial->n; i++) {
		const char *text = serial->text[i];
		char id[8];
		if (text[0] < '2' || text[0] > '4' || text[1] != '=')
			return err_set(e, ERR_USAGE, "--serial %s: 2=TARGET to 4=TARGET", text);
		snprintf(id, sizeof id, "com%c", text[0]);
		r = backends_console(b, id, text + 2, e);
	}
	if (!r && virtio_console)
		r = backends_console(b, "hvc", virtio_console, e);
	return r;
}

void backends_close(struct backends *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		struct err e = ERR_INIT;
		if (disk_close(b->item[i].disk, &e)) {
			err_where(&e, "%s", b->item[i].id);
			fail(&e);
		}
		console_close(b->item[i].console);
		if (b->item[i].tap_fd >= 0)
			close(b->item[i].tap_fd);
	}
	b->n = 0;
}
