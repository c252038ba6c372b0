/* TCP sockets. (Not socket.h: with src/ as the root of includes that would hide the system's <sys/socket.h>.)
 * Addresses are numbers (struct sock_address) or text "HOST:PORT" whose host is a name, an IPv4 address
 * or an IPv6 address in brackets. Everything returns 0 (or a value >= 0) or a negative errno. Any thread. */
#pragma once

#include <netinet/in.h>
#include <sys/uio.h>

#include "base/macros.h"
#include "base/span.h"

/* ---- addresses ---- */

struct sock_address {
        union {
                struct sockaddr any; /* sa_family says which */
                struct sockaddr_in v4;
                struct sockaddr_in6 v6;
        };
};

enum {
        SOCK_HOST_SIZE = 256,        /* a DNS name has at most 253 characters */
        SOCK_TEXT_SIZE = 64,         /* "[IPv6%scope]:65535" and its NUL */
        SOCK_RESOLVE_COUNT_MAX = 16, /* addresses of one name that are looked at */
};

/* Split "HOST:PORT" ("[V6]:PORT"; ":PORT" and "*:PORT" give an empty host, which stands for every address of the
 * machine). Port 0..65535. Pure. Return: 0; -EINVAL when it is none of these. */
int sock_split_host_port(const char *text, char ret_host[SOCK_HOST_SIZE], uint16_t *ret_port);

/* Addresses of @host (empty: all of this machine, for listening). Blocks while names are looked up, so never on a loop
 * unless @numeric_only, which refuses names (-EINVAL).
 * @ret_count: 1..SOCK_RESOLVE_COUNT_MAX. Return: 0; -ENOENT when there is no such name; -EAGAIN when the name service
 * does not answer; other negative errno. */
int sock_resolve(const char *host, uint16_t port, bool numeric_only,
                 struct sock_address ret_addresses[SOCK_RESOLVE_COUNT_MAX], unsigned *ret_count);

/* "HOST:PORT" in numbers; IPv4 addresses that arrive as IPv6 (::ffff:a.b.c.d) are written as IPv4. */
void sock_format(const struct sock_address *a, char ret_text[SOCK_TEXT_SIZE]);
/* The same without port and brackets. */
void sock_format_host(const struct sock_address *a, char ret_text[SOCK_TEXT_SIZE]);

/* The address that @text is, as sock_format_host() writes it: "0:0::1" is "::1", "10.1" is "10.0.0.1". Never asks a name service.
 * Return: 0; -EINVAL: it is no address. */
int sock_canonical_host(struct str text, char ret_text[SOCK_TEXT_SIZE]);

/* In host order. */
uint16_t sock_address_port(const struct sock_address *a);

/* 16 bytes that are equal for equal hosts whatever the port: IPv6, or IPv4 as ::ffff:a.b.c.d. */
void sock_address_key(const struct sock_address *a, uint8_t ret_key[16]);

/* ---- sockets: non-blocking, close-on-exec ---- */

/* Listen on @a. @reuse_port: several sockets may listen there and the kernel spreads connections over them.
 * Return: descriptor; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, ... */
int sock_listen(const struct sock_address *a, bool reuse_port);
/* The address the socket is bound to. */
int sock_local(int fd, struct sock_address *ret_address);
/* Next waiting connection. Return: descriptor; -EAGAIN when none waits; -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM when there
 * is no room for one. Connections that died while they waited are skipped. */
int sock_accept(int fd, struct sock_address *ret_peer);
/* Begin to connect; writable when it is decided, then ask sock_error(). Return: descriptor or negative errno. */
int sock_connect(const struct sock_address *a);
/* Two stream sockets of this machine that are connected with each other. Return: 0 or negative errno. */
int sock_pair(int ret_fds[2]);
/* The pending error of a socket as a negative errno, or 0. */
int sock_error(int fd);

/* Small writes leave at once (TCP_NODELAY), and a peer that vanishes is noticed (SO_KEEPALIVE). */
int sock_tune(int fd);
/* SO_SNDBUF and SO_RCVBUF in bytes; 0 leaves the kernel's auto-tuning. */
int sock_set_buffers(int fd, int send_len, int receive_len);

/* Say that nothing more is sent; the other side reads the end. */
int sock_end_writing(int fd);

/* Bytes read, 0 at the end, -EAGAIN when none are there. */
ssize_t sock_readv(int fd, const struct iovec *iov, int iov_count);
/* Bytes that can be read at once. */
int sock_readable_len(int fd);
/* Bytes taken by the kernel (>= 1), -EAGAIN when it takes none. No SIGPIPE. @more: further bytes follow at once. */
ssize_t sock_writev(int fd, const struct iovec *iov, int iov_count, bool more);
/* Send from @file_fd at @pos. Bytes taken; 0 when the file ends there; -EAGAIN. The caller's thread has SIGPIPE blocked
 * or ignored. Waits for the disk when the range is not in the page cache. */
ssize_t sock_sendfile(int fd, int file_fd, int64_t pos, size_t len);

/* @r tells of a peer that is gone or cannot be reached: usual, and nobody's fault here. */
bool sock_is_peer_error(int r);
