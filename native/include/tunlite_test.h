/* SPDX-License-Identifier: MIT */
/*
 * The border that only tests see: a plane whose device, sockets and clock are in memory.
 * As in tunlite.h, results are 0, a count, or -errno.
 */
#ifndef TUNLITE_TEST_H
#define TUNLITE_TEST_H

/* As tl_plane_new, whatever engine the options name. It has a device and both sockets at once, and
 * its clock stands still at 1,000,000 ms. */
int tl_fake_new(const unsigned char *options, int options_len);
int tl_fake_clock(int plane, const unsigned char *ms8);

/* One packet into, or out of, the device (length, 0: none, -ENOSPC). */
int tl_fake_device_put(int plane, const unsigned char *packet, int packet_len);
int tl_fake_device_take(int plane, unsigned char *out, int out_len);

/* One datagram from, or to, an endpoint, with the TOS byte of its outer header. */
int tl_fake_socket_put(int plane, const unsigned char *endpoint48, int tos,
                       const unsigned char *datagram, int datagram_len);
int tl_fake_socket_take(int plane, unsigned char *endpoint48, unsigned char *tos1,
                        unsigned char *out, int out_len);

enum { TL_FAKE_DEVICE = 0, TL_FAKE_SOCKET = 1 };
/* How many more packets this end takes before it is full; -1: any number. */
int tl_fake_room(int plane, int end, int packets);
/* The next `times` writes to this end fail with this errno. */
int tl_fake_fail(int plane, int end, int err, int times);

/* ---- a plane on the kernel (tl_plane_new) ------------------------------------------------- */

/* Its device, whose frames have a virtio_net_hdr; super-packets of TCP and UDP go both ways. */
int tl_fake_vnet(int plane, int fd);
/* The next `times` sends or writes that carry several packets in one fail with this errno. */
int tl_fake_refuse(int plane, int end, int err, int times);
/* The sockets of these families (1: IPv4, 2: IPv6) take nothing. */
int tl_fake_full(int plane, int families);

/* UDP_GRO is switched when the next datagram has come, or after so long. */
int tl_fake_gro_late(int plane, int ms);

/* Its clock goes this much ahead of CLOCK_BOOTTIME. */
int tl_fake_ahead(int plane, int ms);

/* Steps of the probing that no test can bring about. */
int tl_fake_kernel(const char *release);
int tl_fake_gso_corrupts(int kernel);

#endif
