/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a TAP device, for the process that may. */
#include "devices/virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TUN_PATH     "/dev/net/tun"
#define HEADER_BYTES 12 /* struct virtio_net_hdr_mrg_rxbuf */

static int set_up(int fd, const char *name, struct err *e)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int bytes = HEADER_BYTES;

	strncpy(ifr.ifr_name, name, sizeof ifr.ifr_name - 1);
	/* As the kernel says that the interface has several queues, or is no TAP device. */
	if (ioctl(fd, TUNSETIFF, &ifr))
		return errno == EINVAL ? err_set(e, ERR_INCOMPATIBLE,
						 "interface %s is no TAP device with one queue",
						 name)
				       : err_sys(e, ERR_IO, errno, "cannot attach to interface %s", name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &bytes) || ioctl(fd, TUNSETOFFLOAD, 0))
		return err_sys(e, ERR_IO, errno, "cannot set up interface %s", name);
	return 0;
}

int tap_open(const char *name, int *out, struct err *e)
{
	size_t n = strlen(name);

	/* A % would have the kernel choose a number. */
	if (!n || n >= IFNAMSIZ || strpbrk(name, "/% \t\n"))
		return err_set(e, ERR_USAGE, "'%s' is no name for a network interface", name);
	int fd = open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "%s", TUN_PATH);
	int r = set_up(fd, name, e);
	if (r) {
		close(fd);
		return r;
	}
	*out = fd;
	return 0;
}
